"""The late-reference wake-up (protocol T7), by itself: whatever the order of three processes, no late member is lost.

One person gets an account while the directory puts them into a group and the group is being written. The three are
interleaved at every storage call, message and answer, by seed; one of them may die on the way.
"""

from __future__ import annotations

import os

import pytest

from tests.provisioning.group_findings import GroupFindings
from tests.provisioning.loom import Loom
from tests.provisioning.stories import Scenery, Stage, open_stage
from tests.world import Queued

RUNS = int(os.environ.get("INTERLEAVINGS", "12"))
GROUPS = Scenery(more="groups: {enabled: true}")


async def late_member(stage: Stage) -> tuple[str, str]:
    """A group at the vendor, and somebody whose account, and whose membership, are still to come."""
    present, late = await stage.provisioned(), stage.hire(assigned=False, accountEnabled=False)
    group = await stage.provisioned_group(present)
    return group, late


def take(stage: Stage, source_id: str) -> Queued | None:
    """The message about somebody or something, if there is one."""
    waiting = stage.world.queues.waiting
    found = next((queued for queued in waiting if queued.message.id == source_id), None)
    if found is not None:
        waiting.remove(found)
    return found


@pytest.mark.parametrize("dies", [None, "user", "group", "puller"])
@pytest.mark.parametrize("seed", range(RUNS))
async def test_no_order_and_no_death_loses_a_late_member(seed: int, dies: str | None, azurite: str) -> None:
    async with open_stage(azurite, GROUPS) as stage:
        group, late = await late_member(stage)
        stage.tenant.enable(late)
        stage.assign(late)
        stage.tenant.update_group(group, displayName="Renamed meanwhile")
        await stage.sync()
        taken = {"user": take(stage, late), "group": take(stage, group)}
        stage.tenant.add_member(group, late)
        loom = Loom(stage, ["user", "group", "puller"], seed=seed)
        user, consumer, puller = loom.actors
        for actor, queued in ((user, taken["user"]), (consumer, taken["group"])):
            assert queued is not None
            actor.begin(actor.name, lambda services, q=queued: services.reconciler.provision(q.message, first=q.first))
        puller.begin("sync", lambda services: services.puller.pull())
        await loom.rest()

        if dies is not None:
            for _ in range(loom.dice.randrange(1, 25)):
                await loom.step()
            actor = next(each for each in loom.actors if each.name == dies)
            if not actor.is_idle:
                await actor.die()
                stage.world.queues.waiting += [queued for name, queued in taken.items() if name == dies and queued]
        await loom.finish()
        stage.start()
        if dies == "puller":
            await stage.pass_time(200)
        await stage.sync()
        await stage.settle()

        accounts = await stage._accounts()
        assert accounts[late].target_id
        assert await GroupFindings(stage).all(accounts) == [], "\n".join([f"seed {seed}", *loom.trace])


async def test_a_late_member_costs_one_further_request(azurite: str) -> None:
    async with open_stage(azurite, GROUPS) as stage:
        group, late = await late_member(stage)
        stage.tenant.add_member(group, late)
        await stage.sync()
        await stage.settle()
        before = len(stage.acme.journal)

        stage.tenant.enable(late)
        stage.assign(late)
        await stage.sync()
        await stage.settle()

        requests = [(entry.method, entry.path.split("/")[-2]) for entry in list(stage.acme.journal)[before:]]
        assert [method for method, where in requests if where == "Groups"] == ["PATCH"]
        assert await stage.findings() == []
