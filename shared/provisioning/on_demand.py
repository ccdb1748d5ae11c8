"""One person, or one group of any size, provisioned at once because somebody asks: the helpdesk's button.

It is no second way to a vendor. The row is raised as by a change of the directory and then worked on by the consumer
itself, in this process, beside the running service; lease, intent, grace, rate limit, guard and log are its own.

    1 refuse what is paused   2 read the directory first, if asked, then 1 again   3 raise the row
    4 consumer, steps 17 to 31   5 staged: ask the guard   6 again, until nothing is left or the time is up
    7 one message for what is left

Why the order of durable writes is safe (protocol section 5): there is no new order. The raise is the puller's step 7
for one row, with a number that is new for it: under the ETag of the row that was read its own number, last field one
up, as a release of the guard or a repair of drift takes it; for somebody without a row one below every puller's, in an
insert that fails when there is a row by now. Nothing is written to the mirror, so there is nothing that the raise
would have to follow (H1): a raise too many costs a look. What decides is read after that by the consumer, as for any
message. `queued_at` stays empty: whoever dies between raise and end leaves a row that the next sweep queues. A row that
is staged is not raised, and `staged`, `permit` and `rejected` are never touched: an answer of a person, or a hold,
stands, and only `guard.release`, with the thresholds that hold for everybody, lets anybody go.

Fairness: a person who waits goes before the backlog, as far ahead as an account for which a look-up was spent, one
request at a time; the head-room of those who lose access is used only with the guard's permit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.clock import Clock
from shared.config.applications import Application
from shared.directory.mirror import Mirror
from shared.provisioning.account_rows import AccountRows, RowMoved
from shared.provisioning.accounts import FROM_START, Account, ResourceKind
from shared.provisioning.applications_state import UNREADABLE, ApplicationStates, ApplicationStatus
from shared.provisioning.attempt import Outcome, OutcomeKind
from shared.provisioning.checkpoint import Checkpoints
from shared.provisioning.directory_sync import DirectorySync
from shared.provisioning.guard import GuardKeeper, loses_members
from shared.provisioning.memberships import Memberships
from shared.provisioning.on_demand_report import (
    OnDemandOutcome,
    OnDemandReport,
    RefreshOutcome,
    action_of,
    has_written,
    judge_outcome,
    tell_attempts,
    tell_next,
    told_last,
)
from shared.provisioning.provisioning_log import Step
from shared.provisioning.reconcile import Reconciler
from shared.provisioning.standing import judge_standing, needs_groups
from shared.provisioning.steps import all_six, import_step, scoping_step, unjudged_step
from shared.rules.failures import InvalidData
from shared.storage.durable_writes import DurableWrite
from shared.storage.queues import Message, Queues

BUDGET_S = 20.0
"""No attempt is begun after this."""

_REFRESH_SHARE = 0.5
"""Of the budget; reading the directory stops at the page after it."""

_TRIES = 5
_ROUNDS = 5000
"""More than any budget has time for."""

_SOONEST_S, _LONGEST_S = 0.1, 2.0
"""Between two looks at a row that another worker has; each wait is twice the one before."""


@dataclass(slots=True, kw_only=True)
class _Run:
    """The state of one request."""

    application: Application
    message: Message
    started: float
    refreshed: RefreshOutcome = RefreshOutcome.NOT_ASKED
    quarantine: str = ""
    """Reason of the quarantine that this is a probe of; a quarantine with another one is not ended by it."""
    runs: list[Outcome] = field(default_factory=list)
    until: datetime | None = None
    """When it goes on without us."""


@dataclass(slots=True, kw_only=True)
class OnDemand:
    """Provisions one account at once."""

    rows: AccountRows
    mirror: Mirror
    states: ApplicationStates
    checkpoints: Checkpoints
    guard: GuardKeeper
    memberships: Memberships
    directory_sync: DirectorySync
    reconciler: Reconciler
    queues: Queues
    clock: Clock
    new_id: Callable[[], str]
    budget_s: float = BUDGET_S

    async def provision(
        self, application: Application, kind: ResourceKind, source_id: str, *, refresh: bool = False, trace: str = ""
    ) -> OnDemandReport:
        """Provision one user or group now, and tell what was done. Safe to repeat, and beside the running service.

        `refresh`: run the sync first, so that the directory's newest changes count. Ends within the budget and the
        length of one request to the vendor. Raises StorageUnavailable, and bugs as the consumer does; the account is
        then left to the sweep.
        """
        message = Message(app=application.name, kind=kind, id=source_id, trace=trace or self.new_id())
        run = _Run(application=application, message=message, started=self.clock.monotonic())
        refused = await self._check_stopped(run)
        if refresh and not refused:
            run.refreshed = await self._read_directory(run)
            # That takes seconds: a person may have paused the application by now, or its assignments proved unreadable.
            refused = await self._check_stopped(run)
        if refused:
            return await self._refuse(run, *refused)
        account = await self._raise(run)
        if account is None:
            return await self._tell_without_row(run)
        account = await self._work(run, account)
        ended = False
        if run.quarantine and has_written(run.runs):
            ended = await self.states.lift_quarantine(application.name, reason=run.quarantine)
        return await self._report(run, account, quarantine_ended=ended)

    # 1

    async def _check_stopped(self, run: _Run) -> tuple[OnDemandOutcome, str] | None:
        """Why nothing is done for this application; otherwise note the quarantine that this is a probe of."""
        if not run.application.enabled:
            return OnDemandOutcome.SKIPPED, "not_enabled"
        state = await self.states.read_fresh(run.application.name)
        if state.status is ApplicationStatus.PAUSED:
            return OnDemandOutcome.PAUSED, state.reason
        if state.is_stopped and state.reason == UNREADABLE:
            # Who is assigned is not known: no probe goes out either.
            return OnDemandOutcome.QUARANTINED, state.reason
        run.quarantine = state.reason if state.is_stopped else ""
        return None

    # 2

    async def _read_directory(self, run: _Run) -> RefreshOutcome:
        """The ordinary sync, under its own lease; whoever has it already is not disturbed."""
        report = await self.directory_sync.pull(trace=run.message.trace, within_s=self.budget_s * _REFRESH_SHARE)
        match report.outcome:
            case "pulled" | "nothing new":
                return RefreshOutcome.READ
            case "to be continued":
                return RefreshOutcome.UNFINISHED
            case "waiting" | "lease lost" | "throttled":
                return RefreshOutcome.BUSY
            case _:
                return RefreshOutcome.FAILED

    # 3

    async def _raise(self, run: _Run) -> Account | None:
        """The row, raised where an attempt would find nothing to do; None: there is none, and nobody is to have one."""
        application, message = run.application, run.message
        kind, judged = ResourceKind(message.kind), False
        for _ in range(_TRIES):
            account = await self.rows.read(application.name, kind, message.id)
            if not account.wanted and not judged:
                if not await self._should_exist(run):
                    return None
                judged = True
            waits_untried = account.pending and account.tried != account.wanted
            if waits_untried or account.staged or account.permit or account.is_held():
                return account
            compares = kind is ResourceKind.GROUP and not account.fill
            try:
                fill = FROM_START if compares else account.fill
                await self.rows.raise_asked(account, trace=message.trace, fill=fill)
            except RowMoved:
                continue
            return account
        return account

    async def _should_exist(self, run: _Run) -> bool:
        """Whether somebody without a row is to have one; the steps say why not."""
        application, message = run.application, run.message
        facts = await self.mirror.read_facts(message.kind, message.id)
        groups = await self.mirror.read_assigned_groups(application.name) if needs_groups(application, facts) else {}
        steps: tuple[Step, ...]
        try:
            standing = judge_standing(application, facts, groups)
        except InvalidData as error:
            steps, reason, is_active = (import_step(facts), unjudged_step(error)), str(error), False
        else:
            steps, reason, is_active = (import_step(facts), scoping_step(standing)), standing.reason, standing.is_active
        if not is_active:
            run.runs.append(Outcome(kind=OutcomeKind.ENDED, reason=reason, steps=steps))
        return is_active

    # 4 to 6

    async def _work(self, run: _Run, account: Account) -> Account:
        """Attempts, until nothing is left, somebody else is waited for or the time is up; answers the row then."""
        wait_s, asked_guard = _SOONEST_S, False
        for _ in range(_ROUNDS):
            outcome = await self.reconciler.provision(
                run.message, first=bool(account.permit), probing=bool(run.quarantine), asked=True
            )
            run.runs.append(outcome)
            account = await self.rows.read(account.application, account.kind, account.source_id)
            now, left_s = self.clock.now(), self._left_s(run)
            if outcome.kind is OutcomeKind.STAGED or outcome.reason == "held":
                run.until = None
                if asked_guard or left_s <= 0:
                    return account
                asked_guard = True
                await self._ask_guard(run)
                account = await self.rows.read(account.application, account.kind, account.source_id)
                if not account.permit:
                    return account
                continue
            run.until = goes_on_at(outcome, account, now)
            if run.until is None:
                return account
            ahead_s = max(0.0, (run.until - now).total_seconds())
            is_leased = outcome.reason == "leased"
            if left_s <= 0 or (ahead_s > left_s and not is_leased):
                await self._leave_to_queue(run, outcome, account, ahead_s)
                return account
            wait_s = min(wait_s * 2, _LONGEST_S) if is_leased else _SOONEST_S
            if ahead_s:
                await self._wait(min(ahead_s, wait_s) if is_leased else ahead_s)
        return account

    async def _ask_guard(self, run: _Run) -> None:
        """Let it decide now, unless others may be staged yet who leave together with this one."""
        if (await self.checkpoints.read()).is_in_round(self.clock.now()):
            await self.guard.release_in_round(run.application)
        else:
            await self.guard.release(run.application)

    async def _asks_person(self, run: _Run, account: Account) -> bool:
        """Whether a person is asked about a staged account; if not, the guard has not decided yet."""
        guard = await self.guard.read(account.application)
        return bool(guard.held_up_to) or loses_members(run.application, account)

    async def _wait(self, seconds: float) -> None:
        while seconds > 0:
            await self.clock.sleep(min(seconds, _LONGEST_S))
            seconds -= _LONGEST_S

    def _left_s(self, run: _Run) -> float:
        return run.started + self.budget_s - self.clock.monotonic()

    # 7

    async def _leave_to_queue(self, run: _Run, outcome: Outcome, account: Account, hidden_s: float) -> None:
        """One message; who failed for now has sent theirs already, but not a group that goes on without a member."""
        if outcome.kind is not OutcomeKind.LATER or outcome.reason == "members_refused":
            await self.queues.send(
                DurableWrite.PUT_BACK, run.message, first=bool(account.permit), hidden_s=max(0.0, hidden_s)
            )

    # The report

    async def _refuse(self, run: _Run, outcome: OnDemandOutcome, reason: str) -> OnDemandReport:
        account = await self.rows.read(run.application.name, ResourceKind(run.message.kind), run.message.id)
        return await self._report(run, account, outcome=outcome, reason=reason)

    async def _tell_without_row(self, run: _Run) -> OnDemandReport:
        message = run.message
        account = Account(
            application=run.application.name, kind=ResourceKind(message.kind), source_id=message.id, etag=""
        )
        is_unknown = run.runs[-1].reason == "source_unknown"
        outcome = OnDemandOutcome.SOURCE_UNKNOWN if is_unknown else OnDemandOutcome.SKIPPED
        return await self._report(run, account, outcome=outcome)

    async def _report(
        self,
        run: _Run,
        account: Account,
        *,
        outcome: OnDemandOutcome | None = None,
        reason: str = "",
        quarantine_ended: bool = False,
    ) -> OnDemandReport:
        attempts = tell_attempts(run.runs)
        outcome = outcome or judge_outcome(run.runs, account)
        left = 0
        if outcome is OnDemandOutcome.UNFINISHED and account.kind is ResourceKind.GROUP:
            left = await self.memberships.count_left(account)
        undecided = outcome is OnDemandOutcome.HELD and not await self._asks_person(run, account)
        last = told_last(attempts, outcome)
        until = run.until or (account.next_attempt_at if account.pending else None)
        return OnDemandReport(
            application=run.application.name,
            kind=account.kind.value,
            source_id=account.source_id,
            target_id=account.target_id,
            outcome=outcome,
            action=action_of(attempts),
            reason=reason or (str(run.runs[-1].reason) if run.runs else ""),
            steps=last.steps if last else all_six(()),
            modified=tuple(entry for attempt in attempts for entry in attempt.modified),
            error_code=last.error_code if last else "",
            error=last.error if last else "",
            remedy=last.remedy if last else "",
            state=account.state.value if account.etag else "",
            pending=account.pending,
            next_attempt_at=until,
            next=tell_next(outcome, account, until=until, left=left, undecided=undecided),
            left=left,
            attempts=attempts,
            refreshed=run.refreshed,
            quarantine_ended=quarantine_ended,
            duration_ms=round((self.clock.monotonic() - run.started) * 1000),
            trace=run.message.trace,
        )


def goes_on_at(outcome: Outcome, account: Account, now: datetime) -> datetime | None:
    """When another attempt makes sense; None: nothing is left, or nothing that a little waiting would cure. Pure."""
    if outcome.kind is OutcomeKind.PUT_BACK and outcome.reason != "other_configuration":
        return now + timedelta(seconds=outcome.hidden_s)
    if outcome.kind is OutcomeKind.LATER:
        return account.next_attempt_at or now + timedelta(seconds=outcome.hidden_s)
    if outcome.kind is OutcomeKind.DONE and account.pending:
        waits = account.tried == account.wanted and account.next_attempt_at is not None
        return account.next_attempt_at if waits else now + timedelta(seconds=outcome.hidden_s)
    return None
