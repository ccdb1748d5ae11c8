"""The connected applications: provisioning.yaml and the profiles, checked and put together.

Everything that can be wrong is found here, at start, with file and line; what leaves this module needs no second look.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from shared.config.composition import PartsInForce, compose
from shared.config.errors import MOST_PROBLEMS, ConfigurationError, Problem
from shared.config.located_yaml import LocatedMap, merge, parse_untrusted_yaml, read_yaml
from shared.config.model import ConfigurationModel
from shared.config.profile import Profile, Protocol, RateLimit, ResourceProfile, RoleRules
from shared.config.profile_files import ProfileFinder, profiles_given, profiles_in
from shared.config.provisioning_file import (
    SECRET_KEYS,
    Adoption,
    ApplicationEntry,
    Auth,
    BasicAuth,
    ClientCredentialsAuth,
    DeletionGuard,
    Deprovisioning,
    Drift,
    GroupDeprovision,
    Notify,
    ScopeMode,
    ScopingFilter,
)
from shared.config.queue_names import refuse_name
from shared.config.settings import holds_value, is_unresolved
from shared.config.validation import problem_at, unknown_key, validated

__all__ = [
    "Application",
    "Applications",
    "ConfigurationError",
    "MissingSetting",
    "load_applications",
    "missing_settings",
    "parse_applications",
]

_REPLACED_WHOLE = frozenset({"auth"})


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingSetting:
    """A setting that an enabled application names and that is absent or empty, or does not hold what it should."""

    application: str
    key: str
    setting: str
    is_unresolved: bool = False
    """It is there, and is the text of a Key Vault reference that did not resolve."""
    expected: str = ""
    """It has a value, which cannot be used; what was expected. Empty: it has none."""
    instead: str = ""
    """The setting that is used in its place, so that everything works all the same; empty: none."""

    def __str__(self) -> str:
        return f"{self._trouble()}; {self.instead} is used in its place" if self.instead else self._trouble()

    def _trouble(self) -> str:
        needed = f"needed by applications.{self.application}.{self.key}"
        if self.is_unresolved:
            return f"{self.setting}: the Key Vault reference of this app setting did not resolve; {needed}"
        if self.expected:
            return f"{self.setting}: this app setting cannot be used; {needed}; expected {self.expected}"
        return f"{self.setting}: an app setting with this name is {needed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """One connected vendor tenant, with profile and overrides already put together."""

    name: str
    enabled: bool
    service_principal_id: str
    """Empty while a setting that it is in gives none."""
    profile: Profile
    """The vendor's profile with this application's overrides in force: mappings, matching, actions, protocol."""
    base_url: str
    """Without a slash at the end. Empty for a disabled application that has none, and while a setting in `unfilled`
    gives none: then nothing can be sent."""
    auth: Auth
    """`token_url` and `header` are filled in from the profile."""
    scope: ScopeMode
    exclude_default_access: bool
    scoping_filters: tuple[ScopingFilter, ...]
    group_scoping_filters: tuple[ScopingFilter, ...]
    rate_limit: RateLimit
    """`requests_per_second` keeps every limit; None when there is none."""
    deletion_guard: DeletionGuard
    deprovisioning: Deprovisioning
    """`hard_deleted` is never None here."""
    groups_out_of_scope: GroupDeprovision
    groups_hard_deleted: GroupDeprovision
    adoption: Adoption
    drift: Drift
    notify: Notify
    config_hash: str
    """Changes when an account may have to be evaluated again."""
    address_settings: tuple[tuple[str, str], ...] = ()
    """Key in the file and name of every setting that an address, or the service principal's id, has as `${NAME}`."""
    unfilled: tuple[MissingSetting, ...] = ()
    """Those of `address_settings` that give no usable value."""

    @property
    def users(self) -> ResourceProfile:
        """Users at this application; `mappings` are those in force."""
        return self.profile.users

    @property
    def groups(self) -> ResourceProfile | None:
        """Groups at this application, None when they are not provisioned."""
        return self.profile.groups

    def resource(self, kind: str) -> ResourceProfile:
        """Users or groups at this application. Raises ValueError for groups where there are none."""
        resource = self.profile.users if kind == "user" else self.profile.groups
        if resource is None:
            raise ValueError(f"application {self.name} has no groups")
        return resource

    @property
    def has_members(self) -> bool:
        """Whether memberships of groups are provisioned: groups are, and `members` is mapped."""
        groups = self.profile.groups
        return groups is not None and groups.update and any(mapping.target == "members" for mapping in groups.mappings)

    @property
    def protocol(self) -> Protocol:
        """The wire behaviour in force."""
        return self.profile.protocol

    @property
    def roles(self) -> RoleRules:
        """The role rules in force."""
        return self.profile.roles

    @property
    def setting_names(self) -> tuple[tuple[str, str], ...]:
        """Key in the file and name of every setting this application needs."""
        return (*self.connection_settings, *self.notify_settings)

    @property
    def connection_settings(self) -> tuple[tuple[str, str], ...]:
        """Those without which nothing can be sent to the vendor: where it is, and the credentials."""
        return (*self.address_settings, *_auth_settings(self.auth))

    @property
    def secret_settings(self) -> tuple[tuple[str, str], ...]:
        """The secrets of the credentials, in the order in which they are tried; one is enough."""
        return _secret_settings(self.auth)

    def has_other_principal(self, other: Application) -> bool:
        """Whether two configurations are about two service principals; one that is not known may be the same."""
        both = {self.service_principal_id, other.service_principal_id} - {""}
        return len(both) > 1

    @property
    def notify_settings(self) -> tuple[tuple[str, str], ...]:
        """Those without which nobody is told; the vendor is written to all the same."""
        webhook, secret = self.notify.webhook, self.notify.signing_setting
        return (("notify.webhook", webhook), ("notify.secret", secret)) if webhook and secret else ()

    @property
    def expires_on(self) -> date | None:
        """The last day of the credential; None: nobody said."""
        return date.fromisoformat(self.auth.expires_on) if self.auth.expires_on else None


