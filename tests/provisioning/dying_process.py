"""A process that composes the product, does one thing, and may be killed by SIGKILL at a durable write on the way.

Started by tests with its task as JSON on the command line; what it sends it appends to a file. One that `waits` says
when it is ready, and begins when it is told to: so several begin at once.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from shared.composition import Services, load_services
from shared.storage.durable_writes import DurableWrite, Moment
from shared.storage.queues import Message
from tests.world import HandClock


class FileQueues:
    """Messages as lines of a file, written before anything else happens."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self.calls: Counter[str] = Counter()

    async def send(self, write: DurableWrite, message: Message, *, first: bool = False, hidden_s: float = 0.0) -> None:
        """Append a line."""
        line = json.dumps([message.encode(), first, hidden_s])
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    async def count(self, app: str, *, first: bool) -> int:
        """Nothing waits here."""
        return 0

    async def close(self) -> None:
        """Nothing to close."""


async def _wait_for_the_others(services: Services) -> None:
    """With every module loaded and storage connected, so that what follows takes all of them equally long."""
    for application in services.applications.enabled:
        await services.states.read(application.name)
        assert services.reconciler is not None
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)


async def _work(task: dict[str, Any]) -> None:
    def kill(write: DurableWrite, moment: Moment) -> None:
        if (write.name, moment.value) == (task["write"], task["moment"]):
            os.kill(os.getpid(), signal.SIGKILL)

    clock = HandClock()
    clock.advance(task["elapsed"])
    services = load_services(task["environment"], clock=clock, observer=kill, table_prefix=task["prefix"])
    services.__dict__["queues"] = FileQueues(task["sent"])
    if task.get("waits"):
        await _wait_for_the_others(services)
    if task["message"]:
        await services.reconciler.provision(Message.decode(task["message"]), first=False)
    else:
        await services.puller.pull()
    await services.close()


if __name__ == "__main__":
    asyncio.run(_work(json.loads(sys.argv[1])))
