"""How an attempt that met no failure ends on the row (protocol steps 23, 24, 30 and 31).

What failed is in `failing`. Every save carries its log record, and the index rows that follow from it, in the same
transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from shared import metrics, telemetry
from shared.clock import Clock
from shared.provisioning.account_rows import NOTHING_FAILED, AccountRows, IndexTaken
from shared.provisioning.accounts import (
    FROM_START,
    Account,
    AccountState,
    Reference,
    ResourceKind,
    encode_references,
    write_columns,
)
from shared.provisioning.attempt import Attempt, Outcome, OutcomeKind
from shared.provisioning.failing import Failures
from shared.provisioning.member_wakeups import MemberWakeups
from shared.provisioning.memberships import Memberships
from shared.provisioning.planning import Plan, ProvisioningAction
from shared.provisioning.provisioning_log import LogStatus
from shared.provisioning.references import References
from shared.provisioning.standing import Standing
from shared.provisioning.steps import unsent_step
from shared.scim.answers import Answer
from shared.storage.durable_writes import DurableWrite
from shared.storage.queues import Message, Queues


@dataclass(slots=True, kw_only=True)
class Saves:
    """Saves what was decided and done."""

    rows: AccountRows
    references: References
    memberships: Memberships
    wakeups: MemberWakeups
    failures: Failures
    queues: Queues
    clock: Clock
    new_id: Callable[[], str]
    jitter: Callable[[], float]
    grace_s: float

    async def save_nothing(self, attempt: Attempt, *, more_columns: Mapping[str, Any] | None = None) -> Outcome:
        """Step 23: nothing different, no request at all."""
        assert attempt.plan is not None
        assert attempt.standing is not None
        state, reason = _state_of_skip(attempt.account, attempt.plan, attempt.standing)
        attempt.steps.append(unsent_step(reason))
        entry = attempt.log(
            self.new_id(),
            status=LogStatus.SKIPPED,
            reason=reason,
            duration_ms=self._elapsed_ms(attempt),
            action="other",
        )
        references = self._references_after(attempt)
        await self._tell_groups(attempt)
        left_alone = attempt.account.kind is ResourceKind.GROUP and more_columns is None
        await self.rows.save_nothing(
            attempt.account,
            state=state,
            config=attempt.config,
            entry=entry,
            references=encode_references(references),
            more_columns={"fill": FROM_START} if left_alone else more_columns,
        )
        if left_alone:
            await self.memberships.drop_changes(attempt.account)
        await self.references.forget_notes(attempt.before, references)
        self.failures.tell_skip(attempt, reason)
        return Outcome(kind=OutcomeKind.DONE, reason=reason, action=ProvisioningAction.SKIP)

    async def save_unprovisioned(self, attempt: Attempt) -> Outcome:
        """Groups of this application are switched off: the row is settled, what is at the vendor stays as it is."""
        entry = attempt.log(self.new_id(), status=LogStatus.SKIPPED, reason="groups_off", duration_ms=0, action="other")
        await self.rows.save_nothing(
            attempt.account,
            state=AccountState.SKIPPED,
            config=attempt.config,
            entry=entry,
            more_columns={"fill": FROM_START},
        )
        await self.memberships.drop_changes(attempt.account)
        self.failures.tell_skip(attempt, "groups_off")
        return Outcome(kind=OutcomeKind.DONE, reason="groups_off", action=ProvisioningAction.SKIP)

    async def stage(self, attempt: Attempt) -> Outcome:
        """Step 24: no destructive write leaves without the guard's permit."""
        assert attempt.plan is not None
        attempt.steps.append(unsent_step("staged_for_deletion_guard"))
        entry = attempt.log(
            self.new_id(),
            status=LogStatus.SKIPPED,
            reason="staged_for_deletion_guard",
            duration_ms=self._elapsed_ms(attempt),
            action="stageddelete",
        )
        removing = attempt.batch.leaving if attempt.plan.empties and attempt.batch else 0
        await self.rows.stage(attempt.account, config=attempt.unsettled_config, entry=entry, removing=removing)
        telemetry.emit(telemetry.Event.ACCOUNT_STAGED, **self._ids(attempt), reason=attempt.plan.reason)
        if removing and not attempt.before.removing:
            telemetry.emit(telemetry.Event.DELETIONS_HELD, **self._ids(attempt), count=removing)
        return Outcome(kind=OutcomeKind.STAGED, reason=attempt.plan.reason, action=attempt.plan.action)

    async def save_written(self, attempt: Attempt, answer: Answer) -> Outcome | None:
        """Step 30: success. One write brings the row, its index rows and the log up to date."""
        assert attempt.plan is not None
        plan, leased = attempt.plan, attempt.account
        deleted = plan.action is ProvisioningAction.DELETE
        created = plan.action is ProvisioningAction.CREATE
        target_id = "" if deleted else (answer.id or leased.target_id)
        if created and not target_id:
            return await self.failures.save_in_doubt(attempt, answer, reason="created_without_id")
        keeps_doubt = attempt.reasserts_early and not deleted
        columns = self._columns_after(attempt, answer, plan, target_id=target_id, keeps_doubt=keeps_doubt)
        await self._tell_groups(attempt)
        entry = attempt.log(
            self.new_id(),
            status=LogStatus.SUCCESS,
            reason=plan.reason,
            duration_ms=self._elapsed_ms(attempt),
            answer=answer,
        )
        try:
            saved = await self.rows.save_leased(
                DurableWrite.SAVE,
                leased,
                columns=columns,
                entry=entry,
                closes_intent=not keeps_doubt,
                link=target_id if created else "",
                unlink=leased.target_id if deleted else "",
            )
        except IndexTaken as taken:
            return await self.failures.escrow_taken(attempt, taken.holder)
        if saved is None:
            return Outcome(kind=OutcomeKind.DONE, reason="saved_by_another", action=plan.action)
        self.failures.windows.note(leased.application, ok=True, now=self.clock.now())
        telemetry.emit(
            telemetry.Event.ACCOUNT_PROVISIONED,
            **self._ids(attempt),
            action=plan.action,
            reason=plan.reason,
            duration_ms=self._elapsed_ms(attempt),
            latency_s=self._tell_latency(attempt, plan),
            target_id=target_id,
        )
        await self.references.forget_notes(attempt.before, self._references_after(attempt))
        if deleted and leased.kind is ResourceKind.GROUP:
            await self.memberships.drop_sent(leased)
        if saved.waking and await self.references.wake(saved):
            await self.references.forget_waking(saved)
        await self._enqueue_again(attempt, saved, keeps_doubt=keeps_doubt)
        return Outcome(kind=OutcomeKind.DONE, reason=plan.reason, action=plan.action)

    async def _tell_groups(self, attempt: Attempt) -> None:
        """A user gets a link, is switched off or comes back: their groups look at it (protocol T7 and T29).

        Who is linked with nothing known of what was sent may have got the link just now, or in an attempt that died.
        """
        account, before, plan = attempt.account, attempt.before, attempt.plan
        if account.kind is not ResourceKind.USER or not attempt.application.has_members or plan is None:
            return
        groups = attempt.application.resource(ResourceKind.GROUP)
        is_linked = plan.action is ProvisioningAction.CREATE or bool(account.target_id)
        returns = before.state is AccountState.DISABLED and plan.action is ProvisioningAction.UPDATE
        drops = attempt.application.users.disable_drops_members
        moves = groups.disabled_members == "remove" and (returns or plan.action is ProvisioningAction.DISABLE)
        if (is_linked and before.sent is None) or moves or (returns and drops):
            await self.wakeups.tell(attempt, again=returns and drops)

    def _has_members(self, attempt: Attempt) -> bool:
        return attempt.account.kind is ResourceKind.GROUP and attempt.application.has_members

    def _references_after(self, attempt: Attempt) -> Mapping[str, Reference]:
        """Whom the row refers to from now on. Who leaves keeps what was sent; who is deleted refers to nobody."""
        assert attempt.plan is not None
        if attempt.plan.action is ProvisioningAction.DELETE:
            return {}
        is_active = attempt.standing is not None and attempt.standing.is_active
        return attempt.references if is_active and not attempt.plan.parks else attempt.before.references

    def _columns_after(
        self, attempt: Attempt, answer: Answer, plan: Plan, *, target_id: str, keeps_doubt: bool
    ) -> dict[str, Any]:
        """What the row says after a successful write."""
        columns = write_columns(
            applied=attempt.seen,
            tried=attempt.seen,
            target_id=target_id,
            target_version=answer.etag or "",
            sent=None if plan.action is ProvisioningAction.DELETE else plan.state,
            config=attempt.config,
            state=_state_of_write(plan),
            references=encode_references(self._references_after(attempt)),
            waking=attempt.hit is not None and attempt.account.waking,
            missed_at=None,
            **({"linked_at": attempt.now} if plan.action is ProvisioningAction.CREATE else {}),
            **NOTHING_FAILED,
        )
        if keeps_doubt:
            # A write that was sent before ours may still land: the intent keeps its age, and is asserted once more.
            assert attempt.before.intent_at is not None
            again_at = attempt.before.intent_at + timedelta(seconds=self.grace_s)
            columns |= write_columns(intent_at=attempt.before.intent_at, next_attempt_at=again_at)
        else:
            columns |= write_columns(intent=None, intent_at=None, permit=None)
        if not plan.is_destructive:
            columns |= write_columns(staged=None, permit=None)
        # A row that was due without a raise, after a restart, say, had applied what is wanted: something is left now.
        earlier = attempt.before.applied if attempt.before.applied != attempt.seen else None
        if self._has_members(attempt) and plan.action is not ProvisioningAction.DELETE:
            # Not applied: the memberships come with the next attempt.
            columns |= write_columns(applied=earlier, tried=None, state=AccountState.PENDING)
            if attempt.before.sent is None or attempt.before.fill == FROM_START:
                columns["fill"] = FROM_START
            if plan.action is ProvisioningAction.CREATE or attempt.hit is not None:
                columns["members"] = 0
        links = plan.action is ProvisioningAction.CREATE or attempt.hit is not None
        if plan.parks or (links and self.references.awaits_itself(attempt)):
            # Not applied: the name that is wanted, or the reference to itself, comes with the next attempt.
            columns |= write_columns(applied=earlier, tried=None, state=AccountState.PENDING)
        return columns

    async def _enqueue_again(self, attempt: Attempt, saved: Account, *, keeps_doubt: bool) -> None:
        """Step 31: raised while we were at it, or to be asserted once more after grace."""
        if not (saved.pending or keeps_doubt):
            return
        if attempt.asked and not keeps_doubt:
            # Whoever asked goes on.
            return
        hidden_s = max(0.0, attempt.grace_left_s(self.grace_s)) + self.jitter() if keeps_doubt else 0.0
        await self.queues.send(
            DurableWrite.ENQUEUE_AGAIN, self._message(attempt), first=attempt.first, hidden_s=hidden_s
        )

    def _message(self, attempt: Attempt) -> Message:
        account = attempt.account
        return Message(app=account.application, kind=account.kind, id=account.source_id, trace=attempt.trace)

    def _ids(self, attempt: Attempt) -> dict[str, object]:
        return {
            "application": attempt.application.name,
            "source_id": attempt.account.source_id,
            "attempt": attempt.number,
        }

    def _tell_latency(self, attempt: Attempt, plan: Plan) -> float | None:
        """Seconds since the account was queued, for which it was raised; None when nobody queued it."""
        queued_at = attempt.before.queued_at
        if queued_at is None:
            return None
        latency_s = max(0.0, (self.clock.now() - queued_at).total_seconds())
        metrics.record(
            metrics.Metric.ACCOUNT_LATENCY, latency_s, application=attempt.application.name, action=plan.action
        )
        return round(latency_s, 3)

    def _elapsed_ms(self, attempt: Attempt) -> int:
        return round((self.clock.monotonic() - attempt.started) * 1000)


def _state_of_skip(account: Account, plan: Plan, standing: Standing) -> tuple[AccountState, str]:
    """The state of a row with an empty plan, and Entra's word for the log."""
    if plan.reason == "unchanged":
        return AccountState.IN_SYNC, "RedundantExport"
    if plan.reason == "already_disabled":
        return AccountState.DISABLED, "RedundantExport"
    if plan.reason == "never_provisioned":
        state = AccountState.DELETED if account.state is AccountState.DELETED else AccountState.SKIPPED
        return state, standing.reason
    return AccountState.SKIPPED, plan.reason


def _state_of_write(plan: Plan) -> AccountState:
    match plan.action:
        case ProvisioningAction.DELETE:
            return AccountState.DELETED
        case ProvisioningAction.DISABLE:
            return AccountState.DISABLED
        case _:
            return AccountState.IN_SYNC
