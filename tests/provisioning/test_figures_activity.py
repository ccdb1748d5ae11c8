"""Results by the hour: every record of the log counted once, however often, by whom and until where it is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.clock import read_instant
from shared.provisioning.figures import activity as activity_module
from shared.provisioning.figures.activity import ACTIVITY_PREFIX, PLACE_KEY, SETTLING, ActivityCounter
from shared.provisioning.figures.counting import Budget
from shared.provisioning.figures.hours import (
    ACTIONS,
    RESULTS,
    HourFigures,
    added_hours,
    count_records,
    hour_of,
    rate_achieved,
    read_hours,
    write_hours,
)
from shared.provisioning.provisioning_log import LogStatus
from shared.storage.durable_writes import DurableWrite, Moment
from shared.storage.tables import Operation, Row
from tests.provisioning.figures_data import APP, Overtaken, instants, record, write_log
from tests.provisioning.memory_tables import MemoryTables, Store
from tests.provisioning.pulls import Killed, kill_at
from tests.world import START, HandClock

PAGE = 5
APPLICATIONS = "applications"

seconds = st.lists(st.integers(0, 9 * 3600), max_size=40)
statuses = st.sampled_from(list(LogStatus))


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of five records."""
    monkeypatch.setattr(activity_module, "PAGE", PAGE)


def counter(store: Store, clock: HandClock, **options) -> ActivityCounter:
    """A process that counts."""
    return ActivityCounter(tables=MemoryTables(store, **options), clock=clock)


async def results(one: ActivityCounter, *, hours: int = 720, pages: int = 1000) -> Counter[tuple[datetime, str]]:
    """What a reader sees: hour and result -> how many."""
    found = await one.read_activity(APP, hours, pages=pages)
    assert found.is_complete
    return Counter({(hour.at, name): count for hour in found.hours for name, count in hour.results.items() if count})


def plainly(records: Sequence[Operation]) -> Counter[tuple[datetime, str]]:
    """The same by the plainest count there is."""
    found: Counter[tuple[datetime, str]] = Counter()
    for each in records:
        at = read_instant(str(each.values["at"]))
        assert at is not None
        found[hour_of(at), str(each.values["status"])] += 1
    return found


@settings(deadline=None)
@given(offsets=seconds, status=statuses, pages=st.integers(1, 4), looks=st.lists(st.integers(0, 5000), max_size=6))
async def test_wherever_counts_are_cut_every_record_is_counted_once(
    offsets: list[int], status: LogStatus, pages: int, looks: list[int]
) -> None:
    store, clock = Store(), HandClock()
    one = counter(store, clock)
    records = [record(START + timedelta(seconds=at), number, status=status) for number, at in enumerate(offsets)]
    written: list[Operation] = []

    for ahead in [*looks, 10 * 3600]:
        clock.advance(ahead)
        new = [each for each in records if each not in written and str(each.values["at"]) <= _text(clock)]
        await write_log(one.tables, new)
        written += new
        await one.count(APP, Budget(pages=pages))
        found = await one.read_activity(APP, 720, pages=1000)
        if found.is_complete:
            assert await results(one) == plainly(written)
    for _ in range(20):
        clock.advance(SETTLING.total_seconds())
        await one.count(APP, Budget(pages=pages))

    assert await results(one) == plainly(records)
    assert await results(one, pages=0) == plainly(records)


def _text(clock: HandClock) -> str:
    return clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def test_a_record_written_minutes_late_is_counted_and_so_is_what_was_just_written() -> None:
    store, clock = Store(), HandClock()
    one = counter(store, clock)
    clock.advance(3600)
    early = [record(clock.now() - timedelta(minutes=20), 1), record(clock.now() - timedelta(minutes=1), 2)]
    await write_log(one.tables, early)
    await one.count(APP, Budget())
    late = [record(clock.now() - timedelta(minutes=9), 3, status=LogStatus.FAILURE)]
    clock.advance(30)
    new = [record(clock.now(), 4, status=LogStatus.SKIPPED)]
    await write_log(one.tables, [*late, *new])

    at_once = await results(one)
    await one.count(APP, Budget())

    assert at_once == plainly([*early, *new])
    assert await results(one) == plainly([*early, *late, *new])


@pytest.mark.parametrize("moment", list(Moment))
@pytest.mark.parametrize("pages", [None, 1, 3])
@pytest.mark.parametrize("occurrence", [1, 2, 3])
async def test_a_process_that_dies_at_a_write_counts_nothing_twice(
    occurrence: int, pages: int | None, moment: Moment
) -> None:
    store, clock = Store(), HandClock()
    records = [record(at, number) for number, at in enumerate(instants(60, step_s=400))]
    await write_log(MemoryTables(store), records)
    clock.advance(60 * 400)
    dying = counter(store, clock, observer=kill_at(DurableWrite.ACTIVITY, moment, occurrence=occurrence))

    with pytest.raises(Killed):
        for _ in range(occurrence + 1):
            clock.advance(600)
            await write_log(MemoryTables(store), [record(clock.now(), 100 + len(records))])
            records.append(record(clock.now(), 100 + len(records)))
            await dying.count(APP, Budget(pages=pages))
    survivor = counter(store, clock)
    for _ in range(40):
        clock.advance(60)
        await survivor.count(APP, Budget(pages=pages))

    assert await results(survivor, pages=0) == plainly(records)


