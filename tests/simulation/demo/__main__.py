"""Runs the demo: a simulated tenant, four simulated vendors and the real function app, from start to end.

Exit code: 0 when every vendor holds what it should and no rule of a vendor was broken, 1 otherwise, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys

from tests.simulation.demo.play import Options, play
from tests.simulation.demo.running import run_play

FEWEST_USERS = 10


def main(arguments: list[str]) -> int:
    """Plays the demo; whatever happens, every process it started has ended when this returns."""
    options = _parse(arguments)
    return run_play(lambda screen, folder: play(options, screen, folder), name="demo")


def _parse(arguments: list[str]) -> Options:
    parser = argparse.ArgumentParser(prog="./dev demo", description=__doc__)
    parser.add_argument("--users", type=int, default=200, help="people in the tenant (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="which tenant and which day (default: %(default)s)")
    parser.add_argument("--serve", action="store_true", help="keep everything running after the table")
    parsed = parser.parse_args(arguments)
    if parsed.users < FEWEST_USERS:
        parser.error(f"--users: at least {FEWEST_USERS}, so that there is somebody for every change of the day")
    return Options(users=parsed.users, seed=parsed.seed, serve=parsed.serve)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
