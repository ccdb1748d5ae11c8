"""The initial round: every user of a tenant mirrored and raised for one application.

Measured: users a second of wall time until the last one is raised, and until the queues hold their two minutes of work,
by one process that shares the cores with Azurite (in memory) and the simulated
Graph (each in its own process), the process's CPU time, and how far its resident memory rises above where it was after
the SDKs were loaded and the first request was made. A run stops at its time budget as in production and is started
again until nothing is left. Rows: `scope: all`; `scope: assigned` with a direct assignment for every user.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks.machine import Usage
from tests.benchmarks.separate import run_apart, serve_apart
from tests.benchmarks.tables import Table, number
from tests.benchmarks.tenants import APPLICATION, new_services, serve_graph
from tests.simulation.azurite import Azurite

USERS = 100_000
PAGE_SIZE = 999


def measure(users: int | None) -> list[Table]:
    """Answers with the table of this benchmark."""
    count = users or USERS
    rows = [_row(scope, count, _measure_scope(scope, count)) for scope in ("all", "assigned")]
    return [
        Table(
            title=f"Initial round of {count:,} users",
            columns=(
                "scope",
                "users/s",
                "raised after s",
                "queues filled after s",
                "CPU ms/user",
                "memory +MB",
                "storage calls/user",
                "runs",
            ),
            rows=rows,
            note=f"One process, beside Azurite and the simulated Graph ({PAGE_SIZE} users a page) on the same cores.",
        )
    ]


def _measure_scope(scope: str, users: int) -> Mapping[str, Any]:
    with Azurite.in_memory() as azurite, serve_apart(serve_graph, users, scope == "assigned", PAGE_SIZE) as graph:
        return run_apart(run_rounds, azurite.connection_string, graph, scope)


def run_rounds(storage: str, graph: str, scope: str) -> dict[str, Any]:
    """Pulls until nothing is left; runs in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_run_rounds(Path(folder), storage, graph, scope))


async def _run_rounds(folder: Path, storage: str, graph: str, scope: str) -> dict[str, Any]:
    services = new_services(folder, storage=storage, graph=graph, scope=scope)
    await services.prepare_storage()
    await services.graph.read_service_principal(graph.split()[1])
    services.tables.calls.clear()
    usage = Usage()
    raised, runs, raised_s = 0, 0, 0.0
    while True:
        report = await services.puller.pull()
        runs += 1
        raised += report.raised.get(APPLICATION, 0)
        raised_s += report.raised_s
        if report.outcome != "to be continued":
            break
    usage.stop()
    calls = services.tables.calls.total() + services.queues.calls.total()
    await services.close()
    return {
        "raised": raised,
        "runs": runs,
        "raised_s": raised_s,
        "calls": calls,
        "outcome": report.outcome,
        **usage.figures(),
    }


def _row(scope: str, users: int, seen: Mapping[str, Any]) -> tuple[str, ...]:
    if seen["raised"] != users:
        raise RuntimeError(f"{seen['raised']} of {users} users were raised; the round ended with {seen['outcome']}")
    return (
        scope,
        number(users / seen["raised_s"]),
        number(seen["raised_s"]),
        number(seen["wall_s"]),
        number(seen["cpu_s"] / users * 1000),
        f"{seen['growth_mb']:.0f} (from {seen['start_mb']:.0f})",
        number(seen["calls"] / users),
        str(seen["runs"]),
    )
