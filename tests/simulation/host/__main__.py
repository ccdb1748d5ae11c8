"""The command behind `./dev host`: settings, Azurite if asked for, the host, and signals."""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from tests.simulation.azurite import WELL_KNOWN_PORTS, Azurite, AzuriteNotStartedError
from tests.simulation.host.configuration import apply_settings, read_settings
from tests.simulation.host.failures import HostNotStartedError
from tests.simulation.host.function_host import FunctionHost
from tests.simulation.host.logs import pipe_logs

ROOT = Path(__file__).resolve().parents[3]
DEFAULT_PORT = 7071
# Handed to the next program when a time-out replaces this one: what must not change for those who talk to the host.
RESTART = "HOST_RESTART"


def main(arguments: list[str]) -> int:
    """Runs the host until a signal ends it; answers with the exit code."""
    options = _parse(arguments)
    restart = json.loads(os.environ.pop(RESTART, "{}"))
    try:
        path = options.settings or options.app / "local.settings.json"
        values = read_settings(path) if options.settings or path.exists() else {}
        settings = apply_settings(values)
        os.chdir(options.app)
        with ExitStack() as stack:
            azurite = _start_azurite(settings, stack, restart)
            host = FunctionHost(
                options.app,
                settings,
                port=restart.get("port", options.port),
                keys_file=ROOT / ".dev" / "host-keys.json",
            )
            pipe_logs(host.options, host.runtime.names)
            wants_restart = asyncio.run(_run(host, is_restart=bool(restart)))
            if wants_restart:
                stack.pop_all()
                _replace_program(arguments, host_url=wants_restart, azurite=azurite)
    except (HostNotStartedError, AzuriteNotStartedError) as error:
        print(f"host: {error}", file=sys.stderr)
        return 1
    return 0


async def _run(host: FunctionHost, *, is_restart: bool) -> str:
    """Runs the host until a signal (answers with nothing) or a time-out (answers with its URL)."""
    reasons: set[str] = set()
    over = asyncio.Event()

    def end(reason: str) -> None:
        reasons.add(reason)
        over.set()

    host.runtime.on_worker_lost = lambda: end("time-out")
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end, "signal")
    await host.start()
    url = host.url
    if not is_restart:
        print(f"host ready {url}", flush=True)
    await over.wait()
    print(f"host: stopping, after a {' and a '.join(reasons)}", file=sys.stderr)
    await host.stop()
    # A signal that came while a late function was put down still means the end.
    return "" if "signal" in reasons else url


def _start_azurite(settings: Mapping[str, str], stack: ExitStack, restart: Mapping[str, int]) -> Azurite | None:
    """Starts the emulator if the settings ask for it and none runs yet on its well-known ports."""
    if settings.get("AzureWebJobsStorage", "").strip().rstrip(";").lower() != "usedevelopmentstorage=true":
        return None
    if "azurite_pid" in restart:
        return stack.enter_context(
            Azurite.taken_over(WELL_KNOWN_PORTS, restart["azurite_pid"], restart["azurite_pipe"])
        )
    if WELL_KNOWN_PORTS.are_azurite():
        print("host: using the Azurite that already runs on ports 10000 to 10002", file=sys.stderr)
        return None
    return stack.enter_context(Azurite.in_folder(ROOT / ".dev" / "azurite-data"))


def _replace_program(arguments: list[str], *, host_url: str, azurite: Azurite | None) -> None:
    """Starts this program anew in the same process, as the platform replaces a worker that ran too long.

    Only that ends the threads of `def` functions. The port stays, and Azurite goes on.
    """
    kept = {"port": int(host_url.rpartition(":")[2])}
    if azurite is not None:
        kept |= {"azurite_pid": azurite.pid, "azurite_pipe": azurite.hand_over()}
    os.environ[RESTART] = json.dumps(kept)
    os.chdir(ROOT)
    os.execv(sys.executable, [sys.executable, "-m", "tests.simulation.host", *arguments])


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev host", description=__doc__)
    parser.add_argument(
        "--app", type=lambda text: Path(text).resolve(), default=ROOT, help="folder with function_app.py"
    )
    parser.add_argument(
        "--settings",
        type=lambda text: Path(text).resolve(),
        help="instead of local.settings.json; the environment wins",
    )
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 is any free one (default: %(default)s)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    exit_code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: it would wait for the threads of `def` functions that were abandoned.
    os._exit(exit_code)
