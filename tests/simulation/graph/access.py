"""Bearer tokens: any at all, one fixed token, those of the simulator's own token endpoint, or those that say roles."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from tests.simulation.graph.odata import ODataError, Request
from tests.simulation.graph.people import JsonObject, opaque_id

LIFETIME = timedelta(hours=1)
PERMISSIONS: Mapping[str, str] = {
    "users": "User.Read.All",
    "groups": "GroupMember.Read.All",
    "servicePrincipals": "Application.Read.All",
}
"""Beginning of a path -> the application permission without which nothing of it is shown."""


class Access:
    """Decides whether a request may be served."""

    def __init__(self, *, token: str | None, now: Callable[[], datetime]) -> None:
        """Accepts only `token` when given, besides tokens issued here; otherwise any bearer token."""
        self._token = token
        self._now = now
        self._issued: dict[str, datetime] = {}
        self._refused: set[str] = set()
        self.reads_roles = False
        """Whether a token has to say the permission, as one of an identity does."""

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
        """Raises ODataError 401 unless the request's token is good now, 403 where it lacks a permission."""
        token = bearer_of(request.headers)
        if not token:
            raise _refusal("Access token is empty.")
        if token in self._issued and self._issued[token] <= self._now():
            raise _refusal("Access token has expired or is not yet valid.")
        if token in self._refused or (self._token is not None and token != self._token and token not in self._issued):
            raise _refusal("Access token validation failure.")
        needed = PERMISSIONS.get(request.path.split("/")[0]) if self.reads_roles else None
        if needed is not None and needed not in _roles_of(token):
            message = "Insufficient privileges to complete the operation."
            raise ODataError(403, "Authorization_RequestDenied", message)


def bearer_of(headers: dict[str, str]) -> str:
    """Reads the bearer token from lower-case headers; empty when there is none."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _roles_of(token: str) -> list[str]:
    """The permissions a token says; none of one that is no JWT."""
    parts = token.split(".")
    if len(parts) != 3:
        return []
    claims: JsonObject = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    return list(claims.get("roles", []))


def _refusal(message: str) -> ODataError:
    challenge = 'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize"'
    return ODataError(401, "InvalidAuthenticationToken", message, {"WWW-Authenticate": challenge})
