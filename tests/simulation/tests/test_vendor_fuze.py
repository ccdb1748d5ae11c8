"""Fuze's rules F1 to F9, each with its other plausible setting."""

from typing import Any

import pytest

from tests.simulation.vendors import FilterMode, FuzeOptions, FuzeSimulator
from tests.simulation.vendors.calling import Caller, names, scim_type

FUZE_URN = "urn:ietf:params:scim:schemas:extension:fuze:2.0:User"
ADA: dict[str, Any] = {
    "userName": "ada@contoso.test",
    "active": True,
    "name": {"givenName": "Ada", "familyName": "Lovelace"},
    "emails": [{"type": "work", "value": "ada@contoso.test", "primary": True}],
}
WORK_EMAIL = 'emails[type eq "work"].value eq "{}"'


def fuze(**options: Any) -> Caller:
    return Caller(FuzeSimulator(options=FuzeOptions(**options)))


def test_the_documented_attributes_are_stored_without_a_violation() -> None:
    vendor = fuze()

    answer = vendor.create(ADA)

    stored = vendor.sim.resources()[0]
    assert answer.status == 201
    assert {key: stored[key] for key in ("userName", "active", "name")} == {
        key: ADA[key] for key in ("userName", "active", "name")
    }
    assert vendor.sim.violations == []


@pytest.mark.parametrize("enforced", [10, None], ids=["enforced", "measured only"])
def test_an_eleventh_request_within_a_second_is_a_violation(enforced: int | None) -> None:
    now = [1000.0]
    sim = FuzeSimulator(options=FuzeOptions(rate_limit=enforced), clock=lambda: now[0])
    vendor = Caller(sim)

    statuses = [vendor.list().status for _ in range(11)]
    now[0] += 1
    after = vendor.list().status

    assert statuses == [200] * 10 + [429 if enforced else 200]
    assert after == 200
    assert sim.peak_rate == 11
    assert names(sim.violations) == [("F1", "rate_exceeded")]


@pytest.mark.parametrize(
    ("mode", "status", "hits"),
    [(FilterMode.reject, 400, None), (FilterMode.ignore, 200, 2), (FilterMode.empty, 200, 0)],
)
def test_a_filter_on_user_name_is_never_honoured(mode: FilterMode, status: int, hits: int | None) -> None:
    vendor = fuze(user_name_filter=mode)
    vendor.sim.seed([{"userName": "b@contoso.test"}, {"userName": "ada@contoso.test"}])

    answer = vendor.find('userName eq "ada@contoso.test"')

    assert answer.status == status
    assert answer.body.get("totalResults") == hits
    assert names(vendor.sim.violations) == [("F2", "filtered_on_user_name")]


def test_a_client_that_takes_the_first_hit_of_an_ignored_filter_is_caught() -> None:
    vendor = fuze(user_name_filter=FilterMode.ignore)
    vendor.sim.seed([{"userName": "bob@contoso.test"}])

    first = vendor.find('userName eq "ada@contoso.test"').body["Resources"][0]
    vendor.set(first["id"], "userName", "ada@contoso.test")

    assert ("F2", "updated_a_user_whose_key_differs") in names(vendor.sim.violations)


def test_a_rename_of_a_known_account_is_not_mistaken_for_that() -> None:
    vendor = fuze(user_name_filter=FilterMode.ignore)
    resource_id = vendor.create(ADA).body["id"]

    vendor.find('userName eq "somebody@contoso.test"')
    vendor.set(resource_id, "userName", "ada.king@contoso.test")

    assert ("F2", "updated_a_user_whose_key_differs") not in names(vendor.sim.violations)


@pytest.mark.parametrize(("mode", "status"), [(FilterMode.honour, 200), (FilterMode.reject, 400)])
def test_a_filter_on_work_email_finds_an_account_without_user_name(mode: FilterMode, status: int) -> None:
    vendor = fuze(email_filter=mode)
    [known] = vendor.sim.seed([{"emails": [{"type": "work", "value": "Ada@contoso.test"}]}])

    answer = vendor.find(WORK_EMAIL.format("ada@contoso.test"))

    assert answer.status == status
    assert [each["id"] for each in answer.body.get("Resources", [])] == ([known] if status == 200 else [])


@pytest.mark.parametrize(
    "existing",
    [{"userName": "ADA@contoso.test"}, {"emails": [{"type": "work", "value": "ADA@contoso.test"}]}],
    ids=["the userName exists", "the work e-mail exists on an account without userName"],
)
def test_creating_what_exists_is_a_conflict(existing: dict[str, Any]) -> None:
    vendor = fuze()
    vendor.sim.seed([existing])

    answer = vendor.create(ADA)

    assert scim_type(answer) == (409, "uniqueness")
    assert len(vendor.sim.resources()) == 1


