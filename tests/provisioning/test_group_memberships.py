"""Groups: what they confer, whatever the order in which Graph tells about them."""

import pytest

from shared.directory.mirror import members_partition
from shared.storage.durable_writes import DurableWrite, Moment
from tests.provisioning.pulls import (
    APP,
    CONFIRM_S,
    assign,
    calm,
    expected,
    kill_at,
    killed_tick,
    names_of,
    people,
    principal_of,
    pulling,
    tick,
    unassign,
)
from tests.world import World


def team_of(world: World, count: int = 3, *, name: str = "Team", unified: bool = False) -> str:
    return world.tenant.create_group(name, unified=unified, members=people(world, count))


async def test_members_of_a_newly_assigned_group_get_accounts_and_newcomers_and_leavers_follow(
    azurite: str, name_prefix: str
) -> None:
    async with pulling(azurite, name_prefix) as world:
        team = team_of(world, 3)
        await tick(world)
        nobody = world.active(APP)
        assign(world, team)
        await tick(world)
        at_first = world.active(APP)
        joiner, leaver = people(world, 1, 3)[0], people(world, 1)[0]
        world.tenant.add_member(team, joiner)
        world.tenant.remove_member(team, leaver)
        await tick(world)

        assert nobody == set()
        assert at_first == names_of(world, *people(world, 3))
        assert world.active(APP) == expected(world) == names_of(world, *people(world, 3, 1))


async def test_nested_groups_devices_and_applications_never_count(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix) as world:
        inner = team_of(world, 2, name="Inner")
        outer = world.tenant.create_group(
            "Outer", members=[inner, *list(world.tenant.devices)[:1], *people(world, 1, 5)]
        )
        assign(world, outer)
        await tick(world)
        world.tenant.add_member(inner, people(world, 1, 6)[0])
        world.tenant.add_member(outer, team_of(world, 4, name="More"))
        await calm(world)

        assert world.active(APP) == expected(world) == names_of(world, *people(world, 1, 5))


async def test_a_deleted_group_takes_access_from_its_members_at_once(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix) as world:
        team, crew = team_of(world, 3), team_of(world, 1, name="Crew")
        assign(world, team)
        assign(world, crew)
        await tick(world)
        world.graph.faults.add("assignment_lag", path="servicePrincipals/*/appRoleAssignedTo", times=2)
        world.tenant.delete_group(team)
        await tick(world)

        assert world.active(APP) == expected(world) == names_of(world, *people(world, 1))
        await calm(world)
        assert world.active(APP) == expected(world)


async def test_a_restored_group_confers_again_without_a_change_of_its_assignment(
    azurite: str, name_prefix: str
) -> None:
    async with pulling(azurite, name_prefix) as world:
        team = team_of(world, 3, unified=True)
        assign(world, team)
        await tick(world)
        restored = dict(world.tenant.groups[team]), dict(world.tenant.members[team])
        world.tenant.delete_group(team)
        await tick(world)
        without = world.active(APP)
        world.tenant.deleted_groups.pop(team)
        world.tenant.groups[team], world.tenant.members[team] = restored
        world.tenant.update_group(team, description="back")
        world.tenant.update_group(team, displayName="Team again")
        await tick(world, times=2)

        assert without == set()
        assert world.active(APP) == names_of(world, *people(world, 3))


async def test_a_group_taken_off_the_application_takes_access_after_the_second_look(
    azurite: str, name_prefix: str
) -> None:
    async with pulling(azurite, name_prefix) as world:
        team = team_of(world, 3)
        assign(world, team)
        assign(world, people(world, 1)[0])
        await tick(world)
        unassign(world, team)
        await tick(world)
        after_one_look = world.active(APP)
        world.clock.advance(CONFIRM_S)
        await tick(world)

        assert after_one_look == names_of(world, *people(world, 3))
        assert world.active(APP) == expected(world) == names_of(world, *people(world, 1))


async def test_a_group_of_two_applications_counts_for_each_by_itself(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, apps=(APP, "other")) as world:
        team = team_of(world, 2)
        other = principal_of(world, "other")
        assign(world, team)
        world.tenant.assign(other, team, world.tenant.role_id_of(other, "User"))
        await tick(world)
        unassign(world, team)
        await calm(world)

        assert world.active(APP) == set()
        assert world.active("other") == names_of(world, *people(world, 2))


@pytest.mark.parametrize("seed", range(3))
async def test_contradictory_slices_on_different_pages_are_settled_by_reading_the_group(
    azurite: str, name_prefix: str, seed: int
) -> None:
    async with pulling(azurite, name_prefix, page_size=1) as world:
        team = team_of(world, 3)
        assign(world, team)
        await tick(world)
        world.graph.faults.dice.seed(seed)
        world.graph.faults.add("conflicting_membership", path="groups/delta", link="delta")
        world.tenant.add_member(team, people(world, 1, 4)[0])
        world.tenant.remove_member(team, people(world, 1)[0])
        await tick(world)

        assert world.active(APP) == expected(world) == names_of(world, *people(world, 2, 1), *people(world, 1, 4))


async def test_a_reread_of_a_membership_that_died_before_its_raise_is_done_again(
    azurite: str, name_prefix: str
) -> None:
    async with pulling(azurite, name_prefix) as world:
        team = team_of(world, 3)
        assign(world, team)
        await tick(world)
        world.graph.faults.add("conflicting_membership", path="groups/delta", link="delta", times=2)
        world.tenant.remove_member(team, people(world, 1)[0])
        await killed_tick(world, kill_at(DurableWrite.RAISE, Moment.BEFORE))
        await tick(world)

        assert world.active(APP) == expected(world) == names_of(world, *people(world, 2, 1))


