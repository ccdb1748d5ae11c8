"""The platform's part inside a worker process of a benchmark: queue messages in, the product's consumer at work.

Both queues of the application are fetched as host.json says, deleted when their message was worked on, and looked into
less and less often while they are empty.
"""

from __future__ import annotations

import asyncio
import base64
import random
from collections import Counter
from typing import Any

from shared.composition import Services
from shared.storage.queue_names import queue_name
from shared.storage.queues import Message
from tests.simulation.host.polling import Backoff

BATCH, THRESHOLD = 16, 8
MAX_POLLING_INTERVAL_S = 2.0
INVISIBLE_S = 600


class Pump:
    """Feeds one queue of an application to the consumer until it is cancelled."""

    def __init__(self, services: Services, app: str, *, first: bool) -> None:
        """Fetches nothing yet."""
        self._services = services
        self._first = first
        self._queue: Any = services.queues._client(queue_name(app, first=first))
        self._running: set[asyncio.Task[None]] = set()
        self._settled = asyncio.Event()
        self._backoff = Backoff(MAX_POLLING_INTERVAL_S, random.random)
        self.outcomes: Counter[str] = Counter()

    async def run(self) -> None:
        """Fetches for ever."""
        while True:
            self._settled.clear()
            if len(self._running) > THRESHOLD:
                await self._settled.wait()
            elif await self._fetch():
                self._backoff.after_a_find()
            else:
                await asyncio.sleep(self._backoff.after_nothing())

    async def _fetch(self) -> int:
        pages = self._queue.receive_messages(messages_per_page=BATCH, visibility_timeout=INVISIBLE_S).by_page()
        try:
            messages = [message async for message in await anext(pages)]
        except StopAsyncIteration:
            return 0
        for message in messages:
            task = asyncio.create_task(self._work(message))
            self._running.add(task)
            task.add_done_callback(self._forget)
        return len(messages)

    async def _work(self, message: Any) -> None:
        wanted = Message.decode(base64.b64decode(message.content).decode())
        outcome = await self._services.reconciler.provision(wanted, first=self._first)
        self.outcomes[f"{outcome.kind} {outcome.reason}"] += 1
        await self._queue.delete_message(message)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._settled.set()
        if not task.cancelled() and (error := task.exception()):
            # The platform shows the message again when its time is over.
            self.outcomes[f"raised {type(error).__name__}"] += 1
