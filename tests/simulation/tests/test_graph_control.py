"""The control API of the simulated Graph, its command, and its speed."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.simulation.graph import GraphSimulator
from tests.simulation.graph.reader import GraphReader
from tests.simulation.tenant import Tenant


@pytest.fixture
def tenant() -> Tenant:
    return Tenant(15, 30)


@pytest.fixture
def graph(tenant: Tenant) -> Iterator[GraphSimulator]:
    with GraphSimulator(tenant) as simulator:
        yield simulator


@pytest.fixture
def control(graph: GraphSimulator) -> Iterator[GraphReader]:
    with GraphReader(f"{graph.base_url.removesuffix('/v1.0')}/_sim") as opened:
        yield opened


def test_state_tells_what_there_is(control, graph, tenant):
    state = control.json("state")

    assert state["users"] == 30
    assert state["base_url"] == graph.base_url
    assert state["service_principals"] == {held: one["displayName"] for held, one in tenant.service_principals.items()}


def test_every_mutator_can_be_called(control, tenant):
    def mutate(name, *args, **given):
        answer = control.send("POST", f"tenant/{name}", {"args": args, **given})
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    user_id = mutate("hire", displayName="Zoë 🚀", department="Legal", userType="Member")
    group_id = mutate("create_group", "Über", unified=True)
    fuze = tenant.service_principal_id_of("Fuze")
    mutate("update", user_id, jobTitle=None, city="Łódź")
    mutate("disable", user_id)
    mutate("enable", user_id)
    mutate("set_manager", user_id, tenant.user_ids()[0])
    mutate("add_member", group_id, user_id)
    mutate("remove_member", group_id, user_id)
    mutate("update_group", group_id, description="D")
    grant = mutate("assign", fuze, user_id)
    mutate("unassign", grant)
    mutate("update_service_principal", fuze, tags=["x"])
    mutate("create_service_principal", "Other")
    mutate("soft_delete", user_id)
    mutate("restore", user_id)
    mutate("purge", user_id)
    mutate("mass_delete", 0.1)
    mutate("delete_group", group_id)

    assert user_id not in tenant.users
    assert list(tenant.deleted_groups) == [group_id]


def test_the_oracle_can_be_asked_from_outside(control, tenant):
    fuze = tenant.service_principal_id_of("Fuze")

    answer = control.json(f"effective/{fuze}?exclude_default_access=false")["users"]

    effective = tenant.effective_users(fuze, exclude_default_access=False)
    assert answer == {user_id: sorted(roles) for user_id, roles in effective.items()}


def test_faults_are_added_listed_and_cleared(control, graph):
    added = control.send("POST", "faults", {"kind": "throttle", "path": "users/delta", "times": 2, "retry_after": "1"})
    listed = control.json("faults")["faults"]
    control.send("DELETE", "faults")

    assert added.status_code == 200
    assert [(fault["kind"], fault["path"], fault["times"]) for fault in listed] == [("throttle", "users/delta", 2)]
    assert graph.faults.active() == []


def test_the_journal_is_read_from_a_number_on(control, graph):
    with GraphReader(graph.base_url) as reader:
        reader.get("users?$top=1")
        reader.get("groups?$top=1")

    journal = control.json("journal?after=1")

    assert [(entry["path"], entry["status"]) for entry in journal["entries"]] == [("groups", 200)]
    assert journal["counts"] == {"users": 1, "groups": 1}


def test_the_clock_moves_forward(control, graph):
    before = graph.now()

    control.send("POST", "clock", {"advance_s": 3600})

    assert (graph.now() - before).total_seconds() >= 3600


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        pytest.param("GET", "nothing", None, 404, id="an unknown control"),
        pytest.param("POST", "tenant/explode", {}, 400, id="an unknown mutator"),
        pytest.param("POST", "tenant/disable", {"args": ["nobody"]}, 404, id="an unknown person"),
        pytest.param("POST", "tenant/disable", {}, 400, id="a missing argument"),
        pytest.param("POST", "faults", {"kind": "earthquake"}, 400, id="an unknown fault"),
        pytest.param("POST", "clock", {}, 400, id="a missing number"),
    ],
)
def test_a_wrong_call_is_refused(control, method, path, body, status):
    answer = control.send(method, path, body)

    assert answer.status_code == status
    assert answer.json()["error"]["message"]


def test_the_command_prints_its_url_and_ends_on_a_signal():
    command = [sys.executable, "-m", "tests.simulation.graph", "--users", "20", "--seed", "3", "--token", "t"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with GraphReader(url, token="t") as reader:
            found = reader.all("users?$select=id")
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=10)

    assert [shown["id"] for shown in found] == Tenant(3, 20).user_ids()
    assert code == 0
