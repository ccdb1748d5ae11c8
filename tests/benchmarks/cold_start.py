"""Cold start: what the platform pays to index the app, and what the first message pays.

Measured in fresh processes, taking turns: wall and CPU time of importing `function_app` (settings and
provisioning.yaml read, everything registered), against importing azure.functions, pydantic and yaml alone, which no
version of it could do without; and how many modules each leaves loaded. Then, on the local function host in a fresh
process: the first invocation of a provisioning function, in which the SDKs are imported and every connection opened.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks.separate import run_apart, serve_apart
from tests.benchmarks.tables import Table, number
from tests.benchmarks.tenants import APPLICATION, NO_PRINCIPAL, environment, write_configuration
from tests.benchmarks.vendor import serve_vendor
from tests.simulation.azurite import ROOT, Azurite
from tests.simulation.ingestion import taking_telemetry

RUNS = 7
BASELINE = "azure.functions, pydantic, yaml"
SDKS = (
    "msgraph",
    "kiota_http",
    "azure.identity",
    "azure.storage",
    "azure.data",
    "azure.core",
    "httpx",
    "lark",
    "regex",
)
_PROGRAM = """
import sys, time, json
before = len(sys.modules)
wall, cpu = time.perf_counter(), time.process_time()
import {modules}
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
loaded = [name for name in {sdks!r} if name in sys.modules]
print(json.dumps([wall * 1000, cpu * 1000, len(sys.modules) - before, loaded]))
"""


def measure(_users: int | None) -> list[Table]:
    """Answers with the tables of this benchmark."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_configuration(
            Path(folder), principal_id=NO_PRINCIPAL, scope="all", vendor_url="http://127.0.0.1:9/scim/v2"
        )
        settings = environment(path, storage="UseDevelopmentStorage=true", graph_url="http://127.0.0.1:9/v1.0")
        subjects = (BASELINE, "function_app")
        seen: dict[str, list[Any]] = {subject: [] for subject in subjects}
        for _ in range(RUNS + 1):
            for subject in subjects:
                seen[subject].append(_import_apart(subject, settings))
    # The first turn writes byte code and fills the page cache.
    walls = {subject: statistics.median(run[0] for run in runs[1:]) for subject, runs in seen.items()}
    rows = [
        (
            f"import {subject}",
            number(walls[subject]),
            number(statistics.median(run[1] for run in runs[1:])),
            str(runs[-1][2]),
            ", ".join(runs[-1][3]) or "none",
            f"{walls[subject] / walls[BASELINE]:.2f}",
        )
        for subject, runs in seen.items()
    ]
    return [
        Table(
            title="Cold start",
            columns=("", "wall ms", "CPU ms", "modules", "SDKs loaded", "ratio"),
            rows=rows,
            note=f"Median of {RUNS} fresh processes each, taking turns.",
        ),
        _measure_first_invocation(),
    ]


def _import_apart(modules: str, settings: dict[str, str]) -> Any:
    program = _PROGRAM.format(modules=modules, sdks=SDKS)
    finished = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={"PATH": os.environ.get("PATH", os.defpath), **settings},
        capture_output=True,
        check=True,
    )
    return json.loads(finished.stdout)


def _measure_first_invocation() -> Table:
    runs: dict[str, list[Any]] = {"": [], ", with Application Insights": []}
    with (
        Azurite.in_memory() as azurite,
        serve_apart(serve_vendor) as vendor,
        taking_telemetry() as endpoint,
    ):
        for at in range(6):
            kind = list(runs)[at % 2]
            insights = endpoint.connection_string if kind else ""
            runs[kind].append(run_apart(run_first_invocation, azurite.connection_string, vendor, at, insights))
    return Table(
        title="First invocations on the local host",
        columns=("", "first ms", "second ms"),
        rows=[
            (
                f"provision-{APPLICATION}, one account created{kind}",
                number(statistics.median(run[0] for run in each)),
                number(statistics.median(run[1] for run in each)),
            )
            for kind, each in runs.items()
        ],
        note="Median of 3 fresh processes each; a look-up and a create at a vendor that answers each after 20 ms.",
    )


def run_first_invocation(storage: str, vendor: str, turn: int, insights: str) -> list[float]:
    """Milliseconds of the first two invocations of a provisioning function; runs in a process of its own."""
    import asyncio

    with tempfile.TemporaryDirectory() as folder:
        path = write_configuration(Path(folder), principal_id=NO_PRINCIPAL, scope="all", vendor_url=vendor)
        settings = environment(path, storage=storage, graph_url="http://127.0.0.1:9/v1.0")
        people = _raise_in_advance(settings, turn)
        os.environ.update(settings | {"APPLICATIONINSIGHTS_CONNECTION_STRING": insights})
        return asyncio.run(_run_first_invocation(settings, people))


def _raise_in_advance(settings: dict[str, str], turn: int) -> list[str]:
    """Two people in the mirror with raised rows, written by yet another process: this one must stay cold."""
    return list(run_apart(raise_people, settings, turn))


def raise_people(settings: dict[str, str], turn: int) -> list[str]:
    """Writes two people and their raised rows; answers with their ids."""
    import asyncio

    return asyncio.run(_raise_people(settings, turn))


async def _raise_people(settings: dict[str, str], turn: int) -> list[str]:
    from shared.composition import load_services
    from shared.provisioning.accounts import make_number
    from tests.benchmarks.consumer import raise_users
    from tests.simulation.graph.people import draw_user

    services = load_services(settings)
    await services.prepare_storage()
    await services.states.publish_configuration(services.applications[APPLICATION])
    users = [draw_user(1, 50 * turn + 10 + index) for index in range(2)]
    await raise_users(services, users, make_number(1, 1 + turn), enqueues=False)
    await services.close()
    return [user["id"] for user in users]


async def _run_first_invocation(settings: dict[str, str], people: list[str]) -> list[float]:
    from tests.simulation.host.functions import read_functions
    from tests.simulation.host.runtime import Invocation, Runtime, TypedData

    runtime = Runtime(ROOT)
    functions = read_functions(await runtime.index(), settings)
    function = next(each for each in functions if each.name == f"provision-{APPLICATION}")
    spent: list[float] = []
    for user_id in people:
        text = json.dumps({"v": 1, "app": APPLICATION, "kind": "user", "id": user_id, "attempt": 1, "trace": ""})
        invocation = Invocation(data=TypedData(string=text), metadata={"DequeueCount": TypedData(json="1")})
        result = await runtime.invoke(function, invocation, 60)
        if not result.succeeded:
            raise RuntimeError(result.error)
        spent.append(result.duration_s * 1000)
    return spent
