"""Subscriptions of the simulated Graph: handshake, delivery, retries, lifecycle, limits and losses."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.simulation.graph import GraphSimulator
from tests.simulation.graph.endpoint import Endpoint, serve_endpoint
from tests.simulation.graph.reader import GraphReader
from tests.simulation.tenant import Tenant

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with serve_endpoint() as server:
        yield server


@pytest.fixture
def tenant() -> Tenant:
    return Tenant(14, 30)


@pytest.fixture
def graph(tenant: Tenant) -> Iterator[GraphSimulator]:
    with GraphSimulator(tenant, clock=lambda: NOW) as simulator:
        yield simulator


@pytest.fixture
def reader(graph: GraphSimulator) -> Iterator[GraphReader]:
    with GraphReader(graph.base_url) as opened:
        yield opened


def wish(endpoint: Endpoint, **changes: Any) -> dict[str, Any]:
    return {
        "changeType": "updated,deleted",
        "notificationUrl": f"{endpoint.url}/notified",
        "lifecycleNotificationUrl": f"{endpoint.url}/lifecycle",
        "resource": "users",
        "expirationDateTime": (NOW + timedelta(days=2)).isoformat(),
        "clientState": "secret",
    } | changes


def subscribe(reader: GraphReader, endpoint: Endpoint, **changes: Any) -> dict[str, Any]:
    answer = reader.send("POST", "subscriptions", wish(endpoint, **changes))
    assert answer.status_code == 201
    return dict(answer.json())


def test_a_subscription_begins_with_a_handshake_at_both_urls(reader, endpoint):
    subscription = subscribe(reader, endpoint)

    assert endpoint.paths == ["/notified", "/lifecycle"]
    assert subscription["expirationDateTime"] == "2026-03-03T12:00:00Z"
    assert reader.json("subscriptions")["value"] == [subscription]


@pytest.mark.parametrize("handshake", ["wrong token", "still encoded", "wrong type", "wrong status", "refusing"])
def test_a_failed_handshake_makes_no_subscription(reader, endpoint, handshake):
    endpoint.handshake = handshake

    answer = reader.send("POST", "subscriptions", wish(endpoint))

    assert answer.status_code == 400
    assert reader.json("subscriptions")["value"] == []


def test_a_change_is_announced_with_the_client_state(reader, endpoint, graph, tenant):
    subscription = subscribe(reader, endpoint)
    user_id = tenant.user_ids()[3]

    tenant.update(user_id, jobTitle="Pilot")

    assert graph.subscriptions.settle()
    (notice,) = endpoint.notices
    assert notice["subscriptionId"] == subscription["id"]
    assert notice["clientState"] == "secret"
    assert notice["changeType"] == "updated"
    assert notice["tenantId"] == tenant.tenant_id
    assert notice["resourceData"] == {
        "@odata.type": "#Microsoft.Graph.User",
        "@odata.id": f"Users/{user_id}",
        "id": user_id,
    }


def test_only_a_purge_is_announced_as_deleted(reader, endpoint, graph, tenant):
    subscribe(reader, endpoint)
    user_id = tenant.user_ids()[-1]

    tenant.soft_delete(user_id)
    tenant.purge(user_id)

    assert graph.subscriptions.settle()
    kinds = [notice["changeType"] for notice in endpoint.notices if notice["resourceData"]["id"] == user_id]
    assert kinds == ["updated", "deleted"]


def test_one_post_carries_notices_of_several_subscriptions(reader, endpoint, graph, tenant):
    subscribe(reader, endpoint)
    subscribe(reader, endpoint, resource="/groups")
    graph.subscriptions.hold()

    tenant.hire()

    graph.subscriptions.release()
    assert graph.subscriptions.settle()
    assert len(endpoint.received) == 1
    assert len({notice["subscriptionId"] for notice in endpoint.notices}) == 2


def test_a_refused_delivery_is_repeated(reader, endpoint, graph, tenant):
    subscribe(reader, endpoint)
    endpoint.statuses = [503]

    tenant.hire(userType="Guest")

    assert graph.subscriptions.settle()
    assert endpoint.notices[0] == endpoint.notices[1]
    assert [delivery["status"] for delivery in graph.subscriptions.deliveries()] == [503, 202]


def test_an_endpoint_that_takes_too_long_is_asked_again(reader, endpoint, graph, tenant):
    subscribe(reader, endpoint)
    graph.subscriptions.notifications.timeout_s = 0.1
    endpoint.patience.clear()

    tenant.hire(userType="Guest")

    assert not graph.subscriptions.settle(0.3)
    endpoint.patience.set()
    assert graph.subscriptions.settle()
    statuses = [delivery["status"] for delivery in graph.subscriptions.deliveries()]
    assert (statuses[0], statuses[-1]) == (0, 202)


def test_a_delivery_is_given_up_after_four_hours(reader, endpoint, graph, tenant):
    subscribe(reader, endpoint)
    graph.subscriptions.hold()
    tenant.hire(userType="Guest")
    graph.advance(timedelta(hours=4, seconds=1))
    endpoint.statuses = [503]

    graph.subscriptions.release()

    assert graph.subscriptions.settle()
    assert [delivery["status"] for delivery in graph.subscriptions.deliveries()] == [503]


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("notification_lost", []),
        ("notification_duplicate", [("secret", True), ("secret", True)]),
        ("notification_wrong_client_state", [("forged", True)]),
        ("notification_unknown_subscription", [("secret", False)]),
    ],
)
def test_notifications_can_go_wrong(reader, endpoint, graph, kind, told):
    subscription = subscribe(reader, endpoint)
    graph.faults.add(kind, path="users")

    graph.tenant.hire(userType="Guest")

    assert graph.subscriptions.settle()
    assert [
        (notice["clientState"], notice["subscriptionId"] == subscription["id"]) for notice in endpoint.notices
    ] == told


def test_reauthorization_is_asked_for_at_the_lifecycle_url(reader, endpoint, graph):
    subscription = subscribe(reader, endpoint)

    graph.subscriptions.require_reauthorization(subscription["id"])

    assert graph.subscriptions.settle()
    assert endpoint.paths[-1] == "/lifecycle"
    assert endpoint.notices[0]["lifecycleEvent"] == "reauthorizationRequired"
    assert reader.send("POST", f"subscriptions/{subscription['id']}/reauthorize").status_code == 204


def test_a_subscription_is_renewed_and_otherwise_expires_silently(reader, endpoint, graph, tenant):
    subscription = subscribe(reader, endpoint)
    path = f"subscriptions/{subscription['id']}"
    renewed = reader.send("PATCH", path, {"expirationDateTime": (NOW + timedelta(days=3)).isoformat()})

    graph.advance(timedelta(days=2, hours=12))
    alive = reader.get(path).status_code
    graph.advance(timedelta(hours=12))
    tenant.hire()

    assert renewed.json()["expirationDateTime"] == "2026-03-04T12:00:00Z"
    assert (alive, reader.get(path).status_code) == (200, 404)
    assert graph.subscriptions.settle()
    assert endpoint.notices == []


@pytest.mark.parametrize(
    ("minutes", "status"),
    [
        pytest.param(41_760, 201, id="just under 29 days is accepted"),
        pytest.param(41_761, 400, id="longer is refused"),
        pytest.param(-1, 400, id="the past is refused"),
    ],
)
def test_the_life_of_a_subscription_is_limited(reader, endpoint, minutes, status):
    expiry = (NOW + timedelta(minutes=minutes)).isoformat()

    assert reader.send("POST", "subscriptions", wish(endpoint, expirationDateTime=expiry)).status_code == status


def test_a_short_life_is_raised_to_45_minutes(reader, endpoint):
    subscription = subscribe(reader, endpoint, expirationDateTime=(NOW + timedelta(minutes=5)).isoformat())

    assert subscription["expirationDateTime"] == "2026-03-01T12:45:00Z"


def test_a_long_client_state_is_refused(reader, endpoint):
    assert reader.send("POST", "subscriptions", wish(endpoint, clientState="x" * 129)).status_code == 400


def test_the_hundred_and_first_subscription_is_refused(reader, endpoint):
    for _ in range(100):
        subscribe(reader, endpoint, lifecycleNotificationUrl=None)

    assert reader.send("POST", "subscriptions", wish(endpoint)).status_code == 403


def test_a_deleted_subscription_announces_nothing(reader, endpoint, graph, tenant):
    subscription = subscribe(reader, endpoint)

    answer = reader.send("DELETE", f"subscriptions/{subscription['id']}")
    tenant.hire()

    assert answer.status_code == 204
    assert graph.subscriptions.settle()
    assert endpoint.notices == []
