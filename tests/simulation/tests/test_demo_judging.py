"""The demo's judge: what a vendor should hold, and every way in which it may not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.simulation.demo.expectations import Difference, Expected, Kind, Wanted
from tests.simulation.demo.judging import ENTERPRISE, Judge, as_found, compare
from tests.simulation.demo.stage import principals_of
from tests.simulation.tenant import Tenant

ADA = Expected(
    user_id="1",
    user_name="ada@contoso.example",
    wanted=Wanted.ACTIVE,
    attributes={"userName": "ada@contoso.example", "title": "Engineer", "work e-mail": None},
)


def _account(**more: Any) -> dict[str, Any]:
    return {"userName": "ada@contoso.example", "active": True, "title": "Engineer", "_deleted": False, **more}


def _found(expected: list[Expected], resources: list[dict[str, Any]]) -> list[Difference]:
    return compare("clarizen", expected, resources)


def _as(wanted: Wanted) -> Expected:
    return Expected(user_id="1", user_name=ADA.user_name, wanted=wanted)


def test_an_account_that_says_what_it_should_is_no_difference() -> None:
    assert _found([ADA], [_account()]) == []


@pytest.mark.parametrize(
    ("expected", "resources", "kind", "words"),
    [
        pytest.param(ADA, [_account(title="Analyst")], Kind.WRONG, "title is 'Analyst'", id="another title"),
        pytest.param(ADA, [_account(userName="ADA@contoso.example")], Kind.WRONG, "userName is", id="another spelling"),
        pytest.param(ADA, [_account(active=False)], Kind.WRONG, "active is False", id="switched off"),
        pytest.param(
            ADA,
            [_account(emails=[{"type": "work", "value": "a@x"}])],
            Kind.WRONG,
            "should be None",
            id="a mail it should not have",
        ),
        pytest.param(ADA, [], Kind.MISSING, "should be active", id="not there"),
        pytest.param(ADA, [_account(_deleted=True)], Kind.MISSING, "should be active", id="deleted by mistake"),
        pytest.param(_as(Wanted.INACTIVE), [_account()], Kind.WRONG, "active is True", id="a leaver who is active"),
        pytest.param(_as(Wanted.INACTIVE), [], Kind.MISSING, "should be inactive", id="a leaver who was deleted"),
        pytest.param(_as(Wanted.GONE), [_account(active=False)], Kind.EXTRA, "still exists", id="not deleted for good"),
        pytest.param(ADA, [_account(), _account()], Kind.EXTRA, "nobody should have it", id="two of one person"),
    ],
)
def test_every_disagreement_is_one_difference(
    expected: Expected, resources: list[dict[str, Any]], kind: Kind, words: str
) -> None:
    (difference,) = _found([expected], resources)

    assert difference.kind is kind
    assert words in difference.text


def test_a_name_that_a_leaver_left_belongs_to_its_new_owner() -> None:
    former = Expected(user_id="2", user_name=ADA.user_name, wanted=Wanted.GONE)

    assert _found([former, ADA], [_account()]) == []


def test_department_is_read_from_the_enterprise_extension() -> None:
    expected = Expected(
        user_id="1", user_name=ADA.user_name, wanted=Wanted.ACTIVE, attributes={"department": "Finance"}
    )

    assert _found([expected], [_account(**{ENTERPRISE: {"department": "Finance"}})]) == []
    assert len(_found([expected], [_account(**{ENTERPRISE: {"department": "Sales"}})])) == 1


def _judged(users: int = 60) -> tuple[Tenant, Judge, dict[str, str]]:
    tenant = Tenant(1, users)
    principals = principals_of(tenant)
    return tenant, Judge(tenant, principals), principals


def test_somebody_who_left_keeps_an_account_that_is_switched_off() -> None:
    tenant, judge, _ = _judged()
    leaver = next(iter(judge.entitled("fuze")))
    judge.note()

    tenant.disable(leaver)

    assert judge.expected("fuze")[leaver].wanted is Wanted.INACTIVE


def test_a_disabled_person_without_an_account_gets_none() -> None:
    tenant, judge, _ = _judged()
    leaver = next(iter(judge.entitled("fuze")))

    tenant.disable(leaver)

    assert leaver not in judge.expected("fuze")


@pytest.mark.parametrize(
    ("application", "wanted"),
    [
        pytest.param("clarizen", Wanted.GONE, id="a vendor that deletes"),
        pytest.param("fuze", Wanted.INACTIVE, id="a vendor that does not"),
    ],
)
def test_somebody_deleted_for_good_is_gone_where_the_vendor_deletes(application: str, wanted: Wanted) -> None:
    tenant, judge, _ = _judged()
    leaver = next(iter(judge.entitled(application)))
    judge.note()

    tenant.purge(leaver)

    assert judge.expected(application)[leaver].wanted is wanted


def test_who_was_entitled_only_while_changes_went_on_may_have_an_account_that_is_switched_off() -> None:
    tenant, judge, _ = _judged()
    judge.note()
    person = tenant.hire(accountEnabled=True, userType="Member")
    judge.note_passing()

    tenant.disable(person)

    assert judge.expected("fuze")[person].wanted is Wanted.NOT_ACTIVE
    assert person not in as_found(judge.expected("fuze"), [])


def test_a_leaver_keeps_whatever_name_the_account_had() -> None:
    tenant, judge, _ = _judged()
    judge.note()
    judge.note_passing()
    leaver, before = next(iter(judge.entitled("fuze").items()))
    tenant.update(leaver, userPrincipalName="new@contoso.example")
    judge.note_passing()

    tenant.disable(leaver)

    for name in (before.user_name, "new@contoso.example"):
        settled = as_found(judge.expected("fuze"), [_account(userName=name, active=False)])
        assert (settled[leaver].user_name, settled[leaver].wanted) == (name, Wanted.INACTIVE)


def test_who_is_held_is_expected_as_before() -> None:
    tenant, judge, _ = _judged()
    leaver, before = next(iter(judge.entitled("fuze").items()))
    judge.note()

    tenant.disable(leaver)

    assert judge.expected("fuze", held={leaver})[leaver] == before


def test_who_has_only_roles_that_clarizen_does_not_take_is_refused_and_gets_no_account() -> None:
    tenant, judge, principals = _judged()
    roles = tenant.service_principals[principals["clarizen"]]["appRoles"]
    admin = next(role["id"] for role in roles if role["displayName"] == "Admin")
    person = tenant.hire(accountEnabled=True)

    tenant.assign(principals["clarizen"], person, admin)

    assert person in judge.refused("clarizen")
    assert person not in judge.expected("clarizen")


def test_a_guest_is_known_by_the_name_at_home() -> None:
    tenant, judge, principals = _judged()
    roles = tenant.service_principals[principals["clarizen"]]["appRoles"]
    guest = tenant.hire(
        userPrincipalName="vera_v_partner.example#EXT#@contoso.onmicrosoft.example", accountEnabled=True
    )

    tenant.assign(principals["clarizen"], guest, roles[0]["id"])

    assert judge.expected("clarizen")[guest].user_name == "vera_v@partner.example"


@pytest.mark.parametrize(
    ("manager", "held", "words"),
    [
        ("bo@contoso.example", "2", ""),
        ("bo@contoso.example", None, "manager is '', should be 'bo@contoso.example'"),
        ("", "2", "manager is 'bo@contoso.example', should be ''"),
        ("", "deleted long ago", ""),
        (None, "2", ""),
    ],
)
def test_a_manager_is_the_managers_account(manager: str | None, held: str | None, words: str) -> None:
    ada = replace(ADA, manager=manager)
    bo = Expected(user_id="2", user_name="bo@contoso.example", wanted=Wanted.ACTIVE)
    reference = {ENTERPRISE: {"manager": {"value": held}}} if held else {}

    found = _found([ada, bo], [_account(id="1", **reference), {"id": "2", "userName": bo.user_name, "active": True}])

    assert [difference.text for difference in found] == ([words] if words else [])


def test_a_manager_is_expected_once_they_have_an_account() -> None:
    tenant, judge, principals = _judged()
    report, manager = sorted(judge.entitled("clarizen"))[:2]
    outsider = tenant.hire(accountEnabled=True)
    tenant.set_manager(report, outsider)
    before = judge.expected("clarizen")[report].manager

    tenant.set_manager(report, manager)

    assert (before, judge.expected("clarizen")[report].manager) == ("", judge.entitled("clarizen")[manager].user_name)
    assert principals
