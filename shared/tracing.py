"""Spans: what took how long, from a page of the directory to a vendor's answer, in one trace across processes.

Names are constant, attributes are ids, counts and words of the product: never a name, an address, a filter or a token.
Nothing is imported and nothing costs anything until `shared.insights` hands a tracer in. The provider is never made
the process's own: Graph's SDK would then record spans with whole URLs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span as RecordedSpan
    from opentelemetry.trace import Tracer

FORGOTTEN = "forgotten"
"""Attribute of a span that is not worth keeping; `shared.insights` drops it."""

Attribute = str | int | float | bool


class SpanName(StrEnum):
    """Every span the product records."""

    DIRECTORY_PULL = "directory.pull"
    """One run of the sync that found something."""
    ACCOUNT_PROVISION = "account.provision"
    """One message about one account; a child of the run that raised the account."""
    SCIM_REQUEST = "scim.request"
    """One HTTP request to a vendor's SCIM service, with the wait for its slot."""
    OAUTH_REQUEST = "oauth.request"
    """One HTTP request to a vendor's token endpoint, likewise."""


class Span:
    """What goes on. Without a tracer every method does nothing."""

    __slots__ = ("_recorded", "is_parent")

    def __init__(self, recorded: RecordedSpan | None = None) -> None:
        self._recorded = recorded
        self.is_parent = False
        """Whether a span began within it."""

    @property
    def traceparent(self) -> str:
        """The span as a W3C traceparent, for whoever goes on with the trace; empty without a tracer."""
        if self._recorded is None:
            return ""
        context = self._recorded.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    @property
    def trace_id(self) -> str:
        """The trace, which is `operation_Id` in Application Insights; empty without a tracer."""
        return f"{self._recorded.get_span_context().trace_id:032x}" if self._recorded is not None else ""

    def set(self, **attributes: Attribute) -> None:
        """Note what is known by now."""
        if self._recorded is not None:
            self._recorded.set_attributes(attributes)

    def fail(self, reason: str) -> None:
        """It failed, which keeps the span however few are sampled. `reason` is a word of the product."""
        if self._recorded is not None:
            from opentelemetry.trace import Status, StatusCode

            self._recorded.set_attribute("failure", reason)
            self._recorded.set_status(Status(StatusCode.ERROR))

    def forget(self) -> None:
        """It came to nothing and need not be kept, unless another span began within it."""
        if not self.is_parent:
            self.set(**{FORGOTTEN: True})


_tracer: Tracer | None = None
_current: ContextVar[Span | None] = ContextVar("current span", default=None)


def use_tracer(tracer: Tracer | None) -> None:
    """From now on spans are recorded by this tracer; None: by nobody."""
    global _tracer  # noqa: PLW0603  (one per process, as the tracer is)
    _tracer = tracer


def read_trace(value: object) -> str:
    """What a row or a message holds as its trace; empty for what could not be one, whoever wrote it."""
    return value if isinstance(value, str) and re.fullmatch(r"[0-9A-Za-z-]{1,128}", value) else ""


def current_trace_id() -> str:
    """The trace of the span that is going on; empty when there is none."""
    span = _current.get()
    return span.trace_id if span is not None else ""


@contextmanager
def span(name: SpanName, *, parent: str = "", target: str = "", **attributes: Attribute) -> Iterator[Span]:
    """Record what the block does. What it raises passes through and makes the span a failed one.

    `parent`: a W3C traceparent to go on with; what is none is ignored. `target`: the application that is asked, of a
    request that leaves the process.
    """
    if _tracer is None:
        yield Span()
        return
    from opentelemetry.trace import SpanKind

    above = _current.get()
    if above is not None:
        above.is_parent = True
    with _tracer.start_as_current_span(
        name.value,
        context=_context_of(parent),
        kind=SpanKind.CLIENT if target else SpanKind.INTERNAL,
        attributes={**attributes, "peer.service": target} if target else attributes,
        # The text of an exception may hold anything.
        record_exception=False,
        set_status_on_exception=False,
    ) as recorded:
        begun = Span(recorded)
        token = _current.set(begun)
        try:
            yield begun
        except BaseException as error:
            begun.fail(type(error).__name__)
            raise
        finally:
            _current.reset(token)


def _context_of(parent: str) -> Context | None:
    """None: the context that is current."""
    if not parent:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": parent})
