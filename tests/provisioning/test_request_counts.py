"""What an account costs: requests to the vendor and to storage, counted, with warm caches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from tests.provisioning.stories import Stage, message_about, open_stage

Change = Callable[[Stage, str], None]


async def _cost(stage: Stage, *, messages: int = 1) -> tuple[Counter[str], int]:
    """Requests to the vendor by method, and calls to storage, of delivering what is visible."""
    services = stage.world.services
    await services.states.read("acme")
    requests, tables, sent = len(stage.acme.journal), services.tables.calls.total(), stage.world.queues.calls.total()
    for _ in range(messages):
        assert await stage.deliver_one()
    storage = services.tables.calls.total() - tables + stage.world.queues.calls.total() - sent
    return Counter(entry.method for entry in stage.acme.journal[requests:]), storage


async def test_a_create_costs_two_requests(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        stage.hire()
        await stage.sync()

        requests, storage = await _cost(stage)

        assert requests == {"GET": 1, "POST": 1}
        assert storage <= 8


@pytest.mark.parametrize(
    ("change", "expected", "most"),
    [
        (lambda stage, user: stage.tenant.update(user, jobTitle="Astronaut"), {"PATCH": 1}, 7),
        (lambda stage, user: stage.tenant.update(user, employeeType="Robot", mailNickname="x"), {"PATCH": 1}, 7),
        (lambda stage, user: stage.tenant.disable(user), {"PATCH": 1}, 7),
        (lambda stage, user: stage.tenant.purge(user), {"DELETE": 1}, 7),
        (lambda stage, user: stage.tenant.update(user, usageLocation="AQ"), {}, 4),
    ],
    ids=["an update", "several attributes", "a disable", "a delete", "a change that is not mapped"],
)
async def test_a_change_costs_at_most_one_request(
    change: Change, expected: dict[str, int], most: int, azurite: str
) -> None:
    async with open_stage(azurite) as stage:
        user_id = await stage.provisioned()
        change(stage, user_id)
        await stage.sync()
        if not stage.world.queues.waiting:
            stage.world.queues.waiting.append(stage.world.queues.take() or _queued(stage, user_id))

        requests, storage = await _cost(stage)

        assert requests == expected
        assert storage <= most


def _queued(stage: Stage, user_id: str):
    from tests.world import Queued

    return Queued(stage.world.clock.elapsed, False, message_about(user_id))


async def test_a_message_that_finds_nothing_pending_costs_one_call(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        user_id = await stage.provisioned()
        stage.world.queues.waiting.append(_queued(stage, user_id))

        requests, storage = await _cost(stage)

        assert (requests, storage) == ({}, 1)
