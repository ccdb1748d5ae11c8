"""What the deployed app tells Application Insights: one person's trace across functions, and nobody's data."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.metrics import Metric
from tests.functions.deployment import Deployment, eventually, open_deployment
from tests.simulation.ingestion import IngestionEndpoint, taking_telemetry
from tests.simulation.receiver import SECRET, receiving

METRICS = {metric.value for metric in Metric} - {"account.escrows"}
QUICKLY = {"OTEL_BSP_SCHEDULE_DELAY": "200", "OTEL_METRIC_EXPORT_INTERVAL": "400"}


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    with open_deployment(tmp_path, users=12) as running:
        yield running


@pytest.fixture
def endpoint() -> Iterator[IngestionEndpoint]:
    with taking_telemetry() as running:
        yield running


def somebody(deployment: Deployment) -> dict[str, str]:
    people = (deployment.tenant.user(user_id) for user_id in deployment.tenant.user_ids())
    return next(user for user in people if user.get("accountEnabled") and user["userType"] == "Member")


def events_of(deployment: Deployment, event: str) -> list[dict[str, object]]:
    """Answers with the fields of an event, as often as it was written."""
    lines = [line.partition(f"{event} ")[2] for line in deployment.log().splitlines() if f"{event} {{" in line]
    return [json.JSONDecoder().raw_decode(line)[0] for line in lines]


async def test_one_persons_trace_goes_from_the_sync_to_the_vendors_answer_and_holds_no_data_of_theirs(
    deployment: Deployment, endpoint: IngestionEndpoint
) -> None:
    async with receiving() as receiver:
        path = deployment.folder / "provisioning.yaml"
        written = path.read_text().replace("profile: fuze", "profile: fuze\n    notify: {webhook: HOOK_URL}")
        written = written.replace("profile: scim", "profile: scim\n    rate_limit: {requests_per_second: 20}")
        path.write_text(written)
        deployment.vendors["fuze"].faults.add("error", status=401, times=None)
        joiner = somebody(deployment)
        deployment.assign(joiner["id"])
        deployment.start(
            APPLICATIONINSIGHTS_CONNECTION_STRING=endpoint.connection_string,
            HOOK_URL=receiver.url,
            HOOK_SECRET=SECRET,
            **QUICKLY,
        )

        told = await eventually(lambda: receiver.types)
        arrived = await eventually(
            lambda: (
                {each.dimensions["application"] for each in endpoint.spans("account.provision")} == {"acme", "fuze"}
                and endpoint.spans("directory.pull")
                and any(each.data["metrics"][0]["value"] for each in endpoint.metrics("application.quarantine"))
                and {each.name for each in endpoint.envelopes if each.kind == "MetricData"} == METRICS
            )
        )

    assert told
    assert arrived, endpoint.text
    [provision] = [each for each in endpoint.spans("account.provision") if each.dimensions["application"] == "acme"]
    operation = provision.operation_id
    [pull] = [each for each in endpoint.spans("directory.pull") if each.operation_id == operation]
    requests = [each for each in endpoint.spans("scim.request") if each.parent_id == provision.data["id"]]
    assert provision.parent_id == pull.data["id"]
    assert (provision.data["success"], provision.dimensions["source_id"]) == (True, joiner["id"])
    assert (provision.dimensions["action"], provision.dimensions["result"]) == ("create", "done")
    assert {each.operation_id for each in requests} == {operation}
    assert [(each.dimensions["method"], each.dimensions["status"]) for each in requests] == [
        ("GET", "200"),
        ("POST", "201"),
    ]
    [event] = events_of(deployment, "account.provisioned")
    assert (event["source_id"], event["trace"]) == (joiner["id"], operation)

    failed = [each for each in endpoint.spans("account.provision") if each.dimensions["application"] == "fuze"]
    assert [each.dimensions["result"] for each in failed if not each.data["success"]][:1] == ["quarantined"]
    slots = [each for each in endpoint.metrics("limiter.slots") if each.dimensions["result"] == "entered"]
    assert sum(each.data["metrics"][0]["value"] for each in slots if each.dimensions["application"] == "acme") == 2
    [latency] = endpoint.metrics("account.latency")
    assert latency.dimensions == {"application": "acme", "action": "create"}
    assert latency.data["metrics"][0]["value"] == pytest.approx(event["latency_s"], abs=0.001)
    assert {each.kind for each in endpoint.envelopes} == {"RemoteDependencyData", "MetricData"}

    values = [str(joiner[name]) for name in ("userPrincipalName", "displayName", "mail", "surname") if joiner.get(name)]
    secrets = [SECRET, "t0ken", "s1gnature", *(vendor.token for vendor in deployment.vendors.values())]
    addresses = ["http", "127.0.0.1", "filter", "userName", "provision-acme"]
    forbidden = [*values, *(value.partition("@")[0] for value in values), *secrets, *addresses]
    text = endpoint.text.replace(f'"iKey": "{endpoint.envelopes[0].raw["iKey"]}"', "").casefold()
    assert [value for value in forbidden if value.casefold() in text] == []


async def test_with_no_trace_sampled_the_failures_arrive_and_nothing_that_went_well(
    deployment: Deployment, endpoint: IngestionEndpoint
) -> None:
    deployment.vendors["fuze"].faults.add("error", status=400, method="POST", times=None)
    deployment.assign(somebody(deployment)["id"])
    deployment.start(
        APPLICATIONINSIGHTS_CONNECTION_STRING=endpoint.connection_string, TRACE_SAMPLE_PERCENT="0", **QUICKLY
    )

    provisioned = await eventually(lambda: events_of(deployment, "account.provisioned"))
    arrived = await eventually(
        lambda: (
            endpoint.metrics("account.escrows")
            and endpoint.metrics("account.latency")
            and endpoint.spans("account.provision")
        )
    )

    assert provisioned
    assert arrived, endpoint.text
    [escrowed] = endpoint.spans("account.provision")
    [refused] = endpoint.spans("scim.request")
    assert (escrowed.dimensions["application"], escrowed.dimensions["result"]) == ("fuze", "escrowed")
    assert (refused.dimensions["method"], refused.dimensions["status"]) == ("POST", "400")
    assert refused.parent_id == escrowed.data["id"]
    assert {each.sample_rate for each in (escrowed, refused)} == {100}
    assert endpoint.spans("directory.pull") == []


async def test_without_a_connection_string_the_app_provisions_and_says_nothing(deployment: Deployment) -> None:
    deployment.assign(somebody(deployment)["id"])
    deployment.start(APPLICATIONINSIGHTS_CONNECTION_STRING="")

    settled = await eventually(deployment.is_settled)

    assert settled
    assert await eventually(lambda: events_of(deployment, "account.provisioned"))
    assert "trace" not in events_of(deployment, "account.provisioned")[0]


async def test_a_connection_string_that_is_none_stops_nobody(deployment: Deployment) -> None:
    deployment.assign(somebody(deployment)["id"])
    deployment.start(APPLICATIONINSIGHTS_CONNECTION_STRING="InstrumentationKey=nonsense")

    settled = await eventually(deployment.is_settled)

    assert settled
    assert "APPLICATIONINSIGHTS_CONNECTION_STRING is no connection string" in deployment.log()
