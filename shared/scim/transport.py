"""One HTTP request, and what came back as plain values: the only module that knows httpx's exceptions.

Nothing is retried, no redirect is followed and no cookie is kept. An answer is read up to a limit and inside one
deadline for the whole request, because httpx's own time-outs start anew with every byte a slow server drips.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx

from shared.scim.answers import Interruption
from shared.scim.classification import Exchange
from shared.scim.error_bodies import inflate

LONGEST_BODY = 2 * 1024 * 1024
"""Bytes, after decompression. A page of 100 large groups without members stays far below."""

_CONNECT_TIMEOUT_S = 10.0
_KEEP_ALIVE_S = 20.0
_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.InvalidURL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """What is sent. `repr` shows neither headers nor body."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)
    names_resource: bool = False
    """True: the URL ends with a resource's id."""


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """One context for all vendors: building it costs tens of milliseconds. TLS 1.2 or later, certificates verified."""
    return httpx.create_ssl_context()


def new_http_client(*, max_connections: int = 64) -> httpx.AsyncClient:
    """Answers with a client for one vendor: HTTP/1.1, connections kept for 20 s, no redirects, no cookies."""
    limits = httpx.Limits(
        max_connections=max_connections, max_keepalive_connections=max_connections, keepalive_expiry=_KEEP_ALIVE_S
    )
    return httpx.AsyncClient(
        verify=_tls(),
        limits=limits,
        follow_redirects=False,
        cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
    )


class _Progress:
    """Whether a byte of the request may have left this machine. Unknown transports count as having sent.

    `departs` is awaited before the first byte, with the connection ready; a proxy's CONNECT is not yet the request.
    """

    __slots__ = ("connected", "departs", "traced")

    def __init__(self, departs: Callable[[], Awaitable[None]] | None) -> None:
        self.connected = False
        self.traced = False
        self.departs = departs

    async def __call__(self, event: str, details: Mapping[str, Any]) -> None:
        self.traced = True
        if not event.endswith("send_request_headers.started"):
            return
        if self.departs is not None and details["request"].method != b"CONNECT":
            await self.departs()
        self.connected = True

    @property
    def may_have_sent(self) -> bool:
        return self.connected or not self.traced


async def exchange(
    http: httpx.AsyncClient,
    request: HttpRequest,
    *,
    timeout_s: float,
    departs: Callable[[], Awaitable[None]] | None = None,
    longest_body: int = LONGEST_BODY,
) -> Exchange:
    """Sends the request once and answers with what came back within `timeout_s` seconds; the network raises nothing.

    `departs` returns when the first byte may leave. What it raises is raised here, but for an OSError, which would be
    taken for the network's; nothing was sent. A body beyond `longest_body` bytes is not read to its end.
    """
    progress = _Progress(departs)
    received = _Received()
    interruption: Interruption | None = None
    try:
        async with asyncio.timeout(timeout_s):
            await _receive(http, _prepared(request, progress, timeout_s=timeout_s), received, longest_body)
    except _NEVER_SENT:
        interruption = Interruption.NOT_SENT
    except (httpx.TimeoutException, TimeoutError):
        interruption = Interruption.TIMED_OUT if progress.may_have_sent else Interruption.NOT_SENT
    except (httpx.HTTPError, httpx.StreamError, OSError):
        interruption = Interruption.BROKEN if progress.may_have_sent else Interruption.NOT_SENT
    if interruption is None and received.body is None:
        interruption = Interruption.TOO_LARGE
    return Exchange(
        method=request.method,
        status=received.status,
        headers=received.headers,
        body=received.body or b"",
        interruption=interruption,
        names_resource=request.names_resource,
    )


class _Received:
    """What has come so far; `body` stays None until it is complete and within the limit."""

    __slots__ = ("body", "headers", "status")

    def __init__(self) -> None:
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.body: bytes | None = None


def _prepared(request: HttpRequest, progress: _Progress, *, timeout_s: float) -> httpx.Request:
    # Shorter than the deadline, so that a wait for a connection ends as what it is: nothing was sent.
    before_sending_s = min(timeout_s * 0.9, _CONNECT_TIMEOUT_S)
    timeout = httpx.Timeout(timeout_s, connect=before_sending_s, pool=timeout_s * 0.9)
    return httpx.Request(
        request.method,
        request.url,
        headers={**request.headers, "accept-encoding": "identity"},
        content=request.body,
        extensions={"timeout": timeout.as_dict(), "trace": progress},
    )


async def _receive(http: httpx.AsyncClient, request: httpx.Request, received: _Received, longest_body: int) -> None:
    response = await http.send(request, stream=True, auth=None, follow_redirects=False)
    try:
        received.status = response.status_code
        received.headers = {name.lower(): value for name, value in response.headers.items()}
        chunks: list[bytes] = []
        length = 0
        async for chunk in response.aiter_raw():
            length += len(chunk)
            if length > longest_body:
                return
            chunks.append(chunk)
        body = b"".join(chunks)
        if body and received.headers.get("content-encoding", "identity").lower() != "identity":
            received.body = inflate(body, limit=longest_body)
        else:
            received.body = body
    finally:
        await response.aclose()
