"""The backlog lives in storage, not in the queue: the top-up and the sweep bring it there in the vendor's pace.

Step 37 of the protocol. A queue never holds more than about two minutes of the vendor's rate; what is waiting is known
from `pending` in the rows, and from the lists of those that are still to be raised (`raise_lists`), so nothing is
lost when a message vanishes or was never sent.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from shared import telemetry
from shared.clock import Clock
from shared.config.applications import Application, Applications
from shared.provisioning.account_lists import list_accounts
from shared.provisioning.accounts import (
    ACCOUNTS,
    Account,
    AccountState,
    ResourceKind,
    write_columns,
)
from shared.provisioning.applications_state import ApplicationState, ApplicationStates
from shared.provisioning.generations import is_behind, row_config
from shared.provisioning.raise_lists import RaiseLists
from shared.provisioning.retrying import is_due
from shared.storage.durable_writes import DurableWrite
from shared.storage.queues import Message, Queues
from shared.storage.tables import Operation, Tables, gather_all

if TYPE_CHECKING:
    from shared.provisioning.pull_run import PullRun

QUEUE_DEPTH_S = 120.0
"""How much of the vendor's rate a queue may hold."""

UNLIMITED_RATE = 25.0
"""Accounts per second assumed for a vendor without a limit (Entra asks gallery servers for 25 requests a second)."""

_BATCH = 100
"""Rows stamped and queued between two looks at the lease."""

DUE_COLUMNS = (
    "target_id",
    "wanted",
    "applied",
    "tried",
    "pending",
    "queued_at",
    "trace",
    "config",
    "state",
    "next_attempt_at",
    "lease_token",
    "lease_until",
    "intent",
    "intent_at",
    "staged",
    "permit",
    "rejected",
    "waking",
    "error_code",
)
"""What says whether a row needs an attempt."""


class Due(StrEnum):
    """Where a row's message belongs now."""

    NOT = "not"
    ORDINARY = "ordinary"
    FIRST = "first"
    """Somebody loses access."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DueRules:
    """What `judge_due` compares with."""

    config: str
    grace: timedelta
    sweep_after: timedelta
    resumed_at: datetime | None = None
    """End of the application's last pause or quarantine: messages sent before it were ended without work."""


def judge_due(account: Account, rules: DueRules, now: datetime) -> Due:
    """Whether a row needs a message that it does not have. Pure (protocol T2, step 37).

    Due are: rows never queued, rows queued so long ago that the message must be lost, open intents past grace, rows
    applied with another configuration, escrowed rows whose time has come, linked rows whose reports were not told. Not
    due: rows held or staged for the guard, leased rows, rows that wait for their next attempt.
    """
    reconfigured = bool(account.wanted) and is_behind(account.config, rules.config)
    in_doubt = account.is_in_doubt(now)
    if not (account.pending or in_doubt or reconfigured or account.waking) or account.is_leased(now):
        return Due.NOT
    if account.is_held() or (account.staged and not account.permit):
        return Due.NOT
    if account.tried == account.wanted and not is_due(account.next_attempt_at, now):
        return Due.NOT
    if account.state is AccountState.ESCROWED and account.tried == account.wanted and account.next_attempt_at is None:
        return Due.NOT
    if in_doubt and account.intent_at is not None and now < account.intent_at + rules.grace and not account.permit:
        return Due.NOT
    is_queued = account.queued_at is not None and now < account.queued_at + rules.sweep_after
    was_dropped = (
        rules.resumed_at is not None and account.queued_at is not None and account.queued_at < rules.resumed_at
    )
    if is_queued and not was_dropped:
        return Due.NOT
    return Due.FIRST if account.permit else Due.ORDINARY


async def _nothing() -> None:
    """Nothing to keep."""


