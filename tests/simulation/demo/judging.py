"""What accounts every vendor should hold, worked out from the tenant alone, and how those it holds differ. Pure.

Nothing of the product is used here: entitlement is the tenant's own oracle, and the attributes are written down once
more from the vendors' tables. A judge who shared code with the judged would share its mistakes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from tests.simulation.demo.beforehand import Beforehand
from tests.simulation.demo.expectations import Difference, Expected, ExpectedGroup, Kind, Wanted
from tests.simulation.demo.judging_groups import GroupJudge
from tests.simulation.tenant import Tenant

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
DELETES_FOR_GOOD = frozenset({"purecloud", "clarizen"})
"""Whose profile removes the account of a person who is gone for good; the others switch it off."""

HAVE_MANAGERS = frozenset({"purecloud", "clarizen"})
"""Where accounts refer to the account of the manager."""

ONLY_ROLE = {"clarizen": "User"}
"""The one app role a vendor takes. Who has only others is refused before anything is sent, and has no account."""

User = Mapping[str, Any]
Resource = Mapping[str, Any]


def _property(name: str) -> Callable[[User], str | None]:
    return lambda user: user.get(name) or None


def _user_name(user: User) -> str:
    """The user principal name; a guest's `alias_domain#EXT#@tenant` counts as `alias@domain`, as at Entra."""
    name = str(user["userPrincipalName"])
    home, mark, _tenant = name.partition("#EXT#")
    return "@".join(home.rsplit("_", 1)) if mark else name


def _joined_name(user: User) -> str | None:
    return " ".join(filter(None, (user.get("givenName"), user.get("surname")))) or None


_NAMES = {"userName": _user_name, "work e-mail": _property("mail")}
_PERSON = {"given name": _property("givenName"), "family name": _property("surname")}
_JOB = {
    "display name": _property("displayName"),
    "title": _property("jobTitle"),
    "department": _property("department"),
    "employee number": _property("employeeId"),
}
MAPPED: Mapping[str, Mapping[str, Callable[[User], str | None]]] = {
    "fuze": {**_NAMES, **_PERSON, "work e-mail": lambda user: user.get("mail") or _user_name(user)},
    "fortes": {**_NAMES, **_PERSON, "formatted name": _joined_name, "external id": _property("id")},
    "purecloud": {**_NAMES, **_JOB},
    "clarizen": {**_NAMES, **_PERSON, **_JOB, "formatted name": _joined_name, "external id": _property("id")},
}
"""Application -> attribute in words -> where its value comes from."""


def _work_email(resource: Resource) -> str | None:
    return next((each.get("value") for each in resource.get("emails") or [] if each.get("type") == "work"), None)


def _name_part(part: str) -> Callable[[Resource], str | None]:
    return lambda resource: (resource.get("name") or {}).get(part)


READ: Mapping[str, Callable[[Resource], str | None]] = {
    "userName": lambda resource: resource.get("userName"),
    "display name": lambda resource: resource.get("displayName"),
    "given name": _name_part("givenName"),
    "family name": _name_part("familyName"),
    "formatted name": _name_part("formatted"),
    "work e-mail": _work_email,
    "title": lambda resource: resource.get("title"),
    "department": lambda resource: (resource.get(ENTERPRISE) or {}).get("department"),
    "employee number": lambda resource: (resource.get(ENTERPRISE) or {}).get("employeeNumber"),
    "external id": lambda resource: resource.get("externalId"),
}
"""Attribute in words -> where it is in the vendor's resource."""


