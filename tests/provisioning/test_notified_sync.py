"""When somebody rings, a run begins after it; many rings are few runs; somebody else's run is followed by one more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from types import SimpleNamespace

import pytest

from shared.provisioning.notified_sync import Heeded
from shared.provisioning.subscription_keeping import SubscriptionKeeper
from shared.storage.change_message import DirectoryChanged
from shared.storage.durable_writes import DurableWrite, Moment
from shared.storage.queues import MessageRefused
from shared.storage.tables import StorageUnavailable
from tests.provisioning.pulls import Killed, assign, expected, kill_at, people, pulling
from tests.world import START, World

RING = DirectoryChanged(received_at=START, sync=True)


@pytest.fixture
async def world(azurite: str, name_prefix: str) -> AsyncIterator[World]:
    async with pulling(azurite, name_prefix) as world:
        await world.sync()
        yield world


def runs(world: World) -> int:
    """Answers with how many runs began to read the users' changes."""
    return sum(each.path == "users/delta" and each.link != "next" for each in world.graph.requests)


async def heed_all(world: World, *messages: DirectoryChanged) -> list[Heeded]:
    """Heeds messages that were fetched together."""
    return list(await asyncio.gather(*(world.services.notified_sync.heed(each) for each in messages)))


async def drain(world: World) -> list[Heeded]:
    """Moves the clock to every message that was put back, until none is left."""
    heeded = []
    while world.queues.changes:
        due, message = world.queues.changes.pop(0)
        world.clock.advance(max(0.0, due - world.clock.elapsed))
        heeded.append(await world.services.notified_sync.heed(message))
    return heeded


async def test_a_ring_reads_what_changed(world: World):
    assign(world, people(world, 1)[0])

    heeded = await heed_all(world, RING)
    await world.deliver()

    assert heeded == [Heeded.RUN]
    assert world.active("acme") == expected(world)


async def test_a_ring_waits_neither_for_figures_nor_for_receivers(world: World):
    one, other = people(world, 2)
    telling, told = asyncio.Event(), asyncio.Event()

    async def tell_slowly() -> None:
        if telling.is_set():
            told.set()
        telling.set()
        await told.wait()

    world.services.directory_sync.notifier = SimpleNamespace(tell_news=tell_slowly)
    assign(world, one)
    first = asyncio.create_task(world.services.notified_sync.heed(RING))
    await telling.wait()
    assign(world, other)
    async with asyncio.timeout(30):
        second = await world.services.notified_sync.heed(RING)

    assert [await first, second] == [Heeded.RUN] * 2


async def test_a_hundred_rings_at_once_are_two_runs(world: World):
    before = runs(world)

    heeded = await heed_all(world, *[RING] * 100)

    assert runs(world) - before == 2
    assert sorted(heeded) == [Heeded.JOINED] * 98 + [Heeded.RUN] * 2


async def test_a_ring_that_comes_while_a_run_reads_is_followed_by_one_more(world: World):
    joiner, other = people(world, 2)
    assign(world, joiner)
    read = world.services.graph.read
    rung = []

    async def read_and_ring(url: str):
        page = await read(url)
        if not rung:
            # The page was read: what changes from here on is for another run.
            assign(world, other)
            rung.append(asyncio.create_task(world.services.notified_sync.heed(RING)))
            await asyncio.sleep(0)
        return page

    world.services.graph.read = read_and_ring
    await heed_all(world, RING)
    await rung[0]
    await world.deliver()

    assert expected(world) == world.active("acme")
    assert len(expected(world)) == 2


async def test_runs_for_rings_are_a_second_apart(world: World):
    before, began = runs(world), world.clock.elapsed

    for _ in range(5):
        await heed_all(world, RING)

    assert runs(world) - before == 5
    assert world.clock.elapsed - began >= 4


async def test_a_ring_while_somebody_else_reads_is_put_back_and_read_later(world: World):
    assign(world, people(world, 1)[0])
    world.restart(kill_at(DurableWrite.RAISE))
    with suppress(Killed):
        await world.sync()
    world.restart()
    before = runs(world)

    first = await heed_all(world, *[RING] * 20)
    later = await drain(world)
    await world.deliver()

    assert first.count(Heeded.PUT_BACK) == 1
    assert set(first) == {Heeded.PUT_BACK, Heeded.JOINED}
    assert later[-1] is Heeded.RUN
    assert runs(world) - before == 1
    assert world.active("acme") == expected(world)


