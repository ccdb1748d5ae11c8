"""What memberships cost: requests to the vendor and calls to storage, counted, never timed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from shared.provisioning.account_rows import AccountRows
from shared.provisioning.accounts import (
    ACCOUNTS,
    AccountState,
    Intent,
    IntentKind,
    ResourceKind,
    account_key,
    write_columns,
)
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation
from tests.provisioning import pulls
from tests.provisioning.group_worlds import groups_of, requests_about_groups, rows_of
from tests.provisioning.memory_tables import MemoryTables, Store
from tests.provisioning.pulls import APP, calm, name_of, people
from tests.simulation.tenant import Tenant
from tests.world import World

EVERYBODY = "scope: all\ngroups: {enabled: true}\n"
CHUNKS_OF_TEN = "groups: {enabled: true, members_per_patch: 10}\n"
SIZES = (30, int(os.environ.get("GROUP_COUNTS", "300")))
"""The cost of a change must not depend on the size of the group. `GROUP_COUNTS=3000` compares with a larger one."""


@asynccontextmanager
async def company(
    azurite: str, prefix: str, *, users: int, more: str = EVERYBODY, page_size: int = 999
) -> AsyncIterator[World]:
    """Everybody has an account, and there is no group yet. Tables are in memory."""
    async with pulls.pulling(
        azurite, prefix, users=users, more=more, page_size=page_size, prepare=delete_groups, in_memory=True
    ) as world:
        await calm(world)
        yield world


def delete_groups(tenant: Tenant, _: str) -> None:
    for group_id in list(tenant.groups):
        tenant.delete_group(group_id)


def storage_calls(world: World) -> int:
    """Calls to tables and queues so far."""
    return world.services.tables.calls.total() + world.queues.calls.total()


def members_of(world: World, group_id: str) -> set[str]:
    """User names of the members, as the directory has them."""
    return {name_of(world, user_id) for user_id in world.tenant.members[group_id]}


async def cost_of_twenty_changes(azurite: str, prefix: str, count: int) -> tuple[int, Counter[str]]:
    """Storage calls and requests when ten who have accounts join a group of `count`, and ten leave it."""
    async with company(azurite, prefix, users=count * 5 // 4 + 40) as world:
        team = world.tenant.create_group("Team", members=people(world, count))
        await calm(world)
        for user_id in people(world, 10, count):
            world.tenant.add_member(team, user_id)
        for user_id in people(world, count)[:: count // 10][:10]:
            world.tenant.remove_member(team, user_id)
        calls, journal = storage_calls(world), len(world.vendors[APP].journal)
        await world.sync()
        await world.deliver()

        assert groups_of(world) == {"Team": members_of(world, team)}
        assert await rows_of(world, "change") == {}
        return storage_calls(world) - calls, requests_about_groups(world, journal)


async def test_changes_cost_the_same_in_a_small_and_in_a_large_group(azurite: str, name_prefix: str) -> None:
    small, large = [
        await cost_of_twenty_changes(azurite, f"{name_prefix}{at}", count) for at, count in enumerate(SIZES)
    ]

    assert large[1] == small[1] == {"PATCH": 1}
    assert large[0] <= 1.1 * small[0], (small, large)


async def test_a_group_that_comes_on_several_pages_is_filled_as_one_that_comes_on_one(
    azurite: str, name_prefix: str
) -> None:
    more = "scope: all\n" + CHUNKS_OF_TEN
    costs: list[tuple[int, Counter[str]]] = []
    for at, page_size in enumerate((999, 10)):
        async with company(azurite, f"{name_prefix}{at}", users=60, more=more, page_size=page_size) as world:
            team = world.tenant.create_group("Team", members=people(world, 35))
            journal = len(world.vendors[APP].journal)
            await world.sync()
            marked = await rows_of(world, "change")
            calls = storage_calls(world)
            await world.deliver()

            assert marked == {}
            assert groups_of(world) == {"Team": members_of(world, team)}
            costs.append((storage_calls(world) - calls, requests_about_groups(world, journal)))

    assert costs[0][1] == costs[1][1] == {"GET": 1, "POST": 1, "PATCH": 4}
    # Each page sends a message about the group; it finds nothing to do.
    assert costs[1][0] <= costs[0][0] + 4


async def test_a_group_is_emptied_without_a_read_per_member(azurite: str, name_prefix: str) -> None:
    async with company(azurite, name_prefix, users=60, more=ONLY_TEAMS) as world:
        team = world.tenant.create_group("Team", members=world.tenant.user_ids())
        await calm(world)
        count = len(await rows_of(world, "member"))
        world.tenant.update_group(team, displayName="Club")
        await world.sync()
        before = Counter(world.services.tables.calls)
        await world.settle()

        assert count > 50
        assert {name: len(members) for name, members in groups_of(world).items()} == {"Team": 0}
        assert (world.services.tables.calls - before)["accounts read"] < count / 2


ONLY_TEAMS = """
scope: all
groups:
  enabled: true
  members_per_patch: 10
  scoping_filters:
    - name: Teams
      clauses: [{attribute: displayName, operator: REGEX MATCH, value: "^Team"}]
