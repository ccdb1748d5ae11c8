"""Schedules as Azure Functions reads them: six fields, seconds first (NCRONTAB)."""

from __future__ import annotations

import re
from typing import Final

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: Final[tuple[tuple[str, int, int, dict[str, int]], ...]] = (
    ("second", 0, 59, {}),
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, start=1)}),
    ("day of week", 0, 6, {name: number for number, name in enumerate(_DAYS)}),
)
_PART: Final = re.compile(r"(?:(\*)|(\w+)(?:-(\w+))?)(?:/(\d+))?", re.ASCII)


def schedule_problem(text: str) -> str | None:
    """What is wrong with a schedule, None when it is good."""
    fields = text.split()
    if len(fields) != len(_FIELDS):
        return f"{len(fields)} fields"
    for written, (name, low, high, names) in zip(fields, _FIELDS, strict=True):
        if not all(_is_part(part, low, high, names=names) for part in written.split(",")):
            return f"the {name} field must be *, {low} to {high}, a range, a list or a step"
    return None


def _is_part(part: str, low: int, high: int, *, names: dict[str, int]) -> bool:
    match = _PART.fullmatch(part)
    if match is None:
        return False
    star, first, last, step = match.groups()
    if step is not None and not 1 <= int(step) <= high:
        return False
    if star is not None:
        return True
    start = _number(first, names)
    end = start if last is None else _number(last, names)
    return start is not None and end is not None and low <= start <= end <= high


def _number(text: str, names: dict[str, int]) -> int | None:
    return int(text) if text.isdecimal() else names.get(text.casefold())
