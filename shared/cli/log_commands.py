"""Commands about what was done, and by whom: the provisioning log and the audit trail."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from shared.cli import rendering
from shared.cli.client import Api
from shared.cli.commands import App, Json, ask, helpful, path_of, show
from shared.cli.exit_codes import ExitCode
from shared.cli.refusals import CommandRefused
from shared.operations.account_story import AccountStory
from shared.operations.log_lines import LogLine
from shared.provisioning.audit_trail import AuditRecord

Last = Annotated[int, typer.Option("--last", min=1, max=10_000, help="How many, newest first.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(log)
    app.command()(export)
    app.command()(audit)


def log(  # noqa: PLR0913 - the options of a search
    application: App,
    *,
    user: Annotated[str, typer.Option("--user", metavar="ID", help="Directory id, or the vendor's id.")] = "",
    action: Annotated[str, typer.Option(help="create, update, disable, delete, other.")] = "",
    status: Annotated[str, typer.Option(help="success, failure, skipped, warning.")] = "",
    code: Annotated[str, typer.Option(help="An error code.")] = "",
    since: Annotated[str, typer.Option(metavar="INSTANT", help="ISO 8601, UTC.")] = "",
    until: Annotated[str, typer.Option(metavar="INSTANT", help="ISO 8601, UTC.")] = "",
    last: Last = 20,
    as_json: Json = False,
) -> None:
    """Show the provisioning log of an application, or of one person."""
    filters = {"action": action, "status": status, "code": code, "since": since, "until": until}

    async def read(api: Api) -> list[LogLine]:
        source_id = ""
        if user:
            source_id = (await api.get(path_of("applications", application, "accounts", user), AccountStory)).source_id
        return await api.collect("/log", LogLine, most=last, application=application, source_id=source_id, **filters)

    with helpful(as_json=as_json):
        lines = ask(read)
        show(lines, [rendering.log_table(lines)] if lines else ["Nothing was logged."], as_json=as_json)


def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write: NAME.zip for CSV, NAME.json for JSON.")],
    application: Annotated[str, typer.Option("--application", metavar="APP", help="Default: all enabled ones.")] = "",
    since: Annotated[str, typer.Option(metavar="INSTANT", help="ISO 8601, UTC.")] = "",
    until: Annotated[str, typer.Option(metavar="INSTANT", help="ISO 8601, UTC.")] = "",
    as_json: Json = False,
) -> None:
    """Write the provisioning log to a file: three joined CSV files in a zip, or JSON.

    What one file does not hold goes on in NAME-2, NAME-3 and so on.
    """
    query = {"application": application, "since": since, "until": until}

    async def save(api: Api) -> list[dict[str, Any]]:
        written: list[dict[str, Any]] = []
        form = "json" if file.suffix == ".json" else "csv"
        async for content in api.download("/log/export", format=form, **query):
            part = file.with_stem(f"{file.stem}-{len(written) + 1}") if written else file
            _write(part, content)
            written.append({"file": str(part), "bytes": len(content)})
        return written

    with helpful(as_json=as_json):
        files = ask(save)
        show({"files": files}, [f"{each['file']}: {each['bytes']} bytes" for each in files], as_json=as_json)


def _write(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as error:
        raise CommandRefused(
            f"{file}: cannot be written ({error.strerror}); name a file in a folder that exists and is yours",
            code=ExitCode.UNAVAILABLE,
        ) from error


def audit(last: Last = 50, as_json: Json = False) -> None:
    """Show who did what, when and from where: approvals, retries, pauses, configurations."""
    with helpful(as_json=as_json):
        records = ask(lambda api: api.collect("/audit", AuditRecord, most=last))
        show(records, [rendering.audit_table(records)] if records else ["Nobody did anything yet."], as_json=as_json)
