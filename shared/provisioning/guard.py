"""The deletion guard (protocol steps 12 to 16): how many accounts may lose access before a person is asked.

It is enforced where a destructive plan is made: without a permit in its row no consumer sends one. This module only
decides when staged rows get their permits: all that are staged, together, at the end of a round, and only while the
count of the rolling day stays under the application's thresholds; before its end only far below them. Otherwise they
are held, everything else goes on, and nothing but a person, or the return of the people concerned, ends the hold.

Marker rows `staged:<account key>` list what is staged, so that a release reads the leavers and not the application.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from shared import telemetry
from shared.clock import Clock, read_instant, write_instant
from shared.config.applications import Application
from shared.config.provisioning_file import DeletionGuard
from shared.provisioning.account_lists import list_accounts
from shared.provisioning.accounts import (
    ACCOUNTS,
    GUARD_KEY,
    Account,
    AccountState,
    IntentKind,
    ResourceKind,
    read_account,
    released_number,
    write_columns,
)
from shared.provisioning.member_changes import loses_many
from shared.storage.durable_writes import DurableWrite
from shared.storage.queues import Message, Queues
from shared.storage.tables import (
    CONTENDED_TRIES,
    Operation,
    Row,
    StorageConflict,
    StorageContended,
    Tables,
    gather_all,
)

WINDOW = timedelta(days=1)
"""Releases older than this no longer count."""

POPULATION_LIFE = timedelta(days=1)
"""The number of linked accounts is counted again after this."""

RELEASE_BATCH = 49
"""Accounts per release transaction: two operations each and the guard row make 99."""

RELEASE_TRIES = 4
"""After as many conflicts with consumers the next look goes on; what is staged stays staged."""

ENQUEUED_AT_ONCE = 100
"""Of a larger release the sweep queues the rest in the vendor's pace, still before everything else."""

READ_ONE_BY_ONE = 50
"""Staged rows that are read by their keys. For more, the application is looked through: a request a thousand rows."""

STAGED_PREFIX = "staged:"


