"""What every simulated vendor does, tried on acme: the RFC's core, and the switches for what servers do differently."""

import dataclasses
from typing import Any

import pytest

from tests.simulation.vendors import (
    AcmeSimulator,
    ErrorShape,
    ExternalId,
    FilterMode,
    IdShape,
    PatchAnswer,
    PathCase,
    RemoveValue,
    TypeCheck,
    UnknownAttribute,
    VendorOptions,
)
from tests.simulation.vendors.calling import Caller, names, scim_type
from tests.simulation.vendors.writes import ENTERPRISE_URN

ADA: dict[str, Any] = {
    "userName": "ada@contoso.test",
    "externalId": "e-1",
    "active": True,
    "emails": [{"type": "work", "value": "ada@contoso.test"}],
}


def acme(**options: Any) -> Caller:
    return Caller(AcmeSimulator(options=VendorOptions(**options)))


def test_a_created_account_is_found_changed_and_deleted_as_the_rfc_says() -> None:
    vendor = acme()

    created = vendor.create(ADA)
    resource_id = created.body["id"]
    patched = vendor.set(resource_id, "active", value=False)
    found = vendor.find('userName eq "ADA@contoso.test"')
    deleted = vendor.delete(resource_id)

    assert created.status == 201
    assert created.headers["Location"].endswith(f"/Users/{resource_id}")
    assert created.headers["Content-Type"] == "application/scim+json"
    assert {"id", "schemas", "meta"} <= created.body.keys()
    assert patched.status == 204
    assert found.body["Resources"][0]["active"] is False
    assert deleted.status == 204
    assert scim_type(vendor.get(resource_id)) == (404, "")
    assert vendor.sim.violations == []


