"""Whom Microsoft Graph means by what a person typed: a user principal name, or the beginning of a name.

The term may be anybody's. It goes into a URL in two places only: as one percent-encoded path segment, where Graph takes
a user principal name for an id, and as a quoted string of a filter. Both filters are of the kind Graph answers without
`ConsistencyLevel: eventual` (`startswith` on indexed properties), so what was changed a moment ago is found.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from shared.directory.graph import Graph, GraphNotFound

SHOWN = ("userPrincipalName", "displayName", "mail", "employeeId", "accountEnabled", "jobTitle", "department")
"""What identifies a person to whoever searches; nothing else of the directory is shown."""

_SEARCHED = ("displayName", "userPrincipalName", "mail", "givenName", "surname")
_GROUP_SHOWN = ("displayName", "mail")
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_PRINCIPAL_NAME = re.compile(r"[A-Za-z0-9'._!#^~+-]+@[A-Za-z0-9.-]+")
"""What Entra allows in a user principal name: nothing that could lead a path elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryObject:
    """A user or a group as Graph shows it now."""

    kind: str
    """`user` or `group`."""
    id: str
    properties: Mapping[str, Any]
    """Those of `SHOWN` that have a value."""


class DirectorySearch:
    """Asks Graph for people and groups."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    async def find_by_key(self, term: str) -> list[DirectoryObject]:
        """The user with this user principal name or id: at most one request. Raises GraphError."""
        if not (_GUID.fullmatch(term) or _PRINCIPAL_NAME.fullmatch(term)):
            return []
        try:
            found = await self._graph.read(f"/users/{quote(term, safe='')}?$select={_select(SHOWN)}")
        except GraphNotFound:
            return []
        return _read("user", [found])

    async def find_by_beginning(self, term: str, *, most: int) -> list[DirectoryObject]:
        """Users, then groups, one of whose names begins with the term; up to `most` of each: two requests.

        Raises GraphError.
        """
        users = await self._search("users", _SEARCHED, term, select=SHOWN, most=most)
        groups = await self._search("groups", ("displayName",), term, select=_GROUP_SHOWN, most=most)
        return [*_read("user", users), *_read("group", groups)]

    async def _search(
        self, collection: str, names: Sequence[str], term: str, *, select: Sequence[str], most: int
    ) -> list[Any]:
        literal = "'" + term.replace("'", "''") + "'"
        condition = " or ".join(f"startswith({name},{literal})" for name in names)
        page = await self._graph.read(
            f"/{collection}?$filter={quote(condition, safe='')}&$select={_select(select)}&$top={most}"
        )
        found = page.get("value")
        return found if isinstance(found, list) else []


def as_object_id(term: str) -> str:
    """A term as an object id is written: GUIDs in small letters."""
    return term.lower() if _GUID.fullmatch(term) else term


def _select(names: Sequence[str]) -> str:
    return ",".join(("id", *names))


def shown_properties(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `SHOWN` that have a value, in that order."""
    return {name: attributes[name] for name in SHOWN if attributes.get(name) not in (None, "")}


def _read(kind: str, found: Sequence[Any]) -> list[DirectoryObject]:
    return [
        DirectoryObject(kind=kind, id=each["id"], properties=shown_properties(each))
        for each in found
        if isinstance(each, dict) and isinstance(each.get("id"), str)
    ]
