"""The state of a simulated directory: what is in it, how it is read, and the book of its changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from threading import RLock

from tests.simulation.graph.changes import AppRoleAssignment, Change, Event, Kind, NotInTenantError, Related
from tests.simulation.graph.people import JsonObject, guid
from tests.simulation.graph.population import populate

EPOCH = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)


class Directory:
    """Everything a reader can see. Whoever reads several things that must agree holds `lock`."""

    def __init__(self, seed: int = 0, users: int = 100) -> None:
        """Draws a tenant of `users` people (2 or more); takes about two seconds per 100,000."""
        if users < 2:
            raise ValueError(f"users: a tenant needs at least 2 people, got {users}")
        self.seed = seed
        self.lock = RLock()
        self.changes: list[Change] = []
        self.tenant_id = guid(seed, "tenant")
        population = populate(seed, users)
        self.users = population.users
        self.managers = population.managers
        self.groups = population.groups
        self.members = population.members
        self.devices = population.devices
        self.service_principals = population.service_principals
        self.assignments = population.assignments
        self.deleted_users: dict[str, JsonObject] = {}
        self.deleted_groups: dict[str, JsonObject] = {}
        self._dynamic_groups = population.dynamic_groups
        self._reports: dict[str, set[str]] = {}
        for user_id, manager_id in self.managers.items():
            self._reports.setdefault(manager_id, set()).add(user_id)
        self._kept_memberships: dict[str, list[str]] = {}
        self._next_person = users
        self._listeners: list[Callable[[Change], None]] = []

    @property
    def number(self) -> int:
        """Number of the latest change; 0 for a tenant nobody touched."""
        return len(self.changes)

    def user(self, user_id: str) -> JsonObject:
        """Returns the user's properties, by id; absent means never set, None means cleared."""
        try:
            return dict(json.loads(self.users[user_id]))
        except KeyError:
            raise NotInTenantError(f"user {user_id} does not exist or is deleted") from None

    def user_ids(self) -> list[str]:
        """Lists the ids of all users who are not deleted."""
        return list(self.users)

    def user_id_of(self, user_principal_name: str) -> str:
        """Finds a user by its principal name; reads everyone, so not for loops."""
        wanted = user_principal_name.casefold()
        for user_id in self.user_ids():
            if str(self.user(user_id)["userPrincipalName"]).casefold() == wanted:
                return user_id
        raise NotInTenantError("no user has this userPrincipalName")

    def group_id_of(self, display_name: str) -> str:
        """Finds a group by its display name."""
        return self._id_named(self.groups, display_name)

    def service_principal_id_of(self, display_name: str) -> str:
        """Finds an application by its display name."""
        return self._id_named(self.service_principals, display_name)

    def role_id_of(self, service_principal_id: str, display_name: str) -> str:
        """Finds the id of an application's role by the role's display name."""
        roles = self._principal(service_principal_id)["appRoles"]
        for role in roles:
            if role["displayName"] == display_name:
                return str(role["id"])
        raise NotInTenantError(f"application {service_principal_id} has no role of this name")

    def manager_of(self, user_id: str) -> str | None:
        """Returns the id of the user's manager, unless there is none or the manager is deleted."""
        manager_id = self.managers.get(user_id)
        return manager_id if manager_id is not None and manager_id in self.users else None

    def kind_of(self, object_id: str) -> Kind:
        """Says what kind of object an id belongs to."""
        homes = (
            (self.users, Kind.USER),
            (self.groups, Kind.GROUP),
            (self.devices, Kind.DEVICE),
            (self.service_principals, Kind.SERVICE_PRINCIPAL),
        )
        for home, kind in homes:
            if object_id in home:
                return kind
        raise NotInTenantError(f"{object_id} does not exist or is deleted")

    def grants(self, service_principal_id: str, *, as_of: int | None = None) -> list[AppRoleAssignment]:
        """Lists an application's grants to principals that exist, as known after change `as_of` (None: now)."""
        self._principal(service_principal_id)
        living: dict[Kind, Mapping[str, object]] = {
            Kind.USER: self.users,
            Kind.GROUP: self.groups,
            Kind.SERVICE_PRINCIPAL: self.service_principals,
        }
        grants = self.assignments[service_principal_id].values()
        return [
            grant for grant in grants if grant.seen_at(as_of) and grant.principal_id in living[grant.principal_kind]
        ]

    def _group(self, group_id: str) -> JsonObject:
        try:
            return self.groups[group_id]
        except KeyError:
            raise NotInTenantError(f"group {group_id} does not exist or is deleted") from None

    def _principal(self, service_principal_id: str) -> JsonObject:
        try:
            return self.service_principals[service_principal_id]
        except KeyError:
            raise NotInTenantError(f"service principal {service_principal_id} does not exist") from None

    @staticmethod
    def _id_named(home: dict[str, JsonObject], display_name: str) -> str:
        for object_id, held in home.items():
            if held["displayName"] == display_name:
                return object_id
        raise NotInTenantError(f"nothing is called {display_name!r} here")

    def _stamp(self) -> str:
        """The tenant's own time: one second per change, so that two runs write the same dates."""
        return f"{EPOCH + timedelta(seconds=self.number):%Y-%m-%dT%H:%M:%S}.0000000Z"

    def _all_grants(self) -> list[AppRoleAssignment]:
        return [grant for grants in self.assignments.values() for grant in grants.values()]

    # Keeping the books

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Calls `listener` with every change from now on; it must return at once."""
        self._listeners.append(listener)

    def _write_down(
        self,
        kind: Kind,
        object_id: str,
        event: Event,
        *,
        properties: frozenset[str] = frozenset(),
        related: Related | None = None,
    ) -> None:
        change = Change(self.number + 1, kind, object_id, event, properties, related)
        self.changes.append(change)
        for listener in self._listeners:
            listener(change)

    def _write_down_manager(self, user_id: str, former: str | None) -> None:
        related = Related(former, Kind.USER) if former else None
        self._write_down(Kind.USER, user_id, Event.MANAGER, properties=frozenset({"manager"}), related=related)

    def _touch_grants(self, service_principal_id: str) -> int:
        """Numbers a change of grants: it moves the tenant's clock, yet no tracked property, so no delta shows it."""
        self._write_down(Kind.SERVICE_PRINCIPAL, service_principal_id, Event.UPDATED)
        return self.number
