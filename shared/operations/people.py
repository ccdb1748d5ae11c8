"""One person, or group, across all vendors: found by whatever is known of them, and told as one story."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.clock import Clock
from shared.config.applications import Applications
from shared.directory.directory_search import DirectoryObject, DirectorySearch, as_object_id, shown_properties
from shared.directory.graph import GraphError
from shared.directory.mirror import GroupFacts, Mirror, Presence, UserFacts
from shared.operations.account_story import AccountStory, tell_account_of
from shared.operations.cursors import is_plain
from shared.operations.log_lines import LogFilter, LogLine, read_log_page
from shared.provisioning.account_rows import AccountRows
from shared.provisioning.accounts import ResourceKind
from shared.storage.tables import Tables, encode_key, gather_all

GRAPH = "Microsoft Graph"
_LONGEST_TERM = 256
_LONGEST_KEY = 900
_MOST = 25
_PARALLEL = 16


class TermRefused(ValueError):
    """Nobody can be found by this text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonFound:
    """Somebody, or a group, whom a term may mean."""

    kind: str
    """`user` or `group`."""
    id: str
    """The directory's object id: what a person's story is asked for with."""
    presence: str
    """`active`, `disabled`, `soft_deleted`, `hard_deleted`; `unknown`: the sync has not seen them yet."""
    properties: Mapping[str, Any]
    """What identifies them: user principal name, names, mail, and the like. As Graph has it now; where Graph was not
    asked or lists them no more, as the mirror has it."""
    found_by: tuple[str, ...]
    """`directory id`, `user principal name`, `name`, or `id at <application>`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceUnasked:
    """A source that could not be asked: whom only it knows is not in the answer."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleFound:
    """Whom a term may mean, exact matches first."""

    people: tuple[PersonFound, ...]
    unasked: tuple[SourceUnasked, ...] = ()
    is_cut: bool = False
    """More begin with the term than are shown: type more of the name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonStory:
    """Everything about one person, or group, at all vendors. Of the directory only what identifies them."""

    kind: str
    id: str
    presence: str
    properties: Mapping[str, Any]
    """As the mirror has it; a tombstone keeps the last it saw."""
    accounts: tuple[AccountStory, ...]
    """One per application, disabled ones included; its `log` holds those lines of the timeline that are its own."""
    timeline: tuple[LogLine, ...]
    """The newest lines of all applications, newest first."""
    timeline_next: str | None
    """Cursor for older ones, for the log filtered by this id; None: these are all."""

    @property
    def is_known(self) -> bool:
        """Whether the mirror or any application has ever seen them."""
        return self.presence != Presence.UNKNOWN or any(account.row for account in self.accounts)


@dataclass(slots=True)
class _Found:
    kind: str
    id: str
    properties: Mapping[str, Any] = field(default_factory=dict)
    by: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class People:
    """Finds people, and tells their stories."""

    applications: Applications
    rows: AccountRows
    mirror: Mirror
    tables: Tables
    directory: DirectorySearch
    clock: Clock

    async def find(self, term: str) -> PeopleFound:
        """Whom a text may mean: an object id, a user principal name, the beginning of a name, or a vendor's id.

        Costs at most three requests to Graph, and to storage two, two per application, and one for each who is found.
        Where Graph does not answer the rest still does. Raises TermRefused, StorageUnavailable.
        """
        term = require_term(term)
        found: dict[str, _Found] = {}
        is_cut, unasked = False, []
        for kind, source_id, app in await self._owners(term):
            _note(found, kind, source_id, by=f"id at {app}")
        try:
            for each in await self.directory.find_by_key(term):
                _note_object(found, each, by="directory id" if _same(each.id, term) else "user principal name")
            beginning = await self.directory.find_by_beginning(term, most=_MOST)
            is_cut = any(sum(each.kind == kind for each in beginning) == _MOST for kind in ResourceKind)
            for each in beginning:
                _note_object(found, each, by="name")
        except GraphError as error:
            unasked.append(SourceUnasked(source=GRAPH, reason=str(error)))
        known = await self._known([(each.kind, each.id) for each in found.values()])
        object_id = as_object_id(term)
        for kind, facts in await self._known_by_id(object_id):
            _note(found, kind, object_id, by="directory id")
            known[object_id] = facts
        people = [_describe(each, known[each.id]) for each in found.values()]
        people.sort(key=lambda each: each.found_by == ("name",))
        return PeopleFound(people=tuple(people), unasked=tuple(unasked), is_cut=is_cut)

    async def tell(self, source_id: str, *, lines: int = 50) -> PersonStory:
        """The story of the person or group with this object id; one nobody knows has an empty one (`is_known`).

        Costs one request for the person, two for a group, and three per application. Microsoft Graph is not asked.
        Raises TermRefused, StorageUnavailable.
        """
        source_id = as_object_id(require_term(source_id))
        kind, facts = await self._pick_kind(source_id)
        log = await read_log_page(self.tables, list(self.applications), LogFilter(source_id=source_id), limit=lines)
        now = self.clock.now()
        reads = [
            tell_account_of(
                application,
                (kind, source_id),
                facts=facts,
                log=[line for line in log.items if line.application == application.name],
                rows=self.rows,
                mirror=self.mirror,
                now=now,
            )
            for application in self.applications.values()
        ]
        return PersonStory(
            kind=kind.value,
            id=source_id,
            presence=facts.presence.value,
            properties=_properties(facts),
            accounts=tuple(await _gather_some(reads)),
            timeline=log.items,
            timeline_next=log.next,
        )

    async def kind_of(self, source_id: str) -> ResourceKind:
        """Whether an object id is a person's or a group's; a person's, when nobody knows. Raises StorageUnavailable."""
        return (await self._pick_kind(source_id))[0]

    async def _owners(self, term: str) -> list[tuple[str, str, str]]:
        """Kind, directory id and application of whoever has this id at a vendor."""
        asked = [(app, kind) for app in self.applications for kind in ResourceKind]
        holders = await _gather_some([self.rows.find_owner(app, kind, term) for app, kind in asked])
        return [
            (kind.value, holder.removeprefix(f"{kind}:"), app)
            for (app, kind), holder in zip(asked, holders, strict=True)
            if holder
        ]

    async def _known_by_id(self, term: str) -> list[tuple[str, UserFacts | GroupFacts]]:
        """What the mirror knows under the term as an object id, also of who was deleted."""
        facts = await _gather_some([self.mirror.read_facts(kind, term) for kind in ResourceKind])
        return [
            (kind.value, each)
            for kind, each in zip(ResourceKind, facts, strict=True)
            if each.presence is not Presence.UNKNOWN
        ]

    async def _known(self, sources: Sequence[tuple[str, str]]) -> dict[str, UserFacts | GroupFacts]:
        facts = await _gather_some([self.mirror.read_facts(kind, source_id) for kind, source_id in sources])
        return {source_id: each for (_, source_id), each in zip(sources, facts, strict=True)}

    async def _pick_kind(self, source_id: str) -> tuple[ResourceKind, UserFacts | GroupFacts]:
        """Whether an id is a group's: the mirror says so, or else a row. Ids are unique in a directory."""
        user = await self.mirror.read_user_facts(source_id)
        if user.presence is not Presence.UNKNOWN:
            return ResourceKind.USER, user
        group = await self.mirror.read_group_facts(source_id)
        if group.presence is not Presence.UNKNOWN:
            return ResourceKind.GROUP, group
        accounts = await _gather_some([self.rows.read(app, ResourceKind.GROUP, source_id) for app in self.applications])
        return (ResourceKind.GROUP, group) if any(each.etag for each in accounts) else (ResourceKind.USER, user)


