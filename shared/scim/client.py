"""The SCIM requests of one application.

What a vendor returns is not believed: a hit counts when it carries the value asked for, a list is read by its rows, a
404 that no SCIM service wrote is checked against the collection before it is taken for an absent account.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx

from shared.scim.addresses import Addresses, ResourceType
from shared.scim.answers import Answer, AnswerKind
from shared.scim.answers import resource_id as id_of
from shared.scim.auth import Credentials
from shared.scim.classification import is_scim_error
from shared.scim.error_catalogue import ErrorCode
from shared.scim.filters import ValuePathForm, equality_filter, matches
from shared.scim.listing import ListPosition, Page, is_list_response, new_rows, position_after, rows_of, total_of
from shared.scim.sending import Call, Departure, Gate, RequestPriority, Response, Sender, Turn, after_a_slot

if TYPE_CHECKING:
    from shared.config.applications import Application

__all__ = ["Departure", "Gate", "Lookup", "RequestPriority", "ResourceType", "ScimClient"]

PATCH_URN = "urn:ietf:params:scim:api:messages:2.0:PatchOp"

_PAGES_PER_LOOKUP = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """What was found under a value. `hits` means something only when `answer` is ok."""

    answer: Answer
    hits: tuple[dict[str, Any], ...] = ()
    """Resources that really carry the value, each with its `id` as text; more than one is for a person to solve."""
    filter_ignored: bool = False
    """True: the vendor returned others too, so matching by list is the better setting."""


class ScimClient:
    """Speaks SCIM with one application's vendor. Expected failures are answers, never exceptions."""

    def __init__(
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
        self._protocol = application.profile.protocol
        self._addresses = Addresses(application)
        self._sender = Sender(
            self._protocol,
            application=application.name,
            credentials=credentials,
            http=http,
            gate=gate,
            timeout_s=timeout_s,
            now=now,
            monotonic=monotonic,
        )
        self._new_id = new_id

    async def ready(self) -> Answer:
        """Fetches credentials if there are none, so that a write that follows does not wait for a token."""
        return await self._sender.ready()

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
            url = self._addresses.page(resource_type, position, filter_text=text, count=None)
            answer = await self._get(resource_type, url, asked=str(value), priority=priority)
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
        self,
        resource_type: ResourceType,
        resource_id: str,
        *,
        with_members: bool = False,
        priority: RequestPriority = RequestPriority.NORMAL,
    ) -> Answer:
        """Reads one resource. `not_found` is certain: the SCIM service said so, or its collection answers.

        A group comes without its members unless these are asked for.
        """
        url = self._addresses.resource(resource_type, resource_id, to_read=True, with_members=with_members)
        if url is None:
            return _unusable_id()
        response = await self._sender.send(
            Call(method="GET", url=url, names_resource=True, resource_type=resource_type), priority=priority
        )
        answer = response.answer
        if answer.kind is AnswerKind.NOT_FOUND and not _is_by_scim(response):
            collection = await self._probe(resource_type, priority=after_a_slot(priority))
            return answer if collection.ok else collection
        if answer.ok and answer.id is not None and answer.id.casefold() != resource_id.casefold():
            return _incompatible(answer, "another account than the one asked for came back")
        return answer

    async def create(
        self,
        resource_type: ResourceType,
        body: Mapping[str, Any],
        *,
        priority: Turn = RequestPriority.NORMAL,
    ) -> Answer:
        """Creates a resource. Ok with `id` None: it exists, and must be looked up."""
        call = Call(
            method="POST", url=self._addresses.collection(resource_type), body=body, resource_type=resource_type
        )
        answer = (await self._sender.send(call, priority=priority)).answer
        if self._protocol.created_without_id == "lookup":
            return replace(answer, id=id_of(answer.resource))
        return answer

    async def patch(
        self,
        resource_type: ResourceType,
        resource_id: str,
        operations: Sequence[Mapping[str, Any]],
        *,
        etag: str | None = None,
        priority: Turn = RequestPriority.NORMAL,
    ) -> Answer:
        """Changes a resource. Without operations nothing is sent, because some servers refuse an empty PATCH."""
        if not operations:
            return Answer(kind=AnswerKind.OK, id=resource_id)
        body = {"schemas": [PATCH_URN], "Operations": list(operations)}
        call = Call(method="PATCH", url="", body=body, etag=etag)
        return (await self._write(resource_type, resource_id, call, priority=priority)).answer

    async def replace(
        self,
        resource_type: ResourceType,
        resource_id: str,
        body: Mapping[str, Any],
        *,
        etag: str | None = None,
        priority: Turn = RequestPriority.NORMAL,
    ) -> Answer:
        """Replaces a resource (PUT), for vendors without PATCH."""
        call = Call(method="PUT", url="", body=body, etag=etag)
        return (await self._write(resource_type, resource_id, call, priority=priority)).answer

    async def delete(
        self,
        resource_type: ResourceType,
        resource_id: str,
        *,
        etag: str | None = None,
        priority: Turn = RequestPriority.NORMAL,
    ) -> Answer:
        """Deletes a resource. Ok also when it was gone already, which a 404 from anything but SCIM does not prove."""
        call = Call(method="DELETE", url="", etag=etag)
        response = await self._write(resource_type, resource_id, call, priority=priority)
        answer = response.answer
        if answer.kind is not AnswerKind.NOT_FOUND:
            return answer
        if not _is_by_scim(response):
            there = await self.read(resource_type, resource_id, priority=after_a_slot(priority))
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
        if self._addresses.profile_of(resource_type).list_needs_filter:
            detail = "this vendor lists nothing without a filter; match by: filter"
            return Page(
                answer=Answer(kind=AnswerKind.REJECTED, error_code=ErrorCode.SERVICE_INCOMPATIBLE, detail=detail)
            )
        position = position or ListPosition()
        filter_text = self._protocol.inactive_filter if position.inactive else None
        url = self._addresses.page(resource_type, position, filter_text=filter_text, count=count)
        answer = await self._get(resource_type, url, priority=priority)
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
        matching = self._addresses.profile_of(resource_type).matching
        by_filter = next((match.target for match in matching if match.by == "filter"), None)
        quoted = self._protocol.quoted_filter_values
        text = None if by_filter is None else equality_filter(by_filter, self._new_id(), quoted=quoted)
        url = self._addresses.page(resource_type, ListPosition(), filter_text=text, count=1)
        answer = await self._get(resource_type, url, priority=priority)
        if answer.ok and not is_list_response(answer.resource):
            return _incompatible(answer, "the address answers, but not with a SCIM list; check base_url")
        if answer.ok and by_filter is not None and rows_of(answer.resource):
            return replace(answer, resource=None, detail=f"the vendor ignores the filter on {by_filter}")
        return replace(answer, resource=None)

    async def _write(self, resource_type: ResourceType, resource_id: str, call: Call, *, priority: Turn) -> Response:
        url = self._addresses.resource(resource_type, resource_id)
        if url is None:
            return Response(answer=_unusable_id())
        response = await self._sender.send(
            replace(call, url=url, names_resource=True, resource_type=resource_type), priority=priority
        )
        if not response.answer.ok:
            return response
        return replace(response, answer=replace(response.answer, id=resource_id))

    async def _get(
        self, resource_type: ResourceType, url: str, *, asked: str = "", priority: RequestPriority
    ) -> Answer:
        call = Call(method="GET", url=url, asked=asked, resource_type=resource_type)
        return (await self._sender.send(call, priority=priority)).answer


def _next_of_lookup(
    position: ListPosition, answer: Answer, rows: tuple[dict[str, Any], ...], *, ignored: bool
) -> ListPosition | None:
    """A filter that works ends with the rows announced; one that is ignored is read to the end of the list."""
    total = total_of(answer.resource)
    after = position_after(position, answer.resource, rows)
    if after is None or after.cursor is not None or ignored:
        return after
    return None if not rows or total is None or total <= after.received else after


def _incompatible(answer: Answer, detail: str) -> Answer:
    return Answer(
        kind=AnswerKind.REJECTED, status=answer.status, error_code=ErrorCode.SERVICE_INCOMPATIBLE, detail=detail
    )


def _unusable_id() -> Answer:
    detail = "the account's id at the vendor is empty or consists of dots; drop the link"
    return Answer(kind=AnswerKind.REJECTED, error_code=ErrorCode.INVALID_ANCHOR, detail=detail)


def _is_by_scim(response: Response) -> bool:
    return response.exchange is not None and is_scim_error(response.exchange)
