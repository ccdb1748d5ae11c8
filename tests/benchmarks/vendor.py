"""A SCIM vendor that costs almost nothing: resources in memory, every answer 20 ms after the request, no rules.

The simulated vendors of the demo check every request and would be measured instead of the product. Members of groups
are taken and forgotten; `GET /_requests` below the base URL says how many requests there were, `GET /_arrivals` when
each came and what it was, and `GET /_outage/on` and `/_outage/off` make it answer 503 to everything.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from multiprocessing.connection import Connection
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.benchmarks.separate import wait_for_end

ANSWERS_AFTER_S = 0.020
BASE_PATH = "/scim/v2"
_STATUS = {200: "OK", 201: "Created", 204: "No Content", 404: "Not Found", 503: "Service Unavailable"}


def serve_vendor(announce: Connection, answers_after_s: float = ANSWERS_AFTER_S) -> None:
    """Serves until the other end of `announce` is closed; announces the base URL."""
    asyncio.run(_serve(announce, answers_after_s))


async def _serve(announce: Connection, answers_after_s: float) -> None:
    resources = Resources()
    server = await asyncio.get_running_loop().create_server(
        lambda: _Exchange(resources, answers_after_s), "127.0.0.1", 0
    )
    announce.send(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{BASE_PATH}")
    await asyncio.to_thread(wait_for_end, announce)
    server.close()


class Resources:
    """What the vendor holds: users and groups."""

    def __init__(self) -> None:
        """Starts empty."""
        self._by_id: dict[str, dict[str, Any]] = {}
        self._by_name: dict[tuple[str, str], str] = {}
        self._requests: Counter[str] = Counter()
        self._arrivals: list[tuple[float, str]] = []
        self._is_out = False

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, Any]:
        """Answers one request with status and body."""
        url = urlsplit(target)
        collection, _, resource_id = url.path.partition(f"{BASE_PATH}/")[2].partition("/")
        if collection == "_requests":
            return 200, self._requests
        if collection == "_arrivals":
            return 200, self._arrivals
        if collection == "_outage":
            self._is_out = resource_id == "on"
            return 200, {}
        # The monotonic clock is one for all processes of the machine.
        self._arrivals.append((time.monotonic(), f"{method} {collection} {_active_of(method, body)}".strip()))
        if self._is_out:
            return 503, {"schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "status": "503"}
        self._requests[f"{method} {collection}"] += 1
        match method:
            case "GET" if not resource_id:
                return 200, self._find(collection, parse_qs(url.query).get("filter", [""])[0])
            case "POST":
                return 201, self._create(collection, json.loads(body))
            case "PATCH" if resource_id in self._by_id and collection == "Groups":
                return 204, None
            case "PATCH" if resource_id in self._by_id:
                return 200, self._patch(self._by_id[resource_id], json.loads(body))
            case "DELETE" if resource_id in self._by_id:
                del self._by_name[collection, _name_of(self._by_id.pop(resource_id))]
                return 204, None
            case "GET" if resource_id in self._by_id:
                return 200, self._by_id[resource_id]
        return 404, {"schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "status": "404"}

    def _find(self, collection: str, condition: str) -> Any:
        name = condition.partition('"')[2].rstrip('"')
        hits = [self._by_id[self._by_name[collection, name]]] if (collection, name) in self._by_name else []
        return {
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
            "totalResults": len(hits),
            "Resources": hits,
        }

    def _create(self, collection: str, resource: dict[str, Any]) -> Any:
        resource["id"] = f"{len(self._by_id) + 1:08d}"
        self._by_id[resource["id"]] = resource
        self._by_name[collection, _name_of(resource)] = resource["id"]
        return resource

    @staticmethod
    def _patch(resource: dict[str, Any], patch: dict[str, Any]) -> Any:
        # Only top-level attributes: nobody reads the others back.
        for operation in patch["Operations"]:
            if "path" in operation and "value" in operation:
                resource[operation["path"]] = operation["value"]
        return resource


def _active_of(method: str, body: bytes) -> str:
    """Whether the request is a disable, read from its text: the only thing anybody asks about."""
    return "disable" if method == "PATCH" and b'"active"' in body and b"false" in body.lower() else ""


def _name_of(resource: dict[str, Any]) -> str:
    return str(resource.get("userName") or resource["displayName"])


class _Exchange(asyncio.Protocol):
    """One connection: HTTP/1.1 with Content-Length, one request at a time."""

    def __init__(self, resources: Resources, answers_after_s: float) -> None:
        self._answers_after_s = answers_after_s
        self._resources = resources
        self._received = b""
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        lines = head.decode("latin-1").split("\r\n")
        lengths = [line.partition(":")[2] for line in lines if line.lower().startswith("content-length:")]
        length = int(lengths[0]) if lengths else 0
        if len(rest) < length:
            return
        self._received = rest[length:]
        method, target, _ = lines[0].split(" ")
        status, body = self._resources.answer(method, target, rest[:length])
        content = b"" if body is None else json.dumps(body).encode()
        head = (
            f"HTTP/1.1 {status} {_STATUS[status]}\r\nContent-Type: application/scim+json\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        ).encode()
        asyncio.get_running_loop().call_later(self._answers_after_s, self._transport.write, head + content)
