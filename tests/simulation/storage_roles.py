"""What Azurite leaves out: which of an account's services an identity may use, and that keys are switched off.

It listens with TLS where the three services of an account would, hands what is allowed on to an Azurite, and answers
everything else as the service does when a role assignment is missing.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections import Counter
from contextlib import ExitStack, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Any, Self

from tests.simulation.azurite import Azurite, Ports, identity_settings
from tests.simulation.certificate import Certificate

SERVICES = ("blob", "queue", "table")
REFUSAL = "This request is not authorized to perform this operation using this permission."
_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})


class StorageRoles:
    """One running account in front of an Azurite. A context manager; leaving it ends it.

    The identity begins with a role at each service; `missing` is where it has none.
    """

    def __init__(self, azurite: Azurite, certificate: Certificate) -> None:
        """Begins to listen; nothing is answered before it is entered."""
        self.missing: set[str] = set()
        self.keyed: list[str] = []
        """Services that were called with something other than a token."""
        self.refused: Counter[str] = Counter()
        """Service -> requests that were refused."""
        self.served: Counter[str] = Counter()
        """Service -> requests that were handed on."""
        serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        serving.load_cert_chain(certificate.path, certificate.key_path)
        trusting = ssl.create_default_context(cafile=str(certificate.path))
        self._servers = {
            name: _Server(self, name, getattr(azurite.ports, name), serving=serving, trusting=trusting)
            for name in SERVICES
        }
        self._stack = ExitStack()

    @property
    def settings(self) -> dict[str, str]:
        """Answers with the identity form of the storage settings."""
        return identity_settings(Ports(**{name: server.server_port for name, server in self._servers.items()}))

    def __enter__(self) -> Self:
        for server in self._servers.values():
            server.thread.start()
            self._stack.callback(server.end)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self, roles: StorageRoles, service: str, port: int, *, serving: ssl.SSLContext, trusting: ssl.SSLContext
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.roles, self.service, self.port, self.trusting = roles, service, port, trusting
        self._serving = serving
        self.thread = Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, name=f"storage-{service}")

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shakes hands in the connection's own thread: a client that waits must not hold up the others."""
        with suppress(OSError), self._serving.wrap_socket(request, server_side=True) as connection:
            super().finish_request(connection, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keeps quiet: who went away asked for nothing."""

    def end(self) -> None:
        self.shutdown()
        self.server_close()
        self.thread.join()


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        roles, service = self.server.roles, self.server.service
        is_token = self.headers.get("Authorization", "").startswith("Bearer ")
        if not is_token:
            roles.keyed.append(service)
        if service in roles.missing or not is_token:
            roles.refused[service] += 1
            self._refuse("AuthorizationPermissionMismatch" if is_token else "KeyBasedAuthenticationNotPermitted")
            return
        roles.served[service] += 1
        self._hand_on(body)

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = do_HEAD = do_MERGE = _serve  # noqa: N815 - names of the base class

    def _hand_on(self, body: bytes) -> None:
        behind = http.client.HTTPSConnection("127.0.0.1", self.server.port, context=self.server.trusting, timeout=30)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
            headers["Content-Length"] = str(len(body))
            behind.request(self.command, self.path, body, headers)
            answer = behind.getresponse()
            self._answer(answer.status, answer.getheaders(), answer.read())
        finally:
            behind.close()

    def _refuse(self, code: str) -> None:
        """As the service answers; tables in JSON, the others in XML."""
        if self.server.service == "table":
            error = {"odata.error": {"code": code, "message": {"lang": "en-US", "value": REFUSAL}}}
            content, body = "application/json", json.dumps(error)
        else:
            content, body = "application/xml", f"<Error><Code>{code}</Code><Message>{REFUSAL}</Message></Error>"
        self._answer(403, [("Content-Type", content), ("x-ms-error-code", code)], body.encode())

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _HOP:
                self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status != 204:
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - name of the base class
        """Keeps quiet."""
