"""Spans and metrics as Microsoft's exporter sends them: names, parents, sampling, and what is left out."""

import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from azure.identity import ManagedIdentityCredential
from azure.monitor.opentelemetry.exporter import AzureMonitorTraceExporter
from hypothesis import given
from hypothesis import strategies as st

from shared import insights, metrics, telemetry, tracing
from shared.insights import Insights, TraceSampler
from shared.metrics import INSTRUMENTS, Metric
from shared.tracing import SpanName
from tests.simulation.ingestion import IngestionEndpoint, taking_telemetry

ROOT = Path(__file__).resolve().parents[2]
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def endpoint() -> Iterator[IngestionEndpoint]:
    with taking_telemetry() as running:
        yield running


@contextmanager
def sending(endpoint: IngestionEndpoint, *, sample_percent: float = 100) -> Iterator[None]:
    """Records and sends what the block does; at its end everything has arrived."""
    connection = Insights(endpoint.connection_string, sample_percent=sample_percent, environment={})
    try:
        yield
    finally:
        connection.close()


def provision_somebody() -> None:
    with tracing.span(SpanName.DIRECTORY_PULL) as pull:
        message_trace = pull.traceparent
    with tracing.span(SpanName.ACCOUNT_PROVISION, parent=message_trace, source_id="id-1") as span:
        with tracing.span(SpanName.SCIM_REQUEST, target="acme", method="POST") as request:
            request.set(status=201)
        span.set(result="done")


def test_without_a_connection_nothing_is_recorded():
    with tracing.span(SpanName.ACCOUNT_PROVISION, parent=PARENT) as span:
        span.set(result="done")
        span.fail("no")
        span.forget()
        metrics.record(Metric.QUEUE_AGE, 1.0)

        assert (span.traceparent, span.trace_id, tracing.current_trace_id()) == ("", "", "")


def test_a_trace_goes_from_the_pull_through_a_message_to_the_vendors_answer(endpoint):
    with sending(endpoint):
        provision_somebody()

    names = (SpanName.DIRECTORY_PULL, SpanName.ACCOUNT_PROVISION, SpanName.SCIM_REQUEST)
    (pull,), (provision,), (request,) = (endpoint.spans(name) for name in names)
    assert pull.operation_id == provision.operation_id == request.operation_id
    assert (pull.parent_id, provision.parent_id, request.parent_id) == ("", pull.data["id"], provision.data["id"])
    assert (provision.data["type"], request.data["type"], request.data["target"]) == ("InProc", "N/A", "acme")
    assert (provision.dimensions["source_id"], request.dimensions["status"]) == ("id-1", "201")


def test_a_span_goes_on_with_the_trace_it_is_given(endpoint):
    with sending(endpoint), tracing.span(SpanName.DIRECTORY_PULL, parent=PARENT):
        pass

    (pull,) = endpoint.spans("directory.pull")
    assert (pull.operation_id, pull.parent_id) == (PARENT.split("-")[1], PARENT.split("-")[2])


