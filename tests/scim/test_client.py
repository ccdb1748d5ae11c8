"""The client against servers that behave, misbehave, and break, on real sockets."""

import asyncio
import gzip
import json
import socket
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from shared.scim.answers import AnswerKind
from shared.scim.auth import SecretCredentials
from shared.scim.client import Departure, RequestPriority, ResourceType, ScimClient
from shared.scim.error_catalogue import ErrorCode
from shared.scim.transport import new_http_client
from tests.scim.server import (
    FixedCredentials,
    Received,
    Reply,
    application,
    client_of,
    in_turn,
    listed,
    refused,
    scim,
    serving,
)

USER = ResourceType.USER
GROUP = ResourceType.GROUP
ANNA = {"id": "1", "userName": "anna@x"}
BERT = {"id": "2", "userName": "bert@x"}


async def hang(_request: Received) -> Reply:
    await asyncio.get_running_loop().create_future()
    raise AssertionError


async def test_a_created_account_is_one_request_with_a_scim_body() -> None:
    async with (
        serving(in_turn(scim({"id": 42, "userName": "a"}, 201, ETag='"1"'))) as server,
        client_of(server.origin) as client,
    ):
        answer = await client.create(USER, {"schemas": ["s"], "userName": "Änne 😀"})

    assert (answer.kind, answer.status, answer.id, answer.etag) == (AnswerKind.OK, 201, "42", '"1"')
    assert server.sent == [("POST", "/scim/v2/Users")]
    assert server.requests[0].json == {"schemas": ["s"], "userName": "Änne 😀"}
    assert server.requests[0].headers["content-type"] == "application/scim+json"
    assert server.requests[0].headers["authorization"] == "Bearer t0ken"


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        pytest.param(
            Reply(status=201, headers={"Location": "http://other.example/Users/a%2Fb"}), "a/b", id="in Location"
        ),
        pytest.param(Reply(status=201), None, id="nowhere"),
        pytest.param(Reply(status=202), None, id="accepted only"),
        pytest.param(scim({"id": "9"}, 200), "9", id="200 for 201"),
    ],
)
async def test_a_create_may_answer_without_a_body(reply: Reply, expected: str | None) -> None:
    async with serving(in_turn(reply)) as server, client_of(server.origin) as client:
        answer = await client.create(USER, {"userName": "a"})

    assert (answer.kind, answer.id) == (AnswerKind.OK, expected)


async def test_a_location_is_not_believed_where_the_profile_says_so() -> None:
    reply = Reply(status=201, headers={"Location": "/Users/7"})
    async with serving(in_turn(reply)) as server, client_of(server.origin, created_without_id="lookup") as client:
        answer = await client.create(USER, {"userName": "a"})

    assert answer.id is None


@pytest.mark.parametrize(
    ("resource_id", "segment"),
    [
        ("a/b", "a%2Fb"),
        ("a b?c#d", "a%20b%3Fc%23d"),
        ("😀", "%F0%9F%98%80"),
        ("100%", "100%25"),
        ("a%2Fb", "a%252Fb"),
        ("../Groups/1", "..%2FGroups%2F1"),
        ("anna@x;v=1&y", "anna%40x%3Bv%3D1%26y"),
        ("a\r\nX: y", "a%0D%0AX%3A%20y"),
    ],
)
async def test_an_id_is_one_path_segment_whatever_it_holds(resource_id: str, segment: str) -> None:
    async with serving(in_turn(Reply(status=204))) as server, client_of(server.origin) as client:
        answer = await client.patch(USER, resource_id, [{"op": "replace", "path": "active", "value": False}])

    assert (answer.kind, answer.id) == (AnswerKind.OK, resource_id)
    assert server.sent == [("PATCH", f"/scim/v2/Users/{segment}")]


@pytest.mark.parametrize("resource_id", ["", ".", "..", "\ud800"])
async def test_an_id_that_no_url_can_carry_is_never_sent(resource_id: str) -> None:
    async with serving(in_turn()) as server, client_of(server.origin) as client:
        answers = [await client.delete(USER, resource_id), await client.replace(USER, resource_id, {})]

    assert [answer.kind for answer in answers] == [AnswerKind.REJECTED] * 2
    assert server.sent == []


