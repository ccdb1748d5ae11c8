"""NCRONTAB is understood as the platform understands it."""

from datetime import UTC, datetime

import pytest

from tests.simulation.host.schedules import Schedule

NOON = datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("*/5 * * * * *", datetime(2026, 11, 21, 12, 0, 35, tzinfo=UTC), id="every five seconds"),
        pytest.param("0 */5 * * * *", datetime(2026, 11, 21, 12, 5, tzinfo=UTC), id="every five minutes"),
        pytest.param("*/5 * * * *", datetime(2026, 11, 21, 12, 5, tzinfo=UTC), id="five fields have no seconds"),
        pytest.param(
            "0 0 9-17 * * Mon-Fri", datetime(2026, 11, 23, 9, 0, tzinfo=UTC), id="office hours skip the weekend"
        ),
        pytest.param("0 30 9 1,15 jan *", datetime(2027, 1, 1, 9, 30, tzinfo=UTC), id="lists and month names"),
        pytest.param("0 0 0 13 * 5", datetime(2027, 8, 13, tzinfo=UTC), id="a day and a weekday must both match"),
        pytest.param("30 0 12 * * *", datetime(2026, 11, 22, 12, 0, 30, tzinfo=UTC), id="now itself is over"),
    ],
)
def test_the_next_run_of(text: str, expected: datetime) -> None:
    assert Schedule.parse(text).next_after(NOON) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("0 * * *", "4 fields", id="too few fields"),
        pytest.param("00:05:00", "time span", id="a time span"),
        pytest.param("60 * * * * *", "0 to 59", id="a second out of bounds"),
        pytest.param("0 0 0 * * 7", "day of week", id="a Sunday called seven"),
        pytest.param("0 0 0 L * *", "not in 1 to 31", id="the last day of a month"),
        pytest.param("0 0 0 ? * *", "not understood", id="a question mark"),
        pytest.param("0 */0 * * * *", "not understood", id="a step of nothing"),
        pytest.param("0 0 0 31 2 *", "never", id="a day that never comes"),
    ],
)
def test_what_the_platform_does_not_know_is_refused_with(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Schedule.parse(text)


@pytest.mark.parametrize(
    ("text", "is_monitored"),
    [
        pytest.param("0 * * * * *", True, id="every minute is remembered"),
        pytest.param("*/30 * * * * *", False, id="twice a minute is not"),
        pytest.param("0,30 0 0 * * *", False, id="twice in one minute a day is not"),
    ],
)
def test_runs_are_remembered_if_they_are_a_minute_apart(text: str, is_monitored: bool) -> None:
    assert Schedule.parse(text).is_monitored(NOON) is is_monitored
