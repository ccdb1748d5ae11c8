"""The preview tells the truth: what it foretells is what the product then does, request for request."""

from __future__ import annotations

from shared.provisioning.accounts import ResourceKind
from shared.provisioning.guard import Verdict
from shared.storage.durable_writes import DurableWrite
from tests.operations.previews import accounts_of, counted, foretold, only, preview, provisioned, sent
from tests.operations.test_held import narrow_guard
from tests.provisioning.pulls import APP, CONFIRM_S, assign, calm, people, pulling, tick, unassign
from tests.world import World


async def foresee_and_do(world: World) -> None:
    """Preview what the sync found, let it happen, and compare action by action and request by request."""
    await world.sync()
    journal, log = len(world.vendors[APP].journal), len(await world.log(APP))
    report = await preview(world)
    assert len(world.vendors[APP].journal) == journal
    await world.settle()
    done = await provisioned(world, log)
    assert counted(report) == dict(done)
    assert foretold(only(report).requests) == sent(world, journal)
    assert only(report).requests.total == sent(world, journal).total()


async def test_the_initial_cycle_is_foreseen_and_afterwards_nothing_is_to_do(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more="scope: all") as world:
        await foresee_and_do(world)
        report = await preview(world, with_skipped=True)

        assert counted(report) == {}
        assert only(report).requests.total == 0
        assert only(report).counts["skip"]["unchanged"] == len(world.active(APP))
        assert len(report.accounts) == report.looked_at


async def test_a_day_of_joiners_movers_and_leavers_is_foreseen(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more="scope: all") as world:
        await calm(world)
        mover, leaver, deleted, returner = people(world, 4)
        world.tenant.disable(returner)
        await calm(world)
        world.tenant.update(mover, jobTitle="Astronaut")
        world.tenant.disable(leaver)
        world.tenant.purge(deleted)
        world.tenant.enable(returner)
        world.tenant.hire(jobTitle="Admiral")

        await foresee_and_do(world)


async def test_what_an_account_would_get_is_shown_old_and_new(azurite: str, name_prefix: str) -> None:
    more = "scope: all\nmappings: {users: [{target: externalId, source: mailNickname, redact: true}]}"
    async with pulling(azurite, name_prefix, more=more) as world:
        await calm(world)
        [mover] = people(world, 1)
        was = world.tenant.user(mover).get("jobTitle")
        world.tenant.update(mover, jobTitle="Astronaut", mailNickname="confidential")
        await world.sync()

        report = await preview(world)
        alone = await world.services.previewer.preview_account(APP, ResourceKind.USER, mover)

        [shown] = report.accounts
        changes = {each.name: (each.old, each.new) for each in shown.modified}
        assert changes == {"title": (was, "Astronaut"), "externalId": ("[Redact]", "[Redact]")}
        assert alone == shown
        assert "confidential" not in repr(report)


async def test_managers_are_foreseen_within_bounds(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more="scope: all") as world:
        manager, *team = people(world, 4)
        for report_id in team:
            world.tenant.set_manager(report_id, manager)
        await world.sync()
        report = await preview(world)
        journal = len(world.vendors[APP].journal)
        await world.settle()

        requests = only(report).requests
        assert requests.total <= sent(world, journal).total() <= requests.total + requests.more_at_most
        world.tenant.set_manager(team[0], team[1])
        await foresee_and_do(world)


async def test_a_hold_is_foreseen_with_its_number_and_then_seen(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more="scope: all") as world:
        narrow_guard(world, 2)
        await calm(world)
        mover, *leavers = people(world, 4)
        world.tenant.update(mover, jobTitle="Astronaut")
        for leaver in leavers:
            world.tenant.disable(leaver)
        await world.sync()
        report = await preview(world)
        journal = len(world.vendors[APP].journal)
        await world.settle()
        held = await world.services.held_deletions.read(world.services.applications[APP])
        again = await preview(world)

        guard = only(report).guard
        assert guard is not None
        assert (guard.verdict, guard.counted, guard.held) == (Verdict.HOLD, 3, len(held.accounts))
        assert foretold(only(report).requests) == sent(world, journal) == {"PATCH": 1}
        assert only(again).obstacles == {"held": 3}
        assert only(again).guard is not None
        assert only(again).guard.is_holding
        assert only(again).guard.verdict is Verdict.HOLD
        assert only(again).requests.total == 0


async def test_whom_a_person_kept_is_no_departure_until_something_changes(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more="scope: all") as world:
        narrow_guard(world, 1)
        await calm(world)
        for leaver in people(world, 2):
            world.tenant.disable(leaver)
        await calm(world)
        application = world.services.applications[APP]
        held = await world.services.held_deletions.read(application)
        await world.services.held_deletions.reject(application, held.list_number)
        report = only(await preview(world))

        assert report.obstacles == {"rejected": 2}
        assert report.guard is not None
        assert (report.guard.verdict, report.guard.counted) == (Verdict.NOTHING, 0)
        assert report.requests.total == 0


