"""What becomes of some accounts of one application: the consumer's steps 20 to 22, and what step 18 would say first.

Nothing here writes. Whoever an account refers to is looked up together with those of its neighbours.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.config.applications import Application
from shared.config.provisioning_file import ScopeMode
from shared.directory.mirror import Assignment, GroupFacts, UserFacts
from shared.operations.previewing.report import (
    AccountPreview,
    ModifiedProperty,
    Obstacle,
    PreviewAction,
    ScopeChange,
)
from shared.provisioning.account_rows import AccountRows
from shared.provisioning.accounts import Account, AccountState, IntentKind, Reference, ResourceKind
from shared.provisioning.deciding import Decider
from shared.provisioning.generations import is_distrusted
from shared.provisioning.guard import Guard
from shared.provisioning.member_changes import Decision, Member, decide
from shared.provisioning.planning import EMPTIED, Plan, ProvisioningAction
from shared.provisioning.provisioning_log import modified_properties
from shared.provisioning.references import known_references, linked_id
from shared.provisioning.retrying import is_due
from shared.provisioning.standing import Standing, concerns, judge_standing
from shared.rules.failures import InvalidData
from shared.rules.mapping import MappedAccount

_NOT_SENT = frozenset({Obstacle.HELD, Obstacle.REJECTED, Obstacle.ESCROWED})
_MOST_KNOWN = 20_000
"""So many accounts that others refer to are remembered."""


@dataclass(slots=True, kw_only=True)
class View:
    """One application as it is previewed."""

    application: Application
    in_force: Application | None
    """As it is without the previewed configuration; None: it is new."""
    assigned_groups: Mapping[str, Assignment]
    guard: Guard
    decider: Decider
    hidden: Mapping[ResourceKind, frozenset[str]]
    """Target paths, folded, whose values are not shown."""
    unread: tuple[str, ...]
    """Properties of the directory that the application needs and that nobody asked for so far."""
    filled_groups: frozenset[str]
    """Groups of which memberships were sent."""
    asserted: int
    """The last restart that put no trust in what was sent before it."""
    now: datetime
    grace: timedelta
    linked: dict[str, str] = field(default_factory=dict)
    """Accounts that others refer to, as far as they were looked up: source id -> the vendor's id, or empty."""

    @property
    def name(self) -> str:
        """The application's name."""
        return self.application.name

    @property
    def keeps_disabled(self) -> bool:
        """Whether a disabled account stays a member of its groups."""
        return self.application.groups is None or self.application.groups.disabled_members == "keep"

    def has_group(self, group_id: str) -> bool:
        """Whether the application looks at this group."""
        return self.application.scope is ScopeMode.ALL or group_id in self.assigned_groups


_DECIDED_IN_A_ROW = 8
"""A pattern may take a tenth of a second of everybody's time for each of them."""


@dataclass(slots=True, kw_only=True)
class Draft:
    """One account on its way to a plan."""

    account: Account
    facts: UserFacts | GroupFacts
    standing: Standing | None = None
    mapped: MappedAccount | None = None
    references: dict[str, Reference] = field(default_factory=dict)
    plan: Plan | None = None
    refusal: InvalidData | None = None
    scope_change: ScopeChange = ScopeChange.NONE
    members_added: int = 0
    members_removed: int = 0
    has_more_members: bool = False
    """The time was over before all memberships were compared."""

    def note_members(self, *, added: int, removed: int) -> None:
        """What was found of a group's memberships."""
        self.members_added, self.members_removed = added, removed

    def joins_groups(self, *, keeps_disabled: bool) -> bool:
        """Whether the person, when all of this is done, has an account that is to be in their groups."""
        leaves = self.action is PreviewAction.DISABLE
        returns = self.account.state is AccountState.DISABLED and self.action is PreviewAction.UPDATE
        member = Member(
            user_id=self.account.source_id,
            is_member=True,
            target_id="(new)" if self.action is PreviewAction.CREATE else linked_id(self.account),
            is_disabled=leaves or (self.account.state is AccountState.DISABLED and not returns),
        )
        is_there = self.action is not PreviewAction.DELETE
        return is_there and decide(member, keeps_disabled=keeps_disabled) is Decision.ADD

    @property
    def groups(self) -> Mapping[str, bool]:
        """A person's groups -> whether they are a member now."""
        return self.facts.groups if isinstance(self.facts, UserFacts) else {}

    @property
    def action(self) -> PreviewAction:
        """What would be done."""
        if self.plan is None:
            return PreviewAction.REFUSED
        if self.plan.reason == EMPTIED:
            return PreviewAction.EMPTY if self.members_removed else PreviewAction.SKIP
        if self._changes_members_only:
            return PreviewAction.UPDATE
        return PreviewAction(self.plan.action)

    @property
    def reason(self) -> str:
        """Why, in one word."""
        if self.plan is None:
            return "InvalidData"
        if self._changes_members_only:
            return "members_changed"
        if self.plan.reason == "never_provisioned" and self.standing is not None:
            return self.standing.reason
        if self.plan.action is ProvisioningAction.SKIP and self.plan.reason == "new":
            return "create_off"
        if self.account.kind is ResourceKind.GROUP and "displayName" in self.plan.change.set:
            return "renamed" if self.plan.reason == "attributes_changed" else self.plan.reason
        return self.plan.reason

    @property
    def _changes_members_only(self) -> bool:
        is_same = self.plan is not None and self.plan.reason == "unchanged"
        return is_same and bool(self.members_added or self.members_removed)

    @property
    def awaited(self) -> tuple[str, ...]:
        """Target paths whose account is not there yet, as far as that was looked up."""
        return tuple(sorted(path for path, reference in self.references.items() if not reference.target_id))


