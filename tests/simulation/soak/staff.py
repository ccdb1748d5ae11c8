"""The people of the soak: who joins, moves, leaves and comes back. The same seed and order give the same changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random

from tests.simulation.graph.changes import AppRoleAssignment, Kind
from tests.simulation.graph.names import DEPARTMENTS
from tests.simulation.soak.plan import Change
from tests.simulation.tenant import Tenant

CREWS = {"North crew": "clarizen", "South crew": "clarizen", "Night shift": "purecloud"}
"""Group -> the application it gives. Only the soak moves people in and out of them."""

DIRECTLY = ("fortes", "clarizen")
"""Applications that are assigned to single people, too."""

_TITLES = ("Engineer", "Analyst", "Head of Something", "Coordinator", "Advisor", "Clerk")
_FIRST_MEMBERS = 5
_STAY_ENABLED = 0.6
"""Of those who were there in the beginning."""


class Staff:
    """Changes the tenant, one person at a time."""

    def __init__(self, tenant: Tenant, principals: Mapping[str, str], *, seed: int) -> None:
        """Forms the crews: before the first cycle, so that people can make the groups at the vendors."""
        self._tenant = tenant
        self._principals = principals
        self._dice = Random(f"{seed} staff")
        self._number = 0
        self._fewest = round(len(self._employees()) * _STAY_ENABLED)
        self._disabled: list[str] = []
        self._crews = {name: self._form(name, application) for name, application in CREWS.items()}
        self._hands: Mapping[Change, Callable[[], bool]] = {
            Change.JOINER: self._hire,
            Change.TITLE: self._retitle,
            Change.RENAME: self._rename,
            Change.MANAGER: self._change_manager,
            Change.MOVE: self._move,
            Change.DISABLE: self._disable,
            Change.ENABLE: self._enable,
            Change.GROUP_JOIN: self._join,
            Change.GROUP_LEAVE: self._leave,
            Change.ASSIGN: self._assign,
            Change.UNASSIGN: self._unassign,
        }

    def change(self, change: Change) -> bool:
        """Does it to somebody; answers with False if there is nobody to do it to."""
        self._number += 1
        return self._hands[change]()

    def _hire(self) -> bool:
        department = self._dice.choice(DEPARTMENTS)
        self._tenant.hire(department=department, accountEnabled=True, userType="Member")
        return True

    def _retitle(self) -> bool:
        return self._update(jobTitle=f"{self._dice.choice(_TITLES)} {self._number}")

    def _rename(self) -> bool:
        """Surname, display name, user name and mail change together, as they do when people marry."""
        user_id = self._draw(self._employees())
        if not user_id:
            return False
        alias, surname = f"person.{self._number}", f"O'Neil-Müller {self._number}"
        self._tenant.update(
            user_id,
            surname=surname,
            displayName=f"{self._tenant.user(user_id)['givenName']} {surname}",
            userPrincipalName=f"{alias}@contoso.example",
            mail=f"{alias}@contoso.example",
            mailNickname=alias,
        )
        return True

    def _change_manager(self) -> bool:
        pair = self._dice.sample(self._employees(), 2)
        self._tenant.set_manager(pair[0], pair[1])
        return True

    def _move(self) -> bool:
        return self._update(department=self._dice.choice(DEPARTMENTS))

    def _disable(self) -> bool:
        employees = self._employees()
        if len(employees) <= self._fewest:
            return False
        user_id = self._draw(employees)
        self._tenant.disable(user_id)
        self._disabled.append(user_id)
        return True

    def _enable(self) -> bool:
        if not self._disabled:
            return False
        # Mostly the latest, so that many are back before anybody was told that they left.
        at = self._dice.choice((-1, -1, 0))
        self._tenant.enable(self._disabled.pop(at))
        return True

    def _join(self) -> bool:
        name = self._dice.choice(sorted(CREWS))
        outsiders = set(self._steady()) - self._tenant.members[self._crews[name]].keys()
        user_id = self._draw(outsiders)
        if user_id:
            self._tenant.add_member(self._crews[name], user_id)
        return bool(user_id)

    def _leave(self) -> bool:
        name = self._dice.choice(sorted(CREWS))
        user_id = self._draw(self._tenant.members[self._crews[name]])
        if user_id:
            self._tenant.remove_member(self._crews[name], user_id)
        return bool(user_id)

    def _assign(self) -> bool:
        application = self._dice.choice(DIRECTLY)
        user_id = self._draw(set(self._steady()) - self._assigned(application))
        if user_id:
            self._tenant.assign(self._principals[application], user_id, self._user_role(application))
        return bool(user_id)

    def _unassign(self) -> bool:
        application = self._dice.choice(DIRECTLY)
        user_id = self._draw(self._assigned(application) & set(self._steady()))
        if user_id:
            self._tenant.unassign(self._principals[application], user_id, self._user_role(application))
        return bool(user_id)

    def _update(self, **properties: str) -> bool:
        user_id = self._draw(self._employees())
        if user_id:
            self._tenant.update(user_id, **properties)
        return bool(user_id)

    def _draw(self, candidates: Iterable[str]) -> str:
        """One of them, empty if there is none."""
        candidates = sorted(candidates)
        return self._dice.choice(candidates) if candidates else ""

    def _employees(self) -> list[str]:
        people = {user_id: self._tenant.user(user_id) for user_id in self._tenant.user_ids()}
        return sorted(each for each, user in people.items() if user["accountEnabled"] and user["userType"] == "Member")

    def _steady(self) -> list[str]:
        """Employees without a role of their own that a vendor may refuse: taking the role User away leaves nothing."""
        return sorted(set(self._employees()) - set().union(*(self._otherwise(each) for each in DIRECTLY)))

    def _otherwise(self, application: str) -> set[str]:
        role = self._user_role(application)
        return {each.principal_id for each in self._own_grants(application) if each.app_role_id != role}

    def _assigned(self, application: str) -> set[str]:
        return {each.principal_id for each in self._own_grants(application)}

    def _own_grants(self, application: str) -> Sequence[AppRoleAssignment]:
        grants = self._tenant.grants(self._principals[application])
        return [each for each in grants if each.principal_kind is Kind.USER]

    def _user_role(self, application: str) -> str:
        roles = self._tenant.service_principals[self._principals[application]]["appRoles"]
        return str(next(role["id"] for role in roles if role["displayName"] == "User"))

    def _form(self, name: str, application: str) -> str:
        steady = self._steady()
        members = self._dice.sample(steady, min(_FIRST_MEMBERS, len(steady)))
        group = self._tenant.create_group(name, members=members)
        self._tenant.assign(self._principals[application], group, self._user_role(application))
        return group
