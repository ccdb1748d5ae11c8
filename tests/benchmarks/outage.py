"""A vendor that refuses everything for a minute while changes wait: how long until everything agrees again.

The accounts exist and are in sync; then the vendor answers 503, as a SCIM service does, and every person gets another
job title. After 60 seconds it answers again. Two worker processes consume the real queue, ten requests a second are
allowed, housekeeping runs every minute. Measured from the end of the outage until the last account agrees.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.composition import Services
from shared.provisioning.accounts import ACCOUNTS, make_number
from tests.benchmarks.consumer import raise_users
from tests.benchmarks.hosting import Pump
from tests.benchmarks.separate import serve_apart
from tests.benchmarks.storage import serve_storage
from tests.benchmarks.tables import Table, number
from tests.benchmarks.tenants import APPLICATION, NO_PRINCIPAL, call, environment, new_services
from tests.benchmarks.vendor import serve_vendor
from tests.benchmarks.worker_processes import Worker
from tests.simulation.graph.people import draw_user

ACCOUNTS_COUNT = 1000
OUTAGE_S = 60.0
RATE = 10.0
WORKERS = 2
HOUSEKEEPING_S = 60.0
PATIENCE_S = 1800.0
_NO_GRAPH = f"http://127.0.0.1:9/v1.0 {NO_PRINCIPAL}"


def measure(users: int | None) -> list[Table]:
    """Answers with the table of this benchmark."""
    count = users or ACCOUNTS_COUNT
    with serve_storage() as storage, serve_apart(serve_vendor) as vendor, tempfile.TemporaryDirectory() as folder:
        seen = asyncio.run(_run(Path(folder), storage, vendor, count))
    least_s = count / RATE
    return [
        Table(
            title=f"{count:,} changes wait when an outage of {OUTAGE_S:.0f} s ends",
            columns=("all agree after s", "least the rate allows s", "ratio", "requests refused", "requests after it"),
            rows=[
                (
                    number(seen.agreed_s),
                    number(least_s),
                    f"{seen.agreed_s / least_s:.2f}",
                    str(seen.refused),
                    str(seen.after),
                )
            ],
            note=f"{RATE:g} requests a second, {WORKERS} workers, housekeeping every minute; one PATCH an account. "
            "Requests as they arrive at the vendor's side, on loopback; rows are looked at every 2 s.",
        )
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one run showed."""

    agreed_s: float
    refused: int
    after: int


async def _run(folder: Path, storage: str, vendor: str, count: int) -> Seen:
    users = [draw_user(1, 50 * (at // 14) + 10 + at % 14) for at in range(count)]
    await _create(folder, storage, vendor, users)
    more = f"rate_limit: {{requests_per_second: {RATE}}}"
    services = new_services(folder, storage=storage, graph=_NO_GRAPH, vendor_url=vendor, more=more)
    await services.states.publish_configuration(services.applications[APPLICATION])
    settings = environment(folder / "provisioning.yaml", storage=storage, graph_url=_NO_GRAPH.split(maxsplit=1)[0])
    workers = await asyncio.gather(*(Worker.start(settings) for _ in range(WORKERS)))
    await asyncio.to_thread(call, f"{vendor}/_outage/on")
    began = time.monotonic()
    await raise_users(services, [{**user, "jobTitle": "Changed"} for user in users], make_number(2, 1))
    for worker in workers:
        worker.begin()
    house = asyncio.create_task(_keep_house(services))
    await asyncio.sleep(began + OUTAGE_S - time.monotonic())
    await asyncio.to_thread(call, f"{vendor}/_outage/off")
    ended = time.monotonic()
    while (left := await _pending(services)) and time.monotonic() - ended < PATIENCE_S:  # noqa: ASYNC110 - as below
        await asyncio.sleep(2.0)
    agreed_s = time.monotonic() - ended
    house.cancel()
    await asyncio.gather(house, return_exceptions=True)
    arrived = await asyncio.to_thread(call, f"{vendor}/_arrivals")
    for worker in workers:
        await worker.kill()
    await services.close()
    if left:
        raise RuntimeError(f"{left} accounts still wait {PATIENCE_S:.0f} s after the outage")
    return Seen(
        agreed_s=agreed_s,
        refused=sum(began <= at < ended for at, _ in arrived),
        after=sum(at >= ended for at, _ in arrived),
    )


async def _create(folder: Path, storage: str, vendor: str, users: Sequence[dict[str, Any]]) -> None:
    """Makes the accounts, without a limit."""
    services = new_services(folder, storage=storage, graph=_NO_GRAPH, vendor_url=vendor)
    await services.prepare_storage()
    await services.states.publish_configuration(services.applications[APPLICATION])
    await raise_users(services, list(users), make_number(1, 1))
    pump = asyncio.create_task(Pump(services, APPLICATION, first=False).run())
    while await _pending(services):  # noqa: ASYNC110 - rows have no event to wait for
        await asyncio.sleep(1.0)
    pump.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await pump
    await services.close()


async def _keep_house(services: Services) -> None:
    while True:
        await asyncio.sleep(HOUSEKEEPING_S)
        await services.housekeeper.keep_house()


async def _pending(services: Services) -> int:
    pages = services.tables.query(
        ACCOUNTS, APPLICATION, first="user:", before="user;", where="pending eq true", select=("pending",)
    )
    return sum([len(page) async for page in pages])
