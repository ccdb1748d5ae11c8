"""The HTTP API: what it answers, what it refuses and how, and what it writes down about who acts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from tests.api.calling import ACTOR, open_client
from tests.provisioning.pulls import APP, assign, calm, people, pulling
from tests.world import World

NOBODY = "00000000-1111-2222-3333-444444444444"
NO_LIST = "0000000001.00000001.000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A small world and a client of its API."""

    world: World
    client: httpx.AsyncClient
    person: str


@pytest.fixture
async def stage(azurite: str, name_prefix: str) -> AsyncIterator[Stage]:
    """Answers with one person in sync at one application."""
    async with pulling(azurite, name_prefix) as world:
        [person] = people(world, 1)
        assign(world, person)
        await calm(world)
        await world.settle()
        async with open_client(world.services) as client:
            yield Stage(world=world, client=client, person=person)


def assert_problem(answer: httpx.Response, status: int, name: str) -> None:
    """Fails unless the answer is a problem document of this kind."""
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert (answer.status_code, document["status"]) == (status, status)
    assert document["type"] == f"urn:scim-provisioner:problem:{name}"
    assert document["detail"]
    assert "Traceback" not in answer.text


async def test_applications_are_listed_and_read(stage: Stage) -> None:
    listed = await stage.client.get("/applications")
    one = await stage.client.get(f"/applications/{APP}")

    assert [each["name"] for each in listed.json()] == [APP]
    assert one.json()["states"]["in_sync"] == 1
    assert listed.headers["cache-control"] == "no-store"


async def test_the_story_of_an_account_is_told_by_either_id(stage: Stage) -> None:
    target = (await stage.world.account(APP, stage.person)).target_id

    stories = [
        (await stage.client.get(f"/applications/{APP}/accounts/{each}")).json() for each in (stage.person, target)
    ]

    assert stories[0] == stories[1]
    assert stories[0]["row"]["state"] == "in_sync"


async def test_a_pause_is_written_down_with_who_when_and_from_where(stage: Stage) -> None:
    first = await stage.client.post(f"/applications/{APP}/pause", json={"reason": "audit"})
    stage.world.clock.advance(1)
    again = await stage.client.post(f"/applications/{APP}/pause", json={})
    trail = (await stage.client.get("/audit")).json()["items"]

    assert [first.json(), again.json()] == [{"changed": True}, {"changed": False}]
    newest = trail[0], trail[1]
    assert [(each["actor"], each["action"], each["application"]) for each in newest] == [
        (ACTOR, "pause_application", APP)
    ] * 2
    assert [(each["address"], each["via"], each["result"]) for each in newest] == [
        ("203.0.113.7:51000", "api", "200")
    ] * 2
    assert trail[1]["detail"] == {"reason": "audit"}
    assert trail[1]["config"] == stage.world.services.applications[APP].config_hash


async def test_a_configuration_that_came_into_force_is_on_the_trail(stage: Stage) -> None:
    trail = (await stage.client.get("/audit")).json()["items"]

    configured = [each for each in trail if each["action"] == "configure"]
    assert [(each["actor"], each["via"], each["result"]) for each in configured] == [
        ("deployment", "deployment", "in force")
    ]
    assert configured[0]["config"] == stage.world.services.applications[APP].config_hash


async def test_a_refused_action_is_on_the_trail_with_its_result(stage: Stage) -> None:
    stage.world.clock.advance(1)
    refused = await stage.client.post(f"/applications/{APP}/accounts/{stage.person}/retry")

    newest = (await stage.client.get("/audit?limit=1")).json()["items"][0]
    assert_problem(refused, 409, "nothing-to-retry")
    assert (newest["action"], newest["result"]) == ("retry_account", "409")


async def test_the_trail_is_paged_without_gap_or_double(stage: Stage) -> None:
    for _ in range(5):
        stage.world.clock.advance(1)
        await stage.client.post(f"/applications/{APP}/resume")
    everything = [each["id"] for each in (await stage.client.get("/audit")).json()["items"]]

    found: list[str] = []
    cursor = ""
    while cursor is not None:
        page = (await stage.client.get("/audit", params={"limit": 2, "cursor": cursor})).json()
        found += [each["id"] for each in page["items"]]
        cursor = page["next"]

    assert found == everything


