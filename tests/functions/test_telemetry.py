"""What the deployed app tells Application Insights: one person's trace across functions, and nobody's data."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from shared.metrics import Metric
from shared.provisioning.accounts import ACCOUNTS, ResourceKind, account_key
from shared.storage.durable_writes import DurableWrite
from shared.storage.queues import Message
from shared.storage.tables import Operation
from tests.functions.deployment import KEY, Deployment, eventually, open_deployment
from tests.scim.server import Received, Reply, listed, refused, serving
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


async def test_nothing_of_anybody_is_in_log_or_telemetry_whatever_fails(
    deployment: Deployment, endpoint: IngestionEndpoint
) -> None:
    joiner = somebody(deployment)
    async with serving(quoting) as quoter:
        principals = {name: deployment.tenant.create_service_principal(name) for name in ("quoter", "refuser")}
        deployment.configure(
            more="".join(
                f"  {name}:\n    profile: scim\n    service_principal_id: {principal}\n"
                f"    base_url: {quoter.origin}/scim/v2\n    auth: {auths}\n"
                for (name, principal), auths in zip(
                    principals.items(),
                    (
                        "{type: bearer, token: QUOTER_TOKEN}",
                        "{type: oauth2_client_credentials, client_id: REFUSER_ID, client_secret: REFUSER_SECRET, "
                        f"token_url: '{quoter.origin}/token'}}",
                    ),
                    strict=True,
                )
            )
        )
        secrets = {"QUOTER_TOKEN": "qu0ters-t0ken", "REFUSER_ID": "refusers-1d", "REFUSER_SECRET": "refusers-s3cret"}
        deployment.assign(joiner["id"])
        for principal in principals.values():
            deployment.tenant.assign(principal, joiner["id"], deployment.role(principal))
        host = deployment.start(APPLICATIONINSIGHTS_CONNECTION_STRING=endpoint.connection_string, **secrets, **QUICKLY)

        failed = await eventually(
            lambda: (
                any(each["application"] == "quoter" for each in events_of(deployment, "account.escrowed"))
                and any(each["application"] == "refuser" for each in events_of(deployment, "account.waiting"))
                and events_of(deployment, "account.provisioned")
            )
        )
        assert failed, deployment.log()
        await spoil(deployment, joiner)
        deployment.send("provision-acme", Message(app="acme", kind="user", id=joiner["id"]).encode())
        crashed = await eventually(lambda: "Crash: ValueError at " in deployment.log())
        async with httpx.AsyncClient(base_url=host.url, headers={"x-functions-key": KEY}, timeout=30) as client:
            failure = await client.get(f"/api/applications/acme/accounts/{joiner['id']}")
        answered = await eventually(lambda: "observe: Executed (Failed" in deployment.log())
        arrived = await eventually(
            lambda: (
                {each.dimensions.get("application") for each in endpoint.spans("account.provision")}
                >= {"acme", "quoter", "refuser"}
            )
        )

    assert crashed, deployment.log()
    assert answered, deployment.log()
    assert arrived
    assert [each for each in quoter.requests if joiner["userPrincipalName"].encode() in each.body]
    names = ("userPrincipalName", "displayName", "mail", "surname", "givenName")
    values = [str(joiner[name]) for name in names if len(str(joiner.get(name) or "")) > 3]
    tokens = [*secrets.values(), *(vendor.token for vendor in deployment.vendors.values()), "simulated"]
    forbidden = [*values, *(value.partition("@")[0] for value in values), *tokens, "userName eq", "userName%20eq"]
    for text in (deployment.log(), endpoint.text, failure.text):
        assert [value for value in forbidden if value.casefold() in text.casefold()] == []


def quoting(received: Received) -> Reply:
    """A vendor, and a token endpoint, that quote whatever they are sent."""
    if received.method == "GET":
        return listed()
    quoted = f"{received.body.decode()} {received.headers} {received.target}"
    if received.path == "/token":
        answer = json.dumps({"error": "invalid_client", "error_description": quoted}).encode()
        return Reply(status=401, headers={"Content-Type": "application/json"}, body=answer)
    return refused(400, detail=f"not acceptable: {quoted}", scimType="invalidValue")


async def spoil(deployment: Deployment, joiner: dict[str, str]) -> None:
    """Leaves a name where a row has a number: whoever reads it fails with an exception that quotes it."""
    services = deployment.services()
    key = account_key(ResourceKind.USER, joiner["id"])
    spoiled = Operation.merge(key, {"attempts": joiner["userPrincipalName"], "pending": True, "queued_at": ""})
    await services.tables.commit(DurableWrite.RAISE, ACCOUNTS, "acme", [spoiled])
    await services.close()
