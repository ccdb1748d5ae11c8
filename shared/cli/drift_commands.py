"""Commands about what people changed at a vendor, and about accounts there that nobody owns."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import typer

from shared.cli import rendering
from shared.cli.commands import App, Json, helpful, pick, run, show
from shared.cli.exit_codes import ExitCode
from shared.composition import Services
from shared.operations.drift_report import report_drift

__all__ = ["app"]

app = typer.Typer(help="What people changed at a vendor, and accounts there that nobody owns.", no_args_is_help=True)


@app.command("list")
def list_drift(application: App, as_json: Json = False) -> None:
    """Show who differs at the vendor from what was sent, and what is done about it."""

    async def read(services: Services) -> Any:
        chosen = pick(services.applications, application)
        await services.tables.create_missing()
        return await report_drift(
            chosen.name,
            chosen.drift.mode,
            rounds=services.drift_rounds,
            findings=services.drift_findings,
            rows=services.rows,
        )

    with helpful(as_json=as_json):
        report = run(read)
        show(report, rendering.drift_tables(report), as_json=as_json)
        if report.needs_a_person:
            raise typer.Exit(ExitCode.ATTENTION)


@app.command("verify")
def verify(application: App, as_json: Json = False) -> None:
    """Begin a round of verification with the next housekeeping, also where `drift.mode` is off (then it reports)."""

    async def request(services: Services) -> None:
        chosen = pick(services.applications, application)
        await services.tables.create_missing()
        await services.drift_rounds.request(chosen.name)

    with helpful(as_json=as_json):
        run(request)
        text = f"{application} is verified from the next housekeeping on; see `provisioner drift list {application}`."
        show({"requested": True}, [text], as_json=as_json)


@app.command("unowned")
def list_unowned(application: App, as_json: Json = False) -> None:
    """Show the accounts at the vendor that the last round found without an owner here. They are never touched."""

    async def read(services: Services) -> list[Any]:
        chosen = pick(services.applications, application)
        await services.tables.create_missing()
        pages = [page async for page in services.drift_findings.list_unowned(chosen.name)]
        return [
            {name: value for name, value in asdict(each).items() if name not in ("values", "round")}
            for page in pages
            for each in page
        ]

    with helpful(as_json=as_json):
        accounts = run(read)
        shown = [rendering.unowned_table(accounts)] if accounts else ["No account without an owner was found."]
        show(accounts, shown, as_json=as_json)
