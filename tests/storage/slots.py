"""A slot from its reservation to its departure, for tests that look at when requests leave."""

from __future__ import annotations

from shared.storage.limiter import Limiter


async def wait_for_slot(limiter: Limiter, app: str, rate: float | None, *, first: bool) -> None:
    """Return when one request may be sent; raises RateLimited when that would take more than two seconds."""
    await limiter.depart(app, rate, await limiter.reserve(app, rate, first=first), first=first)
