"""How a value of the language turns into text, a whole number, a list or a yes or no.

Values are text, lists of text, numbers, booleans, dates (aware, UTC) and null. A list with one element reads as that
element, an empty list as null. Whatever does not fit raises `Unfit`, which the caller turns into an `ExpressionFailure`
that names the function.
"""

import re
from datetime import UTC, datetime

from shared.rules.expressions.values import DROP, AppRole, RoleAssignments, RoleFlow, UniqueValue

MAX_TEXT = 100_000
"""Characters a text may reach while evaluating, so that nested replacements cannot fill the memory."""

_WHOLE = re.compile(r"[+-]?\d{1,19}(?:\.0*)?", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d{1,19}(?:\.\d{1,19})?", re.ASCII)
_INT64 = 2**63


class Unfit(ValueError):
    """A value does not fit; the text says what was expected and never shows the value."""


def is_null(value: object) -> bool:
    """Answer whether the attribute counts as absent."""
    if isinstance(value, list):
        return all(element is None for element in value)
    return value is None or value is DROP


def is_blank(value: object) -> bool:
    """Answer whether the value is null or an empty text."""
    return is_null(value) or value == ""


def single(value: object) -> object:
    """Answer the only element of a list of one, and any other value as it is."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def date_text(value: datetime) -> str:
    """Answer the date as the language prints it: `M/d/yyyy h:mm:ss tt`, UTC."""
    at = value.astimezone(UTC)
    half = "AM" if at.hour < 12 else "PM"
    return f"{at.month}/{at.day}/{at.year:04} {at.hour % 12 or 12}:{at.minute:02}:{at.second:02} {half}"


def as_text(value: object, parameter: str) -> str | None:
    """Answer the value as text, null as None.

    A reference (an object with an `id`) reads as its id, a single role as its value.
    """
    match value:
        case str():
            return value
        case None | []:
            return None
        case bool() | int():
            return str(value)
        case float():
            return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
        case datetime():
            return date_text(value)
        case [only] if not isinstance(only, list):
            return as_text(only, parameter)
        case {"id": str(identifier)}:
            return identifier
        case RoleAssignments(flow=RoleFlow.SINGLE, roles=roles):
            return role_name(roles[0]) if roles else None
        case list():
            raise Unfit(f"{parameter}: one value was expected, the list has several; take one with Item or use Join")
        case UniqueValue() | RoleAssignments():
            raise Unfit(f"{parameter}: text was expected; use that function on its own")
        case _:
            raise Unfit(f"{parameter}: text was expected")


def role_name(role: AppRole) -> str:
    """Answer the role's value, or its display name when an administrator gave it no value."""
    return role.value or role.displayName or role.id


def as_values(value: object, parameter: str) -> list[str]:
    """Answer the value as a list of texts without nulls."""
    if isinstance(value, list):
        texts = [as_text(element, parameter) for element in value]
    else:
        texts = [as_text(value, parameter)]
    return [text for text in texts if text is not None]


def as_integer(value: object, parameter: str) -> int:
    """Answer the value as a whole number of 64 bits."""
    value = single(value)
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        number = value
    elif isinstance(value, float) and value.is_integer():
        number = int(value)
    else:
        text = as_text(value, parameter)
        if text is None or not _WHOLE.fullmatch(text.strip()):
            raise Unfit(f"{parameter}: a whole number was expected")
        number = int(text.strip().partition(".")[0])
    if not -_INT64 <= number < _INT64:
        raise Unfit(f"{parameter}: the number is out of range")
    return number


def as_number(value: object) -> float | int | None:
    """Answer the value as a number, or None when it does not read as one."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return float(value) if "." in value else int(value)
    return None


def as_boolean(value: object, parameter: str) -> bool:
    """Answer the value as a yes or no: null is no, a number is yes unless zero, text must read True or False."""
    value = single(value)
    if is_blank(value):
        return False
    if isinstance(value, bool):
        return value
    number = as_number(value)
    if number is not None:
        return number != 0
    text = as_text(value, parameter)
    if text is None or text.strip().lower() not in {"true", "false"}:
        raise Unfit(f"{parameter}: True, False, a number or a comparison was expected")
    return text.strip().lower() == "true"


def bounded(length: int) -> None:
    """Refuse a text that would become too long, before it is built."""
    if length > MAX_TEXT:
        raise Unfit(f"the result is longer than {MAX_TEXT} characters")