async def test_a_patch_without_operations_is_not_sent() -> None:
    async with serving(in_turn()) as server, client_of(server.origin) as client:
        answer = await client.patch(USER, "1", [])

    assert answer.ok
    assert server.sent == []


@pytest.mark.parametrize(
    ("version", "header"),
    [('"42"', '"42"'), ("42", '"42"'), ('W/"3"', 'W/"3"'), ("*", "*")],
    ids=["quoted", "as some resources have it", "weak", "any"],
)
async def test_a_version_is_sent_as_an_entity_tag(version: str, header: str) -> None:
    async with serving(in_turn(Reply(status=204))) as server, client_of(server.origin) as client:
        await client.patch(USER, "1", [{"op": "remove", "path": "title"}], etag=version)

    assert server.requests[0].headers["if-match"] == header


async def test_a_version_is_sent_as_if_match_only_when_it_can_be() -> None:
    async with serving(in_turn(Reply(status=204), Reply(status=204))) as server, client_of(server.origin) as client:
        await client.patch(USER, "1", [{"op": "remove", "path": "title"}], etag='W/"3"')
        await client.patch(USER, "1", [{"op": "remove", "path": "title"}], etag='"x"\r\nEvil: 1')

    assert server.requests[0].headers["if-match"] == 'W/"3"'
    assert "if-match" not in server.requests[1].headers


@pytest.mark.parametrize(
    ("base", "expected"),
    [("/scim/v2/", "/scim/v2/users/1"), ("/s?flag", "/s/users/1?flag"), ("", "/users/1")],
)
async def test_the_base_url_is_joined_by_hand(base: str, expected: str) -> None:
    async with (
        serving(in_turn(Reply(status=204))) as server,
        client_of(server.origin, base=base, path_case="lower") as client,
    ):
        await client.replace(USER, "1", {"userName": "a"})

    assert server.sent == [("PUT", expected)]


async def test_connections_are_kept() -> None:
    async with serving(in_turn(*[Reply(status=204)] * 3)) as server, client_of(server.origin) as client:
        for _ in range(3):
            await client.delete(USER, "1")

    assert server.connections == 1


@pytest.mark.parametrize("origin", ["http://vendor.example", "ftp://127.0.0.1", "http://127.0.0.1.vendor.example"])
def test_only_https_or_loopback_is_spoken_to(origin: str) -> None:
    with pytest.raises(ValueError, match="https"):
        ScimClient(application(origin), credentials=FixedCredentials(), http=SimpleNamespace())


async def test_a_redirect_is_not_followed_and_the_token_stays_here() -> None:
    reply = Reply(status=307, headers={"Location": "http://127.0.0.1:1/steal"})
    async with serving(in_turn(reply)) as server, client_of(server.origin) as client:
        answer = await client.patch(USER, "1", [{"op": "remove", "path": "title"}])

    assert answer.kind is AnswerKind.WRONG_ENDPOINT
    assert len(server.requests) == 1


async def test_nobody_listening_means_that_nothing_was_sent() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with client_of(f"http://127.0.0.1:{unused.getsockname()[1]}") as client:
            answer = await client.create(USER, {"userName": "a"})

    assert (answer.kind, answer.error_code) == (AnswerKind.UNREACHABLE, ErrorCode.WEB_EXCEPTION)


async def test_a_write_without_an_answer_in_time_is_ambiguous_and_a_read_is_not() -> None:
    async with serving(hang) as server, client_of(server.origin, timeout_s=0.2) as client:
        write = await client.patch(USER, "1", [{"op": "remove", "path": "title"}])
        read = await client.read(USER, "1")

    assert (write.kind, write.error_code) == (AnswerKind.AMBIGUOUS, ErrorCode.TIMEOUT)
    assert read.kind is AnswerKind.UNREACHABLE
    assert len(server.requests) == 2


