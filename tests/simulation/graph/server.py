"""HTTP around the simulator: keep-alive connections, and the faults that happen on the wire."""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any

from tests.simulation.graph.faults import Fault, FaultKind, Faults
from tests.simulation.graph.odata import Request, Response

Serve = Callable[[str, str, dict[str, str], bytes], tuple[Request, Response]]


class Server(ThreadingHTTPServer):
    """Serves on 127.0.0.1 in threads, and leaves no open socket behind when it stops."""

    daemon_threads = False
    block_on_close = True
    request_queue_size = 128

    def __init__(self, port: int, *, serve: Serve, faults: Faults) -> None:
        """Binds at once, so that the port is known."""
        super().__init__(("127.0.0.1", port), _Connection)
        self.serve = serve
        self.faults = faults
        self.stopping = Event()
        self._connections: set[socket.socket] = set()
        self._cut: set[socket.socket] = set()
        self._lock = Lock()
        self._thread = Thread(target=self.serve_forever, kwargs={"poll_interval": 0.005}, name="graph-simulator")

    def start(self) -> None:
        """Begins to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Ends every connection and waits for the threads."""
        self.stopping.set()
        self.shutdown()
        with self._lock:
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue
        self.server_close()
        self._thread.join()

    def cut(self, connection: socket.socket) -> None:
        """Makes the connection end with a reset instead of an orderly close."""
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._cut.add(connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remembers the connection until it is closed."""
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Closes; a cut connection without the orderly part."""
        with self._lock:
            self._connections.discard(request)
        if request in self._cut:
            self._cut.discard(request)
            request.close()
            return
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stays silent when the client went away; anything else is a bug and is shown."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request, response = self.server.serve(self.command, self.path, headers, body)

        def strikes(kind: FaultKind) -> Fault | None:
            return self.server.faults.take(kind, request.path, link=request.link)

        if slow := strikes(FaultKind.SLOW):
            self.server.stopping.wait(slow.seconds)
        if strikes(FaultKind.REFUSE):
            self._cut()
            return
        if strikes(FaultKind.TRUNCATE):
            response = Response(response.status, response.body[: len(response.body) // 2], response.headers)
        reset = strikes(FaultKind.RESET)
        self.wfile.write(self._head(response))
        self.wfile.write(response.body[: len(response.body) // 2] if reset else response.body)
        if reset:
            self._cut()

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _serve  # noqa: N815 - names the base class calls

    def _cut(self) -> None:
        self.close_connection = True
        self.server.cut(self.connection)

    def _head(self, response: Response) -> bytes:
        headers = {"Content-Type": "application/json;odata.metadata=minimal;charset=utf-8", **response.headers}
        headers["Content-Length"] = str(len(response.body))
        lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - name of the base class
        """Keeps quiet: the journal holds what was asked."""
