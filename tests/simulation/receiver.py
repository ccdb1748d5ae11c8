"""Somebody else's webhook: it keeps what arrives, checks signatures as Standard Webhooks says, and may misbehave."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.scim.server import Received, Reply, Server, serving

KEY = b"a key of thirty-two bytes, truly"
SECRET = "whsec_" + base64.b64encode(KEY).decode()


@dataclass(slots=True)
class Receiver:
    """A running receiver."""

    server: Server = field(default_factory=lambda: Server(origin=""))
    misbehaving: deque[Reply] = field(default_factory=deque)
    """What it answers before it behaves."""
    always: Reply | None = None
    """What it answers when it does not behave at all."""
    hangs: bool = False
    """Takes connections and requests, and never answers."""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    key: bytes = KEY
    taken: list[dict[str, Any]] = field(default_factory=list)
    """The notices it answered with 200, in order, doubles included."""
    forged: int = 0
    """Requests whose signature was not right."""
    arrived: Callable[[dict[str, Any]], None] = lambda _notice: None
    """Called when a notice was taken, before the answer leaves."""

    @property
    def url(self) -> str:
        """Its address; like a chat service's, it holds a token."""
        return f"{self.server.origin}/hooks/t0ken?sig=s1gnature"

    @property
    def requests(self) -> list[Received]:
        """Everything that arrived."""
        return self.server.requests

    @property
    def told(self) -> list[dict[str, Any]]:
        """The notices, doubles dropped by their id."""
        return list({notice["id"]: notice for notice in self.taken}.values())

    @property
    def types(self) -> list[str]:
        """What the notices were about, in order, doubles dropped."""
        return [notice["type"] for notice in self.told]

    async def answer(self, request: Received) -> Reply:
        """Misbehave as often as asked; then check and take."""
        reply = self.misbehaving.popleft() if self.misbehaving else self.always
        if reply is not None:
            return reply
        if self.hangs:
            await self.over.wait()
        if not self._is_genuine(request):
            self.forged += 1
            return Reply(status=401)
        notice = json.loads(request.body)
        assert notice["id"] == request.headers["webhook-id"]
        self.taken.append(notice)
        self.arrived(notice)
        return Reply(status=200, body=b"ok")

    def behave(self) -> None:
        """From now on answer as it should be."""
        self.hangs = False
        self.always = None
        self.misbehaving.clear()

    def _is_genuine(self, request: Received) -> bool:
        headers = request.headers
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request.body
        wanted = base64.b64encode(hmac.digest(self.key, signed, hashlib.sha256)).decode()
        return f"v1,{wanted}" in headers["webhook-signature"].split(" ")


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a free port, until the block ends."""
    receiver = Receiver()
    async with serving(receiver.answer) as server:
        receiver.server = server
        try:
            yield receiver
        finally:
            receiver.over.set()
