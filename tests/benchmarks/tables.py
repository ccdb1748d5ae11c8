"""Figures as tables: on the screen with Rich, in Markdown for the README."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table as ScreenTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The figures of one benchmark. Cells are text already: the benchmark knows which digits mean something."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    """What a reader must know to compare: one sentence or two."""


def show(table: Table, console: Console) -> None:
    """Prints a table on the screen."""
    screen = ScreenTable(title=table.title, caption=table.note or None, title_justify="left", caption_justify="left")
    for at, column in enumerate(table.columns):
        screen.add_column(column, justify="right" if at else "left")
    for row in table.rows:
        # Expressions hold brackets, which Rich would take for markup.
        screen.add_row(*map(escape, row))
    console.print(screen)


def as_markdown(table: Table) -> str:
    """Answers with the table as Markdown."""
    lines = [f"**{table.title}**", "", _line(table.columns)]
    lines.append("|" + "|".join("---" if not at else "---:" for at in range(len(table.columns))) + "|")
    lines += [_line(row) for row in table.rows]
    return "\n".join(lines + (["", table.note] if table.note else [])) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def number(value: float) -> str:
    """Writes a figure with the digits that mean something."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"
