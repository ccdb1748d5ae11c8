"""Two accounts and one name (protocol step 33).

A name held by another of our rows is a wait, not a conflict: people change names, and two may swap them in one cycle.
Who waits in a circle is broken by the smallest row of the circle stepping aside under a temporary name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from shared.directory.mirror import Mirror
from shared.provisioning.account_rows import AccountRows
from shared.provisioning.accounts import Account, ResourceKind
from shared.provisioning.attempt import Attempt, Outcome, OwnCode
from shared.provisioning.exporting import priority_of
from shared.provisioning.failing import Failures
from shared.provisioning.mapping_source import SourceMapper
from shared.provisioning.matching import Matcher, Verdict
from shared.provisioning.planning import Plan, ProvisioningAction
from shared.provisioning.standing import Reason, judge_standing, needs_groups
from shared.rules.attribute_paths import JSON
from shared.rules.failures import InvalidData
from shared.scim.answers import Answer
from shared.scim.error_catalogue import ErrorCode
from shared.scim.patching import Difference, read_attribute
from shared.storage.durable_writes import DurableWrite
from shared.storage.queues import Message, Queues

WAIT_S = 5.0
LISTING_FRESH = timedelta(minutes=10)
"""A clash is not worth a new listing of the vendor's accounts when the last one is younger than this."""

