"""Time as an argument: the services get a clock, the pure core gets `now`."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Clock:
    """The real clock. Tests pass one that they move by hand."""

    def now(self) -> datetime:
        """Answer the current instant, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Answer seconds that never go backwards, for lengths of time inside one process."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait. No caller may ask for more than two seconds inside a function (design section 4)."""
        await asyncio.sleep(seconds)


_INSTANT_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


def write_instant(at: datetime) -> str:
    """Render an instant as fixed-width text, so that stored instants sort and compare as text."""
    return at.astimezone(UTC).strftime(_INSTANT_FORMAT)


def read_instant(text: str) -> datetime | None:
    """Read what `write_instant` wrote; the empty string, our cleared value, is None."""
    return datetime.strptime(text, _INSTANT_FORMAT).replace(tzinfo=UTC) if text else None
