"""An application that changes its scope, or comes back: nobody loses access for it, and nothing is missed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.provisioning.group_worlds import expected_groups, groups_of
from tests.provisioning.pulls import APP, assign, calm, everybody, expected, names_of, people, pulling, tick
from tests.simulation.tenant import Tenant
from tests.world import World, minimal_configuration


def configure(world: World, text: str, *, was: str) -> None:
    path = world.services.settings.provisioning_config
    written = path.read_text("utf-8")
    assert was in written
    path.write_text(written.replace(was, text), "utf-8")
    world.restart()


async def test_from_everybody_to_the_assigned_nobody_loses_access_before_the_assignments_were_read(
    azurite: str, name_prefix: str
) -> None:
    async with pulling(azurite, name_prefix, more="scope: all", page_size=4) as world:
        for user_id in world.tenant.user_ids():
            assign(world, user_id)
        await tick(world)
        await world.settle()
        before = world.active(APP)
        more = "scope: assigned\n    mappings: {users: [{target: userType, source: employeeType}]}"
        configure(world, more, was="scope: all")
        world.graph.faults.add("throttle", path="users/delta", link="next", retry_after="600")

        await world.sync()
        await world.deliver()
        await world.services.housekeeper.keep_house()
        await world.deliver()

        assert world.active(APP) == before


@pytest.mark.parametrize("scope", ["all", "assigned"])
async def test_an_application_that_was_switched_off_catches_up_with_what_it_missed(
    azurite: str, name_prefix: str, scope: str
) -> None:
    def written(vendors: Mapping[str, Any], tenant: Tenant) -> str:
        more = {APP: f"enabled: true\nscope: {scope}", "other": "scope: all"}
        return "".join(
            minimal_configuration(app, vendors[app], tenant.service_principal_id_of(f"{app} under test"), more[app])
            for app in (APP, "other")
        )

    async with pulling(azurite, name_prefix, apps=(APP, "other"), configure=written) as world:
        team = world.tenant.create_group("Team", members=people(world, 4))
        assign(world, team)
        assign(world, people(world, 1, 4)[0])
        await tick(world)
        configure(world, "enabled: false", was="enabled: true")
        world.tenant.disable(people(world, 1)[0])
        world.tenant.disable(people(world, 1, 3)[0])
        world.tenant.remove_member(team, people(world, 1)[0])
        world.tenant.add_member(team, people(world, 1, 5)[0])
        await tick(world, times=3)
        configure(world, "enabled: true", was="enabled: false")

        await tick(world)
        await world.settle()

        assert world.active(APP) == (everybody(world) if scope == "all" else expected(world))


async def test_groups_that_are_switched_on_off_and_on_again_end_as_the_directory_says(
    azurite: str, name_prefix: str
) -> None:
    off, on = "groups: {enabled: false}", "groups: {enabled: true}"
    async with pulling(azurite, name_prefix, more=off) as world:
        team = world.tenant.create_group("Team", members=people(world, 3))
        assign(world, team)
        await calm(world)
        without = groups_of(world)

        configure(world, on, was=off)
        await calm(world)
        filled = groups_of(world)
        configure(world, off, was=on)
        await calm(world)
        world.tenant.remove_member(team, people(world, 1)[0])
        world.tenant.add_member(team, people(world, 1, 3)[0])
        await calm(world)
        left_alone = groups_of(world)
        configure(world, on, was=off)
        await calm(world)

        assert without == {}
        assert filled == left_alone == {"Team": names_of(world, *people(world, 3))}
        assert groups_of(world) == expected_groups(world)
        assert names_of(world, *people(world, 3, 1)) == groups_of(world)["Team"]
