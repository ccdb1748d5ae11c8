"""Who loses access overtakes a backlog, also after the application was stopped and messages were ended (T20)."""

from __future__ import annotations

from shared.storage.durable_writes import DurableWrite
from shared.storage.queues import Message
from tests.provisioning.pulls import APP, calm, name_of, people, pulling
from tests.world import World


def ended(world: World) -> None:
    """What a stopped application does with its messages."""
    world.queues.waiting.clear()


async def test_after_a_pause_a_leaver_is_first_however_many_wait(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, users=40, more="scope: all") as world:
        await calm(world)
        # Two minutes of this are six messages.
        object.__setattr__(world.services.applications[APP].rate_limit, "requests_per_second", 0.05)
        leaver = people(world, 30)[-1]
        before = world.active(APP)
        await world.services.states.pause(APP, "maintenance")
        for user_id in people(world, 29):
            world.tenant.update(user_id, jobTitle="Astronaut")
        world.tenant.disable(leaver)
        await world.sync()
        await world.services.housekeeper.keep_house()
        ended(world)
        world.clock.advance(60)
        # The ordinary queue is full, as it is while a backlog is worked off.
        full = [Message(app=APP, kind="user", id=user_id) for user_id in people(world, 6)]

        await world.services.states.resume(APP)
        for message in full:
            await world.queues.send(DurableWrite.SWEEP_ENQUEUE, message)
        await world.services.housekeeper.keep_house()

        waiting = [(queued.first, queued.message.id) for queued in world.queues.waiting]
        assert name_of(world, leaver) in before
        assert (True, leaver) in waiting
        assert [user_id for first, user_id in waiting if not first] == people(world, 6)