"""


async def cost_of_a_create(azurite: str, prefix: str, *, more: str, groups: int) -> int:
    """Storage calls of the message that makes somebody's account, who is in so many groups; all groups are at rest."""
    async with company(azurite, prefix, users=12, more=more) as world:
        teams = [world.tenant.create_group(f"Team {at}", members=people(world, 2)) for at in range(groups)]
        newcomers = [world.tenant.hire(accountEnabled=True) for _ in range(2)]
        for user_id in newcomers:
            world.tenant.set_manager(user_id, None)
            for team in teams:
                world.tenant.add_member(team, user_id)
        await world.sync()
        waiting = {queued.message.id: queued for queued in world.queues.waiting}
        last = waiting.pop(newcomers[1])
        world.queues.waiting[:] = waiting.values()
        # The groups find out that the newcomer has no account yet; caches are warm.
        await world.settle(within_s=60)
        calls = storage_calls(world)
        outcome = await world.services.reconciler.provision(last.message, first=False)

        assert outcome.reason == "new"
        return storage_calls(world) - calls


async def test_a_create_costs_a_mirror_read_more_where_there_are_groups_and_a_wake_for_each(
    azurite: str, name_prefix: str
) -> None:
    off = await cost_of_a_create(azurite, f"{name_prefix}a", more="scope: all\ngroups: {enabled: false}", groups=2)
    none, one, three = [
        await cost_of_a_create(azurite, f"{name_prefix}{count}", more=EVERYBODY, groups=count) for count in (0, 1, 3)
    ]

    assert none == off + 1
    # All marks in one transaction; for each group its row is read and raised, and a message sent.
    assert one == none + 1 + 3
    assert three == none + 1 + 3 * 3


@pytest.mark.parametrize(("apart", "reads"), [(1, 0), (3, 0), (40, 90)])
async def test_rows_side_by_side_are_read_with_one_request(apart: int, reads: int) -> None:
    tables = MemoryTables(Store())
    everybody = [f"{at:05d}" for at in range(100 * apart)]
    asked = everybody[::apart]
    absent = asked[80]
    columns = write_columns(state=AccountState.DISABLED, intent=Intent(kind=IntentKind.PATCH), lease_token="somebody's")
    there = [
        Operation.insert(account_key(ResourceKind.USER, user_id), {**columns, "target_id": f"target {user_id}"})
        for user_id in everybody
        if user_id != absent
    ]
    await tables.commit_all(DurableWrite.SAVE, ACCOUNTS, APP, there)
    rows = AccountRows(tables)
    tables.calls.clear()

    found = await rows.read_users(APP, asked)

    assert tables.calls == {"accounts query": 1} | ({"accounts read": reads} if reads else {})
    assert found == {user_id: await rows.read(APP, ResourceKind.USER, user_id) for user_id in asked}
    assert found[absent].etag == ""