def test_an_error_is_a_scim_error_with_its_status_as_a_string() -> None:
    vendor = acme()
    vendor.create(ADA)

    answer = vendor.create(ADA)

    assert scim_type(answer) == (409, "uniqueness")
    assert answer.body["status"] == "409"
    assert answer.body["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]


@pytest.mark.parametrize("token", ["", "made-up"], ids=["a missing token", "an unknown token"])
def test_without_a_good_token_nothing_is_served(token: str) -> None:
    vendor = Caller(AcmeSimulator(), token=token)

    answer = vendor.list()

    assert answer.status == 401
    assert vendor.sim.resources() == []


def test_a_token_ends_when_it_is_revoked_or_expires_and_another_takes_over() -> None:
    sim = AcmeSimulator()
    replacement = sim.tokens.issue("secondary", expires_at=sim.clock.now() + 60)

    sim.tokens.revoke("primary")
    with_old, with_new = Caller(sim).list(), Caller(sim, token=replacement).list()
    sim.clock.advance(61)
    later = Caller(sim, token=replacement).list()

    assert [with_old.status, with_new.status, later.status] == [401, 200, 401]
    assert [name for _, name in names(sim.notices)] == ["revoked_token", "expired_token"]


def test_the_journal_has_every_request_without_the_token() -> None:
    vendor = acme()

    vendor.create(ADA)
    vendor.find('userName eq "x"')

    first, second = vendor.sim.journal
    assert (first.method, first.path, first.status, first.body["userName"]) == ("POST", "/Users", 201, ADA["userName"])
    assert second.query == {"filter": 'userName eq "x"'}
    assert "authorization" not in first.headers
    assert vendor.token not in str(dataclasses.asdict(first))


@pytest.mark.parametrize(
    ("mode", "expected"),
    [(UnknownAttribute.ignore, (201, "")), (UnknownAttribute.reject, (400, "invalidSyntax"))],
    ids=["ignored", "refused"],
)
def test_an_attribute_the_vendor_lacks_is_a_violation_either_way(
    mode: UnknownAttribute, expected: tuple[int, str]
) -> None:
    vendor = acme(unknown_attribute=mode)

    answer = vendor.create({**ADA, "favouriteColour": "green"})

    assert scim_type(answer) == expected
    assert names(vendor.sim.violations) == [("C5", "unsupported_attribute")]
    assert "favouriteColour" not in str(vendor.sim.resources())


@pytest.mark.parametrize(
    ("mode", "expected"), [(TypeCheck.strict, 400), (TypeCheck.lenient, 204)], ids=["refused", "read as a boolean"]
)
def test_a_boolean_sent_as_a_string_is_a_violation_either_way(mode: TypeCheck, expected: int) -> None:
    vendor = acme(type_check=mode)
    resource_id = vendor.create(ADA).body["id"]

    answer = vendor.set(resource_id, "active", "False")

    assert answer.status == expected
    assert vendor.sim.resources()[0]["active"] is (expected == 400)
    assert names(vendor.sim.violations) == [("C7", "boolean_sent_as_other_type")]


def test_the_peak_rate_is_measured_where_nothing_is_enforced() -> None:
    now = [1000.0]
    sim = AcmeSimulator(clock=lambda: now[0])
    vendor = Caller(sim)

    for at in (1000.0, 1000.5, 1000.9, 1001.0, 1003.0):
        now[0] = at
        vendor.list()

    assert sim.peak_rate == 3


def test_requests_above_the_limit_are_refused_until_the_window_has_slid() -> None:
    now = [1000.0]
    sim = AcmeSimulator(options=VendorOptions(rate_limit=2, rate_retry_after="window"), clock=lambda: now[0])
    vendor = Caller(sim)

    statuses = [vendor.list().status for _ in range(2)]
    refused = vendor.list()
    now[0] += 1.0
    after = vendor.list()

    assert statuses == [200, 200]
    assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
    assert after.status == 200
    assert names(sim.violations) == [("C6", "rate_exceeded")]


def test_with_etags_a_stale_version_is_refused_and_without_them_ignored() -> None:
    versioned, plain = acme(), acme(etag=False)

    answers = []
    for vendor in (versioned, plain):
        created = vendor.create(ADA)
        answers.append((created.headers.get("ETag"), created.body["id"]))
    stale = {"If-Match": 'W/"99"'}
    title = {"op": "replace", "path": "title", "value": "T"}

    assert answers[0][0]
    assert answers[1][0] is None
    assert versioned.patch(answers[0][1], title, headers=stale).status == 412
    assert plain.patch(answers[1][1], title, headers=stale).status == 204


def test_a_vendor_without_unique_user_names_creates_the_duplicate() -> None:
    vendor = acme(user_name_unique=False)

    first, second = vendor.create(ADA), vendor.create(ADA)
    vendor.delete(first.body["id"])

    assert second.status == 201
    assert [each["id"] for each in vendor.sim.resources()] == [second.body["id"]]


@pytest.mark.parametrize(
    ("mode", "echoed", "found"),
    [(ExternalId.kept, True, 1), (ExternalId.dropped, False, 0), (ExternalId.not_echoed, False, 1)],
    ids=["kept", "dropped", "kept but not returned"],
)
def test_external_id_is_kept_dropped_or_hidden(mode: ExternalId, echoed: bool, found: int) -> None:
    vendor = acme(external_id=mode)

    created = vendor.create(ADA)

    assert ("externalId" in created.body) is echoed
    assert vendor.find('externalId eq "e-1"').body["totalResults"] == found
    assert vendor.sim.violations == []


@pytest.mark.parametrize("shape", list(IdShape))
def test_an_id_of_any_shape_leads_back_to_its_account(shape: IdShape) -> None:
    vendor = acme(id_shape=shape)

    created = vendor.create(ADA)
    read = vendor.get(str(created.body["id"]))
    patched = vendor.set(str(created.body["id"]), "title", "T")

    assert isinstance(created.body["id"], int) is (shape is IdShape.integer)
    assert ("/" in str(created.body["id"])) is (shape is IdShape.slash)
    assert read.body["id"] == created.body["id"]
    assert patched.status == 204


@pytest.mark.parametrize(
    ("mode", "status", "hits"),
    [(FilterMode.reject, 400, None), (FilterMode.ignore, 200, 3), (FilterMode.empty, 200, 0)],
    ids=["refused", "ignored", "always empty"],
)
def test_a_filter_the_vendor_does_not_honour(mode: FilterMode, status: int, hits: int | None) -> None:
    vendor = acme(user_filter=mode)
    vendor.sim.seed([{"userName": f"u{number}"} for number in range(3)])

    answer = vendor.find('userName eq "u1"')

    assert answer.status == status
    assert (answer.body.get("totalResults") if status == 200 else None) == hits
    assert names(vendor.sim.violations) == [("C8", "filter_not_supported")]


def test_pages_have_the_vendors_default_and_largest_size() -> None:
    vendor = acme(default_page_size=2, max_page_size=3)
    vendor.sim.seed([{"userName": f"u{number}"} for number in range(7)])

    sizes = [len(vendor.list(**query).body["Resources"]) for query in ({}, {"count": "50"}, {"startIndex": "6"})]
    empty = vendor.list(count="0")

    assert sizes == [2, 3, 2]
    assert (empty.body["totalResults"], empty.body["Resources"]) == (7, [])


def test_the_pages_of_a_list_hold_everybody_once() -> None:
    vendor = acme(default_page_size=3)
    expected = set(vendor.sim.seed([{"userName": f"u{number}"} for number in range(10)]))

    seen = [each["id"] for start in (1, 4, 7, 10) for each in vendor.list(startIndex=str(start)).body["Resources"]]

    assert len(seen) == 10
    assert set(seen) == expected


@pytest.mark.parametrize(
    ("mode", "status"),
    [(PatchAnswer.no_content, 204), (PatchAnswer.resource, 200), (PatchAnswer.stale, 200)],
    ids=["no body", "the account", "the account as it was"],
)
def test_what_a_patch_answers(mode: PatchAnswer, status: int) -> None:
    vendor = acme(patch_answer=mode)
    resource_id = vendor.create({**ADA, "title": "old"}).body["id"]

    answer = vendor.set(resource_id, "title", "new")

    expected = {PatchAnswer.no_content: None, PatchAnswer.resource: "new", PatchAnswer.stale: "old"}[mode]
    assert answer.status == status
    assert (answer.body or {}).get("title") == expected
    assert vendor.get(resource_id).body["title"] == "new"


def test_a_patch_path_with_a_filter_creates_the_element_or_finds_no_target() -> None:
    friendly, strict = acme(), acme(upsert_filtered=False)
    path = 'phoneNumbers[type eq "mobile"].value'

    answers = [each.set(each.create(ADA).body["id"], path, "+31 6 1") for each in (friendly, strict)]

    assert friendly.sim.resources()[0]["phoneNumbers"] == [{"value": "+31 6 1", "type": "mobile"}]
    assert [scim_type(each) for each in answers] == [(204, ""), (400, "noTarget")]


def test_the_primary_element_may_be_chosen_with_a_string() -> None:
    vendor = acme()
    resource_id = vendor.create(ADA).body["id"]

    vendor.set(resource_id, 'roles[primary eq "True"].value', "User")
    vendor.set(resource_id, 'roles[primary eq "True"].value', "Reader")

    assert vendor.sim.resources()[0]["roles"] == [{"value": "Reader", "primary": True}]


@pytest.mark.parametrize(
    ("mode", "status", "left"),
    [(RemoveValue.select, 204, ["b"]), (RemoveValue.wipe, 204, []), (RemoveValue.reject, 400, ["a", "b"])],
    ids=["removes the listed", "removes everybody", "refused"],
)
def test_removing_members_by_value(mode: RemoveValue, status: int, left: list[str]) -> None:
    vendor = acme(remove_value=mode)
    group = vendor.create({"displayName": "G", "members": [{"value": "a"}, {"value": "b"}]}, kind="Group").body["id"]

    answer = vendor.patch(group, {"op": "remove", "path": "members", "value": [{"value": "a"}]}, kind="Group")

    members = vendor.sim.resources("Group")[0].get("members") or []
    assert answer.status == status
    assert [each["value"] for each in members] == left
    assert bool(vendor.sim.violations) is (mode is not RemoveValue.select)


def test_a_member_must_exist_where_the_vendor_looks() -> None:
    vendor = acme(check_members=True)
    user = vendor.create(ADA).body["id"]
    group = vendor.create({"displayName": "G"}, kind="Group").body["id"]

    known = vendor.patch(group, {"op": "add", "path": "members", "value": [{"value": user}]}, kind="Group")
    unknown = vendor.patch(group, {"op": "add", "path": "members", "value": [{"value": "?"}]}, kind="Group")

    assert known.status == 204
    assert scim_type(unknown) == (400, "invalidValue")


def test_a_new_account_may_stay_invisible_to_lookups_for_a_while() -> None:
    now = [1000.0]
    sim = AcmeSimulator(options=VendorOptions(visible_after_s=5), clock=lambda: now[0])
    vendor = Caller(sim)
    resource_id = vendor.create(ADA).body["id"]

    at_once = vendor.find('userName eq "ada@contoso.test"').body["totalResults"]
    now[0] += 5
    later = vendor.find('userName eq "ada@contoso.test"').body["totalResults"]

    assert (at_once, later) == (0, 1)
    assert vendor.get(resource_id).status == 200


def test_a_deleted_account_leaves_its_groups() -> None:
    vendor = acme()
    user = vendor.create(ADA).body["id"]
    vendor.create({"displayName": "G", "members": [{"value": user}]}, kind="Group")

    vendor.delete(user)

    assert "members" not in vendor.sim.resources("Group")[0]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"conflict_status": 400}, {"status": "400", "scimType": "uniqueness"}),
        ({"conflict_scim_type": False}, {"status": "409"}),
    ],
    ids=["a conflict as 400", "a conflict without scimType"],
)
def test_a_conflict_has_many_faces(options: dict[str, Any], expected: dict[str, str]) -> None:
    vendor = acme(**options)
    vendor.create(ADA)

    answer = vendor.create(ADA)

    assert {key: answer.body.get(key) for key in expected} == expected
    assert str(answer.status) == expected["status"]
    assert ("scimType" in answer.body) is ("scimType" in expected)


