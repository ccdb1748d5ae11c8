"""Our copy of the directory: what the consumer decides from.

A row that is missing means "unknown", never "gone": only an explicit event makes a tombstone, and a tombstone keeps the
last attributes (protocol T8). Every row carries the number of the page attempt that wrote it; a row is unchanged only
when its content is equal *and* that number was checkpointed, else a crash between mirror and raise would hide a change
(protocol H10b).

Partitions of the table `directory`:

    user-<hex digit>    <id>:user             attributes, tombstone, round
                        <id>:app:<app>        direct assignment with its roles
                        <id>:group:<group>    membership of a tracked group
    group               <id>                  attributes, tombstone, whether its members are tracked
    members-<group>     <user id>             the same membership, seen from the group
    assigned-<app>      group:<id>            the groups assigned to an application
    assigned-<app>-<c>  user:<id>             the users assigned to it whose ids begin with <c>

All facts about one user lie side by side, so a consumer reads them with one request.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby
from typing import Any

from shared.directory.delta import Removal
from shared.rules.expressions import AppRole
from shared.storage.tables import Row, Tables, split_text

DIRECTORY = "directory"
_FACTS_PER_PAGE = 500


class Presence(StrEnum):
    """Whether the directory still has the object."""

    UNKNOWN = "unknown"
    """No row: never seen, or not yet. Never a reason to take anything away."""
    ACTIVE = "active"
    DISABLED = "disabled"
    """`accountEnabled` is false."""
    SOFT_DELETED = "soft_deleted"
    """Restorable."""
    HARD_DELETED = "hard_deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorUser:
    """One user as the mirror holds it."""

    id: str
    presence: Presence
    attributes: Mapping[str, Any]
    content: str
    number: str
    round: str
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A principal's assignment to an application, or its trace."""

    roles: tuple[AppRole, ...]
    gone: bool
    content: str = ""
    number: str = ""
    etag: str = ""
    absent_read: str = ""
    """Id of the first complete list that lacked the principal; empty while it is listed."""
    absent_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserFacts:
    """Everything the mirror knows about one user."""

    user: MirrorUser | None
    assignments: Mapping[str, Assignment] = field(default_factory=dict)
    """Application -> direct assignment, traces included."""
    groups: Mapping[str, bool] = field(default_factory=dict)
    """Tracked group -> whether the user is a member now (False: was once)."""

    @property
    def presence(self) -> Presence:
        """The user's presence; a missing row is unknown."""
        return self.user.presence if self.user else Presence.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFacts:
    """Everything the mirror knows about one group, its members aside."""

    id: str
    presence: Presence = Presence.UNKNOWN
    attributes: Mapping[str, Any] = field(default_factory=dict)


def user_partition(user_id: str) -> str:
    """Spread users over 16 partitions, whatever the shape of their ids."""
    return f"user-{hashlib.sha256(user_id.encode()).hexdigest()[0]}"


def members_partition(group_id: str) -> str:
    """The partition that lists a group's members."""
    return f"members-{group_id}"


def assigned_partition(app: str, key: str = "group:") -> str:
    """The partition that lists a principal, `user:<id>` or `group:<id>`, among those assigned to an application.

    Users are spread by the first character of their id: their rows are read by ranges of ids, never all at once.
    """
    return f"assigned-{app}" if key.startswith("group:") else f"assigned-{app}-{key[5:6]}"


def digest(value: Any) -> str:
    """A short content hash of a JSON value."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def merge_user(
    earlier: MirrorUser | None, *, removal: Removal | None, properties: Mapping[str, Any], whole: bool
) -> tuple[dict[str, Any], Removal | None]:
    """The attributes and tombstone after a change. Pure.

    In a full round the page is the whole truth (`whole`); otherwise what it does not name stays, and an explicit null
    clears. A tombstone keeps the last attributes.
    """
    kept = dict(earlier.attributes) if earlier else {}
    if removal is not None:
        was_hard = earlier is not None and earlier.presence is Presence.HARD_DELETED
        return kept, Removal.HARD if was_hard else removal
    merged = dict(properties) if whole else {**kept, **properties}
    return {name: value for name, value in merged.items() if value is not None and value != []}, None


def user_row(
    attributes: Mapping[str, Any], *, removal: Removal | None, number: str, round_id: str
) -> tuple[str, dict[str, Any]]:
    """The content hash and the columns of a user's row. Raises ValueError when the attributes do not fit."""
    content = digest([attributes, removal])
    text = json.dumps(attributes, ensure_ascii=False, separators=(",", ":"))
    return content, {
        **split_text("attributes", text),
        "removal": removal or "",
        "content": content,
        "number": number,
        "round": round_id,
    }


