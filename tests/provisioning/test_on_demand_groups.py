"""A group of any size at once: in as many requests as it needs, and with a word about what is left."""

from __future__ import annotations

from shared.provisioning.accounts import ResourceKind
from shared.provisioning.on_demand import OnDemandOutcome, OnDemandReport
from shared.provisioning.provisioning_log import LogStatus, StepType
from tests.provisioning.group_worlds import expected_groups, groups_of, requests_about_groups
from tests.provisioning.pulls import APP, people
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


async def _forget(world: World, key: str) -> None:
    from shared.storage.durable_writes import DurableWrite
    from shared.storage.tables import Operation

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
