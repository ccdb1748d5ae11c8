"""What a vendor's SCIM server can do and where it deviates from the RFC: the data that replaces `if vendor == ...`.

A profile is a YAML file (`profiles/*.yaml`, or a file of the operator's own). Every fact that is not the RFC's
default carries its source and how sure we are of it (`evidence`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from shared.config.mapping import AttributeMapping
from shared.config.model import ConfigurationModel, Text
from shared.config.patterns import pattern_problem
from shared.config.protocol import AuthType, BaseUrl, Credentials, PatchDialect, Protocol, RateLimit
from shared.rules.attribute_paths import parse_path

__all__ = [
    "CORE_GROUP",
    "CORE_USER",
    "AttributeType",
    "AuthType",
    "BaseUrl",
    "Confidence",
    "Credentials",
    "Documentation",
    "Evidence",
    "MatchingAttribute",
    "Mutability",
    "Note",
    "PatchDialect",
    "PathRepair",
    "Profile",
    "Protocol",
    "RateLimit",
    "ResourceProfile",
    "RoleRules",
    "TargetAttribute",
    "ValueFormat",
]

CORE_USER = "urn:ietf:params:scim:schemas:core:2.0:User"
CORE_GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"


class Confidence(StrEnum):
    """How far a fact can be trusted."""

    SEED = "seed"
    """The vendor's provisioning tutorial this profile was written from says so."""
    TUTORIAL = "tutorial"
    """A newer or older version of the same tutorial says so."""
    MICROSOFT = "microsoft"
    """Another page of the Entra documentation says so."""
    VENDOR = "vendor"
    """The vendor's own documentation, SDK or staff says so."""
    OTHER = "other"
    """A third party says so; a lead, not a proof."""
    STANDARD = "standard"
    """RFC 7643 or 7644 says so."""
    ASSUMED = "assumed"
    """Nobody documents it; our choice. Overridable, and to be checked against the real server."""


class AttributeType(StrEnum):
    """RFC 7643 2.3 data types."""

    STRING = "String"
    BOOLEAN = "Boolean"
    INTEGER = "Integer"
    DECIMAL = "Decimal"
    DATE_TIME = "DateTime"
    REFERENCE = "Reference"
    BINARY = "Binary"
    COMPLEX = "Complex"


class Mutability(StrEnum):
    """When the target accepts a value (RFC 7643 2.2)."""

    READ_WRITE = "readWrite"
    """Any time."""
    CREATE_ONLY = "createOnly"
    """In the request that creates the account, never afterwards (the RFC's immutable)."""
    READ_ONLY = "readOnly"
    """Never: a mapping to it is refused."""
    WRITE_ONLY = "writeOnly"
    """Any time, but it is never returned."""


class ValueFormat(StrEnum):
    """A form the target asks of a text. A value of another form is dropped with a warning."""

    E164 = "e164"
    """A telephone number: '+', country code, at most 15 digits; also a tel: URI of one."""
    COUNTRY_CODE = "country_code"
    """ISO 3166-1 alpha-2, upper case."""
    DATE = "date"
    """A calendar day, YYYY-MM-DD."""


class Evidence(ConfigurationModel):
    """Where a fact of this profile comes from."""

    confidence: Confidence
    source: Text
    note: str = ""


class TargetAttribute(ConfigurationModel):
    """One attribute of the target's schema. It says what may be sent, not what is."""

    path: Text
    """As written in a PATCH: `name.givenName`, `emails[type eq "work"].value`, `urn:...:User:department`."""
    type: AttributeType = AttributeType.STRING
    multi_valued: bool = False
    required: bool = False
    """Without a value no account is sent: the account is escrowed as invalid data."""
    filterable: bool = False
    mutability: Mutability = Mutability.READ_WRITE
    case_exact: bool = True
    """False: a change of case only is not worth a request (Entra's default; here it flows unless told otherwise)."""
    reference_to: Literal["user", "group", "any"] | None = None
    """For references: what the id points at. `any` for members that may be users or groups."""
    allowed_values: tuple[str, ...] = ()
    """Compared without case, blanks and punctuation. Empty: anything."""
    max_length: int | None = Field(default=None, ge=1)
    pattern: str | None = None
    """A regular expression the whole value must match."""
    forbidden_characters: str = ""
    format: ValueFormat | None = None
    privileged: bool = False
    """True: a right. It may not be a constant true, and an empty value is invalid data instead of a removal."""
    printed: str = ""
    """The path as the vendor's documentation prints it, when it had to be repaired."""
    confidence: Confidence | None = None
    """None: as the resource's `attributes_evidence`."""
    source: str = ""
    note: str = ""

    @field_validator("path")
    @classmethod
    def _is_a_path(cls, path: str) -> str:
        parse_path(path)
        return path

    @field_validator("pattern")
    @classmethod
    def _is_a_pattern(cls, pattern: str | None) -> str | None:
        problem = None if pattern is None else pattern_problem(pattern)
        if problem is not None:
            raise ValueError(problem)
        return pattern

    @model_validator(mode="after")
    def _is_boolean_when_it_decides_access(self) -> Self:
        if self.path == "active" and self.type is not AttributeType.BOOLEAN:
            raise ValueError("type: Boolean for active; protocol.patch.booleans says how it is written")
        return self


