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


def encode_cursor(place: Mapping[str, Any]) -> str:
    """Write a place as a cursor."""
    text = json.dumps(place, separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(cursor: str, *, longest: int = _LONGEST) -> dict[str, Any]:
    """Read a cursor; the fields are still to be checked. Raises CursorRefused."""
    if len(cursor) > longest or not cursor.isascii():
        raise CursorRefused("the cursor is none that this service wrote; begin again without one")
    try:
        place = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, RecursionError) as error:
        raise CursorRefused("the cursor is none that this service wrote; begin again without one") from error
    if not isinstance(place, dict):
        raise CursorRefused("the cursor is none that this service wrote; begin again without one")
    return place
