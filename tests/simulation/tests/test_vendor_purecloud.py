"""PureCloud's rules G1 to G21."""

from typing import Any

import pytest

from tests.simulation.vendors import PureCloudOptions, PureCloudSimulator
from tests.simulation.vendors.calling import Caller, names, scim_type
from tests.simulation.vendors.exchange import Answer, Request
from tests.simulation.vendors.purecloud_schema import GENESYS_URN, PHONE_TYPES
from tests.simulation.vendors.writes import ENTERPRISE_URN

ADA: dict[str, Any] = {"userName": "ada@contoso.test", "displayName": "Ada", "active": True}


def purecloud(**options: Any) -> Caller:
    return Caller(PureCloudSimulator(options=PureCloudOptions(**options)))


@pytest.mark.parametrize("status", [405, 404, 501])
def test_groups_are_neither_created_nor_deleted(status: int) -> None:
    vendor = purecloud(group_create_status=status)
    [group] = vendor.sim.seed([{"displayName": "G"}], resource_type="Group")

    answers = [vendor.create({"displayName": "H"}, kind="Group"), vendor.delete(group, kind="Group")]

    assert [each.status for each in answers] == [status, status]
    assert answers[0].body["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
    assert len(vendor.sim.resources("Group")) == 1
    assert names(vendor.sim.violations) == [("G1", "group_create_or_delete_attempted")] * 2


def test_a_group_that_exists_takes_members_and_a_name() -> None:
    vendor = purecloud()
    [group] = vendor.sim.seed([{"displayName": "G"}], resource_type="Group")
    user = vendor.create(ADA).body["id"]

    found = vendor.find('displayName eq "G"', kind="Group", excludedAttributes="members")
    vendor.patch(group, {"op": "add", "path": "members", "value": [{"value": user}]}, kind="Group")
    vendor.set(group, "externalId", "g-1", kind="Group")
    vendor.patch(group, {"op": "remove", "path": f'members[value eq "{user}"]'}, kind="Group")

    assert found.body["Resources"][0]["id"] == group
    assert "members" not in vendor.sim.resources("Group")[0]
    assert vendor.sim.violations == []


@pytest.mark.parametrize(
    ("mode", "path", "expected"),
    [
        ("reject", None, (400, "invalidValue")),
        ("list", None, (200, "")),
        ("reject", "/api/v2/scim", (200, "")),
    ],
    ids=["refused", "answered after all", "optional on the unversioned path"],
)
def test_listing_groups_wants_a_filter(mode: str, path: str | None, expected: tuple[int, str]) -> None:
    vendor = purecloud(group_list_without_filter=mode)

    assert scim_type(vendor.call("GET", "/groups", base_path=path)) == expected
    assert bool(vendor.sim.violations) is (path is None)


@pytest.mark.parametrize(
    ("kind", "text", "status"),
    [
        ("User", 'userName eq "ada@contoso.test"', 200),
        ("User", "userName eq ada@contoso.test", 200),
        ("User", "email eq ada@contoso.test", 200),
        ("User", "manager eq m-1", 200),
        ("User", "division eq Home", 200),
        ("User", 'externalId eq "e-1"', 200),
        ("User", f"{ENTERPRISE_URN}:employeeNumber eq 7", 200),
        ("User", f'{GENESYS_URN}:externalIds[authority eq "A" and value eq "V"]', 200),
        ("User", 'displayName eq "Ada"', 400),
        ("User", 'userName sw "ada"', 400),
        ("User", 'userName eq "a" or userName eq "b"', 400),
        ("Group", 'externalId eq "g"', 400),
        ("Group", 'displayName eq "G"', 200),
    ],
)
def test_only_some_attributes_can_be_filtered(kind: str, text: str, status: int) -> None:
    vendor = purecloud()
    external = [{"authority": "A", "value": "V"}]
    vendor.create(
        {
            **ADA,
            "externalId": "e-1",
            ENTERPRISE_URN: {"manager": {"value": "m-1"}, "division": "Home", "employeeNumber": "7"},
            GENESYS_URN: {"externalIds": external},
        }
    )
    vendor.sim.seed([{"displayName": "G"}], resource_type="Group")

    answer = vendor.find(text, kind=kind)

    assert answer.status == status
    assert answer.body.get("totalResults") == (1 if status == 200 else None)
    assert names(vendor.sim.violations) == ([] if status == 200 else [("G3", "filter_not_supported")])


@pytest.mark.parametrize("sees", [True, False])
def test_a_list_without_filter_shows_active_users_only(*, sees: bool) -> None:
    vendor = purecloud(lookups_see_inactive=sees)
    active = vendor.create(ADA).body["id"]
    inactive = vendor.create({**ADA, "userName": "bob@contoso.test", "active": False}).body["id"]

    listed = [each["id"] for each in vendor.list().body["Resources"]]
    asked = [each["id"] for each in vendor.find("active eq false").body["Resources"]]
    looked_up = vendor.find('userName eq "bob@contoso.test"').body["totalResults"]

    assert (listed, asked) == ([active], [inactive])
    assert looked_up == (1 if sees else 0)


@pytest.mark.parametrize(
    ("query", "option", "status", "size"),
    [
        ({"count": "26"}, 429, 429, None),
        ({"count": "26"}, None, 200, 25),
        ({"count": "30", "excludedAttributes": "externalId,roles,routingSkills,routingLanguages"}, 429, 200, 30),
        ({"count": "30", "attributes": "userName"}, 429, 200, 30),
        ({"count": "25"}, 429, 200, 25),
        ({}, 429, 200, 25),
    ],
    ids=["refused", "cut to 25", "without the expensive", "of the cheap only", "of 25", "by default"],
)
def test_a_page_above_25(query: dict[str, str], option: int | None, status: int, size: int | None) -> None:
    vendor = purecloud(large_page_status=option)
    vendor.sim.seed([{"userName": f"u{number}", "active": True} for number in range(40)])

    answer = vendor.list(**query)

    assert answer.status == status
    assert (len(answer.body["Resources"]) if status == 200 else None) == size
    assert ("Retry-After" in answer.headers) is (status == 429)
    assert bool(vendor.sim.violations) is (size in {None, 25} and query.get("count") == "26")


def test_the_rate_is_counted_per_token_and_minute() -> None:
    now = [1000.0]
    sim = PureCloudSimulator(options=PureCloudOptions(rate_limit=5), clock=lambda: now[0])
    vendor, other = Caller(sim), Caller(sim, token=sim.tokens.issue("other"))

    statuses = [vendor.list().status for _ in range(6)]
    of_another = other.list().status
    retry_after = vendor.list().headers["Retry-After"]
    now[0] += 60
    later = vendor.list().status

    assert statuses == [200] * 5 + [429]
    assert (of_another, retry_after, later) == (200, "60", 200)
    assert ("G6", "rate_exceeded") in names(sim.violations)


def test_a_stale_version_is_refused_with_400_invalid_vers() -> None:
    vendor = purecloud()
    created = vendor.create(ADA)
    title = {"op": "replace", "path": "title", "value": "T"}

    stale = vendor.patch(created.body["id"], title, headers={"If-Match": '"999"'})
    fresh = vendor.patch(created.body["id"], title, headers={"If-Match": created.headers["ETag"]})

    assert scim_type(stale) == (400, "invalidVers")
    assert fresh.status == 204


@pytest.mark.parametrize("quoted", [False, True])
def test_every_answer_has_the_version_as_a_quoted_etag(*, quoted: bool) -> None:
    vendor = purecloud(version_quoted_in_meta=quoted)
    created = vendor.create(ADA)
    resource_id = created.body["id"]

    read = vendor.get(resource_id)
    unchanged = vendor.get(resource_id, headers={"If-None-Match": read.headers["ETag"]})
    patched = vendor.set(resource_id, "title", "T")
    put = vendor.call("PUT", f"/Users/{resource_id}", body={"schemas": [], **ADA})

    version = read.body["meta"]["version"]
    assert read.headers["ETag"] == (version if quoted else f'"{version}"')
    assert read.headers["ETag"].strip('"').isdigit()
    assert unchanged.status == 304
    assert len({each.headers["ETag"] for each in (created, patched, put)}) == 3


@pytest.mark.parametrize("missing", ["userName", "displayName"])
def test_an_account_wants_user_name_and_display_name(missing: str) -> None:
    vendor = purecloud()

    answer = vendor.create({key: value for key, value in ADA.items() if key != missing})

    assert scim_type(answer) == (400, "invalidValue")
    assert names(vendor.sim.violations) == [("G9", "required_attribute_missing")]


@pytest.mark.parametrize(("restores", "status"), [(False, 409), (True, 201)], ids=["a conflict", "restored"])
def test_creating_over_a_deleted_account(*, restores: bool, status: int) -> None:
    vendor = purecloud(restore_on_create=restores)
    resource_id = vendor.create(ADA).body["id"]
    vendor.delete(resource_id)

    answer = vendor.create({**ADA, "userName": "ADA@contoso.test"})

    assert answer.status == status
    assert (answer.body.get("id") == resource_id) is restores
    assert names(vendor.sim.notices) == ([("G10", "deleted_account_restored")] if restores else [])


def test_creating_over_a_living_account_is_a_conflict() -> None:
    vendor = purecloud()
    vendor.create({**ADA, "emails": [{"type": "work", "value": "bob@contoso.test"}]})

    same_name = vendor.create(ADA)
    same_email = vendor.create({**ADA, "userName": "bob@contoso.test"})

    assert [scim_type(each) for each in (same_name, same_email)] == [(409, "uniqueness")] * 2


def test_a_deleted_account_comes_back_active_without_its_roles() -> None:
    vendor = purecloud()
    resource_id = vendor.create({**ADA, "roles": [{"value": "admin"}]}).body["id"]

    deleted = vendor.delete(resource_id)
    gone = vendor.get(resource_id)
    renamed = vendor.set(resource_id, "title", "T")
    revived = vendor.set(resource_id, "active", value=True)

    assert [each.status for each in (deleted, gone, renamed, revived)] == [204, 404, 404, 204]
    assert "roles" not in vendor.get(resource_id).body
    assert names(vendor.sim.notices) == [("G11", "deleted_account_revived_without_roles")]


def test_a_deleted_account_may_still_be_readable() -> None:
    vendor = purecloud(deleted_readable=True)
    resource_id = vendor.create(ADA).body["id"]
    vendor.delete(resource_id)

    assert vendor.get(resource_id).body["active"] is False


def test_the_email_of_type_other_is_the_user_name() -> None:
    vendor = purecloud()
    created = vendor.create({**ADA, "emails": [{"type": "work", "value": "a@work.test"}]})
    resource_id = created.body["id"]

    vendor.set(resource_id, "userName", "ada.king@contoso.test")
    changed = vendor.set(resource_id, 'emails[type eq "other"].value', "x@y.test")

    emails = {each["type"]: each["value"] for each in vendor.get(resource_id).body["emails"]}
    assert emails == {"work": "a@work.test", "other": "ada.king@contoso.test"}
    assert scim_type(changed) == (400, "mutability")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"emails": [{"type": "home", "value": "a@b.test"}]}, (400, "invalidValue")),
        ({"phoneNumbers": [{"type": "fax", "value": "+31201234567"}]}, (400, "invalidValue")),
        ({"phoneNumbers": [{"type": "work", "value": "020 1234567"}]}, (400, "invalidValue")),
        ({"phoneNumbers": [{"type": "work", "value": "tel:+31201234567;ext=12"}]}, (201, "")),
        ({"phoneNumbers": [{"type": kind, "value": "+31201234567"} for kind in PHONE_TYPES]}, (201, "")),
        ({GENESYS_URN: {"routingSkills": [{"name": "sales", "proficiency": 1}]}}, (400, "invalidValue")),
        ({GENESYS_URN: {"routingSkills": [{"name": "Sales", "proficiency": 5.1}]}}, (400, "invalidValue")),
        ({GENESYS_URN: {"routingSkills": [{"name": "Sales", "proficiency": 5.0}]}}, (201, "")),
        ({GENESYS_URN: {"routingLanguages": [{"name": "English"}] * 51}}, (400, "invalidValue")),
    ],
)
def test_values_are_checked(body: dict[str, Any], expected: tuple[int, str]) -> None:
    vendor = purecloud()

    answer = vendor.create({**ADA, **body})

    assert scim_type(answer) == expected
    assert len(vendor.sim.resources()) == (1 if expected[0] == 201 else 0)
    assert bool(vendor.sim.violations) is (expected[0] == 400)