class Backlog:
    """Queues due rows, paced."""

    def __init__(
        self,
        *,
        applications: Applications,
        tables: Tables,
        lists: RaiseLists,
        queues: Queues,
        states: ApplicationStates,
        clock: Clock,
        grace: timedelta,
        sweep_after: timedelta,
    ) -> None:
        self._applications = applications
        self._tables = tables
        self._lists = lists
        self._queues = queues
        self._states = states
        self._clock = clock
        self._grace = grace
        self._sweep_after = sweep_after

    async def top_up(self, run: PullRun) -> None:
        """Fill the queues of applications with a backlog up to two minutes of their rate, under the puller's lease.

        Goes on where the last top-up ended, so that every row gets its turn; the backlog is over when a whole turn
        finds nothing left.
        """
        for app, cursor in dict(run.checkpoint.backlog).items():
            application = self._applications.get(app)
            if application is None or not application.enabled:
                run.checkpoint = run.checkpoint.with_backlog(app, None)
                continue
            reached = await self._queue_from(application, cursor, after_page=run.renew)
            if reached is None and cursor:
                reached = await self._queue_from(application, "", after_page=run.renew)
            run.checkpoint = run.checkpoint.with_backlog(app, reached)
            await run.renew()

    async def sweep(self) -> Mapping[str, int]:
        """Queue everything that is due, application by application; answers how many were queued."""
        queued: dict[str, int] = {}
        for application in self._applications.enabled:
            before = self._queues.calls["send"]
            if await self._queue_from(application, "") is not None:
                await self._queue_leavers(application)
            queued[application.name] = self._queues.calls["send"] - before
        return queued

    async def _queue_leavers(self, application: Application) -> None:
        """Queue who loses access although the queue is full: theirs has its own room (protocol T1, T20)."""
        state = await self._states.read(application.name)
        if state.is_stopped:
            return
        room = self._depth(application) - await self._queues.count(application.name, first=True)
        rules = self._rules(application, state)
        async for page in self._read_rows(application.name, "permit ne ''", after=""):
            now = self._clock.now()
            due = [account for account in page if judge_due(account, rules, now) is Due.FIRST][: max(room, 0)]
            await self._queue(application.name, [(account, True) for account in due], now)
            room -= len(due)

    async def _queue_from(
        self, application: Application, cursor: str, *, after_page: Callable[[], Awaitable[None]] = _nothing
    ) -> str | None:
        """Queue due rows after `cursor`; answers the key reached when the queue was full, None at the end.

        `after_page` keeps the puller's lease while a slow storage is stamped and filled.
        """
        state = await self._states.read(application.name)
        if state.is_stopped:
            return cursor
        room = await self._room(application)
        if room <= 0:
            return cursor
        rules = self._rules(application, state)
        condition = f"pending eq true or intent ne '' or config ne '{rules.config}' or waking eq true"
        last, queued = cursor, 0
        async for page in self._read_rows(application.name, condition, after=cursor):
            now = self._clock.now()
            due: list[tuple[Account, bool]] = []
            for account in page:
                verdict = judge_due(account, rules, now)
                if verdict is not Due.NOT:
                    due.append((account, verdict is Due.FIRST))
                last = account.key
                if len(due) >= room:
                    break
            await self._queue(application.name, due, now)
            queued += len(due)
            room -= len(due)
            await after_page()
            if room <= 0:
                break
        if room > 0:
            async for taken in self._lists.take_up(application.name, room, now=self._clock.now()):
                await self._send(
                    [
                        (Message(app=application.name, kind=ResourceKind.USER, id=user_id, trace=taken.trace), False)
                        for user_id in taken.ids
                    ]
                )
                queued += len(taken.ids)
                room -= len(taken.ids)
                await after_page()
        if queued:
            telemetry.emit(telemetry.Event.BACKLOG_QUEUED, application=application.name, count=queued)
        return last if room <= 0 else None

    async def _read_rows(self, app: str, condition: str, *, after: str) -> AsyncIterator[list[Account]]:
        """The account rows after a key, groups before users: groups are few, and their members wait for them."""
        for kind in (ResourceKind.GROUP, ResourceKind.USER):
            if after >= f"{kind};":
                continue
            async for page in list_accounts(
                self._tables, app, kind, where=condition, select=DUE_COLUMNS, after=after, page_size=_BATCH
            ):
                yield page

    async def _room(self, application: Application) -> int:
        """How many messages the queues of an application may still take."""
        counts = await gather_all([self._queues.count(application.name, first=first) for first in (True, False)])
        return self._depth(application) - int(sum(counts))

    def _depth(self, application: Application) -> int:
        return int(QUEUE_DEPTH_S * (application.rate_limit.requests_per_second or UNLIMITED_RATE))

    def _rules(self, application: Application, state: ApplicationState) -> DueRules:
        return DueRules(
            config=row_config(application.config_hash, state.generation),
            grace=self._grace,
            sweep_after=self._sweep_after,
            resumed_at=state.resumed_at,
        )

    async def _queue(self, app: str, due: list[tuple[Account, bool]], now: datetime) -> None:
        """Stamp the rows, then send: a crash between leaves rows that the next sweep finds when the stamp is old."""
        stamps = [Operation.merge(account.key, write_columns(queued_at=now)) for account, _ in due]
        await self._tables.commit_all(DurableWrite.SWEEP_STAMP, ACCOUNTS, app, stamps)
        due.sort(key=lambda entry: not entry[1])
        await self._send([(_message(account), first) for account, first in due])

    async def _send(self, due: list[tuple[Message, bool]]) -> None:
        for at in range(0, len(due), 8):
            await gather_all(
                [
                    self._queues.send(DurableWrite.SWEEP_ENQUEUE, message, first=first)
                    for message, first in due[at : at + 8]
                ]
            )


def _message(account: Account) -> Message:
    """A row that only has to be looked at with another configuration is not raised: its last run has no part in it."""
    is_raised = account.pending or account.waking or account.intent is not None
    trace = account.trace if is_raised else ""
    return Message(app=account.application, kind=account.kind, id=account.source_id, trace=trace)