async def test_waiting_for_a_connection_of_our_own_pool_means_that_nothing_was_sent() -> None:
    async with serving(hang) as server, new_http_client(max_connections=1) as http:
        client = ScimClient(application(server.origin), credentials=FixedCredentials(), http=http, timeout_s=0.3)
        first, second = await asyncio.gather(client.delete(USER, "1"), client.delete(USER, "2"))

    assert {first.kind, second.kind} == {AnswerKind.AMBIGUOUS, AnswerKind.UNREACHABLE}
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(raw=b"", then_reset=True), id="before a byte of the answer"),
        pytest.param(Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", then_reset=True), id="in the body"),
        pytest.param(Reply(raw=b"nonsense\r\n\r\n", then_reset=True), id="after rubbish"),
    ],
)
async def test_a_broken_connection_after_a_write_is_ambiguous_and_nothing_is_repeated(reply: Reply) -> None:
    async with serving(in_turn(reply)) as server, client_of(server.origin) as client:
        answer = await client.create(USER, {"userName": "a"})

    assert answer.kind is AnswerKind.AMBIGUOUS
    assert len(server.requests) == 1


async def test_an_answer_that_drips_ends_at_the_deadline() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    reply = Reply(raw=head, then_drip=b"1\r\n \r\n")

    async with serving(in_turn(reply)) as server, client_of(server.origin, timeout_s=0.3) as client, asyncio.timeout(3):
        answer = await client.read(USER, "1")

    assert (answer.kind, answer.error_code) == (AnswerKind.UNREACHABLE, ErrorCode.TIMEOUT)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(body=b'{"id":"1","x":"' + b"x" * 3_000_000 + b'"}'), id="long"),
        pytest.param(
            Reply(
                body=gzip.compress(json.dumps(ANNA).encode() + b" " * 50_000_000), headers={"Content-Encoding": "gzip"}
            ),
            id="small but unpacks long",
        ),
        pytest.param(Reply(body=b"\x1f\x8b broken", headers={"Content-Encoding": "gzip"}), id="packed wrongly"),
    ],
)
async def test_an_answer_too_large_is_not_read(reply: Reply) -> None:
    async with serving(lambda _request: reply) as server, client_of(server.origin) as client:
        read = await client.read(USER, "1")
        write = await client.patch(USER, "1", [{"op": "remove", "path": "title"}])

    assert (read.kind, read.error_code) == (AnswerKind.UNREACHABLE, ErrorCode.SERVICE_INCOMPATIBLE)
    assert (write.kind, write.resource) == (AnswerKind.OK, None)


async def test_a_packed_answer_is_read() -> None:
    reply = Reply(body=gzip.compress(json.dumps(ANNA).encode()), headers={"Content-Encoding": "gzip"})
    async with serving(in_turn(reply)) as server, client_of(server.origin) as client:
        answer = await client.read(USER, "1")

    assert answer.resource == ANNA


async def test_no_cookie_is_kept() -> None:
    reply = Reply(status=204, headers={"Set-Cookie": "session=1"})
    async with serving(lambda _request: reply) as server, new_http_client() as http:
        client = ScimClient(application(server.origin), credentials=FixedCredentials(), http=http)
        await client.delete(USER, "1")
        await client.delete(USER, "1")

    assert "cookie" not in server.requests[1].headers
    assert list(http.cookies.jar) == []


class StuckTransport(httpx.AsyncBaseTransport):
    """Comes as far as an event of httpcore's trace, and no further."""

    def __init__(self, event: str) -> None:
        self.event = event

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.extensions["trace"](self.event, {})
        await asyncio.get_running_loop().create_future()
        raise AssertionError


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ("connection.start_tls.started", AnswerKind.UNREACHABLE),
        ("http11.send_request_headers.started", AnswerKind.AMBIGUOUS),
    ],
)
async def test_a_deadline_is_ambiguous_only_once_the_headers_may_have_left(event: str, kind: AnswerKind) -> None:
    async with httpx.AsyncClient(transport=StuckTransport(event)) as http:
        client = ScimClient(
            application("https://vendor.example"), credentials=FixedCredentials(), http=http, timeout_s=0.1
        )
        answer = await client.delete(USER, "1")

    assert answer.kind is kind


