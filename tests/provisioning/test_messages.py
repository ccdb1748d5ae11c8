"""Messages that come late, twice, in another order, or should not come at all do no harm."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.provisioning.applications_state import ApplicationStatus
from shared.storage.durable_writes import DurableWrite
from shared.storage.queues import Message, MessageRefused
from shared.storage.tables import Operation
from tests.provisioning.stories import APP, Stage, message_about, open_stage
from tests.world import Queued


def _queue(stage: Stage, message: Message, *, times: int = 1) -> None:
    stage.world.queues.waiting += [Queued(stage.world.clock.elapsed, False, message)] * times


async def test_old_messages_delivered_again_and_in_reverse_change_nothing(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        people = [stage.hire() for _ in range(3)]
        await stage.settle()
        for user_id in people:
            stage.tenant.update(user_id, jobTitle="Astronaut")
        await stage.settle()
        written = [entry for entry in stage.acme.journal if entry.method != "GET"]

        for user_id in reversed(people):
            _queue(stage, replace(message_about(user_id), attempt=7), times=3)
        await stage.settle()

        assert await stage.findings() == []
        assert [entry for entry in stage.acme.journal if entry.method != "GET"] == written


async def test_a_message_of_yesterday_acts_on_what_is_true_today(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        user_id = await stage.provisioned()
        stage.tenant.update(user_id, jobTitle="Astronaut")
        await stage.sync()
        old = list(stage.world.queues.waiting)
        stage.world.queues.waiting.clear()
        stage.tenant.disable(user_id)
        await stage.sync()

        stage.world.queues.waiting[:0] = old * 2
        await stage.settle()

        assert await stage.findings() == []


async def test_messages_about_nobody_write_nothing(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        before = dict(stage.world.store.partitions["accounts", APP])

        for message in (
            message_about("nobody"),
            message_about("../x", app="unknown"),
            Message(app=APP, kind="group", id="g"),
        ):
            _queue(stage, message)
        await stage.settle()

        assert stage.world.store.partitions["accounts", APP] == before
        assert stage.acme.journal == []
        assert {outcome.kind.value for outcome in stage.outcomes} == {"ended"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "not JSON",
        "[]",
        '{"v":2,"app":"acme","kind":"user","id":"x"}',
        '{"v":1,"app":"acme","kind":"robot","id":"x"}',
    ],
    ids=["empty", "an empty object", "no JSON", "a list", "another version", "another kind"],
)
async def test_what_is_no_message_of_ours_is_refused_and_poison_records_nothing(text: str, azurite: str) -> None:
    async with open_stage(azurite) as stage:
        before = dict(stage.world.store.partitions["accounts", APP])

        recorded = await stage.world.services.poison.record(text)

        assert recorded == "refused"
        assert stage.world.store.partitions["accounts", APP] == before
        with pytest.raises(MessageRefused):
            Message.decode(text)


@pytest.mark.parametrize("status", [ApplicationStatus.PAUSED, ApplicationStatus.QUARANTINE])
async def test_a_stopped_application_keeps_its_changes_and_catches_up(status: ApplicationStatus, azurite: str) -> None:
    async with open_stage(azurite) as stage:
        user_id = await stage.provisioned()
        await _set_state(stage, status=status.value)
        stage.tenant.update(user_id, jobTitle="Astronaut")
        await stage.sync()
        requests = len(stage.acme.journal)
        await stage.deliver()
        assert len(stage.acme.journal) == requests
        assert (await stage.account(user_id)).pending

        await _set_state(stage, status=ApplicationStatus.ACTIVE.value)
        await stage.settle()

        assert await stage.findings() == []


async def test_an_instance_with_another_configuration_leaves_the_work_to_others(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        user_id = await stage.provisioned()
        ours = (await stage.world.services.states.read_fresh(APP)).config
        stage.tenant.update(user_id, jobTitle="Astronaut")
        await stage.sync()
        await _set_state(stage, config="of-a-newer-deployment")
        requests = len(stage.acme.journal)
        await stage.deliver()
        assert len(stage.acme.journal) == requests
        assert [outcome.kind.value for outcome in stage.outcomes][-1:] == ["put_back"]

        await _set_state(stage, config=ours)
        await stage.settle()

        assert await stage.findings() == []


async def _set_state(stage: Stage, **columns: str) -> None:
    """As another process would: this one's cache is five seconds old."""
    tables = stage.world.services.tables
    await tables.commit(DurableWrite.APPLICATION_STATE, "applications", APP, [Operation.merge("state", columns)])
    await stage.pass_time(6)
