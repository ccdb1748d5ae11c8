"""Commands about people across all vendors."""

from __future__ import annotations

from typing import Annotated

import typer

from shared.cli import rendering
from shared.cli.commands import Json, get, helpful, path_of, show
from shared.cli.exit_codes import ExitCode
from shared.operations.people import PeopleFound, PersonStory


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(find)
    app.command()(person)


def find(
    term: Annotated[str, typer.Argument(metavar="TERM", help="An id, a user principal name, the start of a name.")],
    as_json: Json = False,
) -> None:
    """Find people and groups: by directory id, user principal name, name, or a vendor's id."""
    with helpful(as_json=as_json):
        found = get("/people", PeopleFound, search=term)
        show(found, rendering.people_tables(found), as_json=as_json)
        if not found.people:
            raise typer.Exit(ExitCode.ATTENTION)


def person(
    user: Annotated[str, typer.Argument(metavar="ID", help="Directory object id; `find` tells it.")],
    as_json: Json = False,
) -> None:
    """Tell one person's story: their account at every application, and what was done, newest first."""
    with helpful(as_json=as_json):
        story = get(path_of("people", user), PersonStory)
        show(story, rendering.person_tables(story), as_json=as_json)