def test_an_error_body_may_be_wrapped_or_bare() -> None:
    wrapped, bare = acme(error_shape=ErrorShape.wrapped), acme(error_shape=ErrorShape.bare)

    bodies = [each.get("nobody").body for each in (wrapped, bare)]

    assert bodies[0]["message"]["status"] == "404"
    assert list(bodies[1]) == ["error"]


@pytest.mark.parametrize(
    ("case", "path", "status"),
    [
        (PathCase.insensitive, "/users", 200),
        (PathCase.sensitive, "/users", 404),
        (PathCase.sensitive, "/Users", 200),
        (PathCase.lower_only, "/Users", 404),
        (PathCase.lower_only, "/users", 200),
    ],
)
def test_the_case_of_a_path_matters_where_the_vendor_says_so(case: PathCase, path: str, status: int) -> None:
    vendor = acme(path_case=case)

    assert vendor.call("GET", path).status == status
    assert bool(vendor.sim.violations) is (status == 404)


def test_a_put_replaces_what_it_does_not_mention() -> None:
    vendor = acme()
    resource_id = vendor.create({**ADA, "title": "T"}).body["id"]

    vendor.call("PUT", f"/Users/{resource_id}", body={"schemas": [], **ADA})

    assert "title" not in vendor.sim.resources()[0]


