"""The stories of the account protocol: each sets a scene, begins, and lets something happen. `settle` does the rest."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from shared.provisioning import pull_run
from shared.provisioning.accounts import ResourceKind
from shared.provisioning.guard import Release, Verdict
from shared.storage.durable_writes import DurableWrite, Observer
from shared.storage.tables import Operation, StorageConflict
from tests.provisioning.application_stories import APPLICATION_STORIES
from tests.provisioning.drift_stories import DRIFT_STORIES
from tests.provisioning.figure_stories import FIGURE_STORIES
from tests.provisioning.group_stories import GROUP_STORIES
from tests.provisioning.on_demand_stories import ON_DEMAND_STORIES
from tests.provisioning.stories import APP, Scenery, Stage, message_about, raised_while_sending
from tests.simulation.vendors.options import FilterMode, VendorOptions

Story = Callable[[Stage], Awaitable[None]]


async def create(stage: Stage) -> None:
    stage.begin()
    stage.hire()


async def update(stage: Stage) -> None:
    user_id = await stage.provisioned()
    stage.begin()
    stage.tenant.update(user_id, jobTitle="Astronaut", city=None)


async def rename(stage: Stage) -> None:
    user_id = await stage.provisioned()
    stage.begin()
    stage.rename(user_id, f"renamed-{stage.name_of(user_id)}")


async def update_while_updating(stage: Stage) -> None:
    user_id = await stage.provisioned()
    stage.begin()
    stage.tenant.update(user_id, jobTitle="Astronaut")
    await stage.sync()
    await raised_while_sending(stage, lambda: stage.tenant.update(user_id, jobTitle="Cosmonaut"))


async def disable(stage: Stage) -> None:
    user_id = await stage.provisioned()
    stage.begin()
    stage.tenant.disable(user_id)


async def disable_met_by_an_old_message(stage: Stage) -> None:
    user_id = await stage.provisioned()
    stage.begin()
    stage.tenant.update(user_id, jobTitle="Astronaut")
    await stage.sync()
    waiting = list(stage.world.queues.waiting)
    stage.world.queues.waiting.clear()
    guard = stage.world.services.guard
    release, guard.release = guard.release, _no_release
    stage.tenant.disable(user_id)
    await stage.tick()
    guard.release = release
    stage.world.queues.waiting[:0] = waiting
    await stage.deliver()


async def _no_release(_application):
    return Release(verdict=Verdict.NOTHING, staged=0)


async def unassign_then_delete(stage: Stage) -> None:
    user_id = await stage.provisioned()
    stage.begin()
    stage.unassign(user_id)
    await stage.sync()
    await stage.pass_time(301)
    await stage.settle()
    stage.tenant.purge(user_id)


async def restore_after_soft_delete(stage: Stage) -> None:
    user_id = await stage.provisioned()
    stage.begin()
    stage.tenant.soft_delete(user_id)
    await stage.settle()
    stage.tenant.restore(user_id)


async def adoption(stage: Stage) -> None:
    stage.begin()
    user_id = stage.hire(jobTitle="Pilot")
    name = stage.mapped(user_id).attributes["userName"]
    stage.acme.seed([{"userName": name, "active": True, "title": "Found here"}])


async def name_swap(stage: Stage) -> None:
    one, two = await stage.provisioned(), await stage.provisioned()
    first, second = stage.name_of(one), stage.name_of(two)
    stage.begin()
    stage.rename(one, second)
    stage.rename(two, first)


async def name_chain(stage: Stage) -> None:
    one, two = await stage.provisioned(), await stage.provisioned()
    given_up = stage.name_of(two)
    stage.begin()
    stage.rename(one, given_up)
    stage.rename(two, f"next-{given_up}")
    await stage.sync()
    stage.world.queues.waiting.sort(key=lambda queued: queued.message.id != one)


async def relinking(stage: Stage) -> None:
    user_id = await stage.provisioned()
    await stage.pass_time(700)
    account = await stage.account(user_id)
    stage.begin()
    stage.vanish(account.target_id)
    stage.tenant.update(user_id, jobTitle="Astronaut")


async def lost_create(stage: Stage) -> None:
    stage.begin()
    stage.acme.faults.add("reset", method="POST", applied=True)
    stage.hire()


async def lost_create_of_somebody_renamed_since(stage: Stage) -> None:
    stage.begin()
    stage.acme.faults.add("reset", method="POST", applied=True)
    user_id = stage.hire()
    await stage.sync()
    await stage.deliver()
    stage.rename(user_id, f"married-{stage.name_of(user_id)}")


async def lost_create_of_somebody_who_left(stage: Stage) -> None:
    stage.begin()
    stage.acme.faults.add("reset", method="POST", applied=True)
    user_id = stage.hire()
    await stage.sync()
    await stage.deliver()
    stage.tenant.disable(user_id)


async def rename_with_lost_answer(stage: Stage) -> None:
    user_id = await stage.provisioned()
    stage.begin()
    stage.acme.faults.add("reset", method="PATCH", applied=True)
    stage.rename(user_id, f"renamed-{stage.name_of(user_id)}")


async def delete_with_lost_answer(stage: Stage) -> None:
    user_id = await stage.provisioned()
    stage.begin()
    stage.acme.faults.add("reset", method="DELETE", applied=True)
    stage.tenant.purge(user_id)


async def returner_after_a_lost_disable(stage: Stage) -> None:
    user_id = await stage.provisioned()
    stage.begin()
    stage.acme.faults.add("reset", method="PATCH", applied=True)
    stage.tenant.disable(user_id)
    await stage.sync()
    await stage.deliver_one()
    stage.tenant.enable(user_id)


async def create_that_never_landed(stage: Stage) -> None:
    stage.begin()
    stage.acme.faults.add("reset", method="POST", applied=False)
    stage.hire()


async def leaver_with_lost_answer(stage: Stage) -> None:
    user_id = await stage.provisioned()
    stage.begin()
    stage.acme.faults.add("reset", method="PATCH", applied=True)
    stage.tenant.disable(user_id)


async def throttled(stage: Stage) -> None:
    user_id = await stage.provisioned()
    stage.begin()
    stage.acme.faults.add("throttle", method="PATCH", retry_after=5)
    stage.tenant.update(user_id, jobTitle="Astronaut")


async def lease_eaten_by_a_pause(stage: Stage) -> None:
    user_id = await stage.provisioned()
    stage.begin()
    stage.tenant.update(
        user_id, jobTitle="Astronaut", userPrincipalName=f"paused-{stage.name_of(user_id)}@contoso.example"
    )
    await stage.sync()
    rows = stage.world.services.rows
    take_lease = rows.take_lease

    async def slow_lease(account, request):
        leased = await take_lease(account, request)
        rows.take_lease = take_lease
        stage.world.clock.advance(25)
        return leased

    rows.take_lease = slow_lease
    await stage.deliver_one()


async def refused_for_good_then_mended(stage: Stage) -> None:
    user_id = await stage.provisioned()
    stage.begin()
    stage.acme.faults.add("error", method="PATCH", status=400)
    stage.tenant.update(user_id, jobTitle="Astronaut")
    await stage.settle()
    stage.acme.faults.clear()
    stage.tenant.update(user_id, jobTitle="Cosmonaut")


async def credentials_refused(stage: Stage) -> None:
    user_id = await stage.provisioned()
    stage.begin()
    stage.acme.faults.add("error", method="PATCH", status=401, times=1)
    stage.tenant.update(user_id, jobTitle="Astronaut")


async def lost_message(stage: Stage) -> None:
    user_id = await stage.provisioned()
    stage.begin()
    stage.tenant.update(user_id, jobTitle="Astronaut")
    await stage.sync()
    stage.world.queues.waiting.clear()


async def two_at_once(stage: Stage) -> None:
    user_id = await stage.provisioned()
    stage.begin()
    stage.tenant.update(user_id, jobTitle="Astronaut")
    await stage.sync()
    await raised_while_sending(stage, lambda: stage.world.queues.waiting.append(stage.world.queues.waiting[0]))


async def held_until_they_return(stage: Stage) -> None:
    one, two = await stage.provisioned(), await stage.provisioned()
    stage.begin()
    stage.tenant.disable(one)
    stage.tenant.disable(two)
    await stage.settle()
    active = [stage.resource((await stage.account(each)).target_id)["active"] for each in (one, two)]
    assert active == [True, True]
    stage.tenant.enable(one)
    stage.tenant.enable(two)


async def held_then_approved(stage: Stage) -> None:
    await _hold_two(stage)
    # A person whose answer was not acknowledged looks again, and repeats it.
    for _ in range(3):
        held = await stage.world.services.held_deletions.read(stage.application)
        if held.list_number:
            answer = partial(stage.world.services.held_deletions.approve, stage.application, held.list_number)
            await stage.attempt(answer)


async def held_then_rejected(stage: Stage) -> None:
    people = await _hold_two(stage)
    for _ in range(3):
        held = await stage.world.services.held_deletions.read(stage.application)
        if held.list_number:
            answer = partial(stage.world.services.held_deletions.reject, stage.application, held.list_number)
            await stage.attempt(answer)
    await stage.settle()
    assert [stage.resource((await stage.account(each)).target_id)["active"] for each in people] == [True, True]
    for each in people:
        stage.tenant.enable(each)


async def _hold_two(stage: Stage) -> list[str]:
    people = [await stage.provisioned(), await stage.provisioned()]
    stage.begin()
    for each in people:
        stage.tenant.disable(each)
    await stage.settle()
    return people


async def two_pages(stage: Stage) -> None:
    one, two = await stage.provisioned(), await stage.provisioned()
    stage.begin()
    stage.tenant.update(one, jobTitle="Astronaut")
    stage.tenant.disable(two)


async def graph_throttles(stage: Stage) -> None:
    user_id = await stage.provisioned()
    stage.begin()
    stage.world.graph.faults.add("throttle", path="users/delta", retry_after="30")
    stage.tenant.update(user_id, jobTitle="Astronaut")


async def matched_in_a_list(stage: Stage) -> None:
    stage.begin()
    user_id = stage.hire()
    name = stage.mapped(user_id).attributes["userName"]
    stage.acme.seed([{"userName": name, "active": True}])


async def poisoned(stage: Stage) -> None:
    user_id = await stage.provisioned()
    stage.begin()
    stage.tenant.update(user_id, jobTitle="Astronaut")
    await stage.sync()
    stage.world.queues.waiting.clear()
    text = message_about(user_id).encode()
    await stage.attempt(lambda: stage.world.services.poison.record(text))
    stage.tenant.update(user_id, jobTitle="Cosmonaut")


async def a_bug_then_a_retry(stage: Stage) -> None:
    """A bug raises until the platform gives up; it is mended, and a person asks for another try."""
    user_id = await stage.provisioned()
    stage.begin()
    stage.tenant.update(user_id, jobTitle="Astronaut")
    await stage.sync()
    await _meet_a_bug(stage, user_id)
    stage.world.queues.waiting.clear()
    await stage.attempt(lambda: stage.world.services.poison.record(message_about(user_id).encode()))
    await stage.attempt(
        lambda: stage.world.services.retries.retry_account(stage.application, ResourceKind.USER, user_id)
    )
    await stage.attempt(lambda: stage.world.services.retries.retry_all(stage.application))


async def _meet_a_bug(stage: Stage, user_id: str) -> None:
    reconciler = stage.world.services.reconciler
    decider = reconciler.decider
    object.__setattr__(reconciler, "decider", None)
    with suppress(AttributeError):
        await stage.attempt(lambda: reconciler.provision(message_about(user_id), first=False))
    object.__setattr__(reconciler, "decider", decider)


async def month_of_silence(stage: Stage) -> None:
    await stage.provisioned()
    stage.begin()
    await stage.pass_time(31 * 24 * 3600)
    await stage.keep_house()


async def listed(stage: Stage) -> None:
    """More at once than a run may raise: one has a row, two are new, and one of those changes before its turn."""
    mover = await stage.provisioned()
    stage.begin()
    stage.tenant.update(mover, jobTitle="Astronaut")
    joiners = [stage.hire(), stage.hire()]
    handful, pull_run.HANDFUL = pull_run.HANDFUL, 1
    try:
        await stage.sync()
    finally:
        pull_run.HANDFUL = handful
    stage.tenant.update(joiners[0], jobTitle="Cosmonaut")


async def manager_comes_later(stage: Stage) -> None:
    manager = stage.hire(assigned=False)
    report = stage.hire()
    stage.tenant.set_manager(report, manager)
    await stage.sync()
    await stage.settle()
    stage.begin()
    stage.assign(manager)


async def managers_come_together(stage: Stage) -> None:
    """Somebody's own manager, two who manage each other, and all of them new."""
    stage.begin()
    own, left, right = stage.hire(), stage.hire(), stage.hire()
    stage.tenant.set_manager(own, own)
    stage.tenant.set_manager(left, right)
    stage.tenant.set_manager(right, left)


