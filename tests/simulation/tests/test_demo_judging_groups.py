"""The demo's judge of groups: what a vendor should hold, and every way in which it may not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulation.demo.beforehand import FORGOTTEN, FRONT_DESK, prepare
from tests.simulation.demo.expectations import ExpectedGroup, Kind
from tests.simulation.demo.judging import Judge, compare
from tests.simulation.demo.judging_groups import GroupsCompared, compare_groups
from tests.simulation.demo.stage import principals_of
from tests.simulation.tenant import Tenant

ADA, BO = "ada@contoso.example", "bo@contoso.example"
CREW = ExpectedGroup(group_id="g1", name="Crew", members=frozenset({ADA, BO}))
GONE = ExpectedGroup(group_id="g1", name="Crew", exists=False)
ACCOUNTS: list[dict[str, Any]] = [
    {"id": "1", "userName": "Ada@contoso.example", "_deleted": False},
    {"id": "2", "userName": BO, "_deleted": False},
    {"id": "3", "userName": "cy@contoso.example", "_deleted": False},
    {"id": "4", "userName": "dee@contoso.example", "_deleted": True},
]


def _group(*members: str, **more: Any) -> dict[str, Any]:
    values = [{"value": member} for member in members] or None
    return {"id": "v1", "displayName": "Crew", "externalId": "g1", "members": values, **more}


def _found(expected: ExpectedGroup, *groups: dict[str, Any]) -> GroupsCompared:
    return compare_groups("clarizen", [expected], groups, ACCOUNTS)


def test_a_group_that_is_as_it_should_be_is_no_difference() -> None:
    assert _found(CREW, _group("1", "2")) == GroupsCompared(
        agreeing=1, expected=1, memberships=2, expected_memberships=2, differences=[]
    )


def test_a_group_that_was_deleted_is_no_difference_either() -> None:
    assert _found(GONE) == GroupsCompared(agreeing=0, expected=0, memberships=0, expected_memberships=0, differences=[])


@pytest.mark.parametrize(
    ("expected", "groups", "kind", "words"),
    [
        pytest.param(CREW, [_group("1")], Kind.WRONG, f"lacks {BO}", id="a member who is not there"),
        pytest.param(CREW, [_group("1", "2", "3")], Kind.WRONG, "should not have cy@", id="a member too many"),
        pytest.param(CREW, [_group("1", "2", "4")], Kind.WRONG, "should not have nobody (4)", id="a deleted member"),
        pytest.param(CREW, [_group("1", "2", "2")], Kind.WRONG, f"has {BO} more than once", id="a member twice"),
        pytest.param(CREW, [_group("1", "2", displayName="Team")], Kind.WRONG, "the name is 'Team'", id="a name"),
        pytest.param(CREW, [_group("1", "2", externalId=None)], Kind.WRONG, "external id is None", id="an external id"),
        pytest.param(CREW, [], Kind.MISSING, "should exist", id="not there"),
        pytest.param(GONE, [_group()], Kind.EXTRA, "should be deleted", id="not deleted"),
        pytest.param(CREW, [_group("1", "2"), _group(id="v2")], Kind.EXTRA, "nobody should have made it", id="twice"),
    ],
)
def test_every_disagreement_is_one_difference(
    expected: ExpectedGroup, groups: list[dict[str, Any]], kind: Kind, words: str
) -> None:
    (difference,) = _found(expected, *groups).differences

    assert (difference.kind, difference.name) == (kind, groups[0]["displayName"] if kind is Kind.EXTRA else "Crew")
    assert words in difference.text


def test_only_memberships_that_are_as_they_should_be_are_counted() -> None:
    found = _found(CREW, _group("1", "3"))

    assert (found.agreeing, found.memberships, found.expected_memberships) == (0, 1, 2)


def _judged(users: int = 60) -> tuple[Tenant, Judge, dict[str, str]]:
    tenant = Tenant(1, users)
    principals = principals_of(tenant)
    return tenant, Judge(tenant, principals, beforehand=prepare(tenant, principals)), principals


def _group_of(judge: Judge, application: str, name: str) -> ExpectedGroup:
    return next(group for group in judge.expected_groups(application) if group.name == name)


def _assigned(tenant: Tenant, judge: Judge, principal: str, *, count: int = 3) -> tuple[str, list[str]]:
    """A group at Clarizen One of people who have accounts there without it, noted."""
    members = sorted(judge.entitled("clarizen"))[:count]
    group_id = tenant.create_group("Crew", members=members)
    tenant.assign(principal, group_id)
    judge.note()
    return group_id, members


def test_a_member_is_who_has_an_account_switched_off_or_not() -> None:
    tenant, judge, principals = _judged()
    group_id, members = _assigned(tenant, judge, principals["clarizen"])
    names = [judge.entitled("clarizen")[member].user_name for member in members]

    tenant.disable(members[0])
    tenant.purge(members[1])
    tenant.add_member(group_id, tenant.hire(accountEnabled=False))

    assert _group_of(judge, "clarizen", "Crew").members == {names[0], names[2]}


def test_a_group_that_nobody_assigns_any_more_is_left_empty_under_its_last_name() -> None:
    tenant, judge, principals = _judged()
    group_id, _members = _assigned(tenant, judge, principals["clarizen"])

    tenant.unassign(
        *next((each.id,) for each in tenant.grants(principals["clarizen"]) if each.principal_id == group_id)
    )
    tenant.update_group(group_id, displayName="Team")

    assert _group_of(judge, "clarizen", "Crew") == ExpectedGroup(group_id=group_id, name="Crew")


def test_a_group_that_was_deleted_exists_no_more_where_groups_are_deleted() -> None:
    tenant, judge, principals = _judged()
    group_id, _members = _assigned(tenant, judge, principals["clarizen"])
    support = tenant.group_id_of("Support")

    tenant.delete_group(group_id)
    tenant.delete_group(support)

    assert not _group_of(judge, "clarizen", "Crew").exists
    assert _group_of(judge, "purecloud", "Support") == ExpectedGroup(
        group_id=support, name="Support", members=frozenset({FRONT_DESK})
    )


def test_a_group_that_confers_nothing_is_not_expected() -> None:
    tenant, judge, _ = _judged()

    unified = {str(group["displayName"]) for group in tenant.groups.values() if not group["securityEnabled"]}

    assert "Project 002" in unified
    assert not unified & {group.name for group in judge.expected_groups("clarizen")}


@pytest.mark.parametrize("application", ["fuze", "fortes"])
def test_where_there_are_no_groups_none_are_expected(application: str) -> None:
    _tenant, judge, _ = _judged()

    assert (judge.expected_groups(application), judge.missing_groups(application)) == ([], frozenset())


def test_a_group_that_nobody_made_is_missing_and_not_expected() -> None:
    tenant, judge, _ = _judged()

    assert judge.missing_groups("purecloud") == {tenant.group_id_of(FORGOTTEN)}
    assert FORGOTTEN not in {group.name for group in judge.expected_groups("purecloud")}


def test_an_account_of_the_vendors_own_is_expected_as_it_was() -> None:
    _tenant, judge, _ = _judged()
    expected = [judge.expected("purecloud")[FRONT_DESK]]
    account = {"userName": FRONT_DESK, "displayName": "Front desk", "active": True}

    assert compare("purecloud", expected, [account]) == []
    assert [each.kind for each in compare("purecloud", expected, [account | {"active": False}])] == [Kind.WRONG]
    assert [each.kind for each in compare("purecloud", expected, [])] == [Kind.MISSING]
