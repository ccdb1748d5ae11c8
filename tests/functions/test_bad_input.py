"""Bad input from every side: a clear word about it, nothing lost, nobody harmed, everybody else goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from shared.provisioning.accounts import AccountState
from shared.provisioning.applications_state import ApplicationStatus
from tests.simulation.host import HostNotStartedError
from tests.simulation.host.process import HostProcess
from tests.simulation.tenant import Tenant
from tests.simulation.vendors import AcmeSimulator, VendorSimulator
from tests.world import HandClock, World, first_enabled, minimal_configuration, names_of_enabled, open_world

ROOT = Path(__file__).resolve().parents[2]
GOOD = """
version: 1
applications:
  acme:
    profile: scim
    service_principal_id: 33333333-3333-3333-3333-333333333333
    base_url: https://acme.example/scim/v2
    auth: {type: bearer, token: ACME_TOKEN}
"""
HOSTILE_NAMES = {
    "quotes": 'o\'neil."jo"@contoso.example',
    "a backslash": "back\\slash@contoso.example",
    "an ampersand": "r&d@contoso.example",
    "a hash": "c#@contoso.example",
    "a plus": "jo+test@contoso.example",
    "a per cent sign": "100%25@contoso.example",
    "an emoji": "jo\N{GRINNING FACE}@contoso.example",
    "a slash and blanks": "a / b@contoso.example",
    "what looks like a filter": 'x" or userName pr or userName eq "y@contoso.example',
}


def refusal(folder: Path, configuration: str, **settings: str) -> str:
    """Answers with what a person sees when the host is started with this file."""
    path = folder / "provisioning.yaml"
    path.write_text(configuration, encoding="utf-8")
    fixed = {"AzureWebJobsStorage": "UseDevelopmentStorage=false;AccountName=x", "PROVISIONING_CONFIG": str(path)}
    with pytest.raises(HostNotStartedError) as raised:
        HostProcess.start(ROOT, {**fixed, **settings}, log=folder / "host.log")
    return str(raised.value)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        pytest.param(
            GOOD.replace("profile: scim", "profile: [scim"), "provisioning.yaml:6: ", id="a bracket that never ends"
        ),
        pytest.param(
            GOOD + "    colour: blue\n",
            "provisioning.yaml:9: applications.acme.colour: no such key",
            id="an unknown key",
        ),
        pytest.param(
            GOOD.replace("https://acme", "http://acme"),
            "provisioning.yaml:7: applications.acme.base_url: ",
            id="plain http that is not loopback",
        ),
        pytest.param(
            GOOD + "    mappings: {users: [{target: title, expression: 'ToLowr([jobTitle])'}]}\n",
            "provisioning.yaml:9: applications.acme.mappings.users",
            id="an expression with a function that does not exist",
        ),
        pytest.param(GOOD.replace("version: 1", "version: 7"), "provisioning.yaml:2: version: ", id="another version"),
        pytest.param("", "provisioning.yaml:1: ", id="an empty file"),
    ],
)
def test_a_host_with_a_wrong_file_says_where_and_what_was_expected(tmp_path: Path, wrong: str, says: str) -> None:
    said = refusal(tmp_path, wrong)

    assert says in said
    assert "Traceback" not in said
    assert 'File "' not in said


def test_a_host_with_wrong_settings_names_every_one(tmp_path: Path) -> None:
    said = refusal(tmp_path, GOOD, LEASE_SECONDS="soon", SYNC_SCHEDULE="daily", GRAPH_BASE_URL="http://graph.example")

    assert all(f"{name}: " in said for name in ("LEASE_SECONDS", "SYNC_SCHEDULE", "GRAPH_BASE_URL"))
    assert 'File "' not in said


@asynccontextmanager
async def two_applications(
    folder: Path, azurite: str, prefix: str, *, users: int = 4, environment: Mapping[str, str] | None = None
) -> AsyncIterator[World]:
    """Opens a world where everybody is assigned to acme and to globex."""
    tenant = Tenant(5, users)
    principals = {name: tenant.create_service_principal(name) for name in ("acme", "globex")}
    for principal in principals.values():
        role = tenant.service_principals[principal]["appRoles"][0]["id"]
        for user_id in tenant.user_ids():
            tenant.assign(principal, user_id, role)
    clock = HandClock()
    vendors = {name: AcmeSimulator(clock=lambda: clock.now().timestamp()) for name in principals}
    async with open_world(
        folder,
        azurite=azurite,
        prefix=prefix,
        tenant=tenant,
        vendors=vendors,
        clock=clock,
        environment=environment,
        configure=lambda running, _: "".join(
            minimal_configuration(name, running[name], principal) for name, principal in principals.items()
        ),
    ) as world:
        yield world


@asynccontextmanager
async def one_application(
    folder: Path, azurite: str, prefix: str, *, users: int = 4, vendor: VendorSimulator | None = None, more: str = ""
) -> AsyncIterator[World]:
    """Opens a world where everybody is assigned to acme."""
    tenant = Tenant(5, users)
    principal = tenant.create_service_principal("acme")
    role = tenant.service_principals[principal]["appRoles"][0]["id"]
    for user_id in tenant.user_ids():
        tenant.assign(principal, user_id, role)
    clock = HandClock()
    acme = vendor or AcmeSimulator(clock=lambda: clock.now().timestamp())
    async with open_world(
        folder,
        azurite=azurite,
        prefix=prefix,
        tenant=tenant,
        vendors={"acme": acme},
        clock=clock,
        configure=lambda running, _: minimal_configuration("acme", running["acme"], principal, more),
    ) as world:
        yield world


async def test_a_missing_setting_quarantines_its_application_and_names_the_setting(
    tmp_path: Path, azurite: str, name_prefix: str
) -> None:
    async with two_applications(tmp_path, azurite, name_prefix, environment={"GLOBEX_TOKEN": ""}) as world:
        await world.provision_all()

        acme, globex = [await world.services.states.read_fresh(name) for name in ("acme", "globex")]
        assert acme.status is ApplicationStatus.ACTIVE
        assert globex.status is ApplicationStatus.QUARANTINE
        assert "GLOBEX_TOKEN" in globex.detail
        assert world.active("acme") == names_of_enabled(world)
        assert world.vendors["globex"].journal == []


@pytest.mark.parametrize(
    ("kind", "path", "says"),
    [
        pytest.param("unauthorized", "*", "answered 401: no valid token", id="401"),
        pytest.param("forbidden", "users/delta", "permission User.Read.All", id="403 for users"),
        pytest.param("forbidden", "groups/delta", "permission GroupMember.Read.All", id="403 for groups"),
    ],
)
async def test_a_refusal_of_graph_names_the_permission_and_takes_nobody_away(
    tmp_path: Path, azurite: str, name_prefix: str, caplog: pytest.LogCaptureFixture, kind: str, path: str, says: str
) -> None:
    async with one_application(tmp_path, azurite, name_prefix) as world:
        await world.provision_all()
        held = world.active("acme")
        world.graph.faults.add(kind, path=path, times=None)

        report = await world.sync()
        await world.settle()

        assert report.outcome == "GraphRefused"
        assert says in caplog.text
        assert world.active("acme") == held == names_of_enabled(world)


async def test_a_service_principal_that_may_not_be_read_quarantines_its_application_only(
    tmp_path: Path, azurite: str, name_prefix: str
) -> None:
    async with two_applications(tmp_path, azurite, name_prefix) as world:
        await world.provision_all()
        principal = world.services.applications["globex"].service_principal_id
        world.graph.faults.add("forbidden", path=f"servicePrincipals/{principal}*", times=None)

        await world.provision_all()

        acme, globex = [await world.services.states.read_fresh(name) for name in ("acme", "globex")]
        assert acme.status is ApplicationStatus.ACTIVE
        assert globex.status is ApplicationStatus.QUARANTINE
        assert "Application.Read.All" in globex.detail
        assert world.active("globex") == names_of_enabled(world)


@pytest.mark.parametrize(
    ("fault", "options", "code"),
    [
        pytest.param("error", {"status": 401}, "Unauthorized", id="401"),
        pytest.param("html", {"status": 200}, "", id="a web page with status 200"),
        pytest.param("html", {"status": 404}, "", id="a web page with status 404"),
    ],
)
async def test_a_vendor_that_is_not_itself_is_quarantined_and_comes_back_without_a_loss(
    tmp_path: Path, azurite: str, name_prefix: str, fault: str, options: dict[str, Any], code: str
) -> None:
    async with one_application(tmp_path, azurite, name_prefix) as world:
        lifted = world.vendors["acme"].faults.add(fault, times=None, **options)
        await world.sync()
        await world.deliver()
        stopped = await world.services.states.read_fresh("acme")

        world.vendors["acme"].faults.lift(lifted)
        await world.settle()

        resumed = await world.services.states.read_fresh("acme")
        assert stopped.status is ApplicationStatus.QUARANTINE
        assert code in stopped.reason
        assert resumed.status is ApplicationStatus.ACTIVE
        assert world.active("acme") == names_of_enabled(world)


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        pytest.param("malformed_json", {"method": "POST"}, id="JSON that stops in the middle of a create's answer"),
        pytest.param("malformed_json", {"method": "GET"}, id="JSON that stops in the middle of a look-up"),
        pytest.param("empty_201", {}, id="201 without a body"),
        pytest.param("empty_201", {"location": False}, id="201 without a body or a Location"),
        pytest.param("integer_id", {}, id="an id that is a number"),
        pytest.param("id_with_slash", {}, id="an id with a slash and a blank"),
        pytest.param("null_resources", {}, id="Resources null"),
        pytest.param("html", {"method": "POST", "status": 502}, id="a gateway's page"),
        pytest.param("reset", {"method": "POST", "applied": True}, id="a connection that ends after the write"),
    ],
)
async def test_strange_answers_leave_everybody_exactly_once_and_able_to_leave(
    tmp_path: Path, azurite: str, name_prefix: str, fault: str, options: dict[str, Any]
) -> None:
    async with one_application(tmp_path, azurite, name_prefix) as world:
        world.vendors["acme"].faults.add(fault, times=3, **options)
        await world.provision_all()
        joined = world.active("acme")
        leaver = first_enabled(world)

        world.tenant.disable(leaver)
        await world.provision_all()

        everybody = [str(each["userName"]).casefold() for each in world.vendors["acme"].resources("User")]
        assert joined == names_of_enabled(world) | {world.tenant.user(leaver)["userPrincipalName"].casefold()}
        assert sorted(everybody) == sorted(joined)
        assert world.active("acme") == names_of_enabled(world)
        assert world.vendors["acme"].violations == []


async def test_a_list_that_repeats_its_first_page_ends_there_and_who_was_not_seen_is_adopted_not_doubled(
    tmp_path: Path, azurite: str, name_prefix: str
) -> None:
    vendor = AcmeSimulator()
    vendor.seed([{"userName": f"there.before.{number}@contoso.example"} for number in range(250)])
    by_list = "matching: {users: [{target: userName, by: list}]}"
    async with one_application(tmp_path, azurite, name_prefix, vendor=vendor, more=by_list) as world:
        unseen = first_enabled(world)
        name = world.tenant.user(unseen)["userPrincipalName"]
        [existing] = vendor.seed([{"userName": name}])
        vendor.faults.add("page_loop", times=None)

        await world.sync()
        await world.deliver(limit=50)

        row = await world.account("acme", unseen)
        everybody = [str(each["userName"]).casefold() for each in vendor.resources("User")]
        reads = [entry for entry in vendor.journal if entry.method == "GET"]
        assert len(reads) < 20
        assert (row.target_id, row.pending) == (existing, False)
        assert everybody.count(name.casefold()) == 1
        assert world.active("acme") >= names_of_enabled(world)


@pytest.mark.parametrize("name", HOSTILE_NAMES.values(), ids=HOSTILE_NAMES)
async def test_a_hostile_user_name_joins_is_found_again_and_leaves(
    tmp_path: Path, azurite: str, name_prefix: str, name: str
) -> None:
    async with one_application(tmp_path, azurite, name_prefix) as world:
        person = first_enabled(world)
        world.tenant.update(person, userPrincipalName=name)
        before = world.vendors["acme"].seed([{"userName": name}])
        await world.provision_all()
        adopted = await world.account("acme", person)
        joined = world.active("acme")

        world.tenant.disable(person)
        await world.provision_all()

        assert adopted.target_id == before[0]
        assert name.casefold() in joined
        assert joined == names_of_enabled(world) | {name.casefold()}
        assert world.active("acme") == names_of_enabled(world)
        assert world.vendors["acme"].violations == []


async def test_a_display_name_of_64_kib_waits_in_escrow_says_why_and_is_mended_at_the_source(
    tmp_path: Path, azurite: str, name_prefix: str
) -> None:
    async with one_application(tmp_path, azurite, name_prefix) as world:
        person = first_enabled(world)
        world.tenant.update(person, displayName="n" * 65_536)
        await world.provision_all()
        too_long = await world.account("acme", person)
        others = world.active("acme")

        world.tenant.update(person, displayName="N")
        await world.provision_all()

        name = world.tenant.user(person)["userPrincipalName"].casefold()
        assert too_long.state is AccountState.ESCROWED
        assert too_long.error == "the account: the mapped attributes take more than 32000 characters"
        assert others == names_of_enabled(world) - {name}
        assert world.active("acme") == names_of_enabled(world)


async def test_a_provisioned_person_with_a_display_name_of_64_kib_can_still_leave(
    tmp_path: Path, azurite: str, name_prefix: str
) -> None:
    async with one_application(tmp_path, azurite, name_prefix) as world:
        await world.provision_all()
        person = first_enabled(world)
        world.tenant.update(person, displayName="n" * 65_536, accountEnabled=False)

        await world.provision_all()

        assert world.active("acme") == names_of_enabled(world)
