"""A setting that gives no address, or no service principal: its application stops, and the right value is enough."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from shared.composition import load_services
from shared.operations.connection_report import check_connection
from shared.provisioning.applications_state import ApplicationStatus
from tests.provisioning.pulls import assign, calm, people, principal_of, pulling
from tests.simulation.tenant import Tenant
from tests.world import World, minimal_configuration

STOPPED, OTHER = "acme", "beta"
NOBODY = "99999999-9999-9999-9999-999999999999"


def from_settings(running: Mapping[str, Any], tenant: Tenant) -> str:
    """The one application has its address and its service principal from settings, the other from the file."""
    sections = [
        minimal_configuration(app, vendor, tenant.service_principal_id_of(f"{app} under test"))
        for app, vendor in running.items()
    ]
    sections[0] = sections[0].replace(running[STOPPED].base_url, "${ACME_URL}")
    return "".join(sections).replace(tenant.service_principal_id_of(f"{STOPPED} under test"), "${ACME_PRINCIPAL}")


@pytest.fixture
async def world(azurite: str, name_prefix: str) -> AsyncIterator[World]:
    """Two applications with one person each, before any sync."""
    async with pulling(
        azurite, name_prefix, users=4, apps=(STOPPED, OTHER), configure=from_settings, in_memory=False
    ) as opened:
        for app in (STOPPED, OTHER):
            assign(opened, people(opened, 1)[0], app=app)
        yield opened
        await opened.services.close()


async def start(world: World, **settings: str) -> None:
    """A new process with these settings, and what it does by the clock."""
    before = world.services
    right = {"ACME_URL": world.vendors[STOPPED].base_url, "ACME_PRINCIPAL": principal_of(world, STOPPED)}
    environment = {**before.settings.environment, **right, **settings}
    world.services = load_services(environment, clock=world.clock, table_prefix=before._table_prefix)
    world.services.__dict__["queues"] = world.queues
    await before.close()
    await calm(world)
    await world.services.housekeeper.keep_house()
    await world.settle()


async def codes(world: World, app: str) -> list[str]:
    report = await world.services.application_reports.report(world.services.applications[app])
    return [each.code for each in report.problems if each.code != "DirectoryUnread"]


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        pytest.param({"ACME_URL": ""}, "SettingMissing", id="no address"),
        pytest.param({"ACME_URL": "@Microsoft.KeyVault(x)"}, "SettingUnresolved", id="the vault was not reached"),
        pytest.param({"ACME_URL": "http://10.0.0.1/scim"}, "SettingUnusable", id="an address that is refused"),
        pytest.param({"ACME_PRINCIPAL": ""}, "SettingMissing", id="no service principal"),
        pytest.param({"ACME_PRINCIPAL": "me"}, "SettingUnusable", id="no id"),
        pytest.param({"ACME_PRINCIPAL": NOBODY}, "ServicePrincipalUnreadable", id="another id"),
    ],
)
async def test_its_application_stops_and_the_right_value_is_enough(
    world: World, settings: dict[str, str], code: str
) -> None:
    await start(world, **settings)
    requests = len(world.vendors[STOPPED].journal)
    told, well = await codes(world, STOPPED), await codes(world, OTHER)
    application = world.services.applications[STOPPED]
    stopped = (await world.services.states.read_fresh(STOPPED)).status
    tested = await check_connection(
        application, world.services.connections, environment=world.services.settings.environment
    )

    await start(world)

    assert (told, well) == ([code], [])
    assert stopped is ApplicationStatus.QUARANTINE
    assert requests == 0
    assert tested.ok is (code == "ServicePrincipalUnreadable")
    assert [len(world.vendors[app].resources("User")) for app in (STOPPED, OTHER)] == [1, 1]
    assert await codes(world, STOPPED) == []


async def test_who_has_an_account_keeps_it_while_the_setting_is_missing(world: World) -> None:
    await start(world)
    for name in ("ACME_URL", "ACME_PRINCIPAL"):
        await start(world, **{name: ""})
    requests = len(world.vendors[STOPPED].journal)
    world.clock.advance(600)
    await calm(world)
    await world.settle()

    active = world.active(STOPPED)
    await start(world)

    assert len(active) == len(world.active(STOPPED)) == 1
    assert not [each for each in world.vendors[STOPPED].journal[requests:] if each.method != "GET"]
