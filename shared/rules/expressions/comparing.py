"""The comparison operators `= <> > >= < <=`.

Equality reads a null as an empty text, so `[country] = ""` answers True for a user without a country and
`[country] <> "USA"` as well (Entra documents both as limitations). Ordering a null answers False. Numbers compare as
numbers when either side is one, dates as instants when either side is one, text by code points and case-sensitively.
"""

from collections.abc import Callable
from datetime import datetime

from shared.rules.expressions.conversion import Unfit, as_number, as_text, is_blank, single
from shared.rules.expressions.date_parsing import parse_date


def equal(left: object, right: object) -> bool:
    """Answer whether both sides are the same value."""
    left, right = single(left), single(right)
    if is_blank(left) or is_blank(right):
        return is_blank(left) and is_blank(right)
    if isinstance(left, bool) or isinstance(right, bool):
        return (as_text(left, "left") or "").lower() == (as_text(right, "right") or "").lower()
    try:
        first, second = _aligned(left, right)
    except Unfit:
        return False
    return first == second


def different(left: object, right: object) -> bool:
    """Answer the opposite of `equal`."""
    return not equal(left, right)


def _ordering(holds: Callable[[int], bool]) -> Callable[[object, object], bool]:
    def compare(left: object, right: object) -> bool:
        left, right = single(left), single(right)
        if is_blank(left) or is_blank(right):
            return False
        first, second = _aligned(left, right)
        return holds((first > second) - (first < second))  # type: ignore[operator]  # _aligned answers one type twice

    return compare


def _aligned(left: object, right: object) -> tuple[object, object]:
    """Answer both sides as two numbers, two dates or two texts."""
    if isinstance(left, datetime) or isinstance(right, datetime):
        return _instant(left), _instant(right)
    if isinstance(left, int | float) or isinstance(right, int | float):
        first, second = as_number(left), as_number(right)
        if first is None or second is None:
            raise Unfit("a number was expected on both sides")
        return first, second
    return as_text(left, "left"), as_text(right, "right")


def _instant(value: object) -> datetime:
    return value if isinstance(value, datetime) else parse_date(as_text(value, "date") or "")


COMPARISONS: dict[str, Callable[[object, object], bool]] = {
    "=": equal,
    "<>": different,
    ">": _ordering(lambda sign: sign > 0),
    ">=": _ordering(lambda sign: sign >= 0),
    "<": _ordering(lambda sign: sign < 0),
    "<=": _ordering(lambda sign: sign <= 0),
}
