"""The control API under `/_sim/` and the runner that other processes use."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.simulation.vendors import AcmeSimulator, FilterMode
from tests.simulation.vendors.__main__ import options_of
from tests.simulation.vendors.calling import USER_URN

ADA = {"schemas": [USER_URN], "userName": "ada@contoso.test", "nickname_": "x"}


@pytest.fixture
def acme() -> Iterator[AcmeSimulator]:
    simulator = AcmeSimulator()
    simulator.start()
    yield simulator
    simulator.stop()


@pytest.fixture
def control(acme: AcmeSimulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{acme.origin}/_sim", timeout=5) as client:
        yield client


def scim(acme: AcmeSimulator, method: str, path: str, **options: Any) -> httpx.Response:
    return httpx.request(method, acme.base_url + path, headers={"Authorization": f"Bearer {acme.token}"}, **options)


def test_the_state_counts_what_happened(acme: AcmeSimulator, control: httpx.Client) -> None:
    scim(acme, "POST", "/Users", json=ADA)

    state = control.get("/state").json()

    assert (state["vendor"], state["users"], state["requests"], state["violations"]) == ("acme", 1, 1, 1)
    assert state["base_url"] == acme.base_url


def test_accounts_are_seeded_and_read(acme: AcmeSimulator, control: httpx.Client) -> None:
    ids = control.post("/resources", json={"resources": [{"userName": "old"}]}).json()["ids"]
    control.post("/resources?type=Group", json=[{"displayName": "G"}])

    users, groups = control.get("/resources").json(), control.get("/resources?type=Group").json()

    assert [(each["id"], each["userName"], each["_deleted"]) for each in users] == [(ids[0], "old", False)]
    assert [each["displayName"] for each in groups] == ["G"]


def test_the_journal_and_the_findings_are_read_and_cleared(acme: AcmeSimulator, control: httpx.Client) -> None:
    scim(acme, "POST", "/Users", json=ADA)

    journal = control.get("/journal").json()
    violations = control.get("/violations").json()
    control.delete("/violations")

    assert (journal[0]["method"], journal[0]["status"]) == ("POST", 201)
    assert (violations[0]["rule"], violations[0]["detail"]) == ("C5", "nickname_")
    assert acme.token not in json.dumps(journal)
    assert (control.get("/violations").json(), control.get("/notices").json()) == ([], [])


def test_faults_are_added_and_lifted(acme: AcmeSimulator, control: httpx.Client) -> None:
    control.post("/faults", json={"kind": "outage"})
    during = scim(acme, "GET", "/Users").status_code
    [fault] = control.get("/faults").json()
    control.delete(f"/faults/{fault['id']}")

    assert (during, scim(acme, "GET", "/Users").status_code) == (503, 200)
    assert control.post("/faults", json={"kind": "no such fault"}).status_code == 400


def test_late_writes_are_released(acme: AcmeSimulator, control: httpx.Client) -> None:
    control.post("/faults", json={"kind": "late_write"})
    with pytest.raises(httpx.RemoteProtocolError):
        scim(acme, "POST", "/Users", json=ADA)

    released = control.post("/faults/release").json()

    assert released == {"late_writes": 1}
    assert len(acme.resources()) == 1


def test_the_clock_moves_and_tokens_follow(acme: AcmeSimulator, control: httpx.Client) -> None:
    token = control.post("/tokens/short", json={"lifetime_s": 60}).json()["token"]
    bearer = {"Authorization": f"Bearer {token}"}

    before = httpx.get(f"{acme.base_url}/Users", headers=bearer).status_code
    control.post("/clock", json={"advance_s": 61})
    after = httpx.get(f"{acme.base_url}/Users", headers=bearer).status_code
    control.delete("/tokens/primary")

    assert (before, after) == (200, 401)
    assert scim(acme, "GET", "/Users").status_code == 401
    assert {each["name"]: each["refused"] for each in control.get("/tokens").json()} == {
        "primary": "revoked",
        "short": "expired",
    }


def test_a_reset_forgets_everything_but_tokens(acme: AcmeSimulator, control: httpx.Client) -> None:
    scim(acme, "POST", "/Users", json=ADA)

    control.post("/reset")

    assert control.get("/state").json()["requests"] == 0
    assert scim(acme, "GET", "/Users").json()["totalResults"] == 0


def test_an_unknown_control_path_lists_what_there_is(control: httpx.Client) -> None:
    answer = control.get("/nonsense")

    assert answer.status_code == 404
    assert "/_sim/state" in answer.json()["routes"]


def test_the_runner_says_where_all_vendors_are(tmp_path: Path) -> None:
    ports = tmp_path / "vendors.json"
    command = [sys.executable, "-m", "tests.simulation.vendors", "--which", "all", "--ports-file", str(ports)]
    root = Path(__file__).parents[3]

    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root, text=True) as runner:
        assert runner.stdout is not None
        line = runner.stdout.readline()
        vendors = json.loads(line)["vendors"]
        statuses = {
            name: httpx.get(
                f"{each['base_url']}/Users", headers={"Authorization": f"Bearer {each['token']}"}
            ).status_code
            for name, each in vendors.items()
        }
        os.kill(runner.pid, signal.SIGTERM)
        ended = runner.wait(10)

    assert statuses == dict.fromkeys(("acme", "fuze", "fortes", "purecloud", "clarizen"), 200)
    assert json.loads(ports.read_text()) == json.loads(line)
    assert vendors["purecloud"]["login_url"].endswith("/oauth/token")
    assert len(vendors["clarizen"]["base_urls"]) == 4
    assert ended == 0


def test_an_option_is_set_from_the_command_line() -> None:
    options = options_of("fuze", ["fuze.rate_limit=200", "fuze.user_name_filter=ignore", "acme.rate_limit=1"])

    assert (options.rate_limit, options.user_name_filter) == (200, FilterMode.ignore)


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(ValueError, match="fuze has no option colour"):
        options_of("fuze", ["fuze.colour=1"])
