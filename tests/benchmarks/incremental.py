"""An incremental cycle: ten people changed, in a tenant of 1,000 and in one of 100,000.

Measured: wall time of one sync, its requests to Graph and its storage calls, side by side. Before the clock starts the
tenant is mirrored by the product, every account is marked as applied, and the queues are emptied, as if all vendors
were up to date. Azurite searches a whole table for a range of keys, which Azure does not: the calls are the figure
that holds elsewhere.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.composition import Services
from shared.provisioning.accounts import ACCOUNTS, AccountState, ResourceKind, account_key, write_columns
from shared.storage.durable_writes import DurableWrite
from shared.storage.queue_names import queue_name
from shared.storage.tables import Operation
from tests.benchmarks.machine import Usage
from tests.benchmarks.separate import run_apart, serve_apart
from tests.benchmarks.tables import Table, number
from tests.benchmarks.tenants import APPLICATION, change_users, new_services, serve_graph
from tests.simulation.azurite import Azurite

SIZES = (1_000, 100_000)
CHANGES = 10
RUNS = 3
PAGE_SIZE = 200


def measure(users: int | None) -> list[Table]:
    """Answers with the table of this benchmark; `users` is the larger tenant."""
    sizes = (SIZES[0], users or SIZES[1])
    seen = [_measure_size(size) for size in sizes]
    rows = [
        (label, *(number(of[name]) if label.endswith("ms") else f"{of[name]:.0f}" for of in seen))
        for label, name in (
            ("wall ms", "wall_ms"),
            ("CPU ms", "cpu_ms"),
            ("Graph requests", "graph"),
            ("table calls", "tables"),
            ("queue calls", "queues"),
            ("accounts raised", "raised"),
            ("nothing changed: wall ms", "idle_ms"),
            ("nothing changed: storage calls", "idle_calls"),
        )
    ]
    return [
        Table(
            title=f"One sync after {CHANGES} changes",
            columns=("", *(f"{size:,} users" for size in sizes)),
            rows=rows,
            note=f"Median of {RUNS} syncs.",
        )
    ]


def _measure_size(users: int) -> Mapping[str, float]:
    with Azurite.in_memory() as azurite, serve_apart(serve_graph, users, False, PAGE_SIZE) as graph:
        return run_apart(run_cycles, azurite.connection_string, graph)


def run_cycles(storage: str, graph: str) -> dict[str, float]:
    """Prepares the tenant and measures; runs in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_run_cycles(Path(folder), storage, graph))


async def _run_cycles(folder: Path, storage: str, graph: str) -> dict[str, float]:
    services = new_services(folder, storage=storage, graph=graph)
    await services.prepare_storage()
    while (await services.puller.pull()).outcome == "to be continued":
        pass
    await _mark_applied(services)
    await services.puller.pull()
    seen: list[dict[str, float]] = []
    for run in range(RUNS):
        await asyncio.to_thread(change_users, graph.split(maxsplit=1)[0], count=CHANGES, skip=run * CHANGES)
        seen.append(await _one_sync(services))
    idle = await _one_sync(services)
    await services.close()
    figures = {name: statistics.median(of[name] for of in seen) for name in seen[0]}
    return {**figures, "idle_ms": idle["wall_ms"], "idle_calls": idle["tables"] + idle["queues"]}


async def _one_sync(services: Services) -> dict[str, float]:
    counters: dict[str, Counter[str]] = {
        "graph": services.graph.requests,
        "tables": services.tables.calls,
        "queues": services.queues.calls,
    }
    for counter in counters.values():
        counter.clear()
    usage = Usage()
    report = await services.puller.pull()
    usage.stop()
    return {
        "wall_ms": usage.wall_s * 1000,
        "cpu_ms": usage.cpu_s * 1000,
        "raised": report.raised.get(APPLICATION, 0),
        **{name: counter.total() for name, counter in counters.items()},
    }


async def _mark_applied(services: Services) -> None:
    """What top-up and consumers would have done: lists taken up, every row applied, every message gone."""
    config = services.applications[APPLICATION].config_hash

    def applied(key: str, wanted: str) -> dict[str, Any]:
        return write_columns(
            wanted=wanted,
            applied=wanted,
            tried=wanted,
            pending=False,
            config=config,
            state=AccountState.IN_SYNC,
            target_id=key,
        )

    tables = services.tables
    async for page in tables.query(ACCOUNTS, APPLICATION, first="user:", before="user;", select=("wanted",)):
        merged = [Operation.merge(row.key, applied(row.key, row.text("wanted"))) for row in page]
        await tables.commit_all(DurableWrite.SAVE, ACCOUNTS, APPLICATION, merged)
    known = {row.key for row in await tables.read_range(ACCOUNTS, APPLICATION, first="user:", before="user;")}
    for listed in await tables.read_range(ACCOUNTS, APPLICATION, first="raise:", before="raise;"):
        wanted = listed.key.split(":")[1]
        keys = {account_key(ResourceKind.USER, user_id) for user_id in json.loads(listed.text("ids"))} - known
        inserted = [Operation.insert(key, applied(key, wanted)) for key in sorted(keys)]
        await tables.commit_all(DurableWrite.TAKE_UP, ACCOUNTS, APPLICATION, [*inserted, Operation.delete(listed.key)])
    for first in (True, False):
        await _queue_client(services, first=first).clear_messages()


def _queue_client(services: Services, *, first: bool) -> Any:
    return services.queues._client(queue_name(APPLICATION, first=first))
