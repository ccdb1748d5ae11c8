"""The login server of PureCloud: OAuth 2 client credentials on a host of its own (RFC 6749 section 4.4).

It hands out bearer tokens that the API server of the same region accepts; a client of another region is unknown here.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from tests.simulation.vendors.clock import Clock
from tests.simulation.vendors.exchange import Answer, Delivery, Request
from tests.simulation.vendors.faulting import refused_by_fault
from tests.simulation.vendors.faults import FaultKind, Faults
from tests.simulation.vendors.http_server import HttpServer
from tests.simulation.vendors.journal import JournalEntry, Ledger, without_secrets

TOKEN_PATH = "/oauth/token"


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One OAuth client. `rights` is what its roles carry, None for all."""

    client_id: str
    client_secret: str
    rights: frozenset[str] | None = None


class LoginServer:
    """Answers `POST /oauth/token`. `issue(client)` makes the token; `journal` has every request without secrets."""

    def __init__(self, *, clock: Clock, issue: Callable[[Client], tuple[str, int]]) -> None:
        self.clients: dict[str, Client] = {}
        self.faults = Faults()
        self.requests: Ledger[JournalEntry] = Ledger()
        self._clock = clock
        self._issue = issue
        self._http = HttpServer(self.respond)
        self._origin = ""

    def start(self, port: int = 0) -> str:
        """Starts listening and answers with the origin."""
        self._origin = self._http.start(port)
        return self._origin

    def stop(self) -> None:
        """Stops listening. Idempotent."""
        self.faults.clear()
        self._http.stop()

    @property
    def url(self) -> str:
        """Answers with the origin, empty before `start`."""
        return self._origin

    @property
    def port(self) -> int:
        """Answers with the port it listens on, or listened on last; 0 before `start`."""
        return int(self._origin.rpartition(":")[2] or 0)

    @property
    def token_url(self) -> str:
        """Answers with the URL that hands out tokens."""
        return self._origin + TOKEN_PATH

    @property
    def journal(self) -> list[JournalEntry]:
        """Answers with every request so far."""
        return self.requests.rows()

    def respond(self, request: Request) -> Answer:
        """Answers one request and writes it down."""
        entry = self.requests.add(
            JournalEntry(
                at=self._clock.now(),
                method=request.method,
                path=request.raw_path,
                headers=without_secrets(list(request.headers)),
            )
        )
        answer = self._faulted(request, entry) or self._answered(request)
        entry.status = answer.status if answer.delivery is Delivery.send else None
        return answer

    def _faulted(self, request: Request, entry: JournalEntry) -> Answer | None:
        kinds = (FaultKind.outage, FaultKind.throttle, FaultKind.error, FaultKind.timeout_before_write)
        fault = self.faults.take(*kinds, method=request.method, path=request.raw_path)
        if fault is None:
            return None
        entry.fault = fault.kind.value
        if fault.kind is FaultKind.timeout_before_write:
            hold = self.faults.hold(float(fault.options.get("seconds", 30)))
            return Answer(status=0, delivery=Delivery.drop, hold=hold)
        return refused_by_fault(self._clock, fault)

    def _answered(self, request: Request) -> Answer:
        if request.raw_path != TOKEN_PATH or request.method != "POST":
            return _json(404, {"error": "not_found"})
        client = self.clients.get(_basic(request)[0])
        if client is None or client.client_secret != _basic(request)[1]:
            return _json(401, {"error": "invalid_client", "description": "client not found or wrong secret"})
        form = parse_qs(request.body.decode(errors="replace"))
        if form.get("grant_type") != ["client_credentials"]:
            return _json(400, {"error": "unsupported_grant_type"})
        token, seconds = self._issue(client)
        return _json(200, {"access_token": token, "token_type": "bearer", "expires_in": seconds})


def _basic(request: Request) -> tuple[str, str]:
    """Answers with client id and secret of an HTTP Basic header, empty strings when it is absent or malformed."""
    scheme, _, encoded = request.header("Authorization").partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        client_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return client_id, secret


def _json(status: int, body: Any) -> Answer:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return Answer(status=status, raw=json.dumps(body).encode(), headers=headers)