async def test_members_are_seeded_by_the_next_run_when_graph_throttles_in_the_middle(
    azurite: str, name_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.directory.graph.MEMBERS_AT_ONCE", 100)
    async with pulling(azurite, name_prefix, users=150) as world:
        team = world.tenant.create_group("Big", members=people(world, 120))
        await tick(world)
        world.tenant.update(people(world, 1, 5)[0], jobTitle="Changed in the same round")
        assign(world, team)
        world.graph.faults.add("throttle", path="groups/*/members", link="next", retry_after="10")
        throttled = await world.sync()
        world.clock.advance(11)
        await tick(world, times=2)
        await world.settle()

        assert throttled.outcome == "throttled"
        assert world.active(APP) == expected(world) == names_of(world, *people(world, 120))


@pytest.mark.parametrize("fault", ["forbidden", "server_error", "truncate", "not_found"])
async def test_a_membership_that_cannot_be_read_is_read_later_and_stops_no_other_application(
    azurite: str, name_prefix: str, fault: str
) -> None:
    async with pulling(azurite, name_prefix, apps=(APP, "other")) as world:
        team = team_of(world, 3)
        await tick(world)
        assign(world, team)
        other = principal_of(world, "other")
        world.tenant.assign(other, people(world, 1)[0], world.tenant.role_id_of(other, "User"))
        world.graph.faults.add(fault, path=f"groups/{team}/members")
        await tick(world)
        other_app = world.active("other")
        await tick(world, times=2)

        assert other_app == names_of(world, *people(world, 1))
        assert world.active(APP) == expected(world) == names_of(world, *people(world, 3))


async def test_a_group_whose_assignment_is_seen_before_the_group_itself_is_seeded_when_it_comes(
    azurite: str, name_prefix: str
) -> None:
    async with pulling(azurite, name_prefix) as world:
        await tick(world)
        world.graph.faults.add("lag", path="groups/delta", link="delta", polls=2)
        team = team_of(world, 3)
        world.graph.faults.add("not_found", path=f"groups/{team}/members")
        assign(world, team)
        await tick(world, times=4)

        assert world.active(APP) == expected(world) == names_of(world, *people(world, 3))


async def test_memberships_of_people_nobody_knows_harm_nobody(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix) as world:
        team = team_of(world, 2)
        assign(world, team)
        await tick(world)
        world.graph.faults.add("unknown_member", path="groups/delta", link="delta", count=40)
        world.tenant.add_member(team, people(world, 1, 2)[0])
        await calm(world)

        assert world.active(APP) == expected(world) == names_of(world, *people(world, 3))


async def test_a_member_that_joins_before_the_user_is_known_gets_the_account_when_the_user_comes(
    azurite: str, name_prefix: str
) -> None:
    async with pulling(azurite, name_prefix) as world:
        team = team_of(world, 2)
        assign(world, team)
        await tick(world)
        world.graph.faults.add("lag", path="users/delta", link="delta", polls=3)
        newcomer = world.tenant.hire(accountEnabled=True, userType="Member", department=None)
        world.tenant.add_member(team, newcomer)
        await tick(world)
        early = world.active(APP)
        await tick(world, times=4)

        assert early == names_of(world, *people(world, 2))
        assert world.active(APP) == expected(world) == names_of(world, newcomer, *people(world, 2))


async def test_pages_in_any_order_with_duplicates_and_empty_pages_end_the_same(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, page_size=3, users=20) as world:
        team = team_of(world, 6)
        assign(world, team)
        for path in ("users/delta", "groups/delta"):
            for fault in ("reorder", "duplicate", "empty_page", "variable_pages"):
                world.graph.faults.add(fault, path=path, times=2, fraction=0.5)
        await tick(world)
        at_first = world.active(APP) == expected(world)
        for path in ("users/delta", "groups/delta"):
            for fault in ("reorder", "duplicate", "empty_page", "replay"):
                world.graph.faults.add(fault, path=path, link="delta", count=8)
        for user_id in people(world, 4, 1):
            world.tenant.update(user_id, jobTitle="Mover")
        world.tenant.remove_member(team, people(world, 1)[0])
        world.tenant.add_member(team, people(world, 1, 8)[0])
        await tick(world)

        assert at_first
        assert world.active(APP) == expected(world)


async def test_a_large_group_is_mirrored_in_full(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, users=260) as world:
        team = world.tenant.create_group("Large", members=world.tenant.user_ids())
        assign(world, team)
        await world.sync()

        members = [entry async for page in world.services.mirror.list_members(team) for entry in page]

    assert {user_id for user_id, _ in members} == set(world.tenant.user_ids())
    assert members_partition(team) == f"members-{team}"


async def test_a_restore_that_died_before_its_checkpoint_is_done_again(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix) as world:
        team = team_of(world, 3, unified=True)
        assign(world, team)
        await tick(world)
        restored = dict(world.tenant.groups[team]), dict(world.tenant.members[team])
        world.tenant.delete_group(team)
        await tick(world)
        world.tenant.deleted_groups.pop(team)
        world.tenant.groups[team], world.tenant.members[team] = restored
        world.tenant.update_group(team, displayName="Team again")
        await killed_tick(world, kill_at(DurableWrite.WATERMARK, Moment.BEFORE))
        await tick(world, times=3)

        assert world.active(APP) == names_of(world, *people(world, 3))
