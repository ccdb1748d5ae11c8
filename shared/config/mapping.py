"""The rule from source to target, as written in a profile or in provisioning.yaml."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from shared.config.model import ConfigurationModel, Text
from shared.rules.attribute_paths import parse_path


class Apply(StrEnum):
    """When a mapping flows (Graph `flowType`)."""

    ALWAYS = "always"
    """On create and on every change."""
    ON_CREATE = "on_create"
    """In the request that creates the account, never afterwards."""
    ADD_ONLY = "add_only"
    """Values are added to a multi-valued attribute and never taken away."""


class Computed(StrEnum):
    """Values the product computes itself, so that the commonest expressions cost no grammar at start."""

    NOT_SOFT_DELETED = "not_soft_deleted"
    """False when unassigned, out of scope, disabled or deleted at the source; else true."""
    SINGLE_APP_ROLE = "single_app_role"
    """One assigned app role: the first by value, the same one every time."""
    APP_ROLES_ADDED = "app_roles_added"
    """Every assigned app role, added and never removed."""
    APP_ROLES_ASSERTED = "app_roles_asserted"
    """Every assigned app role; the target's list is replaced."""
    OTHER_ADDRESS = "other_address"
    """The first secondary SMTP address of `proxyAddresses`, without its prefix."""


_BLANKS: Final = re.compile(r"\s+")
_WELL_KNOWN: Final = {
    'switch([issoftdeleted],,"false","true","true","false")': Computed.NOT_SOFT_DELETED,
    "not([issoftdeleted])": Computed.NOT_SOFT_DELETED,
    "singleapproleassignment([approleassignments])": Computed.SINGLE_APP_ROLE,
    "approleassignmentscomplex([approleassignments])": Computed.APP_ROLES_ADDED,
    "assertiveapproleassignmentscomplex([approleassignments])": Computed.APP_ROLES_ASSERTED,
}


class AttributeMapping(ConfigurationModel):
    """One target attribute and where its value comes from: exactly one of source, constant, expression, computed,
    join or `none: true`."""

    target: Text
    source: Text | None = None
    """Direct: a source attribute."""
    constant: JsonValue = None
    expression: Text | None = Field(default=None, max_length=10_000)
    """In Entra's expression language, at most 10,000 characters."""
    computed: Computed | None = None
    join: tuple[Text, ...] = ()
    """Source attributes joined by a blank, empty ones left out."""
    none: bool = False
    """True: the target is left alone; only its `default` is sent, on create."""
    fallback: Text | None = None
    """With `source`: another source attribute, used when the first is empty."""
    default: JsonValue = None
    """Sent on create only when the source is empty."""
    apply: Apply = Apply.ALWAYS
    clear_when_empty: bool = True
    """True: a value that becomes empty at the source is removed at the target."""
    case_exact: bool | None = None
    """False: a change of case only is not worth a request. Default: as the target attribute says (true)."""
    redact: bool = False
    """True: logs show [Redact] in place of the value."""

    @field_validator("target")
    @classmethod
    def _is_a_path(cls, target: str) -> str:
        parse_path(target)
        return target

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        given = [
            name
            for name, present in (
                ("source", self.source is not None),
                ("constant", self.constant is not None),
                ("expression", self.expression is not None),
                ("computed", self.computed is not None),
                ("join", bool(self.join)),
                ("none", self.none),
            )
            if present
        ]
        if len(given) != 1 and not (self._accepts_no_source() and not given):
            found = " and ".join(given) or "none of them"
            raise ValueError(
                f"exactly one of source, constant, expression, computed, join or none: true; found {found}"
            )
        if self.fallback is not None and self.source is None:
            raise ValueError("fallback only together with source")
        return self

    @property
    def computed_here(self) -> Computed | None:
        """What the product computes itself: `computed`, or one of the expressions everybody writes."""
        if self.expression is None:
            return self.computed
        return _WELL_KNOWN.get(_BLANKS.sub("", self.expression).casefold())

    def _accepts_no_source(self) -> bool:
        return False