class Verdict(StrEnum):
    """What the guard decides about what is staged."""

    NOTHING = "nothing"
    """Nothing that counts is staged."""
    RELEASE = "release"
    HOLD = "hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """The guard row of one application."""

    etag: str = ""
    releases: tuple[tuple[datetime, int], ...] = ()
    held_up_to: str = ""
    """List number of the hold: the highest staged number it holds; empty: no hold stands."""
    held_since: datetime | None = None
    population: int = 0
    counted_at: datetime | None = None
    distrusted_until: datetime | None = None
    """Until then nobody is let go without a person's word: the application has another service principal now."""

    def knows_population(self, now: datetime) -> bool:
        """Whether the linked accounts were counted lately enough."""
        return self.counted_at is not None and now - self.counted_at < POPULATION_LIFE

    def released_since(self, instant: datetime) -> int:
        """How many permits were given since then."""
        return sum(count for at, count in self.releases if at >= instant)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What one look of the guard did."""

    verdict: Verdict
    staged: int
    released: int = 0


def judge_release(thresholds: DeletionGuard, *, released: int, staged: int, population: int) -> Verdict:
    """Whether `staged` more accounts may lose access. Pure.

    The percentage counts only from `min_population` linked accounts on; the absolute threshold always.
    """
    if staged == 0:
        return Verdict.NOTHING
    total = released + staged
    if total > thresholds.max_count:
        return Verdict.HOLD
    if population >= thresholds.min_population and total > population * thresholds.max_percent / 100:
        return Verdict.HOLD
    return Verdict.RELEASE


def judge_hold(thresholds: DeletionGuard, guard: Guard, *, counted: int, still_held: bool, now: datetime) -> Verdict:
    """What becomes of `counted` staged accounts, given what was released lately. Pure.

    A hold never ends by time: while one of those it holds is still staged (`still_held`), a window that rolls on
    releases nothing (step 14).
    """
    released = guard.released_since(now - WINDOW)
    verdict = judge_release(thresholds, released=released, staged=counted, population=guard.population)
    distrusted = guard.distrusted_until is not None and now < guard.distrusted_until and counted > 0
    return Verdict.HOLD if still_held or distrusted else verdict


def is_far_below(thresholds: DeletionGuard, *, total: int, population: int) -> bool:
    """Whether `total` is less than half of what may lose access, so that some may go before their round ends. Pure.

    Until then it is not known how many leave together (protocol T37).
    """
    if 2 * total >= thresholds.max_count:
        return False
    return population < thresholds.min_population or 2 * total < population * thresholds.max_percent / 100


def needs_population(thresholds: DeletionGuard, total: int) -> bool:
    """Whether the percentage could matter for this many; if not, nobody has to count the accounts."""
    return total > thresholds.min_population * thresholds.max_percent / 100


def counts(account: Account) -> bool:
    """Whether a staged row counts: it has, or may have, an account, and is not known to be switched off already.

    A row that a consumer staged itself (state held) always counts: it planned a disable or a delete just now.
    """
    may_exist = bool(account.target_id) or (account.intent is not None and account.intent.kind is IntentKind.CREATE)
    switched_off = account.state is AccountState.DISABLED and account.intent is None
    return may_exist and not switched_off


def loses_members(application: Application, account: Account) -> bool:
    """Whether a staged group would lose so many members that a person is asked, whatever else is staged.

    One that is deleted or emptied loses all that were sent.
    """
    if account.kind is not ResourceKind.GROUP:
        return False
    leaving = account.removing or account.members
    return account.removing > 0 or loses_many(application.deletion_guard, removed=leaving, population=account.members)


def staged_key(account_key: str) -> str:
    """The marker row of a staged account."""
    return STAGED_PREFIX + account_key


_KINDS = frozenset(ResourceKind)


class GuardKeeper:
    """Releases or holds what is staged. Safe to run twice and beside itself: every write carries the guard's ETag."""

    def __init__(self, *, tables: Tables, queues: Queues, clock: Clock) -> None:
        self._tables = tables
        self._queues = queues
        self._clock = clock

    async def release(self, application: Application) -> Release:
        """Give permits to all that is staged, or hold it (steps 13 and 14). Idempotent."""
        return await self._try_release(application, in_round=False)

    async def release_in_round(self, application: Application) -> Release:
        """The same while a round is being read: nobody goes unless all that is staged is far below the thresholds."""
        return await self._try_release(application, in_round=True)

    async def distrust(self, app: str) -> None:
        """Let a person decide about everybody who is staged within the next day, however few (protocol T28).

        The application's service principal is another one now: if its assignments were not made again, everybody is
        unassigned. Idempotent. Raises StorageUnavailable.
        """
        for _ in range(CONTENDED_TRIES):
            guard = await self.read(app)
            distrusting = replace(guard, distrusted_until=self._clock.now() + WINDOW)
            try:
                await self._tables.commit(DurableWrite.GUARD_HOLD, ACCOUNTS, app, [_guard_operation(distrusting)])
            except StorageConflict:
                continue
            return
        raise StorageContended(f"the deletion guard of application {app}")

    async def read(self, app: str) -> Guard:
        """The guard row of an application. Raises StorageUnavailable."""
        return read_guard(await self._tables.read(ACCOUNTS, app, GUARD_KEY))

    async def read_asked(self, application: Application) -> list[Account]:
        """Every row about which a person is asked: what a hold holds, and groups that would lose many members."""
        guard = await self.read(application.name)
        return [
            account
            for account in await self.read_staged(application)
            if counts(account) and (guard.held_up_to or loses_members(application, account))
        ]

    async def read_staged(self, application: Application) -> list[Account]:
        """Every staged row of an application. Raises StorageUnavailable."""
        return [account for account in await self._read_marked(application) if account.staged]

    async def permit_approved(self, application: Application, accounts: list[Account], *, ends_hold: bool) -> None:
        """Step 15: permits that a person gave; they do not count against the thresholds.

        `ends_hold`: nobody else is held, and what is staged from now on is judged afresh. Raises StorageConflict when
        somebody moved a row or the guard meanwhile; what was permitted by then stays so.
        """
        guard = await self.read(application.name)
        guard = await self._permit(application, guard, accounts, [], approved=True)
        if ends_hold and guard.held_up_to:
            ended = _guard_operation(replace(guard, held_up_to="", held_since=None))
            await self._tables.commit(DurableWrite.GUARD_APPROVE, ACCOUNTS, application.name, [ended])

    async def _read_marked(self, application: Application) -> list[Account]:
        rows = await self._tables.read_range(
            ACCOUNTS, application.name, first=STAGED_PREFIX, before=STAGED_PREFIX[:-1] + ";"
        )
        return await self._read_accounts(application, [row.key for row in rows])

    async def _try_release(self, application: Application, *, in_round: bool) -> Release:
        for _ in range(RELEASE_TRIES):
            try:
                return await self._release(application, in_round=in_round)
            except StorageConflict:
                continue
        return Release(verdict=Verdict.NOTHING, staged=0)

    async def _release(self, application: Application, *, in_round: bool) -> Release:
        accounts = await self._read_marked(application)
        if not accounts:
            return Release(verdict=Verdict.NOTHING, staged=0)
        guard = await self.read(application.name)
        now = self._clock.now()
        staged = [account for account in accounts if account.staged and not loses_members(application, account)]
        counted = [account for account in staged if counts(account)]
        uncounted = [account for account in staged if not counts(account)]
        released = guard.released_since(now - WINDOW)
        total = released + len(counted)
        if needs_population(application.deletion_guard, 2 * total if in_round else total):
            guard = await self._with_population(application, guard)
        await self._forget_markers(application.name, [a for a in accounts if not a.staged])
        still_held = any(account.staged <= guard.held_up_to for account in counted)
        verdict = judge_hold(application.deletion_guard, guard, counted=len(counted), still_held=still_held, now=now)
        if verdict is Verdict.HOLD:
            guard = await self._hold(application, guard, counted)
            await self._permit(application, guard, [], uncounted)
            return Release(verdict=Verdict.HOLD, staged=len(counted))
        population = guard.population
        if in_round and not is_far_below(application.deletion_guard, total=total, population=population):
            await self._permit(application, guard, [], uncounted)
            return Release(verdict=Verdict.NOTHING, staged=len(counted))
        if guard.held_up_to:
            guard = replace(guard, held_up_to="", held_since=None)
        await self._permit(application, guard, counted, uncounted)
        return Release(verdict=verdict, staged=len(counted), released=len(counted))

    async def _permit(
        self,
        application: Application,
        guard: Guard,
        counted: list[Account],
        uncounted: list[Account],
        *,
        approved: bool = False,
    ) -> Guard:
        """Permit the counted rows and take the mark off the others, 49 a transaction, then enqueue.

        What a person `approved` leaves the count of the rolling day as it was.
        """
        now = self._clock.now()
        everyone = counted + uncounted
        with_permit = {account.key for account in counted}
        for at in range(0, len(everyone), RELEASE_BATCH):
            batch = everyone[at : at + RELEASE_BATCH]
            guard = _counted(guard, now, 0 if approved else sum(account.key in with_permit for account in batch))
            operations = [_guard_operation(guard)]
            enqueued = batch if at + len(batch) <= ENQUEUED_AT_ONCE else []
            for account in batch:
                operations += _release_operations(
                    account, permitted=account.key in with_permit, queued_at=now if enqueued else None
                )
            etags = await self._tables.commit(DurableWrite.GUARD_RELEASE, ACCOUNTS, application.name, operations)
            guard = replace(guard, etag=etags[GUARD_KEY])
            await gather_all(
                [
                    self._queues.send(
                        DurableWrite.GUARD_ENQUEUE,
                        Message(app=application.name, kind=account.kind, id=account.source_id, trace=account.trace),
                        first=True,
                    )
                    for account in enqueued
                ]
            )
        if counted:
            telemetry.emit(telemetry.Event.DELETIONS_RELEASED, application=application.name, count=len(counted))
        return guard

    async def _hold(self, application: Application, guard: Guard, counted: list[Account]) -> Guard:
        """Note the hold and its list number; alert once, when it begins."""
        list_number = max(account.staged for account in counted)
        if guard.held_up_to == list_number:
            return guard
        begins = not guard.held_up_to
        held = replace(guard, held_up_to=list_number, held_since=guard.held_since or self._clock.now())
        etags = await self._tables.commit(DurableWrite.GUARD_HOLD, ACCOUNTS, application.name, [_guard_operation(held)])
        if begins:
            telemetry.emit(
                telemetry.Event.DELETIONS_HELD,
                application=application.name,
                count=len(counted),
                max_count=application.deletion_guard.max_count,
                max_percent=application.deletion_guard.max_percent,
            )
        return replace(held, etag=etags[GUARD_KEY])

    async def _forget_markers(self, app: str, accounts: list[Account]) -> None:
        """Remove markers of rows that are no longer staged."""
        for account in accounts:
            try:
                await self._tables.commit(
                    DurableWrite.GUARD_RELEASE,
                    ACCOUNTS,
                    app,
                    [Operation.delete(staged_key(account.key)), *_unchanged(account)],
                )
            except StorageConflict:
                continue

    async def _read_accounts(self, application: Application, markers: list[str]) -> list[Account]:
        """The rows that markers are about: a few one by one, many in one look through the application."""
        app, accounts = application.name, dict[str, Account]()
        if len(markers) > READ_ONE_BY_ONE:
            for kind in ResourceKind:
                async for page in list_accounts(self._tables, app, kind, where="staged ne ''"):
                    accounts |= {account.key: account for account in page}
        keys = [marker.removeprefix(STAGED_PREFIX) for marker in markers]
        # Other resources are another version's: they go on waiting for it.
        keys = [key for key in keys if key.partition(":")[0] in _KINDS]
        # Whose mark was taken off, too: their markers are removed.
        left = [key for key in keys if key not in accounts]
        for at in range(0, len(left), 16):
            rows = await gather_all([self._tables.read(ACCOUNTS, app, key) for key in left[at : at + 16]])
            for key, row in zip(left[at : at + 16], rows, strict=True):
                kind_name, _, source_id = key.partition(":")
                accounts[key] = read_account(row, application=app, kind=ResourceKind(kind_name), source_id=source_id)
        return [accounts[key] for key in keys]

    async def _with_population(self, application: Application, guard: Guard) -> Guard:
        """Count the linked accounts, at most once a day."""
        now = self._clock.now()
        if guard.knows_population(now):
            return guard
        population = 0
        pages = self._tables.query(ACCOUNTS, application.name, first="target:", before="target;", select=("RowKey",))
        async for page in pages:
            population += len(page)
        return replace(guard, population=population, counted_at=now)


