"""One rate limit for all workers: how much of it is used, and whether any second holds more.

Four worker processes create accounts (a look-up and a POST each) from the real queue at a vendor that takes ten
requests a second; the storage emulators, the vendor and each worker are processes of their own on this machine. After a
third of the time one worker is killed (SIGKILL), at half of it another is started. The vendor refuses nothing: it notes
when each request arrives, on loopback, and that is what is counted.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.provisioning.accounts import make_number
from shared.storage.slots import LATENESS_S, spacing_of
from tests.benchmarks.consumer import raise_users
from tests.benchmarks.separate import serve_apart
from tests.benchmarks.storage import serve_storage
from tests.benchmarks.tables import Table, number
from tests.benchmarks.tenants import APPLICATION, NO_PRINCIPAL, call, environment, new_services
from tests.benchmarks.vendor import serve_vendor
from tests.benchmarks.worker_processes import Worker
from tests.simulation.graph.people import draw_user

SIZED_BY = "seconds"
SECONDS = 120
RATE = 10.0
WORKERS = 4
WARM_UP_S = 5.0
_NO_GRAPH = f"http://127.0.0.1:9/v1.0 {NO_PRINCIPAL}"


def measure(seconds: int | None) -> list[Table]:
    """Answers with the tables of this benchmark; `seconds` is how long the limit is watched."""
    length = seconds or SECONDS
    with serve_storage() as storage, serve_apart(serve_vendor) as vendor, tempfile.TemporaryDirectory() as folder:
        seen = asyncio.run(_run(Path(folder), storage, vendor, length))
    return [_table(seen, length)]


@dataclass(slots=True, kw_only=True)
class Seen:
    """What one run showed."""

    arrivals: Sequence[float]
    """When each request of the watched time arrived, in seconds from its beginning."""
    reports: Sequence[Mapping[str, Any]]
    """Of the workers that lived to the end."""
    busy: float = 0.0
    """Share of the machine's processor time that was used by anybody, other programs included."""


async def _run(folder: Path, storage: str, vendor: str, length: int) -> Seen:
    more = f"rate_limit: {{requests_per_second: {RATE}}}"
    services = new_services(folder, storage=storage, graph=_NO_GRAPH, vendor_url=vendor, more=more)
    await services.prepare_storage()
    await services.states.publish_configuration(services.applications[APPLICATION])
    count = int(RATE * (length + WARM_UP_S))
    await raise_users(
        services, [draw_user(1, 50 * (at // 14) + 10 + at % 14) for at in range(count)], make_number(1, 1)
    )
    await services.close()
    settings = environment(folder / "provisioning.yaml", storage=storage, graph_url=_NO_GRAPH.split(maxsplit=1)[0])
    workers = await asyncio.gather(*(Worker.start(settings) for _ in range(WORKERS)))
    for worker in workers:
        worker.begin()
    await asyncio.sleep(WARM_UP_S)
    started, idle = time.monotonic(), _idle_s()
    await asyncio.sleep(length / 3)
    await workers[0].kill()
    await asyncio.sleep(length / 6)
    added = await Worker.start(settings)
    added.begin()
    await asyncio.sleep(max(0.0, started + length - time.monotonic()))
    busy = 1 - (_idle_s() - idle) / (time.monotonic() - started)
    arrived = await asyncio.to_thread(call, f"{vendor}/_arrivals")
    reports = await asyncio.gather(*(worker.end() for worker in (*workers[1:], added)))
    within = [at - started for at, _ in arrived if started <= at < started + length]
    return Seen(arrivals=within, reports=reports, busy=busy)


def most_in_a_second(arrivals: Sequence[float]) -> int:
    """The largest number of arrivals in any second, wherever it begins."""
    return max((_within(arrivals, at) for at in range(len(arrivals))), default=0)


def seconds_above(arrivals: Sequence[float], limit: float) -> int:
    """How many arrivals begin a second that holds more than the limit."""
    return sum(_within(arrivals, at) > limit for at in range(len(arrivals)))


def _within(arrivals: Sequence[float], start: int) -> int:
    end = start
    while end < len(arrivals) and arrivals[end] < arrivals[start] + 1.0:
        end += 1
    return end - start


def _table(seen: Seen, length: int) -> Table:
    slots = sum((Counter(report["slots"]) for report in seen.reports), Counter())
    late = sorted(each for report in seen.reports for each in report["late_ms"])
    by_percent = statistics.quantiles(late, n=100) if len(late) > 1 else [0.0] * 99
    return Table(
        title=f"{WORKERS} workers, {RATE:g} requests a second, {length} seconds, one worker killed, one added",
        columns=(
            "requests",
            "of the limit",
            "most in a second",
            "seconds above it",
            "slots late",
            "slots nobody took",
            "woken late by, 50 / 95 / 99 %",
            "machine busy",
        ),
        rows=[
            (
                str(len(seen.arrivals)),
                f"{len(seen.arrivals) / (RATE * length):.1%}",
                str(most_in_a_second(seen.arrivals)),
                str(seconds_above(seen.arrivals, RATE)),
                str(slots["late"]),
                str(slots["over"]),
                " / ".join(f"{number(by_percent[at])} ms" for at in (49, 94, 98)),
                f"{seen.busy:.0%}",
            )
        ],
        note="Arrivals at the vendor's side, on loopback. Slots and wakes are those of the workers that lived; a slot "
        f"is lost when its owner wakes more than {LATENESS_S * 1000:.0f} ms late. By their spacing at most "
        f"{1 / spacing_of(RATE).total_seconds() / RATE:.1%} can be used. Machine: all programs on it, not only these; "
        "where others keep it busy, `chrt -r 1 ./dev bench limiter` gives the workers the processor when they wake.",
    )


def _idle_s() -> float:
    """Seconds per processor that the machine was idle since it started (Linux)."""
    return float(Path("/proc/uptime").read_text().split()[1]) / (os.cpu_count() or 1)
