"""A worker of the limiter benchmark: consumes both queues of the application until standard input ends.

Says `{}` when it is ready, starts at the first line of input, and says at the end what became of its slots.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from shared.composition import load_services
from tests.benchmarks.hosting import Pump
from tests.benchmarks.tenants import APPLICATION
from tests.benchmarks.wakings import Wakings
from tests.benchmarks.worker import answer, warm_up


async def main() -> None:
    """Works until standard input ends."""
    # The terminal is the benchmark's: an outage would be told there once for each account.
    logging.lastResort = None
    services = load_services(os.environ)
    await warm_up(services)
    wakings = Wakings.watch(services.limiter)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    answer({})
    await reader.readline()
    pumps = [Pump(services, APPLICATION, first=first) for first in (True, False)]
    at_work = [asyncio.create_task(pump.run()) for pump in pumps]
    await reader.read()
    for task in at_work:
        task.cancel()
    await asyncio.gather(*at_work, return_exceptions=True)
    answer(
        {
            "slots": dict(services.limiter.slots),
            "late_ms": wakings.late_ms,
            "outcomes": dict(pumps[0].outcomes + pumps[1].outcomes),
            "calls": dict(services.tables.calls),
        }
    )
    # What is still under way is dropped with the process, as the platform drops an instance.
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
