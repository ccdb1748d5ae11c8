"""App roles: who is entitled, which role is sent, and in which shape."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from shared.config.profile import RoleRules
from shared.config.rule_checks import folded_word, folded_words
from shared.rules.attribute_paths import JSON, AttributePath
from shared.rules.expressions import AppRole, RoleAssignments, RoleFlow

DEFAULT_ACCESS: Final = "00000000-0000-0000-0000-000000000000"
"""The role id Entra writes when a principal is assigned without choosing a role."""

_ROLE_TYPE: Final = "WindowsAzureActiveDirectoryRole"


class SkipReason(StrEnum):
    """Why somebody who is assigned is left out."""

    NOT_EFFECTIVELY_ENTITLED = "NotEffectivelyEntitled"
    """Not assigned, or only with the Default Access role where that does not count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entitlement:
    """The roles a user effectively has at an application; `reason` is None exactly when the user is entitled."""

    roles: tuple[AppRole, ...]
    reason: SkipReason | None

    @property
    def entitled(self) -> bool:
        """Whether the user counts as assigned."""
        return self.reason is None


def effective_roles(
    direct: Iterable[AppRole], from_groups: Iterable[AppRole], *, exclude_default_access: bool
) -> Entitlement:
    """The union of a user's own roles and those of the groups it is a direct member of, each once, in a fixed order.

    Default Access is never sent as a role; with `exclude_default_access` it does not entitle either.
    """
    assigned = {role.id: role for role in (*from_groups, *direct)}
    named = tuple(sorted((role for role in assigned.values() if role.id != DEFAULT_ACCESS), key=_order))
    entitled = bool(named) or (DEFAULT_ACCESS in assigned and not exclude_default_access)
    return Entitlement(roles=named, reason=None if entitled else SkipReason.NOT_EFFECTIVELY_ENTITLED)


def is_role_allowed(role: AppRole, rules: RoleRules) -> bool:
    """Whether the vendor accepts this role, by its value or its display name."""
    words = {folded_word(word) for word in (role.value, role.displayName) if word}
    if words & folded_words(rules.forbidden):
        return False
    return not rules.allowed or bool(words & folded_words(rules.allowed))


def pick_role(roles: Iterable[AppRole]) -> AppRole | None:
    """The one role to send where the target takes one: the first by value, then id, whatever order they came in."""
    return min(roles, key=_order, default=None)


def shape_roles(assignments: RoleAssignments, path: AttributePath) -> JSON | None:
    """The value a role function puts at a target path; None when there is nothing to send.

    A single role at `roles[...].value` is its value, at `.display` its name; at `roles` it is a list of one.
    An asserted list may be empty: it takes away what the target has.
    """
    if assignments.flow is RoleFlow.SINGLE:
        role = pick_role(assignments.roles)
        if role is None:
            return None
        return _part(role, path.sub) if path.sub else [_complex(role, primary=True, display="display")]
    display = "displayName" if assignments.flow is RoleFlow.ADD else "display"
    ordered = sorted(assignments.roles, key=_order)
    return [_complex(role, primary=False, display=display) for role in ordered]


def _part(role: AppRole, sub: str) -> str | None:
    if sub == "type":
        return _ROLE_TYPE
    return role.displayName if sub in {"display", "displayName"} else role.value or role.displayName


def _complex(role: AppRole, *, primary: bool, display: str) -> JSON:
    shaped: dict[str, JSON] = {"primary": primary, "value": role.value or role.displayName or role.id}
    if primary:
        shaped["type"] = _ROLE_TYPE
    if role.displayName:
        shaped[display] = role.displayName
    return shaped


def _order(role: AppRole) -> tuple[str, str]:
    return (role.value or role.displayName or "", role.id)