@pytest.mark.parametrize("body", [{"groups": [{"value": "g"}]}, {"meta": {"resourceType": "X"}}, {"id": "i"}])
def test_what_is_read_only_cannot_be_written(body: dict[str, Any]) -> None:
    vendor = purecloud()

    assert scim_type(vendor.create({**ADA, **body})) == (400, "mutability")
    assert names(vendor.sim.violations) == [("G14", "read_only_attribute_written")]


def test_a_member_must_be_an_existing_user() -> None:
    vendor = purecloud()
    [group] = vendor.sim.seed([{"displayName": "G"}], resource_type="Group")

    answer = vendor.patch(group, {"op": "add", "path": "members", "value": [{"value": "?"}]}, kind="Group")

    assert scim_type(answer) == (400, "invalidValue")
    assert names(vendor.sim.notices) == [("G16", "unknown_member")]


def test_schemas_cannot_be_filtered() -> None:
    vendor = purecloud()

    assert vendor.call("GET", "/schemas", query={"filter": 'id eq "x"'}).status == 403
    assert vendor.call("GET", "/schemas").body["totalResults"] == 4


def test_names_and_cost_centres_are_ignored_and_recorded() -> None:
    vendor = purecloud()

    vendor.create({**ADA, "name": {"givenName": "A"}, ENTERPRISE_URN: {"costCenter": "c", "department": "R"}})

    stored = vendor.sim.resources()[0]
    assert "name" not in stored
    assert stored[ENTERPRISE_URN] == {"department": "R"}
    assert names(vendor.sim.violations) == [("G18", "unsupported_attribute")] * 2