async def at_once() -> None:
    """The caller's own slot has begun."""


async def test_a_replay_after_a_401_needs_a_slot_of_its_own() -> None:
    passed: list[RequestPriority] = []

    async def gate(priority: RequestPriority) -> None:
        passed.append(priority)

    settings = {"ONE": "old", "TWO": "new"}
    credentials = SecretCredentials(
        ["ONE", "TWO"], secret=settings.__getitem__, header="Authorization", prefix="Bearer "
    )
    replies = in_turn(Reply(status=401), Reply(status=204))
    async with serving(replies) as server, client_of(server.origin, gate=gate, credentials=credentials) as client:
        answer = await client.delete(USER, "1", priority=at_once)

    assert answer.ok
    assert passed == [RequestPriority.FIRST]


async def test_a_look_up_gives_the_one_account_that_carries_the_value() -> None:
    async with serving(in_turn(listed({**ANNA, "id": 1}))) as server, client_of(server.origin) as client:
        lookup = await client.find(USER, "userName", "ANNA@x")

    assert (lookup.answer.kind, lookup.hits, lookup.filter_ignored) == (AnswerKind.OK, (ANNA,), False)
    assert server.requests[0].query["filter"] == 'userName eq "ANNA@x"'
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(listed(), id="an empty list"),
        pytest.param(
            scim({"schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"], "Resources": None}), id="null"
        ),
        pytest.param(scim({"totalResults": 0}), id="no Resources"),
        pytest.param(scim({"totalResults": "0", "resources": []}), id="in small letters"),
    ],
)
async def test_a_look_up_that_finds_nobody_is_one_request(reply: Reply) -> None:
    async with serving(in_turn(reply)) as server, client_of(server.origin) as client:
        lookup = await client.find(USER, "userName", "anna@x")

    assert (lookup.answer.kind, lookup.hits) == (AnswerKind.OK, ())


async def test_several_hits_are_all_reported_over_all_pages() -> None:
    twin = {"id": "3", "userName": "Anna@X"}
    pages = in_turn(listed(ANNA, total=2), listed(twin, total=2))
    async with serving(pages) as server, client_of(server.origin, page_size=1) as client:
        lookup = await client.find(USER, "userName", "anna@x")

    assert [hit["id"] for hit in lookup.hits] == ["1", "3"]
    assert [request.query["startIndex"] for request in server.requests] == ["1", "2"]


def everybody(number: int, *, page: int) -> Any:
    rows = [{"id": str(index), "userName": f"user{index}@x"} for index in range(1, number + 1)]

    def answering(request: Received) -> Reply:
        start = int(request.query.get("startIndex", "1"))
        count = min(int(request.query.get("count", "100")), page)
        return listed(*rows[start - 1 : start - 1 + count], total=number)

    return answering


async def test_a_server_that_ignores_the_filter_gives_no_stranger() -> None:
    async with serving(everybody(25, page=10)) as server, client_of(server.origin) as client:
        found = await client.find(USER, "userName", "USER23@x")
        absent = await client.find(USER, "userName", "nobody@x")

    assert ([hit["id"] for hit in found.hits], found.filter_ignored) == (["23"], True)
    assert (absent.answer.kind, absent.hits, absent.filter_ignored) == (AnswerKind.OK, (), True)


async def test_a_server_that_ignores_the_filter_and_never_ends_is_no_proof_of_absence() -> None:
    async with serving(everybody(1000, page=10)) as server, client_of(server.origin) as client:
        lookup = await client.find(USER, "userName", "user999@x")

    assert (lookup.answer.kind, lookup.answer.error_code) == (AnswerKind.REJECTED, ErrorCode.SERVICE_INCOMPATIBLE)
    assert "match by: list" in lookup.answer.detail
    assert len(server.requests) == 10


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        pytest.param(refused(400, scimType="invalidFilter"), AnswerKind.REJECTED, id="a filter that is refused"),
        pytest.param(refused(404), AnswerKind.WRONG_ENDPOINT, id="404"),
        pytest.param(scim({"id": "1", "userName": "anna@x"}), AnswerKind.REJECTED, id="an account instead of a list"),
        pytest.param(listed({"userName": "anna@x"}), AnswerKind.REJECTED, id="a hit without an id"),
        pytest.param(Reply(body=b'{"Resources":[{"id"'), AnswerKind.UNREACHABLE, id="a list that is cut off"),
    ],
)
async def test_a_look_up_that_fails_is_never_an_empty_one(reply: Reply, kind: AnswerKind) -> None:
    async with serving(in_turn(reply)) as server, client_of(server.origin) as client:
        lookup = await client.find(USER, "userName", "anna@x")

    assert (lookup.answer.kind, lookup.hits) == (kind, ())