def is_concerned(view: View, facts: UserFacts | GroupFacts, account: Account | None) -> bool:
    """Whether the application looks at the person or group at all."""
    if account is not None and account.wanted:
        return True
    if isinstance(facts, GroupFacts):
        in_force = view.application.groups is not None
        return in_force and (view.has_group(facts.id))
    return concerns(view.application, facts, view.assigned_groups)


async def decide_all(view: View, drafts: Sequence[Draft], rows: AccountRows, *, looks_up_all: bool = False) -> None:
    """Give each draft its plan, or the refusal of its values.

    Whom an account that is still to be made refers to is only looked up with `looks_up_all`: it decides no action.
    Raises StorageUnavailable.
    """
    for at, draft in enumerate(drafts, start=1):
        _judge(view, draft)
        if at % _DECIDED_IN_A_ROW == 0:
            # Whoever shares the process has a turn.
            await asyncio.sleep(0)
    open_ids = {
        source_id
        for draft in drafts
        if draft.mapped is not None
        for path, source_id in draft.mapped.references.items()
        if path not in draft.references and (draft.account.target_id or looks_up_all)
    }
    await _look_up(view, open_ids, rows)
    for draft in drafts:
        if draft.mapped is not None:
            for path, source_id in draft.mapped.references.items():
                reference = Reference(source_id=source_id, target_id=view.linked.get(source_id, ""))
                draft.references.setdefault(path, reference)
        _plan(view, draft)


def _judge(view: View, draft: Draft) -> None:
    account, facts = draft.account, draft.facts
    if account.kind is ResourceKind.GROUP and view.application.groups is None:
        draft.plan = Plan(action=ProvisioningAction.SKIP, reason="groups_off", state=account.sent)
        return
    try:
        draft.standing = judge_standing(view.application, facts, view.assigned_groups)
    except InvalidData as error:
        draft.refusal = error
        return
    draft.scope_change = _scope_change(view, facts, draft.standing)
    draft.mapped = view.decider.map_referring(view.application, account, facts, draft.standing)
    if draft.mapped is not None:
        draft.references = known_references(account, draft.mapped.references)


def _scope_change(view: View, facts: UserFacts | GroupFacts, standing: Standing) -> ScopeChange:
    in_force = view.in_force
    if in_force is None or in_force is view.application or not standing.is_known:
        return ScopeChange.NONE
    if isinstance(facts, GroupFacts) and in_force.groups is None:
        was_active = False
    else:
        try:
            was_active = judge_standing(in_force, facts, view.assigned_groups).is_active
        except InvalidData:
            return ScopeChange.NONE
    if was_active == standing.is_active:
        return ScopeChange.NONE
    return ScopeChange.ENTERS if standing.is_active else ScopeChange.LEAVES


async def _look_up(view: View, source_ids: set[str], rows: AccountRows) -> None:
    if len(view.linked) > _MOST_KNOWN:
        view.linked.clear()
    unknown = sorted(source_ids - view.linked.keys())
    found = await rows.read_users(view.name, unknown)
    view.linked |= {source_id: linked_id(account) for source_id, account in found.items()}


def _plan(view: View, draft: Draft) -> None:
    if draft.plan is not None or draft.standing is None:
        return
    try:
        draft.plan = view.decider.decide(
            view.application,
            draft.account,
            draft.facts,
            draft.standing,
            mapped=draft.mapped,
            references=draft.references,
            distrusts=is_distrusted(draft.account, view.asserted),
        )
    except InvalidData as error:
        draft.refusal = error


