"""A synthetic Entra tenant: deterministic people, groups, applications and grants, and everything one can do to them.

Every mutator writes down what changed, which is what delta queries and notifications are made of. The same seed and
size give the same tenant, and the same mutators on it the same ids, so a failure found once is found again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.simulation.graph.changes import AppRoleAssignment, Event, Kind, NotInTenantError, Related
from tests.simulation.graph.directory import Directory
from tests.simulation.graph.people import MANAGER_SPAN, JsonObject, draw_user, guid, opaque_id
from tests.simulation.graph.population import (
    DEFAULT_ACCESS,
    dynamic_keys_of,
    new_group,
    service_principal,
    to_json,
)

__all__ = ["DEFAULT_ACCESS", "NotInTenantError", "Tenant"]


class Tenant(Directory):
    """A directory with hands: every mutator may be called from any thread."""

    def effective_users(self, service_principal_id: str, *, exclude_default_access: bool) -> dict[str, frozenset[str]]:
        """Answers who is entitled to an application, with the values of all their roles: the judge of the product.

        The rule: users with a grant of their own, together with the direct user members of groups with a grant; groups
        inside groups and other principals do not count. A role without a value entitles but adds no value. With
        `exclude_default_access`, a grant of the all-zero role entitles nobody. Deleted people are not in the answer,
        disabled ones are.
        """
        with self.lock:
            values = {role["id"]: role["value"] for role in self._principal(service_principal_id)["appRoles"]}
            entitled: dict[str, set[str]] = {}
            for grant in self.grants(service_principal_id):
                if exclude_default_access and grant.app_role_id == DEFAULT_ACCESS:
                    continue
                for user_id in self._users_behind(grant):
                    roles = entitled.setdefault(user_id, set())
                    if values.get(grant.app_role_id):
                        roles.add(values[grant.app_role_id])
            return {user_id: frozenset(roles) for user_id, roles in entitled.items()}

    def _users_behind(self, grant: AppRoleAssignment) -> Iterable[str]:
        if grant.principal_kind is Kind.USER:
            return (grant.principal_id,)
        if grant.principal_kind is Kind.GROUP:
            return (member for member, kind in self.members[grant.principal_id].items() if kind is Kind.USER)
        return ()

    # People

    def hire(self, **properties: Any) -> str:
        """Adds the next person, with `properties` on top of what is drawn (None: never set); returns the id.

        The new one joins the dynamic groups its properties match and gets a manager, as everyone else did.
        """
        with self.lock:
            index = self._next_person
            self._next_person += 1
            user = draw_user(self.seed, index) | properties
            user_id = str(user["id"])
            user = {name: value for name, value in user.items() if value is not None}
            self.users[user_id] = to_json(user)
            manager_id = guid(self.seed, "user", (index - 1) // MANAGER_SPAN)
            if user.get("userType") == "Member" and manager_id in self.users:
                self.managers[user_id] = manager_id
                self._reports.setdefault(manager_id, set()).add(user_id)
            self._write_down(Kind.USER, user_id, Event.CREATED)
            self._follow_dynamic_rules(user_id, before=set(), after=dynamic_keys_of(user))
            return user_id

    def update(self, user_id: str, **properties: Any) -> None:
        """Changes properties of a user; None clears one. What already has the value is no change."""
        with self.lock:
            user = self.user(user_id)
            changed = {name: value for name, value in properties.items() if user.get(name) != value}
            if not changed:
                return
            before = dynamic_keys_of(user)
            user.update(changed)
            self.users[user_id] = to_json(user)
            self._write_down(Kind.USER, user_id, Event.UPDATED, properties=frozenset(changed))
            self._follow_dynamic_rules(user_id, before=before, after=dynamic_keys_of(user))

    def disable(self, user_id: str) -> None:
        """Blocks the user's sign-in: an ordinary change of `accountEnabled`."""
        self.update(user_id, accountEnabled=False)

    def enable(self, user_id: str) -> None:
        """Allows the user's sign-in again."""
        self.update(user_id, accountEnabled=True)

    def set_manager(self, user_id: str, manager_id: str | None) -> None:
        """Gives the user another manager, or none."""
        with self.lock:
            self.user(user_id)
            if manager_id is not None:
                self.user(manager_id)
            former = self.managers.get(user_id)
            if former == manager_id:
                return
            self._reports.get(former or "", set()).discard(user_id)
            if manager_id is None:
                self.managers.pop(user_id)
            else:
                self.managers[user_id] = manager_id
                self._reports.setdefault(manager_id, set()).add(user_id)
            self._write_down_manager(user_id, former)

    def soft_delete(self, user_id: str) -> None:
        """Moves the user to the deleted items; memberships and grants sleep until a restore."""
        with self.lock:
            user = self.user(user_id)
            groups = [group_id for group_id, members in self.members.items() if user_id in members]
            for group_id in groups:
                self.remove_member(group_id, user_id)
            self._kept_memberships[user_id] = groups
            del self.users[user_id]
            self.deleted_users[user_id] = user
            self._write_down(Kind.USER, user_id, Event.SOFT_DELETED)
            user["deletedDateTime"] = self._stamp()
            for report_id in self._living_reports(user_id):
                self._write_down_manager(report_id, user_id)

    def mass_delete(self, fraction: float) -> list[str]:
        """Soft-deletes the youngest `fraction` of the people, as a broken HR feed does; returns their ids."""
        with self.lock:
            count = round(len(self.users) * fraction)
            gone = self.user_ids()[-count:] if count else []
            for user_id in gone:
                self.soft_delete(user_id)
            return gone

    def restore(self, user_id: str) -> None:
        """Brings a user back from the deleted items, with memberships, grants and reports."""
        with self.lock:
            user = self._take_deleted(user_id)
            user.pop("deletedDateTime")
            self.users[user_id] = to_json(user)
            self._write_down(Kind.USER, user_id, Event.RESTORED)
            for group_id in self._kept_memberships.pop(user_id, []):
                if group_id in self.groups:
                    self.add_member(group_id, user_id)
            for report_id in self._living_reports(user_id):
                self._write_down_manager(report_id, None)

    def purge(self, user_id: str) -> None:
        """Deletes the user for good, from the deleted items or straight from the directory."""
        with self.lock:
            if user_id in self.users:
                self.soft_delete(user_id)
            self._take_deleted(user_id)
            self._kept_memberships.pop(user_id, None)
            for report_id in self._reports.pop(user_id, set()):
                self.managers.pop(report_id, None)
            self.managers.pop(user_id, None)
            self._write_down(Kind.USER, user_id, Event.DELETED)
            self._revoke_all_of(user_id)

    # Groups

    def create_group(self, display_name: str, *, unified: bool = False, members: Iterable[str] = ()) -> str:
        """Adds a security group (a Microsoft 365 group when `unified`) and returns its id."""
        with self.lock:
            group_id = guid(self.seed, "group", display_name, self.number)
            self.groups[group_id] = new_group(group_id, display_name, unified=unified)
            self.members[group_id] = {}
            self._write_down(Kind.GROUP, group_id, Event.CREATED)
            for member_id in members:
                self.add_member(group_id, member_id)
            return group_id

    def update_group(self, group_id: str, **properties: Any) -> None:
        """Changes properties of a group; None clears one."""
        with self.lock:
            self._change_properties(self._group(group_id), Kind.GROUP, properties)

    def delete_group(self, group_id: str) -> None:
        """Deletes a group: a security group for good, a Microsoft 365 group into the deleted items."""
        with self.lock:
            group = self._group(group_id)
            for parent_id, members in self.members.items():
                if group_id in members:
                    self.remove_member(parent_id, group_id)
            del self.groups[group_id]
            del self.members[group_id]
            self._dynamic_groups = {key: held for key, held in self._dynamic_groups.items() if held != group_id}
            if "Unified" in group["groupTypes"]:
                self._write_down(Kind.GROUP, group_id, Event.SOFT_DELETED)
                self.deleted_groups[group_id] = group | {"deletedDateTime": self._stamp()}
            else:
                self._write_down(Kind.GROUP, group_id, Event.DELETED)
                self._revoke_all_of(group_id)

    def add_member(self, group_id: str, member_id: str) -> None:
        """Makes a user, group, device or application a direct member of a group; no change if it is one."""
        with self.lock:
            self._group(group_id)
            kind = self.kind_of(member_id)
            if member_id not in self.members[group_id]:
                self.members[group_id][member_id] = kind
                self._write_down(Kind.GROUP, group_id, Event.MEMBER_ADDED, related=Related(member_id, kind))

    def remove_member(self, group_id: str, member_id: str) -> None:
        """Ends a direct membership; no change if there is none."""
        with self.lock:
            self._group(group_id)
            kind = self.members[group_id].pop(member_id, None)
            if kind is not None:
                self._write_down(Kind.GROUP, group_id, Event.MEMBER_REMOVED, related=Related(member_id, kind))

    # Applications

    def create_service_principal(self, display_name: str, *, object_id: str | None = None) -> str:
        """Adds an application with the roles User, Admin and msiam_access and returns its id (`object_id` if given)."""
        with self.lock:
            principal = service_principal(self.seed, display_name, object_id=object_id)
            self.service_principals[principal["id"]] = principal
            self.assignments[principal["id"]] = {}
            self._write_down(Kind.SERVICE_PRINCIPAL, principal["id"], Event.CREATED)
            return str(principal["id"])

    def update_service_principal(self, service_principal_id: str, **properties: Any) -> None:
        """Changes properties of an application, for example `appRoles`."""
        with self.lock:
            self._change_properties(self._principal(service_principal_id), Kind.SERVICE_PRINCIPAL, properties)

    def assign(self, service_principal_id: str, principal_id: str, role_id: str = DEFAULT_ACCESS) -> str:
        """Grants a role to a principal and returns the id of the grant; the same grant twice is one."""
        with self.lock:
            self._principal(service_principal_id)
            kind = self.kind_of(principal_id)
            for grant in self.grants(service_principal_id):
                if (grant.principal_id, grant.app_role_id) == (principal_id, role_id):
                    return grant.id
            number = self._touch_grants(service_principal_id)
            grant = AppRoleAssignment(
                id=opaque_id(service_principal_id, principal_id, role_id, number),
                resource_id=service_principal_id,
                principal_id=principal_id,
                principal_kind=kind,
                app_role_id=role_id,
                created_at=self._stamp(),
                granted=number,
            )
            self.assignments[service_principal_id][grant.id] = grant
            return grant.id

    def unassign(self, *grant: str) -> None:
        """Revokes a grant, named by its id or by (service principal id, principal id, role id)."""
        with self.lock:
            found = [held for held in self._all_grants() if held.revoked is None and self._is_named(held, grant)]
            if not found:
                raise NotInTenantError("no such app role assignment")
            for held in found:
                held.revoked = self._touch_grants(held.resource_id)

    def _change_properties(self, target: JsonObject, kind: Kind, properties: JsonObject) -> None:
        changed = {name: value for name, value in properties.items() if target.get(name) != value}
        if changed:
            target.update(changed)
            self._write_down(kind, target["id"], Event.UPDATED, properties=frozenset(changed))

    def _follow_dynamic_rules(self, user_id: str, *, before: set[tuple[str, str]], after: set[tuple[str, str]]) -> None:
        for key in sorted(before - after):
            if key in self._dynamic_groups:
                self.remove_member(self._dynamic_groups[key], user_id)
        for key in sorted(after - before):
            if key in self._dynamic_groups:
                self.add_member(self._dynamic_groups[key], user_id)

    def _living_reports(self, manager_id: str) -> list[str]:
        return sorted(report for report in self._reports.get(manager_id, ()) if report in self.users)

    def _revoke_all_of(self, principal_id: str) -> None:
        for held in self._all_grants():
            if held.principal_id == principal_id and held.revoked is None:
                held.revoked = self._touch_grants(held.resource_id)

    @staticmethod
    def _is_named(held: AppRoleAssignment, name: tuple[str, ...]) -> bool:
        return name in ((held.id,), (held.resource_id, held.principal_id, held.app_role_id))

    def _take_deleted(self, user_id: str) -> JsonObject:
        try:
            return self.deleted_users.pop(user_id)
        except KeyError:
            raise NotInTenantError(f"user {user_id} is not among the deleted items") from None
