"""Whatever an attempt comes to is told, once, with the ids it is about."""

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.provisioning.pulls import APP, assign, principal_of, pulling
from tests.world import World

ONLY_FILLED = "groups: {enabled: true}\nactions: {groups: {create: false, delete: false}}\n"


@pytest.fixture
async def world(azurite: str, name_prefix: str, caplog: pytest.LogCaptureFixture) -> AsyncIterator[World]:
    # What host.json lets through, and no more.
    caplog.set_level(logging.INFO, "provisioner")
    async with pulling(azurite, name_prefix) as world:
        yield world


def told(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, Any]]:
    """The fields of an event, as often as it was told."""
    lines = [each.message.partition(" ") for each in caplog.records if each.name == "provisioner"]
    return [json.loads(fields) for name, _, fields in lines if name == event]


async def test_why_somebody_has_no_account_is_told_once_and_again_when_the_reason_is_another(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    user_id = world.tenant.user_ids()[0]
    world.tenant.assign(principal_of(world), user_id)
    await world.provision_all()
    first = [each["reason"] for each in told(caplog, "account.skipped") if each["source_id"] == user_id]

    world.tenant.update(user_id, jobTitle="Astronaut")
    await world.provision_all()
    again = [each["reason"] for each in told(caplog, "account.skipped") if each["source_id"] == user_id]
    world.tenant.disable(user_id)
    await world.provision_all()
    changed = [each for each in told(caplog, "account.skipped") if each["source_id"] == user_id]

    assert len(first) == 1
    assert again == first
    assert len({each["reason"] for each in changed}) == len(changed) == 2
    assert {each["application"] for each in changed} == {APP}


async def test_an_attempt_that_ends_in_quarantine_says_whose_it_was(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    user_id = world.tenant.user_ids()[0]
    assign(world, user_id)
    world.vendors[APP].faults.add("error", status=401, times=None)

    await world.sync()
    await world.deliver()

    [waiting] = told(caplog, "account.waiting")
    assert (waiting["application"], waiting["source_id"], waiting["attempt"]) == (APP, user_id, 1)
    assert (waiting["reason"], waiting["code"]) == ("application_quarantined", "Unauthorized")


async def test_a_group_that_is_not_made_here_is_told(
    azurite: str, name_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "provisioner")
    async with pulling(azurite, f"{name_prefix}g", more=ONLY_FILLED) as world:
        group_id = world.tenant.create_group("Rowers")
        assign(world, group_id)

        await world.provision_all()

        reasons = [each["reason"] for each in told(caplog, "account.skipped") if each["source_id"] == group_id]
        assert reasons == ["create_group_at_vendor"]
