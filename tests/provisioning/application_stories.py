"""The stories of an application as a whole: quarantine, its probes and its end, and departures that a person judges."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from shared.provisioning import failure_window
from tests.provisioning.stories import TICK_S, Scenery, Stage

Story = Callable[[Stage], Awaitable[None]]

PROBE_S = 61.0
"""Longer than the first rung of the probe ladder."""


async def quarantine_outlives_a_probe(stage: Stage) -> None:
    """The credentials are refused, and refused again by the first probe; the second one is good."""
    leaver, mover = await stage.provisioned(), await stage.provisioned()
    stage.begin()
    stage.acme.faults.add("error", status=401, times=None)
    stage.tenant.disable(leaver)
    stage.tenant.update(mover, jobTitle="Astronaut")
    await stage.sync()
    await stage.deliver()
    await stage.pass_time(PROBE_S)
    await stage.keep_house()
    await stage.deliver()
    stage.acme.faults.clear()


async def quarantined_by_many_failures(stage: Stage) -> None:
    """So many accounts fail that the application stops; once the vendor is mended it goes on."""
    people = [await stage.provisioned() for _ in range(3)]
    stage.begin()
    minimum, failure_window.MINIMUM = failure_window.MINIMUM, 2
    try:
        stage.acme.faults.add("error", status=500, method="PATCH", times=None)
        for person in people:
            stage.tenant.update(person, jobTitle="Astronaut")
        await stage.sync()
        await stage.deliver()
        await stage.pass_time(PROBE_S)
        await stage.keep_house()
        await stage.deliver()
    finally:
        failure_window.MINIMUM = minimum
        stage.acme.faults.clear()


async def quarantined_while_somebody_joins(stage: Stage) -> None:
    """Whoever joins, moves or leaves during a quarantine is provisioned when it ends, although no message is left."""
    mover = await stage.provisioned()
    stage.begin()
    stage.acme.faults.add("error", status=403, times=None)
    stage.tenant.update(mover, jobTitle="Astronaut")
    await stage.sync()
    await stage.deliver()
    stage.hire()
    stage.tenant.disable(mover)
    await stage.sync()
    await stage.deliver()
    stage.acme.faults.clear()


async def paused_for_a_while(stage: Stage) -> None:
    """A person stops the application, and starts it again: nothing is lost, and nothing is sent meanwhile."""
    mover = await stage.provisioned()
    stage.begin()
    await _pause_until_it_is(stage)
    requests = len(stage.acme.journal)
    stage.tenant.disable(mover)
    stage.hire()
    await stage.sync()
    await stage.deliver()
    await stage.keep_house()
    assert len(stage.acme.journal) == requests
    await _resume_until_it_goes_on(stage)


async def assignments_unreadable_for_a_while(stage: Stage) -> None:
    """Graph does not let us read who is assigned: nobody is taken for gone, and a good read ends the quarantine."""
    stays = await stage.provisioned()
    stage.begin()
    stage.world.graph.faults.add("forbidden", path="*appRoleAssignedTo*", times=2)
    stage.tenant.update(stays, jobTitle="Astronaut")
    stage.hire()
    for _ in range(3):
        await stage.sync()
        await stage.deliver()
        await stage.pass_time(TICK_S)


async def released_together(stage: Stage) -> None:
    """Several leave within the guard's limits, one of them for good."""
    people = [await stage.provisioned() for _ in range(3)]
    stage.begin()
    stage.tenant.disable(people[0])
    stage.tenant.purge(people[1])
    stage.unassign(people[2])
    await stage.sync()
    await stage.pass_time(301)
    await stage.sync()


async def approved_while_one_more_leaves(stage: Stage) -> None:
    """A person approves the list they saw; whoever left since waits for an answer of their own."""
    people = [await stage.provisioned() for _ in range(3)]
    stage.begin()
    for person in people[:2]:
        stage.tenant.disable(person)
    await stage.settle()
    held_deletions = stage.world.services.held_deletions
    seen = await held_deletions.read(stage.application)
    stage.tenant.disable(people[2])
    await stage.settle()
    for number in (seen.list_number, ""):
        await _answer_until_heard(stage, number)
        await stage.settle()


async def _answer_until_heard(stage: Stage, number: str) -> None:
    """A person whose answer was not acknowledged repeats it; no number: whatever is held then."""
    heard = None
    while heard is None:
        held_deletions = stage.world.services.held_deletions
        chosen = number or (await held_deletions.read(stage.application)).list_number
        heard = await stage.attempt(partial(held_deletions.approve, stage.application, chosen))


async def rejected_then_approved_after_a_change(stage: Stage) -> None:
    """A rejected departure stands until the directory says something new of the person; then it is asked again."""
    people = [await stage.provisioned() for _ in range(2)]
    stage.begin()
    for person in people:
        stage.tenant.disable(person)
    await stage.settle()
    rejected = None
    while rejected is None:
        held_deletions = stage.world.services.held_deletions
        held = await held_deletions.read(stage.application)
        rejected = await stage.attempt(partial(held_deletions.reject, stage.application, held.list_number))
    await stage.settle()
    for person in people:
        stage.tenant.update(person, jobTitle="Left")
    await stage.settle()
    await _answer_until_heard(stage, "")


async def nobody_takes_the_notice(stage: Stage) -> None:
    """The receiver of notices is dead: everything else goes on, and a day later the digest meets the same."""
    mover = await stage.provisioned()
    stage.begin()
    await _pause_until_it_is(stage)
    stage.tenant.update(mover, jobTitle="Astronaut")
    await stage.sync()
    await stage.attempt(stage.world.services.notifier.tell_news)
    for _ in range(3):
        await stage.pass_time(9 * 3600)
        await stage.keep_house()
    await _resume_until_it_goes_on(stage)


async def _pause_until_it_is(stage: Stage) -> None:
    while not (await stage.world.services.states.read_fresh(stage.app)).is_stopped:
        await stage.attempt(lambda: stage.world.services.states.pause(stage.app, "maintenance"))


async def _resume_until_it_goes_on(stage: Stage) -> None:
    while (await stage.world.services.states.read_fresh(stage.app)).is_stopped:
        await stage.attempt(lambda: stage.world.services.states.resume(stage.app))


DEAD_RECEIVER = Scenery(
    more="notify: {webhook: HOOK_URL}", environment={"HOOK_URL": "http://127.0.0.1:9/", "HOOK_SECRET": "open sesame"}
)
SMALL_GUARD = Scenery(guard="{max_count: 1, max_percent: 100, min_population: 0}")

APPLICATION_STORIES: dict[str, tuple[Story, Scenery]] = {
    "quarantine outlives a probe": (quarantine_outlives_a_probe, Scenery()),
    "quarantined by many failures": (quarantined_by_many_failures, Scenery()),
    "quarantined while somebody joins": (quarantined_while_somebody_joins, Scenery()),
    "paused for a while": (paused_for_a_while, Scenery()),
    "assignments unreadable for a while": (assignments_unreadable_for_a_while, Scenery()),
    "nobody takes the notice": (nobody_takes_the_notice, DEAD_RECEIVER),
    "released together": (released_together, Scenery()),
    "approved while one more leaves": (approved_while_one_more_leaves, SMALL_GUARD),
    "rejected, approved after a change": (rejected_then_approved_after_a_change, SMALL_GUARD),
}
