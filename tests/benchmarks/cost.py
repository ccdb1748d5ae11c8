"""What a month costs, and what 100,000 changes add to telemetry: arithmetic on measured counts, with list prices.

Nothing is measured here. The counts are those of test_cost.py beside this file and of the other benchmarks, rounded up;
what is assumed says so. Alert rules are read from infra/.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tests.benchmarks.tables import Table
from tests.infra.templates import ROOT

# --- Prices: list prices in USD as known on 2026-11-21, to be replaced by yours ---------------------------------------

PRICES_OF = "2026-11-21"
GB_SECOND, FREE_GB_SECONDS = 0.000026, 100_000
EXECUTION, FREE_EXECUTIONS = 0.40 / 1_000_000, 250_000
TABLE_CALL, QUEUE_CALL = 0.00036 / 10_000, 0.004 / 10_000
LOGS_GB = 2.76
ALERT_RULE: Mapping[str, float] = {"PT1M": 3.00, "PT5M": 1.50, "PT10M": 1.00, "PT15M": 0.50}
"""A month of one log search alert rule, by how often it looks; seldomer than every 15 minutes costs as much as that."""

# --- The company ------------------------------------------------------------------------------------------------------

APPLICATIONS = 4
CHANGED_A_DAY = 0.02
EACH_AT = 2
"""Applications that a person's change goes to: half of them."""
DAYS = 30
MEMORY_GB = 2
QUEUES = 2 * (2 * APPLICATIONS + 1)
"""Two of each application and one of notifications, each with its poison queue."""

# --- Counted (test_cost.py, test_request_counts.py) -------------------------------------------------------------------

SYNCS, HOUSEKEEPINGS = DAYS * 24 * 60, DAYS * 24 * 12
TABLE_CALLS_SYNC = 4
TABLE_CALLS_HOUSEKEEPING = 20 * APPLICATIONS
QUEUE_CALLS_HOUSEKEEPING = 2 * APPLICATIONS
TABLE_CALLS_RING = 16
"""A run of the sync that finds one changed person."""
TABLE_CALLS_ACCOUNT = 7
QUEUE_CALLS_ACCOUNT = 3
"""Sent, taken and deleted."""

# --- Measured by ./dev bench telemetry --------------------------------------------------------------------------------

SPAN_BYTES, METRIC_BYTES = 850, 550
SPANS_CREATE, SPANS_CHANGE = 3, 2

# --- Assumed ----------------------------------------------------------------------------------------------------------

RUN_S, HOUSEKEEPING_S = 1, 2
"""The shortest time that is billed is a second; every message and ring is taken to be alone in its second."""
HOST_BYTES, HOST_LINES = 900, 5
"""The host's request and four lines, of a function that ran."""
LOOKS_A_MINUTE = 6
"""How often the platform looks into each queue while nothing runs; not documented."""
EXPORTED_SERIES, EXPORTED_BYTES = 25, 350
"""Platform metrics of the app that a diagnostic setting writes to the logs each minute, and the size of one."""
METRIC_SETS = 8
CHANGES_A_SECOND = 10

_GB = 10**9
"""As Azure Monitor counts."""


def measure(_: int | None = None) -> list[Table]:
    """Answers with the tables of this benchmark, which are those of the README."""
    return [month(), changes()]


def month(users: tuple[int, ...] = (1_000, 10_000, 100_000)) -> Table:
    """What a month costs companies of these sizes."""
    alerts = sum(ALERT_RULE.get(each, ALERT_RULE["PT15M"]) for each in alert_frequencies())
    rows = []
    for each in users:
        changed = round(each * CHANGED_A_DAY * DAYS)
        accounts = changed * EACH_AT
        compute, storage, logs = _compute(changed, accounts), _storage(changed, accounts), _logs(changed, accounts)
        total = compute + storage + logs + alerts
        rows.append(
            (
                f"{each:,}",
                f"{accounts:,}",
                *(f"{part:.2f}" for part in (compute, storage, logs, alerts)),
                f"{total:.0f}",
            )
        )
    return Table(
        title="A month in USD",
        columns=("users", "changes a month", "compute", "storage and queues", "logs", "alert rules", "together about"),
        rows=rows,
        note=f"Prices of {PRICES_OF}; {len(alert_frequencies())} alert rules. "
        "The same for every size: the timers, the looks into empty queues, the alert rules.",
    )


def changes(count: int = 100_000) -> Table:
    """What telemetry of so many changes at one vendor costs; half of them are new accounts."""
    spans = count // 2 * (SPANS_CREATE + SPANS_CHANGE)
    minutes = count / CHANGES_A_SECOND / 60
    parts = {
        f"spans: {count // 2:,} x {SPANS_CREATE} + {count // 2:,} x {SPANS_CHANGE}": (spans, SPAN_BYTES),
        f"metrics: {METRIC_SETS} sets a minute for {minutes / 60:.1f} hours": (
            round(METRIC_SETS * minutes),
            METRIC_BYTES,
        ),
        f"the host's own, with the events: {count:,} x {HOST_LINES}": (count * HOST_LINES, HOST_BYTES),
    }
    return Table(
        title=f"Telemetry of {count:,} changes",
        columns=("", "envelopes", "bytes each", "GB", "USD"),
        rows=[
            (
                what,
                f"{envelopes:,}",
                f"{size}",
                f"{envelopes * size / _GB:.3f}",
                f"{envelopes * size / _GB * LOGS_GB:.2f}",
            )
            for what, (envelopes, size) in parts.items()
        ],
    )


def alert_frequencies() -> list[str]:
    """How often each alert rule of infra/ looks."""
    return re.findall(
        r"^\s+frequency: '(PT\w+)'", (ROOT / "infra" / "modules" / "alerts.bicep").read_text(), re.MULTILINE
    )


def _executions(changed: int, accounts: int) -> int:
    """Timers; for each changed person a ring, and the run it causes; for each account a message."""
    return SYNCS + HOUSEKEEPINGS + 2 * changed + accounts


def _compute(changed: int, accounts: int) -> float:
    executions = _executions(changed, accounts)
    gb_seconds = MEMORY_GB * (RUN_S * executions + (HOUSEKEEPING_S - RUN_S) * HOUSEKEEPINGS)
    billed = max(0, gb_seconds - FREE_GB_SECONDS) * GB_SECOND
    return billed + max(0, executions - FREE_EXECUTIONS) * EXECUTION


def _storage(changed: int, accounts: int) -> float:
    tables = (
        SYNCS * TABLE_CALLS_SYNC
        + HOUSEKEEPINGS * TABLE_CALLS_HOUSEKEEPING
        + changed * TABLE_CALLS_RING
        + accounts * TABLE_CALLS_ACCOUNT
    )
    looks = QUEUES * LOOKS_A_MINUTE * SYNCS
    queues = HOUSEKEEPINGS * QUEUE_CALLS_HOUSEKEEPING + (changed + accounts) * QUEUE_CALLS_ACCOUNT + looks
    return tables * TABLE_CALL + queues * QUEUE_CALL


def _logs(changed: int, accounts: int) -> float:
    host = _executions(changed, accounts) * HOST_LINES * HOST_BYTES
    spans = accounts * (SPANS_CREATE + SPANS_CHANGE) / 2 * SPAN_BYTES
    # As if each change were alone in its minute: more changes share a set.
    metrics = (accounts * METRIC_SETS + HOUSEKEEPINGS * APPLICATIONS) * METRIC_BYTES
    exported = SYNCS * EXPORTED_SERIES * EXPORTED_BYTES
    return (host + spans + metrics + exported) / _GB * LOGS_GB
