"""Telemetry: what spans and metrics cost the worker, and how much of them arrives at Application Insights.

The consumer's benchmark twice in turn, without and with a connection string; the ingestion endpoint runs in the process
that plays the host. Counted are the envelopes that Microsoft's exporter sent, and their bytes as JSON.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from tests.benchmarks.consumer import PHASES, run_phases
from tests.benchmarks.separate import serve_apart
from tests.benchmarks.tables import Table, number
from tests.benchmarks.vendor import serve_vendor
from tests.simulation.azurite import Azurite
from tests.simulation.ingestion import IngestionEndpoint, taking_telemetry

ACCOUNTS_COUNT = 500


def measure(users: int | None) -> list[Table]:
    """Answers with the tables of this benchmark."""
    count = users or ACCOUNTS_COUNT
    without = _run(count, {})
    with taking_telemetry() as endpoint:
        told = _run(count, {"APPLICATIONINSIGHTS_CONNECTION_STRING": endpoint.connection_string})
    return [
        Table(
            title=f"Telemetry: {count:,} accounts, with a connection string and without",
            columns=("accounts", "CPU ms/account without", "with", "difference"),
            rows=[_row(phase.name, count, without[phase.name], told[phase.name]) for phase in PHASES],
            note="What is left in the batches when a phase ends is sent in the next one.",
        ),
        _sent(endpoint, count * len(PHASES)),
    ]


def _run(count: int, settings: dict[str, str]) -> dict[str, dict[str, Any]]:
    with Azurite.in_memory() as azurite, serve_apart(serve_vendor) as vendor, tempfile.TemporaryDirectory() as folder:
        return asyncio.run(run_phases(Path(folder), azurite.connection_string, vendor, count, settings))


def _row(name: str, count: int, without: dict[str, Any], told: dict[str, Any]) -> tuple[str, ...]:
    before, after = without["cpu_s"] * 1000 / count, told["cpu_s"] * 1000 / count
    return (name, number(before), number(after), number(after - before))


def _sent(endpoint: IngestionEndpoint, messages: int) -> Table:
    counts: Counter[str] = Counter()
    lengths: Counter[str] = Counter()
    for each in endpoint.envelopes:
        kind = each.name if each.kind == "RemoteDependencyData" else "metrics"
        counts[kind] += 1
        lengths[kind] += len(json.dumps(each.raw, separators=(",", ":")))
    return Table(
        title=f"What {messages:,} messages sent",
        columns=("", "envelopes", "bytes each"),
        rows=[(kind, f"{counts[kind]:,}", f"{lengths[kind] / counts[kind]:,.0f}") for kind in sorted(counts)],
        note="Metrics are sent once a minute for each set of attributes, however many messages there were.",
    )
