"""Clarizen One's rules K1 to K11."""

import json
from typing import Any

import pytest

from tests.simulation.vendors import ClarizenDataCentres, ClarizenOptions, ClarizenSimulator, FilterMode
from tests.simulation.vendors.calling import GROUP_URN, PATCH_URN, USER_URN, Caller, names, scim_type
from tests.simulation.vendors.writes import ENTERPRISE_URN

ADA: dict[str, Any] = {"userName": "ada@contoso.test", "active": True}
INVALID_ROLES = ["Administrator (Admin)", "Email Reporting User", "External User", "Superuser", "Super User"]


def clarizen(**options: Any) -> Caller:
    return Caller(ClarizenSimulator(options=ClarizenOptions(**options)))


@pytest.mark.parametrize("role", INVALID_ROLES)
@pytest.mark.parametrize(("mode", "status"), [("refuse", 400), ("drop", 201)])
def test_the_only_role_is_user(role: str, mode: str, status: int) -> None:
    vendor = clarizen(invalid_role=mode)

    answer = vendor.create({**ADA, "roles": [{"value": role, "primary": True}]})

    assert answer.status == status
    assert [each.get("roles") for each in vendor.sim.resources()] == ([None] if mode == "drop" else [])
    assert names(vendor.sim.violations) == [("K1", "role_not_allowed")]


@pytest.mark.parametrize("role", ["User", "user", " USER "])
def test_the_role_user_may_be_spelt_in_any_case(role: str) -> None:
    vendor = clarizen()

    assert vendor.create({**ADA, "roles": [{"value": role}]}).status == 201
    assert vendor.sim.violations == []


@pytest.mark.parametrize("path", ['roles[primary eq"True".type]', 'roles[primary eq "True".value]'])
def test_the_path_as_the_tutorial_prints_it_is_refused(path: str) -> None:
    vendor = clarizen()
    resource_id = vendor.create(ADA).body["id"]

    in_a_patch = vendor.set(resource_id, path, "User")
    in_a_body = vendor.create({"userName": "b", path: "User"})

    assert [scim_type(each) for each in (in_a_patch, in_a_body)] == [(400, "invalidPath")] * 2
    assert names(vendor.sim.violations) == [("K2", "malformed_path")] * 2


@pytest.mark.parametrize("path", ['roles[primary eq "True"].value', "roles[primary eq true].value"])
def test_the_repaired_path_sets_the_primary_role(path: str) -> None:
    vendor = clarizen()
    resource_id = vendor.create(ADA).body["id"]

    answer = vendor.set(resource_id, path, "User")

    assert answer.status == 204
    assert vendor.sim.resources()[0]["roles"] == [{"value": "User", "primary": True}]
    assert vendor.sim.violations == []


def test_a_manager_nobody_knows_is_silently_dropped() -> None:
    vendor = clarizen()
    boss = vendor.create({"userName": "boss"}).body["id"]

    unknown = vendor.create({**ADA, ENTERPRISE_URN: {"department": "R", "manager": {"value": "nobody"}}})
    known = vendor.set(unknown.body["id"], f"{ENTERPRISE_URN}:manager", {"value": boss})

    assert (unknown.status, unknown.body[ENTERPRISE_URN]) == (201, {"department": "R"})
    assert known.status == 204
    assert vendor.get(unknown.body["id"]).body[ENTERPRISE_URN]["manager"]["value"] == boss
    assert vendor.sim.violations == []
    assert names(vendor.sim.notices) == [("K3", "unknown_manager_dropped")]


def test_above_the_quota_the_answer_is_no_scim_error() -> None:
    sim = ClarizenSimulator(options=ClarizenOptions(scim_exempt=False), clock=lambda: 1000.0)
    vendor = Caller(sim)

    answers = [vendor.list() for _ in range(26)]

    refused = answers[-1]
    assert [each.status for each in answers[:-1]] == [200] * 25
    assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
    assert refused.body == {
        "statusCode": "Too Many Requests",
        "message": "API calls quota exceeded! maximum admitted 25 per Second.",
        "retryAfter": "1",
    }
    assert names(sim.violations) == [("K4", "rate_exceeded")]


def test_by_default_scim_is_exempt_from_the_quota() -> None:
    sim = ClarizenSimulator(clock=lambda: 1000.0)

    statuses = {Caller(sim).list().status for _ in range(30)}

    assert statuses == {200}
    assert (sim.violations, sim.peak_rate) == ([], 30)


def test_a_key_lives_a_year_and_the_secondary_one_longer() -> None:
    sim = ClarizenSimulator()

    sim.clock.advance(366 * 86400)

    assert Caller(sim).list().status == 401
    assert Caller(sim, token=sim.secondary_token).list().status == 200  # type: ignore[attr-defined]


def test_without_the_integration_user_every_key_is_refused() -> None:
    sim = ClarizenSimulator()

    sim.switch_off_integration_user()

    assert [Caller(sim, token=each).list().status for each in (sim.token, sim.secondary_token)] == [401, 401]


