"""Results and actions by the hour, each record of the provisioning log counted exactly once.

    applications / <application> / activity:<day>    the hours of a day (UTC), kept thirty days
    applications / <application> / activity:place    how far the log was counted

The log sorts newest first, and a record carries the instant at which its attempt began, so it may be written later than
newer ones. Therefore only what is older than `SETTLING` is counted for good, by moving the place past it in the
transaction that raises the day's counts. What is younger is counted provisionally, anew each time, and kept with the
place; what was written since then a reader counts for itself. So a reader reads few records, and nothing is missed.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from shared.clock import Clock, read_instant, write_instant
from shared.provisioning.accounts import ACCOUNTS, write_columns
from shared.provisioning.applications_state import APPLICATIONS
from shared.provisioning.figures.counting import Budget
from shared.provisioning.figures.hours import (
    HOUR,
    LOGGED_COLUMNS,
    HourFigures,
    Hours,
    added_hours,
    by_day,
    count_records,
    hour_of,
    read_hours,
    write_hours,
)
from shared.provisioning.provisioning_log import LOG_PREFIX, log_key
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation, Row, StorageConflict, Tables

ACTIVITY_PREFIX = "activity:"
PLACE_KEY = f"{ACTIVITY_PREFIX}place"
"""Behind every day."""

SETTLING = timedelta(minutes=11)
"""A function runs ten minutes at most (host.json), and clocks differ: nobody writes a record that is older."""

ACTIVITY_LIFE = timedelta(days=30)
"""As long as the log itself."""

PAGE = 1000
TAIL_PAGES = 3
"""Pages of records that one look counts for itself."""

RECENT_PAGES = 20
"""Pages of unsettled records that are counted provisionally; with more the youngest are left to the readers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """The hours asked for, oldest first, none left out."""

    hours: tuple[HourFigures, ...]
    is_complete: bool
    """False: more was logged than one look reads; what is missing is counted with the next housekeeping."""
    last_at: datetime | None
    """When the last attempt began that was logged, up to thirty days ago; None: none was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How far the log was counted."""

    etag: str = ""
    counted_to: datetime | None = None
    """Every record before this is in the rows of the days; None: nothing was counted yet."""
    counting_to: datetime | None = None
    """Up to there a count is under way, from the newest record on; None: none is."""
    reached: str = ""
    """The row key of the last record that it counted."""
    recent: Mapping[datetime, HourFigures] = field(default_factory=dict)
    """Provisional: the records from `counted_to` on, but before `looked_to`."""
    looked_to: datetime | None = None
    last_at: datetime | None = None
    """When the newest record began that was seen."""


Day = tuple[str, Hours]
"""The ETag of a day's row, and its hours."""


