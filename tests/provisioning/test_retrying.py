"""When something is tried again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.provisioning.failure_window import MINIMUM, FailureWindows
from shared.provisioning.retrying import LATER_CAP_S, escrow_until, is_due, later_delay_s
from tests.examples import NOW


@given(attempts=st.integers(0, 10_000), jitter=st.floats(0, 1))
def test_a_later_try_is_never_sooner_than_the_base_nor_later_than_the_cap(attempts: int, jitter: float) -> None:
    delay = later_delay_s(attempts, retry_after_s=None, jitter=jitter)

    assert 2.5 <= delay <= LATER_CAP_S


@given(attempts=st.integers(0, 20), retry_after=st.floats(0.1, 86_400), jitter=st.floats(0, 1))
def test_nobody_comes_back_before_retry_after(attempts: int, retry_after: float, jitter: float) -> None:
    assert later_delay_s(attempts, retry_after_s=retry_after, jitter=jitter) >= retry_after


def test_the_back_off_doubles_until_the_cap() -> None:
    delays = [later_delay_s(attempts, retry_after_s=None, jitter=1.0) for attempts in range(10)]

    assert delays == [5, 10, 20, 40, 80, 160, 320, 640, 900, 900]


@pytest.mark.parametrize(
    ("failures", "hours"),
    [(1, 6), (2, 12), (3, 24), (4, 24), (25, 24)],
    ids=["first", "second", "third", "fourth", "twenty-fifth"],
)
def test_the_escrow_ladder(failures: int, hours: int) -> None:
    assert escrow_until(failures, failed_at=NOW, now=NOW) == NOW + timedelta(hours=hours)


def test_after_28_days_only_a_change_or_a_person_brings_an_account_back() -> None:
    assert escrow_until(30, failed_at=NOW - timedelta(days=28), now=NOW) is None


@pytest.mark.parametrize(
    ("ahead_s", "due"), [(None, True), (-1, True), (59, True), (61, False)], ids=["none", "past", "slack", "ahead"]
)
def test_a_clock_one_minute_slow_still_finds_a_row_due(ahead_s: float | None, due: bool) -> None:
    planned = None if ahead_s is None else NOW + timedelta(seconds=ahead_s)

    assert is_due(planned, NOW) is due


def test_failures_stop_an_application_only_from_the_minimum_on() -> None:
    windows = FailureWindows()

    tripped = [windows.note("acme", ok=False, now=NOW) for _ in range(MINIMUM)]

    assert tripped == [False] * (MINIMUM - 1) + [True]


def test_failures_among_many_successes_stop_nobody() -> None:
    windows = FailureWindows()
    for _ in range(100):
        windows.note("acme", ok=True, now=NOW)

    assert not any(windows.note("acme", ok=False, now=NOW) for _ in range(MINIMUM * 2))


def test_failures_of_long_ago_do_not_count() -> None:
    windows = FailureWindows()
    for _ in range(MINIMUM - 1):
        windows.note("acme", ok=False, now=NOW)

    assert not windows.note("acme", ok=False, now=NOW + timedelta(minutes=11))


def test_one_application_says_nothing_about_another() -> None:
    windows = FailureWindows()
    for _ in range(MINIMUM - 1):
        windows.note("acme", ok=False, now=NOW)

    assert not windows.note("fuze", ok=False, now=NOW)
