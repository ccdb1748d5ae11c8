"""Credentials: rotation, renewal and every way in which they can be missing, without a secret in any text."""

import asyncio
import base64
import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from shared.scim.answers import Answer, AnswerKind
from shared.scim.auth import Authorization, SecretCredentials
from shared.scim.client import ResourceType
from shared.scim.connections import new_credentials
from shared.scim.oauth import ClientCredentials
from shared.scim.transport import HttpRequest
from shared.tracing import SpanName
from tests.scim.server import Received, Reply, client_of, listed, scim, serving
from tests.spans import recording

USER = ResourceType.USER
REMOVE = [{"op": "remove", "path": "title"}]


def bearer(settings: dict[str, str], *names: str) -> SecretCredentials:
    return SecretCredentials(names, secret=settings.__getitem__, header="Authorization", prefix="Bearer ")


def accepting(*tokens: str) -> Callable[[Received], Reply]:
    accepted = {f"Bearer {token}" for token in tokens}
    return lambda request: Reply(status=204 if request.headers["authorization"] in accepted else 401)


def tokens_of(server: Any) -> list[str]:
    return [request.headers["authorization"] for request in server.requests]


async def test_the_second_secret_is_tried_when_the_first_is_refused_and_then_kept() -> None:
    settings = {"ONE": "old", "TWO": "new"}
    async with (
        serving(accepting("new")) as server,
        client_of(server.origin, credentials=bearer(settings, "ONE", "TWO")) as client,
    ):
        answers = [await client.patch(USER, "1", REMOVE) for _ in range(2)]

    assert [answer.kind for answer in answers] == [AnswerKind.OK, AnswerKind.OK]
    assert tokens_of(server) == ["Bearer old", "Bearer new", "Bearer new"]


async def test_after_both_secrets_are_refused_the_application_is_unauthorized() -> None:
    async with (
        serving(accepting()) as server,
        client_of(server.origin, credentials=bearer({"ONE": "a", "TWO": "b"}, "ONE", "TWO")) as client,
    ):
        answer = await client.patch(USER, "1", REMOVE)

    assert answer.kind is AnswerKind.UNAUTHORIZED
    assert tokens_of(server) == ["Bearer a", "Bearer b"]


async def test_a_secret_is_looked_up_at_every_use() -> None:
    settings = {"ONE": "old"}
    async with (
        serving(accepting("new")) as server,
        client_of(server.origin, credentials=bearer(settings, "ONE")) as client,
    ):
        before = await client.delete(USER, "1")
        settings["ONE"] = " new\n"
        after = await client.delete(USER, "1")

    assert (before.kind, after.kind) == (AnswerKind.UNAUTHORIZED, AnswerKind.OK)


async def test_a_403_is_not_tried_with_another_secret() -> None:
    async with (
        serving(lambda _request: Reply(status=403)) as server,
        client_of(server.origin, credentials=bearer({"ONE": "a", "TWO": "b"}, "ONE", "TWO")) as client,
    ):
        answer = await client.patch(USER, "1", REMOVE)

    assert answer.kind is AnswerKind.UNAUTHORIZED
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "empty or absent"),
        ("  ", "empty or absent"),
        ("@Microsoft.KeyVault(SecretUri=https://v/s)", "Key Vault reference"),
        ("s3cr\r\nX: y", "characters that cannot be sent"),
        ("s3crét", "characters that cannot be sent"),
    ],
)
async def test_a_setting_that_holds_no_secret_is_named_and_not_quoted(content: str | None, said: str) -> None:
    settings = {} if content is None else {"ACME_TOKEN": content}
    async with (
        serving(accepting()) as server,
        client_of(server.origin, credentials=bearer(settings, "ACME_TOKEN")) as client,
    ):
        answer = await client.test_connection()

    assert answer.kind is AnswerKind.UNAUTHORIZED
    assert "ACME_TOKEN" in answer.detail
    assert said in answer.detail
    assert "s3cr" not in answer.detail
    assert server.sent == []


async def test_an_absent_first_secret_leaves_the_second() -> None:
    async with (
        serving(accepting("b")) as server,
        client_of(server.origin, credentials=bearer({"TWO": "b"}, "ONE", "TWO")) as client,
    ):
        answer = await client.delete(USER, "1")

    assert answer.ok


@pytest.mark.parametrize(
    ("auth", "header", "expected"),
    [
        ({"type": "bearer", "token": "A", "secondary_token": None}, "authorization", "Bearer alpha"),
        ({"type": "api_key", "key": "A", "header": "X-Api-Key"}, "x-api-key", "alpha"),
        ({"type": "basic", "username": "A", "password": "B"}, "authorization", "Basic YWxwaGE6YiBldGE="),
    ],
)
async def test_the_header_of_each_kind_of_credentials(auth: dict[str, Any], header: str, expected: str) -> None:
    settings = {"A": "alpha", "B": "b eta"}
    async with serving(lambda _request: listed()) as server, httpx.AsyncClient() as http:
        credentials = new_credentials(
            SimpleNamespace(**auth), application="acme", secret=settings.__getitem__, http=http
        )
        async with client_of(server.origin, credentials=credentials) as client:
            answer = await client.test_connection()

    assert answer.ok
    assert server.requests[0].headers[header] == expected


