"""Commands about accounts: one's story, what it maps to, what failed, and another try."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from shared.cli import rendering
from shared.cli.commands import Account, App, Json, collect, environment, get, helpful, path_of, post, show
from shared.cli.exit_codes import ExitCode
from shared.cli.refusals import CommandRefused
from shared.operations.account_story import AccountStory
from shared.operations.failure_report import FailedAccount
from shared.operations.mapping_preview import MappingPreview
from shared.operations.outcomes import Counted

_STDIN: Final = "-"


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(account)
    app.command("map")(map_user)
    app.command()(failures)
    app.command()(retry)


def account(application: App, user: Account, as_json: Json = False) -> None:
    """Tell one account's, or one group's, whole story: directory, row, what comes next, what was done."""
    with helpful(as_json=as_json):
        story = get(path_of("applications", application, "accounts", user), AccountStory)
        show(story, rendering.story_tables(story), as_json=as_json)


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
        if file is not None:
            preview = _map_document(application, file)
        else:
            preview = get(path_of("applications", application, "accounts", user or "", "mapping"), MappingPreview)
        show(preview, rendering.mapping_tables(preview), as_json=as_json)
        if preview.refusal:
            raise typer.Exit(ExitCode.ATTENTION)


def failures(
    application: App,
    code: Annotated[str, typer.Option("--code", help="Only those with this error code.")] = "",
    as_json: Json = False,
) -> None:
    """Show every account whose last attempt failed: code, text, since when, how often, when next, what to do."""
    with helpful(as_json=as_json):
        found = collect(path_of("applications", application, "failures"), FailedAccount, code=code)
        show(found, [rendering.failures_table(found)] if found else ["Nothing has failed."], as_json=as_json)
        if found:
            raise typer.Exit(ExitCode.ATTENTION)


def retry(
    application: App,
    user: Annotated[str, typer.Argument(metavar="[USER]", help="Directory id, or the vendor's id.")] = "",
    *,
    everybody: Annotated[bool, typer.Option("--all", help="Everybody whose last attempt failed.")] = False,
    code: Annotated[str, typer.Option("--code", help="Only those with this error code.")] = "",
    as_json: Json = False,
) -> None:
    """Try accounts again that are in escrow, or were poisoned: one, those with an error code, or all."""
    with helpful(as_json=as_json):
        if bool(user) == (everybody or bool(code)):
            raise CommandRefused("name one account, or give --all or --code CODE")
        if user:
            answer = post(path_of("applications", application, "accounts", user, "retry"), Counted)
        else:
            answer = post(path_of("applications", application, "retry"), Counted, {"code": code})
        show(answer, [f"{answer.accounts} accounts are tried again."], as_json=as_json)


def _map_document(name: str, source: str) -> MappingPreview:
    """Map a user who is given; neither storage nor the directory is needed."""
    from shared.clock import Clock
    from shared.config.applications import load_applications
    from shared.operations.configuration_check import configuration_path
    from shared.operations.mapping_preview import UserRefused, preview_mapping, read_document
    from shared.provisioning.mapping_source import SourceMapper

    given = environment()
    applications = load_applications(configuration_path(given), given)
    if name not in applications:
        known = ", ".join(applications) or "none"
        raise CommandRefused(f"no application is called {name}; provisioning.yaml has: {known}")
    try:
        facts, roles = read_document(read_json(source))
    except UserRefused as error:
        raise CommandRefused(f"--file: {error}") from error
    mapper = SourceMapper(clock=Clock())
    return preview_mapping(applications[name], facts, assigned_groups={}, mapper=mapper, roles=roles)


def read_json(source: str) -> Any:
    """JSON written out, in a file, or on standard input. Raises CommandRefused."""
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
