"""Every fault a simulated vendor can have, over real sockets: what the client sees and what the vendor did."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.simulation.vendors import AcmeSimulator, PureCloudSimulator, VendorOptions
from tests.simulation.vendors.calling import PATCH_URN, USER_URN

ADA = {"schemas": [USER_URN], "userName": "ada@contoso.test", "externalId": "e-1", "active": True}


@pytest.fixture
def acme() -> Iterator[AcmeSimulator]:
    simulator = AcmeSimulator()
    simulator.start()
    yield simulator
    simulator.stop()


@pytest.fixture
def client(acme: AcmeSimulator) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {acme.token}", "Content-Type": "application/scim+json"}
    with httpx.Client(base_url=acme.base_url, headers=headers, timeout=5) as opened:
        yield opened


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "1"),
        ({"retry_after": 7}, "7"),
        ({"retry_after": None}, None),
        ({"retry_after": "http-date", "seconds": 30}, "Thu, 01 Jan 1970 00:17:10 GMT"),
    ],
    ids=["one second", "seven seconds", "no header", "an HTTP date"],
)
def test_a_throttled_request_is_not_carried_out(options: dict[str, Any], expected: str | None) -> None:
    with AcmeSimulator(clock=lambda: 1000.0) as acme:
        acme.faults.add("throttle", **options)

        answer = httpx.post(f"{acme.base_url}/Users", json=ADA, headers={"Authorization": f"Bearer {acme.token}"})

        assert (answer.status_code, answer.headers.get("Retry-After")) == (429, expected)
        assert acme.resources() == []


@pytest.mark.parametrize("status", [500, 502, 503])
@pytest.mark.parametrize("applied", [True, False], ids=["after the write", "before the write"])
def test_a_server_error_may_hide_a_write(
    acme: AcmeSimulator, client: httpx.Client, *, status: int, applied: bool
) -> None:
    acme.faults.add("error", status=status, applied=applied)

    failed, retried = client.post("/Users", json=ADA), client.post("/Users", json=ADA)

    assert failed.status_code == status
    assert retried.status_code == (409 if applied else 201)
    assert len(acme.resources()) == 1


def test_an_outage_lasts_until_it_is_lifted(acme: AcmeSimulator, client: httpx.Client) -> None:
    acme.faults.add("outage")

    during = [client.get("/Users").status_code for _ in range(3)]
    acme.faults.lift("outage")

    assert during == [503, 503, 503]
    assert client.get("/Users").status_code == 200


@pytest.mark.parametrize(
    ("kind", "landed"), [("timeout_before_write", 0), ("timeout_after_write", 1)], ids=["before", "after"]
)
def test_a_timeout_before_or_after_the_write(acme: AcmeSimulator, client: httpx.Client, kind: str, landed: int) -> None:
    acme.faults.add(kind)

    with pytest.raises(httpx.ReadTimeout):
        client.post("/Users", json=ADA, timeout=0.2)
    acme.faults.release()

    assert len(acme.resources()) == landed
    assert (acme.journal[-1].fault, acme.journal[-1].status) == (kind, None)


def test_a_held_answer_is_given_up_when_it_is_released(acme: AcmeSimulator, client: httpx.Client) -> None:
    acme.faults.add("timeout_after_write", seconds=60)
    outcome: list[str] = []

    def ask() -> None:
        try:
            client.post("/Users", json=ADA, timeout=30)
        except httpx.RemoteProtocolError as error:
            outcome.append(type(error).__name__)

    asking = threading.Thread(target=ask)
    asking.start()
    while not acme.resources():
        asking.join(0.01)
    acme.faults.release()
    asking.join()

    assert outcome == ["RemoteProtocolError"]


def test_a_late_write_lands_when_it_is_released(acme: AcmeSimulator, client: httpx.Client) -> None:
    resource_id = client.post("/Users", json=ADA).json()["id"]
    acme.faults.add("late_write", method="PATCH")
    enable = {"schemas": [PATCH_URN], "Operations": [{"op": "replace", "path": "title", "value": "late"}]}
    disable = {"schemas": [PATCH_URN], "Operations": [{"op": "replace", "path": "title", "value": "newer"}]}

    with pytest.raises(httpx.RemoteProtocolError):
        client.patch(f"/Users/{resource_id}", json=enable)
    client.patch(f"/Users/{resource_id}", json=disable)
    before = acme.resources()[0]["title"]
    landed = acme.release_late_writes()

    assert (before, landed, acme.resources()[0]["title"]) == ("newer", 1, "late")
    assert acme.journal[-1].landed_late
    assert acme.release_late_writes() == 0


def test_a_reset_connection_is_an_error_of_the_socket(acme: AcmeSimulator, client: httpx.Client) -> None:
    acme.faults.add("reset")

    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        client.post("/Users", json=ADA)

    assert acme.resources() == []
    assert client.post("/Users", json=ADA).status_code == 201


def test_a_web_page_instead_of_scim(acme: AcmeSimulator, client: httpx.Client) -> None:
    acme.faults.add("html", path="/Users", status=404)

    answer = client.get("/Users/x")

    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("text/html")


def test_a_body_that_breaks_off(acme: AcmeSimulator, client: httpx.Client) -> None:
    acme.faults.add("malformed_json", method="POST")

    answer = client.post("/Users", json=ADA)

    with pytest.raises(json.JSONDecodeError):
        answer.json()
    assert len(acme.resources()) == 1


def test_a_list_that_is_shorter_than_it_says(acme: AcmeSimulator, client: httpx.Client) -> None:
    acme.seed([{"userName": f"u{number}"} for number in range(6)])
    acme.faults.add("truncated_list", keep=2)

    first, second = client.get("/Users").json(), client.get("/Users").json()

    assert (first["totalResults"], len(first["Resources"])) == (6, 2)
    assert len(second["Resources"]) == 6


@pytest.mark.parametrize("location", [True, False])
def test_a_created_account_without_a_body(acme: AcmeSimulator, client: httpx.Client, *, location: bool) -> None:
    acme.faults.add("empty_201", location=location)

    answer = client.post("/Users", json=ADA)

    assert (answer.status_code, answer.content) == (201, b"")
    assert ("Location" in answer.headers) is location
    assert len(acme.resources()) == 1


def test_an_id_that_is_a_number(acme: AcmeSimulator, client: httpx.Client) -> None:
    acme.faults.add("integer_id", path="^/Users")

    created = client.post("/Users", json=ADA).json()
    read = client.get(f"/Users/{created['id']}").json()

    assert isinstance(created["id"], int)
    assert read["id"] == created["id"]


def test_an_id_with_a_slash_works_when_it_is_encoded(acme: AcmeSimulator, client: httpx.Client) -> None:
    acme.faults.add("id_with_slash")

    created = client.post("/Users", json=ADA)
    read = client.get(created.headers["Location"])

    assert "/" in created.json()["id"]
    assert read.json()["id"] == created.json()["id"]


def test_a_lookup_with_two_hits(acme: AcmeSimulator, client: httpx.Client) -> None:
    client.post("/Users", json=ADA)
    acme.faults.add("duplicate_match")

    hits = client.get("/Users", params={"filter": 'userName eq "ada@contoso.test"'}).json()["Resources"]

    assert len({each["id"] for each in hits}) == 2


def test_a_list_that_never_moves_on(acme: AcmeSimulator, client: httpx.Client) -> None:
    acme.seed([{"userName": f"u{number}"} for number in range(4)])
    acme.faults.add("page_loop", times=None)

    pages = [client.get("/Users", params={"startIndex": start, "count": 2}).json() for start in (1, 3)]

    assert pages[0]["Resources"] == pages[1]["Resources"]


def test_a_list_without_hits_may_be_null(acme: AcmeSimulator, client: httpx.Client) -> None:
    acme.faults.add("null_resources")

    answer = client.get("/Users", params={"filter": 'userName eq "nobody"'}).json()

    assert (answer["totalResults"], answer["Resources"]) == (0, None)


def test_a_slow_answer_arrives_when_it_is_released(acme: AcmeSimulator, client: httpx.Client) -> None:
    acme.faults.add("slow", seconds=60)

    with pytest.raises(httpx.ReadTimeout):
        client.post("/Users", json=ADA, timeout=0.2)

    assert len(acme.resources()) == 1


def test_a_write_that_loses_its_external_id(acme: AcmeSimulator, client: httpx.Client) -> None:
    acme.faults.add("drop_external_id")

    created = client.post("/Users", json=ADA)

    assert created.status_code == 201
    assert "externalId" not in acme.resources()[0]
    assert acme.violations == []


def test_a_fault_meets_only_the_requests_it_is_meant_for(acme: AcmeSimulator, client: httpx.Client) -> None:
    acme.faults.add("error", method="POST", path="^/Users", times=2)

    statuses = [
        client.get("/Users").status_code,
        client.post("/Groups", json={"schemas": [], "displayName": "G"}).status_code,
        *(client.post("/Users", json=ADA).status_code for _ in range(3)),
    ]

    assert statuses == [200, 201, 500, 500, 201]


def test_many_requests_share_one_connection_and_many_connections_one_vendor(acme: AcmeSimulator) -> None:
    headers = {"Authorization": f"Bearer {acme.token}", "Content-Type": "application/scim+json"}

    def create(worker: int) -> None:
        with httpx.Client(base_url=acme.base_url, headers=headers) as own:
            for number in range(10):
                own.post("/Users", json={**ADA, "userName": f"{worker}-{number}"})

    workers = [threading.Thread(target=create, args=(each,)) for each in range(4)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()

    assert len(acme.resources()) == 40
    assert len({each["meta"]["version"] for each in acme.resources()}) == 40


def test_a_stopped_vendor_answers_nobody_and_starts_again_on_its_port() -> None:
    acme = AcmeSimulator(options=VendorOptions())
    url = acme.start()
    headers = {"Authorization": f"Bearer {acme.token}"}

    with httpx.Client(headers=headers) as client:
        before = client.get(f"{url}/Users").status_code
        acme.stop()
        with pytest.raises(httpx.TransportError):
            client.get(f"{url}/Users")
        acme.start(port=int(url.split(":")[2].split("/")[0]))
        after = client.get(f"{url}/Users").status_code
        acme.stop()

    assert (before, after) == (200, 200)


def test_the_login_server_has_faults_of_its_own() -> None:
    with PureCloudSimulator() as sim:
        assert isinstance(sim, PureCloudSimulator)
        sim.login.faults.add("error", status=503)
        ask = {"data": {"grant_type": "client_credentials"}, "auth": (sim.client_id, sim.client_secret)}

        failed, granted = httpx.post(sim.login_url, **ask), httpx.post(sim.login_url, **ask)

        bearer = {"Authorization": f"Bearer {granted.json()['access_token']}"}
        assert (failed.status_code, granted.status_code) == (503, 200)
        assert httpx.get(f"{sim.base_url}/users", headers=bearer).status_code == 200
        assert [each.path for each in sim.login.journal] == ["/oauth/token", "/oauth/token"]
