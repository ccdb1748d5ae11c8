"""Groups as groups: made, renamed, filled by differences, emptied or deleted; and references that heal themselves."""

from __future__ import annotations

import math

import pytest

from shared.provisioning.accounts import AccountState
from tests.provisioning import pulls
from tests.provisioning.group_worlds import (
    expected_groups,
    group_row,
    groups_of,
    requests_about_groups,
    rows_of,
)
from tests.provisioning.pulls import APP, assign, calm, name_of, names_of, people, tick, unassign
from tests.world import World

GROUPS = "groups: {enabled: true}\n"
CHUNKS_OF_TEN = "groups: {enabled: true, members_per_patch: 10}\n"


def pulling(azurite: str, prefix: str, *, more: str = GROUPS, users: int = 12):
    return pulls.pulling(azurite, prefix, more=more, users=users)


def team_of(world: World, count: int = 3, *, name: str = "Team") -> str:
    return world.tenant.create_group(name, members=people(world, count))


async def assigned_team(world: World, count: int = 3, *, name: str = "Team") -> str:
    team = team_of(world, count, name=name)
    assign(world, team)
    await calm(world)
    return team


async def test_an_assigned_group_is_made_and_filled(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix) as world:
        team = await assigned_team(world)

        assert groups_of(world) == expected_groups(world) == {"Team": names_of(world, *people(world, 3))}
        assert (await group_row(world, team)).state is AccountState.IN_SYNC
        assert await rows_of(world, "change") == {}
        assert len(await rows_of(world, "member")) == 3


async def test_a_rename_a_joiner_and_a_leaver_follow(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix) as world:
        team = await assigned_team(world)
        joiner, leaver = people(world, 1, 3)[0], people(world, 1)[0]
        assign(world, leaver)
        await calm(world)

        world.tenant.update_group(team, displayName="Crew")
        world.tenant.add_member(team, joiner)
        world.tenant.remove_member(team, leaver)
        await calm(world)

        assert groups_of(world) == expected_groups(world) == {"Crew": names_of(world, *people(world, 3, 1))}


async def test_a_group_that_did_not_change_costs_no_request(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix) as world:
        team = await assigned_team(world)
        before = len(world.vendors[APP].journal)

        world.tenant.update_group(team, description="Nobody maps this")
        world.tenant.update(people(world, 1)[0], city="Elsewhere")
        await calm(world)

        assert requests_about_groups(world, before) == {}


@pytest.mark.parametrize("count", [1, 7, 10, 25])
async def test_members_are_added_in_chunks_of_the_profiles_limit(count: int, azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, users=60, more=CHUNKS_OF_TEN) as world:
        team = await assigned_team(world, 0)
        newcomers = people(world, count)
        for user_id in newcomers:
            assign(world, user_id)
        await calm(world)
        before = len(world.vendors[APP].journal)

        for user_id in newcomers:
            world.tenant.add_member(team, user_id)
        await calm(world)

        assert groups_of(world) == expected_groups(world)
        assert requests_about_groups(world, before) == {"PATCH": math.ceil(count / 10)}


async def test_a_first_fill_takes_one_request_per_chunk_and_one_to_make_the_group(
    azurite: str, name_prefix: str
) -> None:
    async with pulling(azurite, name_prefix, users=40, more=CHUNKS_OF_TEN) as world:
        for user_id in people(world, 25):
            assign(world, user_id)
        await calm(world)
        team = team_of(world, 25)
        before = len(world.vendors[APP].journal)

        assign(world, team)
        await calm(world)

        assert groups_of(world) == expected_groups(world)
        assert requests_about_groups(world, before) == {"GET": 1, "POST": 1, "PATCH": 3}


async def test_a_member_who_gets_an_account_later_is_added_in_one_further_request(
    azurite: str, name_prefix: str
) -> None:
    async with pulling(azurite, name_prefix, more=GROUPS + ONLY_PILOTS) as world:
        late = people(world, 1)[0]
        team = await assigned_team(world)
        assert groups_of(world) == {"Team": set()}
        before = len(world.vendors[APP].journal)

        world.tenant.update(late, jobTitle="Pilot")
        await calm(world)

        assert groups_of(world) == {"Team": names_of(world, late)}
        assert requests_about_groups(world, before) == {"PATCH": 1}
        assert not (await group_row(world, team)).pending


ONLY_PILOTS = """
scoping_filters:
  - name: Pilots
    clauses: [{attribute: jobTitle, operator: EQUALS, value: Pilot}]
"""


async def test_who_is_disabled_stays_a_member_and_costs_nothing(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix) as world:
        away = people(world, 1)[0]
        await assigned_team(world)
        before = len(world.vendors[APP].journal)

        world.tenant.disable(away)
        await calm(world)
        world.tenant.enable(away)
        await calm(world)

        assert groups_of(world) == {"Team": names_of(world, *people(world, 3))}
        assert requests_about_groups(world, before) == {}


