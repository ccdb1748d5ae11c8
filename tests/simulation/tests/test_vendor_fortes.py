"""Fortes Change Cloud's rules FC1 to FC9."""

from typing import Any

import pytest

from tests.simulation.vendors import FilterMode, FortesOptions, FortesSimulator, TypeCheck
from tests.simulation.vendors.calling import USER_URN, Caller, names, scim_type

FCC = "urn:ietf:params:scim:schemas:extension:fcc:2.0:User"
ADA: dict[str, Any] = {"userName": "ada@contoso.test", "active": True, "externalId": "e-1"}


def fortes(**options: Any) -> Caller:
    return Caller(FortesSimulator(options=FortesOptions(**options)))


@pytest.mark.parametrize(
    ("mode", "expected", "hits"),
    [(FilterMode.reject, (400, "invalidFilter"), None), (FilterMode.honour, (200, ""), 1)],
    ids=["refused", "honoured after all"],
)
def test_only_user_name_can_be_filtered(mode: FilterMode, expected: tuple[int, str], hits: int | None) -> None:
    vendor = fortes(other_filter=mode)
    vendor.create(ADA)

    by_name = vendor.find('userName eq "ADA@CONTOSO.TEST"')
    by_external_id = vendor.find('externalId eq "e-1"')

    assert by_name.body["totalResults"] == 1
    assert scim_type(by_external_id) == expected
    assert by_external_id.body.get("totalResults") == hits


@pytest.mark.parametrize("name", ["administrator", "loginDisabled"])
@pytest.mark.parametrize(("mode", "status"), [(TypeCheck.strict, 400), (TypeCheck.lenient, 204)])
def test_the_extension_takes_json_booleans(name: str, mode: TypeCheck, status: int) -> None:
    vendor = fortes(type_check=mode)
    resource_id = vendor.create(ADA).body["id"]

    as_string = vendor.set(resource_id, f"{FCC}:{name}", "True")
    as_boolean = vendor.set(resource_id, f"{FCC}:{name}", value=True)

    assert as_string.status == status
    assert as_boolean.status == 204
    assert names(vendor.sim.violations) == [("C7", "boolean_sent_as_other_type")]


@pytest.mark.parametrize(("strict", "status"), [(True, 400), (False, 201)], ids=["refused", "tolerated"])
def test_extension_data_wants_its_urn_in_schemas(*, strict: bool, status: int) -> None:
    vendor = fortes(strict_schemas=strict)

    answer = vendor.create({"schemas": [USER_URN], **ADA, FCC: {"loginDisabled": True}})

    assert answer.status == status
    assert names(vendor.sim.violations) == [("FC4", "extension_missing_in_schemas")]


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "urn:ietf:params:scim:schemas:extension:fcc:2:User:administrator", "value": False},
        {
            "op": "replace",
            "value": {"urn:ietf:params:scim:schemas:extension:fcc:2": {"0:User": {"administrator": False}}},
        },
    ],
    ids=["in a path", "in a nested key"],
)
def test_a_urn_split_at_its_dot_is_refused(operation: dict[str, Any]) -> None:
    vendor = fortes()
    resource_id = vendor.create(ADA).body["id"]

    answer = vendor.patch(resource_id, operation)

    assert scim_type(answer) == (400, "invalidPath")
    assert names(vendor.sim.violations) == [("FC4", "path_under_unknown_urn")]


def test_the_schemas_are_served_in_camel_case_without_nulls() -> None:
    vendor = fortes()

    listed = vendor.call("GET", "/Schemas")
    one = vendor.call("GET", f"/Schemas/{FCC}")

    assert {each["id"] for each in listed.body["Resources"]} == {USER_URN, FCC}
    assert [(each["name"], each["type"]) for each in one.body["attributes"]] == [
        ("administrator", "boolean"),
        ("loginDisabled", "boolean"),
    ]
    assert None not in one.body["attributes"][0].values()


def test_there_are_no_groups() -> None:
    vendor = fortes()

    assert vendor.list(kind="Group").status == 404
    assert names(vendor.sim.violations) == [("FC6", "groups_not_supported")]


def test_every_grant_of_administrator_is_written_down() -> None:
    vendor = fortes()
    resource_id = vendor.create(ADA).body["id"]
    vendor.create({"userName": "root@contoso.test", FCC: {"administrator": True}})

    vendor.set(resource_id, f"{FCC}:administrator", value=False)
    vendor.set(resource_id, f"{FCC}:administrator", value=True)
    vendor.set(resource_id, "name.givenName", "Ada")

    changes = [(each.user_name, each.before, each.after) for each in vendor.sim.privilege_changes]
    assert changes == [("root@contoso.test", None, True), ("ada@contoso.test", False, True)]
    assert vendor.sim.violations == []


@pytest.mark.parametrize(
    ("path", "other"), [("active", f"{FCC}:loginDisabled"), (f"{FCC}:loginDisabled", "active")], ids=["active", "login"]
)
def test_active_and_login_disabled_are_independent(path: str, other: str) -> None:
    vendor = fortes()
    resource_id = vendor.create({**ADA, FCC: {"loginDisabled": False}}).body["id"]
    vendor.set(resource_id, other, value=True)

    vendor.set(resource_id, path, value=False)
    before = vendor.get(resource_id).body
    vendor.set(resource_id, path, value=True)
    after = vendor.get(resource_id).body

    both = [(each["active"], each[FCC]["loginDisabled"]) for each in (before, after)]
    assert both == ([(False, True), (True, True)] if path == "active" else [(True, False), (True, True)])


def test_the_secondary_token_outlives_the_primary_one() -> None:
    sim = FortesSimulator()
    secondary = sim.secondary_token  # type: ignore[attr-defined]

    sim.tokens.revoke("primary")

    assert Caller(sim).list().status == 401
    assert Caller(sim, token=secondary).list().status == 200
