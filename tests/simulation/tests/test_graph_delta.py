"""Delta queries of the simulated Graph behave as documented, under every disturbance that keeps the data true."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.simulation.graph import GraphSimulator
from tests.simulation.graph.reader import Copy, GraphReader
from tests.simulation.tenant import Tenant

USERS = "users/delta?$select=userPrincipalName,accountEnabled,displayName,mail,jobTitle,faxNumber,manager"
GROUPS = "groups/delta?$select=displayName,members"


@pytest.fixture
def tenant() -> Tenant:
    return Tenant(11, 60)


@pytest.fixture
def graph(tenant: Tenant) -> Iterator[GraphSimulator]:
    with GraphSimulator(tenant, page_size=25) as simulator:
        yield simulator


@pytest.fixture
def reader(graph: GraphSimulator) -> Iterator[GraphReader]:
    with GraphReader(graph.base_url) as opened:
        yield opened


@pytest.mark.parametrize(
    "path",
    [
        "users/delta?$select=displayName",
        "users/delta()?%24select=displayName",
        "users/microsoft.graph.delta?$select=displayName",
        "users/microsoft.graph.delta()?%24Select=displayName",
    ],
)
def test_every_spelling_of_delta_is_the_same_round(reader, tenant, path):
    read = reader.round(path)

    assert [len(page["value"]) for page in read.pages] == [25, 25, 10]
    assert {shown["id"] for shown in read.objects} == set(tenant.users)
    assert all(shown.keys() == {"id", "displayName"} for shown in read.objects)


def test_each_page_has_exactly_one_link_on_the_simulators_host(reader, graph):
    read = reader.round(USERS)

    for page in read.pages:
        links = [page[name] for name in ("@odata.nextLink", "@odata.deltaLink") if name in page]
        assert len(links) == 1
        assert links[0].startswith(f"{graph.base_url}/users/delta?$")


def test_latest_gives_no_data_and_sees_what_comes_after(reader, tenant):
    start = reader.round(f"{USERS}&$deltatoken=latest")
    changed = tenant.user_ids()[3]

    tenant.update(changed, jobTitle="Pilot")

    assert start.objects == []
    assert [shown["id"] for shown in reader.round(start.delta_link).objects] == [changed]


def test_a_property_never_set_is_absent_and_a_cleared_one_is_null(reader, tenant):
    user_id = tenant.hire(faxNumber=None, jobTitle="Pilot")
    first = reader.round(USERS)

    tenant.update(user_id, jobTitle=None)

    (before,), (after,) = first.of(user_id), reader.round(first.delta_link).of(user_id)
    assert "faxNumber" not in before
    assert "faxNumber" not in after
    assert after["jobTitle"] is None
    assert after["displayName"] == before["displayName"]


def test_minimal_shows_changed_properties_only(reader, tenant):
    start = reader.round(USERS).delta_link
    user_id = tenant.user_ids()[0]

    tenant.update(user_id, jobTitle=None, displayName="Ünal")

    assert reader.round(start, Prefer="return=minimal").objects == [
        {"id": user_id, "displayName": "Ünal", "jobTitle": None}
    ]


def test_a_change_of_an_unselected_property_is_not_told(reader, tenant):
    start = reader.round(USERS).delta_link

    tenant.update(tenant.user_ids()[0], officeLocation="9/999")

    assert reader.round(start).objects == []


def test_a_disabled_person_is_an_update_not_a_removal(reader, tenant):
    start = reader.round(USERS).delta_link
    user_id = tenant.user_ids()[0]

    tenant.disable(user_id)

    (shown,) = reader.round(start).of(user_id)
    assert shown["accountEnabled"] is False
    assert "@removed" not in shown


def test_soft_deletion_then_purge_are_told_as_changed_then_deleted(reader, tenant):
    start = reader.round(USERS).delta_link
    user_id = tenant.user_ids()[-1]

    tenant.soft_delete(user_id)
    second = reader.round(start)
    tenant.purge(user_id)
    third = reader.round(second.delta_link)

    assert second.of(user_id) == [{"id": user_id, "@removed": {"reason": "changed"}}]
    assert third.of(user_id) == [{"id": user_id, "@removed": {"reason": "deleted"}}]


def test_a_restored_person_looks_new(reader, tenant):
    user_id = tenant.user_ids()[-1]
    (whole,) = reader.round(USERS).of(user_id)
    tenant.soft_delete(user_id)
    start = reader.round(USERS).delta_link

    tenant.restore(user_id)

    assert reader.round(start, Prefer="return=minimal").of(user_id) == [whole]


def test_a_new_manager_replaces_the_former_one(reader, tenant):
    start = reader.round(USERS).delta_link
    user_id = tenant.user_ids()[20]
    former, new = tenant.manager_of(user_id), tenant.user_ids()[1]

    tenant.set_manager(user_id, None)
    tenant.set_manager(user_id, new)

    (shown,) = reader.round(start).of(user_id)
    assert shown["manager@delta"] == [
        {"@odata.type": "#microsoft.graph.user", "id": former, "@removed": {"reason": "deleted"}},
        {"@odata.type": "#microsoft.graph.user", "id": new},
    ]


def test_a_manager_who_was_away_for_a_moment_is_only_named(reader, tenant):
    start = reader.round(USERS).delta_link
    user_id = tenant.user_ids()[20]
    manager_id = tenant.manager_of(user_id)

    tenant.set_manager(user_id, None)
    tenant.set_manager(user_id, manager_id)

    (shown,) = reader.round(start).of(user_id)
    assert shown["manager@delta"] == [{"@odata.type": "#microsoft.graph.user", "id": manager_id}]


def test_a_deleted_manager_leaves_the_reports_and_returns_to_them(reader, tenant):
    user_id = tenant.user_ids()[20]
    manager_id = tenant.manager_of(user_id)
    start = reader.round(USERS).delta_link

    tenant.soft_delete(manager_id)
    gone = reader.round(start)
    tenant.restore(manager_id)
    back = reader.round(gone.delta_link)

    reference = {"@odata.type": "#microsoft.graph.user", "id": manager_id}
    assert gone.of(user_id)[0]["manager@delta"] == [reference | {"@removed": {"reason": "deleted"}}]
    assert back.of(user_id)[0]["manager@delta"] == [reference]


def test_a_person_deleted_while_a_round_is_read_is_told_in_the_next_one(reader, tenant):
    first = reader.json(USERS)
    user_id = tenant.user_ids()[-1]

    tenant.soft_delete(user_id)

    rest = reader.round(first["@odata.nextLink"])
    assert rest.of(user_id) == []
    assert reader.round(rest.delta_link).of(user_id) == [{"id": user_id, "@removed": {"reason": "changed"}}]


def test_members_of_a_large_group_are_split_over_pages(tenant):
    with GraphSimulator(tenant, page_size=25, member_page_size=10) as graph, GraphReader(graph.base_url) as reader:
        read = reader.round(GROUPS)

    everyone = tenant.group_id_of("All employees")
    pages = [page for page in read.pages if any(shown["id"] == everyone for shown in page["value"])]
    members = [member["id"] for shown in read.of(everyone) for member in shown["members@delta"]]
    assert len(pages) > 3
    assert sorted(members) == sorted(tenant.members[everyone])
    assert all(sum(len(shown.get("members@delta", ())) for shown in page["value"]) <= 10 for page in read.pages)


def test_members_of_every_kind_are_named_with_their_type(reader, tenant):
    read = reader.round(GROUPS)

    kinds = {member["@odata.type"] for shown in read.objects for member in shown.get("members@delta", ())}
    assert kinds == {f"#microsoft.graph.{kind}" for kind in ("user", "group", "device", "servicePrincipal")}


def test_added_and_removed_members_are_told_apart(reader, tenant):
    stays, leaves, joins, *_ = tenant.user_ids()
    group_id = tenant.create_group("Team", members=[stays, leaves])
    start = reader.round(GROUPS).delta_link

    tenant.remove_member(group_id, leaves)
    tenant.add_member(group_id, joins)

    (shown,) = reader.round(start).of(group_id)
    assert {(member["id"], "@removed" in member) for member in shown["members@delta"]} == {
        (leaves, True),
        (joins, False),
    }


def test_a_deleted_person_leaves_their_groups_in_the_delta(reader, tenant):
    user_id = tenant.user_ids()[0]
    start = reader.round(GROUPS).delta_link

    tenant.soft_delete(user_id)

    removed = {"@odata.type": "#microsoft.graph.user", "id": user_id, "@removed": {"reason": "deleted"}}
    (shown,) = reader.round(start).of(tenant.group_id_of("All employees"))
    assert shown["members@delta"] == [removed]


def test_a_security_group_is_deleted_and_a_unified_group_only_changed(reader, tenant):
    security, unified = tenant.create_group("S"), tenant.create_group("U", unified=True)
    start = reader.round(GROUPS).delta_link

    tenant.delete_group(security)
    tenant.delete_group(unified)

    read = reader.round(start)
    assert read.of(security)[0]["@removed"] == {"reason": "deleted"}
    assert read.of(unified)[0]["@removed"] == {"reason": "changed"}


def test_an_id_filter_narrows_the_round_and_its_increments(reader, tenant):
    wanted, other, *_ = tenant.user_ids()
    read = reader.round(f"users/delta?$select=displayName&$filter=id eq '{wanted}'")

    tenant.update(wanted, displayName="A")
    tenant.update(other, displayName="B")

    assert [shown["id"] for shown in read.objects] == [wanted]
    assert [shown["id"] for shown in reader.round(read.delta_link).objects] == [wanted]


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("$filter=" + " or ".join(f"id eq '{number}'" for number in range(51)), id="51 ids"),
        pytest.param("$filter=displayName eq 'x'", id="a filter on something else"),
        pytest.param("$expand=manager", id="an expansion"),
        pytest.param("$orderby=displayName", id="an order"),
        pytest.param("$select=telephoneNumber", id="a property that does not exist"),
    ],
)
def test_a_first_call_is_refused_with(reader, query):
    answer = reader.get(f"users/delta?{query}")

    assert answer.status_code == 400
    assert answer.json()["error"]["code"]


def test_top_is_ignored(reader):
    assert len(reader.json("users/delta?$select=id&$top=3")["value"]) == 25


def test_a_select_beside_a_token_is_refused(reader):
    page = reader.json(USERS)

    assert reader.get(f"{page['@odata.nextLink']}&$select=id").status_code == 400


def test_a_delta_link_can_be_followed_again_and_then_gives_the_same_or_newer(reader, tenant):
    start = reader.round(USERS).delta_link
    first, second, *_ = tenant.user_ids()
    tenant.update(first, jobTitle="A")
    once = reader.round(start)

    tenant.update(second, jobTitle="B")

    again = reader.round(start)
    assert [shown["id"] for shown in once.objects] == [first]
    assert [shown["id"] for shown in again.objects] == [first, second]


def test_a_next_link_can_be_followed_again_after_a_crash(reader):
    link = reader.json(USERS)["@odata.nextLink"]

    assert reader.json(link)["value"] == reader.json(link)["value"]


def test_a_token_is_dead_after_seven_days(tenant):
    with (
        GraphSimulator(tenant, clock=lambda: datetime(2026, 3, 1, tzinfo=UTC)) as graph,
        GraphReader(graph.base_url) as reader,
    ):
        link = reader.round(USERS).delta_link
        graph.advance(timedelta(days=7))
        alive = reader.get(link)
        graph.advance(timedelta(seconds=1))
        dead = reader.get(link)

    assert alive.status_code == 200
    assert dead.status_code == 400
    assert dead.json()["error"]["code"] == "syncStateNotFound"


def test_changed_role_definitions_are_told_but_grants_are_not(reader, tenant):
    fuze = tenant.service_principal_id_of("Fuze")
    start = reader.round("servicePrincipals/delta?$select=displayName,appRoles").delta_link

    tenant.assign(fuze, tenant.user_ids()[9])
    quiet = reader.round(start)
    tenant.update_service_principal(fuze, appRoles=[])

    assert quiet.objects == []
    assert [shown["appRoles"] for shown in reader.round(start).of(fuze)] == [[]]


ACTIONS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 10_000), st.integers(0, 10_000)), max_size=25)
DISTURBANCES = st.sets(
    st.sampled_from(["empty_page", "variable_pages", "duplicate", "replay", "reorder", "lag"]), max_size=6
)


def act(tenant: Tenant, action: int, first: int, second: int) -> None:
    users, groups, deleted = tenant.user_ids(), list(tenant.groups), list(tenant.deleted_users)
    user_id, other = users[first % len(users)], users[second % len(users)]
    group_id = groups[second % len(groups)]
    actions = [
        tenant.hire,
        lambda: tenant.update(user_id, jobTitle=f"Title {second}"),
        lambda: tenant.update(user_id, mail=None, displayName=f"Name {second}"),
        lambda: tenant.soft_delete(user_id) if len(users) > 3 else None,
        lambda: tenant.restore(deleted[first % len(deleted)]) if deleted else None,
        lambda: tenant.purge(deleted[first % len(deleted)]) if deleted else None,
        lambda: tenant.set_manager(user_id, other if user_id != other else None),
        lambda: tenant.add_member(group_id, user_id),
        lambda: tenant.remove_member(group_id, user_id),
        lambda: tenant.delete_group(group_id) if len(groups) > 3 else tenant.create_group(f"New {second}"),
    ]
    actions[action]()


@given(days=st.lists(ACTIONS, min_size=1, max_size=4), disturbances=DISTURBANCES, seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_copy_kept_by_deltas_equals_the_tenant_whatever_disturbs_the_rounds(days, disturbances, seed):
    tenant = Tenant(seed, 20)
    copy = Copy()

    with GraphSimulator(tenant, page_size=7, seed=seed) as graph, GraphReader(graph.base_url) as reader:
        for kind in disturbances:
            graph.faults.add(kind, path="*/delta", times=6, probability=0.5, fraction=0.5, polls=2, count=5)
        users, groups = reader.round(USERS), reader.round(GROUPS)
        copy.apply_users(users)
        copy.apply_groups(groups)
        for day in [*days, [], [], []]:
            if not day:
                graph.faults.clear()
            for action in day:
                act(tenant, *action)
            users, groups = reader.round(users.delta_link), reader.round(groups.delta_link)
            copy.apply_users(users)
            copy.apply_groups(groups)

    assert copy.users.keys() == tenant.users.keys()
    for user_id, held in copy.users.items():
        truth = tenant.user(user_id)
        assert all(truth.get(name) == value for name, value in held.items())
        assert copy.managers.get(user_id) == tenant.manager_of(user_id)
    assert copy.members == {group_id: set(members) for group_id, members in tenant.members.items()}
