"""What a status answers, and how fast: an application with 100,000 accounts of mixed states and as many log records.

Measured: the report of the application and of a small one beside it, the census and the count of the log that keep it
cheap, and a week of activity. Azurite searches the whole table for every page, which Azure does not: the calls are the
figure that holds elsewhere.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from shared.composition import Services, load_services
from shared.provisioning.accounts import AccountState, make_number, write_columns
from shared.provisioning.figures.counting import Budget
from shared.provisioning.provisioning_log import LogEntry, LogStatus
from tests.benchmarks.machine import Usage
from tests.benchmarks.seeded_storage import Seed, serve_seeded
from tests.benchmarks.separate import run_apart
from tests.benchmarks.tables import Table, number
from tests.benchmarks.tenants import APPLICATION, NO_PRINCIPAL, environment, write_configuration

ACCOUNTS = 100_000
RUNS = 5
LOG_DAYS = 7
SETTLED_S = 10.0
"""Azurite saves its file within five seconds of a write, and answers nothing meanwhile."""

_PENDING_OF_10 = 3


def measure(users: int | None) -> list[Table]:
    """Answers with the table of this benchmark; `users` is the number of accounts."""
    count = users or ACCOUNTS
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        config = _compose(path, "UseDevelopmentStorage=true").applications[APPLICATION].config_hash
        seeds = (Seed(_accounts(count, config)), Seed(_records(count, now)))
        with serve_seeded(path / "storage", lambda storage: _compose(path, storage), APPLICATION, seeds) as storage:
            seen = run_apart(run_looks, folder, storage, count)
    rows = [
        (label, number(of["wall_ms"]), number(of["cpu_ms"]), f"{of['tables']:.0f}", f"{of['queues']:.0f}")
        for label, of in seen.items()
    ]
    return [
        Table(
            title=f"Status of an application with {count:,} accounts and {count:,} log records",
            columns=("", "wall ms", "CPU ms", "table calls", "queue calls"),
            rows=rows,
            note=f"Looks: median of {RUNS}; counts: one run each.",
        )
    ]


def run_looks(folder: str, storage: str, count: int) -> dict[str, dict[str, float]]:
    """Measures; runs in a process of its own."""
    return asyncio.run(_run_looks(_compose(Path(folder), storage), count))


async def _run_looks(services: Services, count: int) -> dict[str, dict[str, float]]:
    application = services.applications[APPLICATION]
    await services.prepare_storage()
    reports, figures = services.application_reports, services.activity
    await reports.report(application)
    await asyncio.sleep(SETTLED_S)

    async def weigh(name: str, work: Callable[[], Awaitable[Any]], runs: int = RUNS) -> None:
        seen[name] = _median([await _weigh(services, work) for _ in range(runs)])

    seen: dict[str, dict[str, float]] = {}
    await weigh("report, nothing counted yet", lambda: reports.report(application), 1)
    await weigh("census", lambda: services.census.count(application, Budget()), 1)
    await asyncio.sleep(SETTLED_S)
    await weigh("count of the whole log", lambda: figures.count(APPLICATION, Budget()), 1)
    await asyncio.sleep(SETTLED_S)
    await weigh("count of the log, nothing new", lambda: figures.count(APPLICATION, Budget()))
    await asyncio.sleep(SETTLED_S)
    await weigh("report", lambda: reports.report(application))
    await weigh("activity of a week", lambda: figures.read_activity(APPLICATION, 24 * LOG_DAYS))
    report = await reports.report(application)
    week = await figures.read_activity(APPLICATION, 24 * (LOG_DAYS + 1))
    assert report.total == count
    assert report.pending == sum(_is_pending(at) for at in range(count))
    assert sum(sum(hour.results.values()) for hour in week.hours) == count
    await services.close()
    return seen


async def _weigh(services: Services, work: Callable[[], Awaitable[Any]]) -> dict[str, float]:
    services.tables.calls.clear()
    services.queues.calls.clear()
    usage = Usage()
    await work()
    usage.stop()
    return {
        "wall_ms": usage.wall_s * 1000,
        "cpu_ms": usage.cpu_s * 1000,
        "tables": services.tables.calls.total(),
        "queues": services.queues.calls.total(),
    }


def _median(seen: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(of[name] for of in seen) for name in seen[0]}


def _compose(folder: Path, storage: str) -> Services:
    path = write_configuration(
        folder, principal_id=NO_PRINCIPAL, scope="all", vendor_url="http://127.0.0.1:9/scim/v2", more=_RATE
    )
    return load_services(environment(path, storage=storage, graph_url="http://127.0.0.1:9/v1.0"))


_RATE = "rate_limit: {requests_per_second: 10}\n"


def _is_pending(at: int) -> bool:
    return at % 10 < _PENDING_OF_10


def _accounts(count: int, config: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Three in ten pending, one of them in escrow."""
    wanted = make_number(1, 1)
    for at in range(count):
        is_escrowed = at % 10 == 0
        state = AccountState.ESCROWED if is_escrowed else AccountState.IN_SYNC
        columns = write_columns(
            wanted=wanted,
            tried=wanted,
            applied="" if _is_pending(at) else wanted,
            pending=_is_pending(at),
            config=config,
            state=AccountState.PENDING if _is_pending(at) and not is_escrowed else state,
            target_id=f"target-{at}",
            error_code=("InvalidValue" if at % 20 else "ForeignAccount") if is_escrowed else "",
            staged="",
            permit="",
            failed_at="",
            intent="",
            sent='{"userName":"somebody@contoso.example","active":true,"displayName":"Somebody Else"}',
        )
        yield f"user:{uuid.UUID(int=at * 0x9E3779B97F4A7C15 % 2**128)}", columns


def _records(count: int, now: datetime) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """A week of them, as evenly as they come."""
    step = timedelta(days=LOG_DAYS) / count
    for at in range(count):
        record = LogEntry(
            at=now - at * step,
            id=f"{at:012d}",
            source_id=str(uuid.UUID(int=at)),
            kind="user",
            target_id=f"target-{at}",
            action=("create", "update", "disable", "delete")[at % 4],
            status=LogStatus.SUCCESS if at % 10 else LogStatus.FAILURE,
            reason="new",
            number=make_number(1, 1),
            config="config",
            duration_ms=100,
        ).operations()[0]
        yield record.key, record.values