class MatchingAttribute(ConfigurationModel):
    """One way to find an account that exists before any link does. Tried in order; the first hit ends the search."""

    target: Text
    by: Literal["filter", "list", "none"] = "filter"
    """`filter`: GET with `eq`. `list`: the vendor cannot filter on it; accounts are listed once and matched in
    storage. `none`: never looked up."""
    fallback: Literal["list"] | None = None
    """What to do when the vendor refuses the filter. None: the account is escrowed."""

    @field_validator("target")
    @classmethod
    def _is_a_path(cls, target: str) -> str:
        parse_path(target)
        return target


class PathRepair(ConfigurationModel):
    """A row of the vendor's attribute table that could not be taken as printed."""

    printed: Text
    path: str
    """What it was read as; empty when the row was left out."""
    reason: Text


class ResourceProfile(ConfigurationModel):
    """Users or groups at this vendor: what may be done with them, and how our attributes become theirs."""

    endpoint: Text
    schema_urn: Text
    create: bool = True
    """False: the resource must exist at the vendor already; it is matched, then updated."""
    update: bool = True
    disable: bool = True
    """True: `active` = false takes access away and keeps the account."""
    delete: bool = True
    rename: bool = True
    """False: the vendor refuses a change of the matching attribute."""
    delete_means: Literal["hard", "soft", "deactivates", "suspends"] = "hard"
    """What DELETE does: `hard` removes, `soft` hides but may keep the name taken, `deactivates` and `suspends`
    leave the account."""
    restore: Literal["create", "activate", "none"] = "create"
    """How a deleted account comes back: a new create, `active` = true on the old id, or not at all."""
    restored_keeps_roles: bool = True
    max_objects: int | None = None
    members_per_patch: int = Field(default=100, ge=1, le=400)
    """For groups: how many memberships one request may add or remove."""
    disabled_members: Literal["keep", "remove"] = "keep"
    """For groups: whether a disabled account stays a member, or is taken out until it is enabled again."""
    disable_drops_members: bool = False
    """For users: True when the vendor itself takes a disabled account out of its groups; they are given back."""
    list_needs_filter: bool = False
    """True: a list without a filter is refused."""
    lookup_without: tuple[str, ...] = ()
    """Attributes named in `excludedAttributes` when looking up or listing (members of groups, costly attributes)."""
    attributes: tuple[TargetAttribute, ...] = ()
    attributes_evidence: Evidence | None = None
    """The default source of the attribute table."""
    repairs: tuple[PathRepair, ...] = ()
    matching: tuple[MatchingAttribute, ...] = ()
    verify_match: bool = True
    """True: a returned resource counts as a hit only when it carries the value asked for."""
    mappings: tuple[AttributeMapping, ...] = ()

    def attribute(self, path: str) -> TargetAttribute | None:
        """The schema entry of a target path, None when the vendor has no such attribute. Case is ignored."""
        folded = path.casefold()
        return next((entry for entry in self.attributes if entry.path.casefold() == folded), None)

    @model_validator(mode="after")
    def _has_each_attribute_once(self) -> Self:
        seen: set[str] = set()
        for entry in self.attributes:
            if entry.path.casefold() in seen:
                raise ValueError(f"each attribute once; {entry.path} is there twice")
            seen.add(entry.path.casefold())
        return self


class RoleRules(ConfigurationModel):
    """App roles that may be assigned at this vendor."""

    allowed: tuple[str, ...] = ()
    """Empty: any role that is not forbidden. Compared without case, blanks and punctuation."""
    forbidden: tuple[str, ...] = ()
    exclude_default_access: bool = True
    """True: who holds only the Default Access role is not entitled."""


class Note(ConfigurationModel):
    """Something a person who connects this vendor should know."""

    text: Text
    confidence: Confidence
    source: str = ""


class Documentation(ConfigurationModel):
    """What to do at the vendor, and what to expect."""

    prerequisites: tuple[Note, ...] = ()
    notes: tuple[Note, ...] = ()
    known_problems: tuple[Note, ...] = ()


class Profile(ConfigurationModel):
    """One vendor."""

    version: Literal[1]
    name: Text
    title: Text
    transport: Literal["scim", "not_scim"] = "scim"
    """`not_scim`: recognised, and refused with a clear message."""
    read_on: str = ""
    """The day the facts were collected, YYYY-MM-DD."""
    base_url: BaseUrl = BaseUrl.model_construct()
    auth: tuple[AuthType, ...] = (AuthType.BEARER, AuthType.OAUTH2_CLIENT_CREDENTIALS)
    credentials: Credentials = Credentials.model_construct()
    users: ResourceProfile
    groups: ResourceProfile | None = None
    groups_by_default: bool = True
    """False: groups are provisioned only where the application says `groups: {enabled: true}`."""
    roles: RoleRules = RoleRules.model_construct()
    rate_limit: RateLimit = RateLimit.model_construct()
    protocol: Protocol = Protocol.model_construct()
    documentation: Documentation = Documentation.model_construct()
    evidence: Mapping[str, Evidence] = {}
    """Dotted key of this file -> where that fact comes from."""