async def test_who_was_deleted_and_restored_is_a_member_again(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix) as world:
        await assigned_team(world)
        back = people(world, 1)[0]

        world.tenant.soft_delete(back)
        await calm(world)
        without = groups_of(world)
        world.tenant.restore(back)
        await calm(world)

        assert without == {"Team": names_of(world, *people(world, 2))}
        assert groups_of(world) == expected_groups(world)
        assert name_of(world, back) in groups_of(world)["Team"]


async def test_an_unassigned_group_is_emptied_and_left(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix) as world:
        team = await assigned_team(world)

        unassign(world, team)
        await calm(world)

        assert groups_of(world) == {"Team": set()}
        assert (await group_row(world, team)).state is AccountState.SKIPPED
        assert await rows_of(world, "member") == {}

        assign(world, team)
        await calm(world)
        assert groups_of(world) == expected_groups(world) == {"Team": names_of(world, *people(world, 3))}


async def test_a_deleted_group_is_deleted(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix) as world:
        team = await assigned_team(world)

        world.tenant.delete_group(team)
        await calm(world)

        assert groups_of(world) == {}
        assert (await group_row(world, team)).state is AccountState.DELETED


@pytest.mark.parametrize(
    ("policy", "left"),
    [("delete", {}), ("empty", {"Team": 0}), ("skip", {"Team": 3})],
)
async def test_what_becomes_of_an_unassigned_group_is_a_setting(
    policy: str, left: dict[str, int], azurite: str, name_prefix: str
) -> None:
    async with pulling(azurite, name_prefix, more=f"groups: {{enabled: true, out_of_scope: {policy}}}") as world:
        team = await assigned_team(world)

        unassign(world, team)
        await calm(world)

        assert {name: len(members) for name, members in groups_of(world).items()} == left


async def test_a_group_that_exists_at_the_vendor_is_adopted_and_its_own_members_stay(
    azurite: str, name_prefix: str
) -> None:
    async with pulling(azurite, name_prefix) as world:
        acme = world.vendors[APP]
        [stranger] = acme.seed([{"userName": "stranger@vendor.example", "active": True}])
        acme.seed([{"displayName": "Team", "members": [{"value": stranger}]}], resource_type="Group")

        await assigned_team(world)

        assert groups_of(world) == {"Team": {"stranger@vendor.example", *names_of(world, *people(world, 3))}}


async def test_two_groups_of_one_name_at_the_vendor_are_never_guessed(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix) as world:
        world.vendors[APP].seed([{"displayName": "Team"}, {"displayName": "Team"}], resource_type="Group")

        team = team_of(world)
        assign(world, team)
        await tick(world, times=2)

        row = await group_row(world, team)
        assert (row.state, row.target_id) == (AccountState.ESCROWED, "")
        assert all(not members for members in groups_of(world).values())


async def test_groups_can_be_matched_by_external_id(azurite: str, name_prefix: str) -> None:
    more = GROUPS + "matching:\n  groups:\n    - {target: externalId}\n"
    async with pulling(azurite, name_prefix, more=more) as world:
        team = team_of(world)
        world.vendors[APP].seed([{"displayName": "Another name", "externalId": team}], resource_type="Group")

        assign(world, team)
        await calm(world)

        assert groups_of(world) == {"Team": names_of(world, *people(world, 3))}


async def test_look_ups_of_groups_leave_the_members_out(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix) as world:
        await assigned_team(world)

        reads = [entry for entry in world.vendors[APP].journal if entry.method == "GET" and "/Groups" in entry.path]
        assert reads
        assert all(entry.query.get("excludedAttributes") == "members" for entry in reads)


async def test_scoping_filters_for_groups_decide(azurite: str, name_prefix: str) -> None:
    more = """
    groups:
      enabled: true
      scoping_filters:
        - name: Crews
          clauses: [{attribute: displayName, operator: REGEX MATCH, value: "^Crew"}]
    """
    async with pulling(azurite, name_prefix, more=more) as world:
        await assigned_team(world, name="Crew One")
        team = await assigned_team(world, name="Team")

        assert set(groups_of(world)) == {"Crew One"}
        assert (await group_row(world, team)).state is AccountState.SKIPPED


async def test_group_mapping_can_be_switched_off(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more="groups: {enabled: false}") as world:
        await assigned_team(world)

        assert groups_of(world) == {}
        assert world.active(APP) == names_of(world, *people(world, 3))


async def test_with_everybody_in_scope_all_groups_are(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more=GROUPS + "scope: all") as world:
        team_of(world, 2, name="Early")
        await calm(world)
        late = team_of(world, 3, name="Late")
        await calm(world)
        world.tenant.remove_member(late, people(world, 1)[0])
        await calm(world)

        groups = groups_of(world)
        assert groups["Early"] == names_of(world, *people(world, 2))
        assert groups["Late"] == names_of(world, *people(world, 2, 1))