@pytest.mark.parametrize("moment", Moment)
async def test_a_process_that_dies_while_it_puts_a_ring_back_loses_nothing(world: World, moment: Moment):
    assign(world, people(world, 1)[0])
    world.restart(kill_at(DurableWrite.RAISE))
    with suppress(Killed):
        await world.sync()
    world.restart(kill_at(DurableWrite.SYNC_AGAIN, moment))
    with suppress(Killed):
        await world.services.notified_sync.heed(RING)
    world.restart()

    # The platform shows the message again, because nobody said that it was worked on.
    await heed_all(world, RING)
    heeded = await drain(world)
    await world.deliver()

    assert heeded[-1] in (Heeded.RUN, Heeded.JOINED)
    assert Heeded.RUN in heeded
    assert world.active("acme") == expected(world)


async def test_who_reads_for_ever_ends_a_ring_after_eight_more_tries(world: World):
    world.services.puller.takeover_slack = world.services.puller.takeover_slack * 1000
    assign(world, people(world, 1)[0])
    world.services.tables._observer = kill_at(DurableWrite.RAISE)
    with suppress(Killed):
        await world.sync()

    first = await heed_all(world, RING)
    later = await drain(world)

    assert [*first, *later] == [Heeded.PUT_BACK] * 8 + [Heeded.GIVEN_UP]


async def test_a_ring_whose_run_fails_is_not_lost_and_the_next_one_is_heeded(world: World):
    assign(world, people(world, 1)[0])
    read = world.services.checkpoints.read

    async def unavailable():
        world.services.puller.checkpoints.read = read
        raise StorageUnavailable("as told")

    world.services.puller.checkpoints.read = unavailable
    with pytest.raises(StorageUnavailable):
        await world.services.notified_sync.heed(RING)
    again = await heed_all(world, RING)
    await world.deliver()

    assert again == [Heeded.RUN]
    assert world.active("acme") == expected(world)


async def test_a_ring_that_is_cancelled_while_it_waits_leaves_nobody_joined_to_it(world: World):
    sync = world.services.notified_sync
    await sync._turn.acquire()
    waiting = asyncio.create_task(sync.heed(RING))
    await asyncio.sleep(0)
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting
    sync._turn.release()

    assert await heed_all(world, RING) == [Heeded.RUN]


async def test_a_message_about_subscriptions_only_reads_nothing(world: World):
    before = world.graph.requests.total

    heeded = await heed_all(world, DirectoryChanged(received_at=START, sync=False, subscriptions=True))

    assert heeded == [Heeded.NOTHING]
    assert world.graph.requests.total == before


@pytest.mark.parametrize("sync", [False, True])
async def test_what_is_said_of_subscriptions_comes_again_until_it_is_saved(world: World, sync: bool):
    said = DirectoryChanged(received_at=START, sync=sync, subscriptions=True)
    saved = iter([False, False, True])

    async def keep(_keeper: SubscriptionKeeper, *, urgent: bool) -> bool:
        return not urgent or next(saved)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(SubscriptionKeeper, "keep", keep)
        before = runs(world)
        first = await heed_all(world, said)
        later = await drain(world)

    assert first == [Heeded.RUN if sync else Heeded.PUT_BACK]
    assert later == [Heeded.PUT_BACK, Heeded.NOTHING]
    assert runs(world) - before == int(sync)
    assert next(saved, None) is None


def test_a_message_comes_back_as_it_was_sent():
    message = DirectoryChanged(received_at=START, sync=True, subscriptions=True, attempt=3, trace="00-a-b-01")

    assert DirectoryChanged.decode(message.encode()) == message


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{", id="no JSON"),
        pytest.param("[" * 100_000, id="deep"),
        pytest.param("[]", id="a list"),
        pytest.param('{"v": 2}', id="another version"),
        pytest.param('{"v": 1}', id="without an instant"),
        pytest.param('{"v": 1, "received_at": "noon"}', id="an instant nobody can read"),
    ],
)
def test_a_message_that_is_none_is_refused(text: str):
    with pytest.raises(MessageRefused):
        DirectoryChanged.decode(text)
