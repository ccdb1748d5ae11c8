"""One client per application, built at its first use and kept with its connections."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from shared.scim.auth import BasicCredentials, Credentials, SecretCredentials, SecretLookup
from shared.scim.client import ScimClient
from shared.scim.oauth import ClientCredentials
from shared.scim.sending import Departure, Gate, RequestPriority
from shared.scim.transport import new_http_client

if TYPE_CHECKING:
    from shared.config.applications import Application


@dataclass(frozen=True, slots=True, kw_only=True)
class _Connection:
    application: Application
    http: httpx.AsyncClient
    client: ScimClient


class ScimConnections:
    """The clients of all applications in this process; each has its own connections and its own token."""

    def __init__(
        self,
        *,
        secret: SecretLookup,
        gate_of: Callable[[Application], Gate] | None = None,
        timeout_s: float = 30.0,
        new_http: Callable[[], httpx.AsyncClient] = new_http_client,
    ) -> None:
        self._secret = secret
        self._gate_of = gate_of
        self._timeout_s = timeout_s
        self._new_http = new_http
        self._connections: dict[str, _Connection] = {}

    def client_of(self, application: Application) -> ScimClient:
        """Answers with the application's client; a new one when its configuration is another object than before."""
        known = self._connections.get(application.name)
        if known is None or known.application is not application:
            known = self._connected(application)
            self._connections[application.name] = known
        return known.client

    def _connected(self, application: Application) -> _Connection:
        http = self._new_http()
        gate = None if self._gate_of is None else self._gate_of(application)

        async def token_gate() -> Departure | None:
            return None if gate is None else await gate(RequestPriority.FIRST)

        credentials = new_credentials(
            application.auth, application=application.name, secret=self._secret, http=http, gate=token_gate
        )
        client = ScimClient(application, credentials=credentials, http=http, gate=gate, timeout_s=self._timeout_s)
        return _Connection(application=application, http=http, client=client)

    async def aclose(self) -> None:
        """Closes all connections. Only tests and commands need it: the Functions host owns the process."""
        for connection in self._connections.values():
            await connection.http.aclose()
        self._connections.clear()


def new_credentials(
    auth: Any,
    *,
    application: str,
    secret: SecretLookup,
    http: httpx.AsyncClient,
    gate: Callable[[], Awaitable[Departure | None]] | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Credentials:
    """Answers with the credentials an application's `auth` describes. Raises ValueError for a type it does not know."""
    if auth.type == "bearer":
        names = [auth.token, *([auth.secondary_token] if auth.secondary_token else [])]
        return SecretCredentials(names, secret=secret, header="Authorization", prefix="Bearer ")
    if auth.type == "api_key":
        names = [auth.key, *([second] if (second := getattr(auth, "secondary_key", None)) else [])]
        return SecretCredentials(names, secret=secret, header=auth.header or "Authorization", prefix="")
    if auth.type == "basic":
        return BasicCredentials(username=auth.username, password=auth.password, secret=secret)
    if auth.type == "oauth2_client_credentials":
        second = getattr(auth, "secondary_client_secret", None)
        return ClientCredentials(
            application=application,
            client_id=auth.client_id,
            client_secrets=[auth.client_secret, *([second] if second else [])],
            token_url=auth.token_url or "",
            secret=secret,
            http=http,
            scopes=auth.scopes,
            client_authentication=auth.client_authentication or "basic",
            gate=gate,
            monotonic=monotonic,
        )
    raise ValueError(f"auth type {auth.type} is not known")
