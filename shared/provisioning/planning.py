"""The planning truth table: from what is and what should be to one action. Pure.

    source                     link   plan
    unknown                    any    wait                    never destructive
    active, in scope           none   create                  new
    active, in scope           yes    skip | update           unchanged, attributes_changed
    not active or out of scope none   skip                    never_provisioned
    not active or out of scope yes    skip | disable | delete already_disabled, the standing's reason
    hard-deleted               yes    delete | disable | skip source_deleted

`sent` is what the vendor is believed to hold. When an intent is open, or an account was just adopted, it is worthless
and the whole mapped state is asserted (protocol step 22).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from shared.config.applications import Application
from shared.config.profile import AttributeType, ResourceProfile
from shared.config.provisioning_file import Deprovision, GroupDeprovision
from shared.provisioning.accounts import Account, ResourceKind
from shared.provisioning.member_changes import MemberChange
from shared.provisioning.standing import Reason, Standing
from shared.rules.attribute_paths import JSON, Attributes
from shared.rules.mapping import MappedAccount
from shared.scim.error_catalogue import ErrorCode
from shared.scim.patching import Difference, diff
from shared.scim.resources import is_absent, read_attribute


class ProvisioningAction(StrEnum):
    """What is to be done at the vendor (Graph `provisioningAction`, and skip)."""

    CREATE = "create"
    UPDATE = "update"
    DISABLE = "disable"
    DELETE = "delete"
    SKIP = "skip"
    """Nothing: the row is saved and that is all."""
    WAIT = "wait"
    """Nothing can be decided yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One action, and the state that `sent` will hold when it has succeeded."""

    action: ProvisioningAction
    reason: str
    state: Mapping[str, JSON] | None = None
    """Attributes at the vendor afterwards; None: unknown."""
    change: Difference = field(default_factory=lambda: Difference(set={}, removed=()))
    asserts: bool = False
    """True: nothing is known of the vendor's state; `change` is the whole mapped state and what must be cleared."""
    on_create: Mapping[str, JSON] = field(default_factory=dict)
    mapped: MappedAccount | None = None
    parks: bool = False
    """True: the account steps aside under a temporary name; what is wanted is still to come (step 33)."""
    members: MemberChange | None = None
    """Memberships that are written instead of attributes."""
    repeats: bool = False
    """True: a disable that was carried out before, with a permit, is only said again: a restart trusts nothing."""
    empties: bool = False
    """True: so many memberships would be taken away that a person is asked first."""

    @property
    def is_destructive(self) -> bool:
        """Whether it takes access away, and so needs the guard's permit."""
        return self.action in (ProvisioningAction.DISABLE, ProvisioningAction.DELETE)

    @property
    def needs_permit(self) -> bool:
        """Whether the deletion guard has to permit it."""
        return (self.is_destructive and not self.repeats) or self.empties

    @property
    def writes(self) -> bool:
        """Whether a SCIM write follows."""
        return self.action not in (ProvisioningAction.SKIP, ProvisioningAction.WAIT)

    @property
    def matching_value(self) -> str:
        """The first matching value of the mapped account; a create reserves it and is searched under it."""
        return str(self.mapped.matching[0][1]) if self.mapped and self.mapped.matching else ""


def plan_account(
    application: Application,
    account: Account,
    standing: Standing,
    *,
    map_as: Callable[[bool], MappedAccount],
    in_doubt: bool,
) -> Plan:
    """The action for one account.

    `map_as(soft_deleted)` maps the source; it is called only where a mapped state is needed and may raise InvalidData.
    """
    if not standing.is_known:
        return Plan(action=ProvisioningAction.WAIT, reason=standing.reason)
    resource = application.resource(account.kind)
    if standing.is_active:
        if account.target_id and not resource.update:
            return Plan(action=ProvisioningAction.SKIP, reason="update_off", state=account.sent)
        if account.target_id:
            return _plan_update(account, map_as(False), in_doubt=in_doubt)
        return _plan_create(resource, map_as(False))
    if not account.target_id:
        return Plan(action=ProvisioningAction.SKIP, reason="never_provisioned")
    if account.kind is ResourceKind.GROUP:
        return _plan_group_removal(application, account, standing)
    return _plan_deprovisioning(application, account, standing, map_as=map_as, in_doubt=in_doubt)


