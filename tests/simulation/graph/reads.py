"""Plain reads: single objects, lists page by page, and who is assigned to what."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from tests.simulation.graph.changes import AppRoleAssignment, Kind, NotInTenantError
from tests.simulation.graph.directory import Directory
from tests.simulation.graph.faults import FaultKind, Faults, Link
from tests.simulation.graph.odata import ODataError, Request, Response, not_found, parse_select, project
from tests.simulation.graph.people import JsonObject
from tests.simulation.graph.population import to_json
from tests.simulation.graph.tokens import Tokens

DEFAULT_TOP = 100
MAX_TOP = 999
_CLAUSE = re.compile(r"\s*(?:(\w+)\s+eq\s+'((?:[^']|'')*)'|startswith\((\w+),\s*'((?:[^']|'')*)'\))\s*")


@dataclass(frozen=True, slots=True)
class ListPosition:
    """State behind a list's nextLink: the rows as the first page found them, and how far they were read."""

    path: str
    rows: list[Any]
    start: int
    top: int
    show: Callable[[Any], JsonObject | None]


class DirectoryReads:
    """Answers GET for everything but delta."""

    def __init__(self, tenant: Directory, faults: Faults, *, now: Callable[[], datetime]) -> None:
        """Reads from `tenant`; list tokens die after seven days, as delta tokens do."""
        self._tenant = tenant
        self._faults = faults
        self._tokens: Tokens[ListPosition] = Tokens(faults.dice, now=now, lifetime=timedelta(days=7))

    def answer(self, request: Request, *, link_to: Callable[[str], str]) -> Response:
        """Serves one object or one page; raises ODataError for what does not exist."""
        with self._tenant.lock:
            if request.link is Link.NEXT:
                return self._page(self._resume(request), link_to=link_to)
            try:
                found = self._find(request, request.path.split("/"))
            except NotInTenantError:
                raise not_found(request.path.split("/")[-1]) from None
            if isinstance(found, ListPosition):
                return self._page(self._shortened(request, found), link_to=link_to)
            return Response(200, to_json({"@odata.context": link_to("$metadata"), **found}))

    def _find(self, request: Request, segments: list[str]) -> JsonObject | ListPosition:
        match segments:
            case ["users"]:
                return self._list(request, Kind.USER, self._tenant.user_ids())
            case ["groups"]:
                return self._list(request, Kind.GROUP, list(self._tenant.groups))
            case ["servicePrincipals"]:
                return self._list(request, Kind.SERVICE_PRINCIPAL, list(self._tenant.service_principals))
            case ["directory", "deletedItems", "microsoft.graph.user"]:
                return self._list(request, Kind.USER, list(self._tenant.deleted_users))
            case ["directory", "deletedItems", object_id]:
                return self._deleted(request, object_id)
            case ["users", name]:
                return self._object(request, Kind.USER, self._user_id(name))
            case ["users", name, "manager"]:
                return self._manager(request, self._user_id(name))
            case ["users", name, "memberOf"]:
                return self._member_of(request, self._user_id(name))
            case ["groups" | "servicePrincipals" as collection, object_id]:
                kind = Kind.GROUP if collection == "groups" else Kind.SERVICE_PRINCIPAL
                return self._object(request, kind, object_id)
            case ["groups", group_id, "members"]:
                return self._members(request, group_id, only=None)
            case ["groups", group_id, "members", cast] if cast.startswith("microsoft.graph."):
                return self._members(request, group_id, only=Kind(cast.removeprefix("microsoft.graph.")))
            case ["users" | "groups" | "servicePrincipals", _, "appRoleAssignments" | "appRoleAssignedTo"]:
                return self._assignments(request, segments)
        raise ODataError(400, "BadRequest", f"Resource not found for the segment '{segments[-1]}'.")

    # Single objects

    def _object(self, request: Request, kind: Kind, object_id: str) -> JsonObject:
        shown = project(self._held(kind, object_id), parse_select(request.query.get("select"), kind), kind)
        if kind is Kind.USER and request.query.get("expand", "").startswith("manager"):
            manager_id = self._tenant.manager_of(object_id)
            if manager_id:
                shown["manager"] = {"@odata.type": Kind.USER.odata_type, "id": manager_id}
        return shown

    def _held(self, kind: Kind, object_id: str) -> JsonObject:
        tenant = self._tenant
        if kind is Kind.USER:
            return tenant.user(object_id)
        homes = {Kind.GROUP: tenant.groups, Kind.DEVICE: tenant.devices}
        home = homes.get(kind, tenant.service_principals)
        if object_id not in home:
            raise NotInTenantError(object_id)
        return home[object_id]

    def _user_id(self, name: str) -> str:
        if name in self._tenant.users:
            return name
        return self._tenant.user_id_of(name) if "@" in name else name

    def _manager(self, request: Request, user_id: str) -> JsonObject:
        self._tenant.user(user_id)
        manager_id = self._tenant.manager_of(user_id)
        if manager_id is None:
            raise not_found("manager")
        return {"@odata.type": Kind.USER.odata_type, **self._object(request, Kind.USER, manager_id)}

    def _deleted(self, request: Request, object_id: str) -> JsonObject:
        homes = ((self._tenant.deleted_users, Kind.USER), (self._tenant.deleted_groups, Kind.GROUP))
        for home, kind in homes:
            if object_id in home:
                shown = project(home[object_id], parse_select(request.query.get("select"), kind), kind)
                return {"@odata.type": kind.odata_type, **shown, "deletedDateTime": home[object_id]["deletedDateTime"]}
        raise NotInTenantError(object_id)

    # Lists

    def _list(self, request: Request, kind: Kind, ids: list[str]) -> ListPosition:
        select = parse_select(request.query.get("select"), kind)
        wanted = _parse_filter(request.query.get("filter"))

        def show(object_id: str) -> JsonObject | None:
            held = self._find_anywhere(kind, object_id)
            return project(held, select, kind) if held is not None else None

        if wanted:
            ids = [held for held in ids if wanted(self._find_anywhere(kind, held) or {})]
        return ListPosition(request.path, ids, 0, _top(request), show)

    def _find_anywhere(self, kind: Kind, object_id: str) -> JsonObject | None:
        if kind is not Kind.USER:
            return {Kind.GROUP: self._tenant.groups}.get(kind, self._tenant.service_principals).get(object_id)
        text = self._tenant.users.get(object_id)
        return json.loads(text) if text else self._tenant.deleted_users.get(object_id)

    def _members(self, request: Request, group_id: str, *, only: Kind | None) -> ListPosition:
        self._held(Kind.GROUP, group_id)
        members = self._tenant.members[group_id]
        rows = [(member, kind) for member, kind in members.items() if only in (None, kind)]
        names = request.query.get("select")

        def show(row: tuple[str, Kind]) -> JsonObject | None:
            member_id, kind = row
            if names == "id":
                return {"@odata.type": kind.odata_type, "id": member_id}
            try:
                held = self._held(kind, member_id)
            except NotInTenantError:
                return None
            select = parse_select(names, Kind.USER) if names else None
            return {"@odata.type": kind.odata_type, **project(held, select, kind)}

        return ListPosition(request.path, rows, 0, _top(request), show)

    def _member_of(self, request: Request, user_id: str) -> ListPosition:
        self._tenant.user(user_id)
        groups = [group_id for group_id, members in self._tenant.members.items() if user_id in members]
        position = self._list(request, Kind.GROUP, groups)
        return replace(position, show=lambda row: {"@odata.type": Kind.GROUP.odata_type, **(position.show(row) or {})})

    def _assignments(self, request: Request, segments: list[str]) -> ListPosition:
        collection, name, direction = segments
        lag = self._faults.take(FaultKind.ASSIGNMENT_LAG, request.path, link=request.link)
        as_of = lag.as_of if lag else None
        if collection == "servicePrincipals" and direction == "appRoleAssignedTo":
            grants = self._tenant.grants(name, as_of=as_of)
        else:
            grants = self._grants_of(collection, name, as_of=as_of)
        if missing := grants and self._faults.take(FaultKind.ASSIGNMENT_MISSING, request.path, link=request.link):
            hidden = set(self._faults.pick(missing, [grant.id for grant in grants]))
            grants = [grant for grant in grants if grant.id not in hidden]
        wanted = _parse_filter(request.query.get("filter"), allowed=_ASSIGNMENT_FILTERS)
        if wanted:
            grants = [grant for grant in grants if wanted(self._show_grant(grant))]
        return ListPosition(request.path, grants, 0, _top(request), self._show_grant)

    def _grants_of(self, collection: str, name: str, *, as_of: int | None) -> list[AppRoleAssignment]:
        """Grants to a principal; for a user also those of the groups it is a direct member of, as Graph documents."""
        kinds = {"users": Kind.USER, "groups": Kind.GROUP}
        kind = kinds.get(collection, Kind.SERVICE_PRINCIPAL)
        principal_id = self._user_id(name) if kind is Kind.USER else name
        self._held(kind, principal_id)
        principals = {principal_id}
        if kind is Kind.USER:
            principals.update(held for held, members in self._tenant.members.items() if principal_id in members)
        everywhere = self._tenant.service_principals
        grants = (grant for resource_id in everywhere for grant in self._tenant.grants(resource_id, as_of=as_of))
        return [grant for grant in grants if grant.principal_id in principals]

    def _show_grant(self, grant: AppRoleAssignment) -> JsonObject:
        principal = self._find_anywhere(grant.principal_kind, grant.principal_id) or {}
        return {
            "id": grant.id,
            "deletedDateTime": None,
            "appRoleId": grant.app_role_id,
            "createdDateTime": grant.created_at,
            "principalDisplayName": principal.get("displayName"),
            "principalId": grant.principal_id,
            "principalType": grant.principal_kind.value[0].upper() + grant.principal_kind.value[1:],
            "resourceDisplayName": self._tenant.service_principals[grant.resource_id]["displayName"],
            "resourceId": grant.resource_id,
        }

    # Pages

    def _resume(self, request: Request) -> ListPosition:
        position = self._tokens.find(request.query["skiptoken"])
        if position is None or position.path != request.path:
            raise ODataError(400, "Directory_ExpiredPageToken", "The specified page token value has expired.")
        return position

    def _shortened(self, request: Request, position: ListPosition) -> ListPosition:
        short = position.rows and self._faults.take(FaultKind.SHORT_ROUND, request.path, link=request.link)
        if not short:
            return position
        missing = set(self._faults.pick(short, list(range(len(position.rows)))))
        return replace(position, rows=[row for at, row in enumerate(position.rows) if at not in missing])

    def _page(self, position: ListPosition, *, link_to: Callable[[str], str]) -> Response:
        end = position.start + position.top
        if self._faults.take(FaultKind.EMPTY_PAGE, position.path):
            end = position.start
        value = [shown for row in position.rows[position.start : end] if (shown := position.show(row)) is not None]
        page: JsonObject = {"@odata.context": link_to(f"$metadata#{position.path.split('/')[0]}")}
        if end < len(position.rows):
            token = self._tokens.issue(replace(position, start=end))
            page["@odata.nextLink"] = link_to(f"{position.path}?$skiptoken={token}")
        page["value"] = value
        return Response(200, to_json(page))


