"""The provisioning log: how long a person waits for a page of a month's log, for one person's lines, for an export.

One application's log is seeded with records as the consumer writes them, a hundred per person at most, a thousandth of
them failures of one rare kind. Azurite keeps tables in memory and searches them slower than the service does; requests
and rows that come back are the same.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from shared.composition import Services
from shared.operations.log_export import ExportFormat, export_log
from shared.operations.log_lines import LogFilter, read_log_page
from shared.provisioning.accounts import ACCOUNTS
from shared.provisioning.provisioning_log import LogEntry, LogStatus, Step, StepType
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import equals
from tests.benchmarks.machine import Usage
from tests.benchmarks.tables import Table, number
from tests.benchmarks.tenants import APPLICATION, NO_PRINCIPAL, new_services
from tests.simulation.azurite import Azurite

RECORDS = 5_000
_PEOPLE = 1_000
_START = datetime(2026, 11, 1, tzinfo=UTC)
_NO_GRAPH = f"http://127.0.0.1:9/v1.0 {NO_PRINCIPAL}"


def measure(users: int | None) -> list[Table]:
    """Answers with the table of this benchmark."""
    count = users or RECORDS
    with Azurite.in_memory() as azurite, tempfile.TemporaryDirectory() as folder:
        rows = asyncio.run(_measure(Path(folder), azurite.connection_string, count))
    return [
        Table(
            title=f"Reading a log of {count:,} records",
            columns=("what", "lines", "seconds", "CPU ms", "storage requests"),
            rows=rows,
            note="By storage's filter: what the same person's lines would cost if they were not stored by person, too.",
        )
    ]


async def _measure(folder: Path, storage: str, count: int) -> list[tuple[str, ...]]:
    services = new_services(folder, storage=storage, graph=_NO_GRAPH, vendor_url="http://127.0.0.1:9/scim")
    await services.prepare_storage()
    await _seed(services, count)
    tables, apps, person = services.tables, [APPLICATION], _person(7)

    async def by_filter() -> int:
        where = equals("source_id", person)
        pages = [page async for page in tables.query(ACCOUNTS, APPLICATION, first="log:", before="log;", where=where)]
        return sum(map(len, pages))

    async def everything(wanted: LogFilter) -> int:
        lines, cursor = 0, ""
        while True:
            page = await read_log_page(tables, apps, wanted, limit=1000, cursor=cursor)
            lines += len(page.items)
            if page.next is None:
                return lines
            cursor = page.next

    async def newest() -> int:
        return len((await read_log_page(tables, apps, limit=100)).items)

    async def export(form: ExportFormat) -> int:
        with tempfile.TemporaryFile() as file:
            report = await export_log(tables, dict(services.applications), LogFilter(), form=form, into=file)
            return report.records

    kinds: list[tuple[str, Callable[[], Awaitable[int]]]] = [
        ("the newest 100", newest),
        ("one person", lambda: everything(LogFilter(source_id=person))),
        ("one person, by storage's filter", by_filter),
        ("one rare error code", lambda: everything(LogFilter(code="Rare"))),
        ("export, JSON", lambda: export(ExportFormat.JSON)),
        ("export, CSV", lambda: export(ExportFormat.CSV)),
    ]
    rows = [await _timed(name, read, services) for name, read in kinds]
    await services.close()
    return rows


async def _timed(name: str, read: Callable[[], Awaitable[int]], services: Services) -> tuple[str, ...]:
    calls, usage, started = services.tables.calls.total(), Usage(), time.perf_counter()
    lines = await read()
    wall_s = time.perf_counter() - started
    used: Any = usage.stop().figures()
    calls = services.tables.calls.total() - calls
    return (name, f"{lines:,}", number(wall_s), number(used["cpu_s"] * 1000), f"{calls:,}")


async def _seed(services: Services, count: int) -> None:
    for at in range(0, count, 5_000):
        entries = [_entry(index, count) for index in range(at, min(count, at + 5_000))]
        operations = [each for entry in entries for each in entry.operations()]
        await services.tables.commit_all(DurableWrite.LOG, ACCOUNTS, APPLICATION, operations)


def _person(index: int) -> str:
    return f"{index:08d}-9bd8-4f10-8f51-5c7a1d0a9c11"


def _entry(index: int, count: int) -> LogEntry:
    """About what an update leaves in the log."""
    fails = index % 1000 == 500
    return LogEntry(
        at=_START + timedelta(days=29) * index / count,
        id=f"{index:012d}",
        source_id=_person(index % max(_PEOPLE, count // 100)),
        kind="user",
        target_id=f"target-{index % _PEOPLE}",
        action="update",
        status=LogStatus.FAILURE if fails else LogStatus.SUCCESS,
        reason="attributes_changed",
        number=f"0000000001.{index:08d}.000",
        config="0123456789abcdef",
        duration_ms=40,
        error_code="Rare" if fails else "",
        steps=[
            Step(type=kind, status=LogStatus.SUCCESS, description="attributes_changed", details={"Roles": ["User"]})
            for kind in (StepType.IMPORT, StepType.SCOPING, StepType.MATCHING, StepType.PROCESSING, StepType.EXPORT)
        ],
        modified=[{"displayName": f"attribute{at}", "oldValue": "before", "newValue": "after"} for at in range(4)],
        trace="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )
