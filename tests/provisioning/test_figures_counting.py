"""The census: exactly what a look at every row counts, wherever it was interrupted, and cheap to look at."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.provisioning.accounts import ACCOUNTS, AccountState, make_number
from shared.provisioning.applications_state import ApplicationStates
from shared.provisioning.figures import counting
from shared.provisioning.figures.counting import CENSUS_KEY, Budget, CensusTaker
from shared.provisioning.figures.counts import Counts, added, count_rows, read_counts, write_counts
from shared.storage.durable_writes import DurableWrite, Moment
from shared.storage.tables import Operation, Row, StorageUnavailable
from tests.provisioning.figures_data import (
    APP,
    APPLICATION,
    CONFIG,
    Overtaken,
    Person,
    person,
    states_of,
    write_list,
    write_people,
)
from tests.provisioning.memory_tables import MemoryTables, Store
from tests.provisioning.pulls import Killed, kill_at
from tests.world import HandClock

PAGE = 10

populations = st.lists(
    st.builds(
        Person,
        state=st.sampled_from([each for each in AccountState if each is not AccountState.DISABLED]),
        pending=st.booleans(),
        staged=st.booleans(),
        code=st.sampled_from(["", "InvalidValue", "ForeignAccount"]),
        epoch=st.integers(1, 9),
        config=st.sampled_from([CONFIG, f"{CONFIG}.1", "another", ""]),
    ),
    max_size=60,
)


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of ten rows, saved after three."""
    monkeypatch.setattr(counting, "PAGE", PAGE)
    monkeypatch.setattr(counting, "SAVED_PAGES", 3)


def taker(store: Store, clock: HandClock | None = None, **options) -> CensusTaker:
    """A process that counts."""
    clock, tables = clock or HandClock(), MemoryTables(store, **options)
    return CensusTaker(tables=tables, states=ApplicationStates(tables=tables, clock=clock), clock=clock)


async def counted(taker: CensusTaker, *, pages: int | None = None) -> Counts:
    """Count to the end, in turns of so many pages."""
    for _ in range(100):
        census = await taker.count(APPLICATION, Budget(pages=pages))
        if not census.is_under_way:
            assert census.counts is not None
            return census.counts
    raise AssertionError("the count does not end")


@settings(deadline=None)
@given(people=populations, groups=st.integers(0, 20), listed=st.integers(0, 3), pages=st.integers(1, 7))
async def test_a_count_cut_at_any_page_equals_a_look_at_every_row(
    people: list[Person], groups: int, listed: int, pages: int
) -> None:
    tables = MemoryTables(Store())
    await write_people(tables, people, groups=groups)
    await write_list(tables, listed)

    found = await counted(taker(tables.store), pages=pages)

    assert found == await taker(tables.store).count_now(APPLICATION, pages=100)
    assert found.total == len(people) + listed
    assert found.pending == sum(each.pending for each in people) + listed
    assert found.behind == sum(not each.pending and each.config in ("another", "") for each in people)
    for hold_stands in (True, False):
        expected = Counter(states_of(people, hold_stands=hold_stands)) + Counter({"pending": listed})
        assert Counter(found.by_state(hold_stands=hold_stands)) == expected
    assert found.escrowed == Counter(
        each.code for each in people if each.state is AccountState.ESCROWED and not each.staged
    ) + Counter(each.code for each in people if each.state is AccountState.ESCROWED and each.staged)


@given(people=populations, cut=st.integers(0, 60))
def test_parts_of_a_count_make_the_whole_in_any_order(people: list[Person], cut: int) -> None:
    rows = [Row(f"user:{at}", each.columns(), "") for at, each in enumerate(people)]
    one, other = count_rows(APPLICATION, rows[:cut], config=CONFIG), count_rows(APPLICATION, rows[cut:], config=CONFIG)

    assert added(one, other) == added(other, one) == count_rows(APPLICATION, rows, config=CONFIG)
    assert read_counts(write_counts(one)) == one


def test_what_gets_its_turn_by_itself_is_in_line_and_nothing_else() -> None:
    def columns(**more) -> dict:
        return Person(AccountState.PENDING, pending=True).columns() | more

    rows = {
        "waits": columns(),
        "escrowed": columns(state="escrowed", error_code="X"),
        "escrowed, raised since": columns(state="escrowed", wanted=make_number(5, 1)),
        "held": columns(state="held"),
        "permitted": columns(state="held", permit="1"),
        "done": columns(pending=False),
        "behind": columns(pending=False, state="in_sync", config="another"),
        "behind and held": columns(pending=False, state="held", config="another"),
    }
    in_line = {
        name
        for name, values in rows.items()
        if count_rows(APPLICATION, [Row(f"user:{name}", values, "")], config=CONFIG).in_line
    }

    assert in_line == {"waits", "escrowed, raised since", "permitted", "behind"}


