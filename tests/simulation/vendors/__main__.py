"""Runs simulated vendors in a process of their own and prints one JSON line that says where they are.

python -m tests.simulation.vendors --which all --ports-file vendors.json
python -m tests.simulation.vendors --which fuze,acme --option fuze.rate_limit=200
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.simulation.vendors import (
    AcmeSimulator,
    ClarizenDataCentres,
    ClarizenOptions,
    ClarizenSimulator,
    FortesSimulator,
    FuzeSimulator,
    PureCloudSimulator,
    VendorSimulator,
)
from tests.simulation.vendors.keeping import keep, take_up

VENDORS: dict[str, type[VendorSimulator]] = {
    "acme": AcmeSimulator,
    "fuze": FuzeSimulator,
    "fortes": FortesSimulator,
    "purecloud": PureCloudSimulator,
    "clarizen": ClarizenSimulator,
}


def main(arguments: list[str] | None = None) -> int:
    """Starts the vendors, prints their line, and waits for SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.vendors", description=__doc__)
    parser.add_argument("--which", default="all", help="all, or names separated by commas")
    parser.add_argument("--ports-file", type=Path, help="also write the JSON line to this file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--port", action="append", default=[], metavar="VENDOR=PORT", help="a fixed port")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="what survives a SIGTERM")
    parser.add_argument("--option", action="append", default=[], metavar="VENDOR.NAME=JSON", help="one option's value")
    chosen = parser.parse_args(arguments)
    names = list(VENDORS) if chosen.which == "all" else chosen.which.split(",")
    ports = dict(each.split("=", 1) for each in chosen.port)
    running: list[Callable[[], None]] = []
    kept = Kept(chosen.keep)
    described = {}
    for name in names:
        options = options_of(name, chosen.option)
        described[name], stop = _started(name, options, port=int(ports.get(name, 0)), seed=chosen.seed, kept=kept)
        running.append(stop)
    line = json.dumps({"pid": os.getpid(), "vendors": described})
    if chosen.ports_file:
        _write_whole(chosen.ports_file, line)
    # Before the line: whoever reads it may ask for the end at once.
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
    ended.wait()
    for stop in running:
        stop()
    kept.write()
    return 0


def options_of(name: str, assignments: list[str]) -> Any:
    """Answers with a vendor's options, changed by `vendor.name=JSON`. Raises ValueError on an unknown one."""
    options = VENDORS[name].options_type()
    changes = {}
    for each in assignments:
        target, _, value = each.partition("=")
        vendor, _, option = target.partition(".")
        if vendor == name:
            if option not in {field.name for field in dataclasses.fields(options)}:
                raise ValueError(f"{name} has no option {option}")
            parsed = _parsed(value)
            kind = type(getattr(options, option))
            changes[option] = (
                kind(parsed) if isinstance(parsed, str) and getattr(options, option) is not None else parsed
            )
    return dataclasses.replace(options, **changes)


def _parsed(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


class Kept:
    """The folder in which vendors are kept across restarts; None keeps nothing."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._simulators: list[VendorSimulator] = []

    def take_up(self, simulator: VendorSimulator, *, port: int = 0) -> int:
        """Gives a vendor what it held last, and answers with the port it starts on: `port` if one is given."""
        if self._folder is None:
            return port
        self._simulators.append(simulator)
        return port or take_up(simulator, self._folder)

    def write(self) -> None:
        """Writes down what every vendor holds; each has stopped."""
        for simulator in self._simulators:
            assert self._folder is not None
            keep(simulator, self._folder)


def _started(name: str, options: Any, *, port: int, seed: int, kept: Kept) -> tuple[dict[str, Any], Callable[[], None]]:
    """Answers with how to reach a vendor, started, and what stops it."""
    if isinstance(options, ClarizenOptions):
        centres = ClarizenDataCentres(options=options, seed=seed)
        main_centre = centres[centres.names[0]]
        base_urls = {main_centre.data_centre: main_centre.start(kept.take_up(main_centre, port=port))}
        base_urls |= {each: centres[each].start(kept.take_up(centres[each])) for each in centres.names[1:]}
        tokens = {each: centres[each].token for each in centres.names}
        described = {**_described(main_centre), "base_urls": base_urls, "tokens": tokens}
        return described, centres.stop
    simulator = VENDORS[name](options=options, seed=seed)
    simulator.start(kept.take_up(simulator, port=port))
    described = _described(simulator)
    if isinstance(simulator, PureCloudSimulator):
        described |= {
            "login_url": simulator.login_url,
            "client_id": simulator.client_id,
            "client_secret": simulator.client_secret,
        }
    return described, simulator.stop


def _described(simulator: VendorSimulator) -> dict[str, Any]:
    described = {
        "base_url": simulator.base_url,
        "token": simulator.token,
        "control_url": f"{simulator.origin}/_sim",
    }
    secondary = getattr(simulator, "secondary_token", "")
    return {**described, "secondary_token": secondary} if secondary else described


def _write_whole(path: Path, text: str) -> None:
    """Writes a file that a waiting reader never sees half written."""
    partial = path.with_suffix(path.suffix + ".partial")
    partial.write_text(text + "\n")
    partial.replace(path)


if __name__ == "__main__":
    sys.exit(main())