def _plan_create(resource: ResourceProfile, mapped: MappedAccount) -> Plan:
    state = dict(mapped.attributes)
    return Plan(
        action=ProvisioningAction.CREATE if resource.create or mapped.matching else ProvisioningAction.SKIP,
        reason="new",
        state=state,
        change=Difference(set=state, removed=()),
        asserts=True,
        on_create=mapped.on_create,
        mapped=mapped,
    )


def without_stale(plan: Plan, resource: ResourceProfile, held: Mapping[str, JSON]) -> Plan:
    """The assertion of a whole state, for an account that holds more than anybody here remembers.

    What the mappings say is empty and the account holds is taken away: nothing sent later would, because nobody would
    know of it. Awaited references are left as they are, and so are memberships, which are written on their own.
    """
    assert plan.mapped is not None
    mapped = plan.mapped
    silent = {*(plan.state or {}), *mapped.kept, *mapped.add_only, *mapped.references}
    targets = {mapping.target for mapping in resource.mappings if not _is_membership(resource, mapping.target)}
    stale = {path for path in targets - silent if not is_absent(read_attribute(held, path))}
    removed = tuple(sorted(stale.union(plan.change.removed)))
    return replace(plan, change=Difference(set=plan.change.set, removed=removed))


def _is_membership(resource: ResourceProfile, path: str) -> bool:
    attribute = resource.attribute(path)
    return attribute is not None and attribute.multi_valued and attribute.type is AttributeType.REFERENCE


def _plan_update(account: Account, mapped: MappedAccount, *, in_doubt: bool) -> Plan:
    state = state_after(account.sent or {}, mapped)
    if in_doubt or account.sent is None:
        return Plan(
            action=ProvisioningAction.UPDATE,
            reason="asserted",
            state=_with_doubt(account, state, mapped),
            change=Difference(set=mapped.attributes, removed=_to_clear(account, state, mapped)),
            asserts=True,
            mapped=mapped,
        )
    change = diff(account.sent, state, case_exact=lambda path: path not in mapped.case_ignored)
    if change.is_empty:
        return Plan(action=ProvisioningAction.SKIP, reason="unchanged", state=account.sent, mapped=mapped)
    return Plan(
        action=ProvisioningAction.UPDATE, reason="attributes_changed", state=state, change=change, mapped=mapped
    )


def state_after(sent: Attributes, mapped: MappedAccount) -> dict[str, JSON]:
    """What the vendor holds once the mapped state is written: kept attributes stay, added values are not taken away."""
    state = {path: value for path, value in sent.items() if path in mapped.kept}
    for path, value in mapped.attributes.items():
        earlier = sent.get(path)
        if path in mapped.add_only and isinstance(value, list) and isinstance(earlier, list):
            value = [*earlier, *(entry for entry in value if entry not in earlier)]  # noqa: PLW2901 - the value in force
        state[path] = value
    return state


def _plan_deprovisioning(
    application: Application,
    account: Account,
    standing: Standing,
    *,
    map_as: Callable[[bool], MappedAccount],
    in_doubt: bool,
) -> Plan:
    policy = deprovision_policy(application, standing)
    if policy is Deprovision.DELETE:
        return Plan(action=ProvisioningAction.DELETE, reason=standing.reason)
    if policy is Deprovision.SKIP:
        return Plan(action=ProvisioningAction.SKIP, reason="deprovisioning_off", state=account.sent)
    return _plan_disable(account, standing, map_as=map_as, in_doubt=in_doubt)


def _plan_group_removal(application: Application, account: Account, standing: Standing) -> Plan:
    """A group has no switch: it is deleted, emptied (which the plan of its memberships does) or left as it is."""
    match group_policy(application, standing):
        case GroupDeprovision.DELETE:
            return Plan(action=ProvisioningAction.DELETE, reason=standing.reason)
        case GroupDeprovision.EMPTY:
            return Plan(action=ProvisioningAction.SKIP, reason=EMPTIED, state=account.sent)
        case GroupDeprovision.SKIP:
            return Plan(action=ProvisioningAction.SKIP, reason="deprovisioning_off", state=account.sent)


EMPTIED = "emptied"
"""Reason of a group that stays at the vendor without the members we gave it."""


