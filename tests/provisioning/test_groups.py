"""Groups as groups: made, renamed, filled by differences, emptied or deleted; and references that heal themselves."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from shared import config
from shared.provisioning.accounts import AccountState, ResourceKind
from shared.provisioning.attempt import OwnCode
from tests.provisioning import pulls
from tests.provisioning.group_worlds import (
    expected_groups,
    group_row,
    groups_of,
    requests_about_groups,
    rows_of,
)
from tests.provisioning.pulls import APP, assign, calm, name_of, names_of, people, tick, unassign
from tests.simulation.tenant import Tenant
from tests.world import World, minimal_configuration

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
        assert await rows_of(world, "member") == {}


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


async def test_a_disabled_member_can_be_taken_out_until_enabled_again(azurite: str, name_prefix: str) -> None:
    more = "groups: {enabled: true, disabled_members: remove}\n"
    async with pulling(azurite, name_prefix, more=more) as world:
        away, *others = people(world, 3)
        await assigned_team(world)

        world.tenant.disable(away)
        await calm(world)
        without = groups_of(world)
        world.tenant.enable(away)
        await calm(world)

        assert without == {"Team": names_of(world, *others)}
        assert groups_of(world) == {"Team": names_of(world, away, *others)}


async def test_where_disabling_drops_members_they_are_given_back(
    azurite: str, name_prefix: str, tmp_path: Path
) -> None:
    profile = tmp_path / "forgetful.yaml"
    shipped = Path(config.__file__).parent / "profiles" / "scim.yaml"
    text = shipped.read_text(encoding="utf-8").replace("\nusers:\n", "\nusers:\n  disable_drops_members: true\n", 1)
    profile.write_text(text.replace("name: scim", "name: forgetful", 1), encoding="utf-8")

    def configured(vendors, _tenant):
        written = minimal_configuration(APP, vendors[APP], principal, GROUPS)
        return written.replace("profile: scim", f"profile: {profile}")

    principal = Tenant(5, 12).create_service_principal(f"{APP} under test")
    async with pulls.pulling(azurite, name_prefix, configure=configured) as world:
        away = people(world, 1)[0]
        await assigned_team(world)
        world.tenant.disable(away)
        await calm(world)
        drop_member(world, away)

        world.tenant.enable(away)
        await calm(world)

        assert groups_of(world) == {"Team": names_of(world, *people(world, 3))}


def drop_member(world: World, user_id: str) -> None:
    """The vendor takes somebody out of all groups by itself."""
    acme = world.vendors[APP]
    target = next(
        each["id"] for each in acme.resources() if str(each["userName"]).casefold() == name_of(world, user_id)
    )
    for group in acme.resources("Group"):
        operation = {"op": "remove", "path": f'members[value eq "{target}"]'}
        body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation]}
        answer = acme.core.answer(
            "PATCH",
            f"/Groups/{group['id']}",
            base_url=acme.base_url,
            query={},
            headers=[("Content-Type", "application/scim+json")],
            body=json.dumps(body).encode(),
        )
        assert int(answer.status) in (200, 204)


async def test_a_refused_member_keeps_nobody_else_out(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more=GROUPS + ONLY_PILOTS) as world:
        ghost, late, *others = people(world, 5)
        for user_id in (ghost, *others):
            world.tenant.update(user_id, jobTitle="Pilot")
            assign(world, user_id)
        team = await assigned_team(world, 0)
        vanish(world, ghost)

        for user_id in (ghost, late, *others):
            world.tenant.add_member(team, user_id)
        await tick(world, times=3)
        row = await group_row(world, team)
        first = groups_of(world)
        assign(world, late)
        world.tenant.update(late, jobTitle="Pilot")
        await tick(world, times=3)

        assert first == {"Team": names_of(world, *others)}
        assert (row.state, row.error_code) == (AccountState.ESCROWED, OwnCode.MEMBERS_REFUSED)
        assert groups_of(world) == {"Team": names_of(world, late, *others)}


async def test_what_is_in_doubt_and_then_refused_is_asserted_in_smaller_requests(
    azurite: str, name_prefix: str
) -> None:
    async with pulling(azurite, name_prefix) as world:
        leaver, ghost, *others = people(world, 4)
        for user_id in (leaver, ghost, *others):
            assign(world, user_id)
        team = await assigned_team(world, 0)
        for user_id in (leaver, *others):
            world.tenant.add_member(team, user_id)
        await calm(world)
        world.vendors[APP].faults.add("reset", method="PATCH", applied=True)

        world.tenant.remove_member(team, leaver)
        world.tenant.add_member(team, ghost)
        await tick(world)
        vanish(world, ghost)
        world.clock.advance(400)
        await tick(world, times=4)
        await world.settle()

        row = await group_row(world, team)
        assert groups_of(world) == {"Team": names_of(world, *others)}
        assert (row.state, row.error_code) == (AccountState.ESCROWED, OwnCode.MEMBERS_REFUSED)
        assert [key.rpartition(":")[2] for key in await rows_of(world, "change")] == [ghost]
        # A strict server refuses to remove whom it does not find: whoever may be out already is put in first.
        target = (await world.account(APP, leaver)).target_id
        about = [str(entry.body) for entry in world.vendors[APP].journal if target in str(entry.body)]
        assert [body.count(target) for body in about if "PatchOp" in body][-2:] == [2, 2]


def vanish(world: World, user_id: str) -> None:
    """Somebody deletes an account at the vendor, which from now on checks the members of groups."""
    acme = world.vendors[APP]
    acme.options = replace(acme.options, check_members=True)
    target = next(
        each["id"] for each in acme.resources() if str(each["userName"]).casefold() == name_of(world, user_id)
    )
    answer = acme.core.answer("DELETE", f"/Users/{target}", base_url=acme.base_url, query={}, headers=[], body=b"")
    assert int(answer.status) == 204


async def test_a_group_emptied_by_mistake_is_held_alone(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more=GROUPS) as world:
        guard = world.services.applications[APP].deletion_guard
        object.__setattr__(guard, "max_count", 3)
        team = await assigned_team(world, 5)
        for user_id in people(world, 6):
            assign(world, user_id)
        await calm(world)

        for user_id in people(world, 5):
            world.tenant.remove_member(team, user_id)
        world.tenant.add_member(team, people(world, 1, 5)[0])
        await calm(world)
        held = await world.services.held_deletions.read(world.services.applications[APP])
        while_held = groups_of(world)
        world.tenant.disable(people(world, 1, 5)[0])
        await calm(world)
        await world.services.held_deletions.approve(world.services.applications[APP], held.list_number)
        await calm(world)

        assert [(account.kind, account.removing) for account in held.accounts] == [(ResourceKind.GROUP, 5)]
        assert while_held == {"Team": names_of(world, *people(world, 5)) | {world_name(world, 6)}}
        assert groups_of(world) == {"Team": {world_name(world, 6)}}
        assert len(world.active(APP)) == 5


def world_name(world: World, count: int) -> str:
    """The user name of the `count`-th person, whether they are enabled or not."""
    members = [user_id for user_id in world.tenant.user_ids() if world.tenant.user(user_id)["userType"] == "Member"]
    return name_of(world, members[count - 1])


@pytest.mark.parametrize(
    "faults",
    [
        [("gone", "groups/delta"), ("not_found", "groups/*/members")],
        [("gone", "groups/delta"), ("short_round", "groups/delta")],
        [("unknown_member", "groups/delta")],
        [("conflicting_membership", "groups/delta")],
        [("conflicting_membership", "groups/delta"), ("not_found", "groups/*/members")],
        [("reorder", "groups/delta"), ("duplicate", "groups/delta"), ("lag", "groups/delta")],
        [("replay", "groups/delta")],
    ],
    ids=lambda faults: " and ".join(kind for kind, _ in faults),
)
async def test_reads_that_are_short_late_or_contradictory_remove_nobody(
    faults: list[tuple[str, str]], azurite: str, name_prefix: str
) -> None:
    async with pulling(azurite, name_prefix) as world:
        team = await assigned_team(world)
        since = len(world.vendors[APP].journal)

        world.tenant.add_member(team, people(world, 1, 3)[0])
        for kind, path in faults:
            world.graph.faults.add(kind, path=path)
        await calm(world)
        await calm(world)

        bodies = [str(entry.body) for entry in list(world.vendors[APP].journal)[since:] if entry.method == "PATCH"]
        assert not any("remove" in body for body in bodies)
        assert groups_of(world) == expected_groups(world) == {"Team": names_of(world, *people(world, 4))}


@pytest.mark.parametrize("is_member", [True, False])
async def test_a_contradiction_on_pages_of_two_runs_is_settled_by_reading_again(
    azurite: str, name_prefix: str, monkeypatch: pytest.MonkeyPatch, *, is_member: bool
) -> None:
    async with pulls.pulling(azurite, name_prefix, more=GROUPS, page_size=1) as world:
        team = await assigned_team(world)
        moved = people(world, 1, 3)[0]
        if not is_member:
            world.tenant.add_member(team, moved)
            await calm(world)
        # Every run ends after one page: what an earlier page of the round said, another process has read.
        monkeypatch.setattr("shared.provisioning.pulling.RUN_BUDGET_S", 0.0)

        (world.tenant.add_member if is_member else world.tenant.remove_member)(team, moved)
        world.graph.faults.add("conflicting_membership", path="groups/delta")
        for _ in range(12):
            await tick(world)
            world.restart()
        await calm(world)

        assert groups_of(world) == expected_groups(world)
        assert (name_of(world, moved) in groups_of(world)["Team"]) is is_member
