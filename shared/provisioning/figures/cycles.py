"""What the sync did last, and the last times it did something.

    checkpoint / directory / cycles

For people, and for nothing else: no step of the protocol reads it, and a cycle that could not be noted was a cycle all
the same. A tick that finds nothing new is noted every few minutes only, so that it goes on costing one storage call.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from shared.clock import Clock, read_instant, write_instant
from shared.provisioning.checkpoint import CHECKPOINT
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation, Row, StorageConflict, StorageUnavailable, Tables, split_text

CYCLES_KEY = "cycles"
_PARTITION = "directory"

KEPT = 50
"""Cycles that did something."""

QUIET_EVERY_S = 300.0
"""How often a tick that found nothing is noted."""

_ERROR_LIMIT = 300
_PARTS = 30
_TRIES = 3
_HOURLY = timedelta(days=2)
_DAILY = timedelta(days=60)

NOTHING_NEW = "nothing new"
WAITING = "waiting"
"""The tick found another one at work, or Graph asked to wait: what was noted before says more."""

COMPLETE = frozenset({"pulled", NOTHING_NEW})
"""Outcomes of a tick after which the directory was read to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """One run of the sync."""

    began_at: datetime
    ended_at: datetime
    outcome: str
    """`pulled`: all was read; `nothing new`; `to be continued`: the next run goes on; else why it ended early."""
    epoch: int = 0
    """The run's number, which begins the numbers of the accounts it raised; 0: it raised nobody."""
    pages: int = 0
    """Pages of users and groups that were read."""
    changes: int = 0
    """Users and groups on those pages."""
    raised: Mapping[str, int] = field(default_factory=dict)
    """Application -> accounts that are to be looked at."""
    queued: Mapping[str, int] = field(default_factory=dict)
    """Application -> how many of them were queued at once; the others as the vendor's rate allows."""
    config: str = ""
    """Names the configuration of all applications together; another one, another name."""
    error: str = ""
    """What the directory or storage answered, if the run ended early."""

    @property
    def did_something(self) -> bool:
        """Whether the run took anything in, or raised anybody."""
        return self.changes > 0 or any(self.raised.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycles:
    """The row as read."""

    etag: str = ""
    last: Cycle | None = None
    """The last run that was noted; one that found nothing is noted every five minutes."""
    complete_at: datetime | None = None
    """When the directory was last known to be read to its end."""
    recent: tuple[Cycle, ...] = ()
    """The last runs that did something, newest first."""
    marks: tuple[tuple[int, datetime], ...] = ()
    """Epoch and instant of the first run of every hour, and of every day: when an old number was given."""

    def raised_at(self, number: str) -> datetime | None:
        """When a number was given, up to an hour too early (a day, after two days); None: before anything was noted."""
        try:
            epoch = int(number.partition(".")[0])
        except ValueError:
            return None
        known = [*self.marks, *((cycle.epoch, cycle.began_at) for cycle in self.recent)]
        return max((at for known_epoch, at in known if 0 < known_epoch <= epoch), default=None)


@dataclass(slots=True, kw_only=True)
class CycleBook:
    """Notes cycles. One instance per process."""

    tables: Tables
    clock: Clock
    _noted_at: float = float("-inf")
    """When this process last noted one; monotonic."""

    async def read(self) -> Cycles:
        """What was noted, one read. Raises StorageUnavailable."""
        row = await self.tables.read(CHECKPOINT, _PARTITION, CYCLES_KEY)
        return Cycles() if row is None else _read(row)

    async def note(self, cycle: Cycle) -> None:
        """Note a cycle. Storage that does not answer is no trouble of the cycle: then it is not noted."""
        noted_lately = self.clock.monotonic() < self._noted_at + QUIET_EVERY_S
        if cycle.outcome == WAITING or (cycle.outcome == NOTHING_NEW and noted_lately):
            return
        for _ in range(_TRIES):
            try:
                await self._save(_noted(await self.read(), cycle))
            except StorageConflict:
                continue
            except StorageUnavailable:
                return
            self._noted_at = self.clock.monotonic()
            return

    async def _save(self, cycles: Cycles) -> None:
        state = {
            "last": _write_cycle(cycles.last) if cycles.last else None,
            "complete_at": write_instant(cycles.complete_at) if cycles.complete_at else "",
            "recent": [_write_cycle(cycle) for cycle in cycles.recent],
            "marks": [[epoch, write_instant(at)] for epoch, at in cycles.marks],
        }
        values = split_text("state", json.dumps(state, ensure_ascii=False, separators=(",", ":")), parts=_PARTS)
        operation = (
            Operation.replace(CYCLES_KEY, values, etag=cycles.etag)
            if cycles.etag
            else Operation.insert(CYCLES_KEY, values)
        )
        await self.tables.commit(DurableWrite.CYCLE, CHECKPOINT, _PARTITION, [operation])


def config_name(hashes: Mapping[str, str]) -> str:
    """A short name of all applications' configuration hashes together."""
    return hashlib.sha256(json.dumps(sorted(hashes.items())).encode()).hexdigest()[:12]


def _noted(cycles: Cycles, cycle: Cycle) -> Cycles:
    cycle = replace(cycle, error=cycle.error[:_ERROR_LIMIT])
    if cycle.outcome in COMPLETE:
        cycles = replace(cycles, complete_at=cycle.ended_at)
    if cycle.epoch:
        cycles = replace(cycles, marks=_thinned([*cycles.marks, (cycle.epoch, cycle.began_at)], cycle.began_at))
    if cycle.did_something:
        cycles = replace(cycles, recent=(cycle, *cycles.recent)[:KEPT])
    return replace(cycles, last=cycle)


def _thinned(marks: Iterable[tuple[int, datetime]], now: datetime) -> tuple[tuple[int, datetime], ...]:
    """The first mark of every hour of two days, and of every day of two months."""
    kept: dict[str, tuple[int, datetime]] = {}
    for epoch, at in sorted(marks):
        if at >= now - _DAILY:
            kept.setdefault(f"{at:%Y%m%d%H}" if at >= now - _HOURLY else f"{at:%Y%m%d}", (epoch, at))
    return tuple(kept.values())


def _write_cycle(cycle: Cycle) -> dict[str, Any]:
    columns = {**asdict(cycle), "began_at": write_instant(cycle.began_at), "ended_at": write_instant(cycle.ended_at)}
    return {name: value for name, value in columns.items() if value}


def _read(row: Row) -> Cycles:
    """Decode the row; what another version wrote, or somebody edited, is nothing noted."""
    try:
        state = json.loads(row.text("state") or "{}")
        return Cycles(
            etag=row.etag,
            last=_read_cycle(state["last"]) if state.get("last") else None,
            complete_at=read_instant(state.get("complete_at", "")),
            recent=tuple(_read_cycle(columns) for columns in state.get("recent", [])),
            marks=_read_marks(state.get("marks", [])),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return Cycles(etag=row.etag)


def _read_cycle(columns: dict[str, Any]) -> Cycle:
    return Cycle(**{**columns, "began_at": _instant(columns["began_at"]), "ended_at": _instant(columns["ended_at"])})


def _read_marks(marks: Sequence[Any]) -> tuple[tuple[int, datetime], ...]:
    return tuple((int(epoch), _instant(at)) for epoch, at in marks)


def _instant(text: str) -> datetime:
    at = read_instant(text)
    if at is None:
        raise ValueError("an instant is missing")
    return at