def encode_roles(roles: tuple[AppRole, ...]) -> str:
    """Write roles as a column holds them."""
    return json.dumps([[role.id, role.value, role.displayName] for role in roles], ensure_ascii=False)


class Mirror:
    """Reads the mirror. It is written in one place only, the puller's step 5."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def read_user_facts(self, user_id: str) -> UserFacts:
        """Read everything about one user: one request."""
        rows = await self._tables.read_range(
            DIRECTORY, user_partition(user_id), first=f"{user_id}:", before=f"{user_id};"
        )
        return _read_facts(user_id, rows)

    async def read_assigned_groups(self, app: str) -> dict[str, Assignment]:
        """Read the groups assigned to an application, traces included: one request (per thousand groups)."""
        rows = await self._tables.read_range(DIRECTORY, assigned_partition(app), first="group:", before="group;")
        return {row.key.removeprefix("group:"): read_assignment(row) for row in rows}

    async def read_assigned(self, app: str, *, first: str, before: str) -> dict[str, Assignment]:
        """Read a range of the principals assigned to an application, keyed `user:<id>` or `group:<id>`.

        A range of users does not go beyond one first character of their ids.
        """
        rows = await self._tables.read_range(DIRECTORY, assigned_partition(app, first), first=first, before=before)
        return {row.key: read_assignment(row) for row in rows}

    async def read_group(self, group_id: str) -> Row | None:
        """Read a group's row."""
        return await self._tables.read(DIRECTORY, "group", group_id)

    async def read_facts(self, kind: str, source_id: str) -> UserFacts | GroupFacts:
        """Read what is known about a `user` or a `group`: one request."""
        return await (self.read_user_facts(source_id) if kind == "user" else self.read_group_facts(source_id))

    async def read_group_facts(self, group_id: str) -> GroupFacts:
        """Read what is known about a group: one request."""
        return group_facts(group_id, await self.read_group(group_id))

    async def read_membership(self, group_id: str, user_id: str) -> bool | None:
        """Whether a user is a direct member of a tracked group; None: nobody has said so or otherwise."""
        row = await self.read_member(group_id, user_id)
        return None if row is None else not row.values.get("gone", False)

    async def read_member(self, group_id: str, user_id: str) -> Row | None:
        """Read the row of one membership."""
        return await self._tables.read(DIRECTORY, members_partition(group_id), user_id)

    async def read_memberships(self, group_id: str, *, after: str, count: int) -> list[tuple[str, bool]]:
        """Up to `count` memberships of a tracked group in order of the users' ids, traces included."""
        pages = self._tables.query(
            DIRECTORY, members_partition(group_id), first=f"{after}\x01" if after else "", page_size=count
        )
        async for page in pages:
            # The service may answer an empty page before the end.
            if page:
                return [(row.key, not row.values.get("gone", False)) for row in page]
        return []

    async def count_members(self, group_id: str, *, after: str = "") -> int:
        """How many memberships of a tracked group there are behind a user's id: a request per thousand."""
        first = f"{after}\x01" if after else ""
        pages = self._tables.query(
            DIRECTORY, members_partition(group_id), first=first, where="gone eq false", select=("gone",)
        )
        return sum([len(page) async for page in pages])

    async def list_members(self, group_id: str) -> AsyncIterator[list[tuple[str, Row]]]:
        """List a group's tracked memberships, traces included, page by page."""
        async for page in self._tables.query(DIRECTORY, members_partition(group_id)):
            yield [(row.key, row) for row in page]

    async def list_groups(self) -> AsyncIterator[GroupFacts]:
        """List the groups that are mirrored."""
        async for page in self.list_group_facts():
            for _, facts in page:
                yield facts

    async def list_group_facts(self, *, after: str = "") -> AsyncIterator[list[tuple[str, GroupFacts]]]:
        """List the groups that are mirrored, page by page in order of their ids, `after` one."""
        async for page in self._tables.query(DIRECTORY, "group", first=f"{after}\x01" if after else ""):
            yield [(row.key, group_facts(row.key, row)) for row in page]

    async def list_user_facts(
        self, partition_digit: str, *, after: str = "", until: str = ""
    ) -> AsyncIterator[list[tuple[str, UserFacts]]]:
        """List everything about the users of one partition: one request per five hundred rows.

        In order of their ids, `after` one and `until` another, which is included. Pages hold whole users.
        """
        pages = self._tables.query(
            DIRECTORY,
            f"user-{partition_digit}",
            first=f"{after};" if after else "",
            before=f"{until};" if until else "",
            page_size=_FACTS_PER_PAGE,
        )
        rows: list[Row] = []
        async for page in pages:
            rows += page
            last = rows[-1].key.partition(":")[0] if rows else ""
            # More about the last user may come with the next page.
            whole = [row for row in rows if row.key.partition(":")[0] != last]
            rows = rows[len(whole) :]
            yield _read_facts_of_many(whole)
        yield _read_facts_of_many(rows)

    async def list_users(
        self, partition_digit: str, *, with_attributes: bool = False
    ) -> AsyncIterator[list[MirrorUser]]:
        """List the users of one partition, page by page, without their attributes unless these are asked for."""
        pages = self._tables.query(
            DIRECTORY,
            f"user-{partition_digit}",
            where="content ne ''",
            select=() if with_attributes else ("removal", "content", "number", "round"),
        )
        async for page in pages:
            yield [_read_user(row.key.removesuffix(":user"), row) for row in page if row.key.endswith(":user")]


