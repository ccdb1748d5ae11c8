"""Custom date formats of .NET, reading and writing (`yyyyMMddHHmmss.fZ`, `M/d/yyyy h:mm:ss tt`).

A format is split once into fields and literal text. Reading goes from left to right and never back, like .NET's
ParseExact, so no input can make it slow. A single letter is a standard format, in its en-US form because the language
prints dates that way. Dates hold microseconds here: a seventh fractional digit is read and dropped, written as 0.
"""

import functools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from shared.rules.expressions.conversion import Unfit
from shared.rules.expressions.date_parsing import MONTHS, full_year, month_number, offset_of, twenty_four_hour

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


@dataclass(slots=True)
class _Reading:
    """What has been read so far."""

    text: str
    at: int = 0
    numbers: dict[str, int] = field(default_factory=dict)
    half: str | None = None
    offset: timedelta | None = None
    universal: bool = False


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
    two = "02" if count > 1 else ""
    match part.letter:
        case "y":
            return f"{value.year % 100:{two}}" if count < 3 else f"{value.year:0{count}}"
        case "M":
            name = MONTHS[value.month - 1]
            return f"{value.month:{two}}" if count < 3 else name[:3] if count == 3 else name
        case "d":
            name = DAYS[value.weekday()]
            return f"{value.day:{two}}" if count < 3 else name[:3] if count == 3 else name
        case "H":
            return f"{value.hour:{two}}"
        case "h":
            return f"{value.hour % 12 or 12:{two}}"
        case "m":
            return f"{value.minute:{two}}"
        case "s":
            return f"{value.second:{two}}"
        case "f":
            return f"{value.microsecond:06}0"[:count]
        case "F":
            return f"{value.microsecond:06}0"[:count].rstrip("0")
        case "t":
            return ("AM" if value.hour < 12 else "PM")[: min(count, 2)]
        case "g":
            return "A.D."
        case "z":
            return "+0" if count == 1 else "+00" if count == 2 else "+00:00"
        case _:
            return "Z"


def read_date(
    text: str, parts: tuple[FormatPart, ...], *, styles: frozenset[DateTimeStyle], today: datetime
) -> ReadDate:
    """Answer the instant that the text states in that format; a missing date is today's.

    Raises:
        Unfit: the text has another format, or the date does not exist.
    """
    everywhere = DateTimeStyle.ALLOW_WHITE_SPACES in styles
    inner = everywhere or DateTimeStyle.ALLOW_INNER_WHITE in styles
    if everywhere or DateTimeStyle.ALLOW_LEADING_WHITE in styles:
        text = text.lstrip()
    if everywhere or DateTimeStyle.ALLOW_TRAILING_WHITE in styles:
        text = text.rstrip()
    reading = _Reading(text)
    try:
        for part in parts:
            if inner:
                _skip_white(reading)
            _read_part(reading, part, inner=inner)
        if reading.at != len(text):
            raise ValueError("text is left over")
        instant = _instant(reading, today=None if DateTimeStyle.NO_CURRENT_DATE_DEFAULT in styles else today)
        return ReadDate(instant, _kind(reading, styles))
    except (ValueError, OverflowError):
        raise Unfit("source: a date in the inputFormat was expected") from None


def _skip_white(reading: _Reading) -> None:
    while reading.at < len(reading.text) and reading.text[reading.at].isspace():
        reading.at += 1


def _read_part(reading: _Reading, part: FormatPart, *, inner: bool) -> None:
    if not part.letter:
        literal = part.literal.strip() if inner else part.literal
        if not reading.text.startswith(literal, reading.at):
            raise ValueError("another text was expected")
        reading.at += len(literal)
    elif part.letter in _NUMBERS and not (part.letter in "Md" and part.count > 2):
        least, most = _NUMBERS[part.letter](part.count)
        _store(reading, part.letter, _digits(reading, least, most))
    elif part.letter in "Md":
        _read_name(reading, part)
    else:
        _OTHERS[part.letter](reading, part.count)


_NUMBERS = {
    "y": lambda count: (1, 2) if count == 1 else (count, count),
    "M": lambda count: (count, 2),
    "d": lambda count: (count, 2),
    "H": lambda count: (min(count, 2), 2),
    "h": lambda count: (min(count, 2), 2),
    "m": lambda count: (min(count, 2), 2),
    "s": lambda count: (min(count, 2), 2),
}
"""Fewest and most digits of a field."""


def _store(reading: _Reading, key: str, digits: str) -> None:
    number = full_year(digits) if key == "y" else int(digits)
    if reading.numbers.setdefault(key, number) != number:
        raise ValueError("one field has two values")


def _digits(reading: _Reading, least: int, most: int) -> str:
    end = reading.at
    while end < len(reading.text) and end - reading.at < most and reading.text[end] in "0123456789":
        end += 1
    if end - reading.at < least:
        raise ValueError("digits were expected")
    digits, reading.at = reading.text[reading.at : end], end
    return digits


