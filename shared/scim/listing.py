"""Reading a ListResponse as servers really send it, and where the next page starts (RFC 7644 3.4.2.4, RFC 9865).

Pure. `totalResults` and `itemsPerPage` are not believed (interop quirk 41): a list goes on by the rows received and
ends at an empty page, at a page that only repeats, or where a cursor ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from shared.scim.answers import Answer, resource_id

MOST_ROWS = 2_000_000
"""A list longer than this is taken for a server that never ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPosition:
    """Where a list goes on. Plain values, so that it can be stored between two runs."""

    start: int = 1
    """`startIndex`: the number of a row, or of a page where `by_page`."""
    by_page: bool = False
    """True: this server counts pages with `startIndex`."""
    cursor: str | None = None
    received: int = 0
    """Rows read so far in this part."""
    last_ids: tuple[str, ...] = ()
    """Ids of the last page that had rows, to recognise a page that repeats."""
    inactive: bool = False
    """True: the second part, with the filter for inactive accounts (servers that leave them out)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A part of a list. Not ok: the list stops here and `next` is where to try again."""

    answer: Answer
    resources: tuple[dict[str, Any], ...] = ()
    next: ListPosition | None = None
    """None: the list is complete (or failed at its very start)."""


def rows_of(body: Mapping[str, Any] | None) -> tuple[dict[str, Any], ...]:
    """Answers with the resources of a ListResponse, ids as text; `Resources` null or missing is an empty page."""
    rows = _field(body, "resources")
    if not isinstance(rows, list):
        return ()
    found = [row for row in rows if isinstance(row, dict)]
    for row in found:
        identifier = resource_id(row)
        if identifier is not None:
            row["id"] = identifier
    return tuple(found)


def is_list_response(body: Mapping[str, Any] | None) -> bool:
    """Answers whether a body looks like a list at all, however incomplete."""
    schemas = _field(body, "schemas")
    declared = isinstance(schemas, list) and any("ListResponse" in str(schema) for schema in schemas)
    return declared or _field(body, "resources") is not None or total_of(body) is not None


def total_of(body: Mapping[str, Any] | None) -> int | None:
    """Answers with `totalResults`, None when it is absent or no count."""
    total = _field(body, "totalResults")
    if isinstance(total, str) and total.isascii() and total.isdigit():
        return int(total[:12])
    return total if isinstance(total, int) and not isinstance(total, bool) and total >= 0 else None


def position_after(
    position: ListPosition, body: Mapping[str, Any] | None, rows: tuple[dict[str, Any], ...]
) -> ListPosition | None:
    """Answers with where the list goes on after this page, None when it is at its end."""
    ids = tuple(str(row.get("id")) for row in rows)
    cursor = _cursor_of(body)
    if position.received + len(rows) > MOST_ROWS or (cursor is not None and cursor == position.cursor):
        return None
    if cursor is not None:
        return replace(position, cursor=cursor, received=position.received + len(rows), last_ids=ids)
    if position.cursor is not None:
        return None
    if not rows:
        return _page_number_trial(position, body)
    if position.last_ids and set(ids) <= set(position.last_ids):
        return None
    start = position.start + 1 if position.by_page else position.start + len(rows)
    return replace(position, start=start, received=position.received + len(rows), last_ids=ids)


def _page_number_trial(position: ListPosition, body: Mapping[str, Any] | None) -> ListPosition | None:
    """An empty second page although more was announced: perhaps this server takes `startIndex` for a page number."""
    total = total_of(body) or 0
    second = position.received == len(position.last_ids) and position.received > 1
    if second and not position.by_page and total > position.received:
        return replace(position, start=2, by_page=True)
    return None


def new_rows(position: ListPosition, rows: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
    """Answers with the rows that the page before did not hold already."""
    known = set(position.last_ids)
    return tuple(row for row in rows if str(row.get("id")) not in known) if known else rows


def _cursor_of(body: Mapping[str, Any] | None) -> str | None:
    cursor = _field(body, "nextCursor")
    return cursor if isinstance(cursor, str) and cursor else None


def _field(body: Mapping[str, Any] | None, name: str) -> Any:
    if body is None:
        return None
    if name in body:
        return body[name]
    folded = name.casefold()
    return next((value for key, value in body.items() if key.casefold() == folded), None)
