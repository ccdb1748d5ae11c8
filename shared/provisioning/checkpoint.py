"""The one checkpoint row: all streams' links, the puller's epoch and lease, and what still has to be queued.

It is the only thing that says how far the directory was read, so it moves last: everything it covers is in storage
before it is written. Every write is conditional on the ETag of the read before it; whoever loses stops (protocol H10).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from shared.clock import read_instant, write_instant
from shared.provisioning.accounts import Number, make_number
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation, Row, StorageConflict, Tables, split_text

CHECKPOINT = "checkpoint"
_PARTS = 30
"""Properties the state may take: as many as a row of 1 MiB holds, enough for about sixty applications."""

STALLED = timedelta(minutes=15)
"""Since the last page of a round: what was staged by then is all that can be known."""

_PARTITION = "directory"
_KEY = "streams"
_RESTART = "restart:"


class LeaseLost(Exception):
    """Another puller took over, or the lease is too short to go on. Nothing is lost: the page is read again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamState:
    """How far one stream was read."""

    link: str = ""
    """Next link inside a round, delta link between rounds; empty before the first round."""
    round: str = ""
    """Id of the full round in progress, stamped on every mirror row it sees; empty between full rounds."""
    first: bool = False
    """The full round in progress is the first one ever, and no run failed in it: nothing can be in the mirror but the
    pages that were saved. Not to be believed while a lease is there that was never given back."""
    select: str = ""
    """Hash of the properties the link tracks; another selection needs another round."""
    began: str = ""
    """Number below those of the pages that earlier runs read of the round in progress; empty between rounds."""
    saved_at: datetime | None = None
    digests: dict[str, str] = field(default_factory=dict)
    """Assignments: content hash per bucket of the last complete list."""
    marked: dict[str, str] = field(default_factory=dict)
    """Assignments: bucket -> instant from which its marked principals can be confirmed as gone."""
    principal: str = ""
    """Assignments: the service principal the list belongs to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartMark:
    """A person restarted an application, and the puller has not looked yet who should have a row and has none."""

    app: str
    generation: int
    asserts: bool
    """What was sent before counts as unknown."""
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The checkpoint row as read."""

    etag: str = ""
    epoch: int = 0
    lease_token: str = ""
    lease_until: datetime | None = None
    saved: str = ""
    """The last page attempt whose raise and messages are durable."""
    blocked_until: datetime | None = None
    """Graph asked us to wait until then."""
    streams: dict[str, StreamState] = field(default_factory=dict)
    configs: dict[str, str] = field(default_factory=dict)
    """Application -> configuration hash its rows were last raised for."""
    backlog: dict[str, str] = field(default_factory=dict)
    """Application -> row key after which the top-up goes on; present while rows wait for a message."""

    restarts: dict[str, RestartMark] = field(default_factory=dict)
    """Application -> its restart, as rows beside the checkpoint say: read with it, and never written with it."""

    def is_in_round(self, now: datetime) -> bool:
        """Whether users or groups are being read: a run is at it, or the last one left the rest to the next.

        A round that comes no further keeps nobody waiting.
        """
        if self.lease_until is not None and now < self.lease_until:
            return True
        streams = [self.stream(name) for name in ("users", "groups")]
        return any(
            (each.round or each.began) and each.saved_at is not None and now - each.saved_at < STALLED
            for each in streams
        )

    def stream(self, name: str) -> StreamState:
        """The state of a stream; one never read is empty."""
        return self.streams.get(name, StreamState())

    def with_stream(self, name: str, state: StreamState) -> Checkpoint:
        """The checkpoint with one stream moved."""
        return replace(self, streams={**self.streams, name: state})

    def with_backlog(self, app: str, cursor: str | None) -> Checkpoint:
        """The checkpoint with an application's backlog noted, or (None) gone."""
        backlog = {name: at for name, at in self.backlog.items() if name != app}
        return replace(self, backlog=backlog if cursor is None else {**backlog, app: cursor})


