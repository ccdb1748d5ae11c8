"""The README's costs are those of the calculation, and what it counts is what the product does."""

from __future__ import annotations

import pytest

from tests.benchmarks import cost
from tests.benchmarks.tables import Table, as_markdown
from tests.infra.templates import ROOT
from tests.provisioning.pulls import calm, people, principal_of, pulling
from tests.world import World

APPS = ("acme", "beta", "gamma", "delta")


@pytest.mark.parametrize("table", cost.measure(), ids=lambda table: table.title)
def test_the_readme_says_what_the_calculation_says(table: Table) -> None:
    written = (ROOT / "README.md").read_text()

    assert as_markdown(table).strip() in written, "./dev bench cost --markdown prints what belongs there"


def test_every_alert_rule_is_counted_and_its_price_is_known() -> None:
    written = (ROOT / "infra/modules/alerts.bicep").read_text()

    assert len(cost.alert_frequencies()) == written.count("loadTextContent(")
    assert {*cost.alert_frequencies()} <= {*cost.ALERT_RULE, "PT1H"}


async def test_a_quiet_month_and_a_change_make_no_more_calls_than_are_counted(azurite: str, name_prefix: str) -> None:
    assert len(APPS) == cost.APPLICATIONS
    async with pulling(azurite, name_prefix, users=20, apps=APPS) as world:
        [person] = people(world, 1)
        for app in APPS:
            principal = principal_of(world, app)
            world.tenant.assign(principal, person, world.tenant.role_id_of(principal, "User"))
        await calm(world)
        await calm(world)

        before = calls(world)
        for _ in range(12):
            world.clock.advance(60)
            await world.sync()
        quiet = calls(world)
        for _ in range(12):
            world.clock.advance(300)
            await world.services.housekeeper.keep_house()
        kept = calls(world)
        world.tenant.update(person, jobTitle="Astronaut")
        await world.sync()
        ring = calls(world)
        assert await world.deliver() == cost.APPLICATIONS
        done = calls(world)

    assert (quiet[0] - before[0]) / 12 <= cost.TABLE_CALLS_SYNC
    assert (kept[0] - quiet[0]) / 12 <= 1.1 * cost.TABLE_CALLS_HOUSEKEEPING
    assert (kept[1] - quiet[1]) / 12 <= cost.QUEUE_CALLS_HOUSEKEEPING
    assert ring[0] - kept[0] <= cost.TABLE_CALLS_RING
    assert done[0] - ring[0] <= cost.APPLICATIONS * cost.TABLE_CALLS_ACCOUNT


def calls(world: World) -> tuple[int, int]:
    """Table calls and queue calls so far."""
    return world.services.tables.calls.total(), world.queues.calls.total()