async def test_a_value_path_is_asked_for_in_the_other_form_when_the_first_is_refused() -> None:
    row = {"id": "1", "emails": [{"type": "work", "value": "anna@x"}]}
    async with serving(in_turn(refused(400), listed(row))) as server, client_of(server.origin) as client:
        lookup = await client.find(USER, 'emails[type eq "work"].value', "anna@x")

    assert lookup.hits == (row,)
    assert [request.query["filter"] for request in server.requests] == [
        'emails[type eq "work"].value eq "anna@x"',
        'emails[type eq "work" and value eq "anna@x"]',
    ]


async def test_groups_are_looked_up_and_read_without_members() -> None:
    group = {"id": "g", "displayName": "R&D"}
    async with serving(in_turn(listed(group), scim(group))) as server, client_of(server.origin) as client:
        lookup = await client.find(GROUP, "displayName", "R&D")
        answer = await client.read(GROUP, "g")

    assert (lookup.hits, answer.resource) == ((group,), group)
    assert [request.query["excludedAttributes"] for request in server.requests] == ["members", "members"]


async def test_an_account_that_scim_does_not_know_is_not_found() -> None:
    async with serving(in_turn(refused(404))) as server, client_of(server.origin) as client:
        answer = await client.read(USER, "1")

    assert (answer.kind, answer.error_code) == (AnswerKind.NOT_FOUND, ErrorCode.INVALID_ANCHOR)


@pytest.mark.parametrize(
    ("collection", "kind"),
    [
        (listed(), AnswerKind.NOT_FOUND),
        (Reply(status=404), AnswerKind.WRONG_ENDPOINT),
        (refused(503), AnswerKind.THROTTLED),
    ],
)
async def test_a_bare_404_is_believed_only_when_the_collection_answers(collection: Reply, kind: AnswerKind) -> None:
    async with serving(in_turn(Reply(status=404), collection)) as server, client_of(server.origin) as client:
        answer = await client.read(USER, "1")

    assert answer.kind is kind


async def test_another_account_than_the_one_asked_for_is_no_answer() -> None:
    async with serving(in_turn(scim(BERT))) as server, client_of(server.origin) as client:
        answer = await client.read(USER, "1")

    assert (answer.kind, answer.error_code) == (AnswerKind.REJECTED, ErrorCode.SERVICE_INCOMPATIBLE)


@pytest.mark.parametrize(
    ("replies", "kind"),
    [
        pytest.param([Reply(status=204)], AnswerKind.OK, id="deleted"),
        pytest.param([refused(404)], AnswerKind.OK, id="gone already, says SCIM"),
        pytest.param([Reply(status=404), refused(404)], AnswerKind.OK, id="gone already, says the read after it"),
        pytest.param([Reply(status=404), scim(ANNA)], AnswerKind.REJECTED, id="still there: DELETE is not routed"),
        pytest.param([Reply(status=404, body=b"<html>")], AnswerKind.WRONG_ENDPOINT, id="a web page"),
        pytest.param([Reply(status=404), refused(500)], AnswerKind.UNREACHABLE, id="unknown"),
    ],
)
async def test_a_delete_is_done_only_when_the_account_is_gone(replies: list[Reply], kind: AnswerKind) -> None:
    async with serving(in_turn(*replies)) as server, client_of(server.origin) as client:
        answer = await client.delete(USER, "1")

    assert answer.kind is kind
    assert [request.method for request in server.requests].count("DELETE") == 1


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        pytest.param(listed(), AnswerKind.OK, id="an empty list"),
        pytest.param(listed(ANNA), AnswerKind.OK, id="a filter that is ignored"),
        pytest.param(scim({"hello": "world"}), AnswerKind.REJECTED, id="JSON that is no list"),
        pytest.param(Reply(body=b"<html>login</html>"), AnswerKind.WRONG_ENDPOINT, id="a login page"),
        pytest.param(Reply(status=401), AnswerKind.UNAUTHORIZED, id="a refused token"),
        pytest.param(refused(404), AnswerKind.WRONG_ENDPOINT, id="404"),
    ],
)
async def test_the_connection_is_tested_with_a_user_who_does_not_exist(reply: Reply, kind: AnswerKind) -> None:
    async with serving(in_turn(reply)) as server, client_of(server.origin) as client:
        answer = await client.test_connection()

    assert (answer.kind, answer.resource) == (kind, None)
    assert server.requests[0].query["filter"].startswith('userName eq "')


