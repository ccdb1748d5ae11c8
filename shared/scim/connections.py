"""One client per application, built at its first use and kept with its connections."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx

from shared.config.provisioning_file import SECRET_KEYS
from shared.scim.answers import Answer
from shared.scim.auth import (
    BasicCredentials,
    Credentials,
    NoCredentials,
    RefusalNoted,
    SecretCredentials,
    SecretLookup,
    nobody_is_told,
)
from shared.scim.client import ScimClient
from shared.scim.oauth import ClientCredentials
from shared.scim.refused_secrets import RefusedSecrets
from shared.scim.sending import Departure, Gate, RequestPriority
from shared.scim.transport import new_http_client

if TYPE_CHECKING:
    from shared.config.applications import Application


_NOWHERE = "https://unknown.invalid"
"""An address in a name space where nothing is (RFC 2606); nothing is sent to it."""


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
        refused: RefusedSecrets | None = None,
    ) -> None:
        self._secret = secret
        self._gate_of = gate_of
        self._timeout_s = timeout_s
        self._new_http = new_http
        self._refused = refused or RefusedSecrets()
        self._connections: dict[str, _Connection] = {}

    def client_of(self, application: Application) -> ScimClient:
        """Answers with the application's client; a new one when its configuration is another object than before."""
        known = self._connections.get(application.name)
        if known is None or known.application is not application:
            known = self._connected(application)
            self._connections[application.name] = known
        return known.client

    async def test_each_secret(self, application: Application, settings: Sequence[str]) -> tuple[Answer, ...]:
        """Ask the vendor with each of these secrets alone, whichever the others are; one answer for each, in order.

        As `ScimClient.test_connection`; changes nothing, and no secret is remembered as refused because of it.
        """
        keys = SECRET_KEYS[application.auth.type]
        answers: list[Answer] = []
        for setting in settings:
            only = {**dict.fromkeys(keys), keys[0]: setting}
            alone = replace(application, auth=application.auth.model_copy(update=only))
            connection = self._connected(alone)
            try:
                answers.append(await connection.client.test_connection())
            finally:
                await connection.http.aclose()
        return tuple(answers)

    def _connected(self, application: Application) -> _Connection:
        http = self._new_http()
        credentials: Credentials
        gate = None if self._gate_of is None else self._gate_of(application)

        async def token_gate() -> Departure | None:
            return None if gate is None else await gate(RequestPriority.FIRST)

        if application.base_url:
            credentials = new_credentials(
                application.auth,
                application=application.name,
                secret=self._secret,
                http=http,
                gate=token_gate,
                tell_refused=partial(self._refused.note, application.name),
            )
            reached = application
        else:
            # As without a secret: whatever is asked of this client is answered with what is missing.
            credentials = NoCredentials("; ".join(map(str, application.unfilled)) or "the address is not known")
            reached = replace(application, base_url=_NOWHERE)
        client = ScimClient(reached, credentials=credentials, http=http, gate=gate, timeout_s=self._timeout_s)
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
    tell_refused: RefusalNoted = nobody_is_told,
    monotonic: Callable[[], float] = time.monotonic,
) -> Credentials:
    """Answers with the credentials an application's `auth` describes. Raises ValueError for a type it does not know."""
    names = [setting for key in SECRET_KEYS.get(auth.type, ()) if (setting := getattr(auth, key, None))]
    if auth.type == "bearer":
        return SecretCredentials(
            names, secret=secret, header="Authorization", prefix="Bearer ", tell_refused=tell_refused
        )
    if auth.type == "api_key":
        header = auth.header or "Authorization"
        return SecretCredentials(names, secret=secret, header=header, prefix="", tell_refused=tell_refused)
    if auth.type == "basic":
        return BasicCredentials(username=auth.username, password=auth.password, secret=secret)
    if auth.type == "oauth2_client_credentials":
        return ClientCredentials(
            application=application,
            client_id=auth.client_id,
            client_secrets=names,
            token_url=auth.token_url or "",
            secret=secret,
            http=http,
            scopes=auth.scopes,
            client_authentication=auth.client_authentication or "basic",
            gate=gate,
            tell_refused=tell_refused,
            monotonic=monotonic,
        )
    raise ValueError(f"auth type {auth.type} is not known")