def test_an_external_id_shows_up_under_the_vendors_own_authority() -> None:
    vendor = purecloud()

    created = vendor.create({**ADA, "externalId": "e-1"})

    assert created.body[GENESYS_URN]["externalIds"] == [{"authority": "x-pc:scimv2:v1", "value": "e-1"}]


def login(sim: PureCloudSimulator, *, client_id: str, secret: str, grant: str = "client_credentials") -> Answer:
    import base64

    basic = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    return sim.login.respond(
        Request(
            method="POST",
            target="/oauth/token",
            headers=[("Authorization", f"Basic {basic}")],
            body=f"grant_type={grant}".encode(),
        )
    )


def token_of(answer: Answer) -> dict[str, Any]:
    import json

    return json.loads(answer.payload())  # type: ignore[no-any-return]


def test_the_login_server_hands_out_tokens_that_expire() -> None:
    sim = PureCloudSimulator(options=PureCloudOptions(token_seconds=300))

    granted = token_of(login(sim, client_id=sim.client_id, secret=sim.client_secret))
    vendor = Caller(sim, token=granted["access_token"])
    at_once = vendor.list().status
    sim.clock.advance(300)

    assert (granted["token_type"], granted["expires_in"]) == ("bearer", 300)
    assert (at_once, vendor.list().status) == (200, 401)


