"""Commands about the configuration itself: mistakes in it, and the language of its expressions."""

from __future__ import annotations

import random
import uuid
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from shared.cli import rendering
from shared.cli.account_commands import read_json
from shared.cli.commands import Json, environment, helpful, show
from shared.cli.exit_codes import ExitCode
from shared.cli.refusals import CommandRefused


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(check)
    app.command()(expressions)
    app.command()(openapi)


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
            value = _evaluate(evaluate, read_json(user))
            show({"value": value}, [rendering.as_json(value)], as_json=as_json)
        elif table is not None:
            _check_table(table, as_json=as_json)
        else:
            from shared.rules.expressions import describe_functions

            functions = describe_functions()
            show([asdict(each) for each in functions], [rendering.functions_table(functions)], as_json=as_json)


def openapi() -> None:
    """Print the description of the HTTP API, as it is in shared/api/openapi.json."""
    from shared.api.application import build_api, describe_api
    from shared.composition import load_services

    with helpful(as_json=True):
        typer.echo(
            rendering.as_json(
                describe_api(
                    build_api(load_services({"AzureWebJobsStorage": "UseDevelopmentStorage=true", **environment()}))
                )
            )
        )


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
    from shared.cli.expression_table import check_table, shown

    if not path.is_file():
        raise CommandRefused(f"{path}: no such file; to try one expression use --evaluate")
    try:
        result = check_table(path)
    except (OSError, UnicodeDecodeError) as error:
        raise CommandRefused(
            f"{path}: cannot be read as UTF-8 text; save it again as UTF-8", code=ExitCode.UNAVAILABLE
        ) from error
    show(result, shown(result), as_json=as_json)
    if not result.agrees:
        raise typer.Exit(ExitCode.ATTENTION)
