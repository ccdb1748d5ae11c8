"""Spans and metrics to Application Insights. Importing this costs 0.1 to 0.2 s: it is done in the first invocation.

Log lines are not sent from here. The Functions host forwards them, so that each event arrives exactly once, and also
when this process dies in the same moment.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from azure.monitor.opentelemetry.exporter import AzureMonitorMetricExporter, AzureMonitorTraceExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanContext, StatusCode, TraceFlags, get_current_span

from shared import metrics, tracing
from shared.metrics import INSTRUMENTS, InstrumentKind, Metric, Recorder

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import Meter
    from opentelemetry.trace import Link, SpanKind, TraceState
    from opentelemetry.util.types import Attributes

logger = logging.getLogger("provisioner")

_SCOPE = "provisioner"
_SAMPLE_RATE = "_MS.sampleRate"
"""The exporter's word for how many percent of its kind an envelope stands for; it becomes itemCount."""

_UNASKED = (
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL",
    "APPLICATIONINSIGHTS_SDKSTATS_DISABLED",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED",
    "APPLICATIONINSIGHTS_OPENTELEMETRY_RESOURCE_METRIC_DISABLED",
)
"""What the exporter would tell addresses that nobody configured, or ask there, and an envelope that says nothing."""

_PATIENCE = {"read_timeout": 10, "retry_total": 2, "retry_backoff_max": 10}
"""An endpoint that hangs is given up after seconds: what is recorded meanwhile waits in a queue that drops the oldest.
The exporter's own patience is five minutes, ten times over."""


class Insights:
    """The connection of this process. While it is open, `tracing` and `metrics` record.

    `APPLICATIONINSIGHTS_AUTHENTICATION_STRING` in the process's environment makes the exporter sign in with the
    managed identity it names, as it does for the host.
    """

    def __init__(self, connection_string: str, *, sample_percent: float, environment: Mapping[str, str]) -> None:
        """Raises ValueError when the connection string is none."""
        for name in _UNASKED:
            os.environ.setdefault(name, "true")
        resource = Resource.create(
            {
                # As the host names itself, so that both are one role.
                "service.name": environment.get("WEBSITE_SITE_NAME") or _SCOPE,
                "service.instance.id": environment.get("WEBSITE_INSTANCE_ID") or str(os.getpid()),
            }
        )
        # A telemetry item that cannot be delivered is dropped: nothing of it is left on a disk.
        options = {"connection_string": connection_string, "disable_offline_storage": True, **_PATIENCE}
        self._tracers = TracerProvider(
            resource=resource,
            sampler=TraceSampler(sample_percent),
            span_limits=SpanLimits(max_span_attribute_length=256),
        )
        self._tracers.add_span_processor(
            FailureKeeper(
                successes=BatchSpanProcessor(AzureMonitorTraceExporter(**options)),
                failures=BatchSpanProcessor(AzureMonitorTraceExporter(**options)),
            )
        )
        reader = PeriodicExportingMetricReader(AzureMonitorMetricExporter(**options))
        self._meters = MeterProvider(resource=resource, metric_readers=[reader])
        tracing.use_tracer(self._tracers.get_tracer(_SCOPE))
        metrics.use_recorders(_recorders(self._meters.get_meter(_SCOPE)))

    def close(self) -> None:
        """Send what is left, and record nothing from now on."""
        tracing.use_tracer(None)
        metrics.use_recorders({})
        self._tracers.shutdown()
        self._meters.shutdown()


class TraceSampler(Sampler):
    """Chooses accounts within a trace by both ids: every process, and every attempt of the same change, chooses alike.

    By the trace alone an initial cycle would be chosen, or not, as one. What a span began within this process decided
    holds for the spans within it. Whatever another process decided is not asked: the host's own sampling has nothing to
    do with ours. What is not chosen is recorded all the same, because only its end shows whether something failed.
    """

    def __init__(self, percent: float) -> None:
        self._percent = percent
        self._bound = round(percent / 100 * (1 << 64))

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Answer as the span around it, else by the ids of trace and account."""
        around = get_current_span(parent_context).get_span_context()
        if around.is_valid and not around.is_remote:
            is_chosen = around.trace_flags.sampled
        else:
            is_chosen = _place(trace_id, str((attributes or {}).get("source_id", ""))) < self._bound
        if not is_chosen:
            return SamplingResult(Decision.RECORD_ONLY, attributes)
        share = {_SAMPLE_RATE: self._percent} if self._percent < 100 else {}
        return SamplingResult(Decision.RECORD_AND_SAMPLE, {**(attributes or {}), **share})

    def get_description(self) -> str:
        """Answer what it does, in short."""
        return f"{self._percent:g} % of accounts, and every failure"


def _place(trace_id: int, source_id: str) -> int:
    """Where an account of a trace lies among all, the same in every process; below 2^64."""
    digest = hashlib.blake2b(trace_id.to_bytes(16, "big") + source_id.encode(), digest_size=8)
    return int.from_bytes(digest.digest(), "big")


class FailureKeeper(SpanProcessor):
    """Passes on what was sampled and every span that failed, which then stands for itself alone; nothing forgotten.

    Failures have a sender, and a queue, of their own: however much goes well, it pushes none of them out.
    """

    def __init__(self, *, successes: SpanProcessor, failures: SpanProcessor) -> None:
        self._successes = successes
        self._failures = failures

    def on_end(self, span: ReadableSpan) -> None:
        """Judge a span by its end."""
        attributes = span.attributes or {}
        if tracing.FORGOTTEN in attributes:
            return
        if span.status.status_code is StatusCode.ERROR:
            self._failures.on_end(_kept(span))
        else:
            self._successes.on_end(span)

    def shutdown(self) -> None:
        """Send what is left."""
        self._failures.shutdown()
        self._successes.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what there is."""
        return self._failures.force_flush(timeout_millis) and self._successes.force_flush(timeout_millis)


def _kept(span: ReadableSpan) -> ReadableSpan:
    """The same span, as if its trace had been chosen with all others."""
    context = span.get_span_context()
    assert context is not None
    return ReadableSpan(
        name=span.name,
        context=SpanContext(
            context.trace_id, context.span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED)
        ),
        parent=span.parent,
        resource=span.resource,
        attributes={name: value for name, value in (span.attributes or {}).items() if name != _SAMPLE_RATE},
        kind=span.kind,
        instrumentation_scope=span.instrumentation_scope,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
    )


def _recorders(meter: Meter) -> dict[Metric, Recorder]:
    return {metric: _recorder(meter, metric) for metric in Metric}


def _recorder(meter: Meter, metric: Metric) -> Recorder:
    instrument = INSTRUMENTS[metric]
    match instrument.kind:
        case InstrumentKind.COUNTER:
            return meter.create_counter(metric.value, instrument.unit, instrument.description).add
        case InstrumentKind.GAUGE:
            return meter.create_gauge(metric.value, instrument.unit, instrument.description).set
        case InstrumentKind.HISTOGRAM:
            return meter.create_histogram(metric.value, instrument.unit, instrument.description).record
