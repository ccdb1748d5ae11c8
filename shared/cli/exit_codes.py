"""What the exit code of a command says, so that scripts and pipelines can act on it."""

from enum import IntEnum


class ExitCode(IntEnum):
    """0 to 4; a test holds the README and `--help` to these."""

    OK = 0
    """Done, and nothing needs a person."""
    ATTENTION = 1
    """Done, and something needs a person: a refused connection, a quarantine, held deletions, a row that differs."""
    USAGE = 2
    """The command was called wrongly: an option, an application or a user that does not exist."""
    CONFIGURATION = 3
    """provisioning.yaml or the settings cannot be used; every mistake is listed."""
    UNAVAILABLE = 4
    """Storage or Microsoft Graph does not answer, or a file could not be read or written: try again, or look at the
    address."""
