"""The tables at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from tests.simulation.demo.expectations import Kind
from tests.simulation.demo.verdict import Finding


def accounts_table(findings: Sequence[Finding]) -> Table:
    """What each vendor holds against what it should hold."""
    table = plain_table(
        "Vendor", "active", "inactive", "wrong", "missing", "extra", "refused", "held", "violations", ""
    )
    for finding in findings:
        table.add_row(
            finding.title,
            f"{finding.active} of {finding.expected_active}",
            f"{finding.inactive} of {finding.expected_inactive}",
            *(bad(finding.count(kind)) for kind in (Kind.WRONG, Kind.MISSING, Kind.EXTRA)),
            f"[yellow]{finding.refused}, expected[/yellow]" if finding.refused else "0",
            f"[magenta]{finding.held}, expected[/magenta]" if finding.held else "0",
            bad(len(finding.violations)),
            "[green]agrees[/green]" if finding.agrees else "[red]differs[/red]",
        )
    return table


def groups_table(findings: Sequence[Finding]) -> Table:
    """The same for groups, where a vendor has them."""
    table = plain_table("Groups at", "groups", "memberships", "wrong", "missing", "extra", "by hand", "")
    for finding in findings:
        if (groups := finding.groups) is None:
            continue
        counts = Counter(difference.kind for difference in groups.differences)
        table.add_row(
            finding.title,
            f"{groups.agreeing} of {groups.expected}",
            f"{groups.memberships} of {groups.expected_memberships}",
            *(bad(counts[kind]) for kind in (Kind.WRONG, Kind.MISSING, Kind.EXTRA)),
            f"[yellow]{finding.by_hand}, expected[/yellow]" if finding.by_hand else "0",
            "[red]differs[/red]" if groups.differences else "[green]agrees[/green]",
        )
    return table


def spending_table(findings: Sequence[Finding]) -> Table:
    """What it cost; `group` counts requests about groups, `each` is the others per account."""
    table = plain_table(
        *("Vendor", "requests", "create", "update", "disable", "delete", "look-up", "group", "refused", "lost"),
        *("each", "peak"),
    )
    for finding in findings:
        spent = finding.spending
        about_accounts = (spent.creates, spent.updates, spent.disables, spent.deletes, spent.lookups)
        counts = (spent.total, *about_accounts, spent.groups, spent.refused, spent.unanswered)
        table.add_row(
            finding.title,
            *(str(count) for count in counts),
            f"{finding.per_account:.1f}",
            _peak(finding),
        )
    return table


def log_table(lines: Sequence[tuple[str, Mapping[str, Any]]]) -> Table:
    """The end of the provisioning log: ids, no values."""
    table = plain_table("Time", "Vendor", "Action", "Status", "Reason", "Who", "ms", "Error")
    for title, line in lines:
        status = str(line["status"])
        style = {"success": "green", "failure": "red", "warning": "yellow"}.get(status, "dim")
        table.add_row(
            str(line["at"])[11:19],
            title,
            escape(str(line["action"])),
            f"[{style}]{status}[/{style}]",
            escape(str(line["reason"])),
            str(line["source_id"])[:8],
            str(line["duration_ms"]),
            escape(str(line["error_code"])),
        )
    for column, justify in ((0, "left"), (1, "left"), (2, "left"), (3, "left"), (4, "left"), (5, "left"), (7, "left")):
        table.columns[column].justify = justify  # type: ignore[assignment]
    return table


def plain_table(*headers: str) -> Table:
    """An empty table: words at the left, figures at the right."""
    table = Table(box=SIMPLE_HEAD, header_style="bold")
    for at, header in enumerate(headers):
        justify: Literal["left", "right"] = "left" if at == 0 else "right"
        table.add_column(header, justify=justify, no_wrap=at in (0, len(headers) - 1))
    return table


def bad(count: int) -> str:
    """A figure that should be 0."""
    return f"[red]{count}[/red]" if count else "0"


def _peak(finding: Finding) -> str:
    limit = "" if finding.limit is None else f"/{finding.limit}"
    return f"{finding.peak}{limit} in {finding.window_s:.0f} s"
