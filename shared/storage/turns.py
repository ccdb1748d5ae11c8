"""Who of this process may begin work for an application that has a rate limit.

A process that is given more work than its vendor takes would otherwise spend its time on reading accounts and putting
them back unsent, and wake too late for the slots it has.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from shared.clock import Clock

SHARE_S = 0.5
"""So much of the rate may have begun and have no slot yet: what a batch of slots serves."""

_FEWEST = 2
_LOOK_S = 0.1


class NoTurnError(Exception):
    """Enough others wait for slots already: nothing was read."""


class Turns:
    """Lets few in at a time. A turn ends with its task's first slot, or with the work."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._taken: defaultdict[str, set[asyncio.Task[Any] | None]] = defaultdict(set)

    @asynccontextmanager
    async def take(self, app: str, rate: float | None, *, patience_s: float) -> AsyncIterator[None]:
        """Do the body in a turn, at once when there is no limit. Raises NoTurnError when none is free in time."""
        taken, deadline = self._taken[app], self._clock.monotonic() + patience_s
        while rate is not None and len(taken) >= max(_FEWEST, int(rate * SHARE_S)):
            if self._clock.monotonic() >= deadline:
                raise NoTurnError
            await self._clock.sleep(_LOOK_S)
        task = asyncio.current_task()
        taken.add(task)
        try:
            yield
        finally:
            taken.discard(task)

    def end(self, app: str) -> None:
        """The current task has its slot, or knows that it gets none: the next may begin."""
        self._taken[app].discard(asyncio.current_task())
