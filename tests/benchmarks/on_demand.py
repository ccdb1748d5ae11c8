"""On demand: one account at once, from the question to the report, against a vendor that answers after 100 ms.

Measured in one process that is warm, beside Azurite on the same cores; the first row is a process that has just
started, imports and connections included. Requests and storage calls are counted, so that the rest can be compared.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from shared.composition import Services
from shared.directory.mirror import DIRECTORY, members_partition
from shared.provisioning.accounts import ACCOUNTS, ResourceKind, account_key, make_number, write_columns
from shared.provisioning.on_demand import OnDemandOutcome
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation
from tests.benchmarks.consumer import raise_users
from tests.benchmarks.separate import run_apart, serve_apart
from tests.benchmarks.tables import Table, number
from tests.benchmarks.tenants import APPLICATION, NO_PRINCIPAL, new_services
from tests.benchmarks.vendor import serve_vendor
from tests.simulation.azurite import Azurite
from tests.simulation.graph.people import draw_user

PEOPLE = 20
MEMBERS = 1000
VENDOR_S = 0.1
_NO_GRAPH = f"http://127.0.0.1:9/v1.0 {NO_PRINCIPAL}"
_GROUP = "99999999-0000-0000-0000-000000000001"


def measure(users: int | None) -> list[Table]:
    """Answers with the table of this benchmark."""
    count = users or PEOPLE
    with Azurite.in_memory() as azurite, serve_apart(serve_vendor, VENDOR_S) as vendor:
        rows = run_apart(_run, azurite.connection_string, vendor, count)
    return [
        Table(
            title=f"On demand: {count} people and a group of {MEMBERS:,}, a vendor that answers after 100 ms",
            columns=("what", "median ms", "worst ms", "requests to the vendor", "storage calls"),
            rows=rows,
            note="From the question to the report; requests and storage calls of one account.",
        )
    ]


def _run(storage: str, vendor: str, count: int) -> list[tuple[str, ...]]:
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_ask_for_all(Path(folder), storage, vendor, count))


async def _ask_for_all(folder: Path, storage: str, vendor: str, count: int) -> list[tuple[str, ...]]:
    started = time.perf_counter()
    services = new_services(
        folder, storage=storage, graph=_NO_GRAPH, vendor_url=vendor, more="groups: {enabled: true}\n"
    )
    await services.prepare_storage()
    await services.states.publish_configuration(services.applications[APPLICATION])
    people = [draw_user(1, 50 * (index // 14) + 10 + index % 14) for index in range(count)]
    ids = [user["id"] for user in people]
    prepared = time.perf_counter() - started
    await raise_users(services, people, make_number(1, 1), enqueues=False)
    rows = [await _row(services, vendor, "the first create of a process", ids[:1], OnDemandOutcome.PROVISIONED)]
    rows.append(await _row(services, vendor, "create", ids[1:], OnDemandOutcome.PROVISIONED))
    rows.append(await _row(services, vendor, "nothing differs", ids, OnDemandOutcome.UNCHANGED))
    changed = [{**user, "jobTitle": "Changed"} for user in people]
    await raise_users(services, changed, make_number(1, 2), enqueues=False)
    rows.append(await _row(services, vendor, "update", ids, OnDemandOutcome.PROVISIONED))
    left = [{**user, "accountEnabled": False} for user in changed]
    await raise_users(services, left, make_number(1, 3), enqueues=False)
    rows.append(await _row(services, vendor, "leaver, the guard asked", ids, OnDemandOutcome.PROVISIONED))
    await _form_group(services)
    kind = ResourceKind.GROUP
    rows.append(await _row(services, vendor, "group", [_GROUP], OnDemandOutcome.PROVISIONED, kind=kind))
    rows.append(await _row(services, vendor, "group, nothing differs", [_GROUP], OnDemandOutcome.UNCHANGED, kind=kind))
    await services.close()
    rows.insert(0, ("composing, tables and queues (in Azure they exist)", number(prepared * 1000), "", "", ""))
    return rows


async def _row(
    services: Services,
    vendor: str,
    name: str,
    source_ids: Sequence[str],
    expected: OnDemandOutcome,
    *,
    kind: ResourceKind = ResourceKind.USER,
) -> tuple[str, ...]:
    calls, requests = services.tables.calls.total() + services.queues.calls.total(), _requests(vendor)
    walls: list[float] = []
    for source_id in source_ids:
        started = time.perf_counter()
        report = await services.on_demand.provision(services.applications[APPLICATION], kind, source_id)
        walls.append((time.perf_counter() - started) * 1000)
        if report.outcome is not expected:
            raise RuntimeError(f"{name}: {report.outcome} {report.reason} {report.error}")
    calls = services.tables.calls.total() + services.queues.calls.total() - calls
    asked = (_requests(vendor) - requests) / len(walls)
    return name, number(median(walls)), number(max(walls)), f"{asked:g}", f"{calls / len(walls):g}"


def _requests(vendor: str) -> int:
    with urllib.request.urlopen(f"{vendor}/_requests") as answer:
        found: Any = json.load(answer)
    return sum(found.values()) if isinstance(found, dict) else int(found)


async def _form_group(services: Services) -> None:
    """A group in the mirror, and accounts of its members that exist already."""
    at = make_number(1, 4)
    user_ids = [f"{index:08d}-0000-0000-0000-000000000000" for index in range(MEMBERS)]
    group = {"attributes": json.dumps({"displayName": "Team", "mailNickname": "team"}), "tracked": True, "number": at}
    await services.tables.commit(DurableWrite.MIRROR, DIRECTORY, "group", [Operation.replace(_GROUP, group)])
    members = [Operation.replace(user_id, {"gone": False, "number": at}) for user_id in user_ids]
    await services.tables.commit_all(DurableWrite.MIRROR, DIRECTORY, members_partition(_GROUP), members)
    columns = write_columns(wanted=at, applied=at, pending=False, state="in_sync")
    accounts = [
        Operation.merge(account_key(ResourceKind.USER, user_id), {**columns, "target_id": f"m{user_id[:8]}"})
        for user_id in user_ids
    ]
    await services.tables.commit_all(DurableWrite.RAISE, ACCOUNTS, APPLICATION, accounts)
