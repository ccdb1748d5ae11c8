"""The simulators' clock: real time plus an offset that tests and the control API move forward."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from email.utils import format_datetime


class Clock:
    """Epoch seconds from a source, plus an offset. The default source never steps back."""

    def __init__(self, source: Callable[[], float] | None = None) -> None:
        started_at, ticks = time.time(), time.monotonic()
        self._source = source or (lambda: started_at + time.monotonic() - ticks)
        self.offset_s = 0.0

    def now(self) -> float:
        """Answers with the current instant in epoch seconds."""
        return self._source() + self.offset_s

    def advance(self, seconds: float) -> None:
        """Moves the clock forward."""
        self.offset_s += seconds

    def datetime(self) -> datetime.datetime:
        """Answers with the current instant in UTC."""
        return datetime.datetime.fromtimestamp(self.now(), tz=datetime.UTC)

    def http_date(self, in_seconds: float) -> str:
        """Answers with an instant some seconds ahead as an HTTP date (RFC 9110 section 5.6.7)."""
        return format_datetime(self.datetime() + datetime.timedelta(seconds=in_seconds), usegmt=True)
