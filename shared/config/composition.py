"""One application's entry and its vendor's profile become the parts in force."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from shared.config.errors import MOST_PROBLEMS, ConfigurationError, Problem
from shared.config.located_yaml import LocatedMap
from shared.config.mapping import Apply, AttributeMapping
from shared.config.model import GUID_PATTERN
from shared.config.profile import MatchingAttribute, Mutability, Profile, RateLimit, ResourceProfile, TargetAttribute
from shared.config.profile_files import ProfileFinder, UnknownProfileError
from shared.config.provisioning_file import (
    Actions,
    ApiKeyAuth,
    ApplicationEntry,
    Auth,
    ClientCredentialsAuth,
    Deprovision,
    Deprovisioning,
    GroupDeprovision,
    MappingOverride,
)
from shared.config.rule_checks import Finding, check_filters, check_mapping, check_matching
from shared.config.settings import is_unresolved
from shared.config.urls import (
    AddressError,
    checked_url,
    fill_settings,
    fill_template,
    resolve_base_url,
    settings_in,
)
from shared.config.validation import problem_at

_Overlaid = TypeVar("_Overlaid", bound=BaseModel)
_GUID: Final = re.compile(GUID_PATTERN)
_DOCUMENTATION: Final = {"printed", "confidence", "source", "note"}


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfilledSetting:
    """A setting whose value the file asks for with `${NAME}`, and that does not give one that can be used."""

    key: str
    setting: str
    is_unresolved: bool = False
    """It is there, and is the text of a Key Vault reference that did not resolve."""
    expected: str = ""
    """It has a value, which cannot be used; what was expected. Empty: it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where an application is, at the vendor and in the directory."""

    service_principal_id: str = ""
    base_url: str = ""
    auth: Auth
    settings: tuple[tuple[str, str], ...] = ()
    """Key of the file and name of every setting that is named with `${NAME}`."""
    unfilled: tuple[UnfilledSetting, ...] = ()
    """Those without a usable value. With one of them `base_url` is empty; without its own, `service_principal_id`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartsInForce:
    """What profile and entry say together."""

    profile: Profile
    addresses: Addresses
    deprovisioning: Deprovisioning
    groups_out_of_scope: GroupDeprovision
    groups_hard_deleted: GroupDeprovision
    config_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """Where the entry stands in the file, for messages."""

    tree: LocatedMap
    prefix: tuple[str, ...]

    def problem(self, location: tuple[object, ...], expected: str) -> Problem:
        return problem_at(self.tree, location, expected, prefix=self.prefix)


def compose(
    entry: ApplicationEntry,
    tree: LocatedMap,
    *,
    prefix: tuple[str, ...],
    find_profile: ProfileFinder,
    environment: Mapping[str, str] | None,
) -> PartsInForce:
    """The parts of one application. Raises `ConfigurationError` with the mistakes, up to 200, and their lines.

    `environment` None: settings are not read, and an address that needs one stays empty. A setting without a usable
    value is no mistake of the file: it is in `addresses.unfilled`.
    """
    written = _Written(tree=tree, prefix=prefix)
    try:
        vendor = find_profile(entry.profile)
    except UnknownProfileError as error:
        raise ConfigurationError([written.problem(("profile",), str(error))]) from error
    profile = _profile_in_force(entry, vendor)
    deprovisioning = _deprovisioning(entry, profile)
    problems = [
        *(
            written.problem(location, expected)
            for location, expected in islice(_findings(entry, vendor, profile), MOST_PROBLEMS)
        ),
        *(written.problem(location, expected) for location, expected in _action_findings(deprovisioning, profile)),
        *(written.problem(location, expected) for location, expected in _group_findings(entry, profile)),
    ]
    addresses = Addresses(auth=entry.auth)
    try:
        addresses = _addresses(entry, profile, environment)
    except AddressError as error:
        problems.append(written.problem(tuple(error.key.split(".")), error.expected))
    if problems:
        raise ConfigurationError(problems)
    gone = GroupDeprovision.DELETE if profile.groups and profile.groups.delete else GroupDeprovision.EMPTY
    return PartsInForce(
        profile=profile,
        addresses=addresses,
        deprovisioning=deprovisioning,
        groups_out_of_scope=entry.groups.out_of_scope if entry.groups else GroupDeprovision.EMPTY,
        groups_hard_deleted=(entry.groups.hard_deleted if entry.groups else None) or gone,
        config_hash=_config_hash(entry, profile, deprovisioning),
    )


