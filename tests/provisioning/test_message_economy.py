"""Messages are transport and nothing else: copies do not multiply, long waits keep none, old ones undo nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shared.provisioning.accounts import AccountState
from shared.storage.durable_writes import DurableWrite
from shared.storage.queues import Message
from tests.provisioning.pulls import APP, assign, calm, held_titles, people, pulling
from tests.world import World


@pytest.fixture
async def world(azurite: str, name_prefix: str) -> AsyncIterator[World]:
    """One person with an account, whose title has just changed; nothing is queued."""
    async with pulling(azurite, name_prefix, users=4) as opened:
        user_id = people(opened, 1)[0]
        assign(opened, user_id)
        await calm(opened)
        opened.tenant.update(user_id, jobTitle="Astronaut")
        await opened.sync()
        opened.queues.waiting.clear()
        yield opened


def message(world: World) -> Message:
    return Message(app=APP, kind="user", id=people(world, 1)[0])


async def test_copies_of_a_message_that_is_refused_for_load_do_not_multiply(world: World) -> None:
    """Protocol T15: the winner of the conditional write sends one hidden message; the copies find nothing due."""
    vendor = world.vendors[APP]
    vendor.faults.add("throttle", method="PATCH", times=4, retry_after=30)
    before = len(vendor.journal)
    for _ in range(5):
        await world.queues.send(DurableWrite.ENQUEUE, message(world))
    most = 0
    for _ in range(60):
        await world.deliver()
        most = max(most, len(world.queues.waiting))
        world.clock.advance(15)
    await world.settle()

    patches = [entry for entry in vendor.journal[before:] if entry.method == "PATCH"]
    assert most <= 5
    assert held_titles(world) == ["Astronaut"]
    assert len(patches) == 5  # four refusals and the one that was taken


async def test_a_wait_of_hours_keeps_no_message_and_the_sweep_brings_it_back(world: World) -> None:
    """Protocol T17: a message lives for days at most, a row as long as it takes."""
    vendor = world.vendors[APP]
    vendor.faults.add("throttle", method="PATCH", times=1, retry_after=3 * 3600)

    await world.services.reconciler.provision(message(world), first=False)
    waiting = list(world.queues.waiting)
    for _ in range(4):
        world.clock.advance(3600)
        await world.services.housekeeper.keep_house()
        await world.deliver()

    assert waiting == []
    assert held_titles(world) == ["Astronaut"]


async def test_a_poison_message_older_than_the_rows_success_changes_nothing(world: World) -> None:
    """Protocol T19."""
    await world.services.reconciler.provision(message(world), first=False)
    before = await world.account(APP, message(world).id)

    answer = await world.services.poison.record(message(world).encode())

    assert answer == "nothing pending"
    assert await world.account(APP, message(world).id) == before
    assert before.state is AccountState.IN_SYNC


async def test_a_poisoned_account_does_not_go_round_in_circles(world: World) -> None:
    """The sweep obeys the ladder: six hours pass before the platform may fail on it again."""
    await world.services.poison.record(message(world).encode())
    queued = 0
    for _ in range(10):
        world.clock.advance(1800)
        await world.services.housekeeper.keep_house()
        queued += len(world.queues.waiting)

    assert queued == 0
    assert (await world.account(APP, message(world).id)).state is AccountState.ESCROWED
