"""Every fault of the simulated Graph does what it says, only where and as often as asked."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx
import pytest

from tests.simulation.graph import FaultKind, GraphSimulator
from tests.simulation.graph.reader import GraphReader
from tests.simulation.tenant import Tenant

USERS = "users/delta?$select=displayName,jobTitle"
GROUPS = "groups/delta?$select=members"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def tenant() -> Tenant:
    return Tenant(13, 60)


@pytest.fixture
def graph(tenant: Tenant) -> Iterator[GraphSimulator]:
    with GraphSimulator(tenant, page_size=25, clock=lambda: NOW) as simulator:
        yield simulator


@pytest.fixture
def reader(graph: GraphSimulator) -> Iterator[GraphReader]:
    with GraphReader(graph.base_url) as opened:
        yield opened


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("throttle", {"retry_after": "1"}, (429, "TooManyRequests")),
        ("server_error", {"status": 500}, (500, "InternalServerError")),
        ("server_error", {"status": 502}, (502, "BadGateway")),
        ("server_error", {}, (503, "serviceNotAvailable")),
        ("server_error", {"status": 504}, (504, "GatewayTimeout")),
        ("unauthorized", {}, (401, "InvalidAuthenticationToken")),
        ("forbidden", {}, (403, "Authorization_RequestDenied")),
        ("not_found", {}, (404, "Request_ResourceNotFound")),
        ("gone", {}, (410, "Gone")),
        ("sync_state_not_found", {}, (400, "syncStateNotFound")),
        ("sync_state_not_found", {"status": 404}, (404, "syncStateNotFound")),
    ],
)
def test_an_error_strikes_as_often_as_asked_and_then_all_is_well(reader, graph, kind, options, expected):
    status, code = expected
    graph.faults.add(kind, path="users/delta", times=2, **options)

    answers = [reader.get(USERS) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [status, status, 200]
    assert answers[0].json()["error"]["code"] == code
    assert graph.faults.active() == []


@pytest.mark.parametrize(
    ("retry_after", "header"),
    [
        pytest.param("1", "1", id="seconds"),
        pytest.param("300", "300", id="too long"),
        pytest.param(None, None, id="none"),
    ],
)
def test_throttling_tells_when_to_come_back(reader, graph, retry_after, header):
    graph.faults.add("throttle", retry_after=retry_after)

    answer = reader.get(USERS)

    assert answer.headers.get("retry-after") == header
    assert answer.headers["x-ms-throttle-information"] == "ResourceUnitLimitExceeded"


def test_throttling_can_tell_the_time_as_a_date(reader, graph):
    graph.faults.add("throttle", retry_after="date")

    header = reader.get(USERS).headers["retry-after"]

    assert parsedate_to_datetime(header) == NOW + timedelta(seconds=2)


def test_a_fault_spares_other_paths_and_other_links(reader, graph):
    graph.faults.add("server_error", path="groups/*")
    graph.faults.add("gone", path="users/delta", link="delta")

    read = reader.round(USERS)

    assert reader.get(read.delta_link).status_code == 410
    assert reader.get("groups/delta").status_code == 503


def test_a_fault_can_let_requests_through_first(reader, graph):
    graph.faults.add("gone", path="users/delta", after=1)

    first = reader.json(USERS)

    answer = reader.get(first["@odata.nextLink"])
    assert answer.status_code == 410
    assert answer.headers["location"] == f"{graph.base_url}/users/delta?$deltatoken="


def test_the_location_of_410_begins_a_full_round(reader, graph, tenant):
    graph.faults.add("gone")
    location = reader.get(USERS).headers["location"]

    assert {shown["id"] for shown in reader.round(location).objects} == set(tenant.users)


def test_a_location_or_link_can_point_to_another_host(reader, graph):
    graph.faults.add("gone", origin="https://evil.example")
    graph.faults.add("foreign_link", path="users/delta", origin="https://evil.example", link="initial")

    gone = reader.get(USERS)
    page = reader.json(USERS)

    assert gone.headers["location"].startswith("https://evil.example/")
    assert page["@odata.nextLink"].startswith("https://evil.example/v1.0/users/delta?$skiptoken=")


def test_throttling_inside_a_batch_leaves_the_other_parts_alone(reader, graph, tenant):
    first, second, *_ = tenant.user_ids()
    graph.faults.add("throttle", path=f"users/{first}", retry_after="7")
    parts = [{"id": held, "method": "GET", "url": f"/users/{held}"} for held in (first, second)]

    outer = reader.send("POST", "$batch", {"requests": parts})

    answers = {part["id"]: part for part in outer.json()["responses"]}
    assert outer.status_code == 200
    assert answers[first]["status"] == 429
    assert answers[first]["headers"]["Retry-After"] == "7"
    assert answers[second]["status"] == 200


@pytest.mark.parametrize("kind", ["reset", "refuse"])
def test_the_connection_is_lost(reader, graph, kind):
    graph.faults.add(kind)

    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        reader.get(USERS)

    assert reader.get(USERS).status_code == 200


def test_a_truncated_body_is_no_json(reader, graph):
    graph.faults.add("truncate")

    answer = reader.get(USERS)

    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_garbage_is_an_html_page(reader, graph):
    graph.faults.add("garbage")

    assert reader.get(USERS).headers["content-type"].startswith("text/html")


def test_a_slow_answer_runs_into_a_time_out(graph):
    graph.faults.add("slow", seconds=30)

    with httpx.Client(trust_env=False) as client, pytest.raises(httpx.ReadTimeout):
        client.get(f"{graph.base_url}/users", headers={"Authorization": "Bearer x"}, timeout=0.2)


def test_an_empty_page_with_a_next_link_loses_nothing(reader, graph, tenant):
    graph.faults.add("empty_page", path="users/delta", times=2)

    read = reader.round(USERS)

    assert [page["value"] for page in read.pages].count([]) == 2
    assert [shown["id"] for shown in read.objects] == tenant.user_ids()


def test_pages_vary_in_size(reader, graph, tenant):
    graph.faults.add("variable_pages", times=None)

    read = reader.round(USERS)

    assert len({len(page["value"]) for page in read.pages[:-1]}) > 1
    assert len(read.objects) == len(tenant.users)


def test_duplicates_come_on_a_later_page(reader, graph, tenant):
    graph.faults.add("duplicate", fraction=0.1)

    read = reader.round(USERS)

    assert len(read.objects) == 66
    assert {shown["id"] for shown in read.objects} == set(tenant.users)
    assert [shown["id"] for shown in read.objects[:60]] == tenant.user_ids()


def test_objects_come_in_another_order(reader, graph, tenant):
    graph.faults.add("reorder")

    ids = [shown["id"] for shown in reader.round(USERS).objects]

    assert ids != tenant.user_ids()
    assert sorted(ids) == sorted(tenant.user_ids())


def test_an_older_change_is_replayed(reader, graph, tenant):
    start = reader.round(USERS).delta_link
    tenant.update(tenant.user_ids()[4], jobTitle="A")
    second = reader.round(start)
    graph.faults.add("replay", link="delta", count=1)

    replayed, quiet = reader.round(second.delta_link), reader.round(second.delta_link)

    assert [shown["id"] for shown in replayed.objects] == [tenant.user_ids()[4]]
    assert quiet.objects == []


def test_a_lagging_change_is_hidden_for_some_polls_and_then_told(reader, graph, tenant):
    start = reader.round(USERS).delta_link
    tenant.update(tenant.user_ids()[4], jobTitle="A")
    graph.faults.add("lag", link="delta", polls=2)

    first = reader.round(start)
    second = reader.round(first.delta_link)
    third = reader.round(second.delta_link)
    fourth = reader.round(third.delta_link)

    assert [len(read.objects) for read in (first, second, third, fourth)] == [0, 0, 1, 0]


def test_groups_can_name_members_nobody_knows(reader, graph, tenant):
    start = reader.round(GROUPS).delta_link
    graph.faults.add("unknown_member", link="delta", count=2)

    members = [member["id"] for shown in reader.round(start).objects for member in shown["members@delta"]]

    assert len(members) == 2
    assert not set(members) & set(tenant.users)


def test_a_membership_can_contradict_itself_within_a_round(reader, graph, tenant):
    group_id = tenant.create_group("Team")
    start = reader.round(GROUPS).delta_link
    tenant.add_member(group_id, tenant.user_ids()[0])
    graph.faults.add("conflicting_membership", link="delta")

    told = [member for shown in reader.round(start).of(group_id) for member in shown["members@delta"]]

    assert sorted("@removed" in member for member in told) == [False, True]
    assert {member["id"] for member in told} == {tenant.user_ids()[0]}


def test_a_round_can_come_back_short_without_any_error(reader, graph):
    graph.faults.add("short_round", path="users/delta", fraction=0.5)

    assert len(reader.round(USERS).objects) == 30
    assert len(reader.round(USERS).objects) == 60


def test_a_grant_is_missing_from_one_read_and_then_back(reader, graph, tenant):
    fuze = tenant.service_principal_id_of("Fuze")
    path = f"servicePrincipals/{fuze}/appRoleAssignedTo?$top=2"
    graph.faults.add("assignment_missing", path="servicePrincipals/*", fraction=0.01)

    short, whole = reader.all(path), reader.all(path)

    assert len(whole) - len(short) == 1
    assert len(whole) == len(tenant.grants(fuze))


def test_lagging_grants_show_neither_what_was_granted_nor_what_was_revoked(reader, graph, tenant):
    fuze = tenant.service_principal_id_of("Fuze")
    path = f"servicePrincipals/{fuze}/appRoleAssignedTo"
    before = reader.all(path)
    graph.faults.add("assignment_lag", path="servicePrincipals/*", times=1)

    tenant.unassign(before[0]["id"])
    tenant.assign(fuze, tenant.group_id_of("Empty"))

    stale, fresh = reader.all(path), reader.all(path)
    assert stale == before
    assert before[0]["id"] not in {grant["id"] for grant in fresh}
    assert len(fresh) == len(before)


def test_the_same_seed_strikes_the_same_requests(tenant):
    def statuses() -> list[int]:
        with GraphSimulator(tenant, seed=5) as graph, GraphReader(graph.base_url) as reader:
            graph.faults.add("server_error", times=None, probability=0.5)
            return [reader.get("groups?$top=1").status_code for _ in range(20)]

    first, second = statuses(), statuses()

    assert first == second
    assert {200, 503} == set(first)


def test_an_unknown_fault_or_option_is_refused(graph):
    with pytest.raises(ValueError, match="earthquake"):
        graph.faults.add("earthquake")
    with pytest.raises(ValueError, match="retryafter"):
        graph.faults.add(FaultKind.THROTTLE, retryafter="1")


def test_clearing_ends_every_fault(reader, graph):
    graph.faults.add("forbidden", times=None)

    graph.faults.clear()

    assert reader.get(USERS).status_code == 200
