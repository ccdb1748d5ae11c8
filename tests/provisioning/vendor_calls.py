"""Requests to vendors as places where a process can die: before one left, and before its answer was seen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx

from shared.composition import Services
from shared.storage.durable_writes import Moment

CallObserver = Callable[[Any, Moment], None]
"""Called around every request, as an observer of durable writes is; what it raises happens instead."""


@dataclass(frozen=True, slots=True)
class VendorCall:
    """A kind of request: `PATCH Users`."""

    method: str
    endpoint: str

    @property
    def name(self) -> str:
        """What a person calls it."""
        return f"{self.method} {self.endpoint}"


class ReadResponse:
    """A response whose body is here already."""

    def __init__(self, response: Any) -> None:
        self._response = response
        self.status_code = response.status_code
        self.headers = response.headers

    async def aiter_raw(self) -> AsyncIterator[bytes]:
        """The body, in one piece."""
        yield self._response.content

    async def aclose(self) -> None:
        """Closed already."""


def observe_vendor_calls(services: Services, observer: CallObserver) -> None:
    """Call the observer before every request of a process to a vendor, and after its answer or its failure came."""
    connections = services.connections
    build = connections._new_http

    def observed_client() -> httpx.AsyncClient:
        client = build()
        send = client.send

        async def observed(request: httpx.Request, **options: Any) -> Any:
            call = _call_of(request)
            observer(call, Moment.BEFORE)
            try:
                response = await send(request, **options)
                await response.aread()
            finally:
                observer(call, Moment.AFTER)
            return ReadResponse(response)

        client.send = observed  # type: ignore[method-assign]
        return client

    connections._new_http = observed_client


def _call_of(request: httpx.Request) -> VendorCall:
    parts = request.url.path.strip("/").split("/")
    endpoint = next((part for part in parts if part.casefold() in ("users", "groups")), parts[-1])
    return VendorCall(request.method, endpoint.capitalize())