def _profile_in_force(entry: ApplicationEntry, vendor: Profile) -> Profile:
    users = _resource_in_force(
        vendor.users,
        overrides=entry.mappings.users,
        attributes=entry.attributes.users,
        matching=entry.matching.users,
        actions=entry.actions.users,
    )
    groups = None
    if vendor.groups is not None and (entry.groups.enabled if entry.groups else vendor.groups_by_default):
        groups = _resource_in_force(
            vendor.groups,
            overrides=entry.mappings.groups,
            attributes=entry.attributes.groups,
            matching=entry.matching.groups,
            actions=entry.actions.groups,
        )
        if entry.groups:
            own = entry.groups.model_dump(include={"members_per_patch", "disabled_members"}, exclude_none=True)
            groups = groups.model_copy(update=own)
    roles = entry.roles and _overlay(vendor.roles, entry.roles)
    roles = roles or vendor.roles
    if entry.exclude_default_access is not None:
        roles = roles.model_copy(update={"exclude_default_access": entry.exclude_default_access})
    limit = RateLimit(**entry.rate_limit.model_dump(), scope=vendor.rate_limit.scope) if entry.rate_limit else None
    limit = limit or vendor.rate_limit
    return vendor.model_copy(
        update={
            "users": users,
            "groups": groups,
            "roles": roles,
            "rate_limit": limit.model_copy(update={"requests_per_second": limit.steady_rate}),
            "protocol": _overlay(vendor.protocol, entry.protocol) if entry.protocol else vendor.protocol,
        }
    )


def _resource_in_force(
    resource: ResourceProfile,
    *,
    overrides: tuple[MappingOverride, ...],
    attributes: tuple[TargetAttribute, ...],
    matching: tuple[MatchingAttribute, ...] | None,
    actions: Actions,
) -> ResourceProfile:
    known = {entry.path.casefold(): entry for entry in (*resource.attributes, *attributes)}
    mappings = {mapping.target.casefold(): mapping for mapping in resource.mappings}
    for override in overrides:
        if override.remove:
            mappings.pop(override.target.casefold(), None)
        else:
            mappings[override.target.casefold()] = AttributeMapping(**override.model_dump(exclude={"remove"}))
    return resource.model_copy(
        update={
            "attributes": tuple(known.values()),
            "mappings": tuple(_as_applied(mapping, known.get(target)) for target, mapping in mappings.items()),
            "matching": matching or resource.matching,
            **actions.model_dump(exclude_none=True),
        }
    )


def _as_applied(mapping: AttributeMapping, attribute: TargetAttribute | None) -> AttributeMapping:
    """A create-only attribute flows on create only, whatever the mapping says: the vendor refuses it later."""
    if attribute is not None and attribute.mutability is Mutability.CREATE_ONLY and mapping.apply is Apply.ALWAYS:
        return mapping.model_copy(update={"apply": Apply.ON_CREATE})
    return mapping


def _overlay(below: _Overlaid, above: _Overlaid) -> _Overlaid:
    """`below` with the fields that were written in `above`, however deep."""
    changes: dict[str, Any] = {}
    for name in above.model_fields_set:
        new, old = getattr(above, name), getattr(below, name)
        changes[name] = _overlay(old, new) if isinstance(new, BaseModel) and isinstance(old, BaseModel) else new
    return below.model_copy(update=changes)


def _deprovisioning(entry: ApplicationEntry, profile: Profile) -> Deprovisioning:
    hard_deleted = entry.deprovisioning.hard_deleted
    if hard_deleted is None:
        hard_deleted = Deprovision.DELETE if profile.users.delete else entry.deprovisioning.out_of_scope
    return entry.deprovisioning.model_copy(update={"hard_deleted": hard_deleted})


