"""The shape of provisioning.yaml: which keys there are, what they mean and what they may hold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field, JsonValue, StringConstraints, field_validator, model_validator

from shared.config.mapping import AttributeMapping
from shared.config.model import DURATION_PATTERN, GUID_OR_SETTING_PATTERN, ConfigurationModel, Day, SettingName, Text
from shared.config.profile import MatchingAttribute, Protocol, RoleRules, TargetAttribute

_DURATION = re.compile(r"(\d+)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

Duration = Annotated[str, StringConstraints(pattern=DURATION_PATTERN)]
"""A whole number and s, m, h or d: `7d`."""


def duration_s(text: str) -> int:
    """Seconds of a `Duration`."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("a whole number followed by s, m, h or d")
    return int(match.group(1)) * _SECONDS[match.group(2)]


class ScopeMode(StrEnum):
    """Who is looked at before the scoping filters."""

    ASSIGNED = "assigned"
    """Users and groups assigned to the service principal."""
    ALL = "all"
    """Everybody in the directory."""


class Operator(StrEnum):
    """Comparisons of a scoping clause; blanks and underscores are the same, case does not matter."""

    EQUALS = "EQUALS"
    NOT_EQUALS = "NOT EQUALS"
    REGEX_MATCH = "REGEX MATCH"
    NOT_REGEX_MATCH = "NOT REGEX MATCH"
    INCLUDES = "INCLUDES"
    NOT_INCLUDES = "NOT INCLUDES"
    STARTS_WITH = "STARTS WITH"
    ENDS_WITH = "ENDS WITH"
    GREATER_THAN = "GREATER THAN"
    GREATER_THAN_OR_EQUALS = "GREATER THAN OR EQUALS"
    LESS_THAN = "LESS THAN"
    LESS_THAN_OR_EQUALS = "LESS THAN OR EQUALS"
    IS_NULL = "IS NULL"
    IS_NOT_NULL = "IS NOT NULL"
    IS_TRUE = "IS TRUE"
    IS_FALSE = "IS FALSE"
    BITS_SET = "&"
    BITS_CLEAR = "!&"


WITHOUT_VALUE = frozenset({Operator.IS_NULL, Operator.IS_NOT_NULL, Operator.IS_TRUE, Operator.IS_FALSE})


def _operator(text: object) -> object:
    return " ".join(text.replace("_", " ").upper().split()) if isinstance(text, str) else text


class ScopingClause(ConfigurationModel):
    """One comparison of a source attribute. An empty attribute fails every clause but IS NULL."""

    attribute: Text
    operator: Annotated[Operator, BeforeValidator(_operator)]
    value: str | int | float | bool | None = None
    match: Literal["any", "all"] | None = None
    """For multi-valued attributes: how many values must pass. Default: all for NOT operators, any for the others."""

    @model_validator(mode="after")
    def _has_a_value_where_one_is_compared(self) -> Self:
        if self.operator in WITHOUT_VALUE and self.value is not None:
            raise ValueError(f"no value with {self.operator}")
        if self.operator not in WITHOUT_VALUE and self.value is None:
            raise ValueError(f"a value to compare with {self.operator}")
        return self


class ScopingFilter(ConfigurationModel):
    """Clauses that must all hold. Of several filters, one is enough."""

    name: Text
    clauses: tuple[ScopingClause, ...] = Field(min_length=1)


class BearerAuth(ConfigurationModel):
    """A long-lived token in the Authorization header."""

    type: Literal["bearer"]
    token: SettingName
    secondary_token: SettingName | None = None
    """Tried when the first is refused, so that a token can be rotated without a gap."""
    expires_on: Day | None = None
    """The last day of the token, YYYY-MM-DD; people are told 30, 14, 7, 3 and 1 days ahead, then daily."""


class ApiKeyAuth(ConfigurationModel):
    """A key in a header of the vendor's choice."""

    type: Literal["api_key"]
    key: SettingName
    secondary_key: SettingName | None = None
    """Tried when the first is refused, so that a key can be rotated without a gap."""
    header: str | None = None
    """Default: the profile's."""
    expires_on: Day | None = None
    """The last day of the key, YYYY-MM-DD; people are told 30, 14, 7, 3 and 1 days ahead, then daily."""


class BasicAuth(ConfigurationModel):
    """User name and password, both in settings."""

    type: Literal["basic"]
    username: SettingName
    password: SettingName
    expires_on: Day | None = None
    """The last day of the password, YYYY-MM-DD; people are told 30, 14, 7, 3 and 1 days ahead, then daily."""


