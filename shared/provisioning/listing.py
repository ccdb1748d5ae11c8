"""Matching where the vendor cannot filter: its accounts are listed once, page by page, into storage.

The listing is only a hint about where to look: a hit is read again and its value compared before anything is decided,
so an old listing can miss an account (then the create answers 409 and the listing is made anew) but never mislead.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from shared.clock import Clock
from shared.config.applications import Application
from shared.provisioning.accounts import ACCOUNTS
from shared.provisioning.applications_state import ApplicationStates
from shared.provisioning.exporting import ClientOf
from shared.scim.answers import Answer, AnswerKind
from shared.scim.client import Lookup, RequestPriority, ResourceType
from shared.scim.filters import matches
from shared.scim.listing import ListPosition
from shared.scim.patching import read_attribute
from shared.storage.durable_writes import DurableWrite
from shared.storage.limiter import RateLimited
from shared.storage.tables import Operation, Tables

LISTING_LIFE = timedelta(hours=24)
LISTING_RETRY_S = 2.0
"""How long the other messages stay away while one of them makes the listing."""

LISTED_PREFIX = "listed:"
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class Listing:
    """A vendor's accounts by matching value, in the rows `listed:<hash of path and value>`."""

    def __init__(self, *, tables: Tables, states: ApplicationStates, client_of: ClientOf, clock: Clock) -> None:
        self._tables = tables
        self._states = states
        self._client_of = client_of
        self._clock = clock
        self._listing: set[tuple[str, ResourceType]] = set()
        self._progress: dict[tuple[str, ResourceType], _Progress] = {}

    async def find(
        self,
        application: Application,
        path: str,
        value: str,
        *,
        resource_type: ResourceType = ResourceType.USER,
        priority: RequestPriority,
        newer_than: datetime | None = None,
    ) -> Lookup:
        """Look a value up in the listing; each hit is read and verified.

        The listing is made first when there is none, or none that was begun after `newer_than`.
        """
        state = await self._states.read(application.name)
        oldest = max(self._clock.now() - LISTING_LIFE, newer_than or _LONG_AGO)
        listed_at = state.listed_at if resource_type is ResourceType.USER else state.groups_listed_at
        if listed_at is None or listed_at < oldest:
            answer = await self.make(application, resource_type=resource_type, priority=priority)
            if not answer.ok:
                return Lookup(answer=answer)
        row = await self._tables.read(ACCOUNTS, application.name, _key(resource_type, path, value))
        ids = str(row.values.get("ids", "")).split("\n") if row is not None else []
        hits = []
        for target_id in filter(None, ids):
            answer = await self._client_of(application).read(resource_type, target_id, priority=priority)
            if answer.kind is AnswerKind.NOT_FOUND:
                continue
            if not answer.ok:
                return Lookup(answer=answer)
            if answer.resource is not None and matches(answer.resource, path, value):
                hits.append({**answer.resource, "id": target_id})
        return Lookup(answer=Answer(kind=AnswerKind.OK), hits=tuple(hits))

    async def make(
        self,
        application: Application,
        *,
        resource_type: ResourceType = ResourceType.USER,
        priority: RequestPriority,
    ) -> Answer:
        """List all accounts of one kind at the vendor into storage. One at a time per process; idempotent.

        Raises RateLimited while another message is at it: that is our own turn to wait, nothing the vendor asked for,
        so it must not block the vendor's limiter, which the listing itself needs.
        """
        what = (application.name, resource_type)
        if what in self._listing:
            raise RateLimited(LISTING_RETRY_S)
        self._listing.add(what)
        try:
            return await self._make(application, resource_type, priority=priority)
        finally:
            self._listing.discard(what)

    async def _make(
        self, application: Application, resource_type: ResourceType, *, priority: RequestPriority
    ) -> Answer:
        """Read on where the last try ended: a long list at a low rate takes more than one message's time."""
        what = (application.name, resource_type)
        matchings = application.resource(resource_type).matching
        paths = [matching.target for matching in matchings if matching.by != "none"]
        progress = self._progress.setdefault(what, _Progress(started_at=self._clock.now()))
        while progress.position is not None:
            page = await self._client_of(application).list_page(
                resource_type, position=progress.position, priority=priority
            )
            if not page.answer.ok:
                return page.answer
            for resource in page.resources:
                for path in paths:
                    value = read_attribute(resource, path)
                    if isinstance(value, str) and value and resource.get("id"):
                        progress.found.setdefault(_key(resource_type, path, value), []).append(str(resource["id"]))
            progress.position = page.next
        operations = [
            Operation.replace(key, {"ids": "\n".join(dict.fromkeys(ids))}) for key, ids in progress.found.items()
        ]
        await self._tables.commit_all(DurableWrite.LISTING, ACCOUNTS, application.name, operations)
        groups = resource_type is ResourceType.GROUP
        await self._states.note_listed(application.name, progress.started_at, groups=groups)
        del self._progress[what]
        return Answer(kind=AnswerKind.OK)


@dataclass(slots=True)
class _Progress:
    """How far a listing has come."""

    started_at: datetime
    position: ListPosition | None = field(default_factory=ListPosition)
    found: dict[str, list[str]] = field(default_factory=dict)


def _key(resource_type: ResourceType, path: str, value: str) -> str:
    where = path.casefold() if resource_type is ResourceType.USER else f"{resource_type}\n{path.casefold()}"
    digest = hashlib.sha256(f"{where}\n{value.casefold()}".encode("utf-8", "surrogatepass")).hexdigest()
    return f"{LISTED_PREFIX}{digest[:40]}"