async def manager_changes(stage: Stage) -> None:
    first, second, report = stage.hire(), stage.hire(), stage.hire()
    stage.tenant.set_manager(report, first)
    await stage.sync()
    await stage.settle()
    stage.begin()
    stage.tenant.set_manager(report, second)


async def manager_changes_without_an_answer_and_the_report_leaves(stage: Stage) -> None:
    """The new manager may have landed; who comes back under the former one must not be left with it."""
    first, second, report = stage.hire(), stage.hire(), stage.hire()
    stage.tenant.set_manager(report, first)
    await stage.sync()
    await stage.settle()
    stage.acme.faults.add("reset", method="PATCH", applied=True)
    stage.begin()
    stage.tenant.set_manager(report, second)
    await stage.sync()
    await stage.deliver()
    stage.tenant.disable(report)
    await stage.sync()
    await stage.settle()
    stage.tenant.set_manager(report, first)
    stage.tenant.enable(report)


async def managers_account_is_made_again(stage: Stage) -> None:
    manager, report = await stage.provisioned(), stage.hire()
    stage.tenant.set_manager(report, manager)
    await stage.sync()
    await stage.settle()
    await stage.pass_time(1000)
    stage.begin()
    stage.vanish((await stage.account(manager)).target_id)
    stage.tenant.update(manager, jobTitle="Astronaut")


