"""Runs the demo: `./dev demo [--users N] [--seed S] [--serve]`."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
from pathlib import Path

from tests.simulation.azurite import AzuriteNotStartedError
from tests.simulation.demo.progress import Settling, StillPendingError
from tests.simulation.demo.screen import Screen, open_console
from tests.simulation.demo.stage import open_stage
from tests.simulation.demo.vendor_process import VendorsNotStartedError
from tests.simulation.host.failures import HostNotStartedError
from tests.simulation.tenant import Tenant


async def play(options: argparse.Namespace, screen: Screen, folder: Path) -> int:
    tenant = Tenant(options.seed, options.users)
    screen.chapter("Starting")
    async with open_stage(tenant, folder, seed=options.seed, guards={}, say=screen.say) as stage:
        screen.chapter("The initial cycle")
        with screen.following() as show:
            await Settling(stage, show=show).wait(within_s=120)
        for app in stage.principals:
            print(app, await stage.vendors.read(app, "state"))
            print(await stage.vendors.read(app, "violations"))
    return 0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./dev demo", description=__doc__)
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--serve", action="store_true")
    options = parser.parse_args(arguments)
    screen = Screen(open_console())
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        return asyncio.run(play(options, screen, Path(folder)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
