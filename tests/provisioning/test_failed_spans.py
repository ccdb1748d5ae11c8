"""Whatever fails is a failed span, which is kept however few are sampled: one story for each kind of failure."""

from collections.abc import Callable
from contextlib import suppress

import pytest

from shared.insights import Insights
from shared.storage.durable_writes import DurableWrite
from tests.provisioning.pulls import APP, Killed, assign, kill_at, people, pulling
from tests.simulation.ingestion import taking_telemetry
from tests.world import World

Trouble = Callable[[World], object]


def vendor(kind: str, **options: object) -> Trouble:
    return lambda world: world.vendors[APP].faults.add(kind, times=None, **options)  # type: ignore[arg-type]


def graph(kind: str, **options: object) -> Trouble:
    return lambda world: world.graph.faults.add(kind, path="users/delta", times=None, **options)


def bug(world: World) -> None:
    world.services.tables._observer = kill_at(DurableWrite.LEASE_AND_INTENT, failure=RuntimeError)


KINDS = {
    "throttled": (vendor("throttle", method="POST", retry_after=3), {"account.provision", "scim.request"}),
    "unavailable": (vendor("outage"), {"account.provision", "scim.request"}),
    "an error of the server": (vendor("error", status=500, method="POST"), {"account.provision", "scim.request"}),
    "a time-out": (vendor("timeout_before_write", seconds=3.0), {"account.provision", "scim.request"}),
    "a reset connection": (vendor("reset", method="POST"), {"account.provision", "scim.request"}),
    "bad data": (vendor("error", status=400, method="POST"), {"account.provision", "scim.request"}),
    "refused credentials": (vendor("error", status=401), {"account.provision", "scim.request"}),
    "a wrong endpoint": (vendor("html"), {"account.provision", "scim.request"}),
    "a bug": (bug, {"account.provision"}),
    "Graph fails": (graph("server_error", status=500), {"directory.pull"}),
    "Graph asks for a pause": (graph("throttle", retry_after="30"), {"directory.pull"}),
    "Graph refuses": (graph("forbidden"), {"directory.pull"}),
}


@pytest.mark.parametrize("name", KINDS)
async def test_a_failure_is_sent_when_nothing_is_sampled(azurite: str, name_prefix: str, name: str) -> None:
    trouble, failed = KINDS[name]
    timely = {"VENDOR_TIMEOUT_SECONDS": "1"}
    with taking_telemetry() as endpoint:
        async with pulling(azurite, name_prefix, environment=timely) as world:
            await world.sync()
            assign(world, people(world, 1)[0])
            insights = Insights(endpoint.connection_string, sample_percent=0, environment={})
            try:
                trouble(world)
                await world.sync()
                with suppress(Killed, RuntimeError):
                    await world.deliver()
            finally:
                insights.close()

    spans = [each for each in endpoint.envelopes if each.kind == "RemoteDependencyData"]
    assert {each.name for each in spans} == failed
    assert not any(each.data["success"] for each in spans)
    assert {each.sample_rate for each in spans} == {100}
