"""Commands about vendor profiles."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from shared.operations.tutorials import ImportReport

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Vendor profiles.")


@app.callback()
def _profiles() -> None:
    """Vendor profiles."""


@app.command("import")
def import_command(
    file: Annotated[Path, typer.Argument(help="Markdown file of an Entra gallery provisioning tutorial.")],
    *,
    name: Annotated[str | None, typer.Option(help="Name of the profile. Default: the application's.")] = None,
    output: Annotated[Path, typer.Option(help="Folder for the profile and its report.")] = Path("profiles"),
    replace: Annotated[bool, typer.Option("--replace", help="Write over a profile that is there.")] = False,
) -> None:
    """Make a vendor profile of a provisioning tutorial, and say what was repaired, refused, found and assumed."""
    from rich.console import Console

    from shared.operations.profile_import import application_section, import_tutorial_file
    from shared.operations.tutorials import TutorialRefused

    console = Console()
    try:
        written = import_tutorial_file(
            file, name=name, folder=output, read_on=datetime.now(UTC).date().isoformat(), replace=replace
        )
    except TutorialRefused as refusal:
        console.print(f"Refused: {refusal.reason}.", markup=False, highlight=False)
        console.print(f"{refusal.remedy}.", markup=False, highlight=False)
        raise typer.Exit(1) from refusal
    _print_report(console, written.imported.report)
    console.print(f"Profile: {written.profile_path}\nReport:  {written.report_path}", markup=False, highlight=False)
    console.print("\nPaste this below applications: in provisioning.yaml:\n", markup=False)
    section = application_section(written.imported, profile_reference=written.profile_path.as_posix())
    # Not through the console, which would break long lines.
    typer.echo("".join(f"  {line}\n" for line in section.splitlines()))


def _print_report(console: Console, report: ImportReport) -> None:
    from rich.table import Table
    from rich.text import Text

    facts = Table("About", "Found", "Line", title=f"{report.title}: facts", title_justify="left")
    for fact in report.facts:
        facts.add_row(fact.kind.value, Text(fact.value), Text("assumed" if fact.assumed else str(fact.line)))
    console.print(facts)
    repaired = Table("Line", "Printed", "Read as", "Why", title="Rows repaired", title_justify="left")
    for repair in report.repaired:
        cells = (str(repair.line), repair.printed, repair.path or "(left out)", repair.reason)
        repaired.add_row(*(Text(cell, overflow="fold") for cell in cells))
    refused = Table("Line", "Printed", "Why", title="Rows refused", title_justify="left")
    for refusal in report.refused:
        refused.add_row(*(Text(cell, overflow="fold") for cell in (str(refusal.line), refusal.printed, refusal.reason)))
    for table, none in ((repaired, "No row was repaired."), (refused, "No row was refused.")):
        console.print(table if table.row_count else none)