def read_guard(row: Row | None) -> Guard:
    """Decode the guard row."""
    if row is None:
        return Guard()
    releases = json.loads(str(row.values.get("releases", "")) or "[]")
    return Guard(
        etag=row.etag,
        releases=tuple((_required(at), count) for at, count in releases),
        held_up_to=str(row.values.get("held_up_to", "")),
        held_since=read_instant(str(row.values.get("held_since", ""))),
        population=int(row.values.get("population", 0)),
        counted_at=read_instant(str(row.values.get("counted_at", ""))),
        distrusted_until=read_instant(str(row.values.get("distrusted_until", ""))),
    )


def _guard_operation(guard: Guard) -> Operation:
    values: dict[str, Any] = {
        "releases": json.dumps([[write_instant(at), count] for at, count in guard.releases]),
        "population": guard.population,
        **write_columns(
            held_up_to=guard.held_up_to,
            held_since=guard.held_since,
            counted_at=guard.counted_at,
            distrusted_until=guard.distrusted_until,
        ),
    }
    if guard.etag:
        # Columns of another version stay.
        return Operation.merge(GUARD_KEY, values, etag=guard.etag)
    return Operation.insert(GUARD_KEY, values)


def _counted(guard: Guard, now: datetime, count: int) -> Guard:
    """The guard with `count` more released, old releases dropped, counts of the same minute joined."""
    minute = now.replace(second=0, microsecond=0)
    kept = [(at, n) for at, n in guard.releases if at > now - WINDOW]
    if count and kept and kept[-1][0] == minute:
        kept[-1] = (minute, kept[-1][1] + count)
    elif count:
        kept.append((minute, count))
    return replace(guard, releases=tuple(kept))


def _release_operations(account: Account, *, permitted: bool, queued_at: datetime | None) -> list[Operation]:
    columns = write_columns(
        wanted=released_number(account.wanted),
        pending=True,
        queued_at=queued_at,
        staged=None,
        permit=account.staged if permitted else account.permit,
    )
    return [
        Operation.merge(account.key, columns, etag=account.etag),
        Operation.delete(staged_key(account.key)),
    ]


def _unchanged(account: Account) -> list[Operation]:
    """An operation that fails the transaction when somebody staged the row again meanwhile."""
    return [Operation.merge(account.key, write_columns(staged=None), etag=account.etag)] if account.etag else []


def _required(text: str) -> datetime:
    at = read_instant(text)
    if at is None:
        raise ValueError("a release of the guard row has no instant")
    return at
