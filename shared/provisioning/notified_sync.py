"""The sync when somebody rings: whatever changed before a ring is read by a run that begins after it.

A level trigger: a message says only that there is something to read. Of many messages one waits for the next run, and
stands for the others: it is deleted when that run has ended, and comes back when its process dies. No clock of another
machine is asked. Whether a run may begin is decided by the puller's lease alone; a message that finds it taken is put
back, hidden, so that a run follows the one that is under way. The timer remains: what is given up here, it reads.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum

from shared.clock import Clock
from shared.provisioning.directory_sync import DirectorySync
from shared.provisioning.pulling import LEASE_TAKEN
from shared.provisioning.subscription_keeping import SubscriptionKeeper
from shared.storage.change_message import DirectoryChanged
from shared.storage.durable_writes import DurableWrite
from shared.storage.queues import Queues

APART_S = 1.0
"""Runs for rings begin at most once a second: a directory in which everybody moves costs Graph no more than that."""

WISH_WAIT_S = 60.0
"""Until somebody else's look at the subscriptions is over, or storage can be written again."""

_WAITS_S = (2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0)
"""Seconds until a message that found the lease taken is looked at again; after the last one the timer has it."""


class Heeded(StrEnum):
    """What became of a message."""

    RUN = "run"
    """The directory was read for it."""
    JOINED = "joined"
    """A run that begins later is certain already: another message stands for this one."""
    PUT_BACK = "put back"
    """Somebody else reads, or Graph asked to wait, or what it says of subscriptions is not saved: it comes again."""
    GIVEN_UP = "given up"
    """As before, for the last time: the timer goes on."""
    NOTHING = "nothing"
    """It was about subscriptions only."""


@dataclass(slots=True, kw_only=True)
class NotifiedSync:
    """Heeds the messages of one process. One instance per process."""

    directory_sync: DirectorySync
    subscriptions: SubscriptionKeeper
    queues: Queues
    clock: Clock
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the message whose run is under way."""
    _is_awaited: bool = False
    """A message waits for its turn: its run begins later than now."""
    _began_at: float = float("-inf")
    """Monotonic: when the last run began."""
    _back_at: float = float("-inf")
    """Monotonic: when a message that was put back is visible again; its run begins later than that."""

    async def heed(self, message: DirectoryChanged) -> Heeded:
        """Do what a message asks for; answer what became of it. Raises what the sync raises: then it comes again."""
        is_saved = not message.subscriptions or await self.subscriptions.keep(urgent=True)
        if not is_saved:
            # The timer knows nothing of it, so it is never given up.
            await self.queues.send_change(DurableWrite.WISH_AGAIN, message.wish(), hidden_s=WISH_WAIT_S)
        if not message.sync:
            return Heeded.NOTHING if is_saved else Heeded.PUT_BACK
        if self._is_awaited or self.clock.monotonic() < self._back_at:
            return Heeded.JOINED
        return await self._run(message)

    async def _run(self, message: DirectoryChanged) -> Heeded:
        """Wait for the turn, then read. Many messages join while this one waits, none once it reads."""
        waits = self._is_awaited = True
        try:
            async with self._turn:
                if self.clock.monotonic() < self._back_at:
                    return Heeded.JOINED
                await self.clock.sleep(max(0.0, self._began_at + APART_S - self.clock.monotonic()))
                waits = self._is_awaited = False
                self._began_at = self.clock.monotonic()
                report = await self.directory_sync.pull(trace=message.trace)
                heeded = await self._put_back(message) if report.outcome in LEASE_TAKEN else Heeded.RUN
        finally:
            if waits:
                self._is_awaited = False
        # Figures and slow receivers keep no later ring waiting.
        await self.directory_sync.tell(report)
        return heeded

    async def _put_back(self, message: DirectoryChanged) -> Heeded:
        if message.attempt > len(_WAITS_S):
            return Heeded.GIVEN_UP
        hidden_s = _WAITS_S[message.attempt - 1]
        await self.queues.send_change(DurableWrite.SYNC_AGAIN, message.again(), hidden_s=hidden_s)
        # Not later than the message is visible: storage counts from when it took the message.
        self._back_at = self._began_at + hidden_s
        return Heeded.PUT_BACK