def test_without_unique_emails_the_duplicate_is_created() -> None:
    vendor = fuze(email_unique=False)
    vendor.sim.seed([{"emails": [{"type": "work", "value": "ada@contoso.test"}]}])

    assert vendor.create(ADA).status == 201


@pytest.mark.parametrize(
    ("mode", "expected"), [("reject", (400, "mutability")), ("silent", (204, ""))], ids=["refused", "silently kept"]
)
def test_entitlements_are_set_once(mode: str, expected: tuple[int, str]) -> None:
    vendor = fuze(entitlements_change=mode)
    resource_id = vendor.create({**ADA, FUZE_URN: {"entitlements": "SKU-1"}}).body["id"]

    same = vendor.set(resource_id, f"{FUZE_URN}:entitlements", "SKU-1")
    other = vendor.set(resource_id, f"{FUZE_URN}:entitlements", "SKU-2")

    assert same.status == 204
    assert scim_type(other) == expected
    assert vendor.sim.resources()[0][FUZE_URN] == {"entitlements": "SKU-1"}
    assert names(vendor.sim.violations) == [("F5", "entitlements_changed_after_creation")]


def test_a_put_without_the_entitlements_counts_as_changing_them() -> None:
    vendor = fuze(entitlements_change="silent")
    resource_id = vendor.create({**ADA, FUZE_URN: {"entitlements": "SKU-1"}}).body["id"]

    vendor.call("PUT", f"/Users/{resource_id}", body={"schemas": [], **ADA})

    assert vendor.sim.resources()[0][FUZE_URN] == {"entitlements": "SKU-1"}
    assert names(vendor.sim.violations) == [("F5", "entitlements_changed_after_creation")]


def test_the_path_of_the_entitlements_is_configurable() -> None:
    urn = "urn:example:vendor:fuze:User"
    vendor = fuze(extension_urn=urn, entitlements_attribute="skus", entitlements_multi_valued=True)

    vendor.create({**ADA, urn: {"skus": ["A", "B"]}})

    assert vendor.sim.resources()[0][urn] == {"skus": ["A", "B"]}
    assert vendor.sim.violations == []


@pytest.mark.parametrize("name", ["entitlements", "location", "department"])
def test_a_code_outside_the_configured_list_is_refused(name: str) -> None:
    vendor = fuze(entitlement_codes=("A",), location_codes=("A",), department_codes=("A",))

    known = vendor.create({**ADA, FUZE_URN: {name: "A"}})
    unknown = vendor.create({"userName": "b", FUZE_URN: {name: "B"}})

    assert known.status == 201
    assert scim_type(unknown) == (400, "invalidValue")


def test_there_are_no_groups() -> None:
    vendor = fuze()

    answers = [vendor.list(kind="Group"), vendor.create({"displayName": "G"}, kind="Group")]

    assert [scim_type(each) for each in answers] == [(404, ""), (404, "")]
    assert answers[0].body["detail"] == "There is nothing at this path."
    assert names(vendor.sim.violations) == [("F7", "groups_not_supported")] * 2


def test_an_inactive_account_stays_visible() -> None:
    vendor = fuze()
    resource_id = vendor.create(ADA).body["id"]

    vendor.set(resource_id, "active", value=False)

    assert vendor.get(resource_id).body["active"] is False
    assert vendor.list().body["totalResults"] == 1


def test_everybody_is_found_by_listing_page_by_page() -> None:
    vendor = fuze(default_page_size=3, max_page_size=3)
    ids = set(vendor.sim.seed([{"userName": f"u{number}"} for number in range(8)]))

    pages = [vendor.list(startIndex=str(start), count="100").body["Resources"] for start in (1, 4, 7)]

    assert [len(page) for page in pages] == [3, 3, 2]
    assert {each["id"] for page in pages for each in page} == ids


def test_an_attribute_outside_the_table_is_dropped_and_recorded() -> None:
    vendor = fuze()

    vendor.create({**ADA, "title": "Countess", "emails": [*ADA["emails"], {"type": "home", "value": "a@h.test"}]})

    stored = vendor.sim.resources()[0]
    assert "title" not in stored
    assert [each["type"] for each in stored["emails"]] == ["work"]
    assert {each.detail for each in vendor.sim.violations} >= {"title", 'emails[type eq "home"].value'}
