"""Why a host does not start. Everything that goes wrong later is logged, and the host goes on."""

from collections.abc import Sequence


class HostNotStartedError(RuntimeError):
    """The host cannot run this app here; the text says what to change."""


class IndexingError(HostNotStartedError):
    """The app's functions cannot be run; the text has a line for each problem, with the function's name.

    The platform would run the functions that are right and leave out the others. Locally that hides the mistake, so the
    host does not start at all.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)
