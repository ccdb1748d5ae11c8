"""Every table into another storage account, for a move to another region.

Whoever wrote the tables must have stopped. An app that reads the directory between two tables raises rows in one that
was copied already, and moves the watermark in one that is copied later: who lost access in between would keep it for
ever. So the copy begins only after the app was silent for longer than a function may run, begins only where nothing
else is, and is compared row by row at its end.

ETags and the service's time stamps are new in the other account. Nothing stored refers to one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from shared.clock import Clock
from shared.provisioning.checkpoint import CHECKPOINT, Checkpoints
from shared.provisioning.figures.cycles import CycleBook
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation, Row, Tables, stored_order

ORDER = (*(name for name in Tables.NAMES if name != CHECKPOINT), CHECKPOINT)
"""The watermark last: a copy that ends early is read as a directory that nobody has read yet."""

SILENCE = timedelta(minutes=10)
"""No function runs longer, and a sync that found nothing is noted every five minutes."""

_AT_ONCE = 400


class CopyRefused(Exception):
    """The copy was not begun, or cannot be believed; the text says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyReport:
    """What the other account holds now."""

    rows: Mapping[str, int]
    """Table -> its rows, each equal to the row it was copied from."""


class Difference(StrEnum):
    """How a row of one table stands to the other's."""

    NONE = "none"
    MISSING = "missing"
    """The other table has no such row."""
    OTHER = "other"
    """The other table has another one in its place, or one that this table does not have."""


async def copy_tables(source: Tables, target: Tables, *, clock: Clock) -> CopyReport:
    """Copy every table, and compare. Safe to repeat: what is there already is not written again.

    Raises CopyRefused, StorageUnavailable.
    """
    await _require_silence(source, clock.now())
    await target.create_missing()
    for table in ORDER:
        if (await _count(source, target, table))[Difference.OTHER]:
            raise CopyRefused(
                f"the target's table {table} holds what the source's does not: an app ran on it, or the two accounts "
                "are exchanged. If it is the new account, stop its app, delete its tables, wait a minute and repeat"
            )
    for table in ORDER:
        await copy_table(source, target, table)
    rows = {}
    for table in ORDER:
        counted = await _count(source, target, table)
        if counted[Difference.MISSING] or counted[Difference.OTHER]:
            raise CopyRefused(
                f"table {table} was written while it was copied: the old app still runs. Stop it, delete the target's "
                "tables, wait ten minutes and repeat"
            )
        rows[table] = counted[Difference.NONE]
    return CopyReport(rows=rows)


async def copy_table(source: Tables, target: Tables, table: str) -> None:
    """Write the rows that the target does not have. Raises StorageUnavailable."""
    waiting: list[Operation] = []
    begun = ""
    async for difference, partition, row in _compare(source, target, table):
        if difference is not Difference.MISSING:
            continue
        if waiting and (partition != begun or len(waiting) >= _AT_ONCE):
            await target.commit_all(DurableWrite.TABLE_COPY, table, begun, waiting)
            waiting = []
        begun = partition
        waiting.append(Operation.replace(row.key, row.values))
    if waiting:
        await target.commit_all(DurableWrite.TABLE_COPY, table, begun, waiting)


async def _require_silence(source: Tables, now: datetime) -> None:
    lease = (await Checkpoints(source).read()).lease_until
    if lease is not None and lease > now:
        raise CopyRefused("the old app is reading the directory at this moment: stop it, then repeat in ten minutes")
    last = (await CycleBook(tables=source, clock=Clock()).read()).last
    if last is not None and now - last.ended_at < SILENCE:
        raise CopyRefused(
            f"the old app read the directory at {last.ended_at:%H:%M:%S} UTC: stop it, then repeat ten minutes after "
            "its last run"
        )


async def _count(source: Tables, target: Tables, table: str) -> Counter[Difference]:
    counted: Counter[Difference] = Counter()
    async for difference, _, _ in _compare(source, target, table):
        counted[difference] += 1
    return counted


async def _compare(source: Tables, target: Tables, table: str) -> AsyncIterator[tuple[Difference, str, Row]]:
    """Walk both tables side by side: each row of either, once, with its partition."""
    ours, theirs = source.walk(table), target.walk(table)
    mine, other = await anext(ours, None), await anext(theirs, None)
    while mine is not None or other is not None:
        if other is None or (mine is not None and _place(mine) < _place(other)):
            assert mine is not None
            yield Difference.MISSING, *mine
            mine = await anext(ours, None)
        elif mine is None or _place(other) < _place(mine):
            yield Difference.OTHER, *other
            other = await anext(theirs, None)
        else:
            yield Difference.NONE if mine[1].values == other[1].values else Difference.OTHER, *mine
            mine, other = await anext(ours, None), await anext(theirs, None)


def _place(found: tuple[str, Row]) -> tuple[bytes, bytes]:
    return stored_order(found[0], found[1].key)
