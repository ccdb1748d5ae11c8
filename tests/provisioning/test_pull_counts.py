"""What a sync costs: counted, not timed, so that the figures hold on every machine."""

import os
from collections import Counter

import pytest

from tests.provisioning.pulls import APP, assign, everybody, expected, people, pulling, tick
from tests.world import World

POPULATIONS = (1_000, 20_000) if os.environ.get("PULL_COUNTS") == "large" else (300, 2_000)
"""The cost of a cycle must not depend on the size of the directory. `PULL_COUNTS=large` compares larger ones;
`PULL_COUNTS=100000` compares a thousand with that many."""

if os.environ.get("PULL_COUNTS", "").isdigit():
    POPULATIONS = (1_000, int(os.environ["PULL_COUNTS"]))


def costs(world: World) -> Counter[str]:
    """Everything asked so far: storage by table and kind, queues, Graph by path."""
    counted = Counter({f"storage {name}": count for name, count in world.services.tables.calls.items()})
    counted.update({f"queue {name}": count for name, count in world.queues.calls.items()})
    counted.update({f"graph {name}": count for name, count in world.graph.requests.counts().items()})
    return counted


def total(spent: Counter[str], kind: str) -> int:
    return sum(count for name, count in spent.items() if name.startswith(kind))


@pytest.mark.parametrize("scope", ["assigned", "all"])
async def test_a_tick_without_changes_costs_one_storage_call_and_a_request_per_stream(
    azurite: str, name_prefix: str, scope: str
) -> None:
    async with pulling(azurite, name_prefix, more=f"scope: {scope}") as world:
        assign(world, world.tenant.create_group("Team", members=people(world, 3)))
        await tick(world, times=2)
        before = costs(world)
        report = await tick(world)
        spent = costs(world) - before
        lists = {"graph servicePrincipals/{id}": 1, "graph servicePrincipals/{id}/appRoleAssignedTo": 1}

        assert report.outcome == "nothing new"
        assert spent == Counter(
            {"storage checkpoint query": 1, "graph users/delta": 1, "graph groups/delta": 1}
            | (lists if scope == "assigned" else {})
        )


async def test_an_hour_of_ticks_without_changes_costs_a_look_and_a_note_every_five_minutes(
    azurite: str, name_prefix: str
) -> None:
    async with pulling(azurite, name_prefix, apps=(APP, "other")) as world:
        await tick(world, times=2)
        before = costs(world)
        await tick(world, times=50)
        spent = costs(world) - before

        noted = spent["storage checkpoint commit"]
        assert noted <= 11
        assert spent["storage checkpoint query"] == 50
        assert total(spent, "storage") == 50 + 2 * noted + spent["storage applications read"]
        assert spent["storage applications read"] <= 2 * 2 * 11
        assert total(spent, "graph") == 50 * 6


async def cost_of_ten_changes(azurite: str, name_prefix: str, users: int) -> Counter[str]:
    """A cycle with ten changed members of an assigned group, in a directory of that size."""
    async with pulling(azurite, name_prefix, users=users, page_size=999) as world:
        chosen = people(world, 20)
        assign(world, world.tenant.create_group("Team", members=chosen))
        await world.sync()
        world.queues.waiting.clear()
        for user_id in chosen[:8]:
            world.tenant.update(user_id, jobTitle="Mover")
        for user_id in chosen[8:10]:
            world.tenant.disable(user_id)
        before = costs(world)
        report = await world.sync()
        assert report.raised == {APP: 10}
        return costs(world) - before


async def test_a_cycle_with_ten_changes_costs_the_same_in_a_small_and_in_a_large_directory(
    azurite: str, name_prefix: str
) -> None:
    small, large = [
        await cost_of_ten_changes(azurite, f"{name_prefix}{at}", users) for at, users in enumerate(POPULATIONS)
    ]

    for kind in ("storage", "queue", "graph"):
        assert total(large, kind) <= 1.1 * total(small, kind), (kind, small, large)
    assert total(large, "graph") == total(small, "graph") == 4


@pytest.mark.parametrize("rate", [2.0, 0.5])
async def test_queues_hold_two_minutes_of_the_vendors_rate_whatever_the_backlog(
    azurite: str, name_prefix: str, rate: float
) -> None:
    more = f"scope: all\nrate_limit: {{requests_per_second: {rate}}}"
    async with pulling(azurite, name_prefix, users=1_500, more=more, page_size=999) as world:
        depths = []
        for _ in range(4):
            await world.sync()
            world.clock.advance(60)
            depths.append(len(world.queues.waiting))
            for queued in world.queues.waiting[:30]:
                world.queues.waiting.remove(queued)

        assert max(depths) <= 120 * rate + 1
        assert depths[0] >= 100 * rate


async def test_steady_changes_above_the_vendors_rate_wait_in_the_rows_and_not_in_the_queue(
    azurite: str, name_prefix: str
) -> None:
    more = "scope: all\nrate_limit: {requests_per_second: 0.5}"
    async with pulling(azurite, name_prefix, users=70, more=more) as world:
        await world.sync()
        world.queues.waiting.clear()
        depths = []
        for at in range(6):
            for user_id in people(world, 50):
                world.tenant.update(user_id, jobTitle=f"Mover {at}")
            await world.sync()
            world.clock.advance(60)
            depths.append(len(world.queues.waiting))

        assert max(depths) <= 61


async def test_what_waits_in_the_rows_is_done_in_the_end(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, users=130, more="scope: all") as world:
        await tick(world, times=4)

        assert world.active(APP) == everybody(world)
        assert expected(world) == set()
        assert (await world.sync()).outcome == "nothing new"