async def test_what_was_sent_is_not_in_the_detail() -> None:
    reply = scim({"status": "400", "detail": "Anna Krueger (t0ken) is invalid", "schemas": []}, 400)
    async with serving(lambda _request: reply) as server, client_of(server.origin) as client:
        created = await client.create(USER, {"name": {"formatted": "anna krueger"}})
        found = await client.find(USER, "displayName", "Anna Krueger")

    assert (created.detail, found.answer.detail) == ("... (...) is invalid", "... (...) is invalid")


async def test_every_request_passes_the_gate_but_one_that_holds_a_slot() -> None:
    passed: list[RequestPriority] = []

    async def gate(priority: RequestPriority) -> None:
        passed.append(priority)

    async with (
        serving(in_turn(listed(), Reply(status=204), Reply(status=404), refused(404))) as server,
        client_of(server.origin, gate=gate) as client,
    ):
        await client.find(USER, "userName", "anna@x")
        await client.patch(USER, "1", [{"op": "remove", "path": "title"}], priority=at_once)
        await client.delete(USER, "1", priority=at_once)

    assert passed == [RequestPriority.NORMAL, RequestPriority.FIRST]


async def test_a_slot_is_waited_for_last_when_nothing_but_the_first_byte_is_left() -> None:
    arrived: list[int] = []

    async def gate(_priority: RequestPriority) -> Departure:
        async def depart() -> None:
            arrived.append(len(server.sent))

        return depart

    async with (
        serving(in_turn(listed(), Reply(status=204))) as server,
        client_of(server.origin, gate=gate) as client,
    ):
        await client.find(USER, "userName", "anna@x")
        await client.delete(USER, "1")

    assert arrived == [0, 1]
    assert len(server.sent) == 2


async def test_a_slot_that_is_not_to_be_had_sends_nothing_and_leaves_a_working_client() -> None:
    async def depart() -> None:
        raise LookupError

    async with serving(in_turn(Reply(status=204))) as server, client_of(server.origin) as client:
        with pytest.raises(LookupError):
            await client.delete(USER, "1", priority=depart)
        assert server.sent == []
        assert (await client.delete(USER, "1")).ok

    assert len(server.sent) == 1


async def test_what_the_gate_raises_passes_and_nothing_is_sent() -> None:
    async def gate(_priority: RequestPriority) -> None:
        raise InterruptedError

    async with serving(in_turn()) as server, client_of(server.origin, gate=gate) as client:
        with pytest.raises(InterruptedError):
            await client.read(USER, "1")

    assert server.sent == []


async def test_lone_surrogates_neither_break_a_write_nor_come_in_with_a_read() -> None:
    reply = Reply(body=b'{"id":"1","displayName":"a\\ud800b"}')
    async with serving(lambda _request: reply) as server, client_of(server.origin) as client:
        written = await client.create(USER, {"displayName": "a\ud800b"})
        read = await client.read(USER, "1")

    assert written.ok
    assert server.requests[0].json == {"displayName": "a\ud800b"}
    assert read.resource == {"id": "1", "displayName": "a?b"}
