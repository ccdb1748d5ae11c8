"""HTTP triggers, keys and the admin calls."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.simulation.host.keys import load_keys
from tests.simulation.tests.sample_host import SampleHost, eventually


@pytest.fixture(scope="module")
def sample(azurite: str, tmp_path_factory: pytest.TempPathFactory) -> SampleHost:
    folder = tmp_path_factory.mktemp("http")
    return SampleHost(storage=azurite, prefix=f"h{folder.name.lower()}", folder=folder, settings={})


@pytest.fixture(scope="module")
def http(sample: SampleHost) -> Iterator[httpx.Client]:
    """Answers with a client of the running sample app."""
    with sample.start() as host, httpx.Client(base_url=host.url, timeout=30) as client:
        yield client


def test_a_function_gets_method_parameters_query_and_body(http: httpx.Client) -> None:
    answer = http.post("/api/echo/5?x=1&x=2", content="hi").json()

    assert (answer["method"], answer["id"], answer["query"], answer["body"]) == ("POST", "5", {"x": "1,2"}, "hi")


def test_a_function_answers_with_headers_and_cookies(http: httpx.Client) -> None:
    answer = http.get("/api/echo")

    assert answer.headers["content-type"] == "application/json"
    assert answer.cookies["seen"] == "yes"
    assert "samesite=lax" in answer.headers["set-cookie"].lower()


def test_a_trace_goes_on_through_a_function(http: httpx.Client) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"

    answer = http.get("/api/echo", headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"}).json()

    assert answer["trace"].split("-")[1] == trace
    assert answer["trace"].split("-")[2] != "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("GET", "/api/echo/abc", id="a parameter that breaks its constraint"),
        pytest.param("DELETE", "/api/echo/5", id="a method that is not listed"),
        pytest.param("GET", "/echo/5", id="a path without the prefix"),
        pytest.param("GET", "/api/tick", id="a function without a route"),
    ],
)
def test_there_is_nothing_at(http: httpx.Client, method: str, path: str) -> None:
    assert http.request(method, path).status_code == 404


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        pytest.param("/api/locked", "", 401, id="a function without a key is closed"),
        pytest.param("/api/locked", "wrong", 401, id="a function with a wrong key is closed"),
        pytest.param("/api/locked", "function", 200, id="a function with the function key is open"),
        pytest.param("/api/locked", "master", 200, id="a function with the master key is open"),
        pytest.param("/api/vault", "function", 401, id="an admin function with the function key is closed"),
        pytest.param("/api/vault", "master", 200, id="an admin function with the master key is open"),
        pytest.param("/admin/host/status", "", 200, id="admin calls without a key are open to this machine"),
        pytest.param("/admin/host/status", "function", 401, id="admin calls with another key are closed"),
    ],
)
def test_keys(http: httpx.Client, path: str, key: str, status: int) -> None:
    by_header = http.get(path, headers={"x-functions-key": key} if key else {})
    by_query = http.get(path, params={"code": key} if key else {})

    assert (by_header.status_code, by_query.status_code) == (status, status)


def test_a_failing_function_answers_500_and_sends_nothing(http: httpx.Client, sample: SampleHost) -> None:
    failed = http.post("/api/send?fail=1", content="lost")
    sent = http.post("/api/send", content="kept")

    assert (failed.status_code, sent.status_code) == (500, 202)
    assert eventually(lambda: sample.notes("ordered", body="kept"))
    assert not sample.notes("order", body="lost")


def test_an_admin_call_runs_a_timer_and_answers_when_it_ended(http: httpx.Client, sample: SampleHost) -> None:
    answer = http.post("/admin/functions/tick", json={})

    assert answer.status_code == 202
    assert answer.json()["succeeded"] is True
    assert len(sample.notes("tick", past_due=False)) == 1


def test_an_admin_call_runs_a_queue_function_with_its_input(http: httpx.Client, sample: SampleHost) -> None:
    answer = http.post("/admin/functions/order", json={"input": "fail-by-hand"})

    assert answer.json()["succeeded"] is False
    assert "ValueError: this order always fails" in answer.json()["error"]
    assert len(sample.notes("order", body="fail-by-hand")) == 1


def test_an_admin_call_need_not_wait(http: httpx.Client, sample: SampleHost) -> None:
    answer = http.post("/admin/functions/order?wait=false", json={"input": "slow:0.5"})
    ended_by_then = sample.notes("ordered", body="slow:0.5")

    assert (answer.status_code, answer.content) == (202, b"")
    assert not ended_by_then
    assert eventually(lambda: sample.notes("ordered", body="slow:0.5"))


def test_an_admin_call_for_an_unknown_function_is_404(http: httpx.Client) -> None:
    assert http.post("/admin/functions/nobody", json={}).status_code == 404


def test_the_status_says_running(http: httpx.Client, sample: SampleHost) -> None:
    status = http.get("/admin/host/status").json()
    names = {function["name"] for function in http.get("/admin/functions").json()}

    assert (status["state"], status["id"]) == ("Running", sample.prefix)
    assert {"tick", "order", "shipment", "echo"} <= names


def test_keys_are_made_once_and_kept_and_a_setting_goes_over_them_unkept(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"

    given = load_keys(path, {"HOST_MASTER_KEY": "given"})
    first = load_keys(path, {})
    second = load_keys(path, {})

    assert given.is_master("given")
    assert not first.is_master("given")
    assert first == second
    assert path.stat().st_mode & 0o077 == 0


def test_a_key_of_one_function_opens_only_that_one(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text('{"locked": "only-locked"}')

    keys = load_keys(path, {})

    assert keys.opens("function", "locked", "only-locked")
    assert not keys.opens("function", "other", "only-locked")
    assert not keys.opens("admin", "locked", "only-locked")