class Checkpoints:
    """Reads and writes the checkpoint row."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def read(self) -> Checkpoint:
        """Read the row, and restarts beside it; an absent one is a checkpoint that never moved. One request."""
        # Restarts come before the checkpoint itself; what else the partition holds is not asked for.
        found = await self._tables.read_range(CHECKPOINT, _PARTITION, first=_RESTART, before=f"{_KEY}\x01")
        rows = {row.key: row for row in found}
        restarts = {
            mark.app: mark for key, row in rows.items() if key.startswith(_RESTART) for mark in [_read_mark(row)]
        }
        row = rows.get(_KEY)
        if row is None:
            return Checkpoint(restarts=restarts)
        state: dict[str, Any] = json.loads(row.text("state") or "{}")
        return Checkpoint(
            etag=row.etag,
            epoch=int(state.get("epoch", 0)),
            lease_token=str(row.values.get("lease_token", "")),
            lease_until=read_instant(str(row.values.get("lease_until", ""))),
            saved=str(state.get("saved", "")),
            blocked_until=read_instant(str(state.get("blocked_until", ""))),
            streams={name: _read_stream(columns) for name, columns in state.get("streams", {}).items()},
            configs=state.get("configs", {}),
            backlog=state.get("backlog", {}),
            restarts=restarts,
        )

    async def read_restart(self, app: str) -> RestartMark | None:
        """An application's restart that the puller has not taken up, or None."""
        row = await self._tables.read(CHECKPOINT, _PARTITION, f"{_RESTART}{app}")
        return None if row is None else _read_mark(row)

    async def mark_restart(self, mark: RestartMark) -> None:
        """Note a restart for the puller. Raises StorageConflict when another one was noted meanwhile."""
        key, values = f"{_RESTART}{mark.app}", {"generation": str(mark.generation), "asserts": mark.asserts}
        operation = Operation.replace(key, values, etag=mark.etag) if mark.etag else Operation.insert(key, values)
        await self._tables.commit(DurableWrite.RESTART_MARK, CHECKPOINT, _PARTITION, [operation])

    async def end_restart(self, mark: RestartMark) -> None:
        """Everybody was raised. A restart that was asked for meanwhile stays."""
        ended = Operation.delete(f"{_RESTART}{mark.app}", etag=mark.etag)
        try:
            await self._tables.commit(DurableWrite.RESTART_END, CHECKPOINT, _PARTITION, [ended])
        except StorageConflict:
            return

    async def write(self, write: DurableWrite, checkpoint: Checkpoint) -> Checkpoint:
        """Write the row over the version that was read; answer it with the new ETag. Raises StorageConflict."""
        state = {
            "epoch": checkpoint.epoch,
            "saved": checkpoint.saved,
            "blocked_until": _instant(checkpoint.blocked_until),
            "streams": {name: _write_stream(stream) for name, stream in checkpoint.streams.items()},
            "configs": checkpoint.configs,
            "backlog": checkpoint.backlog,
        }
        values = {
            **split_text("state", json.dumps(state, separators=(",", ":")), parts=_PARTS),
            "lease_token": checkpoint.lease_token,
            "lease_until": _instant(checkpoint.lease_until),
        }
        operation = (
            Operation.replace(_KEY, values, etag=checkpoint.etag) if checkpoint.etag else Operation.insert(_KEY, values)
        )
        etags = await self._tables.commit(write, CHECKPOINT, _PARTITION, [operation])
        return replace(checkpoint, etag=etags[_KEY])


@dataclass(slots=True, kw_only=True)
class Lease:
    """The puller's own view of its lease: measured on the monotonic clock from before the write that took it."""

    token: str
    ends_at: float
    length: timedelta
    margin_s: float
    """Storage time-out and some: with less than this left, the next write may land after the lease."""

    def require(self, monotonic: float) -> None:
        """Raise LeaseLost when too little is left to start another write."""
        if self.ends_at - monotonic <= self.margin_s:
            raise LeaseLost("the puller's lease is nearly over; the page is read again at the next run")

    def is_worn(self, monotonic: float) -> bool:
        """Whether it is time to renew: a quarter is over. What comes until the next look may take as long as half."""
        return self.ends_at - monotonic < 0.75 * self.length.total_seconds()


@dataclass(slots=True)
class Numbers:
    """The numbers of one puller epoch, never used before and never again."""

    epoch: int
    n: int = 0

    def next(self) -> Number:
        """The number of the next page attempt."""
        self.n += 1
        return make_number(self.epoch, self.n)

    def before_first(self) -> Number:
        """A number below all of this epoch and above all of the earlier ones."""
        return make_number(self.epoch, 0)

    def last(self) -> Number:
        """The number used last; before the first one, a number below all of this epoch."""
        return make_number(self.epoch, self.n)


def _instant(at: datetime | None) -> str:
    return write_instant(at) if at else ""


def _read_mark(row: Row) -> RestartMark:
    return RestartMark(
        app=row.key.removeprefix(_RESTART),
        generation=int(row.values.get("generation", 0)),
        asserts=bool(row.values.get("asserts", False)),
        etag=row.etag,
    )


def _read_stream(columns: dict[str, Any]) -> StreamState:
    return StreamState(**{**columns, "saved_at": read_instant(columns.get("saved_at", ""))})


def _write_stream(state: StreamState) -> dict[str, Any]:
    columns = {
        "link": state.link,
        "began": state.began,
        "round": state.round,
        "first": state.first,
        "select": state.select,
        "saved_at": _instant(state.saved_at),
        "digests": state.digests,
        "marked": state.marked,
        "principal": state.principal,
    }
    return {name: value for name, value in columns.items() if value}