def test_a_manager_and_a_department_travel_by_path_and_by_nesting() -> None:
    vendor = acme()
    boss = vendor.create({**ADA, "userName": "boss", "externalId": "b"}).body["id"]
    resource_id = vendor.create({**ADA, ENTERPRISE_URN: {"department": "R", "manager": {"value": boss}}}).body["id"]

    vendor.set(resource_id, f"{ENTERPRISE_URN}:department", "S")
    vendor.patch(resource_id, {"op": "replace", "value": {"name.givenName": "Ada", ENTERPRISE_URN: {"division": "D"}}})

    stored = vendor.get(resource_id).body
    assert stored[ENTERPRISE_URN] == {"department": "S", "division": "D", "manager": {"value": boss}}
    assert stored["name"] == {"givenName": "Ada"}
    assert vendor.sim.violations == []


def test_a_no_op_patch_may_be_refused() -> None:
    vendor = acme(no_op_patch_status=400)
    resource_id = vendor.create({**ADA, "title": "T"}).body["id"]

    assert vendor.set(resource_id, "title", "T").status == 400
    assert vendor.set(resource_id, "title", "U").status == 204


def test_what_a_client_did_before_us_can_be_seeded_and_reset() -> None:
    vendor = acme()

    ids = vendor.sim.seed([{"userName": "old"}, {"id": "fixed", "emails": [{"type": "work", "value": "x@y.test"}]}])
    before = len(vendor.sim.resources())
    vendor.sim.reset()

    assert ids[1] == "fixed"
    assert before == 2
    assert vendor.sim.resources() == []
    assert vendor.list().status == 200


