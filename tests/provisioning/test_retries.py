"""Another try, because a person asked for it: what waits in escrow, and what a bug poisoned."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shared.provisioning.accounts import AccountState, ResourceKind
from shared.provisioning.attempt import OwnCode
from shared.storage.queues import Message
from tests.provisioning.pulls import APP, assign, calm, held_titles, people, pulling
from tests.world import World


@pytest.fixture
async def world(azurite: str, name_prefix: str) -> AsyncIterator[World]:
    """Three people, each of whom a stranger's account keeps out."""
    async with pulling(azurite, name_prefix, users=8) as opened:
        for user_id in people(opened, 3):
            opened.tenant.set_manager(user_id, None)  # who gets an account wakes who refers to it
            name = opened.tenant.user(user_id)["userPrincipalName"]
            opened.vendors[APP].seed([{"userName": name, "externalId": f"somebody else {user_id}"}])
            assign(opened, user_id)
        await calm(opened)
        yield opened


def mend(world: World) -> None:
    """The strangers' accounts are removed at the vendor."""
    vendor = world.vendors[APP]
    vendor.reset()


async def states_of(world: World) -> list[AccountState]:
    return [(await world.account(APP, user_id)).state for user_id in people(world, 3)]


async def retry(world: World, user_id: str) -> bool:
    application = world.services.applications[APP]
    return await world.services.retries.retry_account(application, ResourceKind.USER, user_id)


async def test_one_account_is_tried_at_once_and_the_others_wait(world: World) -> None:
    one = people(world, 3)[0]
    assert await states_of(world) == [AccountState.ESCROWED] * 3
    mend(world)

    assert await retry(world, one)
    await world.deliver()

    assert await states_of(world) == [AccountState.IN_SYNC, AccountState.ESCROWED, AccountState.ESCROWED]
    assert not await retry(world, one)


async def test_all_are_tried_again_as_the_queue_has_room(world: World) -> None:
    mend(world)
    application = world.services.applications[APP]

    assert await world.services.retries.retry_all(application, code="NoSuchCode") == 0
    assert await world.services.retries.retry_all(application, code=OwnCode.FOREIGN_ACCOUNT) == 3
    assert world.queues.waiting == []
    await world.services.housekeeper.keep_house()
    await world.deliver()

    assert await states_of(world) == [AccountState.IN_SYNC] * 3
    assert await world.services.retries.retry_all(application) == 0


async def test_a_retry_that_fails_begins_the_ladder_anew(world: World) -> None:
    one = people(world, 3)[0]
    for _ in range(3):
        world.clock.advance(25 * 3600)
        await world.services.housekeeper.keep_house()
        await world.deliver()
    before = await world.account(APP, one)

    await retry(world, one)
    await world.deliver()

    after = await world.account(APP, one)
    assert before.attempts > 1
    assert (after.attempts, after.state) == (1, AccountState.ESCROWED)


async def test_a_retry_twice_in_a_row_does_the_work_once(world: World) -> None:
    one = people(world, 3)[0]
    mend(world)

    answers = [await retry(world, one), await retry(world, one)]
    await world.deliver()

    assert answers == [True, False]
    assert [entry.method for entry in world.vendors[APP].journal].count("POST") == 1


async def test_a_poisoned_account_says_which_exception_and_where_and_can_be_replayed(
    azurite: str, name_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with pulling(azurite, name_prefix, users=4) as world:
        user_id = people(world, 1)[0]
        assign(world, user_id)
        await calm(world)
        world.tenant.update(user_id, jobTitle="Astronaut")
        await world.sync()
        message = Message(app=APP, kind="user", id=user_id)
        with monkeypatch.context() as broken:
            broken.setattr(world.services.reconciler, "decider", None)
            with pytest.raises(AttributeError):
                await world.services.reconciler.provision(message, first=False)
        world.queues.waiting.clear()
        await world.services.poison.record(message.encode())
        poisoned = await world.account(APP, user_id)

        await retry(world, user_id)
        await world.deliver()
        replayed = await world.account(APP, user_id)

        assert (poisoned.state, poisoned.error_code) == (AccountState.ESCROWED, OwnCode.POISONED)
        assert "AttributeError at reconcile.py:" in poisoned.error
        assert (replayed.state, replayed.error, replayed.crash) == (AccountState.IN_SYNC, "", "")
        assert held_titles(world) == ["Astronaut"]


async def test_what_the_guard_holds_is_not_retried(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, users=6) as world:
        for user_id in people(world, 3):
            assign(world, user_id)
        await calm(world)
        object.__setattr__(world.services.applications[APP].deletion_guard, "max_count", 1)
        for user_id in people(world, 3):
            world.tenant.disable(user_id)
        await calm(world)

        assert not await retry(world, people(world, 3)[0])
        assert await world.services.retries.retry_all(world.services.applications[APP]) == 0
