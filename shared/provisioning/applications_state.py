"""The status of each application: paused, quarantined, and the configuration in force.

Read with every message, so it is cached for five seconds in each process: a pause takes that long to reach everybody.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from shared import telemetry
from shared.clock import Clock, read_instant, write_instant
from shared.config.applications import Application
from shared.provisioning.accounts import write_columns
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import CONTENDED_TRIES, Operation, StorageConflict, StorageContended, Tables

APPLICATIONS = "applications"
STATE_KEY = "state"
CACHE_S = 5.0

UNREADABLE = "ServicePrincipalUnreadable"
"""Quarantine reason of an application whose assignments cannot be read: no probe at the vendor ends it, a good read
does."""

TOO_MANY_FAILURES = "TooManyFailures"
"""Quarantine reason of an application at which single accounts keep failing."""

PAUSED_BY_PERSON = "PausedByPerson"
"""Reason of a pause; only `resume` ends it."""

HISTORY = 20
"""Changes of status that are kept."""

_TELLING = timedelta(minutes=1)
"""Who changed a status has told it by then, or has died."""

PROBE_LADDER = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1))
"""Waits before the probes of a quarantined application; the last one repeats."""


class ApplicationStatus(StrEnum):
    """Whether messages of an application are worked on (Graph's `synchronizationStatus`, reduced)."""

    ACTIVE = "Active"
    PAUSED = "Paused"
    """By a person; only a person ends it."""
    QUARANTINE = "Quarantine"
    """By itself; a good probe ends it."""


_STATUSES = frozenset(ApplicationStatus)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusChange:
    """One line of an application's history."""

    at: datetime
    status: ApplicationStatus
    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationState:
    """The state row of one application."""

    name: str
    etag: str = ""
    status: ApplicationStatus = ApplicationStatus.ACTIVE
    """`PAUSED` also for a status that only another version of the app knows: nothing is sent, and a person ends it."""
    unknown_status: str = ""
    """The status as that version wrote it; it stays in the row until somebody pauses or resumes. Empty: a known one."""
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
    generation: int = 0
    """Number of the last restart, 0 before the first: an account row of an earlier generation is looked at again."""
    asserted: int = 0
    """The generation of the last restart that put no trust in what was sent before it."""
    history: tuple[StatusChange, ...] = ()
    """The last changes of status and reason, newest first."""
    unannounced: str = ""
    """Names the change that is still to be told. Whoever made it tells it and clears this; housekeeping does it for a
    process that died in between."""

    @property
    def is_stopped(self) -> bool:
        """Whether messages end without being worked on."""
        return self.status is not ApplicationStatus.ACTIVE


class ApplicationStates:
    """Reads and moves application states."""

    def __init__(self, *, tables: Tables, clock: Clock) -> None:
        self._tables = tables
        self._clock = clock
        self.started_at = clock.now()
        """When this process began, as far as application states go."""
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
            status = str(values.get("status") or ApplicationStatus.ACTIVE)
            is_known = status in _STATUSES
            state = ApplicationState(
                name=name,
                etag=row.etag,
                status=ApplicationStatus(status) if is_known else ApplicationStatus.PAUSED,
                unknown_status="" if is_known else status,
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
                generation=int(values.get("generation", 0)),
                asserted=int(values.get("asserted", 0)),
                history=_read_history(str(values.get("history", ""))),
                unannounced=str(values.get("unannounced", "")),
            )
        self._cached[name] = (asked_at, state)
        return state

    async def publish_configuration(self, application: Application) -> bool:
        """Put this process's configuration in force, unless a process started later has another one."""

        def publish(state: ApplicationState) -> ApplicationState | None:
            if state.config == application.config_hash:
                return None
            if state.config_started_at is not None and state.config_started_at > self.started_at:
                return None
            return replace(state, config=application.config_hash, config_started_at=self.started_at)

        state = await self._move(DurableWrite.APPLICATION_STATE, application.name, publish)
        return state.config == application.config_hash

    async def impose_quarantine(self, name: str, reason: str, detail: str) -> None:
        """Stop pushing to an application until a probe is good. Told once, and once more per change of reason.

        Idempotent. A person's pause stays a pause; another reason does not shorten the wait for the next probe.
        """
        now = self._clock.now()

        def impose(state: ApplicationState) -> ApplicationState | None:
            if state.status is ApplicationStatus.PAUSED:
                return None
            if state.status is ApplicationStatus.QUARANTINE:
                return None if state.reason == reason else _changed(state, now, reason=reason, detail=detail)
            stopped = replace(state, since=now, probes=0, next_probe_at=now + PROBE_LADDER[0])
            return _changed(stopped, now, status=ApplicationStatus.QUARANTINE, reason=reason, detail=detail)

        await self._change(name, impose)

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
        """End a quarantine (of the given reason, or of any); answers whether this call ended one."""

        def applies(state: ApplicationState) -> bool:
            return state.status is ApplicationStatus.QUARANTINE and reason in ("", state.reason)

        return await self._activate(name, applies)

    async def pause(self, name: str, detail: str) -> bool:
        """Stop pushing until a person resumes; answers whether this call did it. Everything keeps its place."""
        now = self._clock.now()

        def stop(state: ApplicationState) -> ApplicationState | None:
            if state.status is ApplicationStatus.PAUSED and not state.unknown_status:
                return None
            stopped = replace(state, since=now, probes=0, next_probe_at=None)
            return _changed(
                stopped,
                now,
                status=ApplicationStatus.PAUSED,
                reason=PAUSED_BY_PERSON,
                detail=detail or "no reason given",
            )

        return await self._change(name, stop)

    async def resume(self, name: str) -> bool:
        """A person ends a pause, or a quarantine; answers whether there was one."""
        return await self._activate(name, lambda state: state.is_stopped)

    async def announce(self, name: str) -> None:
        """Tell what a process that died did not get to tell."""
        state = await self.read_fresh(name)
        if state.unknown_status or not state.history:
            # Another version changed it, and knows how to tell it.
            return
        if state.unannounced and self._clock.now() >= state.history[0].at + _TELLING:
            await self._announce(state)

    async def _activate(self, name: str, applies: Callable[[ApplicationState], bool]) -> bool:
        """Messages are worked on again; what was queued before has none any more, and the sweep brings it back."""
        now = self._clock.now()

        def lift(state: ApplicationState) -> ApplicationState | None:
            if not applies(state):
                return None
            started = replace(state, since=None, probes=0, next_probe_at=None, resumed_at=now)
            return _changed(started, now, status=ApplicationStatus.ACTIVE, reason="", detail=f"after {state.reason}")

        return await self._change(name, lift)

    async def _change(self, name: str, change: Callable[[ApplicationState], ApplicationState | None]) -> bool:
        """Change status or reason, and tell it; answers whether it was this call that changed it."""
        made = False

        def noted(state: ApplicationState) -> ApplicationState | None:
            nonlocal made
            moved = change(state)
            made = moved is not None
            return moved

        state = await self._move(DurableWrite.QUARANTINE, name, noted)
        if made:
            await self._announce(state)
        return made

    async def _announce(self, state: ApplicationState) -> None:
        """Tell a change of status, then note that it was told."""
        latest = state.history[0]
        match state.status:
            case ApplicationStatus.QUARANTINE:
                telemetry.emit(
                    telemetry.Event.APPLICATION_QUARANTINED,
                    application=state.name,
                    reason=state.reason,
                    detail=state.detail,
                )
            case ApplicationStatus.PAUSED:
                telemetry.emit(telemetry.Event.APPLICATION_PAUSED, application=state.name, detail=state.detail)
            case ApplicationStatus.ACTIVE:
                telemetry.emit(telemetry.Event.APPLICATION_RESUMED, application=state.name, reason=latest.detail)

        def told(current: ApplicationState) -> ApplicationState | None:
            return replace(current, unannounced="") if current.unannounced == state.unannounced else None

        await self._move(DurableWrite.APPLICATION_STATE, state.name, told)

    async def note_listed(self, name: str, at: datetime | None, *, groups: bool = False) -> None:
        """Note when the vendor's accounts, or its groups, were listed; None: the listing is void."""

        def note(state: ApplicationState) -> ApplicationState:
            return replace(state, groups_listed_at=at) if groups else replace(state, listed_at=at)

        await self._move(DurableWrite.APPLICATION_STATE, name, note)

    async def begin_generation(self, name: str, generation: int, *, asserts: bool) -> None:
        """Let every account row of an earlier generation be looked at again. Idempotent; never back.

        `asserts`: what was sent to them counts as unknown.
        """

        def begin(state: ApplicationState) -> ApplicationState | None:
            asserted = max(state.asserted, generation) if asserts else state.asserted
            moved = replace(state, generation=max(state.generation, generation), asserted=asserted)
            return moved if moved != state else None

        await self._move(DurableWrite.RESTART_BEGIN, name, begin)

    async def _move(
        self, write: DurableWrite, name: str, change: Callable[[ApplicationState], ApplicationState | None]
    ) -> ApplicationState:
        """Apply a change under the row's ETag, again when somebody was faster; None means nothing to change.

        Raises StorageUnavailable.
        """
        for _ in range(CONTENDED_TRIES):
            state = await self.read_fresh(name)
            moved = change(state)
            if moved is None:
                return state
            values = _columns(moved)
            if state.etag:
                # What did not change stays as it is, whatever another version wrote there or beside it.
                known = _columns(state)
                changed = {name: value for name, value in values.items() if value != known[name]}
                operation = Operation.merge(STATE_KEY, changed, etag=state.etag)
            else:
                operation = Operation.insert(STATE_KEY, values)
            try:
                etags = await self._tables.commit(write, APPLICATIONS, name, [operation])
            except StorageConflict:
                continue
            moved = replace(moved, etag=etags[STATE_KEY])
            self._cached[name] = (self._clock.monotonic(), moved)
            return moved
        raise StorageContended(f"the state of application {name}")


def _columns(state: ApplicationState) -> dict[str, Any]:
    return write_columns(
        status=state.unknown_status or state.status,
        reason=state.reason,
        detail=state.detail,
        since=state.since,
        probes=state.probes,
        next_probe_at=state.next_probe_at,
        config=state.config,
        config_started_at=state.config_started_at,
        resumed_at=state.resumed_at,
        listed_at=state.listed_at,
        groups_listed_at=state.groups_listed_at,
        # As text: from 2038 on a number of seconds does not fit the service's plain integers.
        generation=str(state.generation),
        asserted=str(state.asserted),
        history=_write_history(state.history),
        unannounced=state.unannounced,
    )


def _changed(
    state: ApplicationState,
    now: datetime,
    *,
    reason: str,
    detail: str,
    status: ApplicationStatus | None = None,
) -> ApplicationState:
    """The state with another status or reason, which the history keeps and somebody has to tell."""
    change = StatusChange(at=now, status=status or state.status, reason=reason, detail=detail[:300])
    return replace(
        state,
        status=change.status,
        unknown_status="",
        reason=reason,
        detail=change.detail if reason else "",
        history=(change, *state.history)[:HISTORY],
        unannounced=f"{change.status} {write_instant(now)}",
    )


def _write_history(history: tuple[StatusChange, ...]) -> str:
    lines = [[write_instant(each.at), each.status, each.reason, each.detail] for each in history]
    return json.dumps(lines, ensure_ascii=False)


def _read_history(text: str) -> tuple[StatusChange, ...]:
    """What another version wrote, or somebody edited, is no history."""
    try:
        return tuple(
            StatusChange(at=at, status=ApplicationStatus(status), reason=str(reason), detail=str(detail))
            for written, status, reason, detail in (json.loads(text) if text else [])
            if (at := read_instant(written)) is not None
        )
    except (ValueError, TypeError):
        return ()