def _read_facts(user_id: str, rows: Iterable[Row]) -> UserFacts:
    """Decode all rows about one user."""
    user: MirrorUser | None = None
    assignments: dict[str, Assignment] = {}
    groups: dict[str, bool] = {}
    for row in rows:
        kind, _, name = row.key.removeprefix(f"{user_id}:").partition(":")
        match kind:
            case "user":
                user = _read_user(user_id, row)
            case "app":
                assignments[name] = read_assignment(row)
            case "group":
                groups[name] = not row.values.get("gone", False)
    return UserFacts(user=user, assignments=assignments, groups=groups)


def _read_facts_of_many(rows: Iterable[Row]) -> list[tuple[str, UserFacts]]:
    """Decode the rows about several users, which lie side by side."""
    by_user = groupby(rows, key=lambda row: row.key.partition(":")[0])
    return [(user_id, _read_facts(user_id, found)) for user_id, found in by_user]


def group_facts(group_id: str, row: Row | None) -> GroupFacts:
    """Decode a group's row."""
    if row is None:
        return GroupFacts(id=group_id)
    removal = str(row.values.get("removal", ""))
    presence = Presence.ACTIVE
    if removal:
        presence = Presence.HARD_DELETED if removal == Removal.HARD else Presence.SOFT_DELETED
    elif "attributes" not in row.values:
        # Only assigned so far: no page has shown the group itself.
        presence = Presence.UNKNOWN
    return GroupFacts(
        id=group_id,
        presence=presence,
        attributes=json.loads(str(row.values.get("attributes", "")) or "{}"),
    )


def _read_user(user_id: str, row: Row) -> MirrorUser:
    attributes = json.loads(row.text("attributes") or "{}")
    removal = str(row.values.get("removal", ""))
    if removal:
        presence = Presence.HARD_DELETED if removal == Removal.HARD else Presence.SOFT_DELETED
    else:
        presence = Presence.DISABLED if attributes.get("accountEnabled") is False else Presence.ACTIVE
    return MirrorUser(
        id=user_id,
        presence=presence,
        attributes=attributes,
        content=str(row.values.get("content", "")),
        number=str(row.values.get("number", "")),
        round=str(row.values.get("round", "")),
        etag=row.etag,
    )


def read_assignment(row: Row) -> Assignment:
    """Decode an assignment row of either partition."""
    roles = tuple(
        AppRole(id=role_id, value=value, displayName=name)
        for role_id, value, name in json.loads(str(row.values.get("roles", "")) or "[]")
    )
    return Assignment(
        roles=roles,
        gone=bool(row.values.get("gone", False)),
        content=str(row.values.get("content", "")),
        number=str(row.values.get("number", "")),
        etag=row.etag,
        absent_read=str(row.values.get("absent_read", "")),
        absent_at=str(row.values.get("absent_at", "")),
    )
