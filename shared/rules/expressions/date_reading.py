"""Reading a date text in a given format (`yyyyMMddHHmmss.fZ`).

From left to right and never back, like .NET's ParseExact, so no input can make it slow. Dates hold microseconds here:
a seventh fractional digit is read and dropped.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from shared.rules.expressions.conversion import Unfit
from shared.rules.expressions.date_formats import DAYS, DateTimeStyle, FormatPart, ReadDate
from shared.rules.expressions.date_parsing import MONTHS, full_year, month_number, offset_of, twenty_four_hour


@dataclass(slots=True)
class _Reading:
    """What has been read so far."""

    text: str
    at: int = 0
    numbers: dict[str, int] = field(default_factory=dict)
    half: str | None = None
    offset: timedelta | None = None
    universal: bool = False


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


_NUMBERS: dict[str, Callable[[int], tuple[int, int]]] = {
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