@dataclass(slots=True, kw_only=True)
class ActivityCounter:
    """Counts the provisioning log. Safe to run beside itself."""

    tables: Tables
    clock: Clock

    async def count(self, app: str, budget: Budget) -> None:
        """Count what was logged since the last time, within a budget; what is left is counted next time.

        Idempotent. Raises StorageUnavailable.
        """
        place, days = await self._read(app, self.clock.now() - ACTIVITY_LIFE)
        try:
            await self._settle(app, place, days, budget)
        except StorageConflict:
            # Somebody else counts: every record is counted by one of the two.
            return

    async def read_activity(self, app: str, hours: int, *, pages: int = TAIL_PAGES) -> Activity:
        """The last `hours` hours (1 to 720), the present one included, as they are now. Raises StorageUnavailable."""
        first = hour_of(self.clock.now()) - (hours - 1) * HOUR
        place, days = await self._read(app, first)
        found: Hours = dict(place.recent)
        for _, counted in days.values():
            found = added_hours(found, counted)
        is_complete, last_at = place.counting_to is None, place.last_at
        # What is logged in the very instant in which the first hour begins may be missing.
        since = max(place.looked_to or first, first)
        async for rows in self._read_log(app, since=since, until=None):
            if pages <= 0:
                is_complete = False
                break
            pages -= 1
            last_at = _newest(last_at, rows)
            found = added_hours(found, count_records(rows))
        return Activity(
            hours=tuple(found.get(at) or HourFigures(at=at) for at in (first + each * HOUR for each in range(hours))),
            is_complete=is_complete,
            last_at=last_at,
        )

    async def _settle(self, app: str, place: Place, days: Mapping[datetime, Day], budget: Budget) -> None:
        """Count settled records for good and the others provisionally, in one write."""
        now = self.clock.now()
        since = place.counted_to or now - ACTIVITY_LIFE
        until = max(place.counting_to or now - SETTLING, since)
        counted: Hours = {}
        pages, reached, last_at = 0, place.reached, place.last_at
        async for rows in self._read_log(app, since=since, until=until, after=reached):
            counted = added_hours(counted, count_records(rows))
            last_at = _newest(last_at, rows)
            pages, reached = pages + 1, rows[-1].key
            if pages == budget.pages or self.clock.monotonic() >= budget.until:
                under_way = Place(
                    etag=place.etag,
                    counted_to=since,
                    counting_to=until,
                    reached=reached,
                    looked_to=until,
                    last_at=last_at,
                )
                await self._save(app, under_way, days, counted)
                return
        recent, newest_at = await self._count_recent(app, until)
        if place.counted_to is not None and not (counted or reached) and recent == place.recent:
            # Nothing new: the place stays, and nothing has to be written.
            return
        settled = Place(
            etag=place.etag,
            counted_to=until,
            recent=recent or {},
            looked_to=until if recent is None else now,
            last_at=newest_at or last_at,
        )
        await self._save(app, settled, days, counted)

    async def _count_recent(self, app: str, since: datetime) -> tuple[Hours | None, datetime | None]:
        """The records after an instant, and the newest of them; no counts when there are too many."""
        recent: Hours = {}
        pages, last_at = 0, None
        async for rows in self._read_log(app, since=since, until=None):
            if pages == RECENT_PAGES:
                return None, last_at
            pages += 1
            last_at = _newest(last_at, rows)
            recent = added_hours(recent, count_records(rows))
        return recent, last_at

    async def _read_log(
        self, app: str, *, since: datetime, until: datetime | None, after: str = ""
    ) -> AsyncIterator[list[Row]]:
        """Records that began after `since` and not after `until`, newest first, behind the key `after`.

        By their keys, whose instants are rounded: of two ranges that meet, each record is in one. No page is empty.
        """
        first = f"{after}\x01" if after else LOG_PREFIX if until is None else log_key(until)
        before = log_key(since)
        if first >= before:
            return
        pages = self.tables.query(ACCOUNTS, app, first=first, before=before, select=LOGGED_COLUMNS, page_size=PAGE)
        async for page in pages:
            if page:
                yield page

    async def _read(self, app: str, since: datetime) -> tuple[Place, dict[datetime, Day]]:
        """The place, and the days from an instant on with the ETags of their rows; one query."""
        place = Place()
        days: dict[datetime, Day] = {}
        first = f"{ACTIVITY_PREFIX}{since:%Y-%m-%d}"
        for row in await self.tables.read_range(APPLICATIONS, app, first=first, before=f"{ACTIVITY_PREFIX[:-1]};"):
            if row.key == PLACE_KEY:
                place = _read_place(row)
            else:
                day = datetime.fromisoformat(row.key.removeprefix(ACTIVITY_PREFIX)).replace(tzinfo=UTC)
                days[day] = (row.etag, read_hours(row.text("hours"), day))
        return place, days

    async def _save(
        self, app: str, place: Place, days: Mapping[datetime, Day], counted: Mapping[datetime, HourFigures]
    ) -> None:
        """The new place and the days' new counts, together; days that are over thirty days old go."""
        operations = [_place_operation(place)]
        for day, hours in by_day(counted).items():
            etag, before = days.get(day, ("", {}))
            key, values = f"{ACTIVITY_PREFIX}{day:%Y-%m-%d}", {"hours": write_hours(added_hours(before, hours))}
            operations.append(Operation.replace(key, values, etag=etag) if etag else Operation.insert(key, values))
            if not etag:
                operations += await self._expired(app, exclude=key)
        unique = {operation.key: operation for operation in operations}
        await self.tables.commit(DurableWrite.ACTIVITY, APPLICATIONS, app, list(unique.values()))

    async def _expired(self, app: str, *, exclude: str) -> list[Operation]:
        oldest = f"{ACTIVITY_PREFIX}{self.clock.now() - ACTIVITY_LIFE:%Y-%m-%d}"
        rows = await self.tables.read_range(APPLICATIONS, app, first=ACTIVITY_PREFIX, before=oldest)
        return [Operation.delete(row.key, etag=row.etag) for row in rows[:30] if row.key != exclude]


def _place_operation(place: Place) -> Operation:
    values = write_columns(
        counted_to=place.counted_to,
        counting_to=place.counting_to,
        reached=place.reached,
        looked_to=place.looked_to,
        last_at=place.last_at,
        recent=json.dumps({write_instant(day): write_hours(hours) for day, hours in by_day(place.recent).items()}),
    )
    if place.etag:
        return Operation.replace(PLACE_KEY, values, etag=place.etag)
    return Operation.insert(PLACE_KEY, values)


def _read_place(row: Row) -> Place:
    """Decode the row. Provisional counts that another version wrote are none, until the next count."""
    recent: Hours = {}
    try:
        for day, hours in json.loads(row.text("recent") or "{}").items():
            recent = added_hours(recent, read_hours(hours, _instant(day)))
    except (ValueError, TypeError, AttributeError):
        recent = {}
    return Place(
        etag=row.etag,
        counted_to=read_instant(row.text("counted_to")),
        counting_to=read_instant(row.text("counting_to")),
        reached=row.text("reached"),
        recent=recent,
        looked_to=read_instant(row.text("looked_to")),
        last_at=read_instant(row.text("last_at")),
    )


def _newest(last_at: datetime | None, rows: Sequence[Row]) -> datetime | None:
    """The newest instant; records come newest first."""
    at = read_instant(str(rows[0].values.get("at", "")))
    return max(filter(None, (last_at, at)), default=None)


def _instant(text: str) -> datetime:
    at = read_instant(text)
    if at is None:
        raise ValueError("a day without an instant")
    return at