class Vendor:
    """A token endpoint and a SCIM service that accepts the newest tokens it gave."""

    def __init__(self, *, lifetime: Any = 3600) -> None:
        self.lifetime = lifetime
        self.valid: set[str] = set()
        self.given = 0
        self.secrets = {"first"}
        self.failure: Reply | None = None

    async def __call__(self, request: Received) -> Reply:
        if request.path == "/oauth/token":
            await asyncio.sleep(0)
            return self.failure or self.token(request)
        known = request.headers["authorization"].removeprefix("Bearer ") in self.valid
        return Reply(status=204) if known else Reply(status=401)

    def token(self, request: Received) -> Reply:
        basic = base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()
        assert parse_qs(request.body.decode())["grant_type"] == ["client_credentials"]
        if basic not in {f"me:{secret}" for secret in self.secrets}:
            return scim({"error": "invalid_client", "error_description": f"{basic} is unknown"}, 401)
        self.given += 1
        self.valid.add(f"token{self.given}")
        return scim({"access_token": f"token{self.given}", "expires_in": self.lifetime})


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def client_credentials(
    origin: str, http: httpx.AsyncClient, *, clock: Clock | None = None, path: str = "/oauth/token", gate: Any = None
) -> ClientCredentials:
    settings = {"ID": "me", "SECRET": "first", "SECOND": "second"}
    return ClientCredentials(
        application="acme",
        client_id="ID",
        client_secrets=["SECRET", "SECOND"],
        token_url=origin + path,
        secret=settings.__getitem__,
        http=http,
        gate=gate,
        monotonic=clock or Clock(),
    )


def paths(server: Any) -> list[str]:
    return [request.path.rpartition("/")[2] for request in server.requests]


async def test_a_token_is_fetched_once_and_used_until_shortly_before_its_end() -> None:
    clock = Clock()
    async with (
        serving(Vendor(lifetime="600")) as server,
        httpx.AsyncClient() as http,
        client_of(server.origin, credentials=client_credentials(server.origin, http, clock=clock)) as client,
    ):
        ready = await client.ready()
        await client.delete(USER, "1")
        clock.seconds = 539
        await client.delete(USER, "2")
        clock.seconds = 541
        await client.delete(USER, "3")

    assert ready.ok
    assert paths(server) == ["token", "1", "2", "token", "3"]


async def test_a_token_revoked_early_is_renewed_once_and_the_refused_write_comes_again() -> None:
    vendor = Vendor()
    async with (
        serving(vendor) as server,
        httpx.AsyncClient() as http,
        client_of(server.origin, credentials=client_credentials(server.origin, http)) as client,
    ):
        await client.ready()
        vendor.valid.clear()
        answer = await client.patch(USER, "1", REMOVE)

    assert answer.ok
    assert paths(server) == ["token", "1", "token", "1"]


async def test_a_new_token_that_is_refused_too_ends_the_attempt() -> None:
    vendor = Vendor()
    async with (
        serving(lambda request: vendor(request) if "oauth" in request.path else Reply(status=401)) as server,
        httpx.AsyncClient() as http,
        client_of(server.origin, credentials=client_credentials(server.origin, http)) as client,
    ):
        answer = await client.patch(USER, "1", REMOVE)

    assert answer.kind is AnswerKind.UNAUTHORIZED
    assert paths(server) == ["token", "1", "token", "1"]


async def test_requests_at_the_same_time_share_one_token_and_one_failure() -> None:
    vendor = Vendor()
    async with (
        serving(vendor) as server,
        httpx.AsyncClient() as http,
        client_of(server.origin, credentials=client_credentials(server.origin, http)) as client,
    ):
        answers = await asyncio.gather(*[client.delete(USER, str(number)) for number in range(8)])
        vendor.valid.clear()
        again = await asyncio.gather(*[client.delete(USER, str(number)) for number in range(8)])
        vendor.valid.clear()
        vendor.failure = Reply(status=500)
        failed = await asyncio.gather(*[client.delete(USER, str(number)) for number in range(8)])

    assert {answer.kind for answer in [*answers, *again]} == {AnswerKind.OK}
    assert {answer.kind for answer in failed} == {AnswerKind.UNREACHABLE}
    assert paths(server).count("token") == 3


