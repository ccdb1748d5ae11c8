"""How late a process wakes for its slots: what the limiter's tolerance has to cover on this machine."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from shared.storage.limiter import Limiter


class Wakings:
    """Notes, for every slot that was waited for, how long after its beginning the wait ended."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.late_ms: list[float] = []

    @classmethod
    def watch(cls, limiter: Limiter) -> Self:
        """Watches a limiter from now on."""
        seen = cls()
        enter = limiter.enter

        async def watched(app: str, slot: datetime | None) -> bool:
            is_ahead = slot is not None and slot > limiter._now()
            entered = await enter(app, slot)
            if slot is not None and is_ahead:
                seen.late_ms.append(round((limiter._now() - slot).total_seconds() * 1000, 2))
            return entered

        limiter.enter = watched  # type: ignore[method-assign]
        return seen
