"""Commands about what people changed at a vendor, and about accounts there that nobody owns."""

from __future__ import annotations

from dataclasses import replace

import typer

from shared.cli import rendering
from shared.cli.client import Api
from shared.cli.commands import App, Json, ask, collect, helpful, path_of, post, show
from shared.cli.exit_codes import ExitCode
from shared.operations.drift_report import DriftReport, UnownedLine
from shared.operations.outcomes import Requested

_PAGE = 500

app = typer.Typer(help="What people changed at a vendor, and accounts there that nobody owns.", no_args_is_help=True)


@app.command("list")
def list_drift(application: App, as_json: Json = False) -> None:
    """Show who differs at the vendor from what was sent, and what is done about it."""
    with helpful(as_json=as_json):
        report = ask(lambda api: _read_whole(api, application))
        show(report, rendering.drift_tables(report), as_json=as_json)
        if report.needs_a_person:
            raise typer.Exit(ExitCode.ATTENTION)


async def _read_whole(api: Api, application: str) -> DriftReport:
    path = path_of("applications", application, "drift")
    report = await api.get(path, DriftReport, limit=_PAGE)
    while report.next is not None:
        more = await api.get(path, DriftReport, limit=_PAGE, cursor=report.next)
        report = replace(report, accounts=(*report.accounts, *more.accounts), next=more.next)
    return report


@app.command("verify")
def verify(application: App, as_json: Json = False) -> None:
    """Begin a round of verification with the next housekeeping, also where `drift.mode` is off (then it reports)."""
    with helpful(as_json=as_json):
        answer = post(path_of("applications", application, "drift", "verify"), Requested)
        text = f"{application} is verified from the next housekeeping on; see `provisioner drift list {application}`."
        show(answer, [text], as_json=as_json)


@app.command("unowned")
def list_unowned(application: App, as_json: Json = False) -> None:
    """Show the accounts at the vendor that the last round found without an owner here. They are never touched."""
    with helpful(as_json=as_json):
        accounts = collect(path_of("applications", application, "unowned"), UnownedLine)
        shown = [rendering.unowned_table(accounts)] if accounts else ["No account without an owner was found."]
        show(accounts, shown, as_json=as_json)
