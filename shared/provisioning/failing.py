"""Answers that are not success (protocol steps 32, 34 and 35), and the conditions that never became a request.

Each method takes exactly one of the four exits. Only the winner of the conditional write sends the hidden message, so
copies of a message do not multiply (protocol T15).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from shared import metrics, telemetry
from shared.clock import Clock
from shared.provisioning.account_rows import NOTHING_FAILED, AccountRows, failure_columns
from shared.provisioning.accounts import FROM_START, Account, AccountState, ResourceKind, write_columns
from shared.provisioning.applications_state import TOO_MANY_FAILURES, ApplicationStates
from shared.provisioning.attempt import Attempt, Outcome, OutcomeKind, OwnCode
from shared.provisioning.exporting import ClientOf, priority_of
from shared.provisioning.failure_window import FailureWindows
from shared.provisioning.matching import Found, Verdict
from shared.provisioning.planning import CONTENT_REFUSED, ProvisioningAction
from shared.provisioning.provisioning_log import LogStatus
from shared.provisioning.retrying import ESCROW_LADDER, LATER_MESSAGE_LIMIT_S, escrow_until, later_delay_s
from shared.rules.failures import InvalidData
from shared.scim.answers import Answer, AnswerKind
from shared.scim.error_catalogue import ErrorCode
from shared.storage.durable_writes import DurableWrite
from shared.storage.limiter import Limiter
from shared.storage.queues import Message, Queues

SETTLING = timedelta(minutes=10)
"""A vendor may need this long to find an account it has just created (protocol T31)."""

SECOND_LOOK = timedelta(seconds=60)
"""Between the two 404s that drop a link."""

SOURCE_PATIENCE = 8
"""Tries for a source that the mirror does not know, before the row waits on the ladder."""

_APPLICATION_WIDE = frozenset({AnswerKind.UNAUTHORIZED, AnswerKind.WRONG_ENDPOINT})
_TRANSIENT = frozenset(
    {AnswerKind.THROTTLED, AnswerKind.UNREACHABLE, AnswerKind.AMBIGUOUS, AnswerKind.VERSION_MISMATCH}
)


@dataclass(slots=True, kw_only=True)
class Failures:
    """Ends attempts that did not succeed."""

    rows: AccountRows
    states: ApplicationStates
    limiter: Limiter
    windows: FailureWindows
    queues: Queues
    client_of: ClientOf
    clock: Clock
    new_id: Callable[[], str]
    jitter: Callable[[], float]
    grace_s: float

    async def end_unwritten(self, attempt: Attempt, answer: Answer) -> Outcome:
        """A look-up, or the credentials, failed before anything was written: no lease, no intent."""
        if answer.kind in _APPLICATION_WIDE:
            return await self._quarantine(attempt, answer)
        if answer.kind in _TRANSIENT:
            await self._obey_retry_after(attempt, answer)
            return await self._later(attempt, answer, leased=False)
        return await self._escrow(attempt, answer.error_code, answer.detail, leased=False, answer=answer)

    async def end_written(self, attempt: Attempt, answer: Answer) -> Outcome | None:
        """The write was sent and is not known to have succeeded. None: start again at step 18."""
        ambiguous = answer.kind is AnswerKind.AMBIGUOUS or (
            answer.kind is AnswerKind.WRONG_ENDPOINT and answer.status is not None and answer.status < 300
        )
        if ambiguous:
            return await self.save_in_doubt(attempt, answer, reason="ambiguous_answer")
        if answer.kind in _APPLICATION_WIDE:
            await self._save_refused(attempt, DurableWrite.SAVE_LATER, answer, state=AccountState.PENDING)
            return await self._quarantine(attempt, answer)
        if answer.kind is AnswerKind.NOT_FOUND and attempt.account.target_id:
            return await self._look_after_missing(attempt, answer)
        if answer.kind in _TRANSIENT:
            await self._obey_retry_after(attempt, answer)
            return await self._later(attempt, answer, leased=True)
        plan = attempt.plan
        whole = (
            plan is not None and plan.action is ProvisioningAction.DISABLE and plan.asserts and plan.state is not None
        )
        if whole and answer.error_code in CONTENT_REFUSED:
            # The whole state was refused; the next try sends only what takes the access away.
            return await self._later(attempt, answer, leased=True)
        return await self._escrow(attempt, answer.error_code, answer.detail, leased=True, answer=answer)

    async def save_in_doubt(self, attempt: Attempt, answer: Answer, *, reason: str) -> Outcome:
        """Step 32: it may have landed, or may still. The intent stays open; nothing is sent before grace is over."""
        account = attempt.account
        assert account.intent_at is not None
        again_at = account.intent_at + timedelta(seconds=self.grace_s)
        leaves = attempt.plan is not None and attempt.plan.is_destructive
        tripped = self.windows.note(account.application, ok=False, now=self.clock.now())
        saved = await self.rows.save_leased(
            DurableWrite.SAVE_IN_DOUBT,
            account,
            columns=failure_columns(
                attempt.before,
                code=answer.error_code or ErrorCode.TIMEOUT,
                text=answer.detail,
                next_attempt_at=None if leaves else again_at,
                now=attempt.now,
            ),
            entry=attempt.log(
                self.new_id(), status=LogStatus.WARNING, reason=reason, duration_ms=self._ms(attempt), answer=answer
            ),
            closes_intent=False,
        )
        if tripped:
            await self.states.impose_quarantine(account.application, TOO_MANY_FAILURES, answer.error_code)
        wait_s = max(1.0, (again_at - self.clock.now()).total_seconds()) + self.jitter()
        if leaves:
            # Asserted again soon (step 19), slower each time; everybody else waits for grace.
            wait_s = min(wait_s, later_delay_s(attempt.before.attempts, retry_after_s=None, jitter=self.jitter()) / 5)
        if saved is not None:
            await self._send(attempt, DurableWrite.ENQUEUE_LATER, hidden_s=wait_s)
            self._tell_retry(attempt, reason, wait_s)
        return Outcome(kind=OutcomeKind.LATER, reason=reason, hidden_s=wait_s)

    async def escrow_data(self, attempt: Attempt, error: InvalidData) -> Outcome:
        """The source's values do not fit the target: only a change of theirs, or of the mapping, helps."""
        return await self._escrow(
            attempt,
            ErrorCode.MISSING_VALUES if "requires" in error.reason else ErrorCode.SINGLE_VALUE_ONLY,
            str(error),
            leased=False,
        )

    async def escrow_match(self, attempt: Attempt, found: Found) -> Outcome:
        """The account with this name cannot be taken over."""
        if found.verdict is Verdict.SEVERAL:
            text = f"{len(found.target_ids)} accounts carry the matching value: {', '.join(found.target_ids[:5])}"
            return await self._escrow(attempt, ErrorCode.DUPLICATE_TARGETS, text, leased=False)
        text = f"the account {found.target_id} carries another externalId"
        return await self._escrow(attempt, OwnCode.FOREIGN_ACCOUNT, text, leased=False)

    async def escrow_taken(self, attempt: Attempt, holder: str) -> Outcome:
        """The vendor answered a create with an account that another row of ours owns."""
        text = f"the vendor returned the account of {holder}"
        return await self._escrow(attempt, ErrorCode.CONFLICT, text, leased=True)

    async def escrow_conflict(self, attempt: Attempt, code: str, text: str, *, leased: bool) -> Outcome:
        """A name clash that no waiting resolves (step 33)."""
        return await self._escrow(attempt, code, text, leased=leased)

    async def refuse_later(self, attempt: Attempt, answer: Answer, *, wait_s: float | None = None) -> Outcome:
        """A clear refusal of a write that is worth another try; `wait_s` overrides the back-off."""
        if answer.kind in _APPLICATION_WIDE:
            await self._save_refused(attempt, DurableWrite.SAVE_LATER, answer, state=None)
            return await self._quarantine(attempt, answer)
        await self._obey_retry_after(attempt, answer)
        told = answer if wait_s is None else replace(answer, retry_after_s=wait_s)
        return await self._later(attempt, told, leased=True, counts=False)

    async def close_refused(self, attempt: Attempt, answer: Answer) -> Account | None:
        """Close the intent of a write that was clearly refused, to plan another one; None when the row moved."""
        columns = {**self._closed_intent(attempt), **write_columns(error_code=answer.error_code)}
        entry = attempt.log(
            self.new_id(), status=LogStatus.WARNING, reason=answer.kind, duration_ms=self._ms(attempt), answer=answer
        )
        earlier = attempt.before
        saved = await self.rows.save_leased(
            DurableWrite.SAVE_WAITING,
            attempt.account,
            columns=columns,
            entry=entry,
            closes_intent=earlier.intent is None,
        )
        if saved is None:
            return None
        return replace(
            saved, intent=attempt.account.intent if earlier.intent is not None else None, intent_at=earlier.intent_at
        )

    async def wait_for_name(self, attempt: Attempt, wait_s: float) -> Outcome:
        """Another row of ours has the name, and will give it up (step 33). Nothing was sent."""
        answer = Answer(
            kind=AnswerKind.CONFLICT,
            error_code=ErrorCode.CONFLICT,
            retry_after_s=wait_s,
            detail="the name belongs to another account of ours that is about to give it up",
        )
        return await self._later(attempt, answer, leased=False, counts=False, write=DurableWrite.SAVE_WAITING)

    async def wait_for_source(self, attempt: Attempt) -> Outcome:
        """The mirror does not know the source: later, never destructive; on the ladder when it stays so."""
        text = f"the directory mirror does not hold this {attempt.account.kind} yet"
        answer = Answer(kind=AnswerKind.UNREACHABLE, error_code=OwnCode.SOURCE_UNKNOWN, detail=text)
        if attempt.account.tried == attempt.account.wanted and attempt.account.attempts >= SOURCE_PATIENCE:
            return await self._escrow(attempt, OwnCode.SOURCE_UNKNOWN, text, leased=False)
        return await self._later(attempt, answer, leased=False, counts=False)

    async def skip_create(self, attempt: Attempt) -> Outcome:
        """The profile never creates accounts and none exists to match."""
        if attempt.account.kind is ResourceKind.GROUP:
            return await self._wait_for_group(attempt)
        entry = attempt.log(
            self.new_id(), status=LogStatus.SKIPPED, reason="create_off", duration_ms=self._ms(attempt), action="other"
        )
        await self.rows.save_nothing(attempt.account, state=AccountState.SKIPPED, config=attempt.config, entry=entry)
        self.tell_skip(attempt, "create_off")
        return Outcome(kind=OutcomeKind.DONE, reason="create_off", action=ProvisioningAction.SKIP)

    async def _wait_for_group(self, attempt: Attempt) -> Outcome:
        """A person makes the group at the vendor, sooner or later: looked for again on the ladder, then daily.

        It does not count as a failure.
        """
        before, now = attempt.before, self.clock.now()
        _, next_at = _next_on_ladder(before, now)
        next_at = next_at or now + ESCROW_LADDER[-1]
        text = "create_group_at_vendor"
        columns = {
            **failure_columns(before, code=OwnCode.GROUP_MISSING, text=text, next_attempt_at=next_at, now=now),
            **write_columns(state=AccountState.SKIPPED, config=attempt.config, fill=FROM_START, skipped=text),
        }
        entry = attempt.log(
            self.new_id(),
            status=LogStatus.SKIPPED,
            reason=text,
            duration_ms=self._ms(attempt),
            action="other",
            code=OwnCode.GROUP_MISSING,
        )
        await self.rows.save_unleased(DurableWrite.ESCROW, attempt.account, columns=columns, entry=entry)
        self.tell_skip(attempt, text)
        return Outcome(kind=OutcomeKind.DONE, reason=text, action=ProvisioningAction.SKIP)

    async def _look_after_missing(self, attempt: Attempt, answer: Answer) -> Outcome | None:
        """Step 34: drop a link only on a second certain 404 of an account that had time to settle (protocol T31)."""
        account = attempt.account
        there = await self.client_of(attempt.application).read(
            attempt.resource_type, account.target_id, priority=priority_of(attempt)
        )
        if there.ok:
            return await self._escrow(attempt, answer.error_code, answer.detail, leased=True, answer=answer)
        if there.kind is not AnswerKind.NOT_FOUND:
            return await self._later(attempt, there, leased=True)
        now = self.clock.now()
        settled = account.linked_at is None or now - account.linked_at >= SETTLING
        if not settled or account.missed_at is None or now - account.missed_at < SECOND_LOOK:
            columns = write_columns(missed_at=account.missed_at or now)
            return await self._later(attempt, answer, leased=True, write=DurableWrite.MISSED, more=columns)
        return await self._unlink(attempt, answer)

    async def _unlink(self, attempt: Attempt, answer: Answer) -> Outcome | None:
        account = attempt.account
        columns = write_columns(
            target_id=None, target_version=None, linked_at=None, missed_at=None, sent=None, intent=None, intent_at=None
        )
        if account.kind is ResourceKind.GROUP:
            columns["members"] = 0
        entry = attempt.log(
            self.new_id(),
            status=LogStatus.WARNING,
            reason="link_broken",
            duration_ms=self._ms(attempt),
            answer=answer,
            action="other",
        )
        saved = await self.rows.save_leased(
            DurableWrite.UNLINK,
            account,
            columns=columns,
            entry=entry,
            closes_intent=True,
            unlink=account.target_id,
        )
        return None if saved is not None else Outcome(kind=OutcomeKind.DONE, reason="saved_by_another")

    async def _later(
        self,
        attempt: Attempt,
        answer: Answer,
        *,
        leased: bool,
        counts: bool = True,
        write: DurableWrite = DurableWrite.SAVE_LATER,
        more: dict[str, Any] | None = None,
    ) -> Outcome:
        """Exit *later*: nothing was done, the same message comes back hidden."""
        before = attempt.before
        attempts = before.attempts if before.tried == before.wanted else 0
        delay_s = later_delay_s(attempts, retry_after_s=answer.retry_after_s, jitter=self.jitter())
        if counts and answer.kind is not AnswerKind.THROTTLED:
            tripped = self.windows.note(before.application, ok=False, now=self.clock.now())
            if tripped:
                await self.states.impose_quarantine(before.application, TOO_MANY_FAILURES, answer.error_code)
        next_at = self.clock.now() + timedelta(seconds=delay_s)
        saved = await self._save_refused(
            attempt, write, answer, state=None, next_attempt_at=next_at, leased=leased, more=more
        )
        if saved and delay_s <= LATER_MESSAGE_LIMIT_S:
            await self._send(attempt, DurableWrite.ENQUEUE_LATER, hidden_s=delay_s)
        self._tell_retry(attempt, answer.kind, delay_s)
        return Outcome(kind=OutcomeKind.LATER, reason=answer.kind, hidden_s=delay_s)

    async def _save_refused(
        self,
        attempt: Attempt,
        write: DurableWrite,
        answer: Answer,
        *,
        state: AccountState | None,
        next_attempt_at: datetime | None = None,
        leased: bool = True,
        more: dict[str, Any] | None = None,
    ) -> bool:
        """Write a clear refusal down: intent closed, reason noted. True for the winner."""
        columns = {
            **failure_columns(
                attempt.before,
                code=answer.error_code,
                text=answer.detail,
                next_attempt_at=next_attempt_at,
                now=attempt.now,
            ),
            **(more or {}),
            **(write_columns(state=state) if state is not None else {}),
        }
        if answer.kind is AnswerKind.VERSION_MISMATCH:
            columns |= write_columns(target_version=None)
        entry = attempt.log(
            self.new_id(), status=LogStatus.WARNING, reason=answer.kind, duration_ms=self._ms(attempt), answer=answer
        )
        if not leased:
            await self.rows.save_unleased(write, attempt.account, columns=columns, entry=entry)
            return True
        keeps = attempt.before.intent is not None
        columns |= self._closed_intent(attempt)
        saved = await self.rows.save_leased(
            write, attempt.account, columns=columns, entry=entry, closes_intent=not keeps
        )
        return saved is not None

    def _closed_intent(self, attempt: Attempt) -> dict[str, Any]:
        """A clear refusal closes our intent; one that was open before stays open, for it is still unknown."""
        earlier = attempt.before
        if earlier.intent is None:
            return write_columns(intent=None, intent_at=None)
        return write_columns(intent=attempt.account.intent, intent_at=earlier.intent_at)

    async def _quarantine(self, attempt: Attempt, answer: Answer) -> Outcome:
        """Exit *quarantine*: the application waits for a good probe; this row stays pending and keeps no message."""
        await self.states.impose_quarantine(
            attempt.application.name, answer.error_code or answer.kind, f"{answer.status or ''} {answer.detail}".strip()
        )
        telemetry.emit(
            telemetry.Event.ACCOUNT_WAITING,
            **self._ids(attempt),
            reason="application_quarantined",
            code=answer.error_code or answer.kind,
        )
        return Outcome(kind=OutcomeKind.QUARANTINED, reason=answer.error_code or answer.kind)

    async def _escrow(
        self, attempt: Attempt, code: str, text: str, *, leased: bool, answer: Answer | None = None
    ) -> Outcome:
        """Exit *escrow* (step 35): the row says why; the sweep retries it on the ladder, a new change at once."""
        before, now = attempt.before, self.clock.now()
        failures, next_at = _next_on_ladder(before, now)
        columns = {
            **write_columns(**NOTHING_FAILED),
            **failure_columns(before, code=code, text=text[:1000], next_attempt_at=next_at, now=now),
            **write_columns(state=AccountState.ESCROWED, config=attempt.unsettled_config, pending=True),
        }
        entry = attempt.log(
            self.new_id(),
            status=LogStatus.FAILURE,
            reason=code,
            duration_ms=self._ms(attempt),
            answer=answer,
            code=code,
            error=text,
        )
        if leased:
            columns |= self._closed_intent(attempt)
            await self.rows.save_leased(
                DurableWrite.ESCROW,
                attempt.account,
                columns=columns,
                entry=entry,
                closes_intent=before.intent is None,
            )
        else:
            await self.rows.save_unleased(DurableWrite.ESCROW, attempt.account, columns=columns, entry=entry)
        if answer is not None and self.windows.note(before.application, ok=False, now=now):
            await self.states.impose_quarantine(before.application, TOO_MANY_FAILURES, code)
        telemetry.emit(
            telemetry.Event.ACCOUNT_ESCROWED,
            application=before.application,
            source_id=before.source_id,
            code=code,
            attempts=failures,
            next_attempt_at=next_at,
        )
        metrics.record(metrics.Metric.ACCOUNT_ESCROWS, 1, application=before.application, result=code)
        return Outcome(kind=OutcomeKind.ESCROWED, reason=code)

    async def _obey_retry_after(self, attempt: Attempt, answer: Answer) -> None:
        """A throttled answer holds for everybody at once."""
        if answer.kind is AnswerKind.THROTTLED:
            seconds = answer.retry_after_s if answer.retry_after_s is not None else 1.0 + self.jitter()
            await self.limiter.block(attempt.application.name, seconds)

    async def _send(self, attempt: Attempt, write: DurableWrite, *, hidden_s: float) -> None:
        account = attempt.account
        message = Message(
            app=account.application,
            kind=account.kind,
            id=account.source_id,
            attempt=attempt.number + 1,
            trace=attempt.trace,
        )
        await self.queues.send(write, message, first=attempt.first, hidden_s=hidden_s)

    def tell_skip(self, attempt: Attempt, reason: str) -> None:
        """Nothing is sent, and that is as it should be: told when the reason is another one than the row's."""
        if reason != attempt.before.skipped:
            telemetry.emit(telemetry.Event.ACCOUNT_SKIPPED, **self._ids(attempt), reason=reason)

    def _tell_retry(self, attempt: Attempt, reason: str, wait_s: float) -> None:
        telemetry.emit(
            telemetry.Event.ACCOUNT_RETRIED, **self._ids(attempt), reason=reason, retry_after_s=round(wait_s, 1)
        )

    def _ids(self, attempt: Attempt) -> dict[str, object]:
        return {
            "application": attempt.application.name,
            "source_id": attempt.account.source_id,
            "attempt": attempt.number,
        }

    def _ms(self, attempt: Attempt) -> int:
        return round((self.clock.monotonic() - attempt.started) * 1000)


def _next_on_ladder(account: Account, now: datetime) -> tuple[int, datetime | None]:
    """How often what is wanted has failed, this time included, and when it is tried again; None: given up."""
    goes_on = account.tried == account.wanted and account.failed_at is not None
    failed_at = account.failed_at if goes_on and account.failed_at else now
    failures = account.attempts + 1 if goes_on else 1
    return failures, escrow_until(failures, failed_at=failed_at, now=now)
