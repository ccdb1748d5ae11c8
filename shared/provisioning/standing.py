"""Whether a person should have an active account at an application, and why not. Pure.

The puller asks it to stage who must leave, the consumer asks it again before it plans: one rule, one place.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from shared.config.applications import Application
from shared.config.provisioning_file import ScopeMode
from shared.directory.mirror import Assignment, GroupFacts, Presence, UserFacts
from shared.rules.expressions import AppRole
from shared.rules.roles import effective_roles
from shared.rules.scoping import evaluate
from shared.rules.source_user import SourceUser


class Reason(StrEnum):
    """Why an account stands as it does; the provisioning log shows the word."""

    IN_SCOPE = "in_scope"
    NOT_ENTITLED = "NotEffectivelyEntitled"
    """Not assigned, or only through the Default Access role. Entra's word."""
    OUT_OF_SCOPE = "out_of_scope"
    """Assigned, but no scoping filter lets the person in."""
    SOURCE_DISABLED = "source_disabled"
    SOURCE_SOFT_DELETED = "source_soft_deleted"
    SOURCE_DELETED = "source_deleted"
    NOT_SECURITY_ENABLED = "not_security_enabled"
    """A group that cannot confer anything. Entra leaves it out, too."""
    SOURCE_UNKNOWN = "source_unknown"
    """The mirror has no row: decide nothing."""


_ABSENT = {
    Presence.UNKNOWN: Reason.SOURCE_UNKNOWN,
    Presence.DISABLED: Reason.SOURCE_DISABLED,
    Presence.SOFT_DELETED: Reason.SOURCE_SOFT_DELETED,
    Presence.HARD_DELETED: Reason.SOURCE_DELETED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the directory says about one person at one application."""

    reason: Reason
    roles: tuple[AppRole, ...] = ()
    explanation: Mapping[str, bool] = field(default_factory=dict)
    """Scoping clause -> whether it passed, for the provisioning log."""

    @property
    def is_active(self) -> bool:
        """Whether the person should have an active account."""
        return self.reason is Reason.IN_SCOPE

    @property
    def is_known(self) -> bool:
        """Whether anything may be decided."""
        return self.reason is not Reason.SOURCE_UNKNOWN


def judge_standing(
    application: Application, facts: UserFacts | GroupFacts, assigned_groups: Mapping[str, Assignment]
) -> Standing:
    """Whether the person, or the group, should have an active account (entra-provisioning.md 1.3 and 1.4).

    `assigned_groups` are the groups assigned to the application; nested groups never count, because only direct
    members are in `facts.groups`. Raises InvalidData when a scoping filter cannot be judged.
    """
    if isinstance(facts, GroupFacts):
        return _judge_group(application, facts, assigned_groups)
    if facts.user is None or facts.presence is not Presence.ACTIVE:
        return Standing(reason=_ABSENT[facts.presence])
    roles: tuple[AppRole, ...] = ()
    if application.scope is ScopeMode.ASSIGNED:
        direct = facts.assignments.get(application.name)
        from_groups = [
            role
            for group_id, assignment in assigned_groups.items()
            if not assignment.gone and facts.groups.get(group_id, False)
            for role in assignment.roles
        ]
        entitlement = effective_roles(
            direct.roles if direct is not None and not direct.gone else (),
            from_groups,
            exclude_default_access=application.exclude_default_access,
        )
        if not entitlement.entitled:
            return Standing(reason=Reason.NOT_ENTITLED)
        roles = entitlement.roles
    scope = evaluate(application.scoping_filters, SourceUser(facts.user.attributes, soft_deleted=False))
    reason = Reason.IN_SCOPE if scope.in_scope else Reason.OUT_OF_SCOPE
    return Standing(reason=reason, roles=roles, explanation=scope.as_mapping())


def _judge_group(application: Application, group: GroupFacts, assigned_groups: Mapping[str, Assignment]) -> Standing:
    """Whether the group should exist at an application that has groups."""
    if group.presence is not Presence.ACTIVE:
        return Standing(reason=_ABSENT[group.presence])
    if application.scope is ScopeMode.ASSIGNED:
        assignment = assigned_groups.get(group.id)
        if assignment is None or assignment.gone:
            return Standing(reason=Reason.NOT_ENTITLED)
    if group.attributes.get("securityEnabled") is False:
        return Standing(reason=Reason.NOT_SECURITY_ENABLED)
    scope = evaluate(application.group_scoping_filters, SourceUser(group.attributes, soft_deleted=False))
    reason = Reason.IN_SCOPE if scope.in_scope else Reason.OUT_OF_SCOPE
    return Standing(reason=reason, explanation=scope.as_mapping())


def concerns(application: Application, facts: UserFacts, assigned_groups: Collection[str]) -> bool:
    """Whether the application looks at a person at all: everybody, or who is, or once was, assigned.

    Traces count, so that the account of somebody who left is found. `assigned_groups`: ids, those that were once
    assigned included.
    """
    if application.scope is ScopeMode.ALL or application.name in facts.assignments:
        return True
    return any(group_id in assigned_groups for group_id in facts.groups)


def needs_groups(application: Application, facts: UserFacts | GroupFacts) -> bool:
    """Whether the application's assigned groups matter: if not, they need not be read."""
    if isinstance(facts, GroupFacts):
        return application.scope is ScopeMode.ASSIGNED
    return application.scope is ScopeMode.ASSIGNED and any(facts.groups.values())
