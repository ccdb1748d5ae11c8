"""Commands about what the deletion guard holds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from shared.cli import rendering
from shared.cli.commands import App, CommandRefused, Json, helpful, pick, run, show
from shared.cli.exit_codes import ExitCode
from shared.composition import Services
from shared.config.applications import Application
from shared.operations.held_report import report_held
from shared.provisioning.accounts import is_number
from shared.provisioning.held_deletions import HeldDeletions, ListChanged

__all__ = ["app"]

app = typer.Typer(help="What the deletion guard holds, and your answer to it.", no_args_is_help=True)

ListNumber = Annotated[str, typer.Argument(metavar="LIST", help="The list's number, as `held list` shows it.")]


@app.command("list")
def list_held(application: App, as_json: Json = False) -> None:
    """Show whose deprovisioning is held, and the number of the list."""

    async def read(services: Services) -> Any:
        chosen = pick(services.applications, application)
        await services.tables.create_missing()
        return report_held(await services.held_deletions.read(chosen))

    with helpful(as_json=as_json):
        report = run(read)
        show(report, [rendering.held_table(report)] if report.accounts else ["Nothing is held."], as_json=as_json)
        if report.accounts:
            raise typer.Exit(ExitCode.ATTENTION)


@app.command("approve")
def approve_held(application: App, list_number: ListNumber, as_json: Json = False) -> None:
    """Let everybody on the list lose access. Who was staged since then waits for an answer of their own."""
    _answer_held(application, list_number, lambda held: held.approve, "lose access", as_json=as_json)


@app.command("reject")
def reject_held(application: App, list_number: ListNumber, as_json: Json = False) -> None:
    """Let everybody on the list keep access until the directory changes again for them."""
    _answer_held(application, list_number, lambda held: held.reject, "keep access", as_json=as_json)


def _answer_held(
    application: str,
    list_number: str,
    method_of: Callable[[HeldDeletions], Callable[[Application, str], Awaitable[int]]],
    words: str,
    *,
    as_json: bool,
) -> None:
    async def answer(services: Services) -> int:
        chosen = pick(services.applications, application)
        await services.tables.create_missing()
        await services.queues.create_missing([chosen.name])
        try:
            return await method_of(services.held_deletions)(chosen, list_number)
        except ListChanged as error:
            raise CommandRefused(
                "the rows kept changing meanwhile; what is left is still held. List it and answer again",
                code=ExitCode.UNAVAILABLE,
            ) from error

    with helpful(as_json=as_json):
        if not is_number(list_number):
            raise CommandRefused(f"{list_number} is no list number; `provisioner held list {application}` shows it")
        count = run(answer)
        show({"accounts": count}, [f"{count} accounts {words}."], as_json=as_json)
