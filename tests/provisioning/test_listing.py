"""Matching where the vendor cannot filter: one message makes the listing, the others wait for their turn."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from shared.clock import Clock
from shared.provisioning.applications_state import ApplicationStates
from shared.provisioning.listing import LISTING_RETRY_S, Listing
from shared.scim.answers import Answer, AnswerKind
from shared.scim.client import RequestPriority
from shared.storage.limiter import RateLimited


class _SlowVendor:
    """A vendor without accounts whose one page comes when the test says so."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()

    async def list_page(self, *_args: Any, **_options: Any) -> Any:
        self.asked.set()
        await self.may_answer.wait()
        return SimpleNamespace(answer=Answer(kind=AnswerKind.OK), resources=(), next=None)


class _NoTables:
    async def commit_all(self, *_args: Any, **_options: Any) -> None:
        return

    async def commit(self, *_args: Any, **_options: Any) -> dict[str, str]:
        return {"state": "etag"}

    async def read(self, *_args: Any) -> None:
        return


async def test_a_second_message_waits_its_turn_and_does_not_block_the_vendors_limiter() -> None:
    vendor, tables = _SlowVendor(), _NoTables()
    states = ApplicationStates(tables=tables, clock=Clock())  # type: ignore[arg-type]
    listing = Listing(tables=tables, states=states, client_of=lambda _: vendor, clock=Clock())  # type: ignore[arg-type]
    users = SimpleNamespace(matching=())
    application: Any = SimpleNamespace(name="fuze", resource=lambda _kind: users)
    first = asyncio.create_task(listing.make(application, priority=RequestPriority.NORMAL))
    await vendor.asked.wait()

    with pytest.raises(RateLimited) as waits:
        await listing.make(application, priority=RequestPriority.NORMAL)
    vendor.may_answer.set()

    assert waits.value.wait_s == LISTING_RETRY_S
    assert (await first).ok
    assert (await listing.make(application, priority=RequestPriority.NORMAL)).ok
