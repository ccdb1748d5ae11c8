"""What every command shares: asking the API, showing what came of it, and saying what a person can mend."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn, TypeVar
from urllib.parse import quote

import typer

from shared.cli import rendering
from shared.cli.client import Api, open_api
from shared.cli.exit_codes import ExitCode
from shared.cli.local_settings import read_local_settings
from shared.cli.refusals import CommandRefused
from shared.config.applications import ConfigurationError
from shared.config.settings import SettingsError

T = TypeVar("T")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
App = Annotated[str, typer.Argument(metavar="APP", help="Name of an application in provisioning.yaml.")]
Account = Annotated[str, typer.Argument(metavar="USER", help="Directory id, or the vendor's id of the account.")]


def environment() -> dict[str, str]:
    """The settings: those of the process, then those of local.settings.json."""
    return read_local_settings(os.environ)


def ask(work: Callable[[Api], Awaitable[T]]) -> T:
    """Do one thing with the API. Raises what `open_api` and `Api` raise."""

    async def connect_and_work() -> T:
        async with open_api(environment()) as api:
            return await work(api)

    return asyncio.run(connect_and_work())


def get(path: str, kind: type[T], **query: Any) -> T:
    """Read one report."""
    return ask(lambda api: api.get(path, kind, **query))


def collect(path: str, kind: type[T], **query: Any) -> list[T]:
    """Read a whole list."""
    return ask(lambda api: api.collect(path, kind, **query))


def post(path: str, kind: type[T], body: dict[str, Any] | None = None) -> T:
    """Do one thing."""
    return ask(lambda api: api.post(path, kind, body))


def path_of(*parts: str) -> str:
    """An address; whatever a person typed is one segment of it."""
    return "".join(f"/{quote(part, safe='')}" for part in parts)


@contextmanager
def helpful(*, as_json: bool) -> Iterator[None]:
    """Turn what a person can mend into lines and an exit code; a traceback is for defects only."""
    try:
        yield
    except SettingsError as error:
        _refuse(error.problems, ExitCode.CONFIGURATION, as_json=as_json)
    except ConfigurationError as error:
        _refuse([str(problem) for problem in error.problems], ExitCode.CONFIGURATION, as_json=as_json)
    except CommandRefused as error:
        _refuse(error.lines, error.code, as_json=as_json)


def _refuse(problems: Sequence[str], code: ExitCode, *, as_json: bool) -> NoReturn:
    if as_json:
        typer.echo(rendering.as_json({"problems": list(problems)}))
    else:
        for problem in problems:
            typer.echo(problem, err=True)
    raise typer.Exit(code)


def show(value: Any, shown: list[Any], *, as_json: bool) -> None:
    """Print a report: as one JSON document, or as what is made for people."""
    if as_json:
        typer.echo(rendering.as_json(value))
        return
    from rich.console import Console

    console = Console()
    for part in shown:
        console.print(part, markup=False, highlight=False, soft_wrap=isinstance(part, str))
