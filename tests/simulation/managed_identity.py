"""The identity endpoint that the platform gives to an app (App Service, 2019-08-01), on loopback.

The app finds it by its environment, so `DefaultAzureCredential` gets its tokens here as it does in Azure: nothing of
the product is replaced. The tokens say what a real one says and are signed by nobody, which is enough for Azurite.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from dataclasses import dataclass
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

CLIENT_ID = "5b8a1c1e-0d0e-4f6e-9f0a-1d5f7c6a2b30"
TENANT_ID = "ab1f708d-50f6-404c-a006-d71b2ac7a606"
STORAGE = "https://storage.azure.com"
GRAPH = "https://graph.microsoft.com"
LIFETIME_S = 86_400
"""Of a token of a managed identity."""
CONSENTED = ("User.Read.All", "GroupMember.Read.All", "Application.Read.All")
"""What the README asks an administrator to consent to."""


class Trouble(StrEnum):
    """What is wrong with the identity."""

    WRONG_AUDIENCE = "wrong audience"
    """Its tokens are for something else."""
    EXPIRED = "expired"
    """Its tokens ended an hour ago."""
    NOT_ASSIGNED = "not assigned"
    """No identity with this client id is assigned to the app: there are no tokens."""


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """One question for a token."""

    client_id: str
    resource: str


class ManagedIdentity:
    """One running endpoint. A context manager; leaving it ends it."""

    def __init__(self) -> None:
        """Begins to listen; nothing is answered before it is entered."""
        self.trouble: Trouble | None = None
        self.roles: list[str] = [*CONSENTED]
        """Microsoft Graph's permissions; they are in tokens that are made from now on."""
        self.lifetime_s = LIFETIME_S
        """What the app is told of its tokens; with 0 it asks for another one each time."""
        self._kept: dict[str, str] = {}
        self.requests: list[TokenRequest] = []
        self._header = secrets.token_hex(16)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._thread = Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="managed-identity"
        )

    @property
    def environment(self) -> dict[str, str]:
        """Answers with what the platform puts into the app's environment, and the settings that name the identity."""
        return {
            "IDENTITY_ENDPOINT": f"http://127.0.0.1:{self._server.server_port}/msi/token",
            "IDENTITY_HEADER": self._header,
            "AZURE_CLIENT_ID": CLIENT_ID,
            "AzureWebJobsStorage__clientId": CLIENT_ID,
            "AzureWebJobsStorage__credential": "managedidentity",
        }

    def resources(self) -> set[str]:
        """Answers with everything that tokens were asked for."""
        return {request.resource for request in self.requests}

    def end_kept_tokens(self) -> None:
        """The day is over for which the platform hands out one token. Nobody, and no restart, makes it earlier."""
        self._kept.clear()

    def answer(self, query: dict[str, list[str]], header: str) -> tuple[int, dict[str, Any]]:
        """Answers a question with status and document."""
        resource, client_id = (query.get(name, [""])[0] for name in ("resource", "client_id"))
        self.requests.append(TokenRequest(client_id, resource))
        if header != self._header:
            return 401, {"statusCode": 401, "message": "the header is not this app's"}
        if self.trouble is Trouble.NOT_ASSIGNED or client_id != CLIENT_ID:
            return 400, {"statusCode": 400, "message": "No User Assigned or Delegated Managed Identity found"}
        now = int(time.time())
        # A bad token is not kept by anybody, so that the trouble is over as soon as it is mended.
        ends_at = now + (self.lifetime_s if self.trouble is None else 0)
        token = (
            self._token(resource, now) if self.trouble else self._kept.setdefault(resource, self._token(resource, now))
        )
        return 200, {
            "access_token": token,
            "client_id": client_id,
            "expires_on": str(ends_at),
            "resource": resource,
            "token_type": "Bearer",
        }

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _token(self, resource: str, now: int) -> str:
        expired = self.trouble is Trouble.EXPIRED
        claims = {
            "aud": "https://vault.azure.net" if self.trouble is Trouble.WRONG_AUDIENCE else resource,
            "iss": f"https://sts.windows.net/{TENANT_ID}/",
            "appid": CLIENT_ID,
            "nbf": now - 7200,
            "iat": now - 7200,
            "exp": now - 3600 if expired else now + LIFETIME_S,
            **({"roles": [*self.roles]} if resource == GRAPH else {}),
        }
        parts = ({"alg": "RS256", "typ": "JWT"}, claims)
        return ".".join([*(_encoded(json.dumps(part).encode()) for part in parts), _encoded(b"signed by nobody")])


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _handler_of(identity: ManagedIdentity) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            status, document = identity.answer(query, self.headers.get("X-IDENTITY-HEADER", ""))
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - name of the base class
            """Keeps quiet."""

    return Handler
