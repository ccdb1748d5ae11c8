"""One HTTP request to a vendor as one span: never its address, which may hold a filter with somebody's name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import httpx

from shared import tracing
from shared.scim.classification import Exchange
from shared.scim.transport import HttpRequest, exchange


async def exchange_in_span(
    name: tracing.SpanName,
    http: httpx.AsyncClient,
    request: HttpRequest,
    *,
    application: str,
    timeout_s: float,
    departs: Callable[[], Awaitable[None]] | None,
    monotonic: Callable[[], float],
    **attributes: tracing.Attribute,
) -> Exchange:
    """Send a request when `departs` lets it go; where it does not, no span is left."""
    started = monotonic()
    with tracing.span(name, target=application, application=application, method=request.method) as span:
        span.set(**attributes)

        async def depart_noted(departs: Callable[[], Awaitable[None]]) -> None:
            try:
                await departs()
            except Exception:
                # Nothing was sent.
                span.forget()
                raise
            span.set(waited_ms=round((monotonic() - started) * 1000))

        noted = None if departs is None else partial(depart_noted, departs)
        received = await exchange(http, request, timeout_s=timeout_s, departs=noted)
        span.set(status=received.status or 0)
        if received.interruption is not None:
            span.fail(received.interruption)
        elif received.status is None or received.status >= 400:
            span.fail(f"status {received.status}")
    return received
