"""The consumer: one message, one account, at most one SCIM write (protocol steps 17 to 31).

Read it with the list in hand. `provision` is steps 17 and the restarts, `_attempt` the order of the others; every step
is a method, every durable write is in `account_rows`, everything between them that decides is pure.

    here      17 admission   18 row   19 grace   20 mirror   21 lost create   22 plan   25 match   29 send
    leasing   26 slot   27 lease and intent   28 check
    saving    23 nothing   24 stage   30 save   31 again
    failing   32, 34 and 35, with 33 in `names`
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta

from shared import metrics, telemetry, tracing
from shared.clock import Clock
from shared.config.applications import Application, Applications
from shared.config.profile import MatchingAttribute
from shared.crashes import describe_crash
from shared.directory.mirror import Mirror
from shared.provisioning.account_rows import AccountRows, IndexTaken, RowMoved
from shared.provisioning.accounts import FROM_START, IntentKind, ResourceKind
from shared.provisioning.applications_state import ApplicationStates, ApplicationStatus
from shared.provisioning.attempt import Attempt, Outcome, OutcomeKind
from shared.provisioning.deciding import Decider
from shared.provisioning.exporting import Exporter
from shared.provisioning.failing import Failures
from shared.provisioning.generations import generation_of, is_behind
from shared.provisioning.leasing import Leases, NotDepartedError
from shared.provisioning.matching import Matcher, Verdict
from shared.provisioning.member_saving import MemberSaves
from shared.provisioning.memberships import Memberships
from shared.provisioning.names import Names
from shared.provisioning.planning import EMPTIED, ProvisioningAction, without_stale
from shared.provisioning.provisioning_log import LogEntry, Step
from shared.provisioning.references import References
from shared.provisioning.retrying import is_due
from shared.provisioning.saving import Saves
from shared.provisioning.standing import judge_standing, needs_groups
from shared.provisioning.steps import (
    export_step,
    import_step,
    linked_step,
    matching_step,
    members_step,
    processing_step,
    reference_step,
    scoping_step,
    unjudged_step,
    unmapped_step,
)
from shared.rules.failures import InvalidData
from shared.scim.answers import Answer, AnswerKind
from shared.scim.error_catalogue import ErrorCode
from shared.storage.durable_writes import DurableWrite
from shared.storage.limiter import MAX_WAIT_S, Limiter, RateLimited
from shared.storage.queues import Message, Queues
from shared.storage.tables import StorageUnavailable
from shared.storage.turns import NoTurnError

RESTARTS = 3
CONFIG_WAIT_S = 30.0


@dataclass(slots=True, kw_only=True)
class Reconciler:
    """Makes accounts at vendors equal to what the directory says. One instance per process."""

    applications: Applications
    rows: AccountRows
    mirror: Mirror
    states: ApplicationStates
    limiter: Limiter
    leases: Leases
    decider: Decider
    matcher: Matcher
    exporter: Exporter
    failures: Failures
    names: Names
    references: References
    memberships: Memberships
    saves: Saves
    member_saves: MemberSaves
    queues: Queues
    clock: Clock
    jitter: Callable[[], float]
    grace_s: float

    async def provision(self, message: Message, *, first: bool, probing: bool = False, asked: bool = False) -> Outcome:
        """Work on one account. Safe with late, doubled, reordered and foreign messages.

        `probing` works although the application is quarantined, but not against a person's pause. `asked`: a person
        waits for the answer; what is put back, or goes on at once, is left to the caller. Raises only
        StorageUnavailable and bugs.
        """
        application = self.applications.get(message.app)
        if application is None or not application.enabled:
            telemetry.emit(telemetry.Event.MESSAGE_REFUSED, reason="unknown application", application=message.app[:64])
            return Outcome(kind=OutcomeKind.ENDED, reason="unknown_application")
        with tracing.span(
            tracing.SpanName.ACCOUNT_PROVISION,
            parent=message.trace,
            application=application.name,
            kind=message.kind,
            source_id=message.id,
            attempt=message.attempt,
        ) as span:
            refusal = await self._admit(application, probing=probing)
            outcome = refusal or await self._in_turn(application, message, first=first, asked=asked)
            if outcome.kind is OutcomeKind.PUT_BACK and not asked:
                await self._put_back(message, outcome, first=first)
            _tell(span, application, outcome)
        return outcome

    async def test_connection(self, application: Application) -> Answer:
        """Ask the vendor for an account that does not exist: ok when address and credentials are right."""
        return await self.exporter.test_connection(application)

    async def _admit(self, application: Application, *, probing: bool) -> Outcome | None:
        """Step 17: paused or quarantined ends the message; another configuration in force puts it back."""
        state = await self.states.read(application.name)
        if state.status is ApplicationStatus.PAUSED or (state.is_stopped and not probing):
            return Outcome(kind=OutcomeKind.ENDED, reason=state.status)
        if state.config and state.config != application.config_hash:
            return Outcome(kind=OutcomeKind.PUT_BACK, reason="other_configuration", hidden_s=CONFIG_WAIT_S)
        wait_s = self.limiter.known_wait_s(application.name)
        if wait_s > MAX_WAIT_S:
            return Outcome(kind=OutcomeKind.PUT_BACK, reason="rate", hidden_s=self._spread(wait_s))
        return None

    async def _in_turn(self, application: Application, message: Message, *, first: bool, asked: bool) -> Outcome:
        """Nobody who loses access, or is waited for, waits for a turn.

        The others put back what their vendor cannot take yet, unread.
        """
        if first or asked:
            return await self._try_or_note(application, message, first=first, asked=asked)
        rate = application.rate_limit.requests_per_second
        patience_s = MAX_WAIT_S * (1 + self.jitter()) / 2
        try:
            async with self.limiter.turns.take(application.name, rate, patience_s=patience_s):
                return await self._try_or_note(application, message, first=first, asked=False)
        except NoTurnError:
            return Outcome(kind=OutcomeKind.PUT_BACK, reason="turn", hidden_s=self._spread(MAX_WAIT_S))

    async def _try_or_note(self, application: Application, message: Message, *, first: bool, asked: bool) -> Outcome:
        """A bug raises and ends in the poison queue, which is given the message alone: the row keeps what it was."""
        try:
            return await self._try(application, message, first=first, asked=asked)
        except StorageUnavailable:
            raise
        except Exception as error:
            # Without storage the note is lost; the exception that is raised must be the bug's all the same.
            with suppress(StorageUnavailable):
                account = await self.rows.read(application.name, ResourceKind(message.kind), message.id)
                if account.etag:
                    await self.rows.note_crash(account, describe_crash(error))
            raise

    async def _try(self, application: Application, message: Message, *, first: bool, asked: bool) -> Outcome:
        """Attempts until one has an outcome, which says what they came to."""
        steps: list[Step] = []
        entries: list[LogEntry] = []
        for _ in range(RESTARTS):
            attempt = await self._read_row(application, message, first=first, asked=asked)
            steps = attempt.steps
            try:
                outcome = await self._attempt(attempt)
            except RowMoved:
                # What it was about to write down was not written.
                continue
            except RateLimited as limited:
                outcome = Outcome(kind=OutcomeKind.PUT_BACK, reason="rate", hidden_s=self._spread(limited.wait_s))
            entries += attempt.entries
            if outcome is not None:
                return replace(outcome, steps=tuple(steps), entries=tuple(entries))
        waits = Outcome(kind=OutcomeKind.PUT_BACK, reason="row_moved", hidden_s=self._spread(1.0))
        return replace(waits, steps=tuple(steps), entries=tuple(entries))

    async def _read_row(self, application: Application, message: Message, *, first: bool, asked: bool) -> Attempt:
        """Step 18: the row, and the attempt that begins with it."""
        started = self.clock.monotonic()
        # Before the row: a restart that comes in between finds it behind.
        state = await self.states.read(application.name)
        account = await self.rows.read(application.name, ResourceKind(message.kind), message.id)
        if account.kind is ResourceKind.GROUP and generation_of(account.config) < state.generation:
            # Half a fill, too: who was compared before the restart is compared again.
            account = replace(account, fill=FROM_START)
        return Attempt(
            application=application,
            account=account,
            before=account,
            now=self.clock.now(),
            started=started,
            first=first,
            asked=asked,
            number=message.attempt,
            trace=message.trace,
            generation=state.generation,
            asserted=state.asserted,
        )

    async def _attempt(self, attempt: Attempt) -> Outcome | None:
        """Steps 18 to 31 once; None means: start again at 18."""
        account = attempt.account
        early = self._check_row(attempt)
        if early is not None:
            return early
        if account.waking:
            if not await self.references.wake(account):
                return Outcome(kind=OutcomeKind.PUT_BACK, reason="row_moved", hidden_s=self._spread(1.0))
            if not self._is_due(attempt):
                await self.references.forget_waking(account)
                return Outcome(kind=OutcomeKind.DONE, reason="woken")
        return await self._reconcile(attempt)

    async def _reconcile(self, attempt: Attempt) -> Outcome | None:
        """Steps 20 to 22: what the directory says, and the plan that follows."""
        account = attempt.account
        if account.kind is ResourceKind.GROUP and attempt.application.groups is None:
            return await self.saves.save_unprovisioned(attempt)
        outcome = await self._import(attempt)
        if outcome is not None:
            return outcome
        if account.intent is not None and account.intent.kind is IntentKind.CREATE and not account.target_id:
            return await self._resolve_create(attempt)
        await self._resolve_references(attempt)
        refused = self._plan(attempt)
        if refused is not None:
            return await refused
        return await self._carry_out(attempt)

    async def _carry_out(self, attempt: Attempt) -> Outcome | None:
        """Steps 23 to 31: the plan."""
        assert attempt.plan is not None
        if attempt.plan.action is ProvisioningAction.WAIT:
            return await self.failures.wait_for_source(attempt)
        if self._comes_to_members(attempt):
            attempt.plan = await self.memberships.plan(attempt, emptied=attempt.plan.reason == EMPTIED)
            if attempt.batch is not None:
                attempt.steps.append(members_step(attempt.batch))
            if attempt.plan.members is None:
                return await self.member_saves.save_looked(attempt)
        if attempt.plan.action is ProvisioningAction.SKIP:
            return await self.saves.save_nothing(attempt)
        if attempt.plan.needs_permit and not attempt.account.permit:
            return await self.saves.stage(attempt)
        if attempt.plan.action is ProvisioningAction.CREATE:
            outcome = await self._match(attempt)
            if outcome is not None:
                return outcome
        elif self._is_unknown(attempt):
            outcome = await self._observe(attempt)
            if outcome is not None:
                return outcome
        return await self._write(attempt)

    def _is_unknown(self, attempt: Attempt) -> bool:
        """Whether the account has to be looked at once more: what was sent when it was adopted was refused."""
        plan, account = attempt.plan, attempt.account
        asserts = plan is not None and plan.asserts and plan.action is ProvisioningAction.UPDATE
        is_unknown = account.sent is None and account.intent is None and account.kind is ResourceKind.USER
        return attempt.application.adoption.clears and asserts and is_unknown

    async def _observe(self, attempt: Attempt) -> Outcome | None:
        """Look, as at an adoption, what it holds that the directory does not say. A 404 is met by the write again."""
        assert attempt.plan is not None
        there = await self.exporter.read(attempt)
        if not there.ok and there.kind is not AnswerKind.NOT_FOUND:
            return await self.failures.end_unwritten(attempt, there)
        attempt.plan = without_stale(attempt.plan, attempt.resource, there.resource or {})
        return None

    def _comes_to_members(self, attempt: Attempt) -> bool:
        """Whether the group itself is as it should be, so that its memberships are next."""
        plan, account = attempt.plan, attempt.account
        is_group = account.kind is ResourceKind.GROUP and attempt.application.has_members and bool(account.target_id)
        return is_group and plan is not None and plan.reason in ("unchanged", EMPTIED)

    def _check_row(self, attempt: Attempt) -> Outcome | None:
        """Steps 18 and 19: is there anything to do, and may it be done now?"""
        account, now = attempt.account, attempt.now
        in_doubt = account.is_in_doubt(now)
        if not (self._is_due(attempt) or account.waking):
            return Outcome(kind=OutcomeKind.ENDED, reason="nothing_pending")
        if account.is_leased(now):
            assert account.lease_until is not None
            wait_s = (account.lease_until - now).total_seconds()
            return Outcome(kind=OutcomeKind.PUT_BACK, reason="leased", hidden_s=wait_s + self.jitter())
        if account.tried == account.wanted and not is_due(account.next_attempt_at, now):
            return Outcome(kind=OutcomeKind.ENDED, reason="not_due")
        if account.is_held():
            return Outcome(kind=OutcomeKind.ENDED, reason="held")
        if in_doubt and attempt.grace_left_s(self.grace_s) > 0 and not account.target_id:
            return self._wait_for_grace(attempt)
        return None

    def _is_due(self, attempt: Attempt) -> bool:
        """Whether the row waits for an attempt: raised, in doubt, or applied with another configuration."""
        account = attempt.account
        reconfigured = bool(account.wanted) and is_behind(account.config, attempt.config)
        return account.pending or account.is_in_doubt(attempt.now) or reconfigured

    def _wait_for_grace(self, attempt: Attempt) -> Outcome:
        wait_s = attempt.grace_left_s(self.grace_s) + self.jitter()
        return Outcome(kind=OutcomeKind.PUT_BACK, reason="grace", hidden_s=wait_s)

    async def _import(self, attempt: Attempt) -> Outcome | None:
        """Step 20: read the mirror, *after* the row was answered (protocol H2); then the rest of step 19."""
        account = attempt.account
        attempt.facts = await self.mirror.read_facts(account.kind, account.source_id)
        if needs_groups(attempt.application, attempt.facts):
            attempt.groups = await self.mirror.read_assigned_groups(attempt.application.name)
        try:
            attempt.standing = judge_standing(attempt.application, attempt.facts, attempt.groups)
        except InvalidData as error:
            attempt.steps += (import_step(attempt.facts), unjudged_step(error))
            return await self.failures.escrow_data(attempt, error)
        attempt.steps += (import_step(attempt.facts), scoping_step(attempt.standing))
        if account.target_id:
            attempt.steps.append(linked_step(account))
        if account.is_in_doubt(attempt.now) and attempt.grace_left_s(self.grace_s) > 0:
            is_user = account.kind is ResourceKind.USER
            leaves = is_user and attempt.standing.is_known and not attempt.standing.is_active
            if not leaves:
                return self._wait_for_grace(attempt)
            attempt.reasserts_early = True
        return None

    async def _resolve_create(self, attempt: Attempt) -> Outcome | None:
        """Step 21: an account may exist under the name a lost create was sent with. Look, then claim it or clear."""
        account = attempt.account
        assert account.intent is not None
        grace = timedelta(seconds=self.grace_s)
        landed_by = (account.intent_at or attempt.now) + grace
        found = await self.matcher.find_lost_create(attempt, landed_by=landed_by)
        attempt.steps.append(matching_step(found))
        match found.verdict:
            case Verdict.NONE:
                await self.rows.clear_create(account)
            case Verdict.FOREIGN if account.intent.external_id:
                # Ours would carry the externalId it was sent with: the create never landed, a stranger has the name.
                await self.rows.clear_create(account)
            case Verdict.ADOPTABLE:
                try:
                    await self.rows.claim_created(account, target_id=found.target_id, now=attempt.now)
                except IndexTaken as taken:
                    return await self.names.wait_for_holder(attempt, taken.holder)
            case Verdict.OURS:
                return await self.names.wait_for_holder(attempt, found.holder)
            case Verdict.FAILED:
                assert found.answer is not None
                return await self.failures.end_unwritten(attempt, found.answer)
            case Verdict.FOREIGN | Verdict.SEVERAL:
                return await self.failures.escrow_match(attempt, found)
        return None

    async def _resolve_references(self, attempt: Attempt) -> None:
        """Who this account refers to, by the ids of their accounts; one that does not exist yet is awaited (T7)."""
        assert attempt.standing is not None
        attempt.mapped = self.decider.map_referring(
            attempt.application, attempt.account, attempt.facts, attempt.standing
        )
        if attempt.mapped is not None:
            attempt.references = await self.references.resolve(attempt.account, attempt.mapped.references)
        if attempt.references:
            attempt.steps.append(reference_step(attempt.references))

    def _plan(self, attempt: Attempt) -> Awaitable[Outcome] | None:
        """Step 22: decide. In doubt, `sent` counts as unknown and the plan is the whole mapped state."""
        assert attempt.standing is not None
        try:
            attempt.plan = self.decider.decide(
                attempt.application,
                attempt.account,
                attempt.facts,
                attempt.standing,
                mapped=attempt.mapped,
                references=attempt.references,
                distrusts=attempt.distrusts,
            )
        except InvalidData as error:
            return self._escrow_unmapped(attempt, error)
        attempt.steps.append(processing_step(attempt.plan))
        return None

    def _escrow_unmapped(self, attempt: Attempt, error: InvalidData) -> Awaitable[Outcome]:
        attempt.steps.append(unmapped_step(error))
        return self.failures.escrow_data(attempt, error)

    async def _match(self, attempt: Attempt) -> Outcome | None:
        """Step 25: does the account exist already? One verified hit that nobody owns is adopted; none means create."""
        assert attempt.plan is not None
        found = await self.matcher.find_existing(attempt)
        attempt.has_looked = True
        attempt.steps.append(matching_step(found))
        match found.verdict:
            case Verdict.NONE if attempt.resource.create:
                return await self._choose_unique(attempt)
            case Verdict.NONE:
                return await self._skip_create(attempt)
            case Verdict.ADOPTABLE:
                attempt.hit = found.resource
                plan = attempt.plan
                if attempt.application.adoption.clears:
                    plan = without_stale(plan, attempt.resource, found.resource or {})
                attempt.plan = replace(plan, action=ProvisioningAction.UPDATE, reason="matched", asserts=True)
                return None
            case Verdict.OURS:
                return await self.names.yield_to_holder(attempt, found.holder)
            case Verdict.FAILED:
                assert found.answer is not None
                return await self.failures.end_unwritten(attempt, found.answer)
            case Verdict.FOREIGN | Verdict.SEVERAL:
                return await self.failures.escrow_match(attempt, found)

    async def _skip_create(self, attempt: Attempt) -> Outcome:
        """Nothing is made here; once a person has made a group, all of its memberships are compared."""
        outcome = await self.failures.skip_create(attempt)
        if attempt.account.kind is ResourceKind.GROUP:
            await self.memberships.drop_changes(attempt.account)
        return outcome

    async def _choose_unique(self, attempt: Attempt) -> Outcome | None:
        """`SelectUniqueValue`: give the new account the first candidate that nobody at the vendor has."""
        assert attempt.plan is not None
        candidates = attempt.plan.mapped.candidates if attempt.plan.mapped else {}
        for target, values in candidates.items():
            for value in values:
                lookup = await self.matcher.look_up(attempt, MatchingAttribute(target=target, fallback="list"), value)
                if not lookup.answer.ok:
                    return await self.failures.end_unwritten(attempt, lookup.answer)
                if not lookup.hits:
                    attempt.plan = replace(attempt.plan, on_create={**attempt.plan.on_create, target: value})
                    break
            else:
                text = f"every candidate for {target} is taken at the vendor"
                return await self.failures.escrow_conflict(attempt, ErrorCode.CONFLICT, text, leased=False)
        return None

    async def _write(self, attempt: Attempt) -> Outcome | None:
        """Steps 26 to 31: slot, lease and intent, check, send, save."""
        assert attempt.plan is not None
        ready = await self.exporter.prepare(attempt)
        if not ready.ok:
            return await self.failures.end_unwritten(attempt, ready)
        slot = await self.leases.reserve_slot(attempt)
        try:
            await self.leases.take(attempt)
        except RowMoved:
            self.leases.give_back_slot(attempt, slot)
            raise
        except IndexTaken as taken:
            self.leases.give_back_slot(attempt, slot)
            if taken.is_target:
                return await self.names.yield_to_holder(attempt, taken.holder)
            return await self.names.wait_for_holder(attempt, taken.holder)
        await self.leases.approach_slot(attempt, slot)
        try:
            answer = await self.exporter.send(attempt)
        except NotDepartedError:
            await self.rows.undo_intent(attempt.account, attempt.before)
            return Outcome(kind=OutcomeKind.PUT_BACK, reason="slot_or_lease_over", hidden_s=1.0)
        attempt.steps.append(export_step(attempt.plan, answer))
        if attempt.plan.members is not None:
            if answer.ok:
                return await self.member_saves.save_sent(attempt, answer)
            if await self._refuses_members(attempt, answer):
                return await self.member_saves.save_refused(attempt, answer)
        if answer.ok:
            return await self.saves.save_written(attempt, answer)
        if answer.kind is AnswerKind.CONFLICT and not attempt.plan.is_destructive:
            return await self._settle_conflict(attempt, answer)
        return await self.failures.end_written(attempt, answer)

    async def _refuses_members(self, attempt: Attempt, answer: Answer) -> bool:
        """Whether it is the members that the vendor does not take; a 404 may be the group's or one of theirs."""
        if answer.kind is AnswerKind.NOT_FOUND:
            return (await self.exporter.read(attempt)).ok
        return answer.kind in (AnswerKind.REJECTED, AnswerKind.CONFLICT)

    async def _settle_conflict(self, attempt: Attempt, answer: Answer) -> Outcome | None:
        """Step 33: somebody has the name. Wait, give up, or step aside when we wait in a circle."""
        decision = await self.names.decide(attempt, answer)
        if decision.plan is None:
            return decision.outcome
        closed = await self.failures.close_refused(attempt, answer)
        if closed is None:
            return Outcome(kind=OutcomeKind.DONE, reason="saved_by_another")
        attempt.moved(closed)
        attempt.before, attempt.plan = closed, decision.plan
        return await self._write(attempt)

    async def _put_back(self, message: Message, outcome: Outcome, *, first: bool) -> None:
        await self.queues.send(DurableWrite.PUT_BACK, message, first=first, hidden_s=max(1.0, outcome.hidden_s))

    def _spread(self, wait_s: float) -> float:
        """A wait with jitter, so that messages put back together do not come back together."""
        return wait_s + self.jitter() * max(4.0, wait_s)


def _tell(span: tracing.Span, application: Application, outcome: Outcome) -> None:
    """What a message came to, in its span and in the count of messages. Where nothing was to do, no span is left."""
    span.set(result=outcome.kind, reason=outcome.reason, action=outcome.action)
    if outcome.kind in (OutcomeKind.LATER, OutcomeKind.ESCROWED, OutcomeKind.QUARANTINED):
        span.fail(outcome.reason)
    elif outcome.action in ("", ProvisioningAction.SKIP) and outcome.kind is not OutcomeKind.STAGED:
        span.forget()
    metrics.record(
        metrics.Metric.ACCOUNT_ACTIONS, 1, application=application.name, action=outcome.action, result=outcome.kind
    )
