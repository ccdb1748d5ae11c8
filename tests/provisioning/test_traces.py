"""One trace from the run that saw a change to the vendor's answer, whichever way the account took in between."""

from collections.abc import Iterator

import pytest

from shared import tracing
from shared.provisioning.accounts import ACCOUNTS, ResourceKind, account_key
from shared.provisioning.restarting import RestartScope
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation
from tests.provisioning.pulls import APP, assign, pulling, unassign
from tests.spans import Recorded, recording, trace_of
from tests.world import World

HOSTILE = ["x" * 30_000, "00-\r\ninjected: yes", 7, "", "not-a-trace"]


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    with recording() as spans:
        yield spans


async def joined(world: World, count: int) -> list[str]:
    """So many people with accounts."""
    people = world.tenant.user_ids()[:count]
    for user_id in people:
        assign(world, user_id)
    await world.provision_all()
    return people


async def test_a_leaver_has_one_trace_through_the_guard(azurite: str, name_prefix: str, recorded: Recorded) -> None:
    async with pulling(azurite, name_prefix) as world:
        leaver = (await joined(world, 3))[0]
        recorded.clear()
        world.tenant.disable(leaver)

        await world.provision_all()

        (disable,) = recorded.attempts("disable")
        assert {trace_of(disable)} == recorded.pulls()
        requests = recorded.named(tracing.SpanName.SCIM_REQUEST)
        assert {trace_of(each) for each in requests} == {trace_of(disable)}
        assert {entry["trace"].split("-")[1] for entry in await world.log(APP) if entry["action"] == "disable"} == {
            f"{trace_of(disable):032x}"
        }


async def test_more_leavers_than_are_queued_at_once_have_it_too(
    azurite: str, name_prefix: str, recorded: Recorded
) -> None:
    async with pulling(azurite, name_prefix, users=130) as world:
        people = await joined(world, 120)
        recorded.clear()
        for user_id in people:
            world.tenant.disable(user_id)

        await world.provision_all()

        disables = recorded.attempts("disable")
        assert len(disables) > 100
        assert {trace_of(each) for each in disables} == recorded.pulls()


async def test_joiners_who_waited_in_a_list_have_the_trace_of_the_run_that_saw_them(
    azurite: str, name_prefix: str, recorded: Recorded
) -> None:
    async with pulling(azurite, name_prefix, users=130) as world:
        people = world.tenant.user_ids()
        for user_id in people:
            assign(world, user_id)

        await world.sync()
        seen = recorded.pulls()
        await world.settle()

        creates = recorded.attempts("create")
        assert len(creates) > 100
        assert {trace_of(each) for each in creates} == seen
        assert len(seen) == 1


async def test_an_account_whose_message_was_lost_keeps_its_trace(
    azurite: str, name_prefix: str, recorded: Recorded
) -> None:
    async with pulling(azurite, name_prefix) as world:
        assign(world, world.tenant.user_ids()[0])
        await world.sync()
        world.queues.waiting.clear()

        await world.settle()

        (create,) = recorded.attempts("create")
        assert {trace_of(create)} == recorded.pulls()


async def test_an_account_that_a_person_lets_try_again_keeps_its_trace(
    azurite: str, name_prefix: str, recorded: Recorded
) -> None:
    async with pulling(azurite, name_prefix) as world:
        user_id = world.tenant.user_ids()[0]
        assign(world, user_id)
        world.vendors[APP].faults.add("error", status=400, method="POST", times=1)
        await world.sync()
        await world.deliver()

        application = world.services.applications[APP]
        assert await world.services.retries.retry_account(application, ResourceKind.USER, user_id)
        await world.deliver()

        (*_, tried) = recorded.attempts("create")
        assert (tried.attributes or {})["result"] == "done"
        assert {trace_of(tried)} == recorded.pulls()


async def test_a_probe_goes_on_with_the_trace_of_the_account_it_takes(
    azurite: str, name_prefix: str, recorded: Recorded
) -> None:
    async with pulling(azurite, name_prefix) as world:
        assign(world, world.tenant.user_ids()[0])
        world.vendors[APP].faults.add("error", status=401, times=1)
        await world.sync()
        await world.deliver()
        world.queues.waiting.clear()
        world.clock.advance(100)

        await world.services.housekeeper.keep_house()

        created = [each for each in recorded.attempts("create") if (each.attributes or {})["result"] == "done"]
        assert [trace_of(each) for each in created] == list(recorded.pulls())


async def test_an_account_that_is_only_looked_at_again_is_no_part_of_an_old_run(
    azurite: str, name_prefix: str, recorded: Recorded
) -> None:
    async with pulling(azurite, name_prefix) as world:
        await joined(world, 1)
        earlier = recorded.pulls()

        await world.services.restarts.restart(world.services.applications[APP], [RestartScope.LINKS])
        await world.provision_all()

        *_, again = recorded.named(tracing.SpanName.ACCOUNT_PROVISION)
        assert trace_of(again) not in earlier


@pytest.mark.parametrize("found", HOSTILE)
async def test_whatever_a_row_holds_as_its_trace_the_account_is_provisioned(
    azurite: str, name_prefix: str, recorded: Recorded, found: str | int
) -> None:
    async with pulling(azurite, name_prefix) as world:
        user_id = world.tenant.user_ids()[0]
        assign(world, user_id)
        await world.sync()
        world.queues.waiting.clear()
        row = Operation.merge(account_key(ResourceKind.USER, user_id), {"trace": found})
        await world.services.tables.commit(DurableWrite.RAISE, ACCOUNTS, APP, [row])

        await world.settle()

        (create,) = recorded.attempts("create")
        assert (create.attributes or {})["result"] == "done"


async def test_a_trace_costs_no_call_of_storage(azurite: str, name_prefix: str) -> None:
    counted = []
    for is_traced in (False, True):
        recorded = Recorded() if is_traced else None
        try:
            async with pulling(azurite, f"{name_prefix}{int(is_traced)}", users=110) as world:
                people = await joined(world, 110)
                unassign(world, people[0])
                world.tenant.disable(people[1])
                await world.provision_all()
                counted.append((dict(world.services.tables.calls), dict(world.queues.calls)))
        finally:
            tracing.use_tracer(None)
        assert (recorded is not None) == is_traced

    assert counted[0] == counted[1]
