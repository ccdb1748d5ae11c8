"""How many requests arrived in any sliding window, per key, and the highest count ever seen."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from threading import Lock
from typing import Any


class RateMeter:
    """Counts arrivals in a window of `window_s` seconds ending now. It measures even where nothing is enforced."""

    def __init__(self, window_s: float) -> None:
        self.window_s = window_s
        self.peak = 0
        self._arrivals: dict[str, deque[float]] = {}
        self._lock = Lock()

    def arrived(self, at: float, key: str = "") -> int:
        """Counts one arrival and answers with the number in the window, this one included."""
        with self._lock:
            window = self._arrivals.setdefault(key, deque())
            window.append(at)
            while window[0] <= at - self.window_s:
                window.popleft()
            self.peak = max(self.peak, len(window))
            return len(window)

    def frees_in(self, at: float, key: str = "", *, limit: int) -> float:
        """Answers in how many seconds a further request would be within a limit."""
        with self._lock:
            window = self._arrivals.get(key, ())
            return max(0.0, window[-limit] + self.window_s - at) if len(window) >= limit else 0.0

    def as_kept(self) -> dict[str, Any]:
        """Answers with the peak and the arrivals that may still count, as JSON."""
        with self._lock:
            return {"peak": self.peak, "arrivals": {key: list(window) for key, window in self._arrivals.items()}}

    def take_up(self, kept: Mapping[str, Any]) -> None:
        """Counts on from what `as_kept` answered in an earlier process."""
        with self._lock:
            self.peak = kept["peak"]
            self._arrivals = {key: deque(window) for key, window in kept["arrivals"].items()}

    def reset(self) -> None:
        """Forgets every arrival and the peak."""
        with self._lock:
            self._arrivals.clear()
            self.peak = 0
