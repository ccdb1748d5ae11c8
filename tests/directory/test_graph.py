"""Microsoft Graph as a transport: what comes back, what is refused, and where no token ever goes."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from shared.config.settings import Settings
from shared.directory.graph import (
    ForeignLink,
    Graph,
    GraphError,
    GraphNotFound,
    GraphRefused,
    GraphThrottled,
    GraphUnavailable,
    SynchronizationReset,
)
from shared.storage.connections import graph_credential
from tests.simulation.graph import GraphSimulator
from tests.simulation.graph.endpoint import serve_endpoint
from tests.simulation.tenant import Tenant
from tests.world import HandClock

TENANT = Tenant(3, 12)
SELECT = ("accountEnabled", "displayName", "id")


def graph_at(base_url: str, clock: HandClock | None = None) -> Graph:
    settings = Settings.load(
        {
            "AzureWebJobsStorage": "UseDevelopmentStorage=true",
            "GRAPH_BASE_URL": base_url,
            "GRAPH_STATIC_TOKEN": "simulated",
        }
    )
    return Graph(base_url=base_url, credential=graph_credential(settings), clock=clock or HandClock())


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def simulator(clock: HandClock) -> Iterator[GraphSimulator]:
    with GraphSimulator(TENANT, clock=clock.now, page_size=5) as running:
        yield running


@pytest.fixture
def foreign() -> Iterator[GraphSimulator]:
    with GraphSimulator(TENANT) as running:
        yield running


@pytest.fixture
async def graph(simulator: GraphSimulator, clock: HandClock) -> AsyncIterator[Graph]:
    graph = graph_at(simulator.base_url, clock)
    yield graph
    await graph.close()


@contextmanager
def answering(
    answer: Callable[[str], tuple[int, dict[str, str], bytes]],
) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """A server that answers as told and remembers each path with the token that came."""
    seen: list[tuple[str, str | None]] = []

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append((self.path, self.headers.get("Authorization")))
            status, headers, body = answer(self.path)
            self.send_response_only(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - name of the base class
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1.0", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def reading(answer: Callable[[str], tuple[int, dict[str, str], bytes]], path: str = "/users/x") -> Any:
    with answering(answer) as (base_url, _):
        graph = graph_at(base_url)
        try:
            return await graph.read(path)
        finally:
            await graph.close()


async def test_a_round_is_read_page_by_page_to_its_delta_link(graph: Graph) -> None:
    page = await graph.read_users_delta(SELECT)
    ids = [found["id"] for found in page["value"]]
    while "@odata.nextLink" in page:
        page = await graph.read(page["@odata.nextLink"])
        ids += [found["id"] for found in page["value"]]

    assert sorted(ids) == sorted(TENANT.user_ids())
    assert page["@odata.deltaLink"]
    assert all(set(found) <= set(SELECT) for found in page["value"])


async def test_groups_come_with_their_members(graph: Graph) -> None:
    page = await graph.read_groups_delta(("id", "displayName", "members"))

    assert any(found.get("members@delta") for found in page["value"])


async def test_a_list_is_read_to_its_end_over_empty_pages(graph: Graph, simulator: GraphSimulator) -> None:
    group_id = TENANT.group_id_of("All employees")
    simulator.faults.add("empty_page", path="groups/*/members")

    listed = [found["id"] async for page in graph.list_members(group_id) for found in page]

    assert set(listed) == set(TENANT.members[group_id])
    assert simulator.requests.counts()["groups/{id}/members"] == 2


async def test_every_request_carries_the_token_and_is_counted(graph: Graph, simulator: GraphSimulator) -> None:
    await graph.read_users_delta(SELECT)
    await graph.read_service_principal(TENANT.service_principal_id_of("Fuze"))

    assert all(entry.had_token for entry in simulator.requests)
    assert graph.requests == {"users": 1, "servicePrincipals": 1}


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "gone"}, SynchronizationReset),
        ({"kind": "sync_state_not_found"}, SynchronizationReset),
        ({"kind": "sync_state_not_found", "status": 404}, SynchronizationReset),
        ({"kind": "not_found"}, GraphNotFound),
        ({"kind": "server_error", "status": 500}, GraphUnavailable),
        ({"kind": "server_error", "status": 502}, GraphUnavailable),
        ({"kind": "server_error", "status": 503}, GraphUnavailable),
        ({"kind": "server_error", "status": 503, "retry_after": "7"}, GraphThrottled),
        ({"kind": "server_error", "status": 504}, GraphUnavailable),
        ({"kind": "reset"}, GraphUnavailable),
        ({"kind": "refuse"}, GraphUnavailable),
        ({"kind": "truncate"}, GraphUnavailable),
        ({"kind": "garbage"}, GraphUnavailable),
    ],
    ids=lambda value: " ".join(map(str, value.values())) if isinstance(value, dict) else value.__name__,
)
async def test_a_fault_is_one_of_our_errors_and_is_not_tried_again(
    graph: Graph, simulator: GraphSimulator, fault: dict[str, Any], error: type[GraphError]
) -> None:
    simulator.faults.add(fault.pop("kind"), path="users/delta", times=None, **fault)

    with pytest.raises(GraphError) as caught:
        await graph.read_users_delta(SELECT)

    assert type(caught.value) is error
    assert simulator.requests.total == 1


WAITS = {"seconds": ("17", 17.0), "more than the SDK would wait": ("300", 300.0), "none": (None, 30.0)}


@pytest.mark.parametrize(("retry_after", "wait_s"), [*WAITS.values(), ("date", 2.0)], ids=[*WAITS, "a date"])
async def test_a_throttled_answer_says_how_long_to_wait_and_nothing_is_slept(
    graph: Graph, simulator: GraphSimulator, clock: HandClock, retry_after: str | None, wait_s: float
) -> None:
    simulator.faults.add("throttle", times=None, retry_after=retry_after)

    with pytest.raises(GraphThrottled) as caught:
        await graph.read_users_delta(SELECT)

    assert caught.value.retry_after_s == wait_s
    assert clock.elapsed == 0
    assert simulator.requests.total == 1


ODD_WAITS = {
    "a negative number": ("-5", 30.0),
    "text": ("soon", 30.0),
    "nonsense that looks like digits": ("²", 30.0),
    "a date that is over": ("Sat, 01 Jan 2000 00:00:00 GMT", 1.0),
    "a number without end": ("9" * 400, 86_400.0),
    "a date without end": ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400.0),
}


@pytest.mark.parametrize(("retry_after", "wait_s"), ODD_WAITS.values(), ids=ODD_WAITS)
async def test_an_odd_retry_after_is_bounded(retry_after: str, wait_s: float) -> None:
    with pytest.raises(GraphThrottled) as caught:
        await reading(lambda path: (429, {"Retry-After": retry_after}, b"{}"))

    assert caught.value.retry_after_s == wait_s


PERMISSIONS = {
    "users/delta": "User.Read.All",
    "groups/delta": "GroupMember.Read.All",
    "servicePrincipals/*": "Application.Read.All",
}


@pytest.mark.parametrize(("path", "permission"), PERMISSIONS.items(), ids=PERMISSIONS)
async def test_a_refusal_names_the_missing_permission(
    graph: Graph, simulator: GraphSimulator, path: str, permission: str
) -> None:
    simulator.faults.add("forbidden", path=path)
    reads: dict[str, Callable[[], Any]] = {
        "users/delta": lambda: graph.read_users_delta(SELECT),
        "groups/delta": lambda: graph.read_groups_delta(("id", "members")),
        "servicePrincipals/*": lambda: graph.read_service_principal(TENANT.service_principal_id_of("Fuze")),
    }

    with pytest.raises(GraphRefused, match=f"403.*permission {permission}, with admin consent"):
        await reads[path]()


async def test_a_refused_token_is_told_apart_from_a_missing_permission(graph: Graph, simulator: GraphSimulator) -> None:
    simulator.faults.add("unauthorized")

    with pytest.raises(GraphRefused, match=r"401.*no valid token.*AZURE_CLIENT_ID") as caught:
        await graph.read_users_delta(SELECT)

    assert "simulated" not in str(caught.value)


async def test_an_error_never_shows_the_link_with_its_token(graph: Graph, simulator: GraphSimulator) -> None:
    page = await graph.read_users_delta(SELECT)
    simulator.faults.add("server_error", link="next", status=500)

    with pytest.raises(GraphUnavailable) as caught:
        await graph.read(page["@odata.nextLink"])

    assert page["@odata.nextLink"].partition("skiptoken=")[2] not in str(caught.value)


async def test_a_link_to_another_host_is_refused_and_no_token_goes_there(
    graph: Graph, simulator: GraphSimulator, foreign: GraphSimulator
) -> None:
    origin = foreign.base_url.removesuffix("/v1.0")
    simulator.faults.add("foreign_link", origin=origin)
    page = await graph.read_users_delta(SELECT)
    leading_away = page["@odata.nextLink"]

    with pytest.raises(ForeignLink, match="another host"):
        await graph.read(leading_away)

    assert leading_away.startswith(origin)
    assert foreign.requests.total == 0


async def test_a_list_that_leads_to_another_host_ends_and_no_token_goes_there(
    graph: Graph, simulator: GraphSimulator, foreign: GraphSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.directory.graph.MEMBERS_AT_ONCE", 100)
    big = Tenant(3, 150)
    with GraphSimulator(big) as lists:
        lists.faults.add("foreign_link", path="groups/*/members", origin=foreign.base_url.removesuffix("/v1.0"))
        other = graph_at(lists.base_url)

        with pytest.raises(ForeignLink):
            _ = [page async for page in other.list_members(big.group_id_of("All employees"))]
        await other.close()

    assert foreign.requests.total == 0


async def test_the_location_of_a_reset_is_never_followed(
    graph: Graph, simulator: GraphSimulator, foreign: GraphSimulator
) -> None:
    simulator.faults.add("gone", origin=foreign.base_url.removesuffix("/v1.0"))

    with pytest.raises(SynchronizationReset):
        await graph.read_users_delta(SELECT)

    assert foreign.requests.total == 0
    assert simulator.requests.total == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(foreign: GraphSimulator, status: int) -> None:
    location = f"{foreign.base_url}/users/delta"

    with pytest.raises(GraphUnavailable):
        await reading(lambda path: (status, {"Location": location}, b""))

    assert foreign.requests.total == 0


LOOK_ALIKES = {
    "another port": lambda base: base.replace("127.0.0.1:", "127.0.0.1:1"),
    "another scheme": lambda base: base.replace("http:", "https:"),
    "our host as the user name": lambda base: base.replace("127.0.0.1", "127.0.0.1@evil.example"),
    "our host as a label": lambda base: base.replace("127.0.0.1", "127.0.0.1.evil.example"),
    "no URL at all": lambda base: "http://[::1",
    "a port that is no number": lambda base: "http://127.0.0.1:port/v1.0",
    "no host": lambda base: "file:///etc/passwd",
}


@pytest.mark.parametrize("link_of", LOOK_ALIKES.values(), ids=LOOK_ALIKES)
async def test_a_link_that_only_looks_like_ours_is_refused(
    graph: Graph, simulator: GraphSimulator, link_of: Callable[[str], str]
) -> None:
    with pytest.raises(ForeignLink):
        await graph.read(f"{link_of(simulator.base_url)}/users/delta?$deltatoken=x")

    assert simulator.requests.total == 0


NOT_JSON_OBJECTS = {
    "a list": b"[]",
    "a number": b"1",
    "nothing": b"",
    "half a document": b'{"value": [',
    "deeply nested": b"[" * 100_000,
    "a page whose value is an object": b'{"value": {}}',
    "a page whose value is null": b'{"value": null}',
    "bytes that are no text": b'{"value": "\xff\xfe"}',
}


@pytest.mark.parametrize("body", NOT_JSON_OBJECTS.values(), ids=NOT_JSON_OBJECTS)
async def test_an_answer_that_is_no_document_is_unavailable(body: bytes) -> None:
    with pytest.raises(GraphUnavailable):
        await reading(lambda path: (200, {}, body))


async def test_a_list_page_without_objects_is_unavailable_and_not_empty() -> None:
    with answering(lambda path: (200, {}, b'{"@odata.context": "x"}')) as (base_url, _):
        graph = graph_at(base_url)

        with pytest.raises(GraphUnavailable):
            _ = [page async for page in graph.list_members("team-0001")]
        await graph.close()


@pytest.mark.parametrize("steps", [1, 3], ids=["a page that links to itself", "a circle of three"])
async def test_a_list_that_loops_is_unavailable(steps: int) -> None:
    def answer(path: str) -> tuple[int, dict[str, str], bytes]:
        at = int(path.partition("at=")[2] or 0)
        return 200, {}, json.dumps({"value": [], "@odata.nextLink": f"{urls[0]}/loop?at={(at + 1) % steps}"}).encode()

    urls: list[str] = []
    with answering(answer) as (base_url, seen):
        urls.append(base_url)
        graph = graph_at(base_url)

        with pytest.raises(GraphUnavailable, match="already read"):
            _ = [page async for page in graph.list_pages("/loop?at=0")]
        await graph.close()

    assert len(seen) <= steps + 2


async def test_half_an_emoji_becomes_a_replacement_character() -> None:
    document = await reading(lambda path: (200, {}, b'{"id": "x", "displayName": ["A \\ud83d", "\\ud83d\\ude00"]}'))

    assert document["displayName"] == ["A \ufffd", "\U0001f600"]


async def test_a_user_that_graph_does_not_know_does_not_exist(graph: Graph) -> None:
    assert await graph.exists(f"/users/{TENANT.user_ids()[0]}")
    assert not await graph.exists("/users/00000000-0000-4000-8000-000000000000")


NOT_GRAPHS = {
    "an HTML page": (404, {"Content-Type": "text/html"}, b"<html>not found</html>"),
    "no body": (404, {}, b""),
    "JSON of somebody else": (404, {}, b'{"message": "no route matched"}'),
    "an error without a code": (404, {}, b'{"error": {"message": "nothing"}}'),
}


@pytest.mark.parametrize("answer", NOT_GRAPHS.values(), ids=NOT_GRAPHS)
async def test_a_404_that_is_not_graphs_own_says_nothing_about_a_user(
    answer: tuple[int, dict[str, str], bytes],
) -> None:
    with answering(lambda path: answer) as (base_url, _):
        graph = graph_at(base_url)

        with pytest.raises(GraphUnavailable):
            await graph.exists("/users/ann-0001")
        await graph.close()


def subscription(**changes: Any) -> dict[str, Any]:
    """Answers with a document to subscribe with, at an address nobody is at."""
    document = {
        "changeType": "updated",
        "notificationUrl": "http://127.0.0.1:9/",
        "resource": "users",
        "expirationDateTime": "2026-11-22T08:00:00Z",
    }
    return document | changes


async def test_a_document_is_created_changed_and_removed(graph: Graph, simulator: GraphSimulator):
    with serve_endpoint() as endpoint:
        made = await graph.create("/subscriptions", subscription(notificationUrl=endpoint.url))
        path = f"/subscriptions/{made['id']}"
        changed = await graph.update(path, {"expirationDateTime": "2026-11-23T08:00:00Z"})
        await graph.remove(path)
        await graph.remove(path)

    assert changed["expirationDateTime"] == "2026-11-23T08:00:00Z"
    assert simulator.subscriptions.shown() == []
    assert {each.had_token for each in simulator.requests} == {True}


async def test_what_graph_does_not_take_is_told_without_its_words(graph: Graph):
    with pytest.raises(GraphUnavailable, match=r"400 \(ValidationError\)") as raised:
        await graph.create("/subscriptions", subscription())

    assert "127.0.0.1:9" not in str(raised.value)


async def test_a_document_that_is_not_there_cannot_be_changed(graph: Graph):
    with pytest.raises(GraphNotFound):
        await graph.update("/subscriptions/none", {"expirationDateTime": "2026-11-23T08:00:00Z"})


@pytest.mark.parametrize("method", ["create", "update", "remove"])
async def test_nothing_is_written_to_another_host(graph: Graph, foreign: GraphSimulator, method: str):
    document = () if method == "remove" else ({},)

    with pytest.raises(ForeignLink):
        await getattr(graph, method)(f"{foreign.base_url}/subscriptions/x", *document)

    assert foreign.requests.total == 0


async def test_a_throttled_write_says_how_long_to_wait(graph: Graph, simulator: GraphSimulator):
    simulator.faults.add("throttle", path="subscriptions", retry_after=17)

    with pytest.raises(GraphThrottled) as raised:
        await graph.create("/subscriptions", subscription())

    assert raised.value.retry_after_s == 17
