"""What the API does with people and accounts: search, stories, on demand, preview, restart, the log and its export."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from shared.provisioning.accounts import ACCOUNTS, ResourceKind
from shared.provisioning.drift.findings import finding_key
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation
from tests.api.calling import open_client
from tests.provisioning.pulls import APP, assign, calm, people, pulling
from tests.simulation.tenant import Tenant
from tests.world import World, minimal_configuration

FOREIGN_FILE = """
version: 1
applications:
  acme:
    profile: ./../../etc/passwd
    service_principal_id: 33333333-3333-3333-3333-333333333333
    auth: {type: bearer, token: ACME_TOKEN}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Three people with accounts, two of whom the directory has unassigned since, and a client."""

    world: World
    client: httpx.AsyncClient
    person: str
    leavers: list[str]

    def name(self, user_id: str) -> str:
        """The user name of somebody."""
        return str(self.world.tenant.user(user_id)["userPrincipalName"])


def _with_small_guard(vendors: Mapping[str, Any], tenant: Tenant) -> str:
    principal = tenant.service_principal_id_of(f"{APP} under test")
    return minimal_configuration(APP, vendors[APP], principal).replace("max_count: 1000", "max_count: 1")


@pytest.fixture
async def stage(azurite: str, name_prefix: str) -> AsyncIterator[Stage]:
    """Answers with a stage whose deletion guard holds the two who leave."""
    async with pulling(azurite, name_prefix, configure=_with_small_guard) as world:
        first, *leavers = people(world, 3)
        for user_id in (first, *leavers):
            assign(world, user_id)
        await calm(world)
        await world.settle()
        for user_id in leavers:
            world.tenant.disable(user_id)
        await world.sync()
        await world.services.housekeeper.keep_house()
        async with open_client(world.services) as client:
            yield Stage(world=world, client=client, person=first, leavers=leavers)


async def test_a_person_is_found_by_name_and_told_across_applications(stage: Stage) -> None:
    name = stage.name(stage.person)
    target = (await stage.world.account(APP, stage.person)).target_id

    found = [(await stage.client.get("/people", params={"search": term})).json() for term in (name, target)]
    story = (await stage.client.get(f"/people/{stage.person}")).json()

    assert [[each["id"] for each in answer["people"]] for answer in found] == [[stage.person]] * 2
    assert story["properties"]["userPrincipalName"] == name
    assert [(each["application"], each["row"]["state"]) for each in story["accounts"]] == [(APP, "in_sync")]
    assert [line["action"] for line in story["timeline"]] == ["create"]


async def test_accounts_are_listed_by_state_as_the_status_counts_them(stage: Stage) -> None:
    report = (await stage.client.get(f"/applications/{APP}")).json()
    held = (await stage.client.get(f"/applications/{APP}/accounts", params={"state": "held"})).json()
    paged = (await stage.client.get(f"/applications/{APP}/accounts", params={"limit": 2})).json()
    rest = (await stage.client.get(f"/applications/{APP}/accounts", params={"cursor": paged["next"]})).json()

    assert report["states"]["held"] == len(held["items"]) == 2
    assert {each["source_id"] for each in held["items"]} == set(stage.leavers)
    assert len(paged["items"]) + len(rest["items"]) == report["total"] == 3


async def test_a_held_batch_is_approved_by_its_number_and_only_once(stage: Stage) -> None:
    held = (await stage.client.get(f"/applications/{APP}/held")).json()
    path = f"/applications/{APP}/held/{held['list_number']}/approve"

    approved, again = await stage.client.post(path), await stage.client.post(path)
    await stage.world.settle()

    assert (approved.json(), again.status_code) == ({"accounts": 2}, 409)
    assert stage.world.active(APP) == {stage.name(stage.person).casefold()}


async def test_somebody_is_provisioned_on_demand_and_told_in_six_steps(stage: Stage) -> None:
    stage.world.tenant.update(stage.person, jobTitle="Astronaut")
    path = f"/applications/{APP}/accounts/{stage.person}/provision"

    stale = (await stage.client.post(path, json={})).json()
    fresh = (await stage.client.post(path, json={"refresh": True})).json()

    assert (stale["outcome"], stale["modified"]) == ("unchanged", [])
    assert (fresh["outcome"], fresh["action"]) == ("provisioned", "update")
    assert [step["type"] for step in fresh["steps"]] == [
        "import",
        "scoping",
        "matching",
        "processing",
        "referenceResolution",
        "export",
    ]
    assert [(each["displayName"], each["newValue"]) for each in fresh["modified"]] == [("title", "Astronaut")]


async def test_on_demand_is_no_way_around_the_guard(stage: Stage) -> None:
    answer = await stage.client.post(f"/applications/{APP}/accounts/{stage.leavers[0]}/provision", json={})

    assert answer.json()["outcome"] == "held"
    assert len(stage.world.active(APP)) == 3


async def test_a_preview_tells_what_another_configuration_would_change_and_writes_nothing(stage: Stage) -> None:
    services = stage.world.services
    text = services.settings.provisioning_config.read_text()
    changed = text + "    mappings: {users: [{target: nickName, constant: Jo}]}\n"
    before = (services.tables.calls["accounts commit"], len(stage.world.vendors[APP].journal))

    now = (await stage.client.post("/preview", json={"application": APP})).json()
    then = (await stage.client.post("/preview", json={"application": APP, "configuration": changed})).json()
    one = (await stage.client.get(f"/applications/{APP}/accounts/{stage.person}/preview")).json()

    assert (now["next"], now["applications"][0]["guard"]["verdict"]) == (None, "hold")
    assert [each["action"] for each in now["accounts"]] == ["disable"] * 2
    update = next(each for each in then["accounts"] if each["source_id"] == stage.person)
    assert update["modified"] == [{"name": "nickName", "old": None, "new": "Jo"}]
    assert one["action"] == "skip"
    assert (services.tables.calls["accounts commit"], len(stage.world.vendors[APP].journal)) == before


@pytest.mark.parametrize(
    ("configuration", "expected"),
    [
        (FOREIGN_FILE, "profile"),
        ("version: 1\napplications: [", ""),
        ("version: 2", "version"),
    ],
)
async def test_a_configuration_that_cannot_be_used_is_refused_with_every_mistake(
    stage: Stage, configuration: str, expected: str
) -> None:
    answer = await stage.client.post("/preview", json={"configuration": configuration})

    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (422, "configuration")
    assert expected in json.dumps(answer.json()["errors"])
    assert "root:" not in answer.text


async def test_a_restart_names_its_scopes_and_is_on_the_trail(stage: Stage) -> None:
    answer = (await stage.client.post(f"/applications/{APP}/restart", json={"reset": ["watermark", "escrows"]})).json()
    wrong = await stage.client.post(f"/applications/{APP}/restart", json={"reset": ["everything"]})
    trail = (await stage.client.get("/audit")).json()["items"]

    assert answer["scopes"] == ["watermark", "escrows"]
    assert wrong.status_code == 422
    assert {"reset": ["watermark", "escrows"]} in [each["detail"] for each in trail]


async def test_the_log_is_filtered_paged_and_taken_away(stage: Stage) -> None:
    everything = (await stage.client.get("/log")).json()["items"]
    creates = (await stage.client.get("/log", params={"action": "create", "status": "success"})).json()["items"]
    first = (await stage.client.get("/log", params={"limit": 1})).json()
    second = (await stage.client.get("/log", params={"limit": 1, "cursor": first["next"]})).json()
    archive = await stage.client.get("/log/export")
    document = (await stage.client.get("/log/export", params={"format": "json"})).json()

    with zipfile.ZipFile(io.BytesIO(archive.content)) as files:
        rows = list(csv.DictReader(io.StringIO(files.read("ProvisioningLogs.csv").decode("utf-8-sig"))))
    assert len(creates) == 3
    assert [*first["items"], *second["items"]] == everything[:2]
    assert archive.headers["content-disposition"] == 'attachment; filename="provisioning-log.zip"'
    assert len(rows) == len(everything) == len(document["value"])


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/log?since=yesterday", 422),
        ("/log?action=%27or%27", 400),
        ("/log?colour=blue", 422),
        ("/log?cursor=e30x", 400),
        ("/log?application=nobody", 404),
        ("/log/export?format=xml", 422),
        ("/people", 422),
        ("/people?search=%00", 400),
        ("/people/nobody", 404),
        (f"/applications/{APP}/figures?hours=0", 422),
        (f"/applications/{APP}/accounts?state=lost", 422),
        (f"/applications/{APP}/accounts?cursor=e30x", 400),
    ],
)
async def test_a_wrong_question_is_a_problem_document(stage: Stage, path: str, status: int) -> None:
    answer = await stage.client.get(path)

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


async def test_accounts_that_differ_come_page_by_page(stage: Stage) -> None:
    noted = [Operation.merge(finding_key(ResourceKind.USER, f"u{at}"), {"status": "repairing"}) for at in range(40)]
    await stage.world.services.tables.commit_all(DurableWrite.DRIFT_NOTE, ACCOUNTS, APP, noted)
    address = f"/applications/{APP}/drift"

    first = (await stage.client.get(address, params={"limit": 30})).json()
    last = (await stage.client.get(address, params={"limit": 30, "cursor": first["next"]})).json()

    assert [len(first["accounts"]), len(last["accounts"]), last["next"]] == [30, 10, None]
    assert len({each["source_id"] for page in (first, last) for each in page["accounts"]}) == 40
    assert {each["status"] for each in first["accounts"]} == {"repaired"}


async def test_hours_and_cycles_are_told_with_the_configuration(stage: Stage) -> None:
    await stage.world.services.directory_sync.sync()
    hours = (await stage.client.get(f"/applications/{APP}/figures", params={"hours": 3})).json()["hours"]
    cycles = (await stage.client.get("/cycles")).json()

    assert len(hours) == 3
    assert sum(hour["actions"]["create"] for hour in hours) == 3
    assert all(cycle["config"] for cycle in cycles)
