"""Checks infra/ offline: `python -m tests.infra`, a step of `./dev check`. `--without-checkov` leaves that one out.

Not checked here, because the compiler is not to be had from a package registry: what `bicep build` and what-if say.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.infra.checkov import CheckovFailed, check_with_checkov
from tests.infra.deployment import check_deployment
from tests.infra.names import check_names
from tests.infra.queries import alert_queries, check_alerts, check_query, check_workbook, workbook_queries
from tests.infra.resource_models import check_resources
from tests.infra.resource_reads import check_reads
from tests.infra.style import check_style
from tests.infra.symbols import check_parameter_file, check_symbols
from tests.infra.templates import INFRA, Finding, check_syntax, read_template, template_paths


def check_templates(folder: Path = INFRA) -> Iterator[Finding]:
    """Syntax first: what a broken file means is not worth reading."""
    broken = False
    for path in [*template_paths(folder), folder / "main.bicepparam"]:
        for finding in check_syntax(read_template(path)):
            broken = True
            yield finding
    if broken:
        return
    for path in template_paths(folder):
        template = read_template(path)
        yield from check_symbols(template)
        yield from check_style(template)
        yield from check_resources(template)
        yield from check_reads(template)
    yield from check_parameter_file(folder / "main.bicepparam")


def check_queries(folder: Path = INFRA) -> Iterator[Finding]:
    """Alerts and workbook."""
    for query in [*alert_queries(folder), *workbook_queries(folder)]:
        yield from check_query(query)
    yield from check_alerts(folder)
    yield from check_workbook(folder)


def main(arguments: list[str]) -> int:
    """Runs every check, prints what is wrong, and answers with 1 if anything is."""
    parser = argparse.ArgumentParser(prog="python -m tests.infra", description=__doc__)
    parser.add_argument("--without-checkov", action="store_true", help="leave checkov out: it takes the longest")
    options = parser.parse_args(arguments)
    checks: dict[str, Callable[[], Iterator[Finding]]] = {
        "templates": check_templates,
        "deployment": check_deployment,
        "queries": check_queries,
        "names": check_names,
    }
    if not options.without_checkov:
        checks["checkov"] = check_with_checkov
    total = 0
    for name, check in checks.items():
        started = time.monotonic()
        try:
            findings = list(check())
        except CheckovFailed as error:
            sys.stdout.write(f"infra: {name}: {error}\n")
            total += 1
            continue
        for finding in findings:
            sys.stdout.write(f"{finding}\n")
        total += len(findings)
        sys.stdout.write(f"infra: {name}: {len(findings)} findings ({time.monotonic() - started:.1f} s)\n")
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