class Applications(Mapping[str, Application]):
    """All applications of the file, disabled ones included, by name and in the order of the file."""

    def __init__(self, applications: Mapping[str, Application]) -> None:
        self._applications = dict(applications)

    def __getitem__(self, name: str) -> Application:
        return self._applications[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._applications)

    def __len__(self) -> int:
        return len(self._applications)

    @property
    def enabled(self) -> tuple[Application, ...]:
        """Those that are read and written."""
        return tuple(application for application in self._applications.values() if application.enabled)


class _TopLevel(ConfigurationModel):
    version: Literal[1]
    defaults: Mapping[str, Any] | None = None
    applications: Mapping[str, Mapping[str, Any]] | None = None


def load_applications(path: Path, environment: Mapping[str, str]) -> Applications:
    """Every application of the file, ready to use.

    `environment` fills `${NAME}` in URLs, regions, placeholders and ids of service principals (never secrets: those are
    looked up when used). A setting that gives no usable value is one application's trouble (`Application.unfilled`).
    Raises `ConfigurationError` with one `file:line: key: what was expected` per mistake.
    """
    return _load(read_yaml(path), find_profile=profiles_in(path.parent), environment=environment)


def parse_applications(text: str, profiles: Mapping[str, str], *, file: str = "provisioning.yaml") -> Applications:
    """As `load_applications`, from texts that anybody may have written; `file` is only for messages.

    `profiles`: name as written in the text, `./initech.yaml` say, to the text of that file. No file but the shipped
    profiles is opened and no setting is read: an address that names one stays empty. For looking, not for sending.
    Raises `ConfigurationError`.
    """
    return _load(parse_untrusted_yaml(text, file=file), find_profile=profiles_given(profiles), environment=None)


def _load(tree: LocatedMap, *, find_profile: ProfileFinder, environment: Mapping[str, str] | None) -> Applications:
    validated(_TopLevel, tree)
    loaded: dict[str, Application] = {}
    problems: dict[Problem, None] = dict.fromkeys(islice(_unknown_defaults(tree), MOST_PROBLEMS))
    for name in tree.get("applications") or {}:
        if len(problems) >= MOST_PROBLEMS:
            break
        try:
            loaded[name] = _load_application(name, tree, find_profile=find_profile, environment=environment)
        except ConfigurationError as error:
            problems.update(dict.fromkeys(error.problems))
    problems.update(dict.fromkeys(_doubled_targets(loaded, tree)))
    if problems:
        raise ConfigurationError(sorted(problems, key=lambda problem: problem.line))
    return Applications(loaded)


def missing_settings(
    applications: Mapping[str, Application], environment: Mapping[str, str]
) -> tuple[MissingSetting, ...]:
    """The settings that enabled applications name and that do not hold what they should.

    Secrets are looked for in `environment`; what fills an address was read with the file.
    """
    return tuple(
        missing
        for application in applications.values()
        if application.enabled
        for missing in (*application.unfilled, *_missing_secrets(application, environment))
    )


