"""Delta queries: initial rounds, `latest`, increments, and everything that may go wrong in between.

A round is planned once, as a list of units; a page renders some of them with what is true at that moment. So a link
can be followed twice, and the second answer is the same or newer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from tests.simulation.graph.changes import ARRIVALS, REMOVALS, Change, Event, Kind, Related, latest_of
from tests.simulation.graph.directory import Directory
from tests.simulation.graph.faults import FaultKind, Faults, Link
from tests.simulation.graph.odata import (
    DEFAULTS,
    ODataError,
    Request,
    Response,
    parse_id_filter,
    parse_select,
    reference,
)
from tests.simulation.graph.people import JsonObject, guid
from tests.simulation.graph.population import to_json
from tests.simulation.graph.rounds import STREAMS, Position, Scope, Unit, Watermark
from tests.simulation.graph.tokens import Tokens

TOKEN_LIFETIME = timedelta(days=7)


class DeltaQueries:
    """Answers `GET /{users|groups|servicePrincipals}/delta`."""

    def __init__(
        self, tenant: Directory, faults: Faults, *, now: Callable[[], datetime], page_size: int, member_page_size: int
    ) -> None:
        """Serves `page_size` objects a page, and at most `member_page_size` members a page."""
        self._tenant = tenant
        self._faults = faults
        self._page_size = page_size
        self._member_page_size = member_page_size
        self._tokens: Tokens[Watermark | Position] = Tokens(faults.dice, now=now, lifetime=TOKEN_LIFETIME)

    def answer(self, request: Request, *, link_to: Callable[[str], str]) -> Response:
        """Serves one page of a round; `link_to` makes an absolute URL of a path with query."""
        with self._tenant.lock:
            position = self._begin(request) if request.link is Link.INITIAL else self._resume(request)
            return self._page(request, position, link_to=link_to)

    def _begin(self, request: Request) -> Position:
        resource = request.path.split("/")[0]
        scope = self._scope(request, resource)
        then = Watermark(scope=scope, since=self._tenant.number)
        latest = request.query.get("deltatoken", "").lower() == "latest"
        units = [] if latest else self._initial_units(scope)
        if units and (short := self._faults.take(FaultKind.SHORT_ROUND, request.path, link=request.link)):
            missing = set(self._faults.pick(short, [unit.id for unit in units]))
            units = [unit for unit in units if unit.id not in missing]
        units = self._disturb(request, scope, units)
        return Position(scope=scope, units=units, start=0, minimal=False, then=then)

    def _resume(self, request: Request) -> Position:
        state = self._tokens.find(request.query.get("skiptoken") or request.query.get("deltatoken", ""))
        if state is None or state.scope.resource != request.path.split("/")[0]:
            raise ODataError(400, "syncStateNotFound", "The sync state generation is not found; the sync must restart.")
        if "select" in request.query or "filter" in request.query:
            raise ODataError(400, "Request_BadRequest", "Query options are part of the token and cannot be repeated.")
        if isinstance(state, Position):
            return state
        visible, hidden = self._visible_changes(request, state)
        units = self._incremental_units(state.scope, visible)
        then = Watermark(scope=state.scope, since=self._tenant.number, hidden=hidden)
        units = self._disturb(request, state.scope, units)
        minimal = request.prefers_minimal and state.scope.kind is not Kind.SERVICE_PRINCIPAL
        return Position(scope=state.scope, units=units, start=0, minimal=minimal, then=then)

    def _scope(self, request: Request, resource: str) -> Scope:
        kind = STREAMS[resource]
        for option in ("expand", "orderby", "search"):
            if option in request.query:
                raise ODataError(400, "Request_UnsupportedQuery", f"${option} is not supported on a delta query.")
        select = parse_select(request.query.get("select"), kind)
        default = (*DEFAULTS[kind], "members") if kind is Kind.GROUP else DEFAULTS[kind]
        ids = parse_id_filter(request.query.get("filter"))
        return Scope(resource=resource, kind=kind, select=select or default, ids=ids)

    # Planning a round

    def _initial_units(self, scope: Scope) -> list[Unit]:
        homes: dict[Kind, Iterable[str]] = {
            Kind.USER: self._tenant.users,
            Kind.GROUP: self._tenant.groups,
            Kind.SERVICE_PRINCIPAL: self._tenant.service_principals,
        }
        ids = [held for held in homes[scope.kind] if scope.ids is None or held in scope.ids]
        if not scope.tracks_members:
            return [Unit(held, whole=True) for held in ids]
        members = self._tenant.members
        return [
            unit
            for held in ids
            for unit in self._sliced(
                Unit(held, whole=True, added=tuple(Related(member, kind) for member, kind in members[held].items()))
            )
        ]

    def _visible_changes(
        self, request: Request, mark: Watermark
    ) -> tuple[list[Change], tuple[tuple[Change, int], ...]]:
        due = [change for change, polls in mark.hidden if polls <= 1]
        hidden = [(change, polls - 1) for change, polls in mark.hidden if polls > 1]
        new = [change for change in self._tenant.changes[mark.since :] if self._concerns(mark.scope, change)]
        if new and (lag := self._faults.take(FaultKind.LAG, request.path, link=request.link)):
            late = set(self._faults.pick(lag, [change.number for change in new]))
            hidden += [(change, lag.polls) for change in new if change.number in late]
            new = [change for change in new if change.number not in late]
        replayed: list[Change] = []
        if replay := self._faults.take(FaultKind.REPLAY, request.path, link=request.link):
            earlier = [change for change in self._tenant.changes[: mark.since] if self._concerns(mark.scope, change)]
            replayed = earlier[-replay.count :]
        return sorted({*due, *new, *replayed}, key=lambda change: change.number), tuple(hidden)

    @staticmethod
    def _concerns(scope: Scope, change: Change) -> bool:
        if change.kind is not scope.kind or (scope.ids is not None and change.id not in scope.ids):
            return False
        if change.event in (Event.MEMBER_ADDED, Event.MEMBER_REMOVED):
            return scope.tracks_members
        if change.event in (Event.UPDATED, Event.MANAGER):
            return not change.properties.isdisjoint(scope.select)
        return True

    def _incremental_units(self, scope: Scope, changes: list[Change]) -> list[Unit]:
        by_id: dict[str, list[Change]] = {}
        for change in changes:
            by_id.setdefault(change.id, []).append(change)
        return [unit for held, own in by_id.items() for unit in self._sliced(self._unit(scope, held, own))]

    def _unit(self, scope: Scope, object_id: str, changes: list[Change]) -> Unit:
        """Sums up an object's changes by what is true now, so that a late change cannot undo a newer one."""
        tenant = self._tenant
        if object_id in tenant.deleted_users or object_id in tenant.deleted_groups:
            return Unit(object_id, removed="changed")
        if object_id not in _home(tenant, scope.kind):
            return Unit(object_id, removed="deleted")
        related = dict.fromkeys(change.related for change in changes if change.related and scope.tracks_members)
        present = tenant.members.get(object_id, {})
        return Unit(
            object_id,
            whole=latest_of(changes, ARRIVALS | REMOVALS) is not None,
            changed=frozenset().union(*(change.properties for change in changes)),
            former_managers=tuple(c.related.id for c in changes if c.event is Event.MANAGER and c.related),
            added=tuple(member for member in related if member.id in present),
            left=tuple(member for member in related if member.id not in present),
        )

    def _sliced(self, unit: Unit) -> list[Unit]:
        size = self._member_page_size
        if len(unit.added) + len(unit.left) <= size:
            return [unit]
        slices = [unit._replace(added=unit.added[at : at + size], left=()) for at in range(0, len(unit.added), size)]
        slices += [unit._replace(added=(), left=unit.left[at : at + size]) for at in range(0, len(unit.left), size)]
        return slices

    def _disturb(self, request: Request, scope: Scope, units: list[Unit]) -> list[Unit]:
        faults, path, link = self._faults, request.path, request.link
        if scope.tracks_members and (fault := faults.take(FaultKind.UNKNOWN_MEMBER, path, link=link)):
            hosts = faults.dice.choices(list(self._tenant.groups), k=fault.count)
            ghosts = [Related(guid("ghost", faults.dice.random()), Kind.USER) for _ in hosts]
            units = units + [Unit(host, added=(ghost,)) for host, ghost in zip(hosts, ghosts, strict=True)]
        moved = [unit for unit in units if unit.added or unit.left]
        if moved and (fault := faults.take(FaultKind.CONFLICTING_MEMBERSHIP, path, link=link)):
            units = units.copy()
            for unit in faults.pick(fault, moved):
                units.insert(faults.dice.randint(0, len(units)), Unit(unit.id, added=unit.left, left=unit.added))
        if units and (fault := faults.take(FaultKind.DUPLICATE, path, link=link)):
            units = units + faults.pick(fault, units)
        if units and faults.take(FaultKind.REORDER, path, link=link):
            units = units.copy()
            faults.dice.shuffle(units)
        return units

    # Rendering a page

    def _page(self, request: Request, position: Position, *, link_to: Callable[[str], str]) -> Response:
        end = self._end_of_page(request, position)
        shown = position.units[position.start : end]
        finished = end >= len(position.units)
        if self._faults.take(FaultKind.EMPTY_PAGE, request.path, link=request.link):
            shown, finished, end = [], False, position.start
        value = [rendered for unit in shown if (rendered := self._render(position, unit)) is not None]
        resource = position.scope.resource
        page: JsonObject = {"@odata.context": link_to(f"$metadata#{resource}")}
        if finished:
            page["@odata.deltaLink"] = link_to(f"{resource}/delta?$deltatoken={self._tokens.issue(position.then)}")
        else:
            token = self._tokens.issue(replace(position, start=end))
            page["@odata.nextLink"] = link_to(f"{resource}/delta?$skiptoken={token}")
        page["value"] = value
        return Response(200, to_json(page))

    def _end_of_page(self, request: Request, position: Position) -> int:
        size = self._page_size
        if self._faults.take(FaultKind.VARIABLE_PAGES, request.path, link=request.link):
            size = self._faults.dice.randint(1, size)
        end = min(position.start + size, len(position.units))
        if not position.scope.tracks_members:
            return end
        room = self._member_page_size
        for at in range(position.start, end):
            room -= len(position.units[at].added) + len(position.units[at].left)
            if room < 0:
                return max(at, position.start + 1)
        return end

    def _render(self, position: Position, unit: Unit) -> JsonObject | None:
        if unit.removed:
            return {"id": unit.id, "@removed": {"reason": unit.removed}}
        scope = position.scope
        held = self._read(scope.kind, unit.id)
        if held is None:
            return None
        names: Iterable[str] = scope.select
        if position.minimal and not unit.whole:
            names = [name for name in scope.select if name == "id" or self._is_changed(name, unit)]
        shown: JsonObject = {name: held[name] for name in names if name in held}
        if scope.kind is Kind.USER and "manager" in scope.select:
            self._show_manager(shown, unit)
        if unit.added or unit.left:
            shown["members@delta"] = [reference(member.kind, member.id) for member in unit.added] + [
                reference(member.kind, member.id) | {"@removed": {"reason": "deleted"}} for member in unit.left
            ]
        return shown

    def _read(self, kind: Kind, object_id: str) -> JsonObject | None:
        if kind is Kind.USER:
            text = self._tenant.users.get(object_id)
            return json.loads(text) if text else None
        return _home(self._tenant, kind).get(object_id)

    @staticmethod
    def _is_changed(name: str, unit: Unit) -> bool:
        """Directory extensions come together: one changed brings all of them."""
        if name.startswith("extension_"):
            return any(changed.startswith("extension_") for changed in unit.changed)
        return name in unit.changed

    def _show_manager(self, shown: JsonObject, unit: Unit) -> None:
        if not unit.whole and "manager" not in unit.changed:
            return
        manager_id = self._tenant.manager_of(unit.id)
        former = [held for held in dict.fromkeys(unit.former_managers) if held != manager_id]
        entries = [reference(Kind.USER, held) | {"@removed": {"reason": "deleted"}} for held in former]
        if manager_id:
            entries.append(reference(Kind.USER, manager_id))
        if entries:
            shown["manager@delta"] = entries


def _home(tenant: Directory, kind: Kind) -> dict[str, Any]:
    homes: dict[Kind, dict[str, Any]] = {
        Kind.USER: tenant.users,
        Kind.GROUP: tenant.groups,
        Kind.SERVICE_PRINCIPAL: tenant.service_principals,
    }
    return homes[kind]
