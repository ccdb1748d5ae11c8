"""Bearer tokens: any at all, one fixed token, or tokens from the simulator's own token endpoint."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from tests.simulation.graph.odata import ODataError, Request
from tests.simulation.graph.people import JsonObject, opaque_id

LIFETIME = timedelta(hours=1)


class Access:
    """Decides whether a request may be served."""

    def __init__(self, *, token: str | None, now: Callable[[], datetime]) -> None:
        """Accepts only `token` when given, besides tokens issued here; otherwise any bearer token."""
        self._token = token
        self._now = now
        self._issued: dict[str, datetime] = {}
        self._refused: set[str] = set()

    def issue(self) -> JsonObject:
        """Issues a token for an hour of the simulator's clock, as the token endpoint answers."""
        token = opaque_id("access token", len(self._issued), self._now())
        self._issued[token] = self._now() + LIFETIME
        return {"token_type": "Bearer", "expires_in": int(LIFETIME.total_seconds()), "access_token": token}

    def refuse(self, token: str) -> None:
        """Treats a token as revoked from now on."""
        self._refused.add(token)

    def expire_issued(self) -> None:
        """Ends every token issued so far."""
        self._issued = dict.fromkeys(self._issued, self._now() - LIFETIME)

    def check(self, request: Request) -> None:
        """Raises ODataError 401 unless the request carries a token that is good now."""
        token = bearer_of(request.headers)
        if not token:
            raise _refusal("Access token is empty.")
        if token in self._issued and self._issued[token] <= self._now():
            raise _refusal("Access token has expired or is not yet valid.")
        if token in self._refused or (self._token is not None and token != self._token and token not in self._issued):
            raise _refusal("Access token validation failure.")


def bearer_of(headers: dict[str, str]) -> str:
    """Reads the bearer token from lower-case headers; empty when there is none."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _refusal(message: str) -> ODataError:
    challenge = 'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize"'
    return ODataError(401, "InvalidAuthenticationToken", message, {"WWW-Authenticate": challenge})
