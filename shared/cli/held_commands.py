"""Commands about what the deletion guard holds."""

from __future__ import annotations

from typing import Annotated

import typer

from shared.cli import rendering
from shared.cli.commands import App, Json, get, helpful, path_of, post, show
from shared.cli.exit_codes import ExitCode
from shared.operations.held_report import HeldReport
from shared.operations.outcomes import Counted

app = typer.Typer(help="What the deletion guard holds, and your answer to it.", no_args_is_help=True)

ListNumber = Annotated[str, typer.Argument(metavar="LIST", help="The list's number, as `held list` shows it.")]


@app.command("list")
def list_held(application: App, as_json: Json = False) -> None:
    """Show whose deprovisioning is held, and the number of the list."""
    with helpful(as_json=as_json):
        report = get(path_of("applications", application, "held"), HeldReport)
        show(report, [rendering.held_table(report)] if report.accounts else ["Nothing is held."], as_json=as_json)
        if report.accounts:
            raise typer.Exit(ExitCode.ATTENTION)


@app.command("approve")
def approve_held(application: App, list_number: ListNumber, as_json: Json = False) -> None:
    """Let everybody on the list lose access. Who was staged since then waits for an answer of their own."""
    _answer_held(application, list_number, "approve", "lose access", as_json=as_json)


@app.command("reject")
def reject_held(application: App, list_number: ListNumber, as_json: Json = False) -> None:
    """Let everybody on the list keep access until the directory changes again for them."""
    _answer_held(application, list_number, "reject", "keep access", as_json=as_json)


def _answer_held(application: str, list_number: str, verb: str, words: str, *, as_json: bool) -> None:
    with helpful(as_json=as_json):
        answer = post(path_of("applications", application, "held", list_number, verb), Counted)
        show(answer, [f"{answer.accounts} accounts {words}."], as_json=as_json)
