"""Commands that move an application, show what failed, or try it again: pause, resume, failures, retry."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from shared.cli import rendering
from shared.cli.commands import App, CommandRefused, Json, helpful, pick, run, show
from shared.cli.exit_codes import ExitCode
from shared.composition import Services
from shared.operations.account_story import find_source
from shared.operations.failure_report import list_failures

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(pause)
    app.command()(resume)
    app.command()(retry)
    app.command()(failures)


def pause(
    application: App,
    reason: Annotated[str, typer.Option("--reason", help="Why; shown in the status.")] = "",
    as_json: Json = False,
) -> None:
    """Stop writing to a vendor until `resume`. Changes go on being read, and wait in their rows."""

    async def stop(services: Services) -> bool:
        chosen = pick(services.applications, application)
        await services.tables.create_missing()
        return await services.states.pause(chosen.name, reason)

    with helpful(as_json=as_json):
        changed = run(stop)
        said = "is paused; every worker notices within five seconds" if changed else "was paused already"
        show({"paused": True, "changed": changed}, [f"{application} {said}."], as_json=as_json)


def resume(application: App, as_json: Json = False) -> None:
    """End a pause, or a quarantine, at once: what waited is queued by the next housekeeping, leavers first."""

    async def start(services: Services) -> bool:
        chosen = pick(services.applications, application)
        await services.tables.create_missing()
        return await services.states.resume(chosen.name)

    with helpful(as_json=as_json):
        changed = run(start)
        said = "goes on; what waited is queued within minutes" if changed else "was not stopped"
        show({"resumed": changed}, [f"{application} {said}."], as_json=as_json)


def retry(
    application: App,
    user: Annotated[str, typer.Argument(metavar="[USER]", help="Directory id, or the vendor's id.")] = "",
    *,
    everybody: Annotated[bool, typer.Option("--all", help="Everybody whose last attempt failed.")] = False,
    code: Annotated[str, typer.Option("--code", help="Only those with this error code.")] = "",
    as_json: Json = False,
) -> None:
    """Try accounts again that are in escrow, or were poisoned: one, those with an error code, or all."""

    async def again(services: Services) -> int:
        chosen = pick(services.applications, application)
        await services.tables.create_missing()
        if not user:
            return await services.retries.retry_all(chosen, code=code)
        await services.queues.create_missing([chosen.name])
        kind, source_id = await find_source(services.rows, chosen.name, user)
        return int(await services.retries.retry_account(chosen, kind, source_id))

    with helpful(as_json=as_json):
        if bool(user) == (everybody or bool(code)):
            raise CommandRefused("name one account, or give --all or --code CODE")
        count = run(again)
        if user and not count:
            raise CommandRefused(
                f"{user} does not wait for another attempt; `provisioner account {application} {user}` says why",
                code=ExitCode.ATTENTION,
            )
        show({"accounts": count}, [f"{count} accounts are tried again."], as_json=as_json)


def failures(
    application: App,
    code: Annotated[str, typer.Option("--code", help="Only those with this error code.")] = "",
    as_json: Json = False,
) -> None:
    """Show every account whose last attempt failed: code, text, since when, how often, when next, what to do."""

    async def read(services: Services) -> list[Any]:
        chosen = pick(services.applications, application)
        await services.tables.create_missing()
        return await list_failures(services.tables, chosen.name, code=code)

    with helpful(as_json=as_json):
        found = run(read)
        show(found, [rendering.failures_table(found)] if found else ["Nothing has failed."], as_json=as_json)
        if found:
            raise typer.Exit(ExitCode.ATTENTION)
