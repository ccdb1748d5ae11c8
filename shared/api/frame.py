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

        length = Headers(scope=scope).get("content-length", "0")
        if not length.isdecimal() or int(length) > LARGEST:
            detail = f"The body is larger than {LARGEST} bytes."
            refusal = Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", detail).response()
            await refusal(scope, receive, send_framed)
            return
        await self._app(scope, receive, send_framed)


async def _conclude(scope: Scope, status: int) -> None:
    """Complete the record of the request's action. Without storage it stays open: what was done is done."""
    act: Act | None = scope.get("state", {}).get("act")
    if act is not None:
        with suppress(StorageUnavailable):
            await act.conclude(status)