def require_term(term: str) -> str:
    """What is searched for, trimmed. Raises TermRefused for what can be nobody's id or name."""
    term = term.strip()
    if not term or len(term) > _LONGEST_TERM or not is_plain(term) or len(encode_key(term).encode()) > _LONGEST_KEY:
        raise TermRefused(f"an id or a name of 1 to {_LONGEST_TERM} characters was expected")
    return term


def _note(found: dict[str, _Found], kind: str, source_id: str, *, by: str) -> _Found:
    each = found.setdefault(source_id, _Found(kind, source_id))
    if by not in each.by:
        each.by.append(by)
    return each


def _note_object(found: dict[str, _Found], shown: DirectoryObject, *, by: str) -> None:
    each = _note(found, shown.kind, shown.id, by=by)
    each.properties = shown.properties


def _describe(found: _Found, facts: UserFacts | GroupFacts) -> PersonFound:
    return PersonFound(
        kind=found.kind,
        id=found.id,
        presence=facts.presence.value,
        properties=found.properties or _properties(facts),
        found_by=tuple(found.by),
    )


def _properties(facts: UserFacts | GroupFacts) -> dict[str, Any]:
    attributes = facts.attributes if isinstance(facts, GroupFacts) else facts.user.attributes if facts.user else {}
    return shown_properties(attributes)


def _same(source_id: str, term: str) -> bool:
    return source_id.casefold() == term.casefold()


async def _gather_some(reads: Sequence[Awaitable[Any]]) -> list[Any]:
    """Await all, a few at a time."""
    gate = asyncio.Semaphore(_PARALLEL)

    async def one(read: Awaitable[Any]) -> Any:
        async with gate:
            return await read

    return await gather_all([one(read) for read in reads])
