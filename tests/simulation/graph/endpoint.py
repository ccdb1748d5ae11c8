"""An address to which the simulated Graph sends notifications, and which can misbehave."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit


class Endpoint(ThreadingHTTPServer):
    """A notification endpoint that can misbehave; `statuses` are given out in order, then 202."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.handshake = "faithful"
        self.statuses: list[int] = []
        self.patience = Event()
        self.patience.set()
        self.received: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def notices(self) -> list[dict[str, Any]]:
        return [notice for body in self.received for notice in body["value"]]


@contextmanager
def serve_endpoint() -> Iterator[Endpoint]:
    """Serves while the body runs."""
    with Endpoint() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
        thread.start()
        yield server
        server.patience.set()
        server.shutdown()
        thread.join()


class _Answer(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        tokens = parse_qs(urlsplit(self.path).query).get("validationToken")
        self.server.paths.append(urlsplit(self.path).path)
        if tokens:
            self._shake_hands(tokens[0])
            return
        self.server.received.append(json.loads(body))
        self.server.patience.wait()
        self._answer(self.server.statuses.pop(0) if self.server.statuses else 202, "text/plain", b"")

    def _shake_hands(self, token: str) -> None:
        ways = {
            "faithful": (200, "text/plain; charset=utf-8", token),
            "wrong token": (200, "text/plain", "other"),
            "still encoded": (200, "text/plain", token.replace(" ", "%20")),
            "wrong type": (200, "application/json", token),
            "wrong status": (202, "text/plain", token),
            "refusing": (403, "text/plain", token),
        }
        status, kind, text = ways[self.server.handshake]
        self._answer(status, kind, text.encode())

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass
