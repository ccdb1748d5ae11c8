"""Runs the demo: a simulated tenant, four simulated vendors and the real function app, from start to end.

Exit code: 0 when every vendor holds what it should and no rule of a vendor was broken, 1 otherwise, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.simulation.azurite import AzuriteNotStartedError
from tests.simulation.demo.play import Options, play
from tests.simulation.demo.progress import StillPendingError
from tests.simulation.demo.screen import Screen, open_console
from tests.simulation.demo.vendor_process import VendorsNotStartedError
from tests.simulation.host.failures import HostNotStartedError

INTERRUPTED = 130
FEWEST_USERS = 10


def main(arguments: list[str]) -> int:
    """Plays the demo; whatever happens, every process it started has ended when this returns."""
    options = _parse(arguments)
    screen = Screen(open_console())
    folder = Path(tempfile.mkdtemp(prefix="scim-demo-"))
    code = 1
    try:
        code = asyncio.run(_until_interrupted(options, screen, folder))
    except (AzuriteNotStartedError, HostNotStartedError, VendorsNotStartedError, StillPendingError) as error:
        screen.console.print(f"demo: {error}", style="red", markup=False, soft_wrap=True)
    if code in (0, INTERRUPTED):
        shutil.rmtree(folder, ignore_errors=True)
    else:
        screen.say(f"the host's log and provisioning.yaml are kept in {folder}")
    return code


async def _until_interrupted(options: Options, screen: Screen, folder: Path) -> int:
    """Plays until the end or a signal. A second signal does not disturb the clearing up after the first."""
    playing = asyncio.ensure_future(play(options, screen, folder))
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        if not interrupted:
            interrupted = True
            screen.console.print("\ndemo: ending everything that was started", style="dim")
            playing.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, interrupt)
    try:
        return await playing
    except asyncio.CancelledError:
        return INTERRUPTED


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
