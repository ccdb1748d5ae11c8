"""Custom date formats of .NET and how a date is written in one (`M/d/yyyy h:mm:ss tt`).

A format is split once into fields and literal text. A single letter is a standard format, in its en-US form because
the language prints dates that way. Dates hold microseconds here: a seventh fractional digit is written as 0.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.rules.expressions.conversion import Unfit
from shared.rules.expressions.date_parsing import MONTHS

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_STANDARD = {
    "d": "M/d/yyyy",
    "D": "dddd, MMMM d, yyyy",
    "f": "dddd, MMMM d, yyyy h:mm tt",
    "F": "dddd, MMMM d, yyyy h:mm:ss tt",
    "g": "M/d/yyyy h:mm tt",
    "G": "M/d/yyyy h:mm:ss tt",
    "m": "MMMM d",
    "M": "MMMM d",
    "o": "yyyy-MM-dd'T'HH:mm:ss.fffffffK",
    "O": "yyyy-MM-dd'T'HH:mm:ss.fffffffK",
    "r": "ddd, dd MMM yyyy HH:mm:ss 'GMT'",
    "R": "ddd, dd MMM yyyy HH:mm:ss 'GMT'",
    "s": "yyyy-MM-dd'T'HH:mm:ss",
    "t": "h:mm tt",
    "T": "h:mm:ss tt",
    "u": "yyyy-MM-dd HH:mm:ss'Z'",
    "U": "dddd, MMMM d, yyyy h:mm:ss tt",
    "y": "MMMM yyyy",
    "Y": "MMMM yyyy",
}
_FIELDS = "dfFghHKmMstyzZ"
_LONGEST_FRACTION = 7


class DateTimeStyle(StrEnum):
    """.NET's DateTimeStyles. Kinds and local time make no difference here: the service's local time is UTC."""

    NONE = "None"
    """Nothing but the format itself."""
    ALLOW_LEADING_WHITE = "AllowLeadingWhite"
    """White space before the date is skipped."""
    ALLOW_TRAILING_WHITE = "AllowTrailingWhite"
    """White space after the date is skipped."""
    ALLOW_INNER_WHITE = "AllowInnerWhite"
    """White space between the parts is skipped."""
    ALLOW_WHITE_SPACES = "AllowWhiteSpaces"
    """All three of the above."""
    NO_CURRENT_DATE_DEFAULT = "NoCurrentDateDefault"
    """A time without a date belongs to 1 January of year 1 instead of today."""
    ADJUST_TO_UNIVERSAL = "AdjustToUniversal"
    """The answer is UTC, as it always is here."""
    ASSUME_LOCAL = "AssumeLocal"
    """Without an offset the text is local time, which is UTC."""
    ASSUME_UNIVERSAL = "AssumeUniversal"
    """Without an offset the text is UTC."""
    ROUNDTRIP_KIND = "RoundtripKind"
    """The kind is kept."""


DEFAULT_STYLES = frozenset(
    {DateTimeStyle.ROUNDTRIP_KIND, DateTimeStyle.ALLOW_LEADING_WHITE, DateTimeStyle.ALLOW_TRAILING_WHITE}
)


@dataclass(frozen=True, slots=True)
class FormatPart:
    """A field such as `yyyy` (letter and how often it stands), or literal text with letter ""."""

    letter: str
    count: int
    literal: str = ""


@dataclass(frozen=True, slots=True)
class ReadDate:
    """An instant in UTC and what `K` prints for it: Z, an offset, or nothing when the text named no zone."""

    instant: datetime
    kind: str


def parse_styles(text: str | None) -> frozenset[DateTimeStyle]:
    """Answer the styles of `AllowLeadingWhite, AllowTrailingWhite`; the documented default for null or empty."""
    if text is None or not text.strip():
        return DEFAULT_STYLES
    names = [name.strip().removeprefix("DateTimeStyles.") for name in text.replace("|", ",").split(",")]
    try:
        styles = frozenset(DateTimeStyle(name) for name in names if name)
    except ValueError:
        raise Unfit(f"dateTimeStyles: names out of {', '.join(DateTimeStyle)} were expected") from None
    if {DateTimeStyle.ASSUME_LOCAL, DateTimeStyle.ASSUME_UNIVERSAL} <= styles:
        raise Unfit("dateTimeStyles: either AssumeLocal or AssumeUniversal was expected, not both")
    if DateTimeStyle.ROUNDTRIP_KIND in styles and styles & {
        DateTimeStyle.ASSUME_LOCAL,
        DateTimeStyle.ASSUME_UNIVERSAL,
        DateTimeStyle.ADJUST_TO_UNIVERSAL,
    }:
        raise Unfit("dateTimeStyles: RoundtripKind cannot stand beside AssumeLocal, AssumeUniversal, AdjustToUniversal")
    return styles


@functools.lru_cache(maxsize=256)
def split_format(text: str, parameter: str) -> tuple[FormatPart, ...]:
    """Answer the parts of a format; raises Unfit for one that cannot work."""
    if not text:
        raise Unfit(f"{parameter}: a date format was expected, for example yyyy-MM-dd")
    if len(text) == 1:
        if text not in _STANDARD:
            raise Unfit(f"{parameter}: a date format was expected, for example yyyy-MM-dd")
        text = _STANDARD[text]
    parts: list[FormatPart] = []
    at = 0
    while at < len(text):
        part, at = _next_part(text, at, parameter)
        parts.append(part)
    return tuple(parts)


def _next_part(text: str, at: int, parameter: str) -> tuple[FormatPart, int]:
    character = text[at]
    if character in "'\"":
        return _quoted(text, at, parameter)
    if character in "\\%":
        if at + 1 >= len(text):
            raise Unfit(f"{parameter}: a character was expected after the last {character}")
        following = text[at + 1]
        if character == "\\" or following not in _FIELDS:
            return FormatPart("", 1, following), at + 2
        return FormatPart(following, 1), at + 2
    if character not in _FIELDS:
        return FormatPart("", 1, character), at + 1
    end = at
    while end < len(text) and text[end] == character:
        end += 1
    if character in "fF" and end - at > _LONGEST_FRACTION:
        raise Unfit(f"{parameter}: at most {_LONGEST_FRACTION} digits of a second were expected")
    return FormatPart(character, end - at), end


def _quoted(text: str, at: int, parameter: str) -> tuple[FormatPart, int]:
    literal = []
    position = at + 1
    while position < len(text) and text[position] != text[at]:
        position += text[position] == "\\" and position + 1 < len(text)
        literal.append(text[position])
        position += 1
    if position >= len(text):
        raise Unfit(f"{parameter}: a closing {text[at]} was expected")
    return FormatPart("", 1, "".join(literal)), position + 1


def write_date(read: ReadDate, parts: tuple[FormatPart, ...]) -> str:
    """Answer the instant in a format; the zone is UTC."""
    return "".join(
        part.literal or (read.kind if part.letter == "K" else _written(read.instant, part)) for part in parts
    )


def _written(value: datetime, part: FormatPart) -> str:
    count = part.count
    if part.letter in _PLAIN_NUMBERS and not (part.letter in "Md" and count > 2):
        return f"{_PLAIN_NUMBERS[part.letter](value):0{min(count, 2)}}"
    match part.letter:
        case "y":
            return f"{value.year % 100:0{count}}" if count < 3 else f"{value.year:0{count}}"
        case "M" | "d":
            name = MONTHS[value.month - 1] if part.letter == "M" else DAYS[value.weekday()]
            return name[:3] if count == 3 else name
        case "f" | "F":
            digits = f"{value.microsecond:06}0"[:count]
            return digits if part.letter == "f" else digits.rstrip("0")
        case "t":
            return ("AM" if value.hour < 12 else "PM")[:count]
        case "g":
            return "A.D."
        case "z":
            return ("+0", "+00", "+00:00")[min(count, 3) - 1]
        case _:
            return "Z" * count


_PLAIN_NUMBERS: dict[str, Callable[[datetime], int]] = {
    "M": lambda value: value.month,
    "d": lambda value: value.day,
    "H": lambda value: value.hour,
    "h": lambda value: value.hour % 12 or 12,
    "m": lambda value: value.minute,
    "s": lambda value: value.second,
}
