"""NCRONTAB: the schedule language of timer triggers. Pure.

Six fields, `second minute hour day month day-of-week`; five leave out the second. croniter computes the times; the
checks before it refuse what croniter understands and the platform's parser does not.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from croniter import CroniterError, croniter

_NAMES = {
    4: ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    5: ("sun", "mon", "tue", "wed", "thu", "fri", "sat"),
}
_FIELDS = ("second", "minute", "hour", "day", "month", "day of week")
_BOUNDS = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_SOME_DAY = datetime(2024, 1, 1, tzinfo=UTC)
_PART = re.compile(r"(?P<all>\*)|(?P<first>\w+)(?:-(?P<last>\w+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A schedule in UTC."""

    expression: str
    """Six fields."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Answers with the schedule that a text means. Raises: ValueError with what is wrong and what was expected."""
        if re.fullmatch(r"[\d.]*\d+:\d+(:\d+)?", text.strip()):
            raise ValueError(f"schedule {text!r} is a time span, which only works on App Service plans: use six fields")
        fields = text.split()
        if len(fields) == 5:
            fields = ["0", *fields]
        if len(fields) != 6:
            raise ValueError(
                f"schedule {text!r} has {len(fields)} fields, expected 6: second minute hour day month weekday"
            )
        for position, field in enumerate(fields):
            _check_field(text, position, field)
        expression = " ".join(fields)
        schedule = cls(expression=expression)
        try:
            schedule.next_after(_SOME_DAY)
        except CroniterError as error:
            raise ValueError(f"schedule {text!r} is never due: {error}") from error
        return schedule

    def next_after(self, moment: datetime) -> datetime:
        """Answers with the first time after a moment, in UTC."""
        # day_or=False: where both a day and a weekday are given, the platform wants both to match, cron wants either.
        times = croniter(self.expression, moment.astimezone(UTC), day_or=False, second_at_beginning=True)
        following: datetime = times.get_next(datetime)
        return following

    def is_monitored(self, moment: datetime) -> bool:
        """Answers whether the platform remembers runs: not if two can be less than a minute apart."""
        previous = self.next_after(moment)
        for _ in range(10):
            following = self.next_after(previous)
            if following - previous < timedelta(minutes=1):
                return False
            previous = following
        return True


def _check_field(text: str, position: int, field: str) -> None:
    where = f"schedule {text!r}, {_FIELDS[position]}"
    for entry in field.lower().split(","):
        value, slash, step = entry.partition("/")
        match = _PART.fullmatch(value)
        if match is None or (slash and not (step.isdigit() and int(step) > 0)):
            raise ValueError(f"{where}: {entry!r} is not understood; expected *, 5, 1-5, */10 or a list of these")
        for number in (match["first"], match["last"]):
            if number is not None:
                _check_number(where, position, number)


def _check_number(where: str, position: int, number: str) -> None:
    lowest, highest = _BOUNDS[position]
    if number[:3] in _NAMES.get(position, ()):
        return
    if not number.isdigit() or not lowest <= int(number) <= highest:
        raise ValueError(f"{where}: {number!r} is not in {lowest} to {highest}")