async def lost_create_of_a_manager(stage: Stage) -> None:
    manager, report = stage.hire(assigned=False), stage.hire()
    stage.tenant.set_manager(report, manager)
    await stage.sync()
    await stage.settle()
    stage.begin()
    stage.acme.faults.add("reset", method="POST", applied=True)
    stage.assign(manager)


async def manager_is_adopted(stage: Stage) -> None:
    manager, report = stage.hire(assigned=False), stage.hire()
    stage.tenant.set_manager(report, manager)
    await stage.sync()
    await stage.settle()
    stage.acme.seed([{"userName": stage.mapped(manager).attributes["userName"], "active": True}])
    stage.begin()
    stage.assign(manager)


async def reconfigured(stage: Stage) -> None:
    user_id = await stage.provisioned()
    tables = stage.world.services.tables
    await tables.commit(
        DurableWrite.APPLICATION_STATE, "applications", APP, [Operation.merge("state", {"config": "another"})]
    )
    row = await tables.read("checkpoint", "directory", "streams")
    state = json.loads(row.text("state"))
    state["configs"] = {}
    await tables.commit(
        DurableWrite.CHECKPOINT, "checkpoint", "directory", [Operation.merge("streams", {"state": json.dumps(state)})]
    )
    stage.begin()
    stage.tenant.update(user_id, jobTitle="Astronaut")


