"""A leaver while a whole tenant waits to be created: how long until the vendor is told.

100,000 users are mirrored and raised for a vendor that takes ten requests a second; two worker processes create them
from the real queues. Then people who have an account are disabled in the directory, one every few seconds, and the
sync runs at once, as it does when Graph notifies. Measured: from the change in the directory, and from the guard's
release, until the disable arrives at the vendor's side, on loopback.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.composition import Services, load_services
from shared.provisioning.accounts import ACCOUNTS
from shared.storage.durable_writes import DurableWrite, Moment
from tests.benchmarks.separate import serve_apart
from tests.benchmarks.storage import serve_storage
from tests.benchmarks.tables import Table
from tests.benchmarks.tenants import APPLICATION, call, control_of, environment, serve_graph, write_configuration
from tests.benchmarks.vendor import serve_vendor
from tests.benchmarks.worker_processes import Worker

USERS = 100_000
LEAVERS = 10
RATE = 10.0
WORKERS = 2
PAGE_SIZE = 999
BETWEEN_S = 5.0
PATIENCE_S = 60.0


def measure(users: int | None) -> list[Table]:
    """Answers with the table of this benchmark."""
    count = users or USERS
    with (
        serve_storage() as storage,
        serve_apart(serve_vendor) as vendor,
        serve_apart(serve_graph, count, False, PAGE_SIZE) as graph,
        tempfile.TemporaryDirectory() as folder,
    ):
        seen = asyncio.run(_run(Path(folder), storage, vendor, graph))
    return [_table(count, seen)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One leaver, in seconds; how many creates were waiting meanwhile."""

    from_change_s: float
    from_release_s: float
    waiting: int


class _Releases:
    """Notes when the guard released somebody."""

    def __init__(self) -> None:
        self.last_at = 0.0

    def __call__(self, write: DurableWrite, moment: Moment) -> None:
        if (write, moment) == (DurableWrite.GUARD_RELEASE, Moment.AFTER):
            self.last_at = time.monotonic()


async def _run(folder: Path, storage: str, vendor: str, graph: str) -> list[Seen]:
    graph_url, principal = graph.split()
    more = f"rate_limit: {{requests_per_second: {RATE}}}"
    path = write_configuration(folder, principal_id=principal, scope="all", vendor_url=vendor, more=more)
    settings = environment(path, storage=storage, graph_url=graph_url)
    releases = _Releases()
    services = load_services(settings, observer=releases)
    await services.prepare_storage()
    raised = 0
    while (report := await services.puller.pull()).outcome == "to be continued":
        raised += report.raised.get(APPLICATION, 0)
    raised += report.raised.get(APPLICATION, 0)
    workers = await asyncio.gather(*(Worker.start(settings) for _ in range(WORKERS)))
    for worker in workers:
        worker.begin()
    while len(await _created(services)) < LEAVERS * 3:  # noqa: ASYNC110 - rows have no event to wait for
        await asyncio.sleep(1.0)
    leavers = (await _created(services))[:LEAVERS]
    seen = []
    for number, user_id in enumerate(leavers, 1):
        seen.append(await _leave(services, releases, vendor, graph_url, user_id, number=number, raised=raised))
        await asyncio.sleep(BETWEEN_S)
    for worker in workers:
        await worker.kill()
    await services.close()
    return seen


async def _created(services: Services) -> list[str]:
    pages = services.tables.query(
        ACCOUNTS, APPLICATION, first="user:", before="user;", where="state eq 'in_sync'", select=("state",)
    )
    return [row.key.removeprefix("user:") async for page in pages for row in page]


async def _leave(
    services: Services, releases: _Releases, vendor: str, graph_url: str, user_id: str, *, number: int, raised: int
) -> Seen:
    """Disables one person and waits until the vendor knows."""
    changed_at = time.monotonic()
    update = {"args": [user_id], "accountEnabled": False}
    await asyncio.to_thread(call, f"{control_of(graph_url)}/tenant/update", update)
    await services.puller.pull()
    while time.monotonic() - changed_at < PATIENCE_S:
        arrived = await asyncio.to_thread(call, f"{vendor}/_arrivals")
        disables = [at for at, what in arrived if what.endswith("disable")]
        if len(disables) >= number:
            posted = sum(what.startswith("POST") for _, what in arrived)
            return Seen(
                from_change_s=disables[number - 1] - changed_at,
                from_release_s=disables[number - 1] - releases.last_at,
                waiting=raised - posted,
            )
        await asyncio.sleep(0.2)
    raise RuntimeError(f"no disable arrived within {PATIENCE_S:.0f} s")


def _table(users: int, seen: Sequence[Seen]) -> Table:
    def row(name: str, values: Sequence[float]) -> tuple[str, ...]:
        return name, f"{statistics.median(values):.1f}", f"{max(values):.1f}"

    return Table(
        title=f"{len(seen)} leavers while {min(one.waiting for one in seen):,} creates wait",
        columns=("seconds until the vendor was told", "median", "worst"),
        rows=[
            row("from the guard's release", [one.from_release_s for one in seen]),
            row("from the change in the directory, the sync started at once", [one.from_change_s for one in seen]),
        ],
        note=f"{RATE:g} requests a second, {WORKERS} workers, a tenant of {users:,}; an empty queue is looked into at "
        "least every 2 s (host.json). Arrivals at the vendor's side, on loopback.",
    )
