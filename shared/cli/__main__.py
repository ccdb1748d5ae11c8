"""The command line of the provisioner: `./dev provisioner COMMAND`.

Settings come from the environment, and from local.settings.json where the environment has none. Every command takes
--json and prints one document. Nothing here writes to a vendor.

Exit codes: 0 all is well; 1 something needs a person; 2 called wrongly; 3 configuration or settings cannot be used;
4 storage, Microsoft Graph or a file could not be read.
"""

from __future__ import annotations

import json
import random
import sys
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from shared.cli import application_commands, drift_commands, held_commands, profile_commands, rendering
from shared.cli.commands import App, CommandRefused, Json, environment, helpful, pick, run, show
from shared.cli.exit_codes import ExitCode
from shared.clock import Clock
from shared.composition import Services
from shared.config.applications import Applications, load_applications
from shared.scim.connections import ScimConnections
from shared.storage.tables import StorageUnavailable

_STDIN: Final = "-"

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(profile_commands.app, name="profile")
app.add_typer(held_commands.app, name="held")
app.add_typer(drift_commands.app, name="drift")
application_commands.register(app)


@app.command()
def check(as_json: Json = False) -> None:
    """Check provisioning.yaml and the settings as the app does at start: all mistakes at once."""
    from shared.operations.configuration_check import check_configuration

    with helpful(as_json=as_json):
        report = check_configuration(environment())
        show(report, rendering.configuration_lines(report), as_json=as_json)
        if report.problems:
            raise typer.Exit(ExitCode.CONFIGURATION)
        if not report.is_good:
            raise typer.Exit(ExitCode.ATTENTION)


@app.command()
def test_connection(
    application: Annotated[str | None, typer.Argument(metavar="[APP]", help="Default: every enabled one.")] = None,
    as_json: Json = False,
) -> None:
    """Ask each vendor for a user that does not exist: are address and credentials right?"""
    from shared.operations.connection_report import check_connection

    async def ask(services: Services) -> list[Any]:
        chosen = services.applications.enabled if application is None else [pick(services.applications, application)]
        connections = await _open_connections(services)
        try:
            return [
                await check_connection(
                    each,
                    connections.client_of(each) if each.enabled else None,
                    environment=services.settings.environment,
                )
                for each in chosen
            ]
        finally:
            await connections.aclose()

    with helpful(as_json=as_json):
        reports = run(ask)
        show(reports, [rendering.connections_table(reports)], as_json=as_json)
        if not all(report.ok for report in reports):
            raise typer.Exit(ExitCode.ATTENTION)


@app.command()
def status(
    application: Annotated[str | None, typer.Argument(metavar="[APP]", help="Default: all, without history.")] = None,
    as_json: Json = False,
) -> None:
    """Show applications: state, accounts by state, what waits in the queues; of one also its history."""

    async def count(services: Services) -> list[Any]:
        await services.tables.create_missing()
        reports = services.application_reports
        if application is not None:
            return [await reports.report(pick(services.applications, application))]
        return await reports.report_all()

    with helpful(as_json=as_json):
        reports = run(count)
        histories = [rendering.history_table(each) for each in reports if application is not None and each.history]
        show(reports, [rendering.applications_table(reports), *histories], as_json=as_json)
        if any(report.needs_a_person for report in reports):
            raise typer.Exit(ExitCode.ATTENTION)