@pytest.mark.parametrize("pages", [1, 2, None])
@pytest.mark.parametrize("others", [1, 3, None])
async def test_two_processes_that_count_at_once_count_every_record_once(pages: int | None, others: int | None) -> None:
    store, clock = Store(), HandClock()
    records = [record(at, number) for number, at in enumerate(instants(45, step_s=300))]
    await write_log(MemoryTables(store), records)
    clock.advance(45 * 300 + 1)
    second = counter(store, clock)

    for _ in range(60):
        first = counter(store, clock)
        first.tables = Overtaken(store, lambda: second.count(APP, Budget(pages=others)))
        await first.count(APP, Budget(pages=pages))
        clock.advance(60)

    assert await results(second, pages=0) == plainly(records)


async def test_where_nothing_happens_nothing_is_written_and_a_look_is_two_queries() -> None:
    store, clock = Store(), HandClock()
    one = counter(store, clock)
    await write_log(one.tables, [record(clock.now(), 1)])
    for _ in range(3):
        clock.advance(700)
        await one.count(APP, Budget())
    before = Counter(one.tables.calls)

    for _ in range(5):
        clock.advance(300)
        await one.count(APP, Budget())
    spent = Counter(one.tables.calls) - before
    await one.read_activity(APP, 24)
    look = Counter(one.tables.calls) - before - spent

    assert spent == {"applications query": 5, "accounts query": 10}
    assert look == {"applications query": 1, "accounts query": 1}


async def test_a_look_reads_a_bounded_number_of_pages_and_says_when_that_was_not_all() -> None:
    store, clock = Store(), HandClock()
    one = counter(store, clock)
    clock.advance(3600)
    await write_log(one.tables, [record(START + timedelta(seconds=at), at) for at in range(40)])

    found = await one.read_activity(APP, 24, pages=3)

    assert (found.is_complete, sum(hour.results["success"] for hour in found.hours)) == (False, 3 * PAGE)
    assert one.tables.calls["accounts query"] <= 4


async def test_too_many_unsettled_records_are_left_to_the_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity_module, "RECENT_PAGES", 2)
    store, clock = Store(), HandClock()
    one = counter(store, clock)
    records = [record(START + timedelta(seconds=at), at) for at in range(40)]
    await write_log(one.tables, records)
    clock.advance(60)
    await one.count(APP, Budget())

    assert await results(one) == plainly(records)
    clock.advance(SETTLING.total_seconds())
    await one.count(APP, Budget())
    assert await results(one, pages=0) == plainly(records)


async def test_days_are_kept_for_thirty_days_and_a_year_of_them_takes_no_room() -> None:
    store, clock = Store(), HandClock()
    one = counter(store, clock)
    for number in range(50):
        await write_log(one.tables, [record(clock.now(), number)])
        clock.advance(86_400)
        await one.count(APP, Budget())
    rows = await one.tables.read_range(APPLICATIONS, APP, first=ACTIVITY_PREFIX, before="activity;")

    assert len(rows) - 1 in (30, 31)
    assert sum((await results(one, hours=720)).values()) == 29


async def test_what_another_version_wrote_is_counted_on_from_its_place() -> None:
    store, clock = Store(), HandClock()
    one = counter(store, clock)
    clock.advance(3600)
    rows = [
        Operation.insert(PLACE_KEY, {"counted_to": "2026-11-21T08:30:00.000000Z", "recent": "[1]"}),
        Operation.insert(f"{ACTIVITY_PREFIX}2026-11-21", {"hours": '{"x": 1}'}),
    ]
    await one.tables.commit(DurableWrite.ACTIVITY, APPLICATIONS, APP, rows)
    await write_log(one.tables, [record(START + timedelta(minutes=minute), minute) for minute in (10, 40)])

    await one.count(APP, Budget())

    assert sum((await results(one)).values()) == 1


@given(offsets=seconds, cut=st.integers(0, 40), status=statuses)
def test_hours_are_read_as_they_were_written_and_add_up(offsets: list[int], cut: int, status: LogStatus) -> None:
    rows = [
        Row(each.key, each.values, "")
        for each in (record(START + timedelta(seconds=at), at, status=status) for at in offsets)
    ]
    whole = count_records(rows)
    midnight = START.replace(hour=0)

    assert read_hours(write_hours(whole), midnight) == {at: each for at, each in whole.items() if at.day == START.day}
    assert added_hours(count_records(rows[:cut]), count_records(rows[cut:])) == whole


def test_actions_are_what_was_really_done_and_every_name_is_there() -> None:
    records = [
        record(START, 1, action="create"),
        record(START, 2, action="create", status=LogStatus.FAILURE),
        record(START, 3, action="skip", status=LogStatus.SKIPPED),
        record(START, 4, action="disable"),
        record(START, 5, action="stageddelete", status=LogStatus.SKIPPED),
        record(START, 6, action="somethingNew"),
    ]
    hour = count_records([Row(each.key, each.values, "") for each in records])[START]

    assert set(hour.results) == set(RESULTS)
    assert hour.results == {"success": 3, "failure": 1, "skipped": 2, "warning": 0}
    assert hour.actions == {**dict.fromkeys(ACTIONS, 0), "create": 1, "disable": 1, "other": 1}


def test_what_is_no_record_of_ours_is_left_out() -> None:
    rows = [Row("log:1", {"at": "", "status": "success"}, ""), Row("log:2", {}, "")]

    assert count_records(rows) == {}


def test_the_rate_is_counted_since_the_first_account_of_the_last_hour() -> None:
    now = START + timedelta(minutes=10)
    before, present = HourFigures(at=START - timedelta(hours=1)), HourFigures(at=START)
    busy = {**dict.fromkeys(RESULTS, 0), "success": 240, "skipped": 60, "failure": 50}

    assert rate_achieved({}, now) is None
    assert rate_achieved({before.at: before, START: present}, now) is None
    assert rate_achieved({START: replace(present, results=busy, first_s=300)}, now) == 1.0
    assert rate_achieved({before.at: replace(before, results=busy, first_s=0)}, now) == 300 / 4200