class Judge:
    """Remembers who was entitled so far, because an account outlives its entitlement."""

    def __init__(
        self, tenant: Tenant, principals: Mapping[str, str], *, beforehand: Mapping[str, Beforehand] | None = None
    ) -> None:
        """`beforehand` is what the vendors held before the first cycle."""
        self._tenant = tenant
        self._principals = principals
        self._beforehand = beforehand or {}
        self._groups = GroupJudge(tenant, principals, self._beforehand)
        self._known: dict[str, dict[str, Expected]] = {application: {} for application in principals}
        self._passing: dict[str, dict[str, Expected]] = {application: {} for application in principals}
        self._names: dict[str, set[str]] = {}

    def entitled(self, application: str) -> dict[str, Expected]:
        """Answers with everybody who should have an active account now."""
        found: dict[str, Expected] = {}
        for user_id, roles in self._assigned(application).items():
            user = self._tenant.user(user_id)
            if _is_accepted(application, roles):
                attributes = {words: value_of(user) for words, value_of in MAPPED[application].items()}
                found[user_id] = Expected(
                    user_id=user_id,
                    user_name=_user_name(user),
                    wanted=Wanted.ACTIVE,
                    attributes=attributes,
                )
        return found

    def refused(self, application: str) -> frozenset[str]:
        """Answers with everybody whose roles the vendor does not take."""
        assigned = self._assigned(application)
        return frozenset(user_id for user_id, roles in assigned.items() if not _is_accepted(application, roles))

    def _assigned(self, application: str) -> dict[str, frozenset[str]]:
        effective = self._tenant.effective_users(self._principals[application], exclude_default_access=True)
        return {user_id: roles for user_id, roles in effective.items() if self._tenant.user(user_id)["accountEnabled"]}

    def note(self) -> None:
        """All is quiet: whoever is entitled now has an account from here on."""
        for application, known in self._known.items():
            known.update(self.entitled(application))
        self._groups.note()

    def note_passing(self) -> None:
        """Something has changed and more will: whoever is entitled now may get an account, under the name of now."""
        for application, passing in self._passing.items():
            for user_id, now in self.entitled(application).items():
                passing[user_id] = now
                self._names.setdefault(user_id, set()).add(now.user_name)

    def names_of(self, user_id: str) -> frozenset[str]:
        """Answers with every user name that an account of a person may have got from us."""
        return frozenset(self._names.get(user_id, ()))

    def own_accounts(self, application: str) -> frozenset[str]:
        """Answers with the user names of the vendor's own accounts, which nobody here may touch."""
        return frozenset(self._beforehand.get(application, Beforehand()).accounts)

    def expected(self, application: str, *, held: Iterable[str] = ()) -> dict[str, Expected]:
        """Answers with every account there should be; those `held` stay as they were noted last."""
        entitled = self.entitled(application)
        kept = frozenset(held)
        found = {
            user_id: entitled.get(user_id) or self._left(application, former, is_held=user_id in kept)
            for user_id, former in {**self._known[application], **entitled}.items()
        }
        for user_id, former in self._passing[application].items():
            found.setdefault(user_id, replace(self._left(application, former, is_held=False), wanted=Wanted.NOT_ACTIVE))
        if application in HAVE_MANAGERS:
            found |= {user_id: replace(found[user_id], manager=self._manager(user_id, found)) for user_id in entitled}
        return {**found, **self._own(application)}

    def expected_groups(self, application: str, accounts: Mapping[str, Expected] | None = None) -> list[ExpectedGroup]:
        """Answers with every group there should be, and those that should be no more, with members of `accounts`."""
        return self._groups.expected(application, self.expected(application) if accounts is None else accounts)

    def missing_groups(self, application: str) -> frozenset[str]:
        """Answers with the groups that a person still has to make at the vendor."""
        return self._groups.missing(application)

    def _own(self, application: str) -> dict[str, Expected]:
        """The vendor's own accounts: as they were, because nobody here may touch them."""
        held = self._beforehand.get(application, Beforehand())
        return {
            user_name: Expected(
                user_id=user_name,
                user_name=user_name,
                wanted=Wanted.ACTIVE,
                attributes={"userName": user_name, "display name": display_name, "title": None, "external id": None},
            )
            for user_name, display_name in held.accounts.items()
        }

    def _manager(self, user_id: str, expected: Mapping[str, Expected]) -> str | None:
        """The manager, if there is an account of theirs; what becomes of one who left is the vendor's business."""
        manager = expected.get(self._tenant.manager_of(user_id) or "")
        if manager is None:
            return ""
        return manager.user_name if manager.wanted is Wanted.ACTIVE else None

    def _left(self, application: str, former: Expected, *, is_held: bool) -> Expected:
        if is_held:
            return former
        is_purged = former.user_id not in self._tenant.users and former.user_id not in self._tenant.deleted_users
        wanted = Wanted.GONE if is_purged and application in DELETES_FOR_GOOD else Wanted.INACTIVE
        return Expected(
            user_id=former.user_id,
            user_name=former.user_name,
            wanted=wanted,
            former_names=self.names_of(former.user_id),
        )