def test_a_key_without_lite_admin_is_forbidden() -> None:
    sim = ClarizenSimulator()

    assert Caller(sim, token=sim.key_without_lite_admin()).list().status == 403
    assert names(sim.notices) == [("K6", "not_lite_admin")]


@pytest.mark.parametrize(("mode", "status"), [("free", 201), ("conflict", 409)])
def test_a_suspended_account_is_listed_and_a_deleted_one_is_not(mode: str, status: int) -> None:
    vendor = clarizen(deleted_user_name=mode)
    resource_id = vendor.create(ADA).body["id"]

    vendor.set(resource_id, "active", value=False)
    suspended = vendor.list().body["totalResults"]
    vendor.delete(resource_id)
    again = vendor.create(ADA)

    assert suspended == 1
    assert vendor.get(resource_id).status == 404
    assert again.status == status
    assert {(each["id"], each["_deleted"]) for each in vendor.sim.resources()} >= {(resource_id, True)}


def test_the_key_of_one_data_centre_is_refused_by_the_others() -> None:
    centres = ClarizenDataCentres()
    token = centres["us_production"].token

    statuses = {name: Caller(centres[name], token=token).list().status for name in centres.names}

    assert statuses == {"us_production": 200, "eu_production": 401, "us_sandbox": 401, "eu_sandbox": 401}


@pytest.mark.parametrize(("unique", "status"), [(True, 409), (False, 201)])
def test_groups_are_fully_supported(*, unique: bool, status: int) -> None:
    vendor = clarizen(group_name_unique=unique)
    user = vendor.create(ADA).body["id"]

    group = vendor.create({"displayName": "G", "externalId": "g-1"}, kind="Group").body["id"]
    vendor.patch(group, {"op": "add", "path": "members", "value": [{"value": user}]}, kind="Group")
    renamed = vendor.set(group, "displayName", "H", kind="Group")
    twin = vendor.create({"displayName": "h"}, kind="Group")
    members = vendor.get(group, kind="Group").body["members"]
    deleted = vendor.delete(group, kind="Group")

    assert [each["value"] for each in members] == [user]
    assert (renamed.status, twin.status, deleted.status) == (204, status, 204)
    assert vendor.sim.violations == []


@pytest.mark.parametrize(
    ("method", "body"),
    [
        (
            "POST",
            f'{{"schemas":["{USER_URN}"],"userName":"x","{ENTERPRISE_URN}":{{"division":"A","division":"B"}}}}',
        ),
        (
            "PATCH",
            json.dumps(
                {
                    "schemas": [PATCH_URN],
                    "Operations": [
                        {"op": "replace", "path": f"{ENTERPRISE_URN}:division", "value": "A"},
                        {"op": "replace", "path": f"{ENTERPRISE_URN}:division", "value": "B"},
                    ],
                }
            ),
        ),
    ],
    ids=["one key twice", "two operations on one path"],
)
def test_two_values_for_one_enterprise_attribute_are_refused(method: str, body: str) -> None:
    vendor = clarizen()
    resource_id = vendor.create(ADA).body["id"]

    answer = vendor.call(method, "/Users" if method == "POST" else f"/Users/{resource_id}", body=body)

    assert scim_type(answer) == (400, "invalidSyntax")
    assert names(vendor.sim.violations) == [("K10", "attribute_written_twice")]


@pytest.mark.parametrize(("mode", "status"), [(FilterMode.honour, 200), (FilterMode.reject, 400)])
def test_other_attributes_may_not_be_filterable(mode: FilterMode, status: int) -> None:
    vendor = clarizen(other_filter=mode)

    assert vendor.find('title eq "T"').status == status
    assert vendor.find('userName eq "a" and externalId eq "b"').status == 200
    assert bool(vendor.sim.violations) is (status == 400)


def test_another_extension_is_ignored_and_recorded() -> None:
    vendor = clarizen()

    answer = vendor.create({**ADA, "urn:example:extension:2.0:User": {"shoeSize": "42"}})

    assert answer.status == 201
    assert "shoeSize" not in str(vendor.sim.resources())
    assert names(vendor.sim.violations) == [("K11", "unsupported_attribute")]


def test_the_documented_attributes_are_stored_without_a_violation() -> None:
    vendor = clarizen()
    body = {
        **ADA,
        "externalId": "e",
        "displayName": "Ada",
        "name": {"givenName": "A", "familyName": "L", "formatted": "A L", "honorificPrefix": "Dr"},
        "emails": [{"type": kind, "value": f"{kind}@contoso.test"} for kind in ("work", "home", "other")],
        "phoneNumbers": [{"type": kind, "value": "1"} for kind in ("work", "mobile", "fax", "pager")],
        "addresses": [{"type": "work", "country": "NL", "postalCode": "1", "formatted": "x"}],
        "roles": [{"primary": True, "type": "t", "value": "User"}],
        ENTERPRISE_URN: {"department": "R", "employeeNumber": "1", "costCenter": "c", "division": "d"},
    }

    answer = vendor.create(body)

    stored = vendor.sim.resources()[0]
    assert answer.status == 201
    assert {key: stored[key] for key in body} == body
    assert vendor.sim.violations == []
    assert GROUP_URN not in stored["schemas"]
