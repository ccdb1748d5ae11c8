"""When figures are counted, and that the sync and housekeeping go on when they cannot be."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from shared.provisioning.figures.counting import Budget
from shared.provisioning.figures.cycles import KEPT, Cycle, CycleBook, Cycles
from shared.storage.durable_writes import DurableWrite, Moment
from shared.storage.tables import StorageConflict, StorageUnavailable
from tests.provisioning.memory_tables import MemoryTables, Store
from tests.provisioning.pulls import APP, assign, kill_at, people, pulling
from tests.world import START, HandClock, World

CENSUS_READ = "applications read"


@pytest.fixture
async def world(azurite: str, name_prefix: str) -> AsyncIterator[World]:
    async with pulling(azurite, name_prefix, users=8) as opened:
        for user_id in people(opened, 3):
            assign(opened, user_id)
        yield opened


async def counted_at(world: World):
    """When the census was taken."""
    return (await world.services.census.read(APP)).counted_at


async def test_housekeeping_counts_always_and_the_sync_while_accounts_wait_once_a_minute(world: World) -> None:
    services = world.services
    await world.sync()
    assert await counted_at(world) is None
    await services.housekeeper.keep_house()
    first = await counted_at(world)

    world.clock.advance(30)
    await world.sync()
    too_early = await counted_at(world)
    world.clock.advance(40)
    await world.sync()
    in_time = await counted_at(world)

    assert first == START
    assert (too_early, in_time) == (first, world.clock.now())


async def test_where_nobody_waits_the_sync_does_not_count(world: World) -> None:
    await world.provision_all()
    await world.services.housekeeper.keep_house()
    before = await counted_at(world)
    calls = Counter(world.services.tables.calls)

    for _ in range(10):
        world.clock.advance(60)
        await world.sync()

    assert await counted_at(world) == before
    assert (Counter(world.services.tables.calls) - calls)["accounts query"] == 0


async def test_a_count_that_housekeeping_began_is_brought_on_by_the_sync(world: World) -> None:
    await world.sync()
    application = world.services.applications[APP]
    await world.services.census.count(application, Budget(pages=1))
    assert await counted_at(world) is None
    world.clock.advance(301)

    await world.sync()

    assert await counted_at(world) == world.clock.now()


async def test_a_census_that_costs_much_is_taken_less_often(world: World) -> None:
    await world.sync()
    services = world.services
    slow = MovingTables(services.tables, world.clock)
    services.census.tables = slow
    await services.housekeeper.keep_house()
    census = await services.census.read(APP)
    assert census.duration_s == 10
    world.clock.advance(150)
    await world.sync()
    still = await counted_at(world)
    world.clock.advance(50)
    services.census.tables = services.tables
    await world.sync()

    assert still == census.counted_at
    assert await counted_at(world) != census.counted_at


class MovingTables:
    """Tables whose queries take five seconds."""

    def __init__(self, tables, clock: HandClock) -> None:
        self._tables = tables
        self._clock = clock

    def __getattr__(self, name: str):
        return getattr(self._tables, name)

    async def query(self, *given, **named):
        async for page in self._tables.query(*given, **named):
            self._clock.advance(5)
            yield page


@pytest.mark.parametrize("failure", [StorageUnavailable, StorageConflict])
@pytest.mark.parametrize("write", [DurableWrite.CYCLE, DurableWrite.CENSUS])
async def test_a_sync_whose_figures_cannot_be_written_is_a_sync_all_the_same(
    world: World, write: DurableWrite, failure: type[Exception]
) -> None:
    await world.services.housekeeper.keep_house()
    for user_id in people(world, 3):
        world.tenant.update(user_id, jobTitle="Astronaut")
    world.restart(kill_at(write, Moment.BEFORE, failure=failure))

    report = await world.sync()

    assert (report.outcome, report.raised) == ("pulled", {APP: 3})
    assert (await world.sync()).outcome == "nothing new"


async def test_the_last_cycle_says_what_the_sync_did_and_with_which_configuration(world: World) -> None:
    world.clock.advance(5)
    await world.sync()
    cycles = await world.services.cycles.read()
    assert cycles.last is not None
    assert (cycles.last.outcome, cycles.last.raised, cycles.last.queued) == ("pulled", {APP: 3}, {APP: 3})
    assert (cycles.last.began_at, cycles.complete_at) == (START + timedelta(seconds=5), world.clock.now())
    assert cycles.last.changes >= 8
    assert cycles.last.pages >= 1
    assert (cycles.last.epoch > 0, len(cycles.last.config), cycles.last.error) == (True, 12, "")

    for _ in range(6):
        world.clock.advance(60)
        await world.sync()
    quiet = await world.services.cycles.read()

    assert quiet.last is not None
    assert (quiet.last.outcome, quiet.recent) == ("nothing new", cycles.recent)
    assert START + timedelta(seconds=300) <= quiet.last.began_at


async def test_a_cycle_that_graph_ended_says_why_and_the_last_complete_one_stays(world: World) -> None:
    await world.sync()
    complete_at = (await world.services.cycles.read()).complete_at
    world.clock.advance(60)
    world.graph.faults.add("throttle", path="users/delta", retry_after=30)

    await world.sync()
    cycles = await world.services.cycles.read()

    assert cycles.last is not None
    assert cycles.last.outcome == "GraphThrottled"
    assert cycles.last.error
    assert cycles.complete_at == complete_at


async def test_storage_that_fails_in_a_pull_is_raised_and_noted_if_it_can_be(world: World) -> None:
    world.restart(kill_at(DurableWrite.RAISE, Moment.BEFORE, failure=StorageUnavailable))

    with pytest.raises(StorageUnavailable):
        await world.sync()
    last = (await world.services.cycles.read()).last

    assert last is not None
    assert last.outcome == "storage unavailable"


def cycle(at: int, **more) -> Cycle:
    """A cycle that raised somebody, in minute `at`."""
    began_at = START + timedelta(minutes=at)
    usual = {"began_at": began_at, "ended_at": began_at, "outcome": "pulled", "raised": {APP: 1}, "epoch": at + 1}
    return Cycle(**usual | more)


async def test_fifty_cycles_are_kept_and_when_an_older_number_was_given_is_known_to_the_hour() -> None:
    book = CycleBook(tables=MemoryTables(Store()), clock=HandClock())
    for at in range(400):
        await book.note(cycle(at))
    cycles = await book.read()

    assert [each.epoch for each in cycles.recent] == list(range(400, 400 - KEPT, -1))
    assert cycles.raised_at("0000000399.00000003.000") == START + timedelta(minutes=398)
    assert cycles.raised_at("0000000100.00000001.002") == START + timedelta(minutes=60)
    assert cycles.raised_at("0000000000.00000001.000") is None
    assert cycles.raised_at("nonsense") is None
    assert len(cycles.marks) <= 8


async def test_months_of_cycles_fit_the_row() -> None:
    book = CycleBook(tables=MemoryTables(Store()), clock=HandClock())
    for at in range(0, 100 * 1440, 180):
        await book.note(cycle(at, raised={f"application-{each}": 10_000 for each in range(40)}, error="x" * 900))

    cycles = await book.read()

    assert len(cycles.recent) == KEPT
    assert len(cycles.marks) <= 48 + 61
    assert len(cycles.recent[0].error) == 300


async def test_a_row_that_another_version_wrote_is_nothing_noted_and_is_written_over() -> None:
    tables = MemoryTables(Store())
    book = CycleBook(tables=tables, clock=HandClock())
    await book.note(cycle(1))
    stored = tables.store.partitions["checkpoint", "directory"]
    stored["cycles"] = ({"state": '{"last": {"new": 1}}'}, stored["cycles"][1])

    unread = await book.read()
    await book.note(cycle(2))

    assert (unread.last, unread.recent) == (None, ())
    assert (await book.read()).recent == (cycle(2),)
    assert Cycles().raised_at("0000000001.00000001.000") is None
