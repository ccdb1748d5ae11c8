"""An older version is deployed over rows that a newer one wrote: what it does not know stays, and stops nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.provisioning.accounts import ACCOUNTS, GUARD_KEY, AccountState, ResourceKind, account_key
from shared.provisioning.applications_state import APPLICATIONS, STATE_KEY, ApplicationStatus
from shared.provisioning.guard import STAGED_PREFIX
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation
from tests.provisioning.pulls import assign, calm, people, pulling
from tests.world import World

ROLLED_BACK, OTHER = "acme", "beta"


@pytest.fixture
async def world(azurite: str, name_prefix: str) -> AsyncIterator[World]:
    """Two applications with one account each; then somebody's title changes."""
    async with pulling(azurite, name_prefix, users=4, apps=(ROLLED_BACK, OTHER)) as opened:
        for app in (ROLLED_BACK, OTHER):
            assign(opened, people(opened, 1)[0], app=app)
        await calm(opened)
        await opened.settle()
        opened.tenant.update(people(opened, 1)[0], jobTitle="Astronaut")
        yield opened


async def newer(world: World, table: str, key: str, **columns: Any) -> None:
    """What a newer version writes to a row of the application."""
    tables = world.services.tables
    await tables.commit(DurableWrite.LOG, table, ROLLED_BACK, [Operation.merge(key, columns)])


async def stored(world: World, table: str, key: str) -> dict[str, Any]:
    row = await world.services.tables.read(table, ROLLED_BACK, key)
    assert row is not None
    return dict(row.values)


def titles(world: World, app: str) -> list[Any]:
    return [account.get("title") for account in world.vendors[app].resources("User")]


async def live_on(world: World) -> None:
    """The older version starts, and whatever runs by the clock runs."""
    world.restart()
    await calm(world)
    await world.services.housekeeper.keep_house()
    await world.settle()


async def test_an_unknown_status_sends_nothing_stays_as_it_is_and_stops_nobody_else(world: World) -> None:
    await newer(world, APPLICATIONS, STATE_KEY, status="Draining", unannounced="Draining now", history="[[1]]", stage=3)
    before = await stored(world, APPLICATIONS, STATE_KEY)
    requests = len(world.vendors[ROLLED_BACK].journal)

    await live_on(world)

    after = await stored(world, APPLICATIONS, STATE_KEY)
    report = await world.services.application_reports.report(world.services.applications[ROLLED_BACK])
    assert len(world.vendors[ROLLED_BACK].journal) == requests
    assert titles(world, OTHER) == ["Astronaut"]
    kept = ("status", "unannounced", "history", "stage")
    assert [after[name] for name in kept] == [before[name] for name in kept]
    assert report.status is ApplicationStatus.PAUSED
    assert "StatusUnknown" in [each.code for each in report.problems]


@pytest.mark.parametrize("resumes", [True, False])
async def test_a_person_ends_an_unknown_status_and_its_columns_stay(world: World, resumes: bool) -> None:
    await newer(world, APPLICATIONS, STATE_KEY, status="Draining", stage=3)
    world.restart()
    states = world.services.states

    changed = await (states.resume(ROLLED_BACK) if resumes else states.pause(ROLLED_BACK, "maintenance"))
    await calm(world)
    await world.services.housekeeper.keep_house()
    await world.settle()

    after = await stored(world, APPLICATIONS, STATE_KEY)
    assert changed
    assert (after["status"], after["stage"]) == ("Active" if resumes else "Paused", 3)
    assert (titles(world, ROLLED_BACK) == ["Astronaut"]) is resumes


async def test_an_account_of_an_unknown_state_is_looked_at_like_any_other_and_keeps_its_columns(world: World) -> None:
    user_id = people(world, 1)[0]
    key = account_key(ResourceKind.USER, user_id)
    await newer(world, ACCOUNTS, key, state="hibernating", hibernates_until="2027-01-01")

    await live_on(world)

    assert titles(world, ROLLED_BACK) == titles(world, OTHER) == ["Astronaut"]
    assert (await world.account(ROLLED_BACK, user_id)).state is AccountState.IN_SYNC
    assert (await stored(world, ACCOUNTS, key))["hibernates_until"] == "2027-01-01"


async def test_what_another_version_put_before_the_guard_stays_and_stops_nobody(world: World) -> None:
    marker = f"{STAGED_PREFIX}device:1"
    await newer(world, ACCOUNTS, marker, number="0000000001.00000001.000")
    await newer(world, ACCOUNTS, GUARD_KEY, tolerance=7)
    await world.services.guard.distrust(ROLLED_BACK)

    await live_on(world)

    assert titles(world, ROLLED_BACK) == titles(world, OTHER) == ["Astronaut"]
    assert (await stored(world, ACCOUNTS, marker))["number"] == "0000000001.00000001.000"
    assert (await stored(world, ACCOUNTS, GUARD_KEY))["tolerance"] == 7
