"""The command behind `./dev bench`: runs benchmarks by name and prints their tables."""

from __future__ import annotations

import argparse
import importlib
import sys
from datetime import UTC, datetime

from rich.console import Console

from tests.benchmarks.machine import describe_machine
from tests.benchmarks.tables import as_markdown, show

NAMES = (
    "cold_start",
    "rules",
    "reading",
    "consumer",
    "telemetry",
    "incremental",
    "initial_round",
    "group_members",
    "status",
    "limiter",
    "leaver",
    "outage",
    "preview",
    "on_demand",
    "history",
    "notified",
    "cost",
)
"""Each is a module with a function `measure(size)`; in the order in which they run. The size is what `--users` says, or
the option that a module names as `SIZED_BY`."""


def main() -> int:
    """Runs what is asked for, or everything; answers with the exit code."""
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(NAMES)}; default: all")
    parser.add_argument("--users", type=int, help="size of the run; each benchmark has its own default")
    parser.add_argument("--members", type=int, help="size of the largest group, for group_members")
    parser.add_argument("--seconds", type=int, help="how long limiter watches; default: two minutes")
    parser.add_argument("--markdown", action="store_true", help="print Markdown for the README")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(NAMES))
    if unknown:
        parser.error(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(NAMES)}")
    console = Console(stderr=options.markdown)
    heading = f"{datetime.now(UTC):%Y-%m-%d}, {describe_machine()}"
    console.print(heading)
    if options.markdown:
        print(f"{heading}\n")
    for name in options.names or NAMES:
        benchmark = importlib.import_module(f"tests.benchmarks.{name}")
        console.print(f"[bold]{name}[/bold] {benchmark.__doc__.splitlines()[0]}")
        for table in benchmark.measure(getattr(options, getattr(benchmark, "SIZED_BY", "users"))):
            if options.markdown:
                print(as_markdown(table), flush=True)
            show(table, console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
