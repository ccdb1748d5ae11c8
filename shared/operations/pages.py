"""Answers that are given page by page."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from shared.operations.cursors import CursorRefused, decode_cursor, encode_cursor, refused, text_field
from shared.provisioning.accounts import ACCOUNTS
from shared.storage.tables import Row, Tables

LARGEST_PAGE = 1_000
"""Most that one page may be asked for."""

REQUESTS_PER_PAGE = 20
"""Pages of storage that one page of an answer may cost, beyond the first of each application: a search that finds
little gives back what it has, and where to go on, instead of reading a month in one request."""

_WORD = re.compile(r"[A-Za-z0-9_.-]{0,100}")

ItemT = TypeVar("ItemT")


class FilterRefused(ValueError):
    """Nothing that is stored could ever match; the text names the field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[ItemT]):
    """A part of a list. Whoever wants all of it asks with `next` until that is None."""

    items: tuple[ItemT, ...]
    next: str | None
    """Cursor of the next page; None: this was the last one. A page may hold fewer than were asked for, or none at all,
    and yet not be the last: one request searches a bounded part of what is stored."""


def require_limit(limit: int) -> None:
    """Raise ValueError unless one page may be asked for so many."""
    if not 1 <= limit <= LARGEST_PAGE:
        raise ValueError(f"limit: 1 to {LARGEST_PAGE} was expected")


def require_word(field: str, text: str) -> None:
    """Raise FilterRefused unless a text could be one of our words or codes."""
    if not _WORD.fullmatch(text):
        raise FilterRefused(f"{field}: a word of letters and digits was expected")


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A stretch of an application's rows that is read from its beginning to its end."""

    name: str
    prefix: str
    """What the keys of its rows begin with; ends with a colon."""
    where: str = ""
    select: Sequence[str] = ()


async def read_sections(
    tables: Tables,
    app: str,
    sections: Sequence[Section],
    decode: Callable[[Section, Row], ItemT | None],
    *,
    limit: int,
    cursor: str = "",
) -> Page[ItemT]:
    """Read what sections of an application's rows hold, one after the other; `decode` answers None for a row to skip.

    At most `REQUESTS_PER_PAGE` requests. Every row is given once; one that changes its place meanwhile may be given
    twice or not at all. Raises CursorRefused, StorageUnavailable, ValueError for a limit outside 1 to 1000.
    """
    require_limit(limit)
    at, resume = _read_place(cursor, sections)
    items: list[ItemT] = []
    for _ in range(REQUESTS_PER_PAGE):
        section = sections[at]
        try:
            page = await tables.query_page(
                ACCOUNTS,
                app,
                first=section.prefix,
                before=f"{section.prefix[:-1]};",
                where=section.where,
                select=section.select,
                page_size=limit - len(items),
                resume=resume,
            )
        except ValueError as error:
            raise CursorRefused(str(error)) from error
        items += [item for row in page.rows if (item := decode(section, row)) is not None]
        resume = page.resume
        if not resume:
            at += 1
        if at == len(sections):
            return Page(items=tuple(items), next=None)
        if len(items) == limit:
            break
    return Page(items=tuple(items), next=encode_cursor({"in": sections[at].name, "on": resume}))


def _read_place(cursor: str, sections: Sequence[Section]) -> tuple[int, str]:
    """Which section a cursor names, and where in it to go on. Raises CursorRefused."""
    if not cursor:
        return 0, ""
    fields = decode_cursor(cursor)
    names = [section.name for section in sections]
    name = text_field(fields, "in")
    if name not in names:
        raise refused()
    return names.index(name), text_field(fields, "on")