def test_who_the_guard_does_not_count_is_as_its_row_says_and_a_group_that_loses_many_is_held_without_a_hold() -> None:
    leaving = Person(AccountState.DISABLED, pending=True, staged=True).columns()
    never_there = Person(AccountState.SKIPPED, pending=True, staged=True).columns() | {"target_id": ""}
    group = Person(AccountState.IN_SYNC, pending=True, staged=True).columns() | {"members": 40, "removing": 40}
    rows = [Row("user:1", leaving, ""), Row("user:2", never_there, ""), Row("group:3", group, "")]

    for hold_stands in (True, False):
        states = count_rows(APPLICATION, rows, config=CONFIG).by_state(hold_stands=hold_stands)
        assert {name: count for name, count in states.items() if count} == {"disabled": 1, "skipped": 1, "held": 1}


def test_error_codes_beyond_fifty_are_counted_together() -> None:
    rows = [
        Row(f"user:{at}", Person(AccountState.ESCROWED, pending=True, code=f"Code{at % 70}").columns(), "")
        for at in range(140)
    ]

    escrowed = count_rows(APPLICATION, rows, config=CONFIG).escrowed

    assert (len(escrowed), sum(escrowed.values()), escrowed["other"]) == (50, 140, 42)


async def test_a_turn_always_gets_somewhere_and_a_million_rows_take_no_turn_longer_than_its_time() -> None:
    store, clock = Store(), HandClock()
    await write_people(MemoryTables(store), [person(at) for at in range(105)])
    one = taker(store, clock)

    turns = 0
    while (await one.count(APPLICATION, Budget(until=clock.monotonic()))).is_under_way:
        turns += 1

    assert turns == 11
    assert one.tables.calls[f"{ACCOUNTS} query"] <= 1 + 2 * (turns + 1)


@pytest.mark.parametrize("moment", list(Moment))
@pytest.mark.parametrize("occurrence", [1, 2, 3])
async def test_a_process_that_dies_at_a_write_changes_no_count(occurrence: int, moment: Moment) -> None:
    store = Store()
    people = [person(at) for at in range(75)]
    await write_people(MemoryTables(store), people)

    with pytest.raises(Killed):
        await counted(taker(store, observer=kill_at(DurableWrite.CENSUS, moment, occurrence=occurrence)))
    found = await counted(taker(store))

    assert found.by_state(hold_stands=False) == states_of(people, hold_stands=False)


@pytest.mark.parametrize("pages", [1, 2, 4, 20])
async def test_of_two_processes_that_count_at_once_one_stops_and_the_count_is_right(pages: int) -> None:
    store = Store()
    people = [person(at) for at in range(95)]
    await write_people(MemoryTables(store), people)
    first, second = taker(store), taker(store)
    first.tables = Overtaken(store, lambda: second.count(APPLICATION, Budget(pages=pages)))

    await first.count(APPLICATION, Budget(pages=3))
    found = await counted(first, pages=2)

    assert found.by_state(hold_stands=True) == states_of(people, hold_stands=True)


async def test_a_count_that_lay_for_hours_begins_again() -> None:
    store, clock = Store(), HandClock()
    tables = MemoryTables(store)
    await write_people(tables, [person(at) for at in range(40)])
    one = taker(store, clock)
    await one.count(APPLICATION, Budget(pages=2))
    clock.advance(timedelta(hours=7).total_seconds())
    await tables.commit(DurableWrite.SAVE, ACCOUNTS, APP, [Operation.merge("user:000000", {"state": "deleted"})])

    assert (await counted(one)).states["deleted"] == 1


async def test_a_row_that_another_version_wrote_is_counted_anew() -> None:
    store = Store()
    tables = MemoryTables(store)
    await write_people(tables, [person(at) for at in range(5)])
    odd = {"counts": '{"states": 3}', "counted_at": "", "so_far": "nonsense", "begun_at": "2026-11-21T08:00:00.000000Z"}
    await tables.commit(DurableWrite.CENSUS, "applications", APP, [Operation.insert(CENSUS_KEY, odd)])

    assert (await taker(store).read(APP)).counts is None
    assert (await counted(taker(store))).total == 5


async def test_what_was_counted_stands_while_the_next_count_is_under_way_and_when_storage_fails() -> None:
    store, clock = Store(), HandClock()
    await write_people(MemoryTables(store), [person(at) for at in range(30)])
    before = await taker(store, clock).count(APPLICATION, Budget())
    clock.advance(60)
    failing = taker(store, clock, observer=kill_at(DurableWrite.CENSUS, Moment.BEFORE, failure=StorageUnavailable))

    under_way = await taker(store, clock).count(APPLICATION, Budget(pages=1))
    with pytest.raises(StorageUnavailable):
        await failing.count(APPLICATION, Budget())

    assert (under_way.counts, under_way.counted_at) == (before.counts, before.counted_at)
    assert (await taker(store, clock).read(APP)).counted_at == before.counted_at