async def test_the_second_client_secret_is_used_when_the_first_is_refused() -> None:
    vendor = Vendor()
    vendor.secrets = {"second"}
    async with (
        serving(vendor) as server,
        httpx.AsyncClient() as http,
        client_of(server.origin, credentials=client_credentials(server.origin, http)) as client,
    ):
        answer = await client.delete(USER, "1")

    assert answer.ok
    assert paths(server) == ["token", "token", "1"]


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        pytest.param(
            scim({"error": "invalid_scope", "error_description": "first"}, 400), AnswerKind.UNAUTHORIZED, id="400"
        ),
        pytest.param(Reply(status=401), AnswerKind.UNAUTHORIZED, id="401"),
        pytest.param(scim({"token": "x"}), AnswerKind.UNAUTHORIZED, id="200 without a token"),
        pytest.param(scim({"access_token": "bad token\n"}), AnswerKind.UNAUTHORIZED, id="a token no header can carry"),
        pytest.param(Reply(body=b"<html>"), AnswerKind.WRONG_ENDPOINT, id="a web page"),
        pytest.param(Reply(status=404), AnswerKind.WRONG_ENDPOINT, id="404"),
        pytest.param(Reply(status=302, headers={"Location": "/login"}), AnswerKind.WRONG_ENDPOINT, id="a redirect"),
        pytest.param(Reply(status=429, headers={"Retry-After": "3"}), AnswerKind.THROTTLED, id="429"),
        pytest.param(Reply(status=500), AnswerKind.UNREACHABLE, id="500"),
        pytest.param(Reply(raw=b"", then_reset=True), AnswerKind.UNREACHABLE, id="a reset"),
    ],
)
async def test_without_a_token_no_write_is_sent_and_none_is_ambiguous(failure: Reply, kind: AnswerKind) -> None:
    vendor = Vendor()
    vendor.failure = failure
    async with (
        serving(vendor) as server,
        httpx.AsyncClient() as http,
        client_of(server.origin, credentials=client_credentials(server.origin, http)) as client,
    ):
        answer = await client.patch(USER, "1", REMOVE)

    assert answer.kind is kind
    assert answer.error_code
    assert "first" not in answer.detail
    assert "1" not in paths(server)
    assert answer.retry_after_s == (3.0 if kind is AnswerKind.THROTTLED else None)


async def test_a_token_endpoint_that_hangs_does_not_hold_a_write_beyond_its_time() -> None:
    async def hang(_request: Received) -> Reply:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    async with serving(hang) as server, httpx.AsyncClient() as http:
        credentials = client_credentials(server.origin, http)
        async with client_of(server.origin, credentials=credentials, timeout_s=0.2) as client, asyncio.timeout(3):
            answers = await asyncio.gather(client.delete(USER, "1"), client.delete(USER, "2"))

    assert {answer.kind for answer in answers} == {AnswerKind.UNREACHABLE}


async def test_a_token_request_passes_the_gate() -> None:
    passed: list[str] = []

    async def gate() -> None:
        passed.append("token")

    async with serving(Vendor()) as server, httpx.AsyncClient() as http:
        credentials = client_credentials(server.origin, http, gate=gate)
        async with client_of(server.origin, credentials=credentials) as client:
            await client.delete(USER, "1")

    assert passed == ["token"]


@pytest.mark.parametrize("fails", [False, True])
async def test_a_token_request_is_a_span_that_holds_neither_address_nor_secret(fails: bool) -> None:
    vendor = Vendor()
    vendor.failure = scim({"error": "invalid_client", "error_description": "me:first"}, 401) if fails else None
    with recording() as recorded:
        async with serving(vendor) as server, httpx.AsyncClient() as http:
            credentials = client_credentials(server.origin, http)
            await credentials.authorize(timeout_s=5)
            origin = server.origin

    spans = recorded.named(SpanName.OAUTH_REQUEST)
    assert len(spans) == (2 if fails else 1)
    found = dict(spans[0].attributes or {})
    expected = {"application": "acme", "peer.service": "acme", "method": "POST", "status": 401 if fails else 200}
    assert found == (expected | {"failure": "status 401"} if fails else expected)
    assert spans[0].status.is_ok is not fails
    assert not [text for text in (origin, "token1", "first", "me:") if text in spans[0].to_json()]


async def test_a_token_endpoint_without_tls_is_refused() -> None:
    async with httpx.AsyncClient() as http:
        with pytest.raises(ValueError, match="https"):
            client_credentials("http://login.vendor.example", http)


async def test_no_secret_is_shown_by_anything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    vendor = Vendor()
    vendor.secrets = set()
    async with serving(vendor) as server, httpx.AsyncClient() as http:
        clock = Clock()
        credentials = client_credentials(server.origin, http, clock=clock)
        refused = await credentials.authorize(timeout_s=2)
        vendor.secrets = {"first"}
        clock.seconds = 2
        given = await credentials.authorize(timeout_s=2)
    request = HttpRequest(method="POST", url="u", headers={"authorization": "Bearer token1"}, body=b"first")

    assert isinstance(given, Authorization)
    assert isinstance(refused, Answer)
    shown = "".join(map(repr, [given, refused, request, credentials, vars(credentials), *caplog.messages]))
    assert "token1" not in shown
    assert "first" not in shown
