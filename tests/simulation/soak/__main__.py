"""Runs the soak: the demo's stage under mixed load, with kill -9 of the function host and restarts of everything else.

Exit code: 0 when every vendor holds what it should in the end and no rule of a vendor was broken, 1 otherwise, 130
after Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys

from tests.simulation.demo.running import run_play
from tests.simulation.soak.play import Options, play

FEWEST_USERS = 20


def main(arguments: list[str]) -> int:
    """Soaks; whatever happens, every process it started has ended when this returns."""
    options = _parse(arguments)
    return run_play(lambda screen, folder: play(options, screen, folder), name="soak")


def _parse(arguments: list[str]) -> Options:
    parser = argparse.ArgumentParser(prog="./dev soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="of load and faults (default: %(default)s)")
    parser.add_argument("--users", type=int, default=60, help="people in the tenant (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="which tenant, changes and faults (default: %(default)s)")
    parsed = parser.parse_args(arguments)
    if parsed.users < FEWEST_USERS:
        parser.error(f"--users: at least {FEWEST_USERS}, so that there is somebody for every change")
    if parsed.minutes <= 0:
        parser.error("--minutes: more than none")
    return Options(users=parsed.users, seed=parsed.seed, seconds=parsed.minutes * 60)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