def _read_name(reading: _Reading, part: FormatPart) -> None:
    names = MONTHS if part.letter == "M" else DAYS
    for name in names:
        candidate = name if part.count > 3 else name[:3]
        if reading.text[reading.at : reading.at + len(candidate)].lower() == candidate.lower():
            reading.at += len(candidate)
            if part.letter == "M":
                reading.numbers["M"] = month_number(candidate) or 0
            else:
                reading.numbers["weekday"] = DAYS.index(name)
            return
    raise ValueError("a name was expected")


def _read_fraction(reading: _Reading, count: int) -> None:
    reading.numbers["f"] = int(_digits(reading, count, count).ljust(6, "0")[:6])


def _read_optional_fraction(reading: _Reading, count: int) -> None:
    reading.numbers["f"] = int(_digits(reading, 0, count).ljust(6, "0")[:6])


def _read_half(reading: _Reading, count: int) -> None:
    length = min(count, 2)
    half = reading.text[reading.at : reading.at + length]
    if half.upper() not in ("AM"[:length], "PM"[:length]):
        raise ValueError("AM or PM was expected")
    reading.half = half
    reading.at += length


def _read_era(reading: _Reading, _count: int) -> None:
    era = next((era for era in ("A.D.", "AD") if reading.text.startswith(era, reading.at)), None)
    if era is None:
        raise ValueError("A.D. was expected")
    reading.at += len(era)


def _read_offset(reading: _Reading, count: int) -> None:
    sign = reading.text[reading.at : reading.at + 1]
    if sign not in ("+", "-"):
        raise ValueError("an offset was expected")
    reading.at += 1
    hours = int(_digits(reading, min(count, 2), 2))
    minutes = 0
    if count > 2:
        reading.at += reading.text[reading.at : reading.at + 1] == ":"
        minutes = int(_digits(reading, 2, 2))
    reading.offset = offset_of(sign, hours, minutes)


def _read_zone(reading: _Reading, _count: int) -> None:
    zone = next((zone for zone in ("Z", "GMT") if reading.text.startswith(zone, reading.at)), None)
    if zone is None:
        raise ValueError("Z was expected")
    reading.at += len(zone)
    reading.offset = timedelta(0)
    reading.universal = True


def _read_kind(reading: _Reading, _count: int) -> None:
    following = reading.text[reading.at : reading.at + 1]
    if following == "Z":
        _read_zone(reading, 1)
    elif following in ("+", "-") and following:
        _read_offset(reading, 3)


_OTHERS = {
    "f": _read_fraction,
    "F": _read_optional_fraction,
    "t": _read_half,
    "g": _read_era,
    "z": _read_offset,
    "Z": _read_zone,
    "K": _read_kind,
}


def _kind(reading: _Reading, styles: frozenset[DateTimeStyle]) -> str:
    """Answer .NET's kind as `K` prints it: universal Z, local +00:00 (the service's zone), unspecified nothing."""
    assumed = styles & {DateTimeStyle.ASSUME_LOCAL, DateTimeStyle.ASSUME_UNIVERSAL}
    if reading.offset is None and not assumed:
        return ""
    if DateTimeStyle.ADJUST_TO_UNIVERSAL in styles:
        return "Z"
    return "Z" if reading.universal and DateTimeStyle.ROUNDTRIP_KIND in styles else "+00:00"


def _instant(reading: _Reading, *, today: datetime | None) -> datetime:
    numbers = reading.numbers
    hour = numbers.get("H")
    if hour is None and "h" in numbers:
        if not 1 <= numbers["h"] <= 12:
            raise ValueError("an hour of 1 to 12 was expected")
        hour = twenty_four_hour(numbers["h"], reading.half or "AM")
    elif hour is not None and reading.half is not None and (hour >= 12) != reading.half.lower().startswith("p"):
        raise ValueError("AM or PM contradicts the hour")
    local = datetime(  # noqa: DTZ001 - the offset is applied below
        *_calendar_day(numbers, today), hour or 0, numbers.get("m", 0), numbers.get("s", 0), numbers.get("f", 0)
    )
    if numbers.get("weekday", local.weekday()) != local.weekday():
        raise ValueError("the day of the week contradicts the date")
    return (local - (reading.offset or timedelta(0))).replace(tzinfo=UTC)


def _calendar_day(numbers: dict[str, int], today: datetime | None) -> tuple[int, int, int]:
    """Answer year, month and day; what is missing beside a given field is the current year, January or the first."""
    if not numbers.keys() & {"y", "M", "d"}:
        return (today.year, today.month, today.day) if today else (1, 1, 1)
    return numbers.get("y", today.year if today else 1), numbers.get("M", 1), numbers.get("d", 1)