@pytest.mark.parametrize("actor", ["", " ", "x" * 101, "a\tb"])
async def test_nobody_acts_without_saying_who(stage: Stage, actor: str) -> None:
    answer = await stage.client.post(f"/applications/{APP}/pause", json={}, headers={"X-Actor": actor})

    assert_problem(answer, 400, "actor")
    assert not (await stage.world.services.states.read_fresh(APP)).is_stopped


@pytest.mark.parametrize(
    ("method", "path", "status", "name"),
    [
        ("GET", "/applications/nobody", 404, "unknown-application"),
        ("POST", "/applications/nobody/resume", 404, "unknown-application"),
        ("GET", f"/applications/{APP}/accounts/{NOBODY}", 404, "unknown-account"),
        ("GET", f"/applications/{APP}/accounts/jo@contoso.example", 404, "unknown-account"),
        ("GET", f"/applications/{APP}/accounts/%3Cscript%3E%F0%9F%98%80", 404, "unknown-account"),
        ("GET", f"/applications/{APP}/accounts/..%2F..%2Fetc", 404, "not-found"),
        ("GET", f"/applications/{APP}/accounts/{'x' * 201}", 422, "invalid-request"),
        ("GET", "/nothing/here", 404, "not-found"),
        ("POST", "/applications", 405, "method-not-allowed"),
        ("GET", "/audit?limit=0", 422, "invalid-request"),
        ("GET", "/audit?limit=1000000", 422, "invalid-request"),
        ("GET", "/audit?limit=many", 422, "invalid-request"),
        ("GET", "/audit?cursor=%00%F0%9F%98%80", 400, "cursor"),
        ("GET", "/audit?cursor=e30", 400, "cursor"),
        ("GET", "/audit?cursor=eyJhZnRlciI6Ii4uLy4uIn0", 400, "cursor"),
        ("POST", f"/applications/{APP}/held/everybody/approve", 400, "list-number"),
    ],
)
async def test_a_mistake_is_a_problem_document(stage: Stage, method: str, path: str, status: int, name: str) -> None:
    assert_problem(await stage.client.request(method, path), status, name)


async def test_a_body_that_is_no_json_or_too_large_is_refused_and_never_echoed(stage: Stage) -> None:
    path = f"/applications/{APP}/pause"
    broken = await stage.client.post(
        path, content=b'{"reason": secret-17', headers={"content-type": "application/json"}
    )
    wrong = await stage.client.post(path, json={"reason": {"nested": "secret-17"}})
    large = await stage.client.post(path, content=b" " * 2_000_001)
    chunked = await stage.client.post(path, content=in_chunks(b" " * 2_000_001))
    endless = await stage.client.post(path, content=b"{}", headers={"content-length": "9" * 5000})

    assert_problem(broken, 422, "invalid-request")
    assert_problem(wrong, 422, "invalid-request")
    for each in (large, chunked, endless):
        assert_problem(each, 413, "too-large")
    assert "secret-17" not in broken.text + wrong.text


async def in_chunks(content: bytes) -> AsyncIterator[bytes]:
    """A body that does not announce its length."""
    for at in range(0, len(content), 100_000):
        yield content[at : at + 100_000]


async def test_a_body_in_chunks_is_read_whole(stage: Stage) -> None:
    answer = await stage.client.post(
        f"/applications/{APP}/pause",
        content=in_chunks(b'{"reason": "maintenance"}'),
        headers={"content-type": "application/json"},
    )

    assert answer.status_code == 200


async def test_of_thousands_of_mistakes_the_first_ones_are_listed(stage: Stage) -> None:
    text = stage.world.services.settings.provisioning_config.read_text("utf-8")
    posted = text + "".join(f"    unknown{at}: 1\n" for at in range(10_000))

    answer = await stage.client.post("/preview", json={"configuration": posted})

    assert_problem(answer, 422, "configuration")
    assert len(answer.json()["errors"]) == 50
    assert "first 50" in answer.json()["detail"]


@pytest.mark.parametrize("verb", ["approve", "reject"])
async def test_an_answer_about_a_list_that_is_not_held_is_refused(stage: Stage, verb: str) -> None:
    assert_problem(await stage.client.post(f"/applications/{APP}/held/{NO_LIST}/{verb}"), 409, "list-not-held")
