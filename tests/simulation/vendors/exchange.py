"""One request at a simulated vendor and its answer, as plain values that rules and faults can look at and change."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

if TYPE_CHECKING:
    from tests.simulation.vendors.faults import Hold
    from tests.simulation.vendors.tokens import Grant
    from tests.simulation.vendors.writes import Touch

ERROR_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:Error"
SCIM_JSON = "application/scim+json"


class Delivery(StrEnum):
    """What happens on the wire once an answer is known."""

    send = "send"
    """The answer is sent."""
    drop = "drop"
    """The connection is closed without a byte."""
    reset = "reset"
    """The connection is reset (RST) without a byte."""


@dataclass(slots=True, kw_only=True)
class Answer:
    """What goes back to the client. `raw` wins over `body`; `hold` delays the delivery."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    delivery: Delivery = Delivery.send
    hold: Hold | None = None

    def payload(self) -> bytes:
        """Answers with the bytes of the body, empty when there is none."""
        if self.raw is not None:
            return self.raw
        return b"" if self.body is None else json.dumps(self.body).encode()


class Refusal(Exception):
    """A rule's refusal: it ends the request with a SCIM error (RFC 7644 section 3.12)."""

    def __init__(self, status: int, scim_type: str, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.scim_type = scim_type
        self.detail = detail
        self.headers = dict(headers or {})

    def answer(self) -> Answer:
        """Answers with the refusal in SCIM's error shape, its status as a string."""
        body = {"schemas": [ERROR_SCHEMA], "status": str(self.status), "detail": self.detail}
        if self.scim_type:
            body["scimType"] = self.scim_type
        return Answer(status=self.status, body=body, headers={"Content-Type": SCIM_JSON, **self.headers})


def empty_list() -> Answer:
    """Answers with a list of nothing."""
    schema = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
    body = {"schemas": [schema], "totalResults": 0, "startIndex": 1, "itemsPerPage": 0, "Resources": []}
    return Answer(status=200, body=body, headers={"Content-Type": SCIM_JSON})


@dataclass(slots=True, kw_only=True)
class Request:
    """What arrived on the wire. `target` is the raw request target: path still percent-encoded, with its query."""

    method: str
    target: str
    headers: Iterable[tuple[str, str]]
    body: bytes = b""
    host: str = ""

    @property
    def raw_path(self) -> str:
        """Answers with the path, still percent-encoded."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        """Answers with the query parameters; of a repeated one the last wins."""
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    def header(self, name: str) -> str:
        """Answers with a header's value whatever the case of its name, empty when absent."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")


class DuplicateKeys(dict[str, Any]):
    """A JSON object that came with the same key more than once; `repeated` names those keys."""

    repeated: tuple[str, ...] = ()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name.casefold() for name, _ in pairs]
    if len(set(names)) == len(names):
        return dict(pairs)
    result = DuplicateKeys(pairs)
    result.repeated = tuple(sorted({name for name in names if names.count(name) > 1}))
    return result


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One SCIM request on its way through the rules. Rules may replace `query` and `payload`."""

    request: Request
    path: str
    """Path below the base URL, percent-encoded, starting with a slash."""
    arrived_at: float
    query: dict[str, str] = field(default_factory=dict)
    payload: Any = None
    endpoint: str = ""
    """`Users`, `Groups`, `Schemas`, ... in RFC spelling; as sent when unknown."""
    resource_id: str | None = None
    touches: tuple[Touch, ...] = ()
    grant: Grant | None = None
    unversioned: bool = False
    """True when the request came in under an alias of the base path."""
    before: dict[str, Any] | None = None
    """The stored resource as it was when the core was called."""
    asked_for: str = ""
    """The value a filter asked for that the vendor ignored."""

    @property
    def method(self) -> str:
        """Answers with the method in capitals."""
        return self.request.method.upper()

    @property
    def resource_type(self) -> str:
        """Answers with `User`, `Group` or nothing for other endpoints."""
        return {"Users": "User", "Groups": "Group"}.get(self.endpoint, "")

    @property
    def writes(self) -> bool:
        """Answers whether the request changes a user or a group."""
        return bool(self.resource_type) and self.method in {"POST", "PUT", "PATCH", "DELETE"}

    @property
    def is_list(self) -> bool:
        """Answers whether the request lists or filters users or groups."""
        return bool(self.resource_type) and self.method == "GET" and self.resource_id is None

    def read_payload(self) -> None:
        """Reads the JSON body into `payload`. Raises Refusal (400 invalidSyntax) when it is not JSON."""
        if not self.request.body:
            return
        try:
            self.payload = json.loads(self.request.body, object_pairs_hook=_object)
        except ValueError:
            raise Refusal(400, "invalidSyntax", "The body is not valid JSON.") from None


ENDPOINTS = {
    name.casefold(): name
    for name in ("Users", "Groups", "Schemas", "ResourceTypes", "ServiceProviderConfig", "Bulk", "Me")
}


def opened(request: Request, path: str, *, arrived_at: float, unversioned: bool = False) -> Exchange:
    """Answers with the exchange for a request whose path below the base URL is `path`."""
    segments = path.strip("/").split("/") if path.strip("/") else []
    first = segments[0] if segments else ""
    return Exchange(
        request=request,
        path="/" + "/".join(segments),
        arrived_at=arrived_at,
        query=request.query,
        endpoint=ENDPOINTS.get(first.casefold(), first),
        resource_id=unquote("/".join(segments[1:])) if len(segments) > 1 else None,
        unversioned=unversioned,
    )
