"""What every metric counts, as numbers with a unit: not only that there is one."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from functions.provision import _tell_age
from shared import metrics
from shared.metrics import Metric
from tests.provisioning.pulls import APP, assign, people, pulling
from tests.world import START

SLOWLY = "rate_limit: {requests_per_second: 2}"


class Measured:
    """Every value that was recorded, in order, by metric."""

    def __init__(self) -> None:
        self._values: dict[Metric, list[tuple[float, dict[str, str]]]] = {each: [] for each in Metric}
        metrics.use_recorders({each: self._into(each) for each in Metric})

    def _into(self, metric: Metric) -> metrics.Recorder:
        return lambda value, attributes: self._values[metric].append((value, attributes))

    def values(self, metric: Metric, **attributes: str) -> list[float]:
        """The values with these attributes, and perhaps others."""
        return [value for value, given in self._values[metric] if attributes.items() <= given.items()]

    def attributes(self, metric: Metric) -> list[dict[str, str]]:
        return [given for _, given in self._values[metric]]


@pytest.fixture
def measured() -> Iterator[Measured]:
    yield Measured()
    metrics.use_recorders({})


@pytest.mark.parametrize("zone", [UTC, None])
def test_the_age_of_a_message_is_from_its_insertion_to_now(measured: Measured, zone: Any) -> None:
    inserted = (START - timedelta(seconds=90)).replace(tzinfo=zone)

    _tell_age(_message(inserted), APP, START)
    _tell_age(_message(None), APP, START)
    _tell_age(_message(inserted + timedelta(seconds=100)), APP, START)

    assert measured.values(Metric.QUEUE_AGE, application=APP) == [90.0, 0.0]


def _message(inserted: datetime | None) -> Any:
    return SimpleNamespace(insertion_time=inserted)


async def test_changes_are_the_users_and_groups_on_the_pages(
    azurite: str, name_prefix: str, measured: Measured
) -> None:
    async with pulling(azurite, name_prefix, page_size=5) as world:
        tenant = world.tenant
        first = await world.sync()
        for user_id in people(world, 2):
            tenant.update(user_id, jobTitle="Astronaut")
        tenant.create_group("Rowers")
        await world.sync()
        await world.sync()

        whole, later = measured.values(Metric.DIRECTORY_CHANGES)
        assert (whole, later) == (first.changes, 3)
        assert whole >= len(tenant.user_ids())
        assert measured.attributes(Metric.DIRECTORY_CHANGES) == [{"result": "pulled"}] * 2


async def test_what_a_message_came_to_is_counted_by_action_and_result(
    azurite: str, name_prefix: str, measured: Measured
) -> None:
    async with pulling(azurite, name_prefix) as world:
        created, refused = people(world, 2)
        assign(world, created)
        await world.provision_all()
        world.vendors[APP].faults.add("error", status=400, method="POST", times=None)
        assign(world, refused)
        await world.sync()
        world.clock.advance(7.0)
        await world.deliver()

        assert sum(measured.values(Metric.ACCOUNT_ACTIONS, application=APP, action="create", result="done")) == 1
        assert sum(measured.values(Metric.ACCOUNT_ACTIONS, application=APP, result="escrowed")) == 1
        code = (await world.account(APP, refused)).error_code
        assert measured.attributes(Metric.ACCOUNT_ESCROWS) == [{"application": APP, "result": code}]
        assert measured.values(Metric.ACCOUNT_ESCROWS) == [1]


async def test_latency_is_from_queueing_to_the_save(azurite: str, name_prefix: str, measured: Measured) -> None:
    async with pulling(azurite, name_prefix) as world:
        assign(world, people(world, 1)[0])
        await world.sync()
        world.clock.advance(7.0)

        await world.deliver()

        assert measured.values(Metric.ACCOUNT_LATENCY, application=APP, action="create") == pytest.approx(
            [7.0], abs=0.5
        )


async def test_waits_and_slots_are_those_of_the_vendors_rate(
    azurite: str, name_prefix: str, measured: Measured
) -> None:
    async with pulling(azurite, name_prefix, more=SLOWLY) as world:
        for user_id in people(world, 3):
            assign(world, user_id)
        await world.provision_all()

        requests = len(world.vendors[APP].journal)
        entered = measured.values(Metric.LIMITER_SLOTS, application=APP, result="entered")
        waits = measured.values(Metric.LIMITER_WAIT, application=APP)
        assert sum(entered) == requests > 5
        assert set(measured.values(Metric.LIMITER_RATE, application=APP)) == {2.0}
        # Two a second, one after the other: whoever is not the first waits half a second.
        assert waits[0] < 0.1
        assert waits[1:] == pytest.approx([0.5] * (requests - 1), abs=0.05)


async def test_an_application_is_quarantined_or_not_at_each_housekeeping(
    azurite: str, name_prefix: str, measured: Measured
) -> None:
    async with pulling(azurite, name_prefix) as world:
        assign(world, people(world, 1)[0])
        await world.sync()
        await world.services.housekeeper.keep_house()
        world.vendors[APP].faults.add("error", status=401, times=None)
        await world.deliver()
        await world.services.housekeeper.keep_house()
        world.vendors[APP].faults.clear()
        world.clock.advance(4000.0)
        await world.services.housekeeper.keep_house()
        await world.services.housekeeper.keep_house()

        assert measured.values(Metric.APPLICATION_QUARANTINE, application=APP) == [0, 1, 1, 0]