@pytest.mark.parametrize(
    ("option", "method"), [("put_supported", "PUT"), ("patch_supported", "PATCH"), ("delete_supported", "DELETE")]
)
def test_a_vendor_may_lack_a_method(option: str, method: str) -> None:
    vendor = acme(**{option: False})
    resource_id = vendor.create(ADA).body["id"]

    assert vendor.call(method, f"/Users/{resource_id}", body={"schemas": []}).status == 405
    assert names(vendor.sim.violations) == [("C1", "method_not_supported")]


@pytest.mark.parametrize(("option", "value"), [("nulls_accepted", None), ("empty_strings_accepted", "")])
def test_a_vendor_may_refuse_empty_values(option: str, value: str | None) -> None:
    tolerant, strict = acme(), acme(**{option: False})

    answers = [each.create({**ADA, "title": value}) for each in (tolerant, strict)]

    assert [each.status for each in answers] == [201, 400]
    assert names(strict.sim.violations) == [("C8", "empty_value_sent")]


def test_a_vendor_may_want_one_content_type_and_answer_in_another() -> None:
    vendor = acme(accepted_content_types=("application/json",), answer_content_type="application/json+scim")

    refused = vendor.create(ADA)
    accepted = vendor.create(ADA, headers={"Content-Type": "application/json; charset=utf-8"})

    assert refused.status == 415
    assert names(vendor.sim.notices) == [("C1", "content_type_refused")]
    assert (accepted.status, accepted.headers["Content-Type"]) == (201, "application/json+scim")


def test_a_vendor_may_answer_a_create_with_200_and_a_user_name_in_lower_case() -> None:
    vendor = acme(created_status=200, fold_user_name=True)

    created = vendor.create({**ADA, "userName": "Ada@Contoso.test"})
    vendor.set(created.body["id"], "userName", "ADA@contoso.test")

    assert (created.status, created.body["userName"]) == (200, "ada@contoso.test")
    assert vendor.sim.resources()[0]["userName"] == "ada@contoso.test"


def test_a_vendor_may_limit_and_hide_members() -> None:
    vendor = acme(members_per_request=2, members_listed=False)
    group = vendor.create({"displayName": "G"}, kind="Group").body["id"]

    def add(*values: str) -> int:
        members = [{"value": each} for each in values]
        return vendor.patch(group, {"op": "add", "path": "members", "value": members}, kind="Group").status

    assert (add("a", "b"), add("a", "b", "c")) == (204, 413)
    assert names(vendor.sim.violations) == [("C8", "too_many_members")]
    assert "members" not in vendor.get(group, kind="Group").body
    assert len(vendor.sim.resources("Group")[0]["members"]) == 2


def test_an_email_address_has_an_at_sign() -> None:
    vendor = acme()

    answer = vendor.create({**ADA, "emails": [{"type": "work", "value": "ada"}]})

    assert scim_type(answer) == (400, "invalidValue")
    assert names(vendor.sim.violations) == [("C7", "malformed_email")]


def test_the_primary_element_may_be_filtered_with_a_string() -> None:
    vendor = acme()
    vendor.create({**ADA, "roles": [{"value": "User", "primary": True}]})

    assert vendor.find('roles[primary eq "True"].value eq "User"').body["totalResults"] == 1


def test_a_vendor_may_have_no_discovery() -> None:
    assert acme().call("GET", "/ServiceProviderConfig").body["patch"] == {"supported": True}
    assert acme(discovery=False).call("GET", "/ServiceProviderConfig").status == 404


def test_outside_the_base_path_there_is_a_web_page() -> None:
    vendor = acme()

    answer = vendor.call("GET", "/Users", base_path="/scim/v1")

    assert (answer.status, answer.headers["Content-Type"]) == (404, "text/html")
    assert [each.path for each in vendor.sim.journal] == ["/scim/v1/Users"]
