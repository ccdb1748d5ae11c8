"""The command line of the provisioner: `./dev provisioner COMMAND`.

It asks a deployed function app (PROVISIONER_URL, PROVISIONER_KEY) or, without these, works on this machine with the
app's own settings: from the environment, and from local.settings.json where the environment has none. Every command
takes --json and prints one document. Only `provision` and `test-connection` send anything to a vendor, and
`test-webhook` to the receiver.

Exit codes: 0 all is well; 1 something needs a person; 2 called wrongly; 3 configuration or settings cannot be used;
4 storage, Microsoft Graph or the function app does not answer, or a file could not be read or written.
"""

from __future__ import annotations

import typer

from shared.cli import (
    account_commands,
    application_commands,
    configuration_commands,
    drift_commands,
    held_commands,
    log_commands,
    people_commands,
    preview_commands,
    profile_commands,
    table_commands,
)

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
for commands in (
    configuration_commands,
    preview_commands,
    application_commands,
    account_commands,
    people_commands,
    log_commands,
):
    commands.register(app)
app.add_typer(held_commands.app, name="held")
app.add_typer(drift_commands.app, name="drift")
app.add_typer(profile_commands.app, name="profile")
app.add_typer(table_commands.app, name="tables")

if __name__ == "__main__":
    app()
