"""The worker of the consumer benchmark: messages in on standard input, outcomes out on standard output, one a line."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from shared.composition import Services, load_services
from shared.storage.queues import Message
from tests.benchmarks.machine import Usage


async def main() -> None:
    """Works until standard input ends."""
    services = load_services(os.environ)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    running: set[asyncio.Task[None]] = set()
    usage, calls = Usage(), 0
    while line := await reader.readline():
        match line.strip():
            case b"start":
                await warm_up(services)
                usage, calls = Usage(), services.tables.calls.total()
                answer({})
            case b"stop":
                usage.stop()
                answer(
                    {
                        "cpu_s": usage.cpu_s,
                        "growth_mb": usage.growth_mb,
                        "calls": services.tables.calls.total() - calls,
                    }
                )
            case text:
                task = asyncio.create_task(provision(services, json.loads(text)))
                running.add(task)
                task.add_done_callback(running.discard)
    await services.close()


async def warm_up(services: Services) -> None:
    """Builds everything, telemetry included, and connects to storage, as in a process that is at work already."""
    services.send_telemetry()
    assert services.reconciler
    for application in services.applications.enabled:
        services.client_of(application)
        await services.states.read_fresh(application.name)


async def provision(services: Services, given: dict[str, Any]) -> None:
    """Works on one message."""
    outcome = await services.reconciler.provision(Message.decode(given["text"]), first=False)
    answer({"id": given["id"], "reason": outcome.reason})


def answer(value: dict[str, Any]) -> None:
    """Writes one line."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
