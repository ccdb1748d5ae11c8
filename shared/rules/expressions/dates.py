"""Dates: reading, writing, adding, counting, and Windows file times.

A date is a value of its own inside an expression and turns into `M/d/yyyy h:mm:ss tt` (UTC) wherever text is wanted.
A null or empty date answers null. Weeks begin on Sunday, as in Visual Basic.
"""

import calendar
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from shared.rules.expressions.conversion import Unfit, as_integer, as_text, is_blank
from shared.rules.expressions.date_formats import DateTimeStyle, parse_styles, split_format, write_date
from shared.rules.expressions.date_parsing import parse_date
from shared.rules.expressions.date_reading import read_date
from shared.rules.expressions.registry import Check, Options, Scope, scoped, simple

_FILE_TIME_ZERO = datetime(1601, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Interval(StrEnum):
    """Units of DateAdd and DateDiff."""

    YEAR = "yyyy"
    """Calendar years."""
    MONTH = "m"
    """Calendar months."""
    DAY = "d"
    """24 hours."""
    WEEK = "ww"
    """Seven days; DateDiff counts Sundays."""
    HOUR = "h"
    """Hours."""
    MINUTE = "n"
    """Minutes."""
    SECOND = "s"
    """Seconds."""


_SECONDS = {Interval.DAY: 86400, Interval.WEEK: 604800, Interval.HOUR: 3600, Interval.MINUTE: 60, Interval.SECOND: 1}


def _interval(value: object) -> Interval:
    try:
        return Interval(as_text(value, "interval") or "")
    except ValueError:
        raise Unfit(f"interval: one of {', '.join(Interval)} was expected") from None


def _check_interval(value: object) -> None:
    _interval(value)


def _check_styles(value: object) -> None:
    parse_styles(as_text(value, "dateTimeStyles"))


def _check_format(parameter: str) -> Check:
    def check(value: object) -> None:
        split_format(as_text(value, parameter) or "", parameter)

    return check


def _date(value: object) -> datetime | None:
    if is_blank(value):
        return None
    return value if isinstance(value, datetime) else parse_date(as_text(value, "date") or "")


@simple("CDate", "expression")
def cdate(expression: object) -> datetime | None:
    """Answer a text as a date, UTC. An offset is applied; `2020-03-16-07:00` (a date with an offset) is accepted."""
    return _date(expression)


@simple("DateAdd", "interval, value, dateTime", Options(checks={"interval": _check_interval}))
def date_add(interval: object, value: object, date: object) -> datetime | None:
    """Answer the date moved by value units of yyyy, m, d, ww, h, n or s; a negative value goes back.

    Moving by months or years keeps the day, or takes the last one of a shorter month.
    """
    unit = _interval(interval)
    start = _date(date)
    if start is None or is_blank(value):
        return None
    amount = as_integer(value, "value")
    if unit in _SECONDS:
        return start + timedelta(seconds=amount * _SECONDS[unit])
    months = start.year * 12 + start.month - 1 + amount * (12 if unit is Interval.YEAR else 1)
    year, month = divmod(months, 12)
    if not 1 <= year <= 9999:
        raise Unfit("value: the date leaves the years 1 to 9999")
    return start.replace(year=year, month=month + 1, day=min(start.day, calendar.monthrange(year, month + 1)[1]))


@simple("DateDiff", "interval, date1, date2", Options(checks={"interval": _check_interval}))
def date_diff(interval: object, date1: object, date2: object) -> int | None:
    """Answer how many units date2 lies after date1; negative when it lies before.

    yyyy and m compare calendar fields, ww counts Sundays in between, d, h, n and s drop the incomplete unit.
    """
    unit = _interval(interval)
    first, second = _date(date1), _date(date2)
    if first is None or second is None:
        return None
    if unit is Interval.YEAR:
        return second.year - first.year
    if unit is Interval.MONTH:
        return (second.year - first.year) * 12 + second.month - first.month
    if unit is Interval.WEEK:
        # Both dates go back to their Sunday; added up in two steps because the Sunday may lie before year 1.
        days = timedelta(days=(first.weekday() + 1) % 7 - (second.weekday() + 1) % 7)
        return _whole(second - first + days, timedelta(days=7))
    return _whole(second - first, timedelta(seconds=_SECONDS[unit]))


@simple("DateFromNum", "value")
def date_from_num(value: object) -> datetime | None:
    """Answer the date of a Windows file time: steps of 100 nanoseconds since 1601-01-01 UTC."""
    if is_blank(value):
        return None
    return _FILE_TIME_ZERO + timedelta(microseconds=as_integer(value, "value") // 10)


@simple("NumFromDate", "value")
def num_from_date(value: object) -> int | None:
    """Answer the Windows file time of a date in ISO 8601 (a time zone offset is applied)."""
    date = _date(value)
    return None if date is None else (date - _FILE_TIME_ZERO) // _MICROSECOND * 10


@scoped(
    "FormatDateTime",
    "source, dateTimeStyles?, inputFormat, outputFormat",
    Options(
        minimum=3,
        left_out=1,
        checks={
            "dateTimeStyles": _check_styles,
            "inputFormat": _check_format("inputFormat"),
            "outputFormat": _check_format("outputFormat"),
        },
        names={"dateTimeStyles": tuple(DateTimeStyle)},
    ),
)
def format_date_time(scope: Scope, source: object, *rest: object) -> str | None:
    """Answer a date text rewritten from inputFormat to outputFormat (.NET custom formats).

    dateTimeStyles may stay empty (RoundtripKind, AllowLeadingWhite and AllowTrailingWhite); the form with three
    arguments leaves it out altogether. An offset in the text is applied, the answer is UTC.
    """
    styles, input_format, output_format = rest
    if is_blank(source):
        return None
    read = split_format(as_text(input_format, "inputFormat") or "", "inputFormat")
    written = split_format(as_text(output_format, "outputFormat") or "", "outputFormat")
    date = read_date(
        as_text(source, "source") or "",
        read,
        styles=parse_styles(as_text(styles, "dateTimeStyles")),
        today=scope.context.now.astimezone(UTC),
    )
    return write_date(date, written)


def _whole(elapsed: timedelta, unit: timedelta) -> int:
    """Answer how many whole units have elapsed, rounded towards zero."""
    return elapsed // unit if elapsed >= timedelta(0) else -(-elapsed // unit)
