"""How a play is run from a terminal: a folder of its own, an orderly end after Ctrl-C, an exit code."""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.simulation.azurite import AzuriteNotStartedError
from tests.simulation.demo.progress import StillPendingError
from tests.simulation.demo.screen import Screen, open_console
from tests.simulation.demo.vendor_process import VendorsNotStartedError
from tests.simulation.host.failures import HostNotStartedError

INTERRUPTED = 130


def run_play(play: Callable[[Screen, Path], Awaitable[int]], *, name: str) -> int:
    """Plays; whatever happens, every process that was started has ended when this returns. Answers with 0, 1 or 130."""
    screen = Screen(open_console())
    folder = Path(tempfile.mkdtemp(prefix=f"scim-{name}-"))
    code = 1
    try:
        code = asyncio.run(_until_interrupted(play(screen, folder), screen, name=name))
    except (AzuriteNotStartedError, HostNotStartedError, VendorsNotStartedError, StillPendingError) as error:
        screen.console.print(f"{name}: {error}", style="red", markup=False, soft_wrap=True)
    if code in (0, INTERRUPTED):
        shutil.rmtree(folder, ignore_errors=True)
    else:
        screen.say(f"the host's log and provisioning.yaml are kept in {folder}")
    return code


async def _until_interrupted(play: Awaitable[int], screen: Screen, *, name: str) -> int:
    """Plays until the end or a signal. A second signal does not disturb the clearing up after the first."""
    playing = asyncio.ensure_future(play)
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        if not interrupted:
            interrupted = True
            screen.console.print(f"\n{name}: ending everything that was started", style="dim")
            playing.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, interrupt)
    try:
        return await playing
    except asyncio.CancelledError:
        return INTERRUPTED
