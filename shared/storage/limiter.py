"""One rate limit per application, shared by every worker on every machine.

Time is cut into slots of 1/L' seconds; a request is sent in a slot and at no other time. Slots are handed out from one
row per application, in small batches, each by one conditional write: `next_slot` moves on and nobody gets a slot twice.
L' is a little below the limit L, because slots are used up to `SKEW_S` late or by a clock that far off: with
L' = L / (1 + 2 * SKEW_S) no sliding second holds more than L sends (protocol T12, T13).
Ordinary work may reserve only one second ahead, who loses access three: a leaver always finds a slot before the
backlog.
Retry-After moves `blocked_until` for everybody; slots before it are void.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from shared.clock import Clock, read_instant, write_instant
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation, StorageConflict, Tables

SKEW_S = 0.025
"""Tolerated lateness of a send and skew of a clock."""

MAX_WAIT_S = 2.0
"""Longer waits are not slept in a function: the message is put back."""

LOOK_S = 1.0
"""How long a worker without a limit may miss a pause that the vendor asked another one for."""

NORMAL_AHEAD_S = 1.0
FIRST_AHEAD_S = 3.0
BATCH_S = 0.5
"""A batch holds at most this much of the rate; slots that nobody used in time are lost."""

_TABLE = "applications"
_KEY = "limiter"
_CONFLICTS = 20


class RateLimited(Exception):
    """No slot within two seconds: put the message back for `wait_s` seconds. Nothing was sent."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"the vendor's rate has no free slot for {wait_s:.1f} s")
        self.wait_s = wait_s


@dataclass(slots=True)
class _Local:
    """What this process knows about one application's limiter row."""

    slots: deque[datetime] = field(default_factory=deque)
    next_slot: datetime | None = None
    blocked_until: datetime | None = None
    etag: str = ""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0
    looked_at: float = float("-inf")


class Limiter:
    """Hands out slots. One instance per process."""

    def __init__(self, *, tables: Tables, clock: Clock) -> None:
        self._tables = tables
        self._clock = clock
        self._local: dict[str, _Local] = {}

    async def wait_for_slot(self, app: str, rate: float | None, *, first: bool) -> None:
        """Return when one request may be sent, at once when there is no limit.

        Raises RateLimited when that would take more than two seconds.
        """
        deadline = self._clock.monotonic() + 2 * MAX_WAIT_S
        while not await self.enter(app, await self.reserve(app, rate, first=first)):
            if self._clock.monotonic() > deadline:
                raise RateLimited(1.0)

    async def reserve(self, app: str, rate: float | None, *, first: bool) -> datetime | None:
        """Take a slot that begins within two seconds, for `enter`; None when there is no limit.

        Raises RateLimited when there is no such slot.
        """
        local = self._local.setdefault(app, _Local())
        if rate is None:
            await self._look(app, local)
        now = self._clock.now()
        if local.blocked_until is not None and local.blocked_until > now + timedelta(seconds=MAX_WAIT_S):
            raise RateLimited((local.blocked_until - now).total_seconds())
        if rate is None:
            return None
        deadline = self._clock.monotonic() + MAX_WAIT_S
        while True:
            slot = await self._take(app, local, rate, first=first)
            if isinstance(slot, datetime):
                wait = (slot - self._clock.now()).total_seconds()
                if wait > MAX_WAIT_S:
                    raise RateLimited(wait)
                return slot
            # Somebody else has the next second: ask again when part of it is over, or give up.
            if self._clock.monotonic() + slot > deadline:
                raise RateLimited(slot + MAX_WAIT_S)
            await self._clock.sleep(max(slot, 0.05))

    async def enter(self, app: str, slot: datetime | None) -> bool:
        """Wait until the slot begins; whether the request may be sent now. False: the slot is over, or void."""
        if slot is None:
            return True
        wait = (slot - self._clock.now()).total_seconds()
        if wait > 0:
            await self._clock.sleep(wait)
        late = (self._clock.now() - slot).total_seconds()
        return late <= SKEW_S and not self._is_void(self._local.setdefault(app, _Local()), slot)

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
        return max(0.0, (local.blocked_until - self._clock.now()).total_seconds())

    async def block(self, app: str, seconds: float) -> None:
        """The vendor asked for a pause: nobody sends before it is over. A longer pause in force stays."""
        local = self._local.setdefault(app, _Local())
        until = self._clock.now() + timedelta(seconds=seconds)
        async with local.lock:
            for _ in range(_CONFLICTS):
                await self._read(app, local)
                if local.blocked_until is not None and local.blocked_until >= until:
                    return
                if await self._write(app, local, next_slot=local.next_slot, blocked_until=until):
                    return

    def _is_void(self, local: _Local, slot: datetime) -> bool:
        return local.blocked_until is not None and slot < local.blocked_until

    async def _take(self, app: str, local: _Local, rate: float, *, first: bool) -> datetime | float:
        """The next slot of this process, or how many seconds until it makes sense to ask again."""
        local.waiting += 1
        try:
            async with local.lock:
                now = self._clock.now()
                while local.slots:
                    slot = local.slots.popleft()
                    if slot >= now - timedelta(seconds=SKEW_S / 2) and not self._is_void(local, slot):
                        return slot
                return await self._reserve(app, local, rate, first=first)
        finally:
            local.waiting -= 1

    async def _reserve(self, app: str, local: _Local, rate: float, *, first: bool) -> datetime | float:
        """Move `next_slot` on by a batch and keep the batch; the lock is held."""
        spacing = timedelta(seconds=(1 + 2 * SKEW_S) / rate)
        ahead = FIRST_AHEAD_S if first else NORMAL_AHEAD_S
        if not local.etag:
            await self._read(app, local)
        for _ in range(_CONFLICTS):
            now = self._clock.now()
            start = max(now + timedelta(milliseconds=5), local.next_slot or now, local.blocked_until or now)
            wait = (start - now).total_seconds()
            if wait > ahead:
                if wait > MAX_WAIT_S + ahead:
                    return wait
                return wait - ahead + 0.01
            count = max(1, min(local.waiting, int(BATCH_S / spacing.total_seconds())))
            if await self._write(app, local, next_slot=start + count * spacing, blocked_until=local.blocked_until):
                local.slots.extend(start + index * spacing for index in range(count))
                return local.slots.popleft()
            await self._read(app, local)
        return 0.2

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
