"""Indexes the function app the way the platform does and prints what it found: `python -m tests.functions.indexed`.

A program, because Microsoft's registry belongs to the process. Prints one JSON line: functions, modules, connections.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from tests.simulation.host.runtime import Runtime

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Prints `{"functions": {name: [binding, ...]}, "modules": [...], "network": [...]}`."""
    before = set(sys.modules)
    network: list[str] = []

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "urllib.Request"):
            network.append(f"{event} {arguments[-1]!r}")

    sys.addaudithook(watch)
    indexed = asyncio.run(Runtime(ROOT).index())
    functions = {each.name: [json.loads(binding) for binding in each.raw_bindings] for each in indexed}
    modules = sorted(set(sys.modules) - before)
    sys.stdout.write(json.dumps({"functions": functions, "modules": modules, "network": network}) + "\n")


if __name__ == "__main__":
    main()
