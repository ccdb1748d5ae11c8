"""Why a command does not do what it was asked."""

from __future__ import annotations

from shared.cli.exit_codes import ExitCode


class CommandRefused(Exception):
    """The command cannot do what was asked; each line says what to do instead."""

    def __init__(self, *lines: str, code: ExitCode = ExitCode.USAGE) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
        self.code = code
