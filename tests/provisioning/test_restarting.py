"""An application that a person restarts: what is sent again, what is not, and that no leaver is ever left active."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.provisioning.accounts import ACCOUNTS, FROM_START, AccountState, ResourceKind, account_key
from shared.provisioning.applications_state import ApplicationStatus
from shared.provisioning.checkpoint import RestartMark
from shared.provisioning.generations import generation_of, is_behind, next_generation, row_config
from shared.provisioning.restarting import RestartReport, RestartScope
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation
from tests.provisioning.group_worlds import group_row, groups_of
from tests.provisioning.meddling import meddle
from tests.provisioning.stories import APP, Scenery, Stage, message_about, open_stage
from tests.world import START

HASHES = st.text("0123456789abcdef", min_size=1, max_size=16)
GENERATIONS = st.integers(min_value=0, max_value=10**6)
GROUPS = Scenery(more="groups: {enabled: true, members_per_patch: 2}")


async def restart(stage: Stage, *scopes: str) -> RestartReport:
    return await stage.world.services.restarts.restart(stage.application, {RestartScope(scope) for scope in scopes})


async def carried_out(stage: Stage) -> Counter[str]:
    """The next sync and what follows; the requests that it took."""
    before = len(stage.acme.journal)
    await stage.tick()
    await stage.deliver()
    await stage.settle()
    return Counter(entry.method for entry in stage.acme.journal[before:])


@given(HASHES, GENERATIONS, GENERATIONS)
def test_a_row_is_behind_until_it_was_applied_after_the_last_restart(config: str, old: int, new: int) -> None:
    row, current = row_config(config, old), row_config(config, new)

    assert generation_of(row) == old
    assert is_behind(row, current) is (old < new)
    assert is_behind(row, row_config(config + "0", old))


@given(GENERATIONS, st.integers(min_value=0, max_value=10**9))
def test_a_restart_has_a_higher_number_than_the_one_before_also_when_that_is_forgotten(last: int, seconds: int) -> None:
    now = START + timedelta(seconds=seconds)
    first = next_generation(0, now)

    assert next_generation(last, now) > last
    assert next_generation(0, now + timedelta(seconds=last + 1)) > first + last


@given(HASHES)
def test_rows_of_an_application_that_was_never_restarted_look_as_ever(config: str) -> None:
    assert row_config(config, 0) == config


async def test_every_account_is_looked_at_again_and_nothing_is_sent(azurite: str) -> None:
    async with open_stage(azurite, GROUPS) as stage:
        people = [await stage.provisioned() for _ in range(3)]
        await stage.provisioned_group(*people)
        stage.tenant.disable(people[0])
        await stage.settle()
        stage.start()
        lines = len(await stage.world.log(APP))

        began = int(stage.world.clock.now().timestamp())
        report = await restart(stage, "watermark")
        requests = await carried_out(stage)

        assert requests == {}
        assert (report.generation, report.scopes) == (began, (RestartScope.WATERMARK,))
        assert len(await stage.world.log(APP)) == lines + 4
        assert {(await stage.account(each)).config for each in people} == {
            f"{stage.application.config_hash}.{report.generation}"
        }
        assert await stage.findings() == []
        assert await stage.world.services.checkpoints.read_restart(APP) is None


async def test_who_has_no_row_gets_one(azurite: str) -> None:
    async with open_stage(azurite, GROUPS) as stage:
        user_id, other = await stage.provisioned(), await stage.provisioned()
        group_id = await stage.provisioned_group(other)
        for kind, lost in ((ResourceKind.USER, user_id), (ResourceKind.GROUP, group_id)):
            account = await stage.world.services.rows.read(APP, kind, lost)
            gone = [Operation.delete(key) for key in (account_key(kind, lost), f"target:{kind}:{account.target_id}")]
            await stage.world.services.tables.commit(DurableWrite.LOG, ACCOUNTS, APP, gone)

        await restart(stage, "watermark")
        await carried_out(stage)

        assert (await stage.account(user_id)).state is AccountState.IN_SYNC
        assert len(stage.acme.resources("User")) == 2
        assert [len(members) for members in groups_of(stage.world, APP).values()] == [1]
        assert await stage.findings() == []


async def test_the_mapped_state_of_every_linked_account_is_sent_again_at_its_id(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        stays, leaver = await stage.provisioned(jobTitle="Pilot"), await stage.provisioned()
        stage.tenant.disable(leaver)
        await stage.settle()
        ids = {each: (await stage.account(each)).target_id for each in (stays, leaver)}
        meddle(stage.acme, ids[stays], title="Meddled")
        meddle(stage.acme, ids[leaver], active=True)

        report = await restart(stage, "links")
        requests = await carried_out(stage)

        assert report.scopes == (RestartScope.WATERMARK, RestartScope.LINKS)
        assert requests == {"PATCH": 2}
        assert stage.resource(ids[stays])["title"] == "Pilot"
        assert stage.resource(ids[leaver])["active"] is False
        assert {each: (await stage.account(each)).target_id for each in ids} == ids
        assert await stage.findings() == []

        assert await carried_out(stage) == {}


async def test_leavers_of_long_ago_are_switched_off_again_without_a_hold(azurite: str) -> None:
    async with open_stage(azurite, Scenery(guard="{max_count: 1, max_percent: 100, min_population: 0}")) as stage:
        leavers = [await stage.provisioned() for _ in range(3)]
        for each in leavers:
            stage.tenant.disable(each)
            await stage.settle()
            await stage.pass_time(25 * 3600)
        for each in leavers:
            meddle(stage.acme, (await stage.account(each)).target_id, active=True)

        await restart(stage, "links")
        requests = await carried_out(stage)

        assert requests == {"PATCH": 3}
        assert await stage.findings() == []


async def test_a_restart_is_no_way_around_a_hold_or_a_persons_answer(azurite: str) -> None:
    async with open_stage(azurite, Scenery(guard="{max_count: 1, max_percent: 100, min_population: 0}")) as stage:
        rejected = [await stage.provisioned() for _ in range(2)]
        held = [await stage.provisioned() for _ in range(2)]
        services = stage.world.services
        for each in rejected:
            stage.tenant.disable(each)
        await stage.settle()
        number = (await services.held_deletions.read(stage.application)).list_number
        await services.held_deletions.reject(stage.application, number)
        for each in held:
            stage.tenant.disable(each)
        await stage.settle()
        before = len(stage.acme.journal)

        await restart(stage, "watermark", "links", "escrows", "quarantine")
        await carried_out(stage)

        assert [entry.method for entry in stage.acme.journal[before:]] == []
        active = [stage.resource((await stage.account(each)).target_id)["active"] for each in (*rejected, *held)]
        assert active == [True] * 4
        listed = {account.source_id for account in (await services.held_deletions.read(stage.application)).accounts}
        assert listed == set(held)


async def test_a_leaver_who_waits_for_the_guard_is_asserted_when_released(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        user_id = await stage.provisioned()
        await restart(stage, "links")
        stage.tenant.disable(user_id)
        requests = await carried_out(stage)

        assert requests == {"PATCH": 1}
        account = await stage.account(user_id)
        assert stage.resource(account.target_id)["active"] is False
        assert account.state is AccountState.DISABLED
        assert await stage.findings() == []


async def test_a_vendor_that_lost_everything_holds_it_all_again(azurite: str) -> None:
    async with open_stage(azurite, GROUPS) as stage:
        people = [await stage.provisioned() for _ in range(3)]
        leaver = await stage.provisioned()
        await stage.provisioned_group(*people)
        stage.tenant.disable(leaver)
        await stage.settle()
        await stage.pass_time(1000)
        for endpoint in ("User", "Group"):
            for resource in stage.acme.resources(endpoint):
                stage.vanish(resource["id"], f"{endpoint}s")

        await restart(stage, "links")
        await carried_out(stage)

        names = {str(found["userName"]).casefold() for found in stage.acme.resources("User")}
        assert names == {str(stage.mapped(each).attributes["userName"]).casefold() for each in people}
        assert [len(members) for members in groups_of(stage.world, APP).values()] == [3]
        assert (await stage.account(leaver)).state is AccountState.SKIPPED
        assert await stage.findings(excused={leaver}) == []


async def test_memberships_that_the_vendor_lost_are_sent_again(azurite: str) -> None:
    async with open_stage(azurite, GROUPS) as stage:
        people = [await stage.provisioned() for _ in range(5)]
        group_id = await stage.provisioned_group(*people)
        account = await stage.world.services.rows.read(APP, ResourceKind.GROUP, group_id)
        meddle(stage.acme, account.target_id, "Groups", members=None)

        await restart(stage, "links")
        requests = await carried_out(stage)

        assert [len(members) for members in groups_of(stage.world, APP).values()] == [5]
        # Five people, the group itself, and five members two at a time.
        assert requests == {"PATCH": 5 + 1 + 3}
        assert await stage.findings() == []
        assert await carried_out(stage) == {}


async def test_a_group_whose_members_were_half_compared_is_compared_from_the_start(azurite: str) -> None:
    async with open_stage(azurite, GROUPS) as stage:
        people = [await stage.provisioned() for _ in range(8)]
        group_id = stage.form(*people)
        await stage.sync()
        while (account := await group_row(stage.world, group_id)).fill in ("", FROM_START) or not account.target_id:
            assert await stage.deliver_one()
        meddle(stage.acme, account.target_id, "Groups", members=None)

        await restart(stage, "links")
        await stage.settle()

        assert [len(members) for members in groups_of(stage.world, APP).values()] == [8]
        assert await stage.findings() == []


async def test_a_restart_that_meets_another_one_has_a_number_of_its_own(azurite: str) -> None:
    """`watermark` is marked; while `links` begins, the puller carries it out and a consumer applies a row after it."""
    async with open_stage(azurite) as stage:
        user_id = await stage.provisioned()
        target_id = (await stage.account(user_id)).target_id
        meddle(stage.acme, target_id, title="Meddled")
        services = stage.world.services
        await services.checkpoints.mark_restart(RestartMark(app=APP, generation=1, asserts=False, etag=""))
        mark = services.checkpoints.mark_restart

        async def mark_while_the_first_is_carried_out(noted: RestartMark) -> None:
            await mark(noted)
            await services.states.begin_generation(APP, 1, asserts=False)
            await services.reconciler.provision(message_about(user_id), first=False)

        services.checkpoints.mark_restart = mark_while_the_first_is_carried_out
        report = await restart(stage, "links")
        services.checkpoints.mark_restart = mark

        assert await carried_out(stage) == {"PATCH": 1}
        assert report.generation == 2
        assert stage.resource(target_id)["title"] != "Meddled"
        assert await stage.findings() == []


async def test_who_is_refused_keeps_being_due_until_everything_was_sent_again(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        user_id = await stage.provisioned()
        target_id = (await stage.account(user_id)).target_id
        meddle(stage.acme, target_id, title="Meddled")
        stage.acme.faults.add("error", method="PATCH", status=400)
        await restart(stage, "links")
        await stage.tick()
        await stage.deliver()
        refused = await stage.account(user_id)
        stage.acme.faults.clear()

        await restart(stage, "escrows")
        await carried_out(stage)

        assert (refused.state, refused.pending) == (AccountState.ESCROWED, True)
        assert stage.resource(target_id)["title"] != "Meddled"
        assert await stage.findings() == []


async def test_failed_accounts_are_tried_again_and_a_quarantine_ends(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        user_id = await stage.provisioned()
        stage.acme.faults.add("error", method="PATCH", status=400)
        stage.tenant.update(user_id, jobTitle="Astronaut")
        await stage.sync()
        await stage.deliver()
        stage.acme.faults.clear()
        states = stage.world.services.states
        await states.impose_quarantine(APP, "Unauthorized", "the token ended")

        report = await restart(stage, "escrows", "quarantine")

        assert (report.retried, report.quarantine_ended, report.generation) == (1, True, 0)
        assert (await states.read_fresh(APP)).status is ApplicationStatus.ACTIVE
        await stage.keep_house()
        await stage.settle()
        assert await stage.findings() == []


async def test_a_persons_pause_outlives_a_restart(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        await stage.provisioned()
        await stage.world.services.states.pause(APP, "maintenance")

        report = await restart(stage, "watermark", "links", "escrows", "quarantine")
        requests = await carried_out(stage)

        assert (report.quarantine_ended, report.stopped) == (False, "Paused")
        assert "paused by a person" in report.watch
        assert requests == {}


async def test_a_restart_that_was_interrupted_is_carried_out_by_the_next_sync(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        user_id = await stage.provisioned()
        target_id = (await stage.account(user_id)).target_id
        meddle(stage.acme, target_id, title="Meddled")
        services = stage.world.services
        begin, services.states.begin_generation = services.states.begin_generation, _die
        with pytest.raises(ConnectionError):
            await restart(stage, "links")
        services.states.begin_generation = begin
        mark = await services.checkpoints.read_restart(APP)
        stage.start()

        assert await carried_out(stage) == {"PATCH": 1}
        assert stage.resource(target_id)["title"] != "Meddled"
        assert mark is not None
        assert (await stage.world.services.states.read_fresh(APP)).generation == mark.generation


async def _die(*_: object, **__: object) -> None:
    raise ConnectionError


async def test_a_restart_of_nothing_is_refused(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        with pytest.raises(ValueError, match="at least one scope"):
            await restart(stage)
