"""Plain reads, grants, batches and tokens of the simulated Graph."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import httpx
import pytest

from tests.simulation.graph import GraphSimulator
from tests.simulation.graph.reader import GraphReader
from tests.simulation.tenant import DEFAULT_ACCESS, Tenant


@pytest.fixture
def tenant() -> Tenant:
    return Tenant(12, 60)


@pytest.fixture
def graph(tenant: Tenant) -> Iterator[GraphSimulator]:
    with GraphSimulator(tenant, clock=lambda: datetime(2026, 3, 1, tzinfo=UTC)) as simulator:
        yield simulator


@pytest.fixture
def reader(graph: GraphSimulator) -> Iterator[GraphReader]:
    with GraphReader(graph.base_url) as opened:
        yield opened


def test_a_person_is_read_by_id_and_by_every_odd_principal_name(reader, tenant):
    for user_id in tenant.user_ids()[:10]:
        name = tenant.user(user_id)["userPrincipalName"]

        assert reader.json(f"users/{user_id}")["id"] == user_id
        assert reader.json(f"users/{quote(name, safe='')}?$select=userPrincipalName")["userPrincipalName"] == name


def test_a_plain_read_shows_null_for_what_was_never_set(reader, tenant):
    shown = reader.json(f"users/{tenant.user_ids()[6]}?$select=surname")

    assert shown["surname"] is None


def test_a_deleted_person_is_404_and_among_the_deleted_items(reader, tenant):
    user_id = tenant.user_ids()[0]

    tenant.soft_delete(user_id)

    assert reader.get(f"users/{user_id}").status_code == 404
    assert reader.json(f"directory/deletedItems/{user_id}")["deletedDateTime"]
    assert [held["id"] for held in reader.all("directory/deletedItems/microsoft.graph.user")] == [user_id]


def test_a_purged_person_is_404_everywhere(reader, tenant):
    user_id = tenant.user_ids()[0]

    tenant.purge(user_id)

    assert reader.get(f"users/{user_id}").json()["error"]["code"] == "Request_ResourceNotFound"
    assert reader.get(f"directory/deletedItems/{user_id}").status_code == 404


def test_lists_are_paged_by_top(reader, tenant):
    page = reader.json("users?$select=id&$top=25")

    assert len(page["value"]) == 25
    assert [shown["id"] for shown in reader.all("users?$select=id&$top=25")] == tenant.user_ids()
    assert reader.get("users?$top=1000").status_code == 400


def test_a_filter_finds_a_person_with_an_apostrophe(reader, tenant):
    user_id = tenant.user_ids()[2]
    name = tenant.user(user_id)["userPrincipalName"].replace("'", "''")

    found = reader.all(f"users?$select=id&$filter=userPrincipalName eq '{quote(name)}'")

    assert [shown["id"] for shown in found] == [user_id]


def test_members_are_direct_of_every_kind_and_can_be_cast(reader, tenant):
    group_id = tenant.group_id_of("Technology")

    members = {shown["id"]: shown["@odata.type"] for shown in reader.all(f"groups/{group_id}/members?$top=2")}
    people = reader.all(f"groups/{group_id}/members/microsoft.graph.user?$select=id")

    assert members == {held: kind.odata_type for held, kind in tenant.members[group_id].items()}
    assert len(people) == 1


def test_an_application_is_read_by_id_and_by_app_id(reader, tenant):
    fuze = tenant.service_principal_id_of("Fuze")
    app_id = tenant.service_principals[fuze]["appId"]

    by_app_id = reader.json(f"servicePrincipals(appId='{app_id}')?$select=displayName,appRoles")

    assert by_app_id["id"] == fuze
    assert [role["displayName"] for role in by_app_id["appRoles"]] == ["User", "Admin", "msiam_access"]
    assert reader.json(f"servicePrincipals(appId=%27{app_id}%27)")["id"] == fuze
    assert reader.get("servicePrincipals(appId='none')").status_code == 404


def test_grants_of_an_application_are_complete_over_pages(reader, tenant):
    fuze = tenant.service_principal_id_of("Fuze")

    grants = reader.all(f"servicePrincipals/{fuze}/appRoleAssignedTo?$top=2")

    assert [grant["id"] for grant in grants] == [grant.id for grant in tenant.grants(fuze)]
    assert {grant["principalType"] for grant in grants} == {"User", "Group", "ServicePrincipal"}
    assert {grant["resourceId"] for grant in grants} == {fuze}


def test_grants_of_a_person_include_those_of_their_direct_groups(reader, tenant):
    user_id, application = tenant.user_ids()[0], tenant.create_service_principal("App")
    group_id = tenant.create_group("Assigned", members=[user_id])
    outer = tenant.create_group("Outer", members=[group_id])
    tenant.assign(application, user_id)
    tenant.assign(application, group_id)
    tenant.assign(application, outer)

    grants = reader.all(f"users/{user_id}/appRoleAssignments?$filter=resourceId eq {application}")

    assert {(grant["principalId"], grant["appRoleId"]) for grant in grants} == {
        (user_id, DEFAULT_ACCESS),
        (group_id, DEFAULT_ACCESS),
    }


def test_grants_cannot_be_filtered_by_principal(reader, tenant):
    fuze = tenant.service_principal_id_of("Fuze")

    assert reader.get(f"servicePrincipals/{fuze}/appRoleAssignedTo?$filter=principalId eq 'x'").status_code == 400


def test_a_revoked_grant_is_gone_at_once_without_faults(reader, tenant):
    fuze = tenant.service_principal_id_of("Fuze")
    grant = tenant.grants(fuze)[0]

    tenant.unassign(grant.id)

    assert grant.id not in {shown["id"] for shown in reader.all(f"servicePrincipals/{fuze}/appRoleAssignedTo")}


def test_the_manager_is_a_relationship_of_its_own(reader, tenant):
    user_id = tenant.user_ids()[20]

    assert reader.json(f"users/{user_id}/manager")["id"] == tenant.manager_of(user_id)
    assert reader.json(f"users/{user_id}?$expand=manager($select=id)")["manager"]["id"] == tenant.manager_of(user_id)
    assert reader.get(f"users/{tenant.user_ids()[0]}/manager").status_code == 404


def test_a_batch_answers_each_part_for_itself(reader, tenant):
    user_id = tenant.user_ids()[0]
    parts = [
        {"id": "1", "method": "GET", "url": f"/users/{user_id}?$select=id"},
        {"id": "2", "method": "GET", "url": "/users/nobody"},
        {"id": "3", "method": "GET", "url": f"/users/{user_id}", "dependsOn": ["2"]},
    ]

    answers = {part["id"]: part for part in reader.send("POST", "$batch", {"requests": parts}).json()["responses"]}

    assert {held: part["status"] for held, part in answers.items()} == {"1": 200, "2": 404, "3": 424}
    assert answers["1"]["body"]["id"] == user_id


@pytest.mark.parametrize("size", [pytest.param(0, id="nothing"), pytest.param(21, id="21 parts")])
def test_a_batch_is_refused_with(reader, size):
    parts = [{"id": str(number), "method": "GET", "url": "/users"} for number in range(size)]

    assert reader.send("POST", "$batch", {"requests": parts}).status_code == 400


def test_nothing_is_served_without_a_token(graph):
    answer = httpx.get(f"{graph.base_url}/users", trust_env=False)

    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "InvalidAuthenticationToken"
    assert [(entry.path, entry.status, entry.had_token) for entry in graph.requests] == [("users", 401, False)]


def test_a_fixed_token_is_the_only_one_served(tenant):
    with (
        GraphSimulator(tenant, token="right") as graph,
        GraphReader(graph.base_url, token="right") as right,
        GraphReader(graph.base_url, token="wrong") as wrong,
    ):
        assert right.get("users").status_code == 200
        assert wrong.get("users").status_code == 401


def test_an_issued_token_dies_after_an_hour(graph):
    origin = graph.base_url.removesuffix("/v1.0")
    issued = httpx.post(f"{origin}/tenant/oauth2/v2.0/token", trust_env=False).json()

    with GraphReader(graph.base_url, token=issued["access_token"]) as reader:
        fresh = reader.get("users?$top=1").status_code
        graph.advance(timedelta(seconds=issued["expires_in"]))
        stale = reader.get("users?$top=1").status_code

    assert (fresh, stale) == (200, 401)


def test_answers_carry_request_id_and_resource_units(reader, tenant):
    plain = reader.get(f"users/{tenant.user_ids()[0]}")
    selected = reader.get(f"users/{tenant.user_ids()[0]}?$select=id")

    assert plain.headers["request-id"] != selected.headers["request-id"]
    assert (plain.headers["x-ms-resource-unit"], selected.headers["x-ms-resource-unit"]) == ("2", "1")


def test_the_journal_counts_per_path_without_ids(reader, graph, tenant):
    for user_id in tenant.user_ids()[:3]:
        reader.get(f"users/{user_id}")
    reader.get("users/delta()?$select=id")

    assert graph.requests.counts() == {"users/{id}": 3, "users/delta": 1}


def test_links_keep_names_that_are_not_ascii_in_the_body(reader, tenant):
    body = reader.get("users?$select=displayName&$top=999").content

    assert any(ord(letter) > 127 for letter in body.decode())
    assert json.loads(body)["value"]