SMALL_GUARD = Scenery(guard="{max_count: 1, max_percent: 100, min_population: 0}")
LISTED = Scenery(
    more="matching: {users: [{target: userName, by: list}]}", options=VendorOptions(user_filter=FilterMode.reject)
)

STORIES: dict[str, tuple[Story, Scenery]] = {
    "create": (create, Scenery()),
    "update": (update, Scenery()),
    "update raised while it is sent": (update_while_updating, Scenery()),
    "rename": (rename, Scenery()),
    "disable": (disable, Scenery()),
    "disable met by an old message": (disable_met_by_an_old_message, Scenery()),
    "unassign, then delete for good": (unassign_then_delete, Scenery()),
    "soft delete and restore": (restore_after_soft_delete, Scenery()),
    "adoption": (adoption, Scenery()),
    "adoption by listing": (matched_in_a_list, LISTED),
    "name swap": (name_swap, Scenery()),
    "name chain": (name_chain, Scenery()),
    "account vanished at the vendor": (relinking, Scenery()),
    "lost create": (lost_create, Scenery()),
    "lost create, renamed since": (lost_create_of_somebody_renamed_since, Scenery()),
    "lost create, left since": (lost_create_of_somebody_who_left, Scenery()),
    "rename with a lost answer": (rename_with_lost_answer, Scenery()),
    "delete with a lost answer": (delete_with_lost_answer, Scenery()),
    "back after a lost disable": (returner_after_a_lost_disable, Scenery()),
    "create that never landed": (create_that_never_landed, Scenery()),
    "leaver with a lost answer": (leaver_with_lost_answer, Scenery()),
    "throttled": (throttled, Scenery()),
    "lease eaten by a pause": (lease_eaten_by_a_pause, Scenery()),
    "refused, then mended": (refused_for_good_then_mended, Scenery()),
    "credentials refused": (credentials_refused, Scenery()),
    "lost message": (lost_message, Scenery()),
    "held until they return": (held_until_they_return, SMALL_GUARD),
    "held, then approved": (held_then_approved, SMALL_GUARD),
    "held, then rejected": (held_then_rejected, SMALL_GUARD),
    "two pages": (two_pages, Scenery(page_size=1)),
    "Graph throttles": (graph_throttles, Scenery()),
    "poisoned": (poisoned, Scenery()),
    "a bug, then a retry": (a_bug_then_a_retry, Scenery()),
    "a month of silence": (month_of_silence, Scenery()),
    "reconfigured": (reconfigured, Scenery()),
    "manager comes later": (manager_comes_later, Scenery()),
    "managers come together": (managers_come_together, Scenery()),
    "manager changes": (manager_changes, Scenery()),
    "manager changes without an answer": (manager_changes_without_an_answer_and_the_report_leaves, Scenery()),
    "manager's account is made again": (managers_account_is_made_again, Scenery()),
    "lost create of a manager": (lost_create_of_a_manager, Scenery()),
    "manager is adopted": (manager_is_adopted, Scenery()),
    "more at once than a run may raise": (listed, Scenery()),
    **GROUP_STORIES,
    **APPLICATION_STORIES,
    **DRIFT_STORIES,
    **FIGURE_STORIES,
    **ON_DEMAND_STORIES,
}


async def run(stage: Stage, story: Story, observer: Observer | None) -> list[str]:
    """Tell a story and say what is wrong in the end."""
    stage.people.clear()
    stage.groups.clear()
    stage.outcomes.clear()
    stage.observer = observer
    try:
        await story(stage)
        await stage.settle()
    except (AssertionError, StorageConflict, ValueError) as error:
        return [f"{type(error).__name__}: {error}"]
    finally:
        stage.acme.faults.clear()
        stage.world.graph.faults.clear()
    findings = await stage.findings()
    stage.start()
    return findings