def _addresses(entry: ApplicationEntry, profile: Profile, environment: Mapping[str, str] | None) -> Addresses:
    """Where the application is. Raises AddressError for what the file itself says wrongly of an enabled one."""
    texts = _address_texts(entry, profile)
    named = tuple((key, setting) for key, text in texts.items() for setting in settings_in(text))
    values = environment or {}
    unfilled = [
        UnfilledSetting(key=key, setting=setting, is_unresolved=bool(value))
        for key, setting in named
        for value in (values.get(setting, "").strip(),)
        if not value or is_unresolved(value)
    ]
    principal = ""
    if all(each.key != "service_principal_id" for each in unfilled):
        principal = fill_settings(entry.service_principal_id, values).lower()
        if not _GUID.match(principal):
            expected = "a GUID: the object id of the enterprise application"
            unfilled += _unusable(named, AddressError("service_principal_id", expected))
            principal = ""
    known = Addresses(service_principal_id=principal, auth=entry.auth, settings=named)
    if unfilled:
        return known if environment is None else replace(known, unfilled=tuple(unfilled))
    try:
        base_url, auth = _resolve(entry, profile, {key: fill_settings(text, values) for key, text in texts.items()})
    except AddressError as error:
        unusable = _unusable(named, error)
        if entry.enabled and not unusable:
            raise
        return replace(known, unfilled=unusable)
    return replace(known, base_url=base_url, auth=auth)


def _unusable(named: Sequence[tuple[str, str]], error: AddressError) -> tuple[UnfilledSetting, ...]:
    """The settings whose values led to a mistake; none when it is the file's own."""
    return tuple(
        UnfilledSetting(key=key, setting=setting, expected=error.expected) for key, setting in named if key == error.key
    )


def _address_texts(entry: ApplicationEntry, profile: Profile) -> dict[str, str]:
    """What may name settings, by its key in the file."""
    token_url = None
    if isinstance(entry.auth, ClientCredentialsAuth):
        token_url = entry.auth.token_url or profile.credentials.token_url
    texts = {
        "service_principal_id": entry.service_principal_id,
        **{f"placeholders.{name}": value for name, value in entry.placeholders.items()},
        "region": entry.region,
        "base_url": entry.base_url,
        "auth.token_url": token_url,
    }
    return {key: text for key, text in texts.items() if text is not None}


def _resolve(entry: ApplicationEntry, profile: Profile, filled: Mapping[str, str]) -> tuple[str, Auth]:
    """The SCIM endpoint, and the credentials with what the profile says of them. Raises AddressError."""
    values = {name: filled[f"placeholders.{name}"] for name in entry.placeholders}
    if "region" in filled:
        values["region"] = filled["region"]
    base_url = resolve_base_url(profile.base_url, override=filled.get("base_url"), values=values)
    auth = entry.auth
    if isinstance(auth, ApiKeyAuth):
        return base_url, auth.model_copy(update={"header": auth.header or profile.credentials.header})
    if not isinstance(auth, ClientCredentialsAuth):
        return base_url, auth
    if "auth.token_url" not in filled:
        raise AddressError("auth.token_url", "the token endpoint; this profile knows none")
    resolved = {
        "token_url": checked_url(fill_template(filled["auth.token_url"], values), key="auth.token_url"),
        "scopes": auth.scopes or profile.credentials.scopes,
        "client_authentication": auth.client_authentication or profile.credentials.client_authentication,
    }
    return base_url, auth.model_copy(update=resolved)


