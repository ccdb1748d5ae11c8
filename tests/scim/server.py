"""A small HTTP/1.1 server on a real socket that answers as a test says: also slowly, broken, or not at all."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from shared.config.profile import Profile
from shared.scim.client import ScimClient

LIST_URN = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
ERROR_URN = "urn:ietf:params:scim:api:messages:2.0:Error"
CORE = "urn:ietf:params:scim:schemas:core:2.0:User"


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request as it arrived."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.target).query).items()}

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What goes back. `raw` replaces status, headers and body; `then_reset` breaks the connection after it."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    then_reset: bool = False
    then_drip: bytes = b""
    """Sent every 50 ms after the reply, for ever."""

    def encoded(self) -> bytes:
        if self.raw is not None:
            return self.raw
        lines = [f"HTTP/1.1 {self.status} X", f"Content-Length: {len(self.body)}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + self.body


def scim(value: Any, status: int = 200, **headers: str) -> Reply:
    return Reply(
        status=status, body=json.dumps(value).encode(), headers={"Content-Type": "application/scim+json", **headers}
    )


def listed(*rows: Any, total: int | None = None, **more: Any) -> Reply:
    return scim(
        {"schemas": [LIST_URN], "totalResults": len(rows) if total is None else total, "Resources": rows, **more}
    )


def refused(status: int, **more: Any) -> Reply:
    return scim({"schemas": [ERROR_URN], "status": str(status), "detail": "refused", **more}, status)


Answering = Callable[[Received], Reply | Awaitable[Reply]]


@dataclass(slots=True)
class Server:
    """The running server: its address, and every request that arrived."""

    origin: str
    requests: list[Received] = field(default_factory=list)
    connections: int = 0

    @property
    def sent(self) -> list[tuple[str, str]]:
        return [(request.method, request.target) for request in self.requests]


@asynccontextmanager
async def serving(answering: Answering) -> AsyncIterator[Server]:
    """Runs a server on a free port until the block ends."""
    server = Server(origin="")
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        task = asyncio.current_task()
        if task is not None:
            tasks.add(task)
        try:
            await _converse(server, answering, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(connected, "127.0.0.1", 0)
    server.origin = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listener.wait_closed()


async def _converse(
    server: Server, answering: Answering, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    while True:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        request = Received(method=method, target=target, headers=headers, body=body)
        server.requests.append(request)
        reply = answering(request)
        if not isinstance(reply, Reply):
            reply = await reply
        writer.write(reply.encoded())
        await writer.drain()
        while reply.then_drip:
            await asyncio.sleep(0.05)
            writer.write(reply.then_drip)
            await writer.drain()
        if reply.then_reset:
            writer.transport.abort()
            return


def in_turn(*replies: Reply) -> Answering:
    """Answers the first request with the first reply, and so on; one more is a failure of the test."""
    waiting = list(replies)
    return lambda _request: waiting.pop(0)


class FixedCredentials:
    """Gives the same token always, and nothing after it was refused."""

    async def authorize(self, refused: Any = (), *, timeout_s: float) -> Any:
        from shared.scim.auth import Authorization

        return None if refused else Authorization(headers={"Authorization": "Bearer t0ken"}, secrets=("t0ken",))


def application(origin: str, *, base: str = "/scim/v2", **protocol: Any) -> Any:
    """A connected application with a plain profile; `protocol` overrides wire behaviour."""
    resource = {"schema_urn": CORE, "matching": [{"target": "userName"}]}
    profile = Profile.model_validate(
        {
            "version": 1,
            "name": "acme",
            "title": "Acme",
            "users": {**resource, "endpoint": "/Users"},
            "groups": {"endpoint": "/Groups", "schema_urn": CORE, "matching": [{"target": "displayName"}]},
            "protocol": protocol,
        }
    )
    return SimpleNamespace(name="acme", base_url=origin + base, profile=profile)


@asynccontextmanager
async def client_of(
    origin: str,
    *,
    credentials: Any = None,
    timeout_s: float = 5.0,
    base: str = "/scim/v2",
    gate: Any = None,
    **protocol: Any,
) -> AsyncIterator[ScimClient]:
    """A client against a server, with its HTTP connections closed at the end of the block."""
    from shared.scim.transport import new_http_client

    async with new_http_client() as http:
        yield ScimClient(
            application(origin, base=base, **protocol),
            credentials=credentials or FixedCredentials(),
            http=http,
            gate=gate,
            timeout_s=timeout_s,
        )


__all__ = [
    "Received",
    "Reply",
    "Server",
    "application",
    "client_of",
    "httpx",
    "in_turn",
    "listed",
    "refused",
    "scim",
    "serving",
]
