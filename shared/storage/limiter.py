"""One rate limit per application, shared by every worker on every machine.

Time is cut into slots; a request is sent in a slot and at no other time. Slots are handed out from one row per
application, in small batches, each by one conditional write: `next_slot` moves on and nobody gets a slot twice. How
far apart they lie, and why no sliding second then holds more than the limit, is in `slots` (protocol T12, T13); by
which clock they are read is in `service_clock`.
Ordinary work may reserve only one second ahead, who has looked up and now writes half a second more, who loses access
as far as anybody may wait: a leaver always finds a slot before the backlog (T1).
Retry-After moves `blocked_until` for everybody; slots before it are void (T14).
A slot is lost when its owner dies or wakes too late. One that its owner turns out not to need goes to whoever waits
beside it.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from shared import metrics
from shared.clock import Clock, read_instant, write_instant
from shared.storage.durable_writes import DurableWrite
from shared.storage.service_clock import ServiceClock
from shared.storage.slots import LATENESS_S, spacing_of
from shared.storage.tables import Operation, StorageConflict, Tables
from shared.storage.turns import Turns

MAX_WAIT_S = 2.0
"""Longer waits are not slept in a function: the message is put back."""

LOOK_S = 1.0
"""How long a worker without a limit may miss a pause that the vendor asked another one for."""

NORMAL_AHEAD_S = 1.0
BEGUN_AHEAD_S = 1.5
FIRST_AHEAD_S = MAX_WAIT_S
BATCH_S = 0.5
"""A batch holds at most this much of the rate; slots that nobody used in time are lost."""

APPROACH_S = 0.03
"""How long before its slot a request takes its connection. Longer, and a server may close it meanwhile as idle."""

CLOCK_WAIT_S = 5.0
"""How long a message stays away from a process that does not know what time it is."""

_TABLE = "applications"
_KEY = "limiter"
_CLOCK_KEY = "clock"
"""Written to read storage's clock in the answer, and for nothing else."""

_CONFLICTS = 20
_COME_S = 0.01
_POLITE_S = 0.04
_SOONEST = timedelta(milliseconds=5)
"""A slot that begins earlier would be over before its reservation is answered."""


class RateLimited(Exception):
    """No slot within two seconds: put the message back for `wait_s` seconds. Nothing was sent."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"the vendor's rate has no free slot for {wait_s:.1f} s")
        self.wait_s = wait_s


@dataclass(slots=True)
class _Local:
    """What this process knows about one application's limiter row."""

    slots: list[datetime] = field(default_factory=list)
    """Reserved and not taken by anybody, in order."""
    next_slot: datetime | None = None
    blocked_until: datetime | None = None
    etag: str = ""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: Counter[float] = field(default_factory=Counter)
    """How many ask for a slot and have none yet, by how far ahead they may reserve."""
    is_contended: bool = False
    """Somebody else moved the row last time: look before writing."""
    looked_at: float = float("-inf")

    def is_void(self, slot: datetime) -> bool:
        """Whether the vendor asked for a pause that the slot lies in."""
        return self.blocked_until is not None and slot < self.blocked_until


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """What a slot is for."""

    spacing: timedelta
    ahead_s: float
    """How far ahead it may be reserved."""
    lead: timedelta
    """What has to be done before it begins."""


