"""A group of any size at once: in as many requests as it needs, and with a word about what is left."""

from __future__ import annotations

from datetime import timedelta

from shared.provisioning.accounts import ACCOUNTS, Intent, IntentKind, ResourceKind, write_columns
from shared.provisioning.applications_state import ApplicationStatus
from shared.provisioning.on_demand import OnDemandOutcome, OnDemandReport
from shared.provisioning.provisioning_log import LogStatus, StepType
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation
from tests.provisioning.group_worlds import expected_groups, groups_of, requests_about_groups
from tests.provisioning.pulls import APP, people
from tests.provisioning.stories import Scenery, open_stage
from tests.provisioning.test_group_counts import CHUNKS_OF_TEN, EVERYBODY, company, members_of
from tests.world import World

EVERYBODY_BY_TEN = "scope: all\n" + CHUNKS_OF_TEN


async def ask(world: World, group_id: str) -> OnDemandReport:
    return await world.services.on_demand.provision(world.services.applications[APP], ResourceKind.GROUP, group_id)


async def test_a_thousand_members_take_a_look_up_a_post_and_ten_requests(azurite: str, name_prefix: str) -> None:
    async with company(azurite, name_prefix, users=1300, more=EVERYBODY) as world:
        team = world.tenant.create_group("Team", members=people(world, 1000))
        await world.sync()
        world.queues.waiting.clear()
        journal = len(world.vendors[APP].journal)

        report = await ask(world, team)

        assert (report.outcome, report.action) == (OnDemandOutcome.PROVISIONED, "create")
        assert requests_about_groups(world, journal) == {"GET": 1, "POST": 1, "PATCH": 10}
        assert groups_of(world) == {"Team": members_of(world, team)}
        assert len(groups_of(world)["Team"]) == 1000
        assert world.queues.waiting == []
        steps = {step.type: step for step in report.attempts[1].steps}
        assert steps[StepType.REFERENCE_RESOLUTION].description == "members: 100 to add, 0 to remove"
        assert steps[StepType.EXPORT].description == "members: 100 added, 0 removed"

        again = await ask(world, team)

        assert again.outcome is OnDemandOutcome.UNCHANGED
        assert requests_about_groups(world, journal).total() == 12


async def test_what_does_not_fit_the_time_is_left_to_the_queue(azurite: str, name_prefix: str) -> None:
    async with company(azurite, name_prefix, users=60, more=EVERYBODY_BY_TEN) as world:
        team = world.tenant.create_group("Team", members=people(world, 45))
        await world.sync()
        world.queues.waiting.clear()
        exporter = world.services.reconciler.exporter
        send = exporter.send

        async def slow_send(attempt):
            world.clock.advance(7.0)
            return await send(attempt)

        exporter.send = slow_send

        report = await ask(world, team)

        assert (report.outcome, report.pending) == (OnDemandOutcome.UNFINISHED, True)
        assert len(groups_of(world)["Team"]) == 20
        assert report.left == 25
        assert "25 memberships are left" in report.next
        assert [queued.message.id for queued in world.queues.waiting] == [team]
        exporter.send = send
        await world.settle()
        assert groups_of(world) == expected_groups(world) | {"Team": members_of(world, team)}


async def test_a_membership_that_was_missed_is_found_by_asking_for_the_group(azurite: str, name_prefix: str) -> None:
    async with company(azurite, name_prefix, users=30, more=EVERYBODY_BY_TEN) as world:
        team = world.tenant.create_group("Team", members=people(world, 12))
        await world.sync()
        await world.settle()
        rows = await world.services.tables.read_range("accounts", APP, first="member:", before="member;")
        await _forget(world, rows[0].key)
        journal = len(world.vendors[APP].journal)

        report = await ask(world, team)

        assert report.outcome is OnDemandOutcome.PROVISIONED
        assert requests_about_groups(world, journal) == {"PATCH": 1}
        assert [each.status for each in report.attempts][-1] is LogStatus.SUCCESS


