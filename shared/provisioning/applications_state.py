"""The status of each application: paused, quarantined, and the configuration in force.

Read with every message, so it is cached for five seconds in each process: a pause takes that long to reach everybody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from shared import telemetry
from shared.clock import Clock, read_instant
from shared.config.applications import Application
from shared.provisioning.accounts import write_columns
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation, StorageConflict, Tables

APPLICATIONS = "applications"
STATE_KEY = "state"
CACHE_S = 5.0

UNREADABLE = "ServicePrincipalUnreadable"
"""Quarantine reason of an application whose assignments cannot be read: no probe at the vendor ends it, a good read
does."""

TOO_MANY_FAILURES = "TooManyFailures"
"""Quarantine reason of an application at which single accounts keep failing."""

PROBE_LADDER = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1))
"""Waits before the probes of a quarantined application; the last one repeats."""


class ApplicationStatus(StrEnum):
    """Whether messages of an application are worked on (Graph's `synchronizationStatus`, reduced)."""

    ACTIVE = "Active"
    PAUSED = "Paused"
    """By a person; only a person ends it."""
    QUARANTINE = "Quarantine"
    """By itself; a good probe ends it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationState:
    """The state row of one application."""

    name: str
    etag: str = ""
    status: ApplicationStatus = ApplicationStatus.ACTIVE
    reason: str = ""
    detail: str = ""
    since: datetime | None = None
    probes: int = 0
    next_probe_at: datetime | None = None
    config: str = ""
    """Configuration hash in force; an instance with another one leaves the messages to the others."""
    config_started_at: datetime | None = None
    """Start of the process that published it: the process started last has the newest deployment."""
    resumed_at: datetime | None = None
    """End of the last quarantine or pause: what was queued before it has no message any more."""
    listed_at: datetime | None = None
    """When the vendor's accounts were last listed for matching."""
    groups_listed_at: datetime | None = None

    @property
    def is_stopped(self) -> bool:
        """Whether messages end without being worked on."""
        return self.status is not ApplicationStatus.ACTIVE


class ApplicationStates:
    """Reads and moves application states."""

    def __init__(self, *, tables: Tables, clock: Clock) -> None:
        self._tables = tables
        self._clock = clock
        self._started_at = clock.now()
        self._cached: dict[str, tuple[float, ApplicationState]] = {}

    async def read(self, name: str) -> ApplicationState:
        """Read a state, at most five seconds old."""
        at, state = self._cached.get(name, (float("-inf"), ApplicationState(name=name)))
        if self._clock.monotonic() - at < CACHE_S:
            return state
        return await self.read_fresh(name)

    async def read_fresh(self, name: str) -> ApplicationState:
        """Read a state as it is now."""
        asked_at = self._clock.monotonic()
        row = await self._tables.read(APPLICATIONS, name, STATE_KEY)
        state = ApplicationState(name=name)
        if row is not None:
            values = row.values
            state = ApplicationState(
                name=name,
                etag=row.etag,
                status=ApplicationStatus(values.get("status") or ApplicationStatus.ACTIVE),
                reason=str(values.get("reason", "")),
                detail=str(values.get("detail", "")),
                since=read_instant(str(values.get("since", ""))),
                probes=int(values.get("probes", 0)),
                next_probe_at=read_instant(str(values.get("next_probe_at", ""))),
                config=str(values.get("config", "")),
                config_started_at=read_instant(str(values.get("config_started_at", ""))),
                resumed_at=read_instant(str(values.get("resumed_at", ""))),
                listed_at=read_instant(str(values.get("listed_at", ""))),
                groups_listed_at=read_instant(str(values.get("groups_listed_at", ""))),
            )
        self._cached[name] = (asked_at, state)
        return state

    async def publish_configuration(self, application: Application) -> bool:
        """Put this process's configuration in force, unless a process started later has another one."""

        def publish(state: ApplicationState) -> ApplicationState | None:
            if state.config == application.config_hash:
                return None
            if state.config_started_at is not None and state.config_started_at > self._started_at:
                return None
            return replace(state, config=application.config_hash, config_started_at=self._started_at)

        state = await self._move(DurableWrite.APPLICATION_STATE, application.name, publish)
        return state.config == application.config_hash

    async def impose_quarantine(self, name: str, reason: str, detail: str) -> None:
        """Stop pushing to an application until a probe is good. One alert per reason; idempotent."""
        now = self._clock.now()

        def impose(state: ApplicationState) -> ApplicationState | None:
            if state.status is ApplicationStatus.PAUSED:
                return None
            if state.status is ApplicationStatus.QUARANTINE and state.reason == reason:
                return None
            return replace(
                state,
                status=ApplicationStatus.QUARANTINE,
                reason=reason,
                detail=detail[:300],
                since=state.since if state.status is ApplicationStatus.QUARANTINE else now,
                probes=0,
                next_probe_at=now + PROBE_LADDER[0],
            )

        before = await self.read_fresh(name)
        after = await self._move(DurableWrite.QUARANTINE, name, impose)
        if after.status is ApplicationStatus.QUARANTINE and (before.status, before.reason) != (after.status, reason):
            telemetry.emit(
                telemetry.Event.APPLICATION_QUARANTINED, application=name, reason=reason, detail=detail[:300]
            )

    async def postpone_probe(self, name: str) -> None:
        """A probe was not good: the next one comes after a longer wait."""
        now = self._clock.now()

        def postpone(state: ApplicationState) -> ApplicationState | None:
            if state.status is not ApplicationStatus.QUARANTINE:
                return None
            probes = state.probes + 1
            wait = PROBE_LADDER[min(probes, len(PROBE_LADDER) - 1)]
            return replace(state, probes=probes, next_probe_at=now + wait)

        await self._move(DurableWrite.QUARANTINE, name, postpone)

    async def lift_quarantine(self, name: str, *, reason: str = "") -> bool:
        """End a quarantine (of the given reason, or of any); answers whether there was one."""
        current = await self.read(name)
        if current.status is not ApplicationStatus.QUARANTINE or (reason and current.reason != reason):
            return False

        def lift(state: ApplicationState) -> ApplicationState | None:
            if state.status is not ApplicationStatus.QUARANTINE:
                return None
            return replace(
                state,
                status=ApplicationStatus.ACTIVE,
                reason="",
                detail="",
                since=None,
                probes=0,
                next_probe_at=None,
                resumed_at=self._clock.now(),
            )

        await self._move(DurableWrite.QUARANTINE, name, lift)
        telemetry.emit(telemetry.Event.APPLICATION_RESUMED, application=name, reason=current.reason)
        return True

    async def note_listed(self, name: str, at: datetime | None, *, groups: bool = False) -> None:
        """Note when the vendor's accounts, or its groups, were listed; None: the listing is void."""

        def note(state: ApplicationState) -> ApplicationState:
            return replace(state, groups_listed_at=at) if groups else replace(state, listed_at=at)

        await self._move(DurableWrite.APPLICATION_STATE, name, note)

    async def _move(
        self, write: DurableWrite, name: str, change: Callable[[ApplicationState], ApplicationState | None]
    ) -> ApplicationState:
        """Apply a change under the row's ETag, again when somebody was faster; None means nothing to change."""
        while True:
            state = await self.read_fresh(name)
            moved = change(state)
            if moved is None:
                return state
            values = write_columns(
                status=moved.status,
                reason=moved.reason,
                detail=moved.detail,
                since=moved.since,
                probes=moved.probes,
                next_probe_at=moved.next_probe_at,
                config=moved.config,
                config_started_at=moved.config_started_at,
                resumed_at=moved.resumed_at,
                listed_at=moved.listed_at,
                groups_listed_at=moved.groups_listed_at,
            )
            operation = (
                Operation.replace(STATE_KEY, values, etag=state.etag)
                if state.etag
                else Operation.insert(STATE_KEY, values)
            )
            try:
                etags = await self._tables.commit(write, APPLICATIONS, name, [operation])
            except StorageConflict:
                continue
            moved = replace(moved, etag=etags[STATE_KEY])
            self._cached[name] = (self._clock.monotonic(), moved)
            return moved