class ClientCredentialsAuth(ConfigurationModel):
    """OAuth 2.0 client credentials (RFC 6749 4.4)."""

    type: Literal["oauth2_client_credentials"]
    client_id: SettingName
    client_secret: SettingName
    secondary_client_secret: SettingName | None = None
    """Tried when the token endpoint refuses the first, so that a client secret can be rotated without a gap."""
    token_url: str | None = None
    """Default: the profile's template."""
    scopes: tuple[str, ...] = ()
    client_authentication: Literal["basic", "body"] | None = None
    expires_on: Day | None = None
    """The last day of the client secret, YYYY-MM-DD; people are told 30, 14, 7, 3 and 1 days ahead, then daily."""


Auth = Annotated[BearerAuth | ApiKeyAuth | BasicAuth | ClientCredentialsAuth, Field(discriminator="type")]


SECRET_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "bearer": ("token", "secondary_token"),
    "api_key": ("key", "secondary_key"),
    "basic": ("password",),
    "oauth2_client_credentials": ("client_secret", "secondary_client_secret"),
}
"""Type of `auth` -> the keys of its secrets, of which one is enough; the first is the one that has to be there."""


class DeletionGuard(ConfigurationModel):
    """How many accounts may lose access in a rolling day before a person is asked."""

    max_count: int = Field(default=500, ge=1)
    """Default: the threshold of Entra's own samples."""
    max_percent: float = Field(default=20, gt=0, le=100)
    """Of the application's linked accounts. 20 as other tools do; lower blocks ordinary changes."""
    min_population: int = Field(default=50, ge=0)
    """With fewer linked accounts the percentage is not looked at."""


class Deprovision(StrEnum):
    """What happens to an account that should no longer have access."""

    DISABLE = "disable"
    """`active` = false; the account stays."""
    DELETE = "delete"
    """The account is removed."""
    SKIP = "skip"
    """Nothing is sent."""


class Deprovisioning(ConfigurationModel):
    """What to do with accounts of people who left."""

    out_of_scope: Deprovision = Deprovision.DISABLE
    """Unassigned, filtered out, disabled or soft-deleted at the source."""
    hard_deleted: Deprovision | None = None
    """Gone from the directory for ever. Default: delete where the profile can, else disable."""


class Adoption(ConfigurationModel):
    """What happens to an existing account that is taken over."""

    clears: bool = False
    """True: what the account holds at mapped attributes that the directory has empty is taken away. False: it stays, as
    with Entra, until the directory has a value there."""


class Drift(ConfigurationModel):
    """Whether changes made at the vendor are looked for."""

    mode: Literal["off", "report", "repair"] = "off"
    every: Duration = "7d"


class Notify(ConfigurationModel):
    """Who is told about quarantine, pause, held deletions, credentials that end, and what is stuck."""

    webhook: SettingName | None = None
    """The name of the setting that holds the URL."""
    secret: SettingName | None = None
    """The name of the setting that holds the key by which the receiver knows that a request is ours. Default: the
    webhook's name with _SECRET in place of _URL, or behind it. Nothing is sent unsigned."""

    @property
    def signing_setting(self) -> str | None:
        """The name of the setting of the key; None: there is no webhook."""
        return self.webhook and (self.secret or f"{self.webhook.removesuffix('_URL')}_SECRET")

    @model_validator(mode="after")
    def _has_a_secret_of_its_own(self) -> Self:
        if self.secret is not None and self.webhook is None:
            raise ValueError("webhook: the name of the setting that holds the URL; a secret alone tells nobody")
        if self.webhook is not None and self.signing_setting == self.webhook:
            raise ValueError("secret: the name of another setting than the webhook's; one holds the URL, one the key")
        return self


class RateLimitEntry(ConfigurationModel):
    """Replaces the profile's limits."""

    requests_per_second: float | None = Field(default=None, ge=0.001, le=10_000, allow_inf_nan=False)
    requests_per_minute: float | None = Field(default=None, ge=0.06, le=600_000, allow_inf_nan=False)


class Actions(ConfigurationModel):
    """Which writes are allowed; the profile's word where a key is absent."""

    create: bool | None = None
    update: bool | None = None
    disable: bool | None = None
    delete: bool | None = None


class MappingOverride(AttributeMapping):
    """A mapping to add or to put in place of the profile's mapping of the same target, or `remove: true`."""

    remove: bool = False

    def _accepts_no_source(self) -> bool:
        return self.remove


class Overrides(ConfigurationModel):
    """Mappings on top of the profile's."""

    users: tuple[MappingOverride, ...] = ()
    groups: tuple[MappingOverride, ...] = ()