def _findings(entry: ApplicationEntry, vendor: Profile, profile: Profile) -> Iterator[Finding]:
    if entry.auth.type not in {kind.value for kind in vendor.auth}:
        yield ("auth", "type"), f"one of {', '.join(vendor.auth)}, which {vendor.title} accepts"
    yield from _resource_findings("users", entry.mappings.users, vendor.users, in_force=profile.users, profile=profile)
    if vendor.groups is None and (entry.mappings.groups or (entry.groups and entry.groups.enabled)):
        yield ("groups",), f"no groups; {vendor.title} has none over SCIM"
    elif vendor.groups is not None and profile.groups is not None:
        yield from _resource_findings(
            "groups", entry.mappings.groups, vendor.groups, in_force=profile.groups, profile=profile
        )
    for location, expected in check_filters(entry.scoping_filters, group=False):
        yield ("scoping_filters", *location), expected
    if entry.groups:
        for location, expected in check_filters(entry.groups.scoping_filters, group=True):
            yield ("groups", "scoping_filters", *location), expected


def _resource_findings(
    kind: str,
    overrides: tuple[MappingOverride, ...],
    vendor: ResourceProfile,
    *,
    in_force: ResourceProfile,
    profile: Profile,
) -> Iterator[Finding]:
    shipped = {mapping.target.casefold() for mapping in vendor.mappings}
    seen: set[str] = set()
    for index, override in enumerate(overrides):
        location = ("mappings", kind, index)
        if override.target.casefold() in seen:
            yield (*location, "target"), "each target once"
        seen.add(override.target.casefold())
        if override.remove and override.target.casefold() not in shipped:
            yield (*location, "target"), "the target of a mapping that the profile has"
        if not override.remove:
            for key, expected in check_mapping(override, in_force, profile=profile.name, group=kind == "groups"):
                yield (*location, *key), expected
    for below, expected in check_matching(in_force):
        yield (below[0], kind, *below[1:]), expected


def _action_findings(deprovisioning: Deprovisioning, profile: Profile) -> Iterator[Finding]:
    users = profile.users
    disables = any(mapping.target == "active" for mapping in users.mappings) and users.disable
    for key, wanted in (
        ("out_of_scope", deprovisioning.out_of_scope),
        ("hard_deleted", deprovisioning.hard_deleted),
    ):
        if wanted is Deprovision.DISABLE and not disables:
            yield ("deprovisioning", key), "skip or delete; accounts cannot be disabled without a mapping of active"
        if wanted is Deprovision.DELETE and not users.delete:
            yield ("deprovisioning", key), "disable or skip; this profile does not delete accounts"


def _group_findings(entry: ApplicationEntry, profile: Profile) -> Iterator[Finding]:
    groups = profile.groups
    if groups is None:
        return
    if profile.protocol.patch.verb != "patch":
        # A replacement would carry every member of every group in every request.
        yield ("groups", "enabled"), "false; memberships are written as differences, and this vendor has no PATCH"
    if entry.groups is None or groups.delete:
        return
    for key, wanted in (("out_of_scope", entry.groups.out_of_scope), ("hard_deleted", entry.groups.hard_deleted)):
        if wanted is GroupDeprovision.DELETE:
            yield ("groups", key), "empty or skip; this profile does not delete groups"


def _config_hash(entry: ApplicationEntry, profile: Profile, deprovisioning: Deprovisioning) -> str:
    """A digest of all that decides an account's wanted state; documentation and wire details are left out."""
    content = {
        "users": _decisive(profile.users),
        "groups": _decisive(profile.groups) if profile.groups else None,
        "scope": entry.scope,
        "filters": [scoping_filter.model_dump(mode="json") for scoping_filter in entry.scoping_filters],
        "group_filters": entry.groups.model_dump(mode="json") if entry.groups else None,
        "roles": profile.roles.model_dump(mode="json"),
        "deprovisioning": deprovisioning.model_dump(mode="json"),
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _decisive(resource: ResourceProfile) -> dict[str, Any]:
    content = resource.model_dump(mode="json", exclude={"attributes", "attributes_evidence", "repairs"})
    mapped = {mapping.target.casefold() for mapping in resource.mappings}
    content["attributes"] = [
        attribute.model_dump(mode="json", exclude=_DOCUMENTATION)
        for attribute in resource.attributes
        if attribute.path.casefold() in mapped
    ]
    return content
