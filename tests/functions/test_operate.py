"""The HTTP API and the command line against the app on a host process: keys, an answer, an action, a problem."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import anyio.to_thread
import httpx
import pytest
from typer.testing import CliRunner

from shared.cli.__main__ import app
from shared.cli.exit_codes import ExitCode
from tests.functions.deployment import Deployment, eventually, open_deployment
from tests.simulation.host.process import HostProcess

KEY = "a-key-of-this-host"
NAMES = ("AzureWebJobs", "GRAPH_", "PROV")


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with open_deployment(tmp_path_factory.mktemp("operate"), users=6) as running:
        yield running


@pytest.fixture(scope="module")
def host(deployment: Deployment) -> HostProcess:
    people = [deployment.tenant.user(user_id) for user_id in deployment.tenant.user_ids()]
    for person in people:
        if person["accountEnabled"] and person["userType"] == "Member":
            deployment.assign(person["id"])
    return deployment.start(HOST_FUNCTION_KEY=KEY)


@pytest.fixture
def client(host: HostProcess) -> Iterator[httpx.Client]:
    headers = {"x-functions-key": KEY, "X-Actor": "jo"}
    with httpx.Client(base_url=f"{host.url}/api", headers=headers, timeout=30) as connected:
        yield connected


def provisioner(host: HostProcess, *arguments: str, key: str = KEY) -> tuple[int, str, str]:
    """Runs a command against the host, with none of this machine's settings."""
    cleared = dict.fromkeys([name for name in os.environ if name.startswith(NAMES)])
    settings = {"PROVISIONER_URL": host.url, "PROVISIONER_KEY": key, "PROVISIONER_ACTOR": "sam", "COLUMNS": "200"}
    result = CliRunner().invoke(app, list(arguments), env={**cleared, **settings})
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("key", ["", "wrong"])
@pytest.mark.parametrize(("method", "path"), [("GET", "/applications"), ("POST", "/applications/acme/pause")])
def test_without_a_key_nothing_is_answered(client: httpx.Client, method: str, path: str, key: str) -> None:
    answer = client.request(method, path, headers={"x-functions-key": key})

    assert (answer.status_code, answer.content) == (401, b"")


def test_applications_are_answered_and_not_kept(client: httpx.Client) -> None:
    answer = client.get("/applications")

    assert [each["name"] for each in answer.json()] == ["acme", "fuze"]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"


def test_no_path_leads_out_of_the_api(client: httpx.Client) -> None:
    paths = ("/applications/..%2F..%2Fadmin", "/applications/%2e%2e/%2e%2e/admin/host/status", "/%2e%2e/x")

    answers = [client.get(path) for path in paths]

    assert [answer.status_code for answer in answers] == [404] * 3


async def test_the_command_line_reads_and_acts_over_the_network(deployment: Deployment, host: HostProcess) -> None:
    settled = await eventually(deployment.is_settled)
    status = await anyio.to_thread.run_sync(lambda: provisioner(host, "status", "--json"))
    paused = await anyio.to_thread.run_sync(lambda: provisioner(host, "pause", "acme", "--reason", "move"))
    resumed = await anyio.to_thread.run_sync(lambda: provisioner(host, "resume", "acme"))
    trail = await anyio.to_thread.run_sync(lambda: provisioner(host, "audit", "--json"))

    assert settled
    assert [(each["name"], each["pending"]) for each in json.loads(status[1])] == [("acme", 0), ("fuze", 0)]
    assert [paused[0], resumed[0]] == [ExitCode.OK] * 2
    told = [(each["actor"], each["via"], each["action"], each["result"]) for each in json.loads(trail[1])[:2]]
    assert told == [
        ("sam", "command line", "resume_application", "200"),
        ("sam", "command line", "pause_application", "200"),
    ]


def test_a_wrong_key_and_a_wrong_address_are_told_with_what_to_set(host: HostProcess) -> None:
    refused = provisioner(host, "status", key="wrong")
    nowhere = CliRunner().invoke(app, ["status"], env={"PROVISIONER_URL": "http://127.0.0.1:9"})
    plain = CliRunner().invoke(app, ["status"], env={"PROVISIONER_URL": "http://provisioner.example"})

    assert (refused[0], "PROVISIONER_KEY" in refused[2]) == (ExitCode.CONFIGURATION, True)
    assert (nowhere.exit_code, "cannot be reached" in nowhere.stderr) == (ExitCode.UNAVAILABLE, True)
    assert (plain.exit_code, "https" in plain.stderr) == (ExitCode.CONFIGURATION, True)
