"""Checks what the app is built from and what is deployed: `python -m tests.supply`, a step of `./dev check`.

Advisories need a service on the internet. Without one the check says so and passes; `--require-advisories` lets it
fail, for a machine that has the internet for certain.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator

from tests.infra.templates import Finding
from tests.supply.advisories import AdvisoriesUnavailable, check_advisories
from tests.supply.licences import check_licences
from tests.supply.locks import check_locks
from tests.supply.package import ROOT, check_package, files_for_func
from tests.supply.readme import check_readme
from tests.supply.workflows import check_workflows


def main(arguments: list[str]) -> int:
    """Runs every check, prints what is wrong, and answers with 1 if anything is."""
    parser = argparse.ArgumentParser(prog="python -m tests.supply", description=__doc__)
    parser.add_argument("--require-advisories", action="store_true", help="fail where they cannot be had")
    options = parser.parse_args(arguments)
    checks: dict[str, Callable[[], Iterator[Finding]]] = {
        "locks": check_locks,
        "licences": check_licences,
        "package": check_package,
        "workflows": check_workflows,
        "readme": check_readme,
        "advisories": check_advisories,
    }
    total = 0
    for name, check in checks.items():
        started = time.monotonic()
        try:
            findings = list(check())
        except AdvisoriesUnavailable as error:
            sys.stdout.write(f"supply: {name}: NOT CHECKED, no advisory service answered: {error}\n")
            total += options.require_advisories
            continue
        for finding in findings:
            sys.stdout.write(f"{finding}\n")
        total += len(findings)
        sys.stdout.write(f"supply: {name}: {len(findings)} findings ({time.monotonic() - started:.1f} s)\n")
    deployed = files_for_func()
    size = sum((ROOT / path).stat().st_size for path in deployed)
    sys.stdout.write(f"supply: {len(deployed)} files, {size:,} bytes would be deployed\n")
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