def _missing_secrets(application: Application, environment: Mapping[str, str]) -> Iterator[MissingSetting]:
    alternatives = application.secret_settings
    instead = next((setting for _, setting in alternatives if holds_value(environment.get(setting))), "")
    for key, setting in (*_auth_settings(application.auth), *application.notify_settings):
        # A second secret is there for a rotation only: nobody misses it.
        if not holds_value(environment.get(setting)) and (key, setting) not in alternatives[1:]:
            yield MissingSetting(
                application=application.name,
                key=key,
                setting=setting,
                is_unresolved=is_unresolved(environment.get(setting, "")),
                instead=instead if (key, setting) in alternatives else "",
            )


def _load_application(
    name: str, tree: LocatedMap, *, find_profile: ProfileFinder, environment: Mapping[str, str] | None
) -> Application:
    prefix = ("applications", name)
    written = tree["applications"][name]
    refused = refuse_name(name)
    if refused:
        raise ConfigurationError([problem_at(tree, prefix, refused)])
    if isinstance(tree.get("defaults"), LocatedMap):
        written = merge(_known_defaults(tree["defaults"]), written, whole=_REPLACED_WHOLE)
    entry = validated(ApplicationEntry, written, prefix=prefix)
    parts: PartsInForce = compose(entry, written, prefix=prefix, find_profile=find_profile, environment=environment)
    return Application(
        name=name,
        enabled=entry.enabled,
        service_principal_id=parts.addresses.service_principal_id,
        profile=parts.profile,
        base_url=parts.addresses.base_url,
        auth=parts.addresses.auth,
        scope=entry.scope,
        exclude_default_access=parts.profile.roles.exclude_default_access,
        scoping_filters=entry.scoping_filters,
        group_scoping_filters=entry.groups.scoping_filters if entry.groups else (),
        rate_limit=parts.profile.rate_limit,
        deletion_guard=entry.deletion_guard,
        deprovisioning=parts.deprovisioning,
        groups_out_of_scope=parts.groups_out_of_scope,
        groups_hard_deleted=parts.groups_hard_deleted,
        adoption=entry.adoption,
        drift=entry.drift,
        notify=entry.notify,
        config_hash=parts.config_hash,
        address_settings=parts.addresses.settings,
        unfilled=tuple(
            MissingSetting(
                application=name,
                key=each.key,
                setting=each.setting,
                is_unresolved=each.is_unresolved,
                expected=each.expected,
            )
            for each in parts.addresses.unfilled
        ),
    )


def _known_defaults(defaults: LocatedMap) -> LocatedMap:
    known = {key: value for key, value in defaults.items() if key in ApplicationEntry.model_fields}
    return LocatedMap(known, file=defaults.file, line=defaults.line, lines=defaults.lines)


def _unknown_defaults(tree: LocatedMap) -> Iterator[Problem]:
    for key in tree.get("defaults") or {}:
        if key not in ApplicationEntry.model_fields:
            yield problem_at(tree, ("defaults", key), unknown_key(key, ApplicationEntry))


def _doubled_targets(applications: Mapping[str, Application], tree: LocatedMap) -> Iterator[Problem]:
    """Two applications on one endpoint with one credential would own the same accounts."""
    first: dict[tuple[object, ...], str] = {}
    for name, application in applications.items():
        if not application.enabled or not application.base_url:
            continue
        others = application.secret_settings[1:]
        credential = (named[1] for named in _auth_settings(application.auth) if named not in others)
        identity = (application.base_url.casefold(), *credential)
        other = first.setdefault(identity, name)
        if other != name:
            expected = f"another endpoint or credential than applications.{other}, which owns the same accounts"
            yield problem_at(tree, ("applications", name), expected)


def _auth_settings(auth: Auth) -> tuple[tuple[str, str], ...]:
    """What names the identity, where the credentials have that, then the secrets."""
    named: tuple[tuple[str, str], ...] = ()
    if isinstance(auth, BasicAuth):
        named = (("auth.username", auth.username),)
    elif isinstance(auth, ClientCredentialsAuth):
        named = (("auth.client_id", auth.client_id),)
    return (*named, *_secret_settings(auth))


def _secret_settings(auth: Auth) -> tuple[tuple[str, str], ...]:
    return tuple((f"auth.{key}", setting) for key in SECRET_KEYS[auth.type] if (setting := getattr(auth, key)))
