"""A threaded HTTP/1.1 server with keep-alive that can also stay silent, drop a connection or reset it.

The standard library's server is enough; a framework would hide the socket that the faults need.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.simulation.vendors.exchange import Answer, Delivery, Request

Respond = Callable[[Request], Answer]
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError, ValueError):
            super().handle()

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        request = Request(
            method=self.command,
            target=self.path,
            headers=list(self.headers.items()),
            body=self.rfile.read(length) if length else b"",
            host=self.headers.get("Host") or "",
        )
        self._deliver(self.server.respond(request))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _serve  # noqa: N815

    def _deliver(self, answer: Answer) -> None:
        if answer.hold is not None:
            answer.hold.wait()
        if answer.delivery is not Delivery.send or self.server.stopping:
            self.close_connection = True
            if answer.delivery is Delivery.reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                with contextlib.suppress(OSError):
                    self.connection.shutdown(socket.SHUT_RDWR)
            return
        payload = answer.payload()
        headers = dict(answer.headers)
        if answer.status not in {204, 304}:
            headers["Content-Length"] = str(len(payload))
        lines = [f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", errors="replace")
        self.wfile.write(head if self.command == "HEAD" or answer.status in {204, 304} else head + payload)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
        """Writes nothing: the journal has every request."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], respond: Respond) -> None:
        self.respond = respond
        self.connections: set[socket.socket] = set()
        self.stopping = False
        super().__init__(address, _Connection)

    def shutdown_request(self, request: Any) -> None:
        """Closes a connection without the orderly shutdown that would turn a reset into an end of file."""
        self.close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Writes nothing for a client that went away; anything else is a bug of the simulator and is printed."""
        import sys

        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class HttpServer:
    """One listening port and the threads behind it."""

    def __init__(self, respond: Respond) -> None:
        self._respond = respond
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self, port: int = 0) -> str:
        """Starts listening on 127.0.0.1 and answers with `http://127.0.0.1:port`. Port 0 takes a free one."""
        self._server = _Server(("127.0.0.1", port), self._respond)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.005}, name="vendor-simulator", daemon=True
        )
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        """Closes the port and every open connection. Idempotent."""
        if self._server is None or self._thread is None:
            return
        self._server.stopping = True
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self._server.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._server = self._thread = None
