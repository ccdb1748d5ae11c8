"""The provisioning log as people read it: newest first, of one application or of several, filtered, page by page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.operations.cursors import is_plain
from shared.operations.log_streams import (
    LogStream,
    Place,
    fetch_all,
    name_behind,
    read_place,
    take_newest,
    write_place,
)
from shared.operations.pages import LARGEST_PAGE, REQUESTS_PER_PAGE, FilterRefused, Page, require_limit, require_word
from shared.provisioning.provisioning_log import LOG_PREFIX, invert_instant, story_key
from shared.storage.tables import Row, Tables, encode_key, equals

_FEWEST_AT_ONCE = 20
_LONGEST_ID = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """Which records are wanted; empty fields want all. Raises FilterRefused."""

    source_id: str = ""
    """The directory's id of a person or a group. Found at once, however long the log is."""
    action: str = ""
    """`create`, `update`, `disable`, `delete`, `stageddelete` or `other`."""
    status: str = ""
    """`success`, `failure`, `skipped` or `warning`."""
    code: str = ""
    """An error code."""
    since: datetime | None = None
    """Records from this instant on; aware."""
    until: datetime | None = None
    """Records before this instant; aware."""

    def __post_init__(self) -> None:
        for field in ("action", "status", "code"):
            require_word(field, getattr(self, field))
        if not is_plain(self.source_id) or len(encode_key(self.source_id)) > _LONGEST_ID:
            raise FilterRefused("source_id: an id of the directory was expected")
        for field in ("since", "until"):
            instant = getattr(self, field)
            if instant is not None and instant.tzinfo is None:
                raise FilterRefused(f"{field}: an instant with its offset from UTC was expected")

    @property
    def columns(self) -> Mapping[str, str]:
        """Column of a record -> what it has to hold."""
        wanted = {"source_id": self.source_id, "action": self.action, "status": self.status, "error_code": self.code}
        return {column: text for column, text in wanted.items() if text}


EVERYTHING = LogFilter()


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One attempt at one account."""

    id: str
    """Names the record within its application; later records have smaller ones."""
    application: str
    at: str
    """Instant in UTC, fixed width: compares as text."""
    kind: str
    """`user` or `group`."""
    source_id: str
    target_id: str
    action: str
    status: str
    reason: str
    number: str
    """The account's `wanted` that this attempt was about: attempts at the same change carry the same one."""
    config: str
    """Hash of the configuration it was decided with."""
    attempt: int
    duration_ms: int
    error_code: str
    error: str
    remedy: str
    """What a person does about the error, empty when there is none."""
    modified: Sequence[Mapping[str, Any]]
    """What changed; redacted where the mapping says so."""
    steps: Sequence[Mapping[str, Any]]
    trace: str


async def read_log_page(
    tables: Tables,
    apps: Sequence[str],
    wanted: LogFilter = EVERYTHING,
    *,
    limit: int = 100,
    cursor: str = "",
) -> Page[LogLine]:
    """Read lines of these applications merged, newest first; every line once, also while others are written.

    Reads one page of storage for each application and `REQUESTS_PER_PAGE` more, whatever it finds. The person and the
    instants are ranges of keys; the other fields are compared by storage. Raises CursorRefused, StorageUnavailable,
    ValueError for a limit outside 1 to 1000.
    """
    require_limit(limit)
    place, on = read_place(cursor, apps)
    streams = [_open(app, wanted, place, count=len(apps), limit=limit) for app in sorted(set(apps))]
    for stream in streams:
        if stream.app in on:
            stream.resume, stream.ended = on[stream.app], not on[stream.app]
    left = REQUESTS_PER_PAGE
    await fetch_all(tables, [stream for stream in streams if stream.is_dry])
    lines: list[LogLine] = []
    while len(lines) < limit:
        taken = take_newest(streams, limit - len(lines))
        if taken:
            place = taken[-1].place
            lines += [_line(each.place, each.row) for each in taken]
            continue
        dry = [stream for stream in streams if stream.is_dry][: max(left, 0)]
        if not dry:
            break
        left -= len(dry)
        await fetch_all(tables, dry)
    return Page(items=tuple(lines), next=write_place(place, streams))


def _open(app: str, wanted: LogFilter, place: Place, *, count: int, limit: int) -> LogStream:
    """The stream of one of `count` applications, behind a place."""
    prefix = story_key(wanted.source_id, "") if wanted.source_id else LOG_PREFIX
    # Keys run from the latest instant to the earliest, and both ends are beside the instants' own names.
    latest = f"{int(invert_instant(wanted.until)) + 1:018d}" if wanted.until else ""
    earliest = f"{int(invert_instant(wanted.since)) + 1:018d}" if wanted.since else ""
    # Of many applications each gives its share.
    share = limit if count == 1 else min(limit, max(_FEWEST_AT_ONCE, 2 * limit // count))
    # The person is compared as well: an id may be the beginning of another one up to a colon.
    conditions = [equals(column, text) for column, text in wanted.columns.items()]
    return LogStream(
        app=app,
        prefix=prefix,
        first=prefix + max(latest, name_behind(place, app)),
        before=prefix + earliest if earliest else f"{prefix[:-1]};",
        where=" and ".join(conditions),
        page_size=min(share, LARGEST_PAGE),
    )


def _line(place: Place, row: Row) -> LogLine:
    def text(name: str) -> str:
        return str(row.values.get(name, ""))

    return LogLine(
        id=place.name,
        application=place.app,
        at=text("at"),
        kind=text("kind"),
        source_id=text("source_id"),
        target_id=text("target_id"),
        action=text("action"),
        status=text("status"),
        reason=text("reason"),
        number=text("number"),
        config=text("config"),
        attempt=int(row.values.get("attempt", 1)),
        duration_ms=int(row.values.get("duration_ms", 0)),
        error_code=text("error_code"),
        error=text("error"),
        remedy=text("remedy"),
        modified=json.loads(text("modified") or "[]"),
        steps=json.loads(text("steps") or "[]"),
        trace=text("trace"),
    )