def test_the_login_server_refuses_strangers() -> None:
    here, elsewhere = PureCloudSimulator(seed=1), PureCloudSimulator(seed=2)

    wrong_secret = login(here, client_id=here.client_id, secret="no")
    wrong_region = login(here, client_id=elsewhere.client_id, secret=elsewhere.client_secret)
    wrong_grant = login(here, client_id=here.client_id, secret=here.client_secret, grant="password")
    foreign = token_of(login(elsewhere, client_id=elsewhere.client_id, secret=elsewhere.client_secret))

    assert [each.status for each in (wrong_secret, wrong_region, wrong_grant)] == [401, 401, 400]
    assert Caller(here, token=foreign["access_token"]).list().status == 401


@pytest.mark.parametrize(("hipaa", "status"), [(True, 401), (False, 200)])
def test_an_idle_token_ends_in_a_hipaa_organisation(*, hipaa: bool, status: int) -> None:
    sim = PureCloudSimulator(options=PureCloudOptions(hipaa=hipaa))
    vendor = Caller(sim, token=token_of(login(sim, client_id=sim.client_id, secret=sim.client_secret))["access_token"])

    for _ in range(2):
        sim.clock.advance(14 * 60)
        assert vendor.list().status == 200
    sim.clock.advance(16 * 60)

    assert vendor.list().status == status


def test_a_client_may_do_what_its_roles_allow() -> None:
    sim = PureCloudSimulator()
    secret = sim.add_client("adder", rights=frozenset({"directory:user:add"}))
    vendor = Caller(sim, token=token_of(login(sim, client_id="adder", secret=secret))["access_token"])

    created = vendor.create(ADA)
    answers = [
        vendor.list(),
        vendor.set(created.body["id"], "title", "T"),
        vendor.delete(created.body["id"]),
        vendor.find('displayName eq "G"', kind="Group"),
    ]

    assert created.status == 201
    assert [each.status for each in answers] == [200, 403, 403, 403]
    assert names(sim.notices) == [("G21", "right_missing")] * 3


def test_the_documented_attributes_are_stored_without_a_violation() -> None:
    vendor = purecloud()
    boss = vendor.create({**ADA, "userName": "boss@contoso.test"}).body["id"]

    answer = vendor.create(
        {
            **ADA,
            "title": "T",
            "emails": [{"type": "work", "value": "ada@work.test"}],
            "phoneNumbers": [{"type": "mobile", "value": "+31612345678"}],
            ENTERPRISE_URN: {"department": "R", "employeeNumber": "7", "manager": {"value": boss}},
        }
    )

    assert answer.status == 201
    assert answer.body[ENTERPRISE_URN]["manager"]["value"] == boss
    assert vendor.sim.violations == []