class Limiter:
    """Hands out slots. One instance per process."""

    def __init__(self, *, tables: Tables, clock: Clock, service_clock: ServiceClock | None = None) -> None:
        """`service_clock` None: slots are read by `clock` as it is."""
        self._tables = tables
        self._clock = clock
        self._service_clock = service_clock
        self._local: dict[str, _Local] = {}
        self.turns = Turns(clock)
        self.slots: Counter[str] = Counter()
        """Slots so far, of all applications: reserved, entered, late (its owner woke after it), void, over (nobody took
        it). Every request to a vendor with a limit is one that was entered."""

    async def approach(self, slot: datetime | None) -> None:
        """Wait until a slot is so near that what is left to do is to bring the connection about."""
        if slot is not None and (wait := (slot - self._now()).total_seconds() - APPROACH_S) > 0:
            await self._clock.sleep(wait)

    async def depart(self, app: str, rate: float | None, slot: datetime | None, *, first: bool) -> None:
        """Return when one request may leave: in its slot, or in another when that is over.

        Raises RateLimited when there is none within two seconds.
        """
        deadline = self._clock.monotonic() + 2 * MAX_WAIT_S
        while not await self.enter(app, slot):
            if self._clock.monotonic() > deadline:
                raise RateLimited(1.0)
            slot = await self.reserve(app, rate, first=first, begun=True)

    async def reserve(
        self, app: str, rate: float | None, *, first: bool, begun: bool = False, lead_s: float = 0.0
    ) -> datetime | None:
        """Take a slot that begins within two seconds, for `enter`; None when there is no limit.

        `begun`: requests were spent on this account already. `lead_s`: what must be done before the slot takes so long.
        Raises RateLimited when there is no such slot.
        """
        local = self._local.setdefault(app, _Local())
        if rate is None:
            await self._look(app, local)
        now = self._now()
        if local.blocked_until is not None and local.blocked_until > now + timedelta(seconds=MAX_WAIT_S):
            raise RateLimited((local.blocked_until - now).total_seconds())
        if rate is None:
            return None
        ahead_s = FIRST_AHEAD_S if first else BEGUN_AHEAD_S if begun else NORMAL_AHEAD_S
        metrics.record(metrics.Metric.LIMITER_RATE, rate, application=app)
        wish = _Wish(spacing=spacing_of(rate), ahead_s=ahead_s, lead=timedelta(seconds=lead_s))
        local.waiting[ahead_s] += 1
        try:
            slot = await self._wait_for(app, local, wish)
        except RateLimited:
            metrics.record(metrics.Metric.LIMITER_SLOTS, 1, application=app, result="refused")
            raise
        finally:
            local.waiting[ahead_s] -= 1
            self.turns.end(app)
        wait_s = max(0.0, (slot - now).total_seconds())
        metrics.record(metrics.Metric.LIMITER_WAIT, wait_s, application=app)
        return slot

    async def enter(self, app: str, slot: datetime | None) -> bool:
        """Wait until the slot begins; whether the request may be sent now. False: the slot is over, or void."""
        if slot is None:
            return True
        while (wait := (slot - self._now()).total_seconds()) > 0:
            if wait > 2 * MAX_WAIT_S:
                # The clock was set back.
                return False
            await self._clock.sleep(wait)
        is_void = self._is_lost() or self._local.setdefault(app, _Local()).is_void(slot)
        verdict = "void" if is_void else "late" if -wait > LATENESS_S else "entered"
        self.slots[verdict] += 1
        metrics.record(metrics.Metric.LIMITER_SLOTS, 1, application=app, result=verdict)
        return verdict == "entered"

    def give_back(self, app: str, slot: datetime | None) -> None:
        """The slot is not needed: somebody else of this process may have it."""
        if slot is not None:
            insort(self._local.setdefault(app, _Local()).slots, slot)

    async def _look(self, app: str, local: _Local) -> None:
        """Without a limit nothing is reserved; what the vendor told another worker is looked up now and then."""
        now = self._clock.monotonic()
        if now - local.looked_at >= LOOK_S:
            local.looked_at = now
            await self._read(app, local)

    def known_wait_s(self, app: str) -> float:
        """How long this process knows that nothing can be sent, without asking storage."""
        local = self._local.get(app)
        if local is None or local.blocked_until is None:
            return 0.0
        return max(0.0, (local.blocked_until - self._now()).total_seconds())

    async def read_pause(self, app: str) -> datetime | None:
        """Until when the vendor asked everybody to wait, as storage says now; None: it never did.

        For people: no slot depends on it. Raises StorageUnavailable.
        """
        row = await self._tables.read(_TABLE, app, _KEY)
        return read_instant(row.text("blocked_until")) if row is not None else None

    async def block(self, app: str, seconds: float) -> None:
        """The vendor asked for a pause: nobody sends before it is over. A longer pause in force stays."""
        local = self._local.setdefault(app, _Local())
        until = self._now() + timedelta(seconds=seconds)
        async with local.lock:
            for _ in range(_CONFLICTS):
                await self._read(app, local)
                if local.blocked_until is not None and local.blocked_until >= until:
                    return
                if await self._write(app, local, next_slot=local.next_slot, blocked_until=until):
                    return

    async def _wait_for(self, app: str, local: _Local, wish: _Wish) -> datetime:
        """A slot of this process, or of a new batch."""
        deadline = self._clock.monotonic() + MAX_WAIT_S
        while True:
            async with local.lock:
                slot = self._kept(local, wish) or await self._reserve(app, local, wish)
            if isinstance(slot, datetime):
                return slot
            # Somebody else has the next second: ask again when part of it is over, or give up.
            if self._clock.monotonic() + slot > deadline:
                raise RateLimited(slot + MAX_WAIT_S)
            await self._clock.sleep(max(slot, 0.05))

    def _kept(self, local: _Local, wish: _Wish) -> datetime | None:
        """A slot of an earlier batch that can still be met; what is too near stays for who needs less time."""
        now = self._now()
        over = now - timedelta(seconds=LATENESS_S / 2)
        kept = [slot for slot in local.slots if slot >= over and not local.is_void(slot)]
        self.slots["over"] += len(local.slots) - len(kept)
        local.slots = kept
        usable = now + wish.lead if wish.lead else over
        for at, slot in enumerate(local.slots):
            if slot >= usable:
                return local.slots.pop(at)
        return None

    async def _reserve(self, app: str, local: _Local, wish: _Wish) -> datetime | float:
        """Move `next_slot` on by a batch and keep the batch; the lock is held."""
        if local.etag and self._start_of(local, wish)[1] > wish.ahead_s:
            # What others did meanwhile has only moved it further.
            return _ask_again_in(self._start_of(local, wish)[1], wish, polite=not local.is_contended)
        await self._check_clock(app)
        if not local.etag or local.is_contended:
            await self._read(app, local)
        local.is_contended = False
        for _ in range(_CONFLICTS):
            start, wait_s = self._start_of(local, wish)
            if wait_s > wish.ahead_s:
                return _ask_again_in(wait_s, wish, polite=not local.is_contended)
            waiting = sum(count for ahead_s, count in local.waiting.items() if ahead_s >= wait_s)
            count = _batch_of(waiting, wait_s, wish.spacing.total_seconds())
            end = start + count * wish.spacing
            if await self._write(app, local, next_slot=end, blocked_until=local.blocked_until):
                self.slots["reserved"] += count
                for index in range(1, count):
                    insort(local.slots, start + index * wish.spacing)
                return start
            local.is_contended = True
            await self._read(app, local)
        return 0.2

    def _start_of(self, local: _Local, wish: _Wish) -> tuple[datetime, float]:
        """Where a batch would begin, and in how many seconds."""
        now = self._now()
        start = max(now + max(wish.lead, _SOONEST), local.next_slot or now, local.blocked_until or now)
        return start, (start - now).total_seconds()

    async def _check_clock(self, app: str) -> None:
        """Slots are read by a clock that was measured within the last minute; raises RateLimited when it is lost."""
        if self._service_clock is None or not self._service_clock.is_stale():
            return
        await self._tables.commit(DurableWrite.LIMITER, _TABLE, app, [Operation.merge(_CLOCK_KEY, {})])
        if self._is_lost():
            raise RateLimited(CLOCK_WAIT_S)

    def _now(self) -> datetime:
        return self._clock.now() if self._service_clock is None else self._service_clock.now()

    def _is_lost(self) -> bool:
        return self._service_clock is not None and self._service_clock.is_lost()

    async def _read(self, app: str, local: _Local) -> None:
        row = await self._tables.read(_TABLE, app, _KEY)
        if row is None:
            return
        local.etag = row.etag
        local.next_slot = read_instant(str(row.values.get("next_slot", "")))
        local.blocked_until = read_instant(str(row.values.get("blocked_until", "")))

    async def _write(
        self, app: str, local: _Local, *, next_slot: datetime | None, blocked_until: datetime | None
    ) -> bool:
        values = {
            "next_slot": write_instant(next_slot.astimezone(UTC)) if next_slot else "",
            "blocked_until": write_instant(blocked_until) if blocked_until else "",
        }
        operation = Operation.replace(_KEY, values, etag=local.etag) if local.etag else Operation.insert(_KEY, values)
        try:
            etags = await self._tables.commit(DurableWrite.LIMITER, _TABLE, app, [operation])
        except StorageConflict:
            local.etag = ""
            return False
        local.etag, local.next_slot, local.blocked_until = etags[_KEY], next_slot, blocked_until
        return True


def _ask_again_in(wait_s: float, wish: _Wish, *, polite: bool) -> float:
    """Seconds until a batch that begins in `wait_s` may be reserved; the whole wait where that is out of reach.

    Who took the last batch is `polite`: it comes a little later, for it need not look first and would always win.
    """
    if wait_s > MAX_WAIT_S + wish.ahead_s:
        return wait_s
    return wait_s - wish.ahead_s + (_POLITE_S if polite else _COME_S)


def _batch_of(waiting: int, wait_s: float, spacing_s: float) -> int:
    """How many slots to take at once: for all who may reserve so far ahead, up to a batch and to the longest wait."""
    met = 1 + int(max(0.0, MAX_WAIT_S - wait_s) / spacing_s)
    return max(1, min(waiting, int(BATCH_S / spacing_s), met))