ADOPTION_TRIES = 4
CIRCLE_LIMIT = 5
"""Longer circles of names are left to the ladder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NameDecision:
    """What a clash means: how the attempt ends, or (None) that this row steps aside."""

    outcome: Outcome | None = None
    plan: Plan | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Holder:
    """The row that has a name, and the names it wants now by matching attribute; none when it has left."""

    account: Account
    names: Mapping[str, str] = field(default_factory=dict)
    will_be_deleted: bool = False


@dataclass(slots=True, kw_only=True)
class Names:
    """Settles clashes of matching values."""

    rows: AccountRows
    mirror: Mirror
    mapper: SourceMapper
    matcher: Matcher
    failures: Failures
    queues: Queues

    async def decide(self, attempt: Attempt, answer: Answer) -> NameDecision:
        """A write was answered 409: find who has the name and decide. The row is leased."""
        assert attempt.plan is not None
        value = attempt.plan.matching_value
        for matching in attempt.resource.matching:
            if matching.by == "none" or not value:
                continue
            asked = self._value_of(attempt, matching.target) or value
            # Whoever has the name may be younger than the listing that missed it.
            lookup = await self.matcher.look_up(attempt, matching, asked, newer_than=attempt.now - LISTING_FRESH)
            if not lookup.answer.ok:
                return NameDecision(outcome=await self.failures.refuse_later(attempt, lookup.answer))
            hits = [hit for hit in lookup.hits if str(hit["id"]) != attempt.account.target_id]
            if not hits:
                continue
            found = await self.matcher.judge(attempt, lookup, value=value)
            match found.verdict:
                case Verdict.OURS:
                    return await self._settle(attempt, found.holder, answer, path=matching.target)
                case Verdict.ADOPTABLE if not attempt.account.target_id and attempt.before.attempts < ADOPTION_TRIES:
                    return NameDecision(outcome=await self.failures.refuse_later(attempt, answer))
                case Verdict.FOREIGN:
                    return NameDecision(outcome=await self._escrow(attempt, OwnCode.FOREIGN_ACCOUNT, found.target_id))
                case _:
                    return NameDecision(outcome=await self._escrow(attempt, ErrorCode.CONFLICT, "", text=answer.detail))
        if attempt.before.attempts < ADOPTION_TRIES:
            # Nobody to be seen: the name was given up between the refusal and the look-up, or the vendor's search lags.
            # With candidates for a unique value somebody took ours before the create: choose again.
            candidates = attempt.plan.mapped.candidates if attempt.plan.mapped else {}
            wait_s = 1.0 if candidates else WAIT_S
            return NameDecision(outcome=await self.failures.refuse_later(attempt, answer, wait_s=wait_s))
        return NameDecision(outcome=await self._escrow(attempt, ErrorCode.CONFLICT, "", text=answer.detail))

    async def yield_to_holder(self, attempt: Attempt, holder_key: str) -> Outcome:
        """The name, or the account, was found to be another row's before anything was sent."""
        holder = await self._read_holder(attempt, holder_key)
        verdict = self._judge(attempt, holder, path=self._first_path(attempt))
        if verdict is None:
            return await self.wait_for_holder(attempt, holder_key)
        code, text = verdict
        return await self.failures.escrow_conflict(attempt, code, text, leased=False)

    async def wait_for_holder(self, attempt: Attempt, holder_key: str) -> Outcome:
        """Exit *later*, five seconds; the holder comes to the front."""
        outcome = await self.failures.wait_for_name(attempt, WAIT_S)
        await self._bring_to_front(attempt, holder_key)
        return outcome

    async def _settle(self, attempt: Attempt, holder_key: str, answer: Answer, *, path: str) -> NameDecision:
        holder = await self._read_holder(attempt, holder_key)
        verdict = self._judge(attempt, holder, path=path)
        if verdict is not None:
            code, text = verdict
            return NameDecision(outcome=await self.failures.escrow_conflict(attempt, code, text, leased=True))
        if await self._must_step_aside(attempt, holder, path=path):
            return NameDecision(plan=self._parking_plan(attempt))
        outcome = await self.failures.refuse_later(attempt, answer, wait_s=WAIT_S)
        await self._bring_to_front(attempt, holder_key)
        return NameDecision(outcome=outcome)

    def _judge(self, attempt: Attempt, holder: _Holder, *, path: str) -> tuple[str, str] | None:
        """None: the holder will give the name at `path` up, so wait. Else the reason why no waiting helps."""
        contested = self._value_of(attempt, path).casefold()
        if holder.will_be_deleted:
            return None
        if not holder.names:
            if holder.account.intent is not None or not holder.account.target_id:
                # It is at it, or has let the account go since the look-up.
                return None
            return OwnCode.HELD_BY_DEPARTED, f"the name is held by the account of {holder.account.source_id}, who left"
        if holder.names.get(path, "").casefold() == contested:
            return ErrorCode.DUPLICATE_SOURCES, f"{holder.account.source_id} is mapped to the same name"
        return None

    async def _must_step_aside(self, attempt: Attempt, holder: _Holder, *, path: str) -> bool:
        """Whether we wait in a circle of names at `path`, of which our row is the smallest."""
        present = (await self._present_value(attempt, path)).casefold()
        if not present or not attempt.account.target_id:
            return False
        circle = [attempt.account.key]
        current = holder
        for _ in range(CIRCLE_LIMIT):
            circle.append(current.account.key)
            wanted = current.names.get(path, "")
            if wanted.casefold() == present:
                return attempt.account.key == min(circle)
            following = await self._find_holder(attempt, wanted, path=path)
            if following is None or following.account.key in circle:
                return False
            current = following
        return False

    async def _find_holder(self, attempt: Attempt, value: str, *, path: str) -> _Holder | None:
        matching = next((entry for entry in attempt.resource.matching if entry.target == path), None)
        if matching is None or not value:
            return None
        lookup = await self.matcher.look_up(attempt, matching, value)
        if not lookup.answer.ok or len(lookup.hits) != 1:
            return None
        account = attempt.account
        owner = await self.rows.find_owner(account.application, account.kind, str(lookup.hits[0]["id"]))
        return await self._read_holder(attempt, owner) if owner else None

    async def _read_holder(self, attempt: Attempt, key: str) -> _Holder:
        """The holder's row and, from the mirror, the name it should have."""
        kind, _, source_id = key.partition(":")
        application = attempt.application
        account = await self.rows.read(application.name, ResourceKind(kind), source_id)
        facts = await self.mirror.read_facts(kind, source_id)
        groups = await self.mirror.read_assigned_groups(application.name) if needs_groups(application, facts) else {}
        try:
            standing = judge_standing(application, facts, groups)
            if not standing.is_active:
                deleted = standing.reason is Reason.SOURCE_DELETED and account.pending and bool(account.permit)
                return _Holder(account=account, will_be_deleted=deleted)
            mapped = self.mapper.map_source(application, facts, roles=standing.roles, soft_deleted=False)
        except InvalidData:
            return _Holder(account=account)
        return _Holder(account=account, names={path: str(value) for path, value in mapped.matching})

    def _parking_plan(self, attempt: Attempt) -> Plan:
        """Step aside: every name that is about to change becomes one that nobody else can have.

        All of them together: where user name and mail are both unique, the others of the circle need both.
        """
        assert attempt.plan is not None
        assert attempt.plan.mapped is not None
        names = {path for path, _ in attempt.plan.mapped.matching}
        names |= {path for path in attempt.plan.change.set if path == "userName" or path.startswith("emails[")}
        first = attempt.plan.mapped.matching[0][0]
        parked, sent = f"{attempt.account.source_id}@parked.invalid", attempt.before.sent
        change: dict[str, JSON] = dict.fromkeys(sorted(names & {first, *attempt.plan.change.set}), parked)
        return Plan(
            action=ProvisioningAction.UPDATE,
            reason="parked",
            # What is not known stays unknown: the next attempt asserts everything.
            state={**sent, **change} if sent is not None and attempt.before.intent is None else None,
            change=Difference(set=change, removed=()),
            parks=True,
        )

    def _first_path(self, attempt: Attempt) -> str:
        mapped = attempt.plan.mapped if attempt.plan else None
        return mapped.matching[0][0] if mapped and mapped.matching else ""

    async def _present_value(self, attempt: Attempt, path: str) -> str:
        """The name our account has now: what was sent last or, where that is not certain, what the vendor holds."""
        sent, account = attempt.before.sent, attempt.account
        if not path or not account.target_id:
            return ""
        if sent is not None and attempt.before.intent is None:
            return str(sent.get(path, ""))
        client = self.failures.client_of(attempt.application)
        there = await client.read(attempt.resource_type, account.target_id, priority=priority_of(attempt))
        return str(read_attribute(there.resource, path) or "") if there.ok and there.resource is not None else ""

    def _value_of(self, attempt: Attempt, target: str) -> str:
        mapped = attempt.plan.mapped if attempt.plan else None
        return str(dict(mapped.matching).get(target, "")) if mapped else ""

    async def _escrow(self, attempt: Attempt, code: str, target_id: str, *, text: str = "") -> Outcome:
        message = text or f"the account {target_id} has this name and carries another externalId"
        return await self.failures.escrow_conflict(attempt, code, message, leased=True)

    async def _bring_to_front(self, attempt: Attempt, holder_key: str) -> None:
        kind, _, source_id = holder_key.partition(":")
        message = Message(app=attempt.application.name, kind=kind, id=source_id, trace=attempt.trace)
        await self.queues.send(DurableWrite.ENQUEUE_HOLDER, message, first=True)
