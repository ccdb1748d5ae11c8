"""Commands that say what would happen, and the one that makes it happen now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from shared.cli import rendering
from shared.cli.client import Api
from shared.cli.commands import Account, App, Json, ask, get, helpful, path_of, post, show
from shared.cli.exit_codes import ExitCode
from shared.cli.refusals import CommandRefused
from shared.operations.previewing.report import AccountPreview, PreviewReport
from shared.provisioning.guard import Verdict
from shared.provisioning.on_demand_report import OnDemandOutcome, OnDemandReport

_GOOD = frozenset({OnDemandOutcome.PROVISIONED, OnDemandOutcome.UNCHANGED, OnDemandOutcome.SKIPPED})


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(preview)
    app.command()(provision)


def preview(
    application: Annotated[str | None, typer.Argument(metavar="[APP]", help="Default: every enabled one.")] = None,
    *,
    user: Annotated[str, typer.Option("--user", metavar="ID", help="Only this person or group.")] = "",
    configuration: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Another provisioning.yaml than the one in force.")
    ] = None,
    with_skipped: Annotated[bool, typer.Option("--all", help="List those, too, to whom nothing happens.")] = False,
    as_json: Json = False,
) -> None:
    """Show what would happen: who is created, changed, disabled, deleted, how long it takes, what the guard says.

    Nothing is written and no vendor is asked. Exit code 1: the deletion guard would hold it.
    """
    with helpful(as_json=as_json):
        if user:
            if application is None or configuration is not None:
                raise CommandRefused("--user needs an application, and works with the configuration in force")
            one = get(path_of("applications", application, "accounts", user, "preview"), AccountPreview)
            show(one, [rendering.account_previews_table([one])], as_json=as_json)
            return
        question = {"application": application, "with_skipped": with_skipped, **_read_configuration(configuration)}
        pages = ask(lambda api: _read_pages(api, question))
        accounts = [account for page in pages for account in page.accounts]
        shown = rendering.preview_tables(pages[-1], accounts, unlisted=sum(page.unlisted for page in pages))
        show({"summary": pages[-1], "accounts": accounts}, shown, as_json=as_json)
        guards = [each.guard for each in pages[-1].applications if each.guard is not None]
        if any(guard.verdict is Verdict.HOLD for guard in guards):
            raise typer.Exit(ExitCode.ATTENTION)


def provision(
    application: App,
    user: Account,
    refresh: Annotated[bool, typer.Option("--refresh", help="Read the directory's newest changes first.")] = False,
    as_json: Json = False,
) -> None:
    """Provision one person, or one group of any size, now, and tell the six steps and what was sent."""
    with helpful(as_json=as_json):
        path = path_of("applications", application, "accounts", user, "provision")
        report = post(path, OnDemandReport, {"refresh": refresh})
        show(report, rendering.on_demand_tables(report), as_json=as_json)
        if report.outcome not in _GOOD:
            raise typer.Exit(ExitCode.ATTENTION)


async def _read_pages(api: Api, question: Mapping[str, Any]) -> list[PreviewReport]:
    pages: list[PreviewReport] = []
    cursor: str | None = None
    while not pages or cursor is not None:
        page = await api.post("/preview", PreviewReport, {**question, "cursor": cursor})
        pages.append(page)
        cursor = page.next
    return pages


def _read_configuration(path: Path | None) -> dict[str, Any]:
    """The file's text, and the texts of the profiles that lie beside it: the service opens no file for us."""
    if path is None:
        return {}
    try:
        text = path.read_text(encoding="utf-8-sig")
        beside = [each for each in sorted(path.parent.glob("*.yaml")) if f"./{each.name}" in text]
        profiles = {f"./{each.name}": each.read_text(encoding="utf-8-sig") for each in beside}
    except (OSError, UnicodeDecodeError) as error:
        raise CommandRefused(f"{path}: cannot be read ({type(error).__name__})", code=ExitCode.UNAVAILABLE) from error
    return {"configuration": text, "profiles": profiles}
