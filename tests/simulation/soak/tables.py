"""The tables at the end of a soak."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.table import Table

from tests.simulation.demo.tables import bad, plain_table
from tests.simulation.soak.verdict import Effort, Outcome


def counts_table(title: str, counted: Mapping[str, int]) -> Table:
    """One kind a line, the most frequent first, with the sum."""
    table = plain_table(title, "times")
    for name, count in Counter(counted).most_common():
        table.add_row(name, str(count))
    table.add_row("[bold]together[/bold]", f"[bold]{sum(counted.values())}[/bold]")
    return table


def faults_table(by_vendor: Mapping[str, Mapping[str, int]]) -> Table:
    """Faults that requests met: one kind a line, one vendor a column."""
    table = plain_table("Faults that requests met at", *by_vendor, "together")
    for name in sorted({name for met in by_vendor.values() for name in met}):
        counts = [met.get(name, 0) for met in by_vendor.values()]
        table.add_row(name, *map(str, counts), str(sum(counts)))
    sums = [sum(met.values()) for met in by_vendor.values()]
    table.add_row("[bold]together[/bold]", *map(str, sums), f"[bold]{sum(sums)}[/bold]")
    return table


def effort_table(outcomes: Sequence[Outcome], effort: Effort) -> Table:
    """How often the product had to try again, or gave up for now."""
    table = plain_table("Vendor", "requests", "retries", "escrows", "quarantines")
    for outcome in outcomes:
        name = outcome.finding.application
        table.add_row(
            outcome.finding.title,
            str(outcome.finding.spending.total),
            str(effort.retries.get(name, 0)),
            str(sum(effort.escrows.get(name, {}).values())),
            str(effort.quarantines.get(name, 0)),
        )
    return table


def toll_table(outcomes: Sequence[Outcome]) -> Table:
    """What may not have happened; the seconds are those with more requests than the vendor allows."""
    table = plain_table("Accounts at", "lost", "doubled", "leavers active", "own touched", "over limit", "")
    for outcome in outcomes:
        toll = outcome.toll
        table.add_row(
            outcome.finding.title,
            *map(bad, (toll.lost, toll.doubled, toll.still_active, toll.touched, toll.over_limit_s)),
            "[green]nothing[/green]" if toll.is_nothing else "[red]broken[/red]",
        )
    return table