async def test_a_member_whose_account_is_being_written_is_waited_for_in_few_looks_and_one_message(azurite: str) -> None:
    async with open_stage(azurite, Scenery(more="groups: {enabled: true}")) as stage:
        member, joins = [await stage.provisioned() for _ in range(2)]
        group_id = await stage.provisioned_group(member)
        stage.tenant.add_member(group_id, joins)
        await stage.sync()
        stage.world.queues.waiting.clear()
        now, account = stage.world.clock.now(), await stage.account(joins)
        at_work = write_columns(
            lease_token="other",
            lease_until=now + timedelta(seconds=60),
            intent=Intent(kind=IntentKind.PATCH),
            intent_at=now,
        )
        leased = Operation.merge(account.key, at_work)
        await stage.world.services.tables.commit(DurableWrite.LEASE_AND_INTENT, ACCOUNTS, APP, [leased])

        report = await ask(stage.world, group_id)

        assert report.outcome is OnDemandOutcome.UNFINISHED
        assert len(report.attempts) <= 10
        assert [queued.message.id for queued in stage.world.queues.waiting] == [group_id]
        await stage.settle()
        assert await stage.findings() == []


async def test_a_persons_pause_stops_a_probe_between_two_requests(azurite: str) -> None:
    async with open_stage(azurite, Scenery(more="groups: {enabled: true, members_per_patch: 2}")) as stage:
        members = [await stage.provisioned() for _ in range(8)]
        group_id = stage.form(*members)
        await stage.sync()
        stage.world.queues.waiting.clear()
        services = stage.world.services
        await services.states.impose_quarantine(APP, "TooManyFailures", "too many accounts failed")
        exporter = services.reconciler.exporter
        send = exporter.send

        async def send_and_pause(attempt):
            await services.states.pause(APP, "stop now")
            return await send(attempt)

        exporter.send = send_and_pause

        report = await ask(stage.world, group_id)

        assert report.outcome is OnDemandOutcome.PAUSED
        assert requests_about_groups(stage.world) == {"GET": 1, "POST": 1}
        assert (await services.states.read_fresh(APP)).status is ApplicationStatus.PAUSED


async def test_a_group_that_goes_on_without_a_refused_member_is_left_to_the_queue_in_time(azurite: str) -> None:
    async with open_stage(azurite, Scenery(more="groups: {enabled: true}")) as stage:
        group_id = await stage.provisioned_group(await stage.provisioned())
        stage.tenant.add_member(group_id, await stage.provisioned())
        await stage.sync()
        stage.world.queues.waiting.clear()
        stage.acme.faults.add("error", method="PATCH", path="Groups", status=400, times=1)
        on_demand = stage.world.services.on_demand
        on_demand.budget_s = 0.0

        report = await ask(stage.world, group_id)

        assert report.pending
        assert [queued.message.id for queued in stage.world.queues.waiting] == [group_id]


async def _forget(world: World, key: str) -> None:
    await world.services.tables.commit(DurableWrite.MEMBERS, "accounts", APP, [Operation.delete(key)])


async def test_a_group_that_would_lose_many_is_held(azurite: str, name_prefix: str) -> None:
    more = EVERYBODY_BY_TEN
    async with company(azurite, name_prefix, users=40, more=more) as world:
        path = world.services.settings.provisioning_config
        text = path.read_text("utf-8")
        path.write_text(text.replace("max_count: 1000", "max_count: 3"), "utf-8")
        world.restart()
        team = world.tenant.create_group("Team", members=people(world, 12))
        await world.sync()
        await world.settle()
        for user_id in people(world, 8):
            world.tenant.remove_member(team, user_id)
        await world.sync()
        world.queues.waiting.clear()

        report = await ask(world, team)

        assert report.outcome is OnDemandOutcome.HELD
        assert len(groups_of(world)["Team"]) == 12
