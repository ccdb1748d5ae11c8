"""The logs of several applications read as one, newest first.

Each application's records are a stream in the order of their names; the newest of all streams' heads is next. Nothing
is taken while a stream that has not ended shows no head: what it brings may be newer. The place up to which everything
was taken is the same for all streams, so a cursor holds one place, and for a stream that found nothing yet where its
search goes on.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.operations.cursors import CursorRefused, decode_cursor, encode_cursor, is_plain, refused, text_field
from shared.provisioning.accounts import ACCOUNTS
from shared.storage.tables import Row, Tables, gather_all

_PARALLEL = 16
_LONGEST_CURSOR = 6_000
_NAME = re.compile(r"\d{18}:.{0,40}")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A record's place among the records of all applications: newer ones come first."""

    name: str
    """As `provisioning_log` names records; empty: before all."""
    app: str


BEGINNING = Place("", "")


@dataclass(frozen=True, slots=True)
class Candidate:
    """The next record of all streams."""

    place: Place
    row: Row


@dataclass(slots=True, kw_only=True)
class LogStream:
    """One application's records, of everybody or of one person, in order."""

    app: str
    prefix: str
    """What stands before a record's name in the keys of the rows."""
    first: str
    before: str
    where: str
    page_size: int
    resume: str = ""
    ended: bool = False
    waiting: deque[Row] = field(default_factory=deque)
    _resumed: str = ""
    """Where the page began that `waiting` is left of."""
    _taken: bool = False
    """Whether some of that page was taken already."""

    @property
    def is_dry(self) -> bool:
        """Whether nobody knows what comes next."""
        return not self.waiting and not self.ended

    @property
    def head(self) -> Place:
        """The place of the next record; only where something waits."""
        return Place(self.waiting[0].key.removeprefix(self.prefix), self.app)

    async def fetch(self, tables: Tables) -> None:
        """Read the next page: one request. Raises CursorRefused, StorageUnavailable."""
        self._resumed, self._taken = self.resume, False
        try:
            page = await tables.query_page(
                ACCOUNTS,
                self.app,
                first=self.first,
                before=self.before,
                where=self.where,
                page_size=self.page_size,
                resume=self.resume,
            )
        except ValueError as error:
            raise CursorRefused(str(error)) from error
        self.waiting.extend(page.rows)
        self.resume, self.ended = page.resume, not page.resume

    def take(self) -> Candidate:
        """The next record."""
        self._taken = True
        return Candidate(self.head, self.waiting.popleft())

    def goes_on(self) -> str | None:
        """Where the search goes on, empty for nowhere; None: behind the place that all streams share."""
        if not self.waiting:
            return self.resume
        return None if self._taken else self._resumed or None


async def fetch_all(tables: Tables, streams: Sequence[LogStream]) -> None:
    """Read the next page of each, several at a time."""
    for at in range(0, len(streams), _PARALLEL):
        await gather_all([stream.fetch(tables) for stream in streams[at : at + _PARALLEL]])


def take_newest(streams: Sequence[LogStream], most: int) -> list[Candidate]:
    """Up to `most` next records of all streams, as far as they are known. Pure but for the streams."""
    taken: list[Candidate] = []
    while len(taken) < most and not any(stream.is_dry for stream in streams):
        open_ones = [stream for stream in streams if stream.waiting]
        if not open_ones:
            break
        taken.append(min(open_ones, key=lambda stream: stream.head).take())
    return taken


def write_place(place: Place, streams: Sequence[LogStream]) -> str | None:
    """The cursor behind a place; None: nothing is left anywhere."""
    if all(stream.ended and not stream.waiting for stream in streams):
        return None
    on = {stream.app: where for stream in streams if (where := stream.goes_on()) is not None}
    cursor = encode_cursor({"at": place.name, "app": place.app, "on": on})
    if len(cursor) > _LONGEST_CURSOR:
        # Too many applications for one URL: those searches begin again at the place, which is slower and as right.
        cursor = encode_cursor({"at": place.name, "app": place.app})
    return cursor


def read_place(cursor: str, apps: Sequence[str]) -> tuple[Place, Mapping[str, str]]:
    """The place a cursor names, and where the searches of applications go on. Raises CursorRefused."""
    if not cursor:
        return BEGINNING, {}
    fields = decode_cursor(cursor)
    place = Place(text_field(fields, "at"), text_field(fields, "app"))
    on: Any = fields.get("on", {})
    if (place.name and not _NAME.fullmatch(place.name)) or not isinstance(on, dict):
        raise refused()
    if not all(isinstance(where, str) and is_plain(where) for where in on.values()):
        raise refused()
    return place, {app: on[app] for app in apps if app in on}


def name_behind(place: Place, app: str) -> str:
    """The first name of an application's records that is not taken yet; as the beginning of a range of keys."""
    if not place.name:
        return ""
    return f"{place.name}\x01" if app <= place.app else place.name
