"""The late-reference wake-up (protocol T7), by itself: whatever the order of three processes, no late member is lost.

One person gets an account while the directory puts them into a group and the group is being written. The three are
interleaved at every storage call, message and answer, by seed; one of them may die on the way.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

import pytest

from shared.storage.durable_writes import DurableWrite, Moment, unobserved
from tests.provisioning.crash_points import Killer, Point
from tests.provisioning.group_findings import GroupFindings
from tests.provisioning.loom import Loom
from tests.provisioning.stories import Scenery, Stage, open_stage, tame
from tests.world import Queued

RUNS = int(os.environ.get("INTERLEAVINGS", "8"))
GROUPS = Scenery(more="groups: {enabled: true}")


async def late_member(stage: Stage) -> tuple[str, str]:
    """A group at the vendor, and somebody whose account, and whose membership, are still to come."""
    late = stage.hire(assigned=False, accountEnabled=False)
    return await stage.provisioned_group(await stage.provisioned()), late


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
        other = await stage.provisioned()
        group, late = await late_member(stage)
        stage.tenant.enable(late)
        stage.assign(late)
        stage.tenant.add_member(group, other)
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


async def member_on_the_way(stage: Stage) -> tuple[str, str]:
    """Somebody who joins the group and the application at once: both messages are waiting."""
    group, late = await late_member(stage)
    stage.tenant.enable(late)
    stage.assign(late)
    stage.tenant.add_member(group, late)
    await stage.sync()
    return group, late


async def handle(stage: Stage, source_id: str) -> None:
    """Another process works on the message."""
    queued = take(stage, source_id)
    assert queued is not None
    services = stage.world.new_services(unobserved)
    tame(services)
    await services.reconciler.provision(queued.message, first=queued.first)


async def rest_without_housekeeping(stage: Stage) -> None:
    """Only messages are delivered."""
    for _ in range(20):
        await stage.deliver()
        await stage.pass_time(10.0)


Before = Callable[[object, str, Callable[[], Awaitable[None]]], None]


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> Before:
    """Lets something happen between two steps of an attempt, once."""

    def arrange(owner: object, method: str, meanwhile: Callable[[], Awaitable[None]]) -> None:
        original, happened = getattr(type(owner), method), False

        async def interrupted(this, *arguments, **options):
            nonlocal happened
            if this is owner and not happened:
                happened = True
                await meanwhile()
            return await original(this, *arguments, **options)

        monkeypatch.setattr(type(owner), method, interrupted)

    return arrange


@pytest.mark.parametrize(
    ("first", "step", "second"),
    [("late", "save_leased", "group"), ("group", "save_nothing", "late")],
    ids=["the group looks while the account is made", "the account is made while the group is at work"],
)
async def test_whoever_is_second_sees_what_the_first_one_did(
    first: str, step: str, second: str, azurite: str, before: Before
) -> None:
    async with open_stage(azurite, GROUPS) as stage:
        ids = dict(zip(("group", "late"), await member_on_the_way(stage), strict=True))
        before(stage.world.services.rows, step, lambda: handle(stage, ids[second]))

        await stage.handle(take(stage, ids[first]))
        await rest_without_housekeeping(stage)

        assert await stage.findings() == []


async def test_a_mark_that_was_not_read_is_not_removed(azurite: str, before: Before) -> None:
    async with open_stage(azurite, GROUPS) as stage:
        late = stage.hire(assigned=False)
        group = await stage.provisioned_group(await stage.provisioned())
        # The group confers access: one change of the directory raises both, with one number.
        stage.tenant.add_member(group, late)
        await stage.sync()
        before(stage.world.services.memberships, "note", lambda: handle(stage, late))

        await stage.handle(take(stage, group))
        await rest_without_housekeeping(stage)

        assert await stage.findings() == []


async def test_a_group_that_dies_before_its_second_look_is_made_up_for_by_housekeeping(
    azurite: str, before: Before
) -> None:
    async with open_stage(azurite, GROUPS) as stage:
        group, late = await member_on_the_way(stage)
        stage.observer = Killer(Point(write=DurableWrite.SAVE_NOTHING, occurrence=1, moment=Moment.AFTER))
        stage.begin()
        before(stage.world.services.rows, "save_nothing", lambda: handle(stage, late))

        await stage.handle(take(stage, group))
        await rest_without_housekeeping(stage)
        forgotten = await stage.findings()
        await stage.settle()

        assert stage.deaths == 1
        assert forgotten
        assert await stage.findings() == []


async def test_a_late_member_costs_one_further_request(azurite: str) -> None:
    async with open_stage(azurite, GROUPS) as stage:
        group, late = await late_member(stage)
        stage.tenant.add_member(group, late)
        await stage.sync()
        await stage.settle()
        requests_before = len(stage.acme.journal)

        stage.tenant.enable(late)
        stage.assign(late)
        await stage.sync()
        await stage.settle()

        requests = [(entry.method, entry.path.split("/")[-2]) for entry in list(stage.acme.journal)[requests_before:]]
        assert [method for method, where in requests if where == "Groups"] == ["PATCH"]
        assert await stage.findings() == []
