"""What is around every request, whatever its route."""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.api.access import Act
from shared.api.problems import Problem
from shared.storage.tables import StorageUnavailable

LARGEST = 2_000_000
"""Bytes of a body; a configuration to preview is the largest thing anybody sends."""


class Frame:
    """Refuses a body that is too large, completes the audit record of an action, and lets nobody keep the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_framed(message: Message) -> None:
            if message["type"] == "http.response.start":
                await _conclude(scope, int(message["status"]))
                headers = MutableHeaders(scope=message)
                headers["Cache-Control"] = "no-store"
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        read = None if _announces_too_much(scope) else await _read_body(receive)
        if read is None:
            detail = f"The body is larger than {LARGEST} bytes."
            refusal = Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", detail).response()
            await refusal(scope, receive, send_framed)
            return

        async def receive_again() -> Message:
            return read.pop(0) if read else await receive()

        await self._app(scope, receive_again, send_framed)


def _announces_too_much(scope: Scope) -> bool:
    length = Headers(scope=scope).get("content-length", "0")
    # Python refuses to read a number of some thousands of digits.
    return not length.isdecimal() or len(length) > len(str(LARGEST)) or int(length) > LARGEST


async def _read_body(receive: Receive) -> list[Message] | None:
    """The messages that make up the body, which need not have announced its length; None: it is too large."""
    read: list[Message] = []
    size, goes_on = 0, True
    while goes_on:
        message = await receive()
        read.append(message)
        size += len(message.get("body", b""))
        if size > LARGEST:
            return None
        goes_on = bool(message.get("more_body", False))
    return read


async def _conclude(scope: Scope, status: int) -> None:
    """Complete the record of the request's action. Without storage it stays open: what was done is done."""
    act: Act | None = scope.get("state", {}).get("act")
    if act is not None:
        with suppress(StorageUnavailable):
            await act.conclude(status)
