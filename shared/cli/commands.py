"""What every command shares: composing the product, showing what came of it, and saying what a person can mend."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

import typer

from shared.cli import rendering
from shared.cli.exit_codes import ExitCode
from shared.cli.local_settings import read_local_settings
from shared.composition import Services, load_services
from shared.config.applications import Application, Applications, ConfigurationError
from shared.config.settings import SettingsError
from shared.storage.limiter import RateLimited
from shared.storage.tables import StorageUnavailable

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
App = Annotated[str, typer.Argument(metavar="APP", help="Name of an application in provisioning.yaml.")]


class CommandRefused(Exception):
    """The command cannot do what was asked; the text says what to do instead."""

    def __init__(self, message: str, *, code: ExitCode = ExitCode.USAGE) -> None:
        super().__init__(message)
        self.code = code


def environment() -> dict[str, str]:
    """The settings: those of the process, then those of local.settings.json."""
    return read_local_settings(os.environ)


def pick(applications: Applications, name: str) -> Application:
    """The application of that name. Raises CommandRefused naming those there are."""
    found = applications.get(name)
    if found is None:
        known = ", ".join(applications) or "none"
        raise CommandRefused(f"no application is called {name}; provisioning.yaml has: {known}")
    return found


def run(work: Callable[[Services], Awaitable[Any]]) -> Any:
    """Compose the product, do one thing with it, close it."""

    async def compose_and_work() -> Any:
        services = load_services(environment())
        try:
            return await work(services)
        finally:
            await services.close()

    return asyncio.run(compose_and_work())


@contextmanager
def helpful(*, as_json: bool) -> Iterator[None]:
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


def show(value: Any, shown: list[Any], *, as_json: bool) -> None:
    """Print a report: as one JSON document, or as what is made for people."""
    if as_json:
        typer.echo(rendering.as_json(value))
        return
    from rich.console import Console

    console = Console()
    for part in shown:
        console.print(part, markup=False, highlight=False, soft_wrap=isinstance(part, str))
