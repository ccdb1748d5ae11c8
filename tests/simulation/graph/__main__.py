"""Runs the simulated Graph alone: `python -m tests.simulation.graph --users 1000 --seed 1 --port 9000`."""

from __future__ import annotations

import argparse
import signal
from threading import Event

from tests.simulation.graph.simulator import GraphSimulator
from tests.simulation.tenant import Tenant


def main() -> None:
    """Serves until SIGINT or SIGTERM; prints one line with the base URL when ready."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.graph", description=__doc__)
    parser.add_argument("--users", type=int, default=1000, help="people in the tenant")
    parser.add_argument("--seed", type=int, default=0, help="which tenant and which faults")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--token", default=None, help="the only bearer token served; default: any")
    parser.add_argument("--page-size", type=int, default=200, help="objects on a delta page")
    options = parser.parse_args()
    stopped = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    tenant = Tenant(options.seed, options.users)
    simulator = GraphSimulator(tenant, page_size=options.page_size, seed=options.seed, token=options.token)
    print(simulator.start(options.port), flush=True)
    stopped.wait()
    simulator.stop()


if __name__ == "__main__":
    main()
