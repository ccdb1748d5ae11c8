"""Commands about the tables themselves."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated

import typer

from shared.cli.commands import Json, helpful, show
from shared.cli.exit_codes import ExitCode
from shared.cli.refusals import CommandRefused
from shared.config.urls import AddressError, checked_url
from shared.operations.table_copy import CopyRefused, CopyReport

app = typer.Typer(help="The tables themselves, for a move to another region.", no_args_is_help=True)

_NAME = re.compile(r"[a-z0-9]{3,24}")


@app.callback()
def tables() -> None:
    """The tables themselves, for a move to another region."""


@app.command("copy")
def copy_tables_command(
    source: Annotated[str, typer.Option("--from", metavar="ACCOUNT", help="The old storage account, or its URL.")],
    target: Annotated[str, typer.Option("--to", metavar="ACCOUNT", help="The new one, without rows.")],
    as_json: Json = False,
) -> None:
    """Copy all tables as whoever is signed in (`az login`), and compare every row. The old app must be stopped.

    Needs the role Storage Table Data Contributor on both accounts. Safe to repeat.
    """
    with helpful(as_json=as_json):
        report = asyncio.run(_copy(_address(source, "--from"), _address(target, "--to")))
        lines = [f"{table}: {rows:,} rows, all equal" for table, rows in report.rows.items()]
        show(report, lines, as_json=as_json)


async def _copy(source: str, target: str) -> CopyReport:
    from shared.clock import Clock
    from shared.composition import open_account_tables
    from shared.operations.table_copy import copy_tables
    from shared.storage.tables import StorageUnavailable

    if source == target:
        raise CommandRefused("--from and --to are the same account; name the new one with --to")
    try:
        async with open_account_tables(source) as old, open_account_tables(target) as new:
            return await copy_tables(old, new, clock=Clock())
    except CopyRefused as error:
        raise CommandRefused(str(error), code=ExitCode.ATTENTION) from error
    except StorageUnavailable as error:
        yours = "The identity is your own sign-in; it needs the role Storage Table Data Contributor on both accounts."
        lines = (str(error), yours, "What was copied stays; mend it and repeat.")
        raise CommandRefused(*lines, code=ExitCode.UNAVAILABLE) from error


def _address(account: str, option: str) -> str:
    """The table service's address of an account that is given by its name, or by that address."""
    if _NAME.fullmatch(account):
        return f"https://{account}.table.core.windows.net"
    try:
        return checked_url(account, key=option)
    except AddressError as error:
        raise CommandRefused(f"{option}: expected a storage account's name, or {error.expected}") from error
