"""What waits for a receiver: its order, its waits, and what nobody needs any more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.provisioning.notices.due import Marks
from shared.provisioning.notices.notice import Notice, NoticeType, make_notice, read_notices, write_notices
from shared.provisioning.notices.told import MOST_WAITING, DigestStep, Told

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NOTHING_STUCK = {
    "escrowed": {"Poisoned": 2},
    "given_up": {},
    "poisoned": 0,
    "held": 0,
    "pending": 0,
    "stopped": "",
    "reason": "",
    "stopped_since": "",
}


def paused(occurrence: str) -> Notice:
    return make_notice(NoticeType.PAUSED, "acme", occurrence, at=NOW, data={"reason": "PausedByPerson"})


def expiring(days: int, expires_on: str = "2026-12-01") -> Notice:
    data: dict[str, Any] = {"days": days, "expires_on": expires_on}
    return make_notice(NoticeType.EXPIRING, "acme", expires_on, str(days), at=NOW, data=data)


def digest(day: str) -> Notice:
    return make_notice(NoticeType.DIGEST, "acme", day, at=NOW, data=NOTHING_STUCK)


EMPTY = Told(application="acme", marks=Marks())


def test_waits_double_from_a_minute_to_six_hours() -> None:
    told, now, waits = EMPTY.noted([paused("1")]), NOW, []
    for _ in range(11):
        told = told.failed("unreachable", now)
        assert told.next_attempt_at is not None
        assert not told.is_due(told.next_attempt_at - timedelta(microseconds=1))
        waits.append((told.next_attempt_at - now) / MINUTE)
        now = told.next_attempt_at

    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360]
    assert told.failing_since == NOW


@pytest.mark.parametrize(
    ("retry_after_s", "minutes"), [(None, 1), (5, 1), (600, 10), (6 * 3600, 360), (24 * 3600, 360)]
)
def test_a_receiver_may_ask_for_a_longer_wait_up_to_six_hours(retry_after_s: float | None, minutes: float) -> None:
    told = EMPTY.noted([paused("1")]).failed("throttled", NOW, retry_after_s=retry_after_s)

    assert told.next_attempt_at == NOW + minutes * MINUTE


def test_news_is_a_reason_to_try_at_once_unless_the_receiver_named_the_time() -> None:
    failing = EMPTY.noted([paused("1")]).failed("unreachable", NOW)
    throttled = EMPTY.noted([paused("1")]).failed("throttled", NOW, retry_after_s=600)

    assert not failing.noted([]).is_due(NOW)
    assert failing.noted([paused("2")]).is_due(NOW)
    assert not throttled.noted([paused("2")]).is_due(NOW)


def test_a_delivery_ends_the_series_of_failures_and_keeps_the_order() -> None:
    told = EMPTY.noted([paused("1"), paused("2")]).claimed(NOW).failed("refused", NOW)

    after = told.claimed(NOW).delivered()

    assert after.waiting == (paused("2"),)
    assert after == EMPTY.noted([paused("2")])


def test_an_hour_of_failures_is_a_persons_matter() -> None:
    told = EMPTY.noted([paused("1")]).failed("refused", NOW)

    assert not told.is_overdue(NOW + timedelta(minutes=59))
    assert told.is_overdue(NOW + timedelta(minutes=60))
    assert not told.delivered().is_overdue(NOW + timedelta(days=1))


def test_what_nobody_needs_any_more_is_not_told() -> None:
    marks = Marks(expires_on="2026-12-01", step=7)
    told = EMPTY.noted([expiring(14), digest("2026-11-20"), paused("1")], marks)

    later = told.noted([expiring(7), digest("2026-11-21")])
    renewed = told.noted([], Marks(expires_on="2027-12-01"))

    assert later.waiting == (paused("1"), expiring(7), digest("2026-11-21"))
    assert renewed.waiting == (digest("2026-11-20"), paused("1"))


def test_a_receiver_that_is_gone_for_good_does_not_fill_the_table() -> None:
    told = EMPTY.noted([paused(str(at)) for at in range(MOST_WAITING + 5)])

    assert len(told.waiting) == MOST_WAITING
    assert told.waiting[-1] == paused(str(MOST_WAITING + 4))


@pytest.mark.parametrize(
    ("hour", "sampled", "done", "expected"),
    [
        pytest.param(4.9, None, "", DigestStep.NOTHING, id="at night"),
        pytest.param(5, None, "", DigestStep.SAMPLE, id="an hour before"),
        pytest.param(5.5, 5, "", DigestStep.NOTHING, id="sampled, and waiting"),
        pytest.param(6, 5, "", DigestStep.COUNT, id="in the morning"),
        pytest.param(6, 5.5, "", DigestStep.NOTHING, id="sampled less than an hour ago"),
        pytest.param(11, None, "", DigestStep.SAMPLE, id="started late in the morning"),
        pytest.param(12, 11, "", DigestStep.COUNT, id="an hour after a late start"),
        pytest.param(12, 11, "2026-11-21", DigestStep.NOTHING, id="done today"),
        pytest.param(6, -18, "2026-11-20", DigestStep.SAMPLE, id="yesterday's sample is too old"),
    ],
)
def test_the_digest_is_made_once_a_day(hour: float, sampled: float | None, done: str, expected: DigestStep) -> None:
    midnight = datetime(2026, 11, 21, tzinfo=UTC)
    sampled_at = None if sampled is None else midnight + timedelta(hours=sampled)
    told = Told(application="acme", sampled_at=sampled_at, digest_day=done)

    assert told.digest_step(midnight + timedelta(hours=hour)) is expected


@given(st.lists(st.sampled_from([paused("1"), paused("2"), expiring(7), digest("2026-11-21")])))
def test_notices_survive_storage(notices: list[Notice]) -> None:
    assert read_notices(write_notices(tuple(notices))) == tuple(notices)


@given(st.one_of(st.text(max_size=40), st.recursive(st.none() | st.integers() | st.text(), st.lists).map(str)))
def test_what_somebody_else_wrote_is_no_notice(text: str) -> None:
    assert read_notices(text) == ()


def test_a_notice_that_cannot_be_told_does_not_hold_back_the_others() -> None:
    strange = '[["x","digest","acme","2026-11-21T08:00:00.000000Z",{"of":"another version"},false],'
    good = write_notices((paused("1"),)).removeprefix("[")

    assert read_notices(strange + good) == (paused("1"),)
