"""From a change in the directory to the request at the vendor, when Graph notifies and no timer is due.

The whole app runs on the local host in a process of its own, beside Azurite, a simulated Graph that rings at it, and a
vendor. One person at a time changes, with random pauses; measured is from just before the change to the arrival of the
request at the vendor's side, on loopback.
"""

from __future__ import annotations

import json
import math
import random
import socket
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.benchmarks.separate import serve_apart
from tests.benchmarks.tables import Table
from tests.benchmarks.tenants import NO_PRINCIPAL, call, control_of, environment, serve_graph, write_configuration
from tests.benchmarks.vendor import serve_vendor
from tests.simulation.azurite import ROOT, Azurite
from tests.simulation.host.process import HostProcess

CHANGES = 100
FRESH = 7
"""Processes whose first ring is measured."""
CLIENT_STATE = "the secret of this benchmark"
USERS = 60
PAGE_SIZE = 999
LONGEST_PAUSE_S = 2.5
PATIENCE_S = 30.0
NEVER = "0 0 0 1 1 *"


def measure(changes: int | None) -> list[Table]:
    """Answers with the table of this benchmark."""
    count = changes or CHANGES
    with (
        Azurite.in_memory() as azurite,
        serve_apart(serve_vendor) as vendor,
        serve_apart(serve_graph, USERS, False, PAGE_SIZE) as graph,
        tempfile.TemporaryDirectory() as folder,
    ):
        graph_url, _ = graph.split()
        path = write_configuration(Path(folder), principal_id=NO_PRINCIPAL, scope="all", vendor_url=vendor)
        settings = environment(path, storage=azurite.connection_string, graph_url=graph_url)
        with _start(settings, Path(folder) / "host.log") as host:
            watch = _Watch(graph_url, vendor)
            _begin(host, watch)
            updates = [watch.change(each, jobTitle=f"Changed {turn}") for turn, each in watch.turns(count)]
            leavers = []
            for _, each in watch.turns(count // 3):
                leavers.append(watch.change(each, accountEnabled=False))
                watch.change(each, accountEnabled=True)
        rings = [_ring_first(settings, Path(folder) / "fresh.log") for _ in range(FRESH)]
    return [_table([("an update", updates), ("a leaver", leavers)]), _rings_table(rings)]


class _Watch:
    """Changes people at Graph and looks at what arrives at the vendor."""

    def __init__(self, graph_url: str, vendor: str) -> None:
        self._control = control_of(graph_url)
        self._vendor = vendor
        self._random = random.Random(1)
        user_ids = call(f"{self._control}/tenant/users")["ids"]
        # Persons 10 to 23 of every 50 have no oddity: enabled members.
        self._people = [user_id for index, user_id in enumerate(user_ids) if 10 <= index % 50 < 24]

    def turns(self, count: int) -> list[tuple[int, str]]:
        """People in turn."""
        return [(turn, self._people[turn % len(self._people)]) for turn in range(count)]

    def arrivals(self) -> list[float]:
        """When each request came to the vendor, monotonic."""
        return [at for at, _ in call(f"{self._vendor}/_arrivals")]

    def subscriptions(self) -> int:
        """How many subscriptions there are."""
        return len(call(f"{self._control}/subscriptions")["subscriptions"])

    def change(self, user_id: str, **properties: object) -> float:
        """Changes one person after a pause; answers with the seconds until the next request came to the vendor."""
        time.sleep(self._random.uniform(0.0, LONGEST_PAUSE_S))
        before = len(self.arrivals())
        changed_at = time.monotonic()
        call(f"{self._control}/tenant/update", {"args": [user_id], **properties})
        _wait(lambda: len(self.arrivals()) > before, "no request arrived")
        return self.arrivals()[before] - changed_at


def _start(settings: dict[str, str], log: Path) -> HostProcess:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    notified = {
        "NOTIFICATION_URL": f"http://127.0.0.1:{port}",
        "NOTIFICATION_CLIENT_STATE": CLIENT_STATE,
        "SYNC_SCHEDULE": NEVER,
        "HOUSEKEEPING_SCHEDULE": NEVER,
    }
    return HostProcess.start(ROOT, {**settings, **notified}, log=log, port=port)


def _ring_first(settings: dict[str, str], log: Path) -> tuple[float, float, float]:
    """Seconds of a fresh process until it is ready, and of its first and its second ring."""
    began = time.monotonic()
    with _start(settings, log) as host:
        ready = time.monotonic()
        answered = []
        for _ in range(2):
            _ring(host)
            answered.append(time.monotonic())
    return ready - began, answered[0] - ready, answered[1] - answered[0]


def _ring(host: HostProcess) -> None:
    notice = {"clientState": CLIENT_STATE, "changeType": "updated", "resource": "Users/1", "subscriptionId": "s"}
    body = json.dumps({"value": [notice]}).encode()
    request = urllib.request.Request(f"{host.url}/api/notified", data=body, method="POST")
    with urllib.request.urlopen(request, timeout=60) as answer:
        if answer.status != 202:
            raise RuntimeError(f"the ring was answered {answer.status}")


def _begin(host: HostProcess, watch: _Watch) -> None:
    """The initial cycle, and the subscriptions; until nothing arrives any more."""
    for function in ("sync_directory", "housekeeping"):
        request = urllib.request.Request(f"{host.url}/admin/functions/{function}", data=b"{}")
        with urllib.request.urlopen(request, timeout=120) as answer:
            outcome = json.load(answer)
        if not outcome["succeeded"]:
            raise RuntimeError(outcome["error"])
    if watch.subscriptions() != 2:
        raise RuntimeError("Graph has no subscriptions")
    _wait(lambda: bool(watch.arrivals()) and time.monotonic() - watch.arrivals()[-1] > 5.0, "never quiet")


def _wait(claim: Callable[[], bool], otherwise: str) -> None:
    until = time.monotonic() + PATIENCE_S
    while not claim():
        if time.monotonic() > until:
            raise RuntimeError(f"{otherwise} within {PATIENCE_S:.0f} s")
        time.sleep(0.05)


def _table(rows: Sequence[tuple[str, Sequence[float]]]) -> Table:
    def row(name: str, seen: Sequence[float]) -> tuple[str, ...]:
        ranked = sorted(seen)
        p99 = ranked[math.ceil(0.99 * len(ranked)) - 1]
        return name, str(len(ranked)), f"{statistics.median(ranked):.2f}", f"{p99:.2f}", f"{ranked[-1]:.2f}"

    return Table(
        title="From a change in the directory to the request at the vendor, notified, in seconds",
        columns=("", "changes", "median", "99th percentile", "worst"),
        rows=[row(name, seen) for name, seen in rows],
        note="Local host, no timer due. An idle queue of an application is looked into every 2 s (host.json), which is "
        "most of it; in Azure the queue of notifications is another such queue, and Graph promises no time for a ring.",
    )


def _rings_table(rings: Sequence[tuple[float, float, float]]) -> Table:
    def row(name: str, seen: Sequence[float]) -> tuple[str, ...]:
        return name, f"{statistics.median(seen):.3f}", f"{max(seen):.3f}"

    names = ("from the start of the process to ready", "the first ring to its 202", "the second")
    return Table(
        title="The first ring of a fresh process, in seconds",
        columns=("", "median", "worst"),
        rows=[row(name, seen) for name, seen in zip(names, zip(*rings, strict=True), strict=True)],
        note=f"{len(rings)} fresh processes of the local host, with Python already on the machine. Azure's own cold "
        "start, until the worker process begins, comes before it and is not in these numbers.",
    )
