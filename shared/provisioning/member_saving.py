"""How an attempt at a group's memberships ends on the group's row (protocol steps 23, 30 and 31).

A group with more memberships to change than one request holds stays pending, and is queued again at once; its row is
applied when nothing is left that could be done now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from shared import telemetry
from shared.clock import Clock
from shared.provisioning.account_rows import NOTHING_FAILED, AccountRows, failure_columns
from shared.provisioning.accounts import FROM_START, Account, AccountState, write_columns
from shared.provisioning.attempt import Attempt, Outcome, OutcomeKind, OwnCode
from shared.provisioning.failing import Failures
from shared.provisioning.member_changes import MemberBatch, MemberChange
from shared.provisioning.member_look import IN_DOUBT_S, user_of
from shared.provisioning.member_wakeups import MemberWakeups
from shared.provisioning.memberships import Memberships, doubtful_members, removal_columns
from shared.provisioning.planning import EMPTIED, ProvisioningAction
from shared.provisioning.provisioning_log import LogEntry, LogStatus
from shared.provisioning.saving import Saves
from shared.scim.answers import Answer
from shared.storage.durable_writes import DurableWrite
from shared.storage.queues import Message, Queues

REFUSALS_IN_A_ROW = 12
"""Halving a request of a hundred down to one takes seven; after some more refusals it is the group, not its members."""


@dataclass(slots=True, kw_only=True)
class MemberSaves:
    """Saves what was found out and written about memberships."""

    rows: AccountRows
    memberships: Memberships
    wakeups: MemberWakeups
    saves: Saves
    failures: Failures
    queues: Queues
    clock: Clock
    new_id: Callable[[], str]

    async def save_looked(self, attempt: Attempt) -> Outcome:
        """Step 23: nothing of what was looked at needs a request."""
        assert attempt.batch is not None
        batch = attempt.batch
        await self.memberships.note(attempt)
        if batch.is_last and not batch.refused:
            outcome = await self.saves.save_nothing(attempt, more_columns=self._settled_columns(attempt))
            await self.wakeups.look_again(attempt.account)
            return outcome
        columns = {**write_columns(intent=None, intent_at=None, lease_token=None), **self._left_columns(attempt)}
        await self.rows.save_unleased(DurableWrite.SAVE_NOTHING, attempt.account, columns=columns, entry=None)
        await self._go_on(attempt)
        return Outcome(
            kind=OutcomeKind.DONE,
            reason="members_compared",
            action=ProvisioningAction.SKIP,
            hidden_s=self._waits(attempt),
        )

    async def save_sent(self, attempt: Attempt, answer: Answer) -> Outcome:
        """Step 30: the vendor has them. What was sent is noted before the row stops saying that it is in doubt."""
        assert attempt.batch is not None
        batch, leased = attempt.batch, attempt.account
        change = batch.change
        await self.memberships.note(attempt)
        columns = {
            **write_columns(target_version=answer.etag or "", intent=None, intent_at=None, missed_at=None),
            **write_columns(members=max(0, leased.members + len(change.added) - len(change.removed))),
            **write_columns(chunk=_chunk_after(attempt)),
            **removal_columns(leased, len(change.removed), attempt.now),
            **(self._settled_columns(attempt) if batch.is_last and not batch.refused else self._left_columns(attempt)),
        }
        saved = await self._save(attempt, DurableWrite.SAVE, columns, self._entry(attempt, LogStatus.SUCCESS, answer))
        if saved is None:
            return Outcome(kind=OutcomeKind.DONE, reason="saved_by_another", action=ProvisioningAction.UPDATE)
        self.failures.windows.note(leased.application, ok=True, now=self.clock.now())
        telemetry.emit(
            telemetry.Event.MEMBERS_CHANGED,
            application=leased.application,
            source_id=leased.source_id,
            target_id=leased.target_id,
            added=len(change.added),
            removed=len(change.removed),
            duration_ms=self._ms(attempt),
        )
        if saved.pending:
            await self._go_on(attempt)
        else:
            await self.wakeups.look_again(saved)
        return Outcome(kind=OutcomeKind.DONE, reason="members_changed", action=ProvisioningAction.UPDATE)

    async def save_refused(self, attempt: Attempt, answer: Answer) -> Outcome:
        """The vendor refuses the request for its content: one bad member must not keep the others out.

        Half as many are tried next; one who is refused alone waits on the ladder, and the group goes on.
        """
        assert attempt.batch is not None
        batch, before = attempt.batch, attempt.before
        self.failures.windows.note(before.application, ok=False, now=self.clock.now())
        user_ids = batch.change.user_ids
        if before.attempts >= REFUSALS_IN_A_ROW:
            return await self.failures.escrow_conflict(attempt, answer.error_code, answer.detail, leased=True)
        columns = {
            **write_columns(intent=None, intent_at=None, pending=True, attempts=before.attempts + 1),
            **write_columns(error_code=answer.error_code, error=answer.detail),
        }
        if doubtful_members(before):
            # What an earlier request did is as unknown as before: it is asserted in smaller requests.
            await self.memberships.note_doubtful(attempt)
        if len(user_ids) > 1:
            columns["chunk"] = (len(user_ids) + 1) // 2
        else:
            await self.memberships.note_refused(attempt, user_ids[0], answer)
            settled = tuple(key for key in batch.settled if user_of(key) != user_ids[0])
            attempt.batch = replace(
                batch, change=MemberChange(), settled=settled, forgotten={}, postponed=_others(batch, user_ids[0])
            )
            await self.memberships.note(attempt)
            columns |= {"chunk": 1, "fill": batch.fill}
        await self._save(attempt, DurableWrite.SAVE_LATER, columns, self._entry(attempt, LogStatus.FAILURE, answer))
        await self._go_on(attempt)
        return Outcome(kind=OutcomeKind.LATER, reason="members_refused", hidden_s=self._waits(attempt))

    def _settled_columns(self, attempt: Attempt) -> dict[str, Any]:
        """Nothing is left."""
        assert attempt.plan is not None
        emptied = not (attempt.standing is not None and attempt.standing.is_active)
        return {
            **write_columns(applied=attempt.seen, tried=attempt.seen, config=attempt.config),
            **write_columns(state=AccountState.SKIPPED if emptied else AccountState.IN_SYNC),
            **write_columns(fill=FROM_START if emptied else "", staged=None, permit=None, removing=0),
            **write_columns(**NOTHING_FAILED),
        }

    def _left_columns(self, attempt: Attempt) -> dict[str, Any]:
        """Something is left: now, or, where all of it was refused before, when the ladder says."""
        assert attempt.batch is not None
        batch = attempt.batch
        columns = write_columns(pending=True, fill=batch.fill, config=attempt.config)
        if not batch.is_last and self._waits(attempt) >= IN_DOUBT_S:
            # No message: the sweep brings it back, and a new change at once.
            again_at = attempt.now + timedelta(seconds=IN_DOUBT_S)
            return {**columns, **write_columns(tried=attempt.seen, next_attempt_at=again_at)}
        if not batch.is_last:
            return {**columns, **write_columns(**NOTHING_FAILED, state=AccountState.PENDING, tried=None)}
        text = f"{batch.refused} members were refused; the first with {batch.refused_code}"
        failed = failure_columns(
            attempt.before,
            code=OwnCode.MEMBERS_REFUSED,
            text=text,
            next_attempt_at=batch.refused_until,
            now=attempt.now,
        )
        return {**columns, **failed, **write_columns(state=AccountState.ESCROWED)}

    async def _save(
        self, attempt: Attempt, write: DurableWrite, columns: Mapping[str, Any], entry: LogEntry
    ) -> Account | None:
        return await self.rows.save_leased(write, attempt.account, columns=columns, entry=entry, closes_intent=True)

    def _entry(self, attempt: Attempt, status: LogStatus, answer: Answer) -> LogEntry:
        reason = EMPTIED if attempt.standing is not None and not attempt.standing.is_active else "members_changed"
        return attempt.log(self.new_id(), status=status, reason=reason, duration_ms=self._ms(attempt), answer=answer)

    async def _go_on(self, attempt: Attempt) -> None:
        """Step 31: the next part; what only waits for accounts under way waits a little.

        Who asked goes on by themselves, and leaves one message when their time is up.
        """
        assert attempt.batch is not None
        batch, account = attempt.batch, attempt.account
        if batch.is_last and batch.refused:
            return
        wait_s = self._waits(attempt)
        if wait_s >= IN_DOUBT_S or attempt.asked:
            return
        message = Message(app=account.application, kind=account.kind, id=account.source_id, trace=attempt.trace)
        await self.queues.send(DurableWrite.ENQUEUE_AGAIN, message, first=attempt.first, hidden_s=wait_s)

    def _waits(self, attempt: Attempt) -> float:
        """Seconds to wait when all that is left are accounts that are being written; 0: go on."""
        batch = attempt.batch
        assert batch is not None
        is_idle = not (batch.change.user_ids or batch.settled or batch.fill != attempt.before.fill)
        return batch.wait_s if is_idle else 0.0

    def _ms(self, attempt: Attempt) -> int:
        return round((self.clock.monotonic() - attempt.started) * 1000)


def _chunk_after(attempt: Attempt) -> int:
    """After a refusal the requests grow again, doubling, as long as they are taken."""
    chunk = attempt.account.chunk * 2
    return 0 if chunk >= attempt.resource.members_per_patch else chunk


def _others(batch: MemberBatch, user_id: str) -> dict[str, bool]:
    return {other: left for other, left in batch.postponed.items() if other != user_id}