def find_obstacle(view: View, account: Account) -> Obstacle:
    """What stands between a plan and its request now, the first that applies."""
    now = view.now
    is_tried = account.tried == account.wanted
    if account.is_leased(now):
        return Obstacle.LEASED
    if account.staged and not account.permit:
        return Obstacle.HELD if view.guard.held_up_to else Obstacle.STAGED
    if account.is_held():
        return Obstacle.REJECTED
    given_up = account.next_attempt_at is None and account.pending
    if account.state is AccountState.ESCROWED and is_tried and (given_up or not is_due(account.next_attempt_at, now)):
        return Obstacle.ESCROWED
    if is_tried and not is_due(account.next_attempt_at, now):
        return Obstacle.LATER
    if account.is_in_doubt(now) and account.intent_at is not None and now < account.intent_at + view.grace:
        return Obstacle.IN_DOUBT
    return Obstacle.NONE


def count_requests(view: View, draft: Draft, obstacle: Obstacle) -> Counter[str]:
    """Requests that the plan needs, by their names in a tally; a group's memberships aside."""
    plan, account = draft.plan, draft.account
    if plan is None or not plan.writes:
        # Whoever is in sync but for a reference follows when that account appears.
        return Counter(more_at_most=1) if plan is not None and draft.awaited else Counter()
    if plan.is_destructive and not account.permit:
        name = "guarded_deletes" if plan.action is ProvisioningAction.DELETE else "guarded_disables"
        return Counter({name: 1}) if obstacle is not Obstacle.REJECTED else Counter()
    if obstacle in _NOT_SENT:
        return Counter()
    match plan.action:
        case ProvisioningAction.CREATE:
            needed = _count_create(view, draft, plan)
        case ProvisioningAction.DELETE:
            needed = Counter(deletes=1)
        case ProvisioningAction.DISABLE:
            needed = Counter(disables=1)
        case _:
            needed = Counter(updates=1)
            is_unknown = account.sent is None and account.intent is None and account.kind is ResourceKind.USER
            if view.application.adoption.clears and plan.asserts and is_unknown:
                needed["reads"] = 1
    if draft.awaited:
        needed["more_at_most"] = 1
    return needed


def _count_create(view: View, draft: Draft, plan: Plan) -> Counter[str]:
    """One look-up by each matching attribute with a value, one for each value that has to be unique, and the create."""
    resource = view.application.resource(draft.account.kind)
    given = {target for target, _ in plan.mapped.matching} if plan.mapped else set()
    asked = [matching for matching in resource.matching if matching.by == "filter" and matching.target in given]
    look_ups = len(asked)
    if resource.create and plan.mapped:
        look_ups += len(plan.mapped.candidates)
    if draft.account.intent is not None and draft.account.intent.kind is IntentKind.CREATE:
        # A create that had no answer is looked for first.
        look_ups += 1
    return Counter(look_ups=look_ups, creates=int(resource.create))


def describe(view: View, draft: Draft) -> AccountPreview:
    """What a person is shown of an account, its memberships aside."""
    account, plan = draft.account, draft.plan
    obstacle = find_obstacle(view, account) if draft.action is not PreviewAction.SKIP else Obstacle.NONE
    waits = obstacle in (Obstacle.ESCROWED, Obstacle.LATER)
    warnings = plan.mapped.warnings if plan is not None and plan.mapped else ()
    return AccountPreview(
        application=view.name,
        kind=account.kind.value,
        source_id=account.source_id,
        target_id=account.target_id,
        action=draft.action,
        reason=draft.reason,
        detail=str(draft.refusal) if draft.refusal is not None else "",
        scope_change=draft.scope_change,
        modified=_modified(view, draft),
        obstacle=obstacle,
        next_attempt_at=account.next_attempt_at if waits else None,
        awaited=draft.awaited,
        warnings=tuple(f"{warning.target}: {warning.reason}" for warning in warnings),
        members_added=draft.members_added,
        members_removed=draft.members_removed,
        has_more_members=draft.has_more_members,
    )


def _modified(view: View, draft: Draft) -> tuple[ModifiedProperty, ...]:
    plan = draft.plan
    if plan is None or not plan.writes:
        return ()
    hidden = view.hidden[draft.account.kind]
    if plan.mapped is not None:
        plan = replace(plan, mapped=replace(plan.mapped, redacted=plan.mapped.redacted | _spelled(plan, hidden, draft)))
    return tuple(
        ModifiedProperty(name=entry["displayName"], old=entry["oldValue"], new=entry["newValue"])
        for entry in modified_properties(draft.account, plan)
    )


def _spelled(plan: Plan, hidden: Iterable[str], draft: Draft) -> frozenset[str]:
    """The hidden paths as this plan and row spell them."""
    folded = frozenset(hidden)
    paths = {*plan.change.set, *plan.change.removed, *plan.on_create, *(draft.account.sent or {})}
    return frozenset(path for path in paths if path.casefold() in folded)
