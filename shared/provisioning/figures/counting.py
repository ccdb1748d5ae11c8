"""How many accounts of an application are in which state: the census, one row per application.

    applications / <application> / census

To count is to read every account row, which a large application does not allow at every look. So a count is made now
and then and its result kept; one that does not fit its time goes on from its place at the next opportunity, with
what it counted so far. Place and counts move in one write under the row's ETag: every row is counted once, a process
that dies repeats a part, and of two that count at once one stops. A small application is counted at every look.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.clock import Clock, read_instant
from shared.config.applications import Application
from shared.provisioning.accounts import ACCOUNTS, ResourceKind, write_columns
from shared.provisioning.applications_state import APPLICATIONS, ApplicationStates
from shared.provisioning.figures.counts import (
    COUNTED_COLUMNS,
    Counts,
    added,
    count_lists,
    count_rows,
    read_counts,
    write_counts,
)
from shared.provisioning.generations import row_config
from shared.provisioning.raise_lists import RAISE_PREFIX
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation, Row, StorageConflict, Tables

CENSUS_KEY = "census"

SMALL_PAGES = 5
"""Pages of a thousand rows that a look may read to count exactly and now."""

PAGE = 1000

SAVED_PAGES = 25
"""A count is saved after as many pages: no process that dies repeats more."""

COUNT_LIFE = timedelta(hours=6)
"""A count that was begun longer ago begins again: its parts are of different days."""

_KINDS = (ResourceKind.GROUP, ResourceKind.USER)
"""In the order of their keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """What the last complete count said, and how far the present one has come."""

    application: str
    etag: str = ""
    counts: Counts | None = None
    """None: nothing was counted to its end yet."""
    counted_at: datetime | None = None
    """When that count ended."""
    duration_s: float = 0.0
    """Seconds of work it took."""
    begun_at: datetime | None = None
    """When the count began that is under way; None: there is none."""
    place: str = ""
    """The row key that it reached."""
    so_far: Counts = field(default_factory=Counts)
    spent_s: float = 0.0

    @property
    def is_under_way(self) -> bool:
        """Whether a count goes on from its place."""
        return self.begun_at is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How long a count may take at once. At least one page is always read, so every turn gets somewhere."""

    until: float = float("inf")
    """Monotonic."""
    pages: int | None = None


@dataclass(slots=True, kw_only=True)
class CensusTaker:
    """Counts account rows. Safe to run beside itself."""

    tables: Tables
    states: ApplicationStates
    clock: Clock

    async def read(self, app: str) -> Census:
        """The census of an application, one read. Raises StorageUnavailable."""
        row = await self.tables.read(APPLICATIONS, app, CENSUS_KEY)
        return Census(application=app) if row is None else _read(app, row)

    async def count(self, application: Application, budget: Budget) -> Census:
        """Begin a count, or go on with the one under way, within a budget; the census as it is then.

        Raises StorageUnavailable; what was saved by then stays, and the next call goes on from there.
        """
        census = await self.read(application.name)
        now = self.clock.now()
        if census.begun_at is None or now >= census.begun_at + COUNT_LIFE:
            # The lists first: who is taken up meanwhile is counted twice rather than not at all.
            listed = await self._count_lists(application.name)
            census = replace(census, begun_at=now, place="", so_far=listed, spent_s=0.0)
        try:
            return await self._go_on(application, census, budget)
        except StorageConflict:
            # Somebody else counts: what this process counted is theirs to count.
            return await self.read(application.name)

    async def count_now(self, application: Application, *, pages: int = SMALL_PAGES) -> Counts | None:
        """Count exactly, without keeping it; None when that takes more pages. Raises StorageUnavailable."""
        counted, config = Counts(), await self._config(application)
        async for rows in self._read_rows(application.name, ""):
            if pages <= 0:
                return None
            pages -= 1
            counted = added(counted, count_rows(application, rows, config=config))
        return added(counted, await self._count_lists(application.name))

    async def _go_on(self, application: Application, census: Census, budget: Budget) -> Census:
        begun, unsaved, pages = self.clock.monotonic(), 0, 0
        spent_before, config = census.spent_s, await self._config(application)
        async for rows in self._read_rows(application.name, census.place):
            counted = added(census.so_far, count_rows(application, rows, config=config))
            spent_s = spent_before + self.clock.monotonic() - begun
            census = replace(census, place=rows[-1].key, so_far=counted, spent_s=spent_s)
            pages, unsaved = pages + 1, unsaved + 1
            if pages == budget.pages or self.clock.monotonic() >= budget.until:
                return await self._save(census)
            if unsaved == SAVED_PAGES:
                census, unsaved = await self._save(census), 0
        duration_s = spent_before + self.clock.monotonic() - begun
        return await self._save(
            Census(
                application=census.application,
                etag=census.etag,
                counts=census.so_far,
                counted_at=self.clock.now(),
                duration_s=duration_s,
            )
        )

    async def _config(self, application: Application) -> str:
        """What a row says that is not behind; the last restart is known within five seconds."""
        state = await self.states.read(application.name)
        return row_config(application.config_hash, state.generation)

    async def _read_rows(self, app: str, after: str) -> AsyncIterator[list[Row]]:
        """The account rows after a key, groups before users; no page is empty."""
        for kind in _KINDS:
            if after >= f"{kind};":
                continue
            first = f"{after}\x01" if after > f"{kind}:" else f"{kind}:"
            pages = self.tables.query(
                ACCOUNTS, app, first=first, before=f"{kind};", select=COUNTED_COLUMNS, page_size=PAGE
            )
            async for page in pages:
                if page:
                    yield page

    async def _count_lists(self, app: str) -> Counts:
        pages = self.tables.query(
            ACCOUNTS, app, first=RAISE_PREFIX, before=f"{RAISE_PREFIX[:-1]};", select=("count",), page_size=PAGE
        )
        return count_lists([row async for page in pages for row in page], prefix=RAISE_PREFIX)

    async def _save(self, census: Census) -> Census:
        values = write_columns(
            counts=write_counts(census.counts) if census.counts is not None else "",
            counted_at=census.counted_at,
            duration_s=census.duration_s,
            begun_at=census.begun_at,
            place=census.place,
            so_far=write_counts(census.so_far) if census.is_under_way else "",
            spent_s=census.spent_s,
        )
        operation = (
            Operation.replace(CENSUS_KEY, values, etag=census.etag)
            if census.etag
            else Operation.insert(CENSUS_KEY, values)
        )
        etags = await self.tables.commit(DurableWrite.CENSUS, APPLICATIONS, census.application, [operation])
        return replace(census, etag=etags[CENSUS_KEY])


def _read(app: str, row: Row) -> Census:
    """Decode the row; a count that another version wrote is none."""
    so_far = read_counts(row.text("so_far"))
    counts = read_counts(row.text("counts"))
    census = Census(
        application=app,
        etag=row.etag,
        counts=counts,
        counted_at=read_instant(row.text("counted_at")) if counts is not None else None,
        duration_s=float(row.values.get("duration_s", 0.0)),
    )
    begun_at = read_instant(row.text("begun_at"))
    if so_far is None or begun_at is None:
        return census
    spent_s = float(row.values.get("spent_s", 0.0))
    return replace(census, begun_at=begun_at, place=row.text("place"), so_far=so_far, spent_s=spent_s)
