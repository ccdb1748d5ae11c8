"""The application got another service principal: whoever is unassigned by that waits for a person (protocol T28)."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.storage.durable_writes import DurableWrite, Moment
from tests.provisioning.pulls import APP, CONFIRM_S, Killed, assign, calm, kill_at, people, principal_of, pulling, tick
from tests.world import World

CONFIGURATION = "PROVISIONING_CONFIG"


def use_another_principal(world: World) -> str:
    """Somebody deletes the enterprise application and makes it again; the configuration follows."""
    fresh = world.tenant.create_service_principal(f"{APP} made again")
    path = Path(world.services.settings.environment[CONFIGURATION])
    path.write_text(path.read_text().replace(principal_of(world), fresh))
    world.clock.advance(60)
    world.restart()
    return fresh


async def unassigned_by_it(world: World) -> None:
    """Two complete lists say that nobody is assigned."""
    await tick(world, times=2)
    world.clock.advance(CONFIRM_S)
    await tick(world, times=3)
    await world.settle()


async def provisioned(world: World) -> None:
    for user_id in people(world, 2):
        assign(world, user_id)
    await calm(world)
    assert len(world.active(APP)) == 2


async def test_everybody_who_is_unassigned_by_it_is_held_however_few(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, users=6) as world:
        await provisioned(world)
        use_another_principal(world)

        await unassigned_by_it(world)
        held = await world.services.held_deletions.read(world.services.applications[APP])

        assert len(world.active(APP)) == 2
        assert {account.source_id for account in held.accounts} == set(people(world, 2))

        await world.services.held_deletions.approve(world.services.applications[APP], held.list_number)
        await world.settle()
        assert world.active(APP) == set()


async def test_who_is_assigned_again_is_released_by_itself(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, users=6) as world:
        await provisioned(world)
        fresh = use_another_principal(world)
        await unassigned_by_it(world)

        for user_id in people(world, 2):
            world.tenant.assign(fresh, user_id, world.tenant.role_id_of(fresh, "User"))
        await unassigned_by_it(world)

        assert len(world.active(APP)) == 2
        assert (await world.services.held_deletions.read(world.services.applications[APP])).accounts == ()


async def test_a_day_later_leavers_leave_as_before(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, users=6) as world:
        await provisioned(world)
        fresh = use_another_principal(world)
        for user_id in people(world, 2):
            world.tenant.assign(fresh, user_id, world.tenant.role_id_of(fresh, "User"))
        await unassigned_by_it(world)
        world.clock.advance(25 * 3600)

        world.tenant.disable(people(world, 1)[0])
        await calm(world)

        assert len(world.active(APP)) == 1


async def test_a_sync_that_dies_before_it_reads_the_new_assignments_distrusts_all_the_same(
    azurite: str, name_prefix: str
) -> None:
    async with pulling(azurite, name_prefix, users=6) as world:
        await provisioned(world)
        use_another_principal(world)
        world.restart(kill_at(DurableWrite.GUARD_HOLD, Moment.BEFORE))
        with pytest.raises(Killed):
            await tick(world)
        world.restart()
        world.clock.advance(400)

        await unassigned_by_it(world)

        assert len(world.active(APP)) == 2
