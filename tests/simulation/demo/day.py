"""A day of changes in the tenant: joiners, movers, leavers, groups. The same seed gives the same day."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from random import Random

from tests.simulation.graph.changes import Kind
from tests.simulation.tenant import Tenant

FORTES_GUARD = {"max_count": 2, "max_percent": 100, "min_population": 0}
"""The threshold at Fortes: one ordinary leaver a day passes, a mistake that hits more people is held."""

NIGHT_SHIFT = "Night shift"
PROJECT = "Project 000"
"""A group at Clarizen One that gives the account there, and changes its name in the morning."""

RENAMED = "Project Apollo"
COMMITTEE = "Steering committee"
FOR_THE_GROUP_ALONE = "Technology"
"""A group at Clarizen One that gives nobody an account: its role is Default Access."""

_JOINING = ("Support", "Sales", "Engineering", "Legal")


class Day:
    """Every method changes the tenant and yields what it did, in words."""

    def __init__(self, tenant: Tenant, principals: Mapping[str, str], *, seed: int) -> None:
        self._tenant = tenant
        self._principals = principals
        self._dice = Random(f"{seed} day")
        self._used: set[str] = set()
        self._people = len(tenant.users)
        self._night_shift = self._form_night_shift()
        self._project = tenant.group_id_of(PROJECT)
        self._leaves_project = self._pick("clarizen", count=1, where=lambda user: self._is_member(user, self._project))
        self._committee = ""
        self._newcomer = ""
        self._late_manager = ""
        self._on_leave: list[str] = []
        self._to_restore: list[str] = []
        self._to_purge: list[str] = []

    def morning(self) -> Iterator[str]:
        """People join, a guest comes, titles change."""
        joiners = [
            self._tenant.hire(department=_JOINING[at % len(_JOINING)], accountEnabled=True, userType="Member")
            for at in range(max(3, self._people // 40))
        ]
        self._used.update(joiners)
        yield f"{len(joiners)} people join; their departments give them PureCloud, Fortes and Fuze"
        self._assign("clarizen", joiners[0])
        self._tenant.add_member(self._group(FOR_THE_GROUP_ALONE), joiners[0])
        yield f"the first of them is also assigned to Clarizen One, and a member of {FOR_THE_GROUP_ALONE} there"
        self._late_manager = joiners[1]
        self._tenant.set_manager(joiners[0], self._late_manager)
        yield "and reports to the second, who has no account there yet"
        guest = self._tenant.hire(
            userPrincipalName="visitor_partner.example#EXT#@contoso.onmicrosoft.example",
            mail="visitor@partner.example",
            displayName="Vera Visitor (Partner)",
            userType="Guest",
            accountEnabled=True,
        )
        self._used.add(guest)
        self._assign("clarizen", guest)
        yield "a guest is invited and assigned to Clarizen One"
        promoted = self._pick("clarizen", count=max(2, self._people // 40), spare=True)
        for user_id in promoted:
            self._tenant.update(user_id, jobTitle="Head of Everything Else")
        yield f"{len(promoted)} people at Clarizen One get another title"
        for user_id in promoted[:1]:
            self._tenant.set_manager(user_id, joiners[0])
            yield "one of them gets another manager"
        yield from self._form_committee()
        yield from self._start_project(joiners[2])

    def noon(self) -> Iterator[str]:
        """People move and leave."""
        yield from self._marry()
        yield from self._swap_names()
        yield from self._move_department()
        yield from self._leave()
        for user_id in self._leaves_project:
            self._tenant.remove_member(self._project, user_id)
            yield f"one person leaves the group {RENAMED}"

    def afternoon(self) -> Iterator[str]:
        """Some come back, somebody is deleted for good, groups change."""
        for user_id in self._on_leave:
            self._tenant.enable(user_id)
            yield "the person on leave is enabled again"
        for user_id in self._to_restore:
            self._tenant.restore(user_id)
            yield "a deleted person is restored, with memberships and assignments"
        for user_id in self._to_purge:
            self._tenant.purge(user_id)
            yield "another deleted person is purged for good"
        self._assign("clarizen", self._late_manager)
        yield "the manager who had no account at Clarizen One is assigned"
        self._assign("fortes", self._group("Legal"))
        yield f"the group Legal ({len(self._tenant.members[self._group('Legal')])} people) is assigned to Fortes"
        if left := len(self._tenant.members[self._night_shift]):
            self._unassign("purecloud", self._night_shift)
            yield f"the group {NIGHT_SHIFT} ({left} people) is no longer assigned to PureCloud"
        self._tenant.enable(self._newcomer)
        yield f"the newcomer of {RENAMED} is enabled, and so gets an account at Clarizen One"
        self._tenant.delete_group(self._committee)
        yield f"the group {COMMITTEE} is deleted for good"
        self._unassign("clarizen", self._group(FOR_THE_GROUP_ALONE))
        yield f"the group {FOR_THE_GROUP_ALONE} is no longer assigned to Clarizen One"

    def evening(self) -> Iterator[str]:
        """A mistake: every assignment of Fortes is removed."""
        principal = self._principals["fortes"]
        for grant in list(self._tenant.grants(principal)):
            self._tenant.unassign(grant.id)
        yield "somebody removes every assignment of Fortes Change Cloud by mistake"

    def _form_committee(self) -> Iterator[str]:
        """Makes a group at Clarizen One of people who keep their accounts there without it."""
        candidates = self._effective("clarizen") & self._tenant.members[self._group("Project 001")].keys()
        members = self._dice.sample(sorted(candidates), min(3, len(candidates)))
        self._committee = self._tenant.create_group(COMMITTEE, members=members)
        self._assign("clarizen", self._committee)
        yield f"the group {COMMITTEE} ({len(members)} people) is formed and assigned to Clarizen One"

    def _start_project(self, joiner: str) -> Iterator[str]:
        self._tenant.update_group(self._project, displayName=RENAMED)
        yield f"the group {PROJECT} is renamed {RENAMED}"
        self._tenant.add_member(self._project, joiner)
        yield "one of those who joined becomes a member of it, and so gets Clarizen One"
        self._newcomer = self._tenant.hire(department="Finance", accountEnabled=False, userType="Member")
        self._used.add(self._newcomer)
        self._tenant.add_member(self._project, self._newcomer)
        yield "a newcomer is a member of it too, but not enabled yet and without an account"

    def _marry(self) -> Iterator[str]:
        for user_id in self._pick("fuze", count=1, spare=True):
            alias = f"renamed.person.{user_id[:4]}"
            self._tenant.update(
                user_id,
                surname="O'Brien-Müller",
                displayName=f"{self._tenant.user(user_id)['givenName']} O'Brien-Müller",
                userPrincipalName=f"{alias}@contoso.example",
                mail=f"{alias}@contoso.example",
                mailNickname=alias,
            )
            yield "one person marries: surname, display name, user name and mail change together"

    def _swap_names(self) -> Iterator[str]:
        pair = self._pick("clarizen", count=2, spare=True, where=lambda user: bool(user.get("mail")))
        if len(pair) < 2:
            return
        names = [
            {name: self._tenant.user(user_id)[name] for name in ("userPrincipalName", "mail", "mailNickname")}
            for user_id in pair
        ]
        self._tenant.update(pair[0], **names[1])
        self._tenant.update(pair[1], **names[0])
        yield "two people swap user name and mail"

    def _move_department(self) -> Iterator[str]:
        for user_id in self._pick("fortes", count=1, where=lambda user: user.get("department") == "Engineering"):
            self._tenant.update(user_id, department="Support", jobTitle="Support Engineer")
            yield "one engineer moves to Support: leaves Fortes, joins PureCloud"

    def _leave(self) -> Iterator[str]:
        for user_id in self._pick("fuze", count=1, spare=True):
            self._tenant.disable(user_id)
            yield "one person leaves: disabled"
        for user_id in self._pick("fuze", count=1, spare=True):
            self._on_leave.append(user_id)
            self._tenant.disable(user_id)
            yield "one person goes on leave: disabled for now"
        for user_id in self._pick("clarizen", count=1, spare=True):
            self._to_purge.append(user_id)
            self._tenant.soft_delete(user_id)
            yield "one person at Clarizen One is deleted (and can be restored)"
        for user_id in self._pick("fuze", count=1, spare=True):
            self._to_restore.append(user_id)
            self._tenant.soft_delete(user_id)
            yield "one person is deleted by mistake"
        for user_id in self._directly_assigned("clarizen")[:1]:
            self._used.add(user_id)
            self._unassign("clarizen", user_id)
            yield "one person is no longer assigned to Clarizen One"
        for user_id in sorted(self._tenant.members[self._night_shift])[:1]:
            self._tenant.remove_member(self._night_shift, user_id)
            yield f"one person leaves the group {NIGHT_SHIFT}, and with it PureCloud"

    def _form_night_shift(self) -> str:
        """Makes a small group, assigned to PureCloud, of people who have no other way there."""
        elsewhere = {
            user_id
            for name in ("purecloud", "fortes")
            for user_id in self._tenant.effective_users(self._principals[name], exclude_default_access=False)
        }
        outsiders = [each for each in sorted(self._tenant.users) if each not in elsewhere and self._is_employee(each)]
        members = self._dice.sample(outsiders, min(3, len(outsiders)))
        self._used.update(members)
        group = self._tenant.create_group(NIGHT_SHIFT, members=members)
        self._assign("purecloud", group)
        return group

    def _pick(
        self,
        application: str,
        *,
        count: int,
        spare: bool = False,
        where: Callable[[Mapping[str, object]], bool] = lambda _: True,
    ) -> list[str]:
        """Draws people of an application to whom nothing happened yet; with `spare` none of Fortes's."""
        candidates = self._effective(application) - (self._effective("fortes") if spare else set()) - self._used
        fitting = [each for each in sorted(candidates) if self._is_employee(each) and where(self._tenant.user(each))]
        chosen = self._dice.sample(fitting, min(count, len(fitting)))
        self._used.update(chosen)
        return chosen

    def _is_employee(self, user_id: str) -> bool:
        user = self._tenant.user(user_id)
        return bool(user["accountEnabled"]) and user["userType"] == "Member"

    def _effective(self, application: str) -> set[str]:
        """Answers with those who have the role User: others may be refused by a vendor."""
        effective = self._tenant.effective_users(self._principals[application], exclude_default_access=True)
        return {user_id for user_id, roles in effective.items() if "User" in roles}

    def _directly_assigned(self, application: str) -> list[str]:
        """Answers with those who have an application through grants of their own and through no group."""
        grants = list(self._tenant.grants(self._principals[application]))
        groups = [grant.principal_id for grant in grants if grant.principal_kind is Kind.GROUP]
        members = {member for group_id in groups for member in self._tenant.members[group_id]}
        own = {grant.principal_id for grant in grants if grant.principal_kind is Kind.USER}
        candidates = (own & self._effective(application)) - members - self._used
        return [each for each in sorted(candidates) if self._is_employee(each)]

    def _assign(self, application: str, principal_id: str) -> None:
        roles = self._tenant.service_principals[self._principals[application]]["appRoles"]
        role = next(role["id"] for role in roles if role["displayName"] == "User")
        self._tenant.assign(self._principals[application], principal_id, role)

    def _unassign(self, application: str, principal_id: str) -> None:
        for grant in list(self._tenant.grants(self._principals[application])):
            if grant.principal_id == principal_id:
                self._tenant.unassign(grant.id)

    def _group(self, display_name: str) -> str:
        return self._tenant.group_id_of(display_name)

    def _is_member(self, user: Mapping[str, object], group_id: str) -> bool:
        return user["id"] in self._tenant.members[group_id]
