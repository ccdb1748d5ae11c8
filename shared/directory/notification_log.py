"""What is told of the POSTs that come to an anonymous address: all that is authentic, and of noise a line a minute."""

from __future__ import annotations

from dataclasses import dataclass

from shared.clock import Clock
from shared.directory.notifications import Heard
from shared.telemetry import Event, emit

NOISE_EVERY_S = 60.0
"""Whoever posts without our secret fills no log and costs nobody money."""


@dataclass(slots=True, kw_only=True)
class NotificationLog:
    """Tells what was heard. One instance per process."""

    clock: Clock
    _posts: int = 0
    """POSTs of noise that were not told yet; what they held is in the other two."""
    _forged: int = 0
    _malformed: int = 0
    _quiet_until: float = float("-inf")
    """Monotonic: until then noise is only counted."""

    def tell(self, heard: Heard) -> None:
        """Tell of a POST; what is noise only, at once or with the first noise after a minute."""
        if heard.changes or heard.lifecycle:
            _emit(1, heard.forged, heard.malformed, changes=heard.changes, lifecycle=heard.lifecycle)
            return
        self._posts += 1
        self._forged += heard.forged
        self._malformed += heard.malformed
        if self.clock.monotonic() < self._quiet_until:
            return
        self._quiet_until = self.clock.monotonic() + NOISE_EVERY_S
        _emit(self._posts, self._forged, self._malformed)
        self._posts = self._forged = self._malformed = 0


def _emit(posts: int, forged: int, malformed: int, *, changes: int = 0, lifecycle: int = 0) -> None:
    emit(
        Event.DIRECTORY_NOTIFIED,
        posts=posts,
        changes=changes,
        lifecycle=lifecycle,
        forged=forged,
        malformed=malformed,
    )