def _is_accepted(application: str, roles: frozenset[str]) -> bool:
    return application not in ONLY_ROLE or ONLY_ROLE[application] in roles


def as_found(expected: Mapping[str, Expected], resources: Iterable[Resource]) -> dict[str, Expected]:
    """Answers with what is expected once it is settled what changes in quick succession leave open.

    Whoever left keeps the name the account had then, and whoever was entitled too briefly has an account or not.
    """
    held = {str(each.get("userName", "")).casefold(): each for each in resources if not each.get("_deleted")}
    settled = {}
    for key, each in expected.items():
        if each.wanted not in (Wanted.INACTIVE, Wanted.NOT_ACTIVE):
            settled[key] = each
            continue
        names = [name for name in (each.user_name, *sorted(each.former_names)) if name.casefold() in held]
        if names:
            settled[key] = replace(each, user_name=str(held[names[0].casefold()]["userName"]), wanted=Wanted.INACTIVE)
        elif each.wanted is Wanted.INACTIVE:
            settled[key] = each
    return settled


def compare(application: str, expected: Iterable[Expected], resources: Iterable[Resource]) -> list[Difference]:
    """Answers with everything in which a vendor's accounts differ from what is expected."""
    present = [resource for resource in resources if not resource.get("_deleted")]
    unclaimed = {id(resource): resource for resource in present}
    names = {str(resource.get("id")): str(resource.get("userName")) for resource in present}
    by_name: dict[str, list[Resource]] = {}
    for resource in present:
        by_name.setdefault(str(resource.get("userName", "")).casefold(), []).append(resource)
    differences: list[Difference] = []
    # Those who should be active first: a name that somebody left may have a new owner.
    for wanted in sorted(expected, key=lambda each: each.wanted is not Wanted.ACTIVE):
        held = [found for found in by_name.get(wanted.user_name.casefold(), []) if id(found) in unclaimed]
        if not held and wanted.wanted is not Wanted.GONE:
            text = f"should be {wanted.wanted} and does not exist"
            differences.append(_difference(application, Kind.MISSING, wanted.user_name, text))
        for resource in held[:1]:
            del unclaimed[id(resource)]
            differences += _compare_one(application, wanted, resource, names=names)
    for resource in unclaimed.values():
        text = f"exists (active: {bool(resource.get('active'))}) and nobody should have it"
        differences.append(_difference(application, Kind.EXTRA, str(resource.get("userName")), text))
    return differences


def _compare_one(
    application: str, expected: Expected, resource: Resource, *, names: Mapping[str, str]
) -> list[Difference]:
    if expected.wanted is Wanted.GONE:
        return [_difference(application, Kind.EXTRA, expected.user_name, "was deleted for good and still exists")]
    wrong = []
    should_be_active = expected.wanted is Wanted.ACTIVE
    if bool(resource.get("active")) is not should_be_active:
        wrong.append(f"active is {resource.get('active')}, should be {should_be_active}")
    for words, value in expected.attributes.items():
        held = READ[words](resource) or None
        if held != value:
            wrong.append(f"{words} is {held!r}, should be {value!r}")
    manager = names.get(str(((resource.get(ENTERPRISE) or {}).get("manager") or {}).get("value")), "")
    if expected.manager is not None and manager.casefold() != expected.manager.casefold():
        wrong.append(f"manager is {manager!r}, should be {expected.manager!r}")
    return [_difference(application, Kind.WRONG, expected.user_name, "; ".join(wrong))] if wrong else []


def _difference(application: str, kind: Kind, name: str, text: str) -> Difference:
    return Difference(application=application, kind=kind, name=name, text=text)