@app.command("map")
def map_user(
    application: App,
    user: Annotated[str | None, typer.Option("--user", metavar="ID", help="Directory id of a user.")] = None,
    file: Annotated[
        str | None, typer.Option("--file", metavar="JSON", help="A user as Graph shows one, or - for standard input.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what a user maps to at an application. The vendor is not asked and nothing is changed."""
    with helpful(as_json=as_json):
        if (user is None) == (file is None):
            raise CommandRefused("give one of --user ID and --file JSON")
        preview = _preview_document(application, file) if file is not None else _preview_user(application, user or "")
        show(preview, rendering.mapping_tables(preview), as_json=as_json)
        if preview.refusal:
            raise typer.Exit(ExitCode.ATTENTION)


@app.command()
def expressions(
    table: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A table of expressions and what they must answer.")
    ] = None,
    evaluate: Annotated[str | None, typer.Option("--evaluate", metavar="EXPRESSION", help="One to try.")] = None,
    user: Annotated[
        str, typer.Option("--user", metavar="JSON", help="A user's attributes: JSON text, a file, or -.")
    ] = "{}",
    as_json: Json = False,
) -> None:
    """List the functions of mapping expressions, evaluate an expression, or check a table of them."""
    with helpful(as_json=as_json):
        if evaluate is not None:
            value = _evaluate(evaluate, _read_object(user))
            show({"value": value}, [rendering.as_json(value)], as_json=as_json)
        elif table is not None:
            _check_table(table, as_json=as_json)
        else:
            from shared.rules.expressions import describe_functions

            functions = describe_functions()
            show([asdict(each) for each in functions], [rendering.functions_table(functions)], as_json=as_json)


@app.command()
def log(
    application: App,
    user: Annotated[str, typer.Option("--user", metavar="ID", help="Directory id, or the vendor's id.")] = "",
    last: Annotated[int, typer.Option("--last", min=1, max=10_000, help="How many, newest first.")] = 20,
    as_json: Json = False,
) -> None:
    """Show the provisioning log of an application, or of one person."""
    from shared.operations.account_story import find_source
    from shared.operations.log_lines import read_log

    async def read(services: Services) -> list[Any]:
        name = pick(services.applications, application).name
        await services.tables.create_missing()
        source_id = (await find_source(services.rows, name, user))[1] if user else ""
        return await read_log(services.tables, name, source_id=source_id, last=last)

    with helpful(as_json=as_json):
        lines = run(read)
        show(lines, [rendering.log_table(lines)] if lines else ["Nothing was logged."], as_json=as_json)


@app.command()
def account(
    application: App,
    user: Annotated[str, typer.Argument(metavar="USER", help="Directory id, or the vendor's id of the account.")],
    as_json: Json = False,
) -> None:
    """Tell one account's, or one group's, whole story: directory, row, what comes next, what was done."""
    from shared.operations.account_story import find_source, tell_account

    async def tell(services: Services) -> Any:
        chosen = pick(services.applications, application)
        await services.tables.create_missing()
        return await tell_account(
            chosen,
            await find_source(services.rows, chosen.name, user),
            rows=services.rows,
            mirror=services.mirror,
            tables=services.tables,
            now=services.clock.now(),
        )

    with helpful(as_json=as_json):
        story = run(tell)
        if not story.is_known:
            raise CommandRefused(
                f"nobody, and no group, with the id {user} is known at {application}; use the directory's object id "
                "or the vendor's id, not a user name"
            )
        show(story, rendering.story_tables(story), as_json=as_json)


def _preview_document(name: str, source: str) -> Any:
    from shared.operations.mapping_preview import UserRefused, preview_mapping, read_document
    from shared.provisioning.mapping_source import SourceMapper

    application = pick(_applications(), name)
    try:
        facts, roles = read_document(_read_object(source))
    except UserRefused as error:
        raise CommandRefused(f"--file: {error}") from error
    return preview_mapping(application, facts, assigned_groups={}, mapper=SourceMapper(clock=Clock()), roles=roles)


def _preview_user(name: str, user_id: str) -> Any:
    from shared.operations.mapping_preview import preview_mapping, read_document

    async def preview(services: Services) -> Any:
        application = pick(services.applications, name)
        await services.tables.create_missing()
        facts = await services.mirror.read_user_facts(user_id)
        if facts.user is not None:
            groups = await services.mirror.read_assigned_groups(name)
            return preview_mapping(application, facts, assigned_groups=groups, mapper=services.mapper)
        found, roles = read_document(await _read_from_graph(services, user_id))
        return preview_mapping(application, found, assigned_groups={}, mapper=services.mapper, roles=roles)

    return run(preview)


async def _read_from_graph(services: Services, user_id: str) -> Mapping[str, Any]:
    """A user whom the mirror does not hold yet, straight from Graph; without roles, those come with the sync."""
    from urllib.parse import quote

    from shared.directory.graph import GraphError, GraphNotFound
    from shared.rules.source_user import select_properties

    properties = ",".join(select_properties(services.applications.values()))
    try:
        return await services.graph.read(f"/users/{quote(user_id, safe='')}?$select={properties}")
    except GraphNotFound as error:
        raise CommandRefused(f"neither the mirror nor Microsoft Graph knows a user {user_id}") from error
    except GraphError as error:
        raise CommandRefused(str(error), code=ExitCode.UNAVAILABLE) from error


def _evaluate(expression: str, user: Any) -> Any:
    from shared.rules.expressions import (
        DROP,
        EvaluationContext,
        ExpressionError,
        ExpressionFailure,
        Redacted,
        UniqueValue,
        compile_expression,
    )

    if not isinstance(user, dict):
        raise CommandRefused("--user: a JSON object of attributes was expected")
    context = EvaluationContext(
        now=datetime.now(UTC), random=random.SystemRandom(), new_guid=lambda: str(uuid.uuid4()), regex_timeout_s=1.0
    )
    try:
        value = compile_expression(expression).evaluate(user, context=context)
    except ExpressionError as error:
        raise CommandRefused(f"the expression is refused: {error}") from error
    except ExpressionFailure as error:
        raise CommandRefused(f"the expression fails for this user: {error}", code=ExitCode.ATTENTION) from error
    if isinstance(value, UniqueValue):
        return list(value.candidates)
    return "(nothing flows)" if value is DROP else value.value if isinstance(value, Redacted) else value


def _check_table(path: Path, *, as_json: bool) -> None:
    from shared.operations.expression_table import check_table, expressions_command

    if not path.is_file():
        raise CommandRefused(f"{path}: no such file; to try one expression use --evaluate")
    if not as_json:
        expressions_command(path)
        return
    result = check_table(path)
    show(result, [], as_json=True)
    if not result.agrees:
        raise typer.Exit(ExitCode.ATTENTION)


async def _open_connections(services: Services) -> ScimConnections:
    """The vendors' clients. A person's request counts against the vendor's rate like any other.

    Where storage does not answer nobody else can send either, so the request may go: this way a new connection is
    tested before anything else runs.
    """
    try:
        await services.tables.create_missing()
        has_storage = True
    except StorageUnavailable:
        has_storage = False

    return ScimConnections(
        secret=services.settings.secret,
        gate_of=services.gate_of if has_storage else None,
        timeout_s=services.settings.vendor_timeout_s,
    )


def _applications() -> Applications:
    from shared.operations.configuration_check import configuration_path

    given = environment()
    return load_applications(configuration_path(given), given)


def _read_object(source: str) -> Any:
    """JSON written out, in a file, or on standard input."""
    try:
        if source.lstrip().startswith(("{", "[")):
            return json.loads(source)
        text = sys.stdin.read() if source == _STDIN else Path(source).read_text(encoding="utf-8-sig")
        return json.loads(text)
    except OSError as error:
        raise CommandRefused(f"{source}: cannot be read ({error.strerror})", code=ExitCode.UNAVAILABLE) from error
    except (ValueError, RecursionError) as error:
        where = "the text" if source == _STDIN or source.lstrip()[:1] in ("{", "[") else source
        raise CommandRefused(f"{where} is not JSON ({type(error).__name__}); a user in braces was expected") from error


if __name__ == "__main__":
    app()
