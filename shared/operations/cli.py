"""The command line of the provisioner: `./dev provisioner COMMAND`.

Settings come from the environment, and from local.settings.json where the environment has none. Every command takes
--json and prints one document. Nothing here writes to a vendor.

Exit codes: 0 all is well; 1 something needs a person; 2 called wrongly; 3 configuration or settings cannot be used;
4 storage, Microsoft Graph or a file could not be read.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer

from shared.clock import Clock
from shared.composition import Services, load_services
from shared.config.applications import Application, Applications, ConfigurationError, load_applications
from shared.config.settings import SettingsError
from shared.operations import profile_commands, rendering
from shared.operations.exit_codes import ExitCode
from shared.operations.held_report import report_held
from shared.operations.local_settings import read_local_settings
from shared.provisioning.accounts import is_number
from shared.provisioning.held_deletions import HeldDeletions, ListChanged
from shared.scim.connections import ScimConnections
from shared.storage.limiter import RateLimited
from shared.storage.tables import StorageUnavailable

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
App = Annotated[str, typer.Argument(metavar="APP", help="Name of an application in provisioning.yaml.")]
_STDIN: Final = "-"

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(profile_commands.app, name="profile")
held_app = typer.Typer(help="What the deletion guard holds, and your answer to it.", no_args_is_help=True)
app.add_typer(held_app, name="held")


class CommandRefused(Exception):
    """The command cannot do what was asked; the text says what to do instead."""

    def __init__(self, message: str, *, code: ExitCode = ExitCode.USAGE) -> None:
        super().__init__(message)
        self.code = code


@app.command()
def check(as_json: Json = False) -> None:
    """Check provisioning.yaml and the settings as the app does at start: all mistakes at once."""
    from shared.operations.configuration_check import check_configuration

    with _helpful(as_json=as_json):
        report = check_configuration(_environment())
        _print(report, rendering.configuration_lines(report), as_json=as_json)
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
        chosen = services.applications.enabled if application is None else [_pick(services.applications, application)]
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

    with _helpful(as_json=as_json):
        reports = _run(ask)
        _print(reports, [rendering.connections_table(reports)], as_json=as_json)
        if not all(report.ok for report in reports):
            raise typer.Exit(ExitCode.ATTENTION)


@app.command()
def status(as_json: Json = False) -> None:
    """Show every application: its state, its accounts by state, what waits in its queues."""
    from shared.operations.application_report import report_application

    async def count(services: Services) -> list[Any]:
        await services.tables.create_missing()
        return [
            await report_application(
                each,
                states=services.states,
                tables=services.tables,
                lists=services.lists,
                queues=services.queues,
                held_deletions=services.held_deletions,
            )
            for each in services.applications.values()
        ]

    with _helpful(as_json=as_json):
        reports = _run(count)
        _print(reports, [rendering.applications_table(reports)], as_json=as_json)
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
    with _helpful(as_json=as_json):
        if (user is None) == (file is None):
            raise CommandRefused("give one of --user ID and --file JSON")
        preview = _preview_document(application, file) if file is not None else _preview_user(application, user or "")
        _print(preview, rendering.mapping_tables(preview), as_json=as_json)
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
    with _helpful(as_json=as_json):
        if evaluate is not None:
            value = _evaluate(evaluate, _read_object(user))
            _print({"value": value}, [rendering.as_json(value)], as_json=as_json)
        elif table is not None:
            _check_table(table, as_json=as_json)
        else:
            from shared.rules.expressions import describe_functions

            functions = describe_functions()
            _print([asdict(each) for each in functions], [rendering.functions_table(functions)], as_json=as_json)


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
        name = _pick(services.applications, application).name
        await services.tables.create_missing()
        source_id = (await find_source(services.rows, name, user))[1] if user else ""
        return await read_log(services.tables, name, source_id=source_id, last=last)

    with _helpful(as_json=as_json):
        lines = _run(read)
        _print(lines, [rendering.log_table(lines)] if lines else ["Nothing was logged."], as_json=as_json)


@app.command()
def account(
    application: App,
    user: Annotated[str, typer.Argument(metavar="USER", help="Directory id, or the vendor's id of the account.")],
    as_json: Json = False,
) -> None:
    """Tell one account's, or one group's, whole story: directory, row, what comes next, what was done."""
    from shared.operations.account_story import find_source, tell_account

    async def tell(services: Services) -> Any:
        chosen = _pick(services.applications, application)
        await services.tables.create_missing()
        return await tell_account(
            chosen,
            await find_source(services.rows, chosen.name, user),
            rows=services.rows,
            mirror=services.mirror,
            tables=services.tables,
            now=services.clock.now(),
        )

    with _helpful(as_json=as_json):
        story = _run(tell)
        if not story.is_known:
            raise CommandRefused(
                f"nobody, and no group, with the id {user} is known at {application}; use the directory's object id "
                "or the vendor's id, not a user name"
            )
        _print(story, rendering.story_tables(story), as_json=as_json)


def _preview_document(name: str, source: str) -> Any:
    from shared.operations.mapping_preview import UserRefused, preview_mapping, read_document
    from shared.provisioning.mapping_source import SourceMapper

    application = _pick(_applications(), name)
    try:
        facts, roles = read_document(_read_object(source))
    except UserRefused as error:
        raise CommandRefused(f"--file: {error}") from error
    return preview_mapping(application, facts, assigned_groups={}, mapper=SourceMapper(clock=Clock()), roles=roles)


def _preview_user(name: str, user_id: str) -> Any:
    from shared.operations.mapping_preview import preview_mapping, read_document

    async def preview(services: Services) -> Any:
        application = _pick(services.applications, name)
        await services.tables.create_missing()
        facts = await services.mirror.read_user_facts(user_id)
        if facts.user is not None:
            groups = await services.mirror.read_assigned_groups(name)
            return preview_mapping(application, facts, assigned_groups=groups, mapper=services.mapper)
        found, roles = read_document(await _read_from_graph(services, user_id))
        return preview_mapping(application, found, assigned_groups={}, mapper=services.mapper, roles=roles)

    return _run(preview)


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
    _print(result, [], as_json=True)
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


def _environment() -> dict[str, str]:
    return read_local_settings(os.environ)


def _applications() -> Applications:
    from shared.operations.configuration_check import configuration_path

    environment = _environment()
    return load_applications(configuration_path(environment), environment)


ListNumber = Annotated[str, typer.Argument(metavar="LIST", help="The list's number, as `held list` shows it.")]


@held_app.command("list")
def list_held(application: App, as_json: Json = False) -> None:
    """Show whose deprovisioning is held, and the number of the list."""

    async def read(services: Services) -> Any:
        chosen = _pick(services.applications, application)
        await services.tables.create_missing()
        return report_held(await services.held_deletions.read(chosen))

    with _helpful(as_json=as_json):
        report = _run(read)
        _print(report, [rendering.held_table(report)] if report.accounts else ["Nothing is held."], as_json=as_json)
        if report.accounts:
            raise typer.Exit(ExitCode.ATTENTION)


@held_app.command("approve")
def approve_held(application: App, list_number: ListNumber, as_json: Json = False) -> None:
    """Let everybody on the list lose access. Who was staged since then waits for an answer of their own."""
    _answer_held(application, list_number, lambda held: held.approve, "lose access", as_json=as_json)


@held_app.command("reject")
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
        chosen = _pick(services.applications, application)
        await services.tables.create_missing()
        await services.queues.create_missing([chosen.name])
        try:
            return await method_of(services.held_deletions)(chosen, list_number)
        except ListChanged as error:
            raise CommandRefused(
                "the rows kept changing meanwhile; what is left is still held. List it and answer again",
                code=ExitCode.UNAVAILABLE,
            ) from error

    with _helpful(as_json=as_json):
        if not is_number(list_number):
            raise CommandRefused(f"{list_number} is no list number; `provisioner held list {application}` shows it")
        count = _run(answer)
        _print({"accounts": count}, [f"{count} accounts {words}."], as_json=as_json)


def _pick(applications: Applications, name: str) -> Application:
    found = applications.get(name)
    if found is None:
        known = ", ".join(applications) or "none"
        raise CommandRefused(f"no application is called {name}; provisioning.yaml has: {known}")
    return found


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


def _run(work: Callable[[Services], Awaitable[Any]]) -> Any:
    """Compose the product, do one thing with it, close it."""

    async def run() -> Any:
        services = load_services(_environment())
        try:
            return await work(services)
        finally:
            await services.close()

    return asyncio.run(run())


@contextmanager
def _helpful(*, as_json: bool) -> Iterator[None]:
    """Turn what a person can mend into lines and an exit code; a traceback is for defects only."""
    try:
        yield
    except SettingsError as error:
        _refuse(list(error.problems), ExitCode.CONFIGURATION, as_json=as_json)
    except ConfigurationError as error:
        _refuse([str(problem) for problem in error.problems], ExitCode.CONFIGURATION, as_json=as_json)
    except StorageUnavailable as error:
        advice = "check AzureWebJobsStorage; on this machine ./dev host starts Azurite"
        _refuse([f"storage does not answer: {error}; {advice}"], ExitCode.UNAVAILABLE, as_json=as_json)
    except RateLimited as error:
        _refuse([f"{error}; try again then"], ExitCode.UNAVAILABLE, as_json=as_json)
    except CommandRefused as error:
        _refuse([str(error)], error.code, as_json=as_json)


def _refuse(problems: list[str], code: ExitCode, *, as_json: bool) -> NoReturn:
    if as_json:
        typer.echo(rendering.as_json({"problems": problems}))
    else:
        for problem in problems:
            typer.echo(problem, err=True)
    raise typer.Exit(code)


def _print(value: Any, shown: list[Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(rendering.as_json(value))
        return
    from rich.console import Console

    console = Console()
    for part in shown:
        console.print(part, markup=False, highlight=False, soft_wrap=isinstance(part, str))


if __name__ == "__main__":
    app()
