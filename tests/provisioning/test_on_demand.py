"""One account at once: what is told, what the vendor holds afterwards, what the row says, and what it costs."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from shared.clock import write_instant
from shared.provisioning.accounts import ACCOUNTS, Account, AccountState, ResourceKind, account_key
from shared.provisioning.applications_state import UNREADABLE, ApplicationStatus
from shared.provisioning.on_demand import OnDemandOutcome, OnDemandReport
from shared.provisioning.on_demand_report import RefreshOutcome
from shared.provisioning.provisioning_log import LogStatus, StepType
from shared.storage.durable_writes import DurableWrite, Moment
from shared.storage.tables import Operation
from tests.provisioning.crash_points import Killed
from tests.provisioning.stories import APP, Scenery, Stage, open_stage, tame

SMALL_GUARD = Scenery(guard="{max_count: 1, max_percent: 100, min_population: 0}")


async def ask(stage: Stage, source_id: str, *, kind: str = "user", refresh: bool = False) -> OnDemandReport:
    return await stage.world.services.on_demand.provision(
        stage.application, ResourceKind(kind), source_id, refresh=refresh
    )


async def mirrored(stage: Stage, **properties: object) -> str:
    """Somebody whom the directory mirror holds and whom nobody has worked on yet."""
    user_id = stage.hire(**properties)
    await stage.sync()
    stage.world.queues.waiting.clear()
    return user_id


async def without_row(stage: Stage) -> str:
    """Somebody in scope whose row was lost."""
    user_id = await mirrored(stage)
    gone = Operation.delete(account_key(ResourceKind.USER, user_id))
    await stage.world.services.tables.commit(DurableWrite.LOG, ACCOUNTS, APP, [gone])
    return user_id


def requests(stage: Stage, since: int = 0) -> Counter[str]:
    return Counter(entry.method for entry in stage.acme.journal[since:])


def steps_of(report: OnDemandReport) -> dict[StepType, tuple[LogStatus, str]]:
    return {step.type: (step.status, step.description) for step in report.steps}


async def test_a_joiner_is_created_with_one_look_up_and_one_post_and_all_six_steps_are_told(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        user_id = await mirrored(stage, jobTitle="Pilot")
        services = stage.world.services
        calls = services.tables.calls.total() + stage.world.queues.calls.total()

        report = await ask(stage, user_id)

        assert (report.outcome, report.action, report.state) == (OnDemandOutcome.PROVISIONED, "create", "in_sync")
        assert requests(stage) == {"GET": 1, "POST": 1}
        assert services.tables.calls.total() + stage.world.queues.calls.total() - calls <= 9
        assert stage.world.queues.waiting == []
        assert [step.type for step in report.steps] == list(StepType)
        assert steps_of(report)[StepType.MATCHING] == (LogStatus.SUCCESS, "none")
        assert steps_of(report)[StepType.EXPORT] == (LogStatus.SUCCESS, "create")
        assert {"displayName": "title", "oldValue": None, "newValue": "Pilot"} in report.modified
        assert report.target_id == (await stage.account(user_id)).target_id
        assert report.next == "Nothing is left to be done."
        [line] = await stage.world.log(APP)
        assert line["trace"] == report.trace
        assert await stage.findings() == []


async def test_who_is_in_scope_and_has_no_row_gets_one(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        user_id = await without_row(stage)

        report = await ask(stage, user_id)

        assert report.outcome is OnDemandOutcome.PROVISIONED
        assert await stage.findings() == []
        assert (await stage.account(user_id)).wanted == "0000000000.00000000.001"


async def test_what_does_not_differ_costs_no_request(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        user_id = await stage.provisioned()
        before = len(stage.acme.journal)

        report = await ask(stage, user_id)

        assert (report.outcome, report.action) == (OnDemandOutcome.UNCHANGED, "skip")
        assert requests(stage, before) == {}
        assert steps_of(report)[StepType.EXPORT] == (LogStatus.SKIPPED, "RedundantExport")
        assert steps_of(report)[StepType.MATCHING] == (LogStatus.SUCCESS, "linked")
        assert await stage.findings() == []


async def test_a_change_that_the_sync_has_not_read_yet_counts_when_the_directory_is_read_first(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        user_id = await stage.provisioned(jobTitle="Pilot")
        stage.tenant.update(user_id, jobTitle="Astronaut")

        unread = await ask(stage, user_id)
        report = await ask(stage, user_id, refresh=True)

        assert (unread.outcome, unread.refreshed) == (OnDemandOutcome.UNCHANGED, RefreshOutcome.NOT_ASKED)
        assert (report.outcome, report.action) == (OnDemandOutcome.PROVISIONED, "update")
        assert report.refreshed is RefreshOutcome.READ
        epoch = (await stage.world.services.checkpoints.read()).epoch
        assert epoch in [cycle.epoch for cycle in (await stage.world.services.cycles.read()).recent]
        assert report.modified == ({"displayName": "title", "oldValue": "Pilot", "newValue": "Astronaut"},)
        await stage.settle()
        assert await stage.findings() == []


async def test_a_directory_that_cannot_be_read_does_not_keep_anybody_waiting(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        user_id = await mirrored(stage)
        stage.world.graph.faults.add("throttle", path="users/delta", retry_after="30")

        failed = await ask(stage, user_id, refresh=True)
        waiting = await ask(stage, user_id, refresh=True)

        assert failed.outcome is OnDemandOutcome.PROVISIONED
        assert failed.refreshed is not RefreshOutcome.READ
        assert (waiting.outcome, waiting.refreshed) == (OnDemandOutcome.UNCHANGED, RefreshOutcome.BUSY)


async def test_nobody_is_made_up(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        stranger, outsider = "00000000-0000-0000-0000-00000000dead", stage.hire(assigned=False)
        await stage.sync()
        rows = await stage.world.services.tables.read_range(ACCOUNTS, APP, first="", before="")

        unknown = await ask(stage, stranger)
        outside = await ask(stage, outsider)
        no_group = await ask(stage, stranger, kind="group")

        assert [each.outcome for each in (unknown, outside, no_group)] == [
            OnDemandOutcome.SOURCE_UNKNOWN,
            OnDemandOutcome.SKIPPED,
            OnDemandOutcome.SOURCE_UNKNOWN,
        ]
        assert outside.reason == "NotEffectivelyEntitled"
        assert steps_of(outside)[StepType.SCOPING] == (LogStatus.SKIPPED, "NotEffectivelyEntitled")
        assert (unknown.state, outside.state) == ("", "")
        assert await stage.world.services.tables.read_range(ACCOUNTS, APP, first="", before="") == rows
        assert requests(stage) == {}


async def test_who_waits_on_the_ladder_is_tried_at_once(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        user_id = await mirrored(stage)
        stage.acme.faults.add("error", method="POST", status=400)
        failed = await ask(stage, user_id)
        stage.acme.faults.clear()

        report = await ask(stage, user_id)

        assert (failed.outcome, failed.state) == (OnDemandOutcome.FAILED, "escrowed")
        assert failed.error_code
        assert failed.remedy
        assert failed.next_attempt_at is not None
        export = next(step for step in failed.steps if step.type is StepType.EXPORT)
        assert (export.status, export.details["status"]) == (LogStatus.FAILURE, 400)
        assert report.outcome is OnDemandOutcome.PROVISIONED
        assert await stage.findings() == []


async def test_what_the_mapping_redacts_is_redacted(azurite: str) -> None:
    secret = "mappings: {users: [{target: title, expression: 'Redact([jobTitle])'}]}"
    async with open_stage(azurite, Scenery(more=secret)) as stage:
        user_id = await mirrored(stage, jobTitle="Spymaster")

        report = await ask(stage, user_id)

        assert {"displayName": "title", "oldValue": None, "newValue": "[Redact]"} in report.modified
        assert "Spymaster" not in repr(report)


async def test_a_leaver_below_the_thresholds_loses_access_at_once(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        user_id = await stage.provisioned()
        stage.world.services.puller.guard.release = _no_release  # the round is not over
        stage.tenant.disable(user_id)
        await stage.sync()
        stage.start()

        report = await ask(stage, user_id)

        assert (report.outcome, report.action, report.state) == (OnDemandOutcome.PROVISIONED, "disable", "disabled")
        assert [each.action for each in report.attempts] == ["stageddelete", "disable"]
        assert stage.resource(report.target_id)["active"] is False
        await stage.settle()
        assert await stage.findings() == []


async def _no_release(_application):
    from shared.provisioning.guard import Release, Verdict

    return Release(verdict=Verdict.NOTHING, staged=0)


@pytest.mark.parametrize("answer", ["approve", "reject"])
async def test_a_leaver_above_the_thresholds_is_held_however_often_somebody_asks(answer: str, azurite: str) -> None:
    async with open_stage(azurite, SMALL_GUARD) as stage:
        people = [await stage.provisioned() for _ in range(2)]
        for each in people:
            stage.tenant.disable(each)
        await stage.sync()
        before = len(stage.acme.journal)

        reports = [await ask(stage, each) for each in (*people, *people)]

        assert {report.outcome for report in reports} == {OnDemandOutcome.HELD}
        assert {report.state for report in reports} == {"held"}
        assert requests(stage, before) == {}
        assert "approves or rejects" in reports[0].next

        held = stage.world.services.held_deletions
        number = (await held.read(stage.application)).list_number
        await getattr(held, answer)(stage.application, number)
        last = await ask(stage, people[0])

        if answer == "approve":
            assert (last.outcome, last.action) == (OnDemandOutcome.PROVISIONED, "disable")
        else:
            assert last.outcome is OnDemandOutcome.HELD
            assert last.next.startswith("A person rejected")
            assert stage.resource(last.target_id)["active"] is True


async def test_a_paused_application_is_left_alone(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        user_id = await mirrored(stage)
        await stage.world.services.states.pause(APP, "maintenance")
        before = await stage.account(user_id)

        report = await ask(stage, user_id)

        assert report.outcome is OnDemandOutcome.PAUSED
        assert await stage.account(user_id) == before
        assert requests(stage) == {}


async def test_a_success_ends_a_quarantine_and_nothing_else_does(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        idle, mover = await stage.provisioned(), await stage.provisioned()
        states = stage.world.services.states
        await states.impose_quarantine(APP, "Unauthorized", "the token ended")
        stage.tenant.update(mover, jobTitle="Astronaut")
        await stage.sync()

        unchanged = await ask(stage, idle)
        still = await states.read_fresh(APP)
        stage.acme.faults.add("error", method="PATCH", status=401)
        refused = await ask(stage, mover)
        stage.acme.faults.clear()
        report = await ask(stage, mover)

        assert (unchanged.quarantine_ended, still.status) == (False, ApplicationStatus.QUARANTINE)
        assert (refused.outcome, refused.quarantine_ended) == (OnDemandOutcome.QUARANTINED, False)
        assert (report.outcome, report.quarantine_ended) == (OnDemandOutcome.PROVISIONED, True)
        assert (await states.read_fresh(APP)).status is ApplicationStatus.ACTIVE
        await stage.settle()
        assert await stage.findings() == []


async def test_assignments_that_prove_unreadable_while_the_directory_is_read_stop_the_probe(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        user_id = await mirrored(stage)
        states = stage.world.services.states
        await states.impose_quarantine(APP, "Unauthorized", "the token ended")
        stage.world.graph.faults.add("forbidden", path="*appRoleAssignedTo*", times=1)

        report = await ask(stage, user_id, refresh=True)

        assert (report.outcome, report.reason) == (OnDemandOutcome.QUARANTINED, UNREADABLE)
        assert not report.quarantine_ended
        assert requests(stage) == {}
        assert (await states.read_fresh(APP)).reason == UNREADABLE


async def test_a_vendor_that_asks_for_a_pause_gets_it_and_the_account_is_queued(azurite: str) -> None:
    async with open_stage(azurite, Scenery(more="rate_limit: {requests_per_second: 10}")) as stage:
        user_id = await mirrored(stage)
        await stage.world.services.limiter.block(APP, 600)

        report = await ask(stage, user_id)

        assert report.outcome is OnDemandOutcome.LATER
        assert report.next_attempt_at is not None
        assert (report.next_attempt_at - stage.world.clock.now()).total_seconds() >= 570
        assert [queued.message.id for queued in stage.world.queues.waiting] == [user_id]
        assert requests(stage) == {}
        await stage.settle()
        assert await stage.findings() == []


async def test_a_throttled_write_is_tried_again_within_the_time(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        user_id = await mirrored(stage)
        stage.acme.faults.add("throttle", method="POST", retry_after=5)

        report = await ask(stage, user_id)

        assert (report.outcome, len(report.attempts)) == (OnDemandOutcome.PROVISIONED, 2)
        assert requests(stage) == {"GET": 2, "POST": 2}
        await stage.settle()
        assert await stage.findings() == []


async def test_an_unanswered_create_is_told_and_settled_after_grace(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        user_id = await mirrored(stage)
        stage.acme.faults.add("reset", method="POST", applied=True)

        report = await ask(stage, user_id)
        again = await ask(stage, user_id)

        assert [report.outcome, again.outcome] == [OnDemandOutcome.LATER] * 2
        assert requests(stage)["POST"] == 1
        await stage.settle()
        assert await stage.findings() == []
        assert requests(stage)["POST"] == 1


async def test_who_manages_themselves_is_finished_in_one_go(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        user_id = stage.hire()
        stage.tenant.set_manager(user_id, user_id)
        await stage.sync()
        stage.world.queues.waiting.clear()

        report = await ask(stage, user_id)

        assert (report.outcome, report.action) == (OnDemandOutcome.PROVISIONED, "create")
        assert [each.action for each in report.attempts] == ["create", "update"]
        assert stage.world.queues.waiting == []
        assert await stage.findings() == []


async def test_an_awaited_manager_is_a_warning_and_no_obstacle(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        manager, user_id = stage.hire(assigned=False), stage.hire()
        stage.tenant.set_manager(user_id, manager)
        await stage.sync()

        report = await ask(stage, user_id)

        assert report.outcome is OnDemandOutcome.PROVISIONED
        assert steps_of(report)[StepType.REFERENCE_RESOLUTION] == (LogStatus.WARNING, "0 resolved, 1 awaited")


async def test_two_processes_asked_at_once_make_one_account(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        user_id = await mirrored(stage)
        other = stage.world.new_services()
        other.__dict__["tables"] = stage.world.services.tables
        tame(other)
        other.on_demand.budget_s = 3.0
        reports: list[OnDemandReport] = []
        exporter = stage.world.services.reconciler.exporter
        send = exporter.send

        async def slow_send(attempt):
            exporter.send = send
            reports.append(await other.on_demand.provision(other.applications[APP], ResourceKind.USER, user_id))
            return await send(attempt)

        exporter.send = slow_send

        reports.append(await ask(stage, user_id))

        assert requests(stage) == {"GET": 1, "POST": 1}
        assert [report.outcome for report in reports] == [OnDemandOutcome.BUSY, OnDemandOutcome.PROVISIONED]
        assert 3_000 <= reports[0].duration_ms <= 5_000
        await stage.settle()
        assert requests(stage) == {"GET": 1, "POST": 1}
        assert await stage.findings() == []


async def test_a_message_of_the_running_service_meets_it_and_one_account_is_made(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        user_id = stage.hire()
        await stage.sync()
        exporter = stage.world.services.reconciler.exporter
        send = exporter.send

        async def slow_send(attempt):
            exporter.send = send
            assert await stage.deliver_one()
            return await send(attempt)

        exporter.send = slow_send

        report = await ask(stage, user_id)

        assert report.outcome is OnDemandOutcome.PROVISIONED
        assert requests(stage) == {"GET": 1, "POST": 1}
        assert [outcome.reason for outcome in stage.outcomes] == ["leased"]
        await stage.settle()
        assert requests(stage) == {"GET": 1, "POST": 1}
        assert await stage.findings() == []


@pytest.mark.parametrize("moment", list(Moment))
async def test_who_dies_after_the_raise_leaves_a_row_that_the_sweep_queues(moment: Moment, azurite: str) -> None:
    async with open_stage(azurite) as stage:
        user_id = await without_row(stage)

        def die(write: DurableWrite, at: Moment) -> None:
            if (write, at) == (DurableWrite.RAISE_ASKED, moment):
                raise Killed

        stage.start(die)
        with pytest.raises(Killed):
            await ask(stage, user_id)
        stage.start()
        account = await stage.account(user_id)
        await stage.keep_house()
        await stage.deliver()

        if moment is Moment.AFTER:
            assert (await stage.account(user_id)).state is AccountState.IN_SYNC
            assert await stage.findings() == []
        else:
            assert account == Account(application=APP, kind=ResourceKind.USER, source_id=user_id)


async def test_a_person_who_waits_goes_before_the_backlog_and_leaves_the_leavers_head_room(azurite: str) -> None:
    async with open_stage(azurite, Scenery(more="rate_limit: {requests_per_second: 10}")) as stage:
        leaver = await stage.provisioned()
        joiner = await mirrored(stage)
        stage.tenant.disable(leaver)
        stage.world.services.puller.guard.release = _no_release
        await stage.sync()
        stage.start()
        limiter = stage.world.services.limiter
        reserve, overtakes = limiter.reserve, list[bool]()

        async def watched(app, rate, *, first, **more):
            overtakes.append(first)
            return await reserve(app, rate, first=first, **more)

        limiter.reserve = watched
        # The backlog of other workers has every slot it may take: those of the next second, and a little more.
        taken = {"next_slot": write_instant(stage.world.clock.now() + timedelta(seconds=1.3)), "blocked_until": ""}
        await stage.world.services.tables.commit(
            DurableWrite.LIMITER, "applications", APP, [Operation.merge("limiter", taken)]
        )
        began = stage.world.clock.elapsed
        joined = await ask(stage, joiner)
        waited, for_joiner = stage.world.clock.elapsed - began, list(overtakes)
        left = await ask(stage, leaver)

        assert [joined.outcome, left.outcome] == [OnDemandOutcome.PROVISIONED] * 2
        assert [len(joined.attempts), len(left.attempts)] == [1, 2]
        assert waited < 2.0
        assert set(for_joiner) == {False}
        assert set(overtakes[len(for_joiner) :]) == {True}
        await stage.settle()
        assert await stage.findings() == []