async def test_an_awaited_manager_is_named(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix) as world:
        manager, report_id = people(world, 2)
        world.tenant.set_manager(report_id, manager)
        assign(world, report_id)
        await calm(world)
        with_account = await world.services.previewer.preview_account(APP, ResourceKind.USER, report_id)
        assign(world, manager)
        await world.sync()
        before = only(await preview(world)).requests
        journal = len(world.vendors[APP].journal)
        await world.settle()

        assert (with_account.action, with_account.reason) == ("skip", "unchanged")
        assert [path.rpartition(":")[2] for path in with_account.awaited] == ["manager"]
        assert (before.total, before.more_at_most) == (2, 1)
        assert sent(world, journal).total() == 3


async def test_applications_are_counted_apart_in_one_go(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more="scope: all", apps=(APP, "other")) as world:
        await world.sync()
        report = await preview(world)
        alone = await preview(world, application="other")
        await world.settle()

        for app in (APP, "other"):
            assert counted(report, app) == {"create": len(world.active(app))}
            assert foretold(only(report, app).requests) == sent(world, 0, app)
        assert alone.applications == (only(report, "other"),)


async def test_what_was_released_lately_counts(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more="scope: all") as world:
        narrow_guard(world, 2)
        await calm(world)
        for leaver in people(world, 2):
            world.tenant.disable(leaver)
        await world.sync()
        report = await preview(world)
        await world.settle()
        for leaver in people(world, 1):
            world.tenant.disable(leaver)
        await world.sync()
        later = await preview(world)

        assert (only(report).guard.verdict, only(report).guard.released) == (Verdict.NOTHING, 2)
        assert only(report).requests.disables == 2
        assert (only(later).guard.verdict, only(later).guard.held, only(later).guard.released) == (Verdict.HOLD, 1, 2)


async def test_who_is_refused_is_refused_and_waits_in_escrow_afterwards(azurite: str, name_prefix: str) -> None:
    more = "scope: all\nattributes: {users: [{path: costly, required: true}]}\n"
    more += "mappings: {users: [{target: costly, source: employeeId}]}"
    async with pulling(azurite, name_prefix, more=more) as world:
        for user_id in world.tenant.user_ids():
            world.tenant.update(user_id, employeeId="17")
        [lacking] = people(world, 1)
        world.tenant.update(lacking, employeeId=None)
        await world.sync()
        report = await preview(world)
        await world.settle()
        again = await preview(world)

        assert counted(report)["refused"] == counted(again)["refused"] == 1
        [refused] = [each for each in report.accounts if each.action == "refused"]
        assert (refused.source_id, refused.reason) == (lacking, "InvalidData")
        assert "costly" in refused.detail
        assert (await world.account(APP, lacking)).state == "escrowed"
        assert only(again).obstacles == {"escrowed": 1}


async def test_an_account_that_the_vendor_refused_is_no_request_until_it_is_due(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more="scope: all") as world:
        await calm(world)
        [mover] = people(world, 1)
        world.tenant.update(mover, jobTitle="Astronaut")
        world.vendors[APP].faults.add("error", status=400, method="PATCH", times=1)
        await world.sync()
        await world.deliver()
        report = await preview(world)

        [shown] = report.accounts
        assert (shown.action, shown.obstacle) == ("update", "escrowed")
        assert shown.next_attempt_at == (await world.account(APP, mover)).next_attempt_at
        assert only(report).requests.total == 0


async def test_unassigned_people_leave_and_strangers_are_not_counted(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix) as world:
        stays, leaves = people(world, 2)
        for user_id in (stays, leaves):
            assign(world, user_id)
        await calm(world)
        unassign(world, leaves)
        await tick(world)
        early = await preview(world)
        world.clock.advance(CONFIRM_S)
        await world.sync()
        late = await preview(world, with_skipped=True)

        assert counted(early) == {}
        assert counted(late) == {"disable": 1}
        assert accounts_of(late) == {
            stays: "skip: unchanged",
            leaves: "disable: NotEffectivelyEntitled",
        }


async def test_a_row_whose_person_the_mirror_never_saw_waits(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix) as world:
        assign(world, world.tenant.create_group("Ghosts"))
        unknown = "99999999-0000-0000-0000-000000000000"
        await world.services.rows.save_unleased(
            DurableWrite.SAVE,
            await world.account(APP, unknown),
            columns={"wanted": "0000000001.00000001.000", "pending": True},
            entry=None,
        )

        report = await preview(world)

        assert counted(report)["wait"] == 1
        assert accounts_of(report, unknown) == {unknown: "wait: source_unknown"}
