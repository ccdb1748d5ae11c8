"""What a person must mend and nothing else tells of again: told by housekeeping, at once and then every day.

It is told within a function's run, because the platform drops what is logged outside of one. What was told is kept in
memory only: a new process tells again, which is what somebody who restarted the app to mend it wants to see.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared import telemetry
from shared.clock import Clock
from shared.config.applications import Applications, missing_settings
from shared.config.settings import CLIENT_STATE, NotificationSettings
from shared.provisioning.checkpoint import Checkpoint

STALE_AFTER = timedelta(hours=72)
"""Graph forgets a link after seven days, and then the whole directory is read again; four are left to prevent it."""

AGAIN_AFTER = timedelta(days=1)

_WATERMARKS = ("users", "groups")
"""Streams that are saved at least once an hour. Those of assignments move only when an assignment does."""


@dataclass(slots=True, kw_only=True)
class Reminders:
    """Tells of settings that are missing, and of a watermark that does not move. One instance per process."""

    applications: Applications
    environment: Mapping[str, str]
    notifications: NotificationSettings
    clock: Clock
    _told_at: dict[str, datetime] = field(default_factory=dict)
    """What was told, and when last."""

    def tell(self, checkpoint: Checkpoint) -> None:
        """Emit an event for each that is due."""
        for missing in missing_settings(self.applications, self.environment):
            if missing.instead:
                # It works; the status says it all the same.
                continue
            # One vendor's missing secret must not stop the others: its application is quarantined, and says why.
            self._tell_missing(missing.application, missing.key, missing.setting, unresolved=missing.is_unresolved)
        if self.notifications.problem:
            # Changes wait for the timer; no application is stopped.
            self._tell_missing("", "", CLIENT_STATE, unresolved=self.notifications.is_unresolved)
        age = watermark_age(checkpoint, self.clock.now())
        if age is not None and age > STALE_AFTER and self._is_due("watermark"):
            telemetry.emit(telemetry.Event.DIRECTORY_STALE, age_h=age // timedelta(hours=1))

    def _tell_missing(self, application: str, key: str, setting: str, *, unresolved: bool) -> None:
        if self._is_due(f"{application}.{key}"):
            telemetry.emit(
                telemetry.Event.SETTING_MISSING,
                application=application,
                key=key,
                setting=setting,
                unresolved=unresolved,
            )

    def _is_due(self, what: str) -> bool:
        now = self.clock.now()
        last = self._told_at.get(what)
        if last is not None and now - last < AGAIN_AFTER:
            return False
        self._told_at[what] = now
        return True


def watermark_age(checkpoint: Checkpoint, now: datetime) -> timedelta | None:
    """How long ago the watermark that lags most was saved; None before the first round."""
    saved = [checkpoint.stream(name).saved_at for name in _WATERMARKS]
    return max((now - at for at in saved if at is not None), default=None)
