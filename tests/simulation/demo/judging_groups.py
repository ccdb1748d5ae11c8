"""What groups every vendor should hold, with whom, worked out from the tenant alone, and how they differ. Pure.

Like the accounts: nothing of the product is used here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.simulation.demo.beforehand import Beforehand, MadeByHand
from tests.simulation.demo.expectations import Difference, Expected, ExpectedGroup, Kind, Wanted
from tests.simulation.graph.changes import Kind as Principal
from tests.simulation.tenant import Tenant

HAVE_GROUPS = frozenset({"purecloud", "clarizen"})
MAKE_GROUPS = frozenset({"clarizen"})
"""Where a group is made and deleted; elsewhere people do that, and a group is filled and emptied."""

Resource = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupsCompared:
    """What a vendor's groups are against what they should be."""

    agreeing: int
    expected: int
    memberships: int
    """Memberships that should be and are."""
    expected_memberships: int
    differences: Sequence[Difference] = ()


class GroupJudge:
    """Remembers which groups were at a vendor so far, because a group outlives its assignment."""

    def __init__(self, tenant: Tenant, principals: Mapping[str, str], beforehand: Mapping[str, Beforehand]) -> None:
        self._tenant = tenant
        self._principals = principals
        self._beforehand = beforehand
        self._known: dict[str, dict[str, str]] = {application: {} for application in HAVE_GROUPS}

    def note(self) -> None:
        """All is quiet: what is assigned now is at the vendor from here on, under the name it has now."""
        for application, known in self._known.items():
            known.update(self._there(application))

    def missing(self, application: str) -> frozenset[str]:
        """Answers with the groups that a person still has to make at the vendor."""
        if application not in HAVE_GROUPS or application in MAKE_GROUPS:
            return frozenset()
        return frozenset(self._assigned(application).keys() - self._made_by_hand(application).keys())

    def expected(self, application: str, accounts: Mapping[str, Expected]) -> list[ExpectedGroup]:
        """Answers with every group there should be, and those that should be no more.

        A member is who is in the group, directly, and has an account there, switched off or not.
        """
        if application not in HAVE_GROUPS:
            return []
        there, made = self._there(application), self._made_by_hand(application)
        found = []
        for group_id, name in {**self._known[application], **there}.items():
            own = made[group_id].members if group_id in made else frozenset()
            ours = self._members(group_id, accounts) if group_id in there else frozenset()
            is_deleted = group_id not in self._tenant.groups and application in MAKE_GROUPS
            found.append(ExpectedGroup(group_id=group_id, name=name, members=own | ours, exists=not is_deleted))
        return found

    def _there(self, application: str) -> dict[str, str]:
        missing = self.missing(application)
        return {group_id: name for group_id, name in self._assigned(application).items() if group_id not in missing}

    def _assigned(self, application: str) -> dict[str, str]:
        """Id -> name of the groups that are assigned and can be: one for mail alone confers nothing."""
        grants = self._tenant.grants(self._principals[application])
        groups = [self._tenant.groups[each.principal_id] for each in grants if each.principal_kind is Principal.GROUP]
        return {str(group["id"]): str(group["displayName"]) for group in groups if group["securityEnabled"]}

    def _members(self, group_id: str, accounts: Mapping[str, Expected]) -> frozenset[str]:
        members = self._tenant.members[group_id]
        return frozenset(
            accounts[member].user_name.casefold()
            for member, kind in members.items()
            if kind is Principal.USER and member in accounts and accounts[member].wanted is not Wanted.GONE
        )

    def _made_by_hand(self, application: str) -> Mapping[str, MadeByHand]:
        return self._beforehand[application].groups if application in self._beforehand else {}


def compare_groups(
    application: str, expected: Sequence[ExpectedGroup], groups: Iterable[Resource], accounts: Iterable[Resource]
) -> GroupsCompared:
    """Answers with everything in which a vendor's groups differ; `accounts` say who the members are."""
    names = {str(each["id"]): str(each.get("userName")).casefold() for each in accounts if not each.get("_deleted")}
    unclaimed = {str(group["id"]): group for group in groups}
    differences: list[Difference] = []
    memberships = 0
    for wanted in expected:
        group = _find(wanted, unclaimed.values())
        if group is None:
            if wanted.exists:
                differences.append(_difference(application, Kind.MISSING, wanted.name, "should exist and does not"))
            continue
        if not wanted.exists:
            continue
        del unclaimed[str(group["id"])]
        members = Counter(
            names.get(str(member.get("value")), f"nobody ({member.get('value')})")
            for member in group.get("members") or []
        )
        memberships += len(wanted.members & members.keys())
        if wrong := _wrong(wanted, group, members):
            differences.append(_difference(application, Kind.WRONG, wanted.name, "; ".join(wrong)))
    for group in unclaimed.values():
        text = "exists and nobody should have made it, or it should be deleted"
        differences.append(_difference(application, Kind.EXTRA, str(group.get("displayName")), text))
    existing = [each for each in expected if each.exists]
    return GroupsCompared(
        agreeing=len(existing) - sum(each.kind is not Kind.EXTRA for each in differences),
        expected=len(existing),
        memberships=memberships,
        expected_memberships=sum(len(each.members) for each in existing),
        differences=differences,
    )


def _find(wanted: ExpectedGroup, groups: Iterable[Resource]) -> Resource | None:
    """The group with this external id, or else with this name."""
    by_id = [group for group in groups if group.get("externalId") == wanted.group_id]
    by_name = [group for group in groups if group.get("displayName") == wanted.name]
    return next(iter([*by_id, *by_name]), None)


def _wrong(wanted: ExpectedGroup, group: Resource, members: Counter[str]) -> list[str]:
    wrong = [
        f"{words} is {group.get(name)!r}, should be {value!r}"
        for words, name, value in (
            ("the name", "displayName", wanted.name),
            ("the external id", "externalId", wanted.group_id),
        )
        if group.get(name) != value
    ]
    if lacking := wanted.members - members.keys():
        wrong.append(f"lacks {', '.join(sorted(lacking))}")
    if strange := members.keys() - wanted.members:
        wrong.append(f"should not have {', '.join(sorted(strange))}")
    if twice := [name for name, times in members.items() if times > 1]:
        wrong.append(f"has {', '.join(sorted(twice))} more than once")
    return wrong


def _difference(application: str, kind: Kind, name: str, text: str) -> Difference:
    return Difference(application=application, kind=kind, name=name, text=text)