@pytest.mark.parametrize("parent", ["nonsense", "00-0-0-00", "", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
def test_what_is_no_traceparent_begins_a_trace(endpoint, parent):
    with sending(endpoint), tracing.span(SpanName.ACCOUNT_PROVISION, parent=parent) as span:
        trace = span.trace_id

    assert [each.operation_id for each in endpoint.spans("account.provision")] == [trace]
    assert len(trace.strip("0")) > 0


def test_the_text_of_an_exception_is_not_sent(endpoint):
    with sending(endpoint), pytest.raises(RuntimeError), tracing.span(SpanName.ACCOUNT_PROVISION):
        raise RuntimeError("babs.jensen@contoso.example")

    (span,) = endpoint.spans("account.provision")
    assert (span.data["success"], span.dimensions["failure"]) == (False, "RuntimeError")
    assert [each.kind for each in endpoint.envelopes] == ["RemoteDependencyData"]
    assert "babs" not in endpoint.text


def test_an_event_within_a_span_names_its_trace(endpoint, caplog):
    with (
        caplog.at_level(logging.INFO, "provisioner"),
        sending(endpoint),
        tracing.span(SpanName.ACCOUNT_PROVISION) as span,
    ):
        telemetry.emit(telemetry.Event.ACCOUNT_PROVISIONED, application="acme")
        trace = span.trace_id

    event, _, fields = caplog.messages[-1].partition(" ")
    assert (event, json.loads(fields)) == ("account.provisioned", {"application": "acme", "trace": trace})
    assert "account.provisioned" not in endpoint.text


def test_what_came_to_nothing_is_not_sent_unless_something_was_done_for_it(endpoint):
    with sending(endpoint):
        with tracing.span(SpanName.DIRECTORY_PULL) as idle:
            idle.forget()
        with tracing.span(SpanName.ACCOUNT_PROVISION) as put_back:
            with tracing.span(SpanName.SCIM_REQUEST, target="acme"):
                pass
            put_back.forget()

    assert sorted(each.name for each in endpoint.envelopes) == ["account.provision", "scim.request"]


def test_an_attribute_is_cut_before_it_is_sent(endpoint):
    with sending(endpoint), tracing.span(SpanName.ACCOUNT_PROVISION, source_id="x" * 30_000):
        pass

    [span] = endpoint.spans("account.provision")
    assert span.dimensions["source_id"] == "x" * 256


CHATTY = ("azure.core", "azure.identity", "azure.data", "azure.storage", "azure.monitor", "opentelemetry")


@pytest.mark.parametrize("library", [*CHATTY, "httpx", "httpcore", "msal"])
def test_a_library_that_logs_addresses_is_quiet_whatever_the_hosts_level(library, monkeypatch):
    monkeypatch.setattr(logging.getLogger(library), "level", logging.NOTSET)
    monkeypatch.setattr(logging.getLogger(), "level", logging.INFO)
    logging.getLogger(library).manager._clear_cache()

    telemetry.quiet_libraries()

    assert not logging.getLogger(f"{library}.anything").isEnabledFor(logging.INFO)
    assert logging.getLogger(f"{library}.anything").isEnabledFor(logging.WARNING)


# --- Sampling -------------------------------------------------------------------------------------------------------


def test_every_failure_is_kept_when_nothing_is_sampled(endpoint):
    with sending(endpoint, sample_percent=0):
        for _ in range(20):
            provision_somebody()
        with tracing.span(SpanName.ACCOUNT_PROVISION), tracing.span(SpanName.SCIM_REQUEST, target="acme") as span:
            span.fail("status 500")

    assert [(each.name, each.sample_rate) for each in endpoint.envelopes] == [("scim.request", 100)]


def test_what_is_sampled_says_how_much_it_stands_for_and_a_failure_stands_for_itself(endpoint):
    with sending(endpoint, sample_percent=50):
        for _ in range(64):
            with (
                tracing.span(SpanName.ACCOUNT_PROVISION) as outer,
                tracing.span(SpanName.SCIM_REQUEST, target="acme") as failed,
            ):
                failed.fail("status 500")
                outer.set(result="done")

    kept, failures = endpoint.spans("account.provision"), endpoint.spans("scim.request")
    assert 0 < len(kept) < 64
    assert {each.sample_rate for each in kept} == {50}
    assert (len(failures), {each.sample_rate for each in failures}) == (64, {100})


@given(st.integers(min_value=1, max_value=2**128 - 1), st.text(max_size=40), st.floats(min_value=0, max_value=100))
def test_an_account_of_a_trace_is_chosen_alike_everywhere_and_more_percent_keeps_what_fewer_kept(
    trace_id, source_id, percent
):
    def is_chosen(percent: float, name: str) -> bool:
        sampler = TraceSampler(percent)
        return sampler.should_sample(None, trace_id, name, attributes={"source_id": source_id}).decision.is_sampled()

    assert len({is_chosen(percent, name) for name in SpanName}) == 1
    assert not is_chosen(percent, "x") or is_chosen(min(100, percent + 1), "x")
    assert is_chosen(100, "x")
    assert not is_chosen(0, "x")


def test_of_one_run_a_share_of_the_accounts_is_kept_each_with_all_of_its_requests(endpoint):
    with sending(endpoint, sample_percent=50):
        for number in range(200):
            with (
                tracing.span(SpanName.ACCOUNT_PROVISION, parent=PARENT, source_id=f"id-{number}"),
                tracing.span(SpanName.SCIM_REQUEST, target="acme"),
            ):
                pass

    kept, requests = endpoint.spans("account.provision"), endpoint.spans("scim.request")
    assert {each.operation_id for each in kept} == {PARENT.split("-")[1]}
    assert 60 < len(kept) < 140
    assert sorted(each.parent_id for each in requests) == sorted(each.data["id"] for each in kept)
    assert {each.sample_rate for each in (*kept, *requests)} == {50}


# --- Metrics --------------------------------------------------------------------------------------------------------


def test_a_metric_arrives_with_its_sum_its_extremes_and_three_attributes_at_most(endpoint):
    with sending(endpoint):
        for seconds in (0.5, 2.0):
            metrics.record(Metric.ACCOUNT_LATENCY, seconds, application="acme", action="create")
        metrics.record(Metric.ACCOUNT_ACTIONS, 1, application="acme", result="done")
        metrics.record(Metric.APPLICATION_QUARANTINE, 0, application="acme")

    (latency,) = endpoint.metrics("account.latency")
    (actions,) = endpoint.metrics("account.actions")
    (quarantine,) = endpoint.metrics("application.quarantine")
    assert latency.data["metrics"] == [{"name": "account.latency", "value": 2.5, "count": 2, "min": 0.5, "max": 2.0}]
    assert latency.dimensions == {"application": "acme", "action": "create"}
    assert (actions.data["metrics"][0]["value"], actions.dimensions) == (1, {"application": "acme", "result": "done"})
    assert quarantine.data["metrics"][0]["value"] == 0


def test_every_metric_says_what_it_measures_in_which_unit():
    assert set(INSTRUMENTS) == set(Metric)
    assert all(each.unit and each.description.endswith(".") for each in INSTRUMENTS.values())


# --- When it cannot be sent -----------------------------------------------------------------------------------------


def test_an_endpoint_that_refuses_costs_nothing_but_the_telemetry(endpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    # What may be sent again later is what the exporter would keep on a disk.
    endpoint.status = 503
    monkeypatch.setitem(insights._PATIENCE, "retry_total", 0)
    exporters = watch_exporters(monkeypatch)

    with sending(endpoint):
        provision_somebody()
        metrics.record(Metric.QUEUE_AGE, 1.0)

    assert endpoint.envelopes == []
    assert endpoint.sent_bytes > 0
    assert [each.storage for each in exporters] == [None, None, None]
    assert list(tmp_path.rglob("*")) == []


def test_a_failure_outlives_an_endpoint_that_hangs_however_much_goes_well_meanwhile(endpoint):
    with sending(endpoint):
        endpoint.answers.clear()
        for _ in range(600):
            provision_somebody()
        assert endpoint.asked.wait(10)
        with tracing.span(SpanName.SCIM_REQUEST, target="acme") as failed:
            failed.fail("status 500")
        for _ in range(5000):
            with tracing.span(SpanName.ACCOUNT_PROVISION):
                pass
        endpoint.answers.set()

    assert [each.dimensions["failure"] for each in endpoint.spans("scim.request") if not each.data["success"]] == [
        "status 500"
    ]


def test_an_endpoint_that_hangs_is_given_up_within_seconds(endpoint, monkeypatch):
    exporters = watch_exporters(monkeypatch)

    with sending(endpoint):
        given = [each.given for each in exporters]

    assert given == [{"read_timeout": 10, "retry_total": 2, "retry_backoff_max": 10}] * 3


def test_what_is_no_connection_string_is_refused():
    with pytest.raises(ValueError, match="Invalid"):
        Insights("InstrumentationKey=nonsense", sample_percent=100, environment={})


def test_the_exporter_signs_in_as_the_identity_that_the_hosts_setting_names(endpoint, monkeypatch):
    # The exporter reads the setting by itself. Its sign-in needs https, which the endpoint here has not.
    with sending(endpoint):
        monkeypatch.setenv("APPLICATIONINSIGHTS_AUTHENTICATION_STRING", "ClientId=some-client;Authorization=AAD")
        exporter = AzureMonitorTraceExporter(connection_string=endpoint.connection_string, disable_offline_storage=True)

    assert isinstance(exporter._credential, ManagedIdentityCredential)


def test_nothing_is_asked_of_or_told_to_an_address_that_nobody_configured(endpoint, watch_connections):
    ports = watch_connections()

    with sending(endpoint):
        provision_somebody()

    assert set(ports) == {endpoint.port}


def test_whatever_the_exporter_would_do_on_its_own_account_is_off_in_a_fresh_process(endpoint):
    code = """
import json, os, sys
from shared.insights import Insights
Insights(sys.argv[1], sample_percent=100, environment={}).close()
print(json.dumps({name: value for name, value in os.environ.items() if name.startswith("APPLICATIONINSIGHTS")}))
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("APPLICATIONINSIGHTS")}

    ran = subprocess.run(
        [sys.executable, "-c", code, endpoint.connection_string],
        capture_output=True,
        env=environment,
        cwd=ROOT,
        check=True,
    )

    assert json.loads(ran.stdout) == {
        "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
        "APPLICATIONINSIGHTS_SDKSTATS_DISABLED": "true",
        "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
        "APPLICATIONINSIGHTS_OPENTELEMETRY_RESOURCE_METRIC_DISABLED": "true",
    }


def watch_exporters(monkeypatch) -> list[Any]:
    """Lists Microsoft's exporters that are made from now on, each with how patient it was asked to be."""
    made: list[Any] = []

    def watched(kind: type[Any]) -> Callable[..., Any]:
        def make(**options: Any) -> Any:
            exporter = kind(**options)
            exporter.given = {name: value for name, value in options.items() if name in insights._PATIENCE}
            made.append(exporter)
            return exporter

        return make

    for name in ("AzureMonitorTraceExporter", "AzureMonitorMetricExporter"):
        monkeypatch.setattr(insights, name, watched(getattr(insights, name)))
    return made


@pytest.fixture
def watch_connections(monkeypatch) -> Callable[[], list[int]]:
    """Answers with how to list the ports that sockets of this process connect to from now on."""
    import socket

    def watch() -> list[int]:
        ports: list[int] = []
        connect = socket.socket.connect

        def noted(self, address):
            ports.append(address[1])
            return connect(self, address)

        monkeypatch.setattr(socket.socket, "connect", noted)
        return ports

    return watch
