"""Delta pages to changes. Pure: no clock, no I/O, no SDK.

Graph promises little: no order, duplicates in a round, replays of older changes, removals of ids never seen, empty
pages with a next link (graph.md section 1). So a page says what it says, and everything that depends on what we knew
before is decided later, against the mirror.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from shared.config.object_ids import OBJECT_ID

USER_TYPE = "#microsoft.graph.user"


class Removal(StrEnum):
    """Why an object left the collection."""

    SOFT = "changed"
    """Restorable from deletedItems."""
    HARD = "deleted"
    """Gone for ever."""


class PageError(ValueError):
    """The page is not what the delta protocol promises. Nothing of it is used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserChange:
    """One user as a page names it."""

    id: str
    removal: Removal | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    """Selected properties; None means cleared, absent means not said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupChange:
    """One group as a page names it, with the slice of membership changes it carries."""

    id: str
    removal: Removal | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    members: Mapping[str, bool] = field(default_factory=dict)
    """User id -> added (True) or removed (False)."""
    contradictory: bool = False
    """A pair was added and removed on this page, in no promised order: the membership must be read again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaLinks:
    """Where a round goes on (`next`), or from where the next round starts (`delta`). Exactly one is set."""

    next: str = ""
    delta: str = ""


def read_links(page: Mapping[str, Any]) -> DeltaLinks:
    """The links of a page. Raises PageError unless there is exactly one."""
    following, delta = page.get("@odata.nextLink"), page.get("@odata.deltaLink")
    if isinstance(following, str) and following and not delta:
        return DeltaLinks(next=following)
    if isinstance(delta, str) and delta and not following:
        return DeltaLinks(delta=delta)
    raise PageError("a delta page must have exactly one of nextLink and deltaLink")


def read_user_changes(page: Mapping[str, Any]) -> list[UserChange]:
    """The users of a page, each once; what a page says last about a user wins.

    `manager@delta` becomes the property `manager` (an id, or None when it was taken away).
    """
    changes: dict[str, UserChange] = {}
    for found in _objects(page):
        user_id = _id(found)
        removal = _removal(found)
        properties = {} if removal else _properties(found)
        earlier = changes.get(user_id)
        if earlier is not None and removal is None and earlier.removal is None:
            properties = {**earlier.properties, **properties}
        changes[user_id] = UserChange(id=user_id, removal=removal, properties=properties)
    return list(changes.values())


def read_group_changes(page: Mapping[str, Any]) -> list[GroupChange]:
    """The groups of a page, each once, membership slices merged. Members that are no users are left out."""
    changes: dict[str, GroupChange] = {}
    for found in _objects(page):
        group_id = _id(found)
        removal = _removal(found)
        members: dict[str, bool] = {}
        contradictory = False
        earlier = changes.get(group_id)
        if earlier is not None and removal is None and earlier.removal is None:
            members, contradictory = dict(earlier.members), earlier.contradictory
        for member_id, added in _members(found):
            contradictory = contradictory or members.get(member_id, added) != added
            members[member_id] = added
        properties = {} if removal else _properties(found)
        if earlier is not None and removal is None:
            properties = {**earlier.properties, **properties}
        changes[group_id] = GroupChange(
            id=group_id, removal=removal, properties=properties, members=members, contradictory=contradictory
        )
    return list(changes.values())


def read_member_ids(objects: Iterable[Mapping[str, Any]]) -> list[str]:
    """The user ids in a page of a group's members; nested groups, devices and service principals do not count."""
    return [_id(found) for found in objects if _is_usable(found) and found.get("@odata.type", USER_TYPE) == USER_TYPE]


def count_unusable(page: Mapping[str, Any]) -> int:
    """How many objects of a page have no usable id. They are left out: one bad object must not stop the others."""
    objects = page.get("value")
    return sum(not _is_usable(found) for found in objects) if isinstance(objects, list) else 0


def _objects(page: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    objects = page.get("value")
    if not isinstance(objects, list):
        raise PageError("a delta page must have a list of objects")
    return [found for found in objects if _is_usable(found)]


def _is_usable(found: Any) -> bool:
    return isinstance(found, dict) and isinstance(found.get("id"), str) and bool(OBJECT_ID.fullmatch(found["id"]))


def _id(found: Mapping[str, Any]) -> str:
    return str(found["id"])


def _removal(found: Mapping[str, Any]) -> Removal | None:
    removed = found.get("@removed")
    if removed is None:
        return None
    reason = removed.get("reason") if isinstance(removed, dict) else None
    # An unknown reason is read as the restorable one: it disables and never deletes.
    return Removal.HARD if reason == Removal.HARD else Removal.SOFT


def _properties(found: Mapping[str, Any]) -> dict[str, Any]:
    properties = {name: value for name, value in found.items() if "@" not in name and name not in ("id", "members")}
    managers = found.get("manager@delta")
    if isinstance(managers, list):
        named = [found for found in managers if isinstance(found, dict) and isinstance(found.get("id"), str)]
        present = [str(found["id"]) for found in named if "@removed" not in found]
        if named:
            # A replaced manager is one entry that goes and one that comes, in no promised order.
            properties["manager"] = present[-1] if present else None
    elif isinstance(properties.get("manager"), dict):
        properties["manager"] = properties["manager"].get("id")
    return properties


def _members(found: Mapping[str, Any]) -> list[tuple[str, bool]]:
    members = found.get("members@delta")
    if members is None:
        return []
    if not isinstance(members, list):
        raise PageError("a group's membership changes are no list of objects")
    return [
        (_id(member), "@removed" not in member)
        for member in members
        if _is_usable(member) and member.get("@odata.type", USER_TYPE) == USER_TYPE
    ]