class ExtraAttributes(ConfigurationModel):
    """Attributes of this customer's vendor tenant that the profile does not know."""

    users: tuple[TargetAttribute, ...] = ()
    groups: tuple[TargetAttribute, ...] = ()


class MatchingEntry(ConfigurationModel):
    """Replaces the profile's matching attributes."""

    users: tuple[MatchingAttribute, ...] | None = Field(default=None, min_length=1)
    groups: tuple[MatchingAttribute, ...] | None = Field(default=None, min_length=1)


class ActionsEntry(ConfigurationModel):
    """Which writes are allowed, by resource."""

    users: Actions = Actions.model_construct()
    groups: Actions = Actions.model_construct()


class GroupDeprovision(StrEnum):
    """What happens to a group at the vendor that should no longer be there."""

    DELETE = "delete"
    EMPTY = "empty"
    """The members we added are removed, the group stays."""
    SKIP = "skip"
    """The group and its members are left as they are."""


class GroupsEntry(ConfigurationModel):
    """Whether assigned groups are provisioned as groups."""

    enabled: bool = True
    scoping_filters: tuple[ScopingFilter, ...] = ()
    out_of_scope: GroupDeprovision = GroupDeprovision.EMPTY
    """Unassigned, or excluded by a scoping filter."""
    hard_deleted: GroupDeprovision | None = None
    """Default: delete where the profile can, else empty."""
    members_per_patch: int | None = Field(default=None, ge=1, le=400)
    """How many memberships one request may change; overrides the profile's."""
    disabled_members: Literal["keep", "remove"] | None = None
    """Whether a disabled account stays a member; overrides the profile's."""


class ApplicationEntry(ConfigurationModel):
    """One connected vendor tenant."""

    profile: Text
    """The name of a shipped profile, or the path of a YAML file relative to this one."""
    service_principal_id: Annotated[str, StringConstraints(pattern=GUID_OR_SETTING_PATTERN)]
    """Object id of the enterprise application in Entra, or `${NAME}` of a setting that holds it."""
    auth: Auth
    """How requests are authenticated; secrets by the names of settings."""
    enabled: bool = True
    """False: nothing is read, written or checked for it; its secrets need not exist."""
    base_url: str | None = None
    """SCIM endpoint; overrides the profile's. It may hold `${NAME}` of a setting, as other parts of addresses may."""
    region: str | None = None
    """Fills `{region}` of the profile's URL template, or chooses one of its URLs."""
    placeholders: Mapping[str, str] = {}
    """Fills the other placeholders of the template."""
    scope: ScopeMode = ScopeMode.ASSIGNED
    """Who is looked at before the filters."""
    exclude_default_access: bool | None = None
    """Default: the profile's word (true)."""
    scoping_filters: tuple[ScopingFilter, ...] = ()
    """Of several filters one is enough; inside a filter every clause must hold. None: everybody."""
    mappings: Overrides = Overrides.model_construct()
    """Mappings to add, replace or remove."""
    attributes: ExtraAttributes = ExtraAttributes.model_construct()
    """Attributes that the profile does not know."""
    matching: MatchingEntry = MatchingEntry.model_construct()
    """How an existing account is found, in place of the profile's way."""
    actions: ActionsEntry = ActionsEntry.model_construct()
    """Which writes are allowed."""
    groups: GroupsEntry | None = None
    """Default: provisioned where the profile has groups."""
    rate_limit: RateLimitEntry | None = None
    """In place of the profile's limits."""
    roles: RoleRules | None = None
    """Keys of the profile's role rules to replace."""
    protocol: Protocol | None = None
    """Keys of the profile's protocol to replace, for a server that behaves otherwise than assumed."""
    deletion_guard: DeletionGuard = DeletionGuard.model_construct()
    """How many may lose access before a person is asked."""
    deprovisioning: Deprovisioning = Deprovisioning.model_construct()
    """What happens to accounts of people who left."""
    adoption: Adoption = Adoption.model_construct()
    """What happens to existing accounts that are taken over."""
    drift: Drift = Drift.model_construct()
    """Whether changes made at the vendor are looked for."""
    notify: Notify = Notify.model_construct()
    """Who is told about quarantine, pause, held deletions, credentials that end, and what is stuck."""

    @field_validator("drift")
    @classmethod
    def _is_looked_for_at_most_hourly(cls, drift: Drift) -> Drift:
        if duration_s(drift.every) < 3600:
            raise ValueError("every: at least 1h")
        return drift


class ProvisioningFile(ConfigurationModel):
    """provisioning.yaml."""

    version: Literal[1]
    defaults: Mapping[str, JsonValue] | None = None
    """Any application key; an application overrides it."""
    applications: Mapping[str, ApplicationEntry] | None = None
