"""The SCIM requests of one application, over one HTTP client.

Decisions:
- A write is one HTTP request. It is repeated only after a 401, with other credentials, because a 401 is a refusal.
- Everything a method does, a new token included, ends within `timeout_s` of its start; waiting for the gate is not counted.
- What a vendor returns is not believed: a hit counts when it carries the value asked for, a list is read by its rows, a
  404 that no SCIM service wrote is checked against the collection before it is taken for an absent account.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import httpx

from shared.config.urls import is_loopback
from shared.scim.answers import Answer, AnswerKind
from shared.scim.auth import Authorization, Credentials
from shared.scim.classification import Exchange, RefusalRules, classify, is_scim_error
from shared.scim.error_catalogue import ErrorCode
from shared.scim.filters import ValuePathForm, equality_filter, matches, query_string, search_parameters
from shared.scim.listing import ListPosition, Page, is_list_response, new_rows, position_after, rows_of, total_of
from shared.scim.transport import HttpRequest, exchange

if TYPE_CHECKING:
    from shared.config.applications import Application
    from shared.config.profile import ResourceProfile

PATCH_URN = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
USER_AGENT = "scim-provisioner/0.1"

_PAGES_PER_LOOKUP = 10
_SHORTEST_REPLAY_S = 0.5


class RequestPriority(StrEnum):
    """How a request passes the gate that keeps the vendor's rate limit."""

    RESERVED = "reserved"
    """The caller holds a slot for this request already; it does not wait."""
    FIRST = "first"
    """For somebody who loses access: before everything else."""
    NORMAL = "normal"
    """In turn."""


class ResourceType(StrEnum):
    """What a request is about."""

    USER = "user"
    """A User (RFC 7643 4.1)."""
    GROUP = "group"
    """A Group (RFC 7643 4.2)."""


Gate = Callable[[RequestPriority], Awaitable[None]]
"""Returns when one request may be sent. What it raises passes through the client untouched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """What was found under a value. `hits` means something only when `answer` is ok."""

    answer: Answer
    hits: tuple[dict[str, Any], ...] = ()
    """Resources that really carry the value, each with its `id` as text; more than one is for a person to solve."""
    filter_ignored: bool = False
    """True: the vendor returned others too, so matching by list is the better setting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One request to the SCIM service before credentials are added."""

    method: str
    url: str
    body: Mapping[str, Any] | None = None
    etag: str | None = None
    names_resource: bool = False
    asked: str = ""
    """The value in the URL's filter, kept out of texts."""


