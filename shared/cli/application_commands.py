"""Commands about applications as a whole: how they stand, and what moves them."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

import typer

from shared.cli import rendering
from shared.cli.client import Api
from shared.cli.commands import App, Json, ask, helpful, path_of, post, show
from shared.cli.exit_codes import ExitCode
from shared.operations.application_report import ApplicationReport
from shared.operations.connection_report import ConnectionReport
from shared.operations.outcomes import Changed
from shared.operations.webhook_report import WebhookReport
from shared.provisioning.restarting import RestartReport, RestartScope

_WATCH_S: Final = 5.0


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(status)
    app.command()(test_connection)
    app.command()(pause)
    app.command()(resume)
    app.command()(restart)
    app.command()(test_webhook)


def status(
    application: Annotated[str | None, typer.Argument(metavar="[APP]", help="Default: all, without history.")] = None,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Follow with progress bars until nobody is in line.")] = False,
    as_json: Json = False,
) -> None:
    """Show applications: state, accounts by state, what is left and how long it takes; of one also its history."""
    with helpful(as_json=as_json):
        if watch:
            ask(lambda api: _follow(api, application, as_json=as_json))
        reports = ask(lambda api: _read(api, application))
        histories = [rendering.history_table(each) for each in reports if application is not None and each.history]
        show(reports, [rendering.applications_table(reports), *histories], as_json=as_json)
        if any(report.needs_a_person for report in reports):
            raise typer.Exit(ExitCode.ATTENTION)


async def _read(api: Api, application: str | None) -> list[ApplicationReport]:
    if application is None:
        return await api.get("/applications", list[ApplicationReport])
    return [await api.get(path_of("applications", application), ApplicationReport)]


async def _follow(api: Api, application: str | None, *, as_json: bool) -> None:
    """Show progress bars every few seconds until nobody is in line; Ctrl-C ends it, too."""
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=as_json), refresh_per_second=1) as live:
        while True:
            reports = await _read(api, application)
            live.update(rendering.progress_bars(reports))
            if not any(report.in_line for report in reports if report.enabled):
                return
            await asyncio.sleep(_WATCH_S)


def test_connection(
    application: Annotated[str | None, typer.Argument(metavar="[APP]", help="Default: every enabled one.")] = None,
    as_json: Json = False,
) -> None:
    """Ask each vendor for a user that does not exist: are address and credentials right?"""
    with helpful(as_json=as_json):
        if application is None:
            reports = post("/test-connections", list[ConnectionReport])
        else:
            reports = [post(path_of("applications", application, "test-connection"), ConnectionReport)]
        show(reports, [rendering.connections_table(reports)], as_json=as_json)
        if any(report.needs_a_person for report in reports):
            raise typer.Exit(ExitCode.ATTENTION)


def pause(
    application: App,
    reason: Annotated[str, typer.Option("--reason", help="Why; shown in the status.")] = "",
    as_json: Json = False,
) -> None:
    """Stop writing to a vendor until `resume`. Changes go on being read, and wait in their rows."""
    with helpful(as_json=as_json):
        answer = post(path_of("applications", application, "pause"), Changed, {"reason": reason})
        said = "is paused; every worker notices within five seconds" if answer.changed else "was paused already"
        show(answer, [f"{application} {said}."], as_json=as_json)


def resume(application: App, as_json: Json = False) -> None:
    """End a pause, or a quarantine, at once: what waited is queued by the next housekeeping, leavers first."""
    with helpful(as_json=as_json):
        answer = post(path_of("applications", application, "resume"), Changed)
        said = "goes on; what waited is queued within minutes" if answer.changed else "was not stopped"
        show(answer, [f"{application} {said}."], as_json=as_json)


def restart(
    application: App,
    reset: Annotated[
        list[RestartScope] | None,
        typer.Option("--reset", help="May be given several times. Default: watermark, escrows, quarantine."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Begin an application anew: look at everybody again, try failures again, end a quarantine, or send all again."""
    with helpful(as_json=as_json):
        scopes = reset or [RestartScope.WATERMARK, RestartScope.ESCROWS, RestartScope.QUARANTINE]
        body = {"reset": [scope.value for scope in scopes]}
        report = post(path_of("applications", application, "restart"), RestartReport, body)
        show(report, [*report.begun.values(), report.watch], as_json=as_json)


def test_webhook(application: App, as_json: Json = False) -> None:
    """Send a test notice to an application's webhook, and tell what the receiver said."""
    with helpful(as_json=as_json):
        report = post(path_of("applications", application, "test-webhook"), WebhookReport)
        said = "takes notices" if report.ok else f"{report.detail} {report.advice}"
        show(report, [f"{application}: {said}"], as_json=as_json)
        if not report.ok:
            raise typer.Exit(ExitCode.ATTENTION)
