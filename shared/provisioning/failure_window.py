"""When single failures become the application's: a ratio over a rolling window, with a small minimum.

Entra's thresholds start at 5,000 failures, which a tenant of two hundred people never reaches. The window is per
process: every worker sees a sample of the same vendor, and one that trips stops them all through the state row.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta

WINDOW = timedelta(minutes=10)
MINIMUM = 20
"""Failures below this never stop an application."""
RATIO = 0.6


class FailureWindows:
    """The recent outcomes of each application in this process."""

    def __init__(self) -> None:
        self._outcomes: dict[str, deque[tuple[datetime, bool]]] = {}

    def note(self, app: str, *, ok: bool, now: datetime) -> bool:
        """Note an outcome; True when the failures now are too many, and the window starts anew."""
        outcomes = self._outcomes.setdefault(app, deque(maxlen=1000))
        outcomes.append((now, ok))
        while outcomes and now - outcomes[0][0] > WINDOW:
            outcomes.popleft()
        failures = sum(not was_ok for _, was_ok in outcomes)
        if ok or failures < MINIMUM or failures < RATIO * len(outcomes):
            return False
        outcomes.clear()
        return True