def group_policy(application: Application, standing: Standing) -> GroupDeprovision:
    """What happens to a group that should not be at the application, given what the vendor can."""
    hard_deleted = standing.reason is Reason.SOURCE_DELETED
    policy = application.groups_hard_deleted if hard_deleted else application.groups_out_of_scope
    can_delete = application.groups is not None and application.groups.delete
    return GroupDeprovision.EMPTY if policy is GroupDeprovision.DELETE and not can_delete else policy


def deprovision_policy(application: Application, standing: Standing) -> Deprovision:
    """What happens to the account of somebody who should not have one, given what the vendor can."""
    rules = application.deprovisioning
    hard_deleted = standing.reason is Reason.SOURCE_DELETED
    policy = (rules.hard_deleted or Deprovision.DELETE) if hard_deleted else rules.out_of_scope
    if policy is Deprovision.DELETE and not application.users.delete:
        policy = Deprovision.DISABLE
    if policy is Deprovision.DISABLE and not application.users.disable:
        policy = Deprovision.SKIP
    return policy


def _plan_disable(
    account: Account, standing: Standing, *, map_as: Callable[[bool], MappedAccount], in_doubt: bool
) -> Plan:
    mapped = map_as(True)
    off = mapped.deactivation
    if not off:
        return Plan(action=ProvisioningAction.SKIP, reason="active_is_not_mapped", state=account.sent, mapped=mapped)
    is_off = account.sent is not None and all(account.sent.get(path) == value for path, value in off.items())
    if account.sent is not None and not in_doubt:
        if is_off:
            return Plan(action=ProvisioningAction.SKIP, reason="already_disabled", state=account.sent, mapped=mapped)
        return Plan(
            action=ProvisioningAction.DISABLE,
            reason=standing.reason,
            state={**account.sent, **off},
            change=Difference(set=off, removed=()),
            mapped=mapped,
        )
    if was_refused(account):
        # The vendor does not take the whole state. Access ends all the same; what else it holds stays unknown.
        return Plan(
            action=ProvisioningAction.DISABLE,
            reason=standing.reason,
            state=None,
            change=Difference(set=off, removed=()),
            asserts=True,
            mapped=mapped,
        )
    state = state_after(account.sent or {}, mapped)
    return Plan(
        action=ProvisioningAction.DISABLE,
        reason=standing.reason,
        state=_with_doubt(account, state, mapped),
        change=Difference(set=mapped.attributes, removed=_to_clear(account, state, mapped)),
        asserts=True,
        mapped=mapped,
        # With an open intent `sent` says nothing: an enable may have landed since.
        repeats=is_off and account.intent is None,
    )


CONTENT_REFUSED = frozenset(
    {
        ErrorCode.BAD_REQUEST,
        ErrorCode.UNPROCESSABLE,
        ErrorCode.SCHEMA_ATTRIBUTE_NOT_FOUND,
        ErrorCode.SINGLE_VALUE_ONLY,
        ErrorCode.MISSING_VALUES,
        ErrorCode.INVALID_DOMAIN,
        ErrorCode.CONFLICT,
        ErrorCode.LICENSE_LIMIT,
    }
)
"""Clear refusals of something in the request, which a smaller request may avoid."""


def was_refused(account: Account) -> bool:
    """Whether the last attempt at what is wanted now was refused for its content."""
    return account.tried == account.wanted and account.attempts > 0 and account.error_code in CONTENT_REFUSED


UNKNOWN_VALUE = "(unknown)"
"""What a row remembers of an attribute that an unanswered write may have changed, and that is not asserted now."""


def _with_doubt(account: Account, state: Mapping[str, JSON], mapped: MappedAccount) -> Mapping[str, JSON]:
    """The state afterwards; what an open intent was about and this plan leaves alone is unknown.

    A manager, say, is not written with a disable: whatever is wanted when the person comes back differs from this, and
    is written then, or taken away.
    """
    paths = account.intent.paths if account.intent is not None else ()
    left_alone = {path for path in paths if path in mapped.kept and path not in mapped.attributes}
    return {**state, **dict.fromkeys(left_alone, UNKNOWN_VALUE)}


def _to_clear(account: Account, state: Mapping[str, JSON], mapped: MappedAccount) -> tuple[str, ...]:
    """Paths that open or earlier writes may have set and that must have no value now."""
    possible = {*(account.sent or {}), *(account.intent.paths if account.intent else ())}
    return tuple(sorted(path for path in possible if path not in state and path not in mapped.kept))
