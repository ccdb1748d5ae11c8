"""Previews of groups: made, renamed, filled, emptied and deleted as foreseen, with every membership counted."""

from __future__ import annotations

from typing import Any

import pytest

from shared.operations.previewing import members as previewed_members
from shared.operations.previewing.page import BUDGET_S
from shared.provisioning.accounts import ResourceKind
from tests.operations.previews import accounts_of, foretold, only, preview, sent
from tests.operations.test_held import narrow_guard
from tests.provisioning.group_worlds import requests_about_groups
from tests.provisioning.pulls import APP, CONFIRM_S, assign, calm, people, pulling, tick, unassign
from tests.world import World

GROUPS = "groups: {enabled: true, members_per_patch: 10}\n"


async def filled(world: World, count: int) -> str:
    """An assigned group of people with accounts, in sync."""
    team = world.tenant.create_group("Team", members=people(world, count))
    assign(world, team)
    await calm(world)
    return team


async def test_a_group_of_new_people_is_made_and_filled_as_foreseen(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, users=40, more=GROUPS) as world:
        members = people(world, 25)
        team = world.tenant.create_group("Team", members=members)
        assign(world, team)
        await world.sync()
        report = await preview(world)
        await world.settle()
        requests = only(report).requests

        assert accounts_of(report)[team] == "create: new"
        assert (only(report).members_added, only(report).members_removed) == (25, 0)
        assert (requests.creates, requests.look_ups, requests.members) == (26, 26, 3)
        assert requests.total <= sent(world, 0).total() <= requests.total + requests.more_at_most
        assert len(only(await preview(world)).counts) == 1


@pytest.mark.parametrize("count", [3, 25])
async def test_a_new_group_of_people_with_accounts_costs_what_is_foreseen(
    count: int, azurite: str, name_prefix: str
) -> None:
    async with pulling(azurite, name_prefix, users=40, more=GROUPS) as world:
        for user_id in people(world, count):
            assign(world, user_id)
        await calm(world)
        team = world.tenant.create_group("Team", members=people(world, count))
        assign(world, team)
        await world.sync()
        report = await preview(world)
        journal = len(world.vendors[APP].journal)
        await world.settle()

        assert only(report).members_added == count
        assert foretold(only(report).requests) == sent(world, journal)


async def test_renames_joiners_and_leavers_of_a_group_are_foreseen(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, users=40, more=GROUPS) as world:
        team = await filled(world, 12)
        for user_id in people(world, 5):
            assign(world, user_id)
        for user_id in people(world, 11, 12):
            assign(world, user_id)
        await calm(world)
        world.tenant.update_group(team, displayName="Crew")
        for user_id in people(world, 5):
            world.tenant.remove_member(team, user_id)
        for user_id in people(world, 11, 12):
            world.tenant.add_member(team, user_id)
        await world.sync()
        report = await preview(world)
        alone = await world.services.previewer.preview_account(APP, ResourceKind.GROUP, team)
        journal = len(world.vendors[APP].journal)
        await world.settle()

        [shown] = report.accounts
        assert (shown.action, shown.reason, shown.members_added, shown.members_removed) == ("update", "renamed", 11, 5)
        assert foretold(only(report).requests) == requests_about_groups(world, journal) == {"PATCH": 3}
        assert alone == shown


async def test_a_membership_alone_is_foreseen(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more=GROUPS) as world:
        team = await filled(world, 3)
        [joiner] = people(world, 1, 3)
        assign(world, joiner)
        await calm(world)
        world.tenant.add_member(team, joiner)
        await world.sync()

        report = await preview(world)

        assert accounts_of(report) == {team: "update: members_changed"}
        assert (only(report).members_added, only(report).requests.members, only(report).requests.total) == (1, 1, 1)


@pytest.mark.parametrize(("policy", "done"), [("delete", "delete"), ("empty", "empty"), ("skip", "")])
async def test_a_group_that_leaves_ends_as_foreseen(policy: str, done: str, azurite: str, name_prefix: str) -> None:
    more = f"groups: {{enabled: true, members_per_patch: 2, out_of_scope: {policy}}}"
    async with pulling(azurite, name_prefix, more=more) as world:
        for user_id in people(world, 3):
            assign(world, user_id)
        team = await filled(world, 3)
        unassign(world, team)
        await tick(world)
        world.clock.advance(CONFIRM_S)
        await world.sync()
        report = await preview(world)
        journal = len(world.vendors[APP].journal)
        await world.settle()

        assert accounts_of(report, team)[team].partition(":")[0] == done
        assert foretold(only(report).requests) == requests_about_groups(world, journal)
        assert only(report).members_removed == (3 if policy == "empty" else 0)


async def test_a_group_that_would_lose_many_members_is_asked_about(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more=GROUPS) as world:
        narrow_guard(world, 2)
        for user_id in people(world, 4):
            assign(world, user_id)
        team = await filled(world, 4)
        for user_id in people(world, 4):
            world.tenant.remove_member(team, user_id)
        await world.sync()
        report = await preview(world)
        journal = len(world.vendors[APP].journal)
        await world.settle()
        held = await world.services.held_deletions.read(world.services.applications[APP])

        guard: Any = only(report).guard
        assert (guard.groups_asked, only(report).members_removed) == (1, 4)
        assert [account.source_id for account in held.accounts] == [team]
        assert foretold(only(report).requests) == requests_about_groups(world, journal) == {}


async def test_one_group_is_compared_for_as_long_as_there_is_time(
    azurite: str, name_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previewed_members, "MEMBERS_PER_PAGE", 4)
    async with pulling(azurite, name_prefix, users=20, more=GROUPS) as world:
        group_id = world.tenant.create_group("Team", members=people(world, 12))
        assign(world, group_id)
        await world.sync()
        previewer = world.services.previewer
        whole = await previewer.preview_account(APP, ResourceKind.GROUP, group_id)
        compare_page = previewed_members.MemberPreviews.compare_page

        async def compare_slowly(*given, **named):
            world.clock.advance(BUDGET_S / 2)
            return await compare_page(*given, **named)

        monkeypatch.setattr(previewed_members.MemberPreviews, "compare_page", compare_slowly)
        cut = await previewer.preview_account(APP, ResourceKind.GROUP, group_id)

        assert (whole.members_added, whole.has_more_members) == (12, False)
        assert (cut.members_added, cut.has_more_members) == (8, True)


async def test_what_a_budget_cuts_into_pages_adds_up_to_the_same(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, users=40, more=GROUPS) as world:
        for at, name in enumerate(("Red", "Green", "Blue")):
            assign(world, world.tenant.create_group(name, members=people(world, 10, 10 * at)))
        await calm(world)
        for user_id in people(world, 9, 5):
            world.tenant.update(user_id, jobTitle="Astronaut")
        assign(world, world.tenant.create_group("White", members=people(world, 30)))
        await world.sync()
        whole = await world.services.previewer.preview(_request())
        pieces = await preview(world, budget_s=0.0)

        assert whole.next is None
        assert pieces.applications == whole.applications
        assert set(accounts_of(pieces)) == set(accounts_of(whole))
        assert pieces.looked_at == whole.looked_at


def _request():
    from shared.operations.previewing.page import PreviewRequest

    return PreviewRequest()
