"""Reading a date whose format is not named: what .NET's DateTime.Parse accepts, as far as directories write it.

Understood: ISO 8601 dates with or without a time, with `T` or a space, fractions, `Z` or an offset (a date followed by
an offset, as HR systems write it, included); `M/d/yyyy` with or without `h:mm[:ss] [AM|PM]`; `15 June 2009`,
`June 15, 2009` and `Mon, 15 Jun 2009 20:45:30 GMT`. Without an offset the text is UTC; the answer always is.
"""

import re
from datetime import UTC, datetime, timedelta

from shared.rules.expressions.conversion import Unfit

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_TIME = (
    r"(?P<hour>\d{1,2}):(?P<minute>\d{1,2})(?::(?P<second>\d{1,2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"(?:\s?(?P<half>[AaPp][Mm]))?"
)
_OFFSET = r"(?:\s?(?:(?P<utc>[Zz]|GMT|UTC)|(?P<sign>[+-])(?P<off_hour>\d{1,2}):?(?P<off_minute>\d{2})?))?"
_MONTH_NAME = r"(?P<month_name>[A-Za-z]{3,9})\.?"
_DATES = (
    r"(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})",
    r"(?P<month>\d{1,2})[-/.](?P<day>\d{1,2})[-/.](?P<year>\d{4}|\d{2})",
    rf"(?:[A-Za-z]{{3,9}},\s?)?(?P<day>\d{{1,2}})[\s-]{_MONTH_NAME}[\s-](?P<year>\d{{4}}|\d{{2}})",
    rf"(?:[A-Za-z]{{3,9}},\s?)?{_MONTH_NAME}\s(?P<day>\d{{1,2}}),?\s(?P<year>\d{{4}})",
)
_FORMATS = tuple(re.compile(rf"{date}(?:(?:[Tt]|\s){_TIME})?{_OFFSET}", re.ASCII) for date in _DATES)
_MAX_LENGTH = 100
_EXPECTED = "a date was expected, for example 2026-11-20 or 2026-11-20T08:30:00Z"


def parse_date(text: str) -> datetime:
    """Answer the instant in UTC.

    Raises:
        Unfit: the text is no date, or the date does not exist.
    """
    cleaned = text.strip()
    if len(cleaned) > _MAX_LENGTH:
        raise Unfit(_EXPECTED)
    match = next(filter(None, (pattern.fullmatch(cleaned) for pattern in _FORMATS)), None)
    if match is None:
        raise Unfit(_EXPECTED)
    fields = match.groupdict()
    try:
        local = datetime(  # noqa: DTZ001 - the offset is applied below
            full_year(fields["year"]), _month(fields), int(fields["day"]), *_clock(fields)
        )
        return (local - _offset(fields)).replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise Unfit(_EXPECTED) from None


def full_year(digits: str) -> int:
    """Answer a year of four digits; two digits mean 1950 to 2049, as .NET's calendar has it."""
    year = int(digits)
    if len(digits) > 2:
        return year
    return year + (2000 if year < 50 else 1900)


def month_number(name: str) -> int | None:
    """Answer the number of a month given by its English name or its first three letters."""
    for number, month in enumerate(MONTHS, start=1):
        if name.lower() in (month.lower(), month[:3].lower()):
            return number
    return None


def twenty_four_hour(hour: int, half: str | None) -> int:
    """Answer the hour of the day for a 12-hour clock; without AM or PM the hour already is one."""
    if half is None:
        return hour
    if not 0 <= hour <= 12:
        raise ValueError("an hour of 1 to 12 was expected beside AM or PM")
    return hour % 12 + (12 if half.lower().startswith("p") else 0)


def offset_of(sign: str, hours: int, minutes: int) -> timedelta:
    """Answer an offset from UTC; more than 14 hours is no time zone."""
    offset = timedelta(hours=hours, minutes=minutes)
    if minutes > 59 or offset > timedelta(hours=14):
        raise ValueError("an offset of at most 14 hours was expected")
    return -offset if sign == "-" else offset


def _month(fields: dict[str, str | None]) -> int:
    if fields.get("month_name"):
        return month_number(fields["month_name"] or "") or 0
    return int(fields["month"] or 0)


def _clock(fields: dict[str, str | None]) -> tuple[int, int, int, int]:
    hour = twenty_four_hour(int(fields["hour"] or 0), fields["half"])
    microsecond = int((fields["fraction"] or "0").ljust(6, "0")[:6])
    return hour, int(fields["minute"] or 0), int(fields["second"] or 0), microsecond


def _offset(fields: dict[str, str | None]) -> timedelta:
    if fields["sign"] is None:
        return timedelta(0)
    return offset_of(fields["sign"], int(fields["off_hour"] or 0), int(fields["off_minute"] or 0))
