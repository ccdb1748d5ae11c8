"""Prints log lines the way the platform files them: by category, with the function that wrote them."""

import logging
import sys
import time
from collections.abc import Mapping

import azure_functions_runtime as worker

from tests.simulation.host.configuration import HostOptions

_WORKER = "azure.functions"
"""Start of the names under which the platform's worker and its library log."""


class _Line(logging.Formatter):
    """`time level function message`, with the traceback below."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%H:%M:%S", time.gmtime(record.created))
        line = f"{moment}.{record.msecs:03.0f}Z {record.levelname:<7} {record.source}: {record.getMessage()}"  # type: ignore[attr-defined]
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class _ByCategory(logging.Filter):
    """Finds each line's category and function, and drops what host.json's logLevel does not show."""

    def __init__(self, levels: Mapping[str, int], names: Mapping[str, str]) -> None:
        super().__init__()
        self._levels = levels
        self._names = names

    def filter(self, record: logging.LogRecord) -> bool:
        function = self._names.get(worker.invocation_id_cv.get() or "")
        if record.name.startswith("host."):
            function = getattr(record, "function", None)
            category = f"Function.{function}" if function else f"Host.{record.name.removeprefix('host.')}"
            record.source = function or "host"
        elif function and not record.name.startswith(_WORKER):
            category = f"Function.{function}.User"
            record.source = function
        elif record.name.startswith(_WORKER):
            # The worker's own lines, one for each run among them: the platform files them elsewhere.
            record.source = record.name
            return record.levelno >= logging.WARNING
        else:
            # The platform drops what the app logs while none of its functions runs: at its import, for one.
            return False
        return record.levelno >= level_of(category, self._levels)


def level_of(category: str, levels: Mapping[str, int]) -> int:
    """Answers with the lowest level shown: that of the longest entry which is the category or a whole start of it."""
    parts = category.split(".")
    for length in range(len(parts), 0, -1):
        level = levels.get(".".join(parts[:length]))
        if level is not None:
            return level
    return levels["default"]


def pipe_logs(options: HostOptions, names: Mapping[str, str]) -> None:
    """Sends every log line of this process to standard error; `names` maps the runs going on to their functions."""
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(_Line())
    output.addFilter(_ByCategory(options.log_levels, names))
    root = logging.getLogger()
    root.handlers[:] = [output]
    # The platform's worker shows INFO and above, unless host.json asks for more.
    root.setLevel(min([logging.INFO, *options.log_levels.values()]))