class ScimClient:
    """Speaks SCIM with one application's vendor. Expected failures are answers, never exceptions."""

    def __init__(  # noqa: PLR0913 - collaborators, each replaceable in a test
        self,
        application: Application,
        *,
        credentials: Credentials,
        http: httpx.AsyncClient,
        gate: Gate | None = None,
        timeout_s: float = 30.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        address = urlsplit(application.base_url)
        if address.scheme != "https" and not (address.scheme == "http" and is_loopback(address.hostname)):
            raise ValueError("base_url must be https; plain http is for loopback only")
        self._application = application
        self._protocol = application.profile.protocol
        self._base = f"{address.scheme}://{address.netloc}{address.path.rstrip('/')}"
        self._base_query = address.query
        self._credentials = credentials
        self._http = http
        self._gate = gate
        self._timeout_s = timeout_s
        self._now = now
        self._monotonic = monotonic
        self._new_id = new_id
        self._rules = _rules_of(application)

    async def ready(self) -> Answer:
        """Fetches credentials if there are none, so that a write that follows does not wait for a token."""
        authorization = await self._credentials.authorize(timeout_s=self._timeout_s)
        return authorization if isinstance(authorization, Answer) else Answer(kind=AnswerKind.OK)

    async def find(
        self,
        resource_type: ResourceType,
        path: str,
        value: str | bool | int,
        *,
        priority: RequestPriority = RequestPriority.NORMAL,
    ) -> Lookup:
        """Looks up who carries a value. A server that ignores the filter is read for at most ten pages."""
        lookup = await self._find(resource_type, path, value, priority=priority, form=ValuePathForm.SUFFIX)
        if "[" in path and lookup.answer.kind is AnswerKind.REJECTED and lookup.answer.status in {400, 501}:
            return await self._find(resource_type, path, value, priority=priority, form=ValuePathForm.INSIDE)
        return lookup

    async def _find(
        self,
        resource_type: ResourceType,
        path: str,
        value: str | bool | int,
        *,
        priority: RequestPriority,
        form: ValuePathForm,
    ) -> Lookup:
        text = equality_filter(path, value, form=form, quoted=self._protocol.quoted_filter_values)
        hits: dict[str, dict[str, Any]] = {}
        ignored = False
        position: ListPosition | None = ListPosition()
        for _ in range(_PAGES_PER_LOOKUP):
            if position is None:
                break
            call = self._list_call(resource_type, position, filter_text=text, asked=str(value), count=None)
            answer = await self._ask(call, priority=priority)
            if not answer.ok:
                return Lookup(answer=answer)
            if not is_list_response(answer.resource):
                return Lookup(answer=_incompatible(answer, "the look-up was not answered with a list"))
            rows = rows_of(answer.resource)
            found = [row for row in rows if matches(row, path, value)]
            ignored = ignored or len(found) < len(rows)
            if any(not row.get("id") for row in found):
                return Lookup(answer=_incompatible(answer, "an account without an id came back"))
            hits |= {row["id"]: row for row in found}
            position = _next_of_lookup(position, answer, rows, ignored=ignored)
        if position is not None:
            detail = "the vendor ignores the filter and has too many accounts to look through; match by: list"
            return Lookup(answer=_incompatible(answer, detail), filter_ignored=True)
        return Lookup(answer=replace(answer, resource=None), hits=tuple(hits.values()), filter_ignored=ignored)

    async def read(
        self, resource_type: ResourceType, resource_id: str, *, priority: RequestPriority = RequestPriority.NORMAL
    ) -> Answer:
        """Reads one resource. `not_found` is certain: the SCIM service said so, or its collection answers."""
        url = self._resource_url(resource_type, resource_id, query=self._reading_query(resource_type))
        if url is None:
            return _unusable_id()
        call = _Call(method="GET", url=url, names_resource=True)
        received, sent = await self._send(call, priority=priority)
        if isinstance(received, Answer):
            return received
        answer = self._classified(received, call, sent)
        if answer.kind is AnswerKind.NOT_FOUND and not is_scim_error(received):
            collection = await self._probe(resource_type, priority=_after_a_slot(priority))
            return answer if collection.ok else collection
        if answer.ok and answer.id is not None and answer.id.casefold() != resource_id.casefold():
            return _incompatible(answer, "another account than the one asked for came back")
        return answer

    async def create(
        self,
        resource_type: ResourceType,
        body: Mapping[str, Any],
        *,
        priority: RequestPriority = RequestPriority.NORMAL,
    ) -> Answer:
        """Creates a resource. Ok with `id` None: it exists, and must be looked up."""
        call = _Call(method="POST", url=self._collection_url(resource_type), body=body)
        received, sent = await self._send(call, priority=priority)
        if isinstance(received, Answer):
            return received
        if self._protocol.created_without_id == "lookup":
            received = replace(received, headers={**received.headers, "location": ""})
        return self._classified(received, call, sent)

    async def patch(
        self,
        resource_type: ResourceType,
        resource_id: str,
        operations: Sequence[Mapping[str, Any]],
        *,
        etag: str | None = None,
        priority: RequestPriority = RequestPriority.NORMAL,
    ) -> Answer:
        """Changes a resource. Without operations nothing is sent, because some servers refuse an empty PATCH."""
        if not operations:
            return Answer(kind=AnswerKind.OK, id=resource_id)
        body = {"schemas": [PATCH_URN], "Operations": list(operations)}
        return await self._write(resource_type, resource_id, "PATCH", body=body, etag=etag, priority=priority)

    async def replace(
        self,
        resource_type: ResourceType,
        resource_id: str,
        body: Mapping[str, Any],
        *,
        etag: str | None = None,
        priority: RequestPriority = RequestPriority.NORMAL,
    ) -> Answer:
        """Replaces a resource (PUT), for vendors without PATCH."""
        return await self._write(resource_type, resource_id, "PUT", body=body, etag=etag, priority=priority)

    async def delete(
        self,
        resource_type: ResourceType,
        resource_id: str,
        *,
        etag: str | None = None,
        priority: RequestPriority = RequestPriority.NORMAL,
    ) -> Answer:
        """Deletes a resource. Ok also when it was gone already, which a 404 from anything but SCIM does not prove."""
        url = self._resource_url(resource_type, resource_id)
        if url is None:
            return _unusable_id()
        call = _Call(method="DELETE", url=url, etag=etag, names_resource=True)
        received, sent = await self._send(call, priority=priority)
        if isinstance(received, Answer):
            return received
        answer = self._classified(received, call, sent)
        if answer.kind is not AnswerKind.NOT_FOUND:
            return answer
        if not is_scim_error(received):
            there = await self.read(resource_type, resource_id, priority=_after_a_slot(priority))
            if there.kind is not AnswerKind.NOT_FOUND:
                return _incompatible(there, "the vendor does not route DELETE") if there.ok else there
        return Answer(kind=AnswerKind.OK, status=answer.status, id=resource_id)

    async def list_page(
        self,
        resource_type: ResourceType,
        *,
        position: ListPosition | None = None,
        count: int | None = None,
        priority: RequestPriority = RequestPriority.NORMAL,
    ) -> Page:
        """Reads one page of all resources from a position (None: from the start). `Page.next` is None at the end."""
        position = position or ListPosition()
        filter_text = self._protocol.inactive_filter if position.inactive else None
        call = self._list_call(resource_type, position, filter_text=filter_text, asked="", count=count)
        answer = await self._ask(call, priority=priority)
        if answer.ok and not is_list_response(answer.resource):
            answer = _incompatible(answer, "the list was not answered with a list")
        if not answer.ok:
            return Page(answer=answer, next=position)
        rows = rows_of(answer.resource)
        after = position_after(position, answer.resource, rows)
        reads_inactive = self._protocol.list_excludes_inactive and resource_type is ResourceType.USER
        if after is None and reads_inactive and not position.inactive:
            after = ListPosition(inactive=True)
        return Page(answer=replace(answer, resource=None), resources=new_rows(position, rows), next=after)

    async def list_pages(
        self,
        resource_type: ResourceType,
        *,
        count: int | None = None,
        priority: RequestPriority = RequestPriority.NORMAL,
    ) -> AsyncIterator[Page]:
        """Reads all pages in turn. The last page is either complete (`next` None) or not ok."""
        position: ListPosition | None = ListPosition()
        while position is not None:
            page = await self.list_page(resource_type, position=position, count=count, priority=priority)
            yield page
            position = page.next if page.answer.ok else None

    async def test_connection(self, *, priority: RequestPriority = RequestPriority.NORMAL) -> Answer:
        """Asks for a user that does not exist: ok when credentials and address are right. Changes nothing."""
        return await self._probe(ResourceType.USER, priority=priority)

    async def _probe(self, resource_type: ResourceType, *, priority: RequestPriority) -> Answer:
        resource = self._resource(resource_type)
        by_filter = next((match.target for match in resource.matching if match.by == "filter"), None)
        text = None if by_filter is None else equality_filter(by_filter, self._new_id())
        call = self._list_call(resource_type, ListPosition(), filter_text=text, asked="", count=1)
        answer = await self._ask(call, priority=priority)
        if answer.ok and not is_list_response(answer.resource):
            return _incompatible(answer, "the address answers, but not with a SCIM list; check base_url")
        if answer.ok and by_filter is not None and rows_of(answer.resource):
            return replace(answer, resource=None, detail=f"the vendor ignores the filter on {by_filter}")
        return replace(answer, resource=None)

    async def _write(  # noqa: PLR0913 - the parts of one request
        self,
        resource_type: ResourceType,
        resource_id: str,
        method: str,
        *,
        body: Mapping[str, Any],
        etag: str | None,
        priority: RequestPriority,
    ) -> Answer:
        url = self._resource_url(resource_type, resource_id)
        if url is None:
            return _unusable_id()
        call = _Call(method=method, url=url, body=body, etag=etag, names_resource=True)
        answer = await self._ask(call, priority=priority)
        return replace(answer, id=resource_id) if answer.ok else answer

    async def _ask(self, call: _Call, *, priority: RequestPriority) -> Answer:
        received, sent = await self._send(call, priority=priority)
        return received if isinstance(received, Answer) else self._classified(received, call, sent)

    async def _send(
        self, call: _Call, *, priority: RequestPriority
    ) -> tuple[Exchange | Answer, tuple[Authorization, ...]]:
        """Sends with credentials, and once more with others after each 401; an `Answer` says why nothing was sent."""
        encoded = None if call.body is None else _encoded(call.body)
        refused: tuple[Authorization, ...] = ()
        received: Exchange | None = None
        remaining = self._timeout_s
        while True:
            started = self._monotonic()
            authorization = await self._credentials.authorize(refused, timeout_s=remaining)
            if authorization is None and received is not None:
                return received, refused
            if not isinstance(authorization, Authorization):
                return authorization or _no_credentials(), refused
            remaining -= self._monotonic() - started
            if remaining < _SHORTEST_REPLAY_S and received is not None:
                return _late_credentials(), refused
            await self._pass_gate(priority if received is None else _after_a_slot(priority))
            started = self._monotonic()
            request = self._request(call, encoded, authorization)
            received = await exchange(self._http, request, timeout_s=max(remaining, 0.001))
            remaining -= self._monotonic() - started
            refused = (*refused, authorization)
            if received.status != 401:
                return received, refused

    async def _pass_gate(self, priority: RequestPriority) -> None:
        if self._gate is not None and priority is not RequestPriority.RESERVED:
            await self._gate(priority)

    def _request(self, call: _Call, encoded: bytes | None, authorization: Authorization) -> HttpRequest:
        headers = {"accept": self._protocol.accept, "user-agent": USER_AGENT, **authorization.headers}
        if encoded is not None:
            headers["content-type"] = self._protocol.content_type
        if call.etag is not None and call.etag.isascii() and call.etag.isprintable():
            headers["if-match"] = call.etag
        return HttpRequest(
            method=call.method, url=call.url, headers=headers, body=encoded, names_resource=call.names_resource
        )

    def _classified(self, received: Exchange, call: _Call, used: Sequence[Authorization]) -> Answer:
        values: set[str] = set()
        if received.status is None or received.status >= 300 or b"2.0:Error" in received.body[:2000]:
            values = {call.asked, *_texts_in(call.body)} | {text for entry in used for text in entry.secrets}
        return classify(received, now=self._now(), rules=self._rules, sent_values=values - {""})

    def _resource(self, resource_type: ResourceType) -> ResourceProfile:
        if resource_type == ResourceType.USER:
            return self._application.profile.users
        groups = self._application.profile.groups
        if groups is None:
            raise ValueError(f"application {self._application.name} has no groups")
        return groups

    def _collection_url(self, resource_type: ResourceType, query: str = "") -> str:
        endpoint = "/" + self._resource(resource_type).endpoint.strip("/")
        if self._protocol.path_case == "lower":
            endpoint = endpoint.lower()
        return f"{self._base}{endpoint}{query or self._only_base_query}"

    def _resource_url(self, resource_type: ResourceType, resource_id: str, query: str = "") -> str | None:
        """The id is one path segment, whatever it holds; None for ids that no URL can carry as a segment."""
        if not resource_id.strip(".") or _has_lone_surrogate(resource_id):
            return None
        collection = self._collection_url(resource_type).partition("?")[0]
        return f"{collection}/{quote(resource_id, safe='')}{query or self._only_base_query}"

    @property
    def _only_base_query(self) -> str:
        return f"?{self._base_query}" if self._base_query else ""

    def _excluded(self, resource_type: ResourceType) -> tuple[str, ...]:
        without = self._resource(resource_type).lookup_without
        return without or (("members",) if resource_type == ResourceType.GROUP else ())

    def _reading_query(self, resource_type: ResourceType) -> str:
        parameters = search_parameters(None, excluded=self._excluded(resource_type), start_index=None)
        return query_string(parameters, base_query=self._base_query)

    def _list_call(
        self,
        resource_type: ResourceType,
        position: ListPosition,
        *,
        filter_text: str | None,
        asked: str,
        count: int | None,
    ) -> _Call:
        size = count or self._protocol.page_size
        size = min(size, self._protocol.max_page_size or size)
        start = None if position.cursor is not None else position.start
        parameters = search_parameters(
            filter_text, excluded=self._excluded(resource_type), start_index=start, count=size
        )
        parameters["cursor"] = position.cursor
        query = query_string(parameters, base_query=self._base_query)
        return _Call(method="GET", url=self._collection_url(resource_type, query), asked=asked)


def _rules_of(application: Application) -> RefusalRules:
    protocol = application.profile.protocol
    return RefusalRules(
        conflict_statuses=frozenset(protocol.conflict_statuses),
        conflict_codes=frozenset(protocol.conflict_codes),
        throttled_statuses=frozenset(protocol.throttled_statuses),
        version_mismatch_status=protocol.version_mismatch_status,
        version_mismatch_code=protocol.version_mismatch_code,
    )


def _next_of_lookup(
    position: ListPosition, answer: Answer, rows: tuple[dict[str, Any], ...], *, ignored: bool
) -> ListPosition | None:
    """A filter that works ends with the rows announced; one that is ignored is read to the end of the list."""
    total = total_of(answer.resource)
    after = position_after(position, answer.resource, rows)
    if after is None or after.cursor is not None or ignored:
        return after
    return None if not rows or total is None or total <= after.received else after


def _after_a_slot(priority: RequestPriority) -> RequestPriority:
    """A reserved slot is good for one request; another one of the same call has to ask."""
    return RequestPriority.FIRST if priority is RequestPriority.RESERVED else priority


def _incompatible(answer: Answer, detail: str) -> Answer:
    return Answer(
        kind=AnswerKind.REJECTED, status=answer.status, error_code=ErrorCode.SERVICE_INCOMPATIBLE, detail=detail
    )


def _unusable_id() -> Answer:
    detail = "the account's id at the vendor is empty or consists of dots; drop the link"
    return Answer(kind=AnswerKind.REJECTED, error_code=ErrorCode.INVALID_ANCHOR, detail=detail)


def _no_credentials() -> Answer:
    return Answer(
        kind=AnswerKind.UNAUTHORIZED, error_code=ErrorCode.UNAUTHORIZED, detail="there are no credentials to send"
    )


def _late_credentials() -> Answer:
    """The 401 was a refusal and new credentials are there: the change may simply come again."""
    return Answer(
        kind=AnswerKind.THROTTLED, error_code=ErrorCode.TIMEOUT, detail="new credentials came too late for this request"
    )


def _encoded(body: Mapping[str, Any]) -> bytes:
    """JSON as UTF-8; a lone surrogate, which UTF-8 cannot hold, goes as its escape."""
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except UnicodeEncodeError:
        return json.dumps(body, separators=(",", ":"), allow_nan=False).encode()


def _has_lone_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


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
