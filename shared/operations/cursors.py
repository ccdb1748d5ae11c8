"""Cursors of paged answers: where the next page begins, as text that goes through a URL.

A cursor is ours to write and anybody's to change: whoever reads one checks every field as if a stranger had written it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

_LONGEST = 8_000


class CursorRefused(ValueError):
    """The text is no cursor that this program wrote."""


def text_field(place: Mapping[str, Any], name: str) -> str:
    """A field of a cursor that holds a text, empty when it is not there. Raises CursorRefused."""
    value = place.get(name, "")
    if not isinstance(value, str) or not is_plain(value):
        raise refused()
    return value


def is_plain(text: str) -> bool:
    """Whether a text from outside could be, or be part of, a key or a name: no control character, no half emoji."""
    return not any(ord(char) < 0x20 or 0x7F <= ord(char) <= 0x9F or 0xD800 <= ord(char) <= 0xDFFF for char in text)


def refused() -> CursorRefused:
    """What is raised for a cursor that nobody here wrote."""
    return CursorRefused("the cursor is none that this service wrote; begin again without one")


def encode_cursor(place: Mapping[str, Any]) -> str:
    """Write a place as a cursor."""
    text = json.dumps(place, separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(cursor: str, *, longest: int = _LONGEST) -> dict[str, Any]:
    """Read a cursor; the fields are still to be checked. Raises CursorRefused."""
    if len(cursor) > longest or not cursor.isascii():
        raise refused()
    try:
        place = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, RecursionError) as error:
        raise refused() from error
    if not isinstance(place, dict):
        raise refused()
    return place
