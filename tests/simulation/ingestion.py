"""Application Insights' ingestion endpoint: it keeps every envelope that Microsoft's exporter sends over HTTP."""

from __future__ import annotations

import gzip
import json
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One item of telemetry, as it arrived."""

    raw: Mapping[str, Any] = field(repr=False)

    @property
    def kind(self) -> str:
        """Answers with what it is: RemoteDependencyData is a span, MetricData a metric."""
        return str(self.raw["data"]["baseType"])

    @property
    def data(self) -> Mapping[str, Any]:
        """Answers with its own fields."""
        data: Mapping[str, Any] = self.raw["data"]["baseData"]
        return data

    @property
    def name(self) -> str:
        """Answers with the name of the span or of the metric."""
        return str(self.data["metrics"][0]["name"] if self.kind == "MetricData" else self.data["name"])

    @property
    def dimensions(self) -> Mapping[str, str]:
        """Answers with what becomes customDimensions."""
        return self.data.get("properties") or {}

    @property
    def operation_id(self) -> str:
        """Answers with its trace."""
        return str(self.raw["tags"].get("ai.operation.id", ""))

    @property
    def parent_id(self) -> str:
        """Answers with the span above."""
        return str(self.raw["tags"].get("ai.operation.parentId", ""))

    @property
    def sample_rate(self) -> float:
        """Answers with how many percent it stands for."""
        return float(self.raw.get("sampleRate") or 100)


class IngestionEndpoint:
    """A running endpoint."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        """What arrived, unpacked, in order."""
        self.sent_bytes = 0
        """Bytes of the bodies as they crossed the network."""
        self.headers: list[Mapping[str, str]] = []
        self.status = 200
        """What it answers; anything but 200 takes nothing."""
        self.answers = threading.Event()
        """Not set: requests are read, and nothing comes back until it is."""
        self.answers.set()
        self.asked = threading.Event()
        """Set when a request arrived."""
        self.port = 0

    @property
    def connection_string(self) -> str:
        """Answers with what APPLICATIONINSIGHTS_CONNECTION_STRING must be."""
        key = uuid.UUID(int=7)
        return f"InstrumentationKey={key};IngestionEndpoint=http://127.0.0.1:{self.port}/"

    @property
    def text(self) -> str:
        """Answers with everything that arrived, to look for what must not be in it."""
        return b"\n".join(self.bodies).decode()

    @property
    def envelopes(self) -> Sequence[Envelope]:
        """Answers with everything that arrived."""
        return [Envelope(raw=item) for body in list(self.bodies) for item in _items(body)]

    def spans(self, name: str) -> Sequence[Envelope]:
        """Answers with the spans of a name."""
        return [each for each in self.envelopes if each.kind == "RemoteDependencyData" and each.name == name]

    def metrics(self, name: str) -> Sequence[Envelope]:
        """Answers with the data points of a metric."""
        return [each for each in self.envelopes if each.kind == "MetricData" and each.name == name]

    def take(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Keeps a request and answers with status and body, as the service does."""
        self.sent_bytes += len(body)
        self.headers.append(headers)
        unpacked = gzip.decompress(body) if headers.get("Content-Encoding") == "gzip" else body
        count = len(_items(unpacked))
        if self.status == 200:
            self.bodies.append(unpacked)
        accepted = count if self.status == 200 else 0
        return self.status, json.dumps({"itemsReceived": count, "itemsAccepted": accepted, "errors": []}).encode()


def _items(body: bytes) -> list[dict[str, Any]]:
    """A list, or one item a line: the service takes both."""
    text = body.decode()
    if text.lstrip().startswith("["):
        items: list[dict[str, Any]] = json.loads(text)
        return items
    return [json.loads(line) for line in text.splitlines() if line]


@contextmanager
def taking_telemetry() -> Iterator[IngestionEndpoint]:
    """An endpoint on a free port, in a thread, until the block ends."""
    endpoint = IngestionEndpoint()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            endpoint.asked.set()
            endpoint.answers.wait()
            status, answer = endpoint.take(body, dict(self.headers.items()))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the library's name)
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    endpoint.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        endpoint.answers.set()
        server.shutdown()
        thread.join()
        server.server_close()
