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
    Adoption,
    ApiKeyAuth,
    ApplicationEntry,
    Auth,
    BasicAuth,
    BearerAuth,
    DeletionGuard,
    Deprovisioning,
    Drift,
    GroupDeprovision,
    Notify,
    ScopeMode,
    ScopingFilter,
)
from shared.config.queue_names import refuse_name
from shared.config.settings import is_unresolved
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
class Application:
    """One connected vendor tenant, with profile and overrides already put together."""

    name: str
    enabled: bool
    service_principal_id: str
    profile: Profile
    """The vendor's profile with this application's overrides in force: mappings, matching, actions, protocol."""
    base_url: str
    """Without a slash at the end. Empty only for a disabled application that has none."""
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
        return (*self.credential_settings, *self.notify_settings)

    @property
    def credential_settings(self) -> tuple[tuple[str, str], ...]:
        """Those without which nothing can be sent to the vendor."""
        return _auth_settings(self.auth)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingSetting:
    """A setting that an enabled application names and that is absent or empty, or holds no secret."""

    application: str
    key: str
    setting: str
    is_unresolved: bool = False
    """It is there, and is the text of a Key Vault reference that did not resolve."""

    def __str__(self) -> str:
        if self.is_unresolved:
            needed = f"needed by applications.{self.application}.{self.key}"
            return f"{self.setting}: the Key Vault reference of this app setting did not resolve; {needed}"
        return f"{self.setting}: an app setting with this name is needed by applications.{self.application}.{self.key}"


class _TopLevel(ConfigurationModel):
    version: Literal[1]
    defaults: Mapping[str, Any] | None = None
    applications: Mapping[str, Mapping[str, Any]] | None = None


def load_applications(path: Path, environment: Mapping[str, str]) -> Applications:
    """Every application of the file, ready to use.

    `environment` fills `${NAME}` in URLs, regions and placeholders (never secrets: those are looked up when used).
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
    """The settings that enabled applications name and `environment` does not hold, or not as secrets."""
    return tuple(
        MissingSetting(application=name, key=key, setting=setting, is_unresolved=bool(environment.get(setting)))
        for name, application in applications.items()
        if application.enabled
        for key, setting in application.setting_names
        if not environment.get(setting) or is_unresolved(environment[setting])
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
        service_principal_id=entry.service_principal_id,
        profile=parts.profile,
        base_url=parts.base_url,
        auth=parts.auth,
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
        identity = (application.base_url.casefold(), *(setting for _, setting in _auth_settings(application.auth)[:2]))
        other = first.setdefault(identity, name)
        if other != name:
            expected = f"another endpoint or credential than applications.{other}, which owns the same accounts"
            yield problem_at(tree, ("applications", name), expected)


def _auth_settings(auth: Auth) -> tuple[tuple[str, str], ...]:
    if isinstance(auth, BearerAuth):
        secondary = [("auth.secondary_token", auth.secondary_token)] if auth.secondary_token else []
        return (("auth.token", auth.token), *secondary)
    if isinstance(auth, ApiKeyAuth):
        return (("auth.key", auth.key),)
    if isinstance(auth, BasicAuth):
        return (("auth.username", auth.username), ("auth.password", auth.password))
    return (("auth.client_id", auth.client_id), ("auth.client_secret", auth.client_secret))