_ASSIGNMENT_FILTERS = {
    "eq": frozenset({"id", "resourceId", "principalDisplayName"}),
    "startswith": frozenset({"principalDisplayName"}),
}


def _top(request: Request) -> int:
    text = request.query.get("top", str(DEFAULT_TOP))
    if not text.isdigit() or not 1 <= int(text) <= MAX_TOP:
        raise ODataError(
            400, "Request_BadRequest", f"Invalid page size specified: '{text}'. Must be between 1 and 999."
        )
    return int(text)


def _parse_filter(
    text: str | None, *, allowed: dict[str, frozenset[str]] | None = None
) -> Callable[[JsonObject], bool] | None:
    """Reads `name eq 'value'` and `startswith(name,'value')` clauses joined by `or`; raises ODataError otherwise.

    Assignments take one clause only.
    """
    if text is None:
        return None
    texts = [text] if allowed is not None else _split_at_or(text)
    clauses = [_parse_clause(each, allowed=allowed) for each in texts]
    return lambda held: any(clause(held) for clause in clauses)


def _split_at_or(text: str) -> list[str]:
    """The clauses between the `or`s that are outside of quotes."""
    parts = re.split(r"('(?:[^']|'')*')", text)
    joined = "".join(part if at % 2 else re.sub(r"\s+or\s+", "\0", part) for at, part in enumerate(parts))
    return joined.split("\0")


def _parse_clause(text: str, *, allowed: dict[str, frozenset[str]] | None) -> Callable[[JsonObject], bool]:
    clause = _CLAUSE.fullmatch(text) or _CLAUSE.fullmatch(re.sub(r"eq\s+([0-9a-fA-F-]{36})", r"eq '\1'", text))
    operator = "eq" if clause and clause.group(1) else "startswith"
    name = (clause.group(1) or clause.group(3)) if clause else ""
    if not clause or (allowed is not None and name not in allowed[operator]):
        raise ODataError(400, "Request_UnsupportedQuery", "Unsupported or invalid query filter clause specified.")
    value = (clause.group(2) if clause.group(1) else clause.group(4)).replace("''", "'").casefold()
    if operator == "eq":
        return lambda held: str(held.get(name)).casefold() == value
    return lambda held: str(held.get(name)).casefold().startswith(value)
