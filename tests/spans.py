"""The spans that a test's own process records."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared import tracing


class Recorded:
    """The spans that ended so far."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        tracing.use_tracer(provider.get_tracer("tests"))

    def named(self, name: tracing.SpanName) -> Sequence[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.name == name]

    def pulls(self) -> set[int]:
        """The traces of the runs of the sync that found something."""
        return {trace_of(span) for span in self.named(tracing.SpanName.DIRECTORY_PULL) if not is_forgotten(span)}

    def attempts(self, action: str) -> Sequence[ReadableSpan]:
        found = self.named(tracing.SpanName.ACCOUNT_PROVISION)
        return [span for span in found if (span.attributes or {}).get("action") == action]

    def clear(self) -> None:
        self._exporter.clear()


def trace_of(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.trace_id


def is_forgotten(span: ReadableSpan) -> bool:
    return tracing.FORGOTTEN in (span.attributes or {})


@contextmanager
def recording() -> Iterator[Recorded]:
    """Records what the block does."""
    try:
        yield Recorded()
    finally:
        tracing.use_tracer(None)
