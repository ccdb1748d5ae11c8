"""Sending one request with credentials, through the gate, within its time.

- A write is one HTTP request. It is repeated only after a 401, with other credentials, because a 401 is a refusal.
- Everything, a new token included, ends within `timeout_s` of its start; waiting for the gate is not counted.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import httpx

from shared import tracing
from shared.scim.answers import Answer, AnswerKind
from shared.scim.auth import Authorization, Credentials
from shared.scim.classification import Exchange, RefusalRules, classify
from shared.scim.error_catalogue import ErrorCode
from shared.scim.observed_exchange import exchange_in_span
from shared.scim.transport import HttpRequest

if TYPE_CHECKING:
    from shared.config.profile import Protocol

USER_AGENT = "scim-provisioner/0.1"

_SHORTEST_REPLAY_S = 0.5


class RequestPriority(StrEnum):
    """How a request passes the gate that keeps the vendor's rate limit."""

    FIRST = "first"
    """For somebody who loses access: before everything else."""
    ASKED = "asked"
    """For a person who waits for the answer: before the backlog, behind who loses access."""
    NORMAL = "normal"
    """In turn."""


Departure = Callable[[], Awaitable[None]]
"""Waits for the slot of one request. It is called when the connection stands and the first byte is next, so that
neither a handshake nor other work comes between slot and request. What it raises passes through the client untouched,
and nothing was sent."""

Gate = Callable[[RequestPriority], Awaitable[Departure | None]]
"""Finds a slot for one request and returns shortly before it begins. What it raises passes through untouched."""

Turn = RequestPriority | Departure
"""How a request finds its slot: through the gate, or in the one that the caller holds already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request to the SCIM service before credentials are added."""

    method: str
    url: str
    body: Mapping[str, Any] | None = None
    etag: str | None = None
    names_resource: bool = False
    """True: the URL ends with a resource's id."""
    resource_type: str = ""
    """What it is about: user or group."""
    asked: str = ""
    """The value in the URL's filter, kept out of texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What a call led to: the answer, and whether the SCIM service itself wrote it."""

    answer: Answer
    exchange: Exchange | None = None
    """None: nothing was sent to the SCIM service."""


class Sender:
    """Sends the calls of one application."""

    def __init__(
        self,
        protocol: Protocol,
        *,
        application: str,
        credentials: Credentials,
        http: httpx.AsyncClient,
        gate: Gate | None,
        timeout_s: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._protocol = protocol
        self._application = application
        self._rules = _rules_of(protocol)
        self._credentials = credentials
        self._http = http
        self._gate = gate
        self._timeout_s = timeout_s
        self._now = now
        self._monotonic = monotonic

    async def ready(self) -> Answer:
        """Fetches credentials where there are none yet; an answer that is not ok says why there are none."""
        authorization = await self._credentials.authorize(timeout_s=self._timeout_s)
        return authorization if isinstance(authorization, Answer) else Answer(kind=AnswerKind.OK)

    async def send(self, call: Call, *, priority: Turn) -> Response:
        """Sends with credentials, and again with others after a 401, until there are none left to try."""
        encoded = None if call.body is None else _encoded(call.body)
        refused: tuple[Authorization, ...] = ()
        received: Exchange | None = None
        remaining = self._timeout_s
        while True:
            started = self._monotonic()
            authorization = await self._credentials.authorize(refused, timeout_s=remaining)
            remaining -= self._monotonic() - started
            if isinstance(authorization, Answer):
                return Response(answer=authorization)
            if authorization is None:
                return _no_credentials() if received is None else self._understood(received, call, refused)
            if received is not None and remaining < _SHORTEST_REPLAY_S:
                return _late_credentials()
            departs = await self._pass_gate(priority if received is None else after_a_slot(priority))
            started = self._monotonic()
            request = self._request(call, encoded, authorization)
            received = await exchange_in_span(
                tracing.SpanName.SCIM_REQUEST,
                self._http,
                request,
                application=self._application,
                timeout_s=max(remaining, 0.001),
                departs=departs,
                monotonic=self._monotonic,
                resource_type=call.resource_type,
                retry=len(refused),
            )
            remaining -= self._monotonic() - started
            refused = (*refused, authorization)
            if received.status != 401:
                return self._understood(received, call, refused)

    async def _pass_gate(self, turn: Turn) -> Departure | None:
        if not isinstance(turn, RequestPriority):
            return turn
        return None if self._gate is None else await self._gate(turn)

    def _request(self, call: Call, encoded: bytes | None, authorization: Authorization) -> HttpRequest:
        headers = {"accept": self._protocol.accept, "user-agent": USER_AGENT, **authorization.headers}
        if encoded is not None:
            headers["content-type"] = self._protocol.content_type
        if call.etag is not None and call.etag.isascii() and call.etag.isprintable():
            headers["if-match"] = _entity_tag(call.etag)
        return HttpRequest(
            method=call.method, url=call.url, headers=headers, body=encoded, names_resource=call.names_resource
        )

    def _understood(self, received: Exchange, call: Call, used: Sequence[Authorization]) -> Response:
        values: set[str] = set()
        if received.status is None or received.status >= 300 or b"2.0:Error" in received.body[:2000]:
            values = {call.asked, *_texts_in(call.body)} | {text for entry in used for text in entry.secrets}
        answer = classify(received, now=self._now(), rules=self._rules, sent_values=values - {""})
        return Response(answer=answer, exchange=received)


def after_a_slot(turn: Turn) -> RequestPriority:
    """Answers with the priority of a further request of the same call: a slot that was held is good for one."""
    return turn if isinstance(turn, RequestPriority) else RequestPriority.FIRST


def _rules_of(protocol: Protocol) -> RefusalRules:
    return RefusalRules(
        conflict_statuses=frozenset(protocol.conflict_statuses),
        conflict_codes=frozenset(protocol.conflict_codes),
        throttled_statuses=frozenset(protocol.throttled_statuses),
        version_mismatch_status=protocol.version_mismatch_status,
        version_mismatch_code=protocol.version_mismatch_code,
    )


def _entity_tag(version: str) -> str:
    """A version as an entity tag: some servers write `meta.version` without the quotes their ETag header has."""
    return version if version.startswith(('"', 'W/"')) or version == "*" else f'"{version}"'


def _no_credentials() -> Response:
    detail = "there are no credentials to send"
    return Response(answer=Answer(kind=AnswerKind.UNAUTHORIZED, error_code=ErrorCode.UNAUTHORIZED, detail=detail))


def _late_credentials() -> Response:
    """The 401 was a refusal and new credentials are there: the change may simply come again."""
    detail = "new credentials came too late for this request"
    return Response(answer=Answer(kind=AnswerKind.THROTTLED, error_code=ErrorCode.TIMEOUT, detail=detail))


def _encoded(body: Mapping[str, Any]) -> bytes:
    """JSON as UTF-8; a lone surrogate, which UTF-8 cannot hold, goes as its escape."""
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except UnicodeEncodeError:
        return json.dumps(body, separators=(",", ":"), allow_nan=False).encode()


def _texts_in(value: Any) -> set[str]:
    """Every text and number in a body, to keep them out of what is logged; names and schema URNs stay."""
    found: set[str] = set()
    pending = [value]
    while pending:
        entry = pending.pop()
        if isinstance(entry, Mapping):
            pending.extend(inner for name, inner in entry.items() if name not in {"schemas", "op", "path"})
        elif isinstance(entry, (list, tuple)):
            pending.extend(entry)
        elif isinstance(entry, str):
            found.add(entry)
        elif isinstance(entry, (int, float)) and not isinstance(entry, bool):
            found.add(str(entry))
    return found
