"""Groups at a vendor where only people make them: waited for, found, filled."""

from __future__ import annotations

from shared.provisioning.accounts import AccountState
from shared.provisioning.attempt import OwnCode
from tests.provisioning.group_worlds import expected_groups, group_row, groups_of, requests_about_groups, rows_of
from tests.provisioning.pulls import APP, assign, calm, people, pulling

ONLY_FILLED = "groups: {enabled: true}\nactions: {groups: {create: false, delete: false}}\n"


async def test_a_group_that_nobody_made_waits_and_is_filled_once_it_is_there(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more=ONLY_FILLED) as world:
        team = world.tenant.create_group("Team", members=people(world, 3))
        assign(world, team)
        await calm(world)
        waiting = await group_row(world, team)
        world.vendors[APP].seed([{"displayName": "Team"}], resource_type="Group")

        world.clock.advance(7 * 3600)
        await world.settle()

        assert (waiting.state, waiting.error_code) == (AccountState.SKIPPED, OwnCode.GROUP_MISSING)
        assert groups_of(world) == expected_groups(world)
        assert len(groups_of(world)["Team"]) == 3
        assert set(requests_about_groups(world)) <= {"GET", "PATCH"}


async def test_changes_of_a_group_that_nobody_made_do_not_pile_up(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, users=20, more=ONLY_FILLED) as world:
        team = world.tenant.create_group("Team", members=people(world, 3))
        assign(world, team)
        await calm(world)

        for user_id in people(world, 3):
            world.tenant.remove_member(team, user_id)
        await calm(world)
        left = await rows_of(world, "change")
        world.tenant.add_member(team, people(world, 1)[0])
        world.vendors[APP].seed([{"displayName": "Team"}], resource_type="Group")
        await calm(world)

        assert left == {}
        assert groups_of(world) == expected_groups(world)
        assert await rows_of(world, "change") == {}


async def test_a_group_that_is_made_after_months_is_still_found(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more=ONLY_FILLED) as world:
        team = world.tenant.create_group("Team", members=people(world, 3))
        assign(world, team)
        await calm(world)
        for _ in range(40):
            world.clock.advance(24 * 3600)
            await world.services.housekeeper.keep_house()
            await world.deliver()
        looked = requests_about_groups(world)["GET"]
        world.vendors[APP].seed([{"displayName": "Team"}], resource_type="Group")

        world.clock.advance(24 * 3600)
        await world.settle()

        assert looked <= 45
        assert len(groups_of(world)["Team"]) == 3
