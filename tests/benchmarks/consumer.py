"""The consumer: accounts a second by one process against a vendor that answers after 20 ms, without a rate limit.

Measured: creates (a look-up and a POST each), updates (a PATCH each) and accounts where nothing changed (no request),
from the first message fetched to the last one deleted. The process that is measured runs the product's consumer and
nothing else, as the platform's worker does; a process beside it plays the host: it fetches from the real queue in
batches of 16 when 8 or fewer are left (host.json), hands over the text and deletes the message afterwards. Queues and
tables are Azurite's, the vendor has its own process. CPU time is the worker's. Beside it, in the same run, a bare
httpx loop in a process of its own sends the same requests, 24 in flight.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from shared.composition import Services
from shared.directory.mirror import DIRECTORY, user_partition, user_row
from shared.provisioning.accounts import ACCOUNTS, Number, ResourceKind, account_key, make_number, raise_columns
from shared.storage.durable_writes import DurableWrite
from shared.storage.queue_names import queue_name
from shared.storage.queues import Message
from shared.storage.tables import Operation, gather_all
from tests.benchmarks.machine import Usage
from tests.benchmarks.separate import run_apart, serve_apart
from tests.benchmarks.tables import Table, number
from tests.benchmarks.tenants import APPLICATION, NO_PRINCIPAL, environment, new_services
from tests.benchmarks.vendor import serve_vendor
from tests.simulation.azurite import Azurite
from tests.simulation.graph.people import draw_user

ACCOUNTS_COUNT = 1000
BATCH, THRESHOLD = 16, 8
IN_FLIGHT = BATCH + THRESHOLD
_NO_GRAPH = f"http://127.0.0.1:9/v1.0 {NO_PRINCIPAL}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One kind of work."""

    name: str
    outcome: str
    """What every message must end with."""
    change: Callable[[dict[str, Any]], dict[str, Any]] | None
    """What happens to each source user; None: nothing."""


PHASES = (
    Phase(name="create", outcome="new", change=lambda user: user),
    Phase(name="update", outcome="attributes_changed", change=lambda user: {**user, "jobTitle": "Changed"}),
    Phase(name="unchanged", outcome="RedundantExport", change=None),
)


def measure(users: int | None) -> list[Table]:
    """Answers with the table of this benchmark."""
    count = users or ACCOUNTS_COUNT
    with Azurite.in_memory() as azurite, serve_apart(serve_vendor) as vendor, tempfile.TemporaryDirectory() as folder:
        seen = asyncio.run(run_phases(Path(folder), azurite.connection_string, vendor, count))
    with serve_apart(serve_vendor) as vendor:
        bare = run_apart(run_bare, vendor, count)
    rows = [_row(phase.name, count, seen[phase.name], bare.get(phase.name)) for phase in PHASES]
    return [
        Table(
            title=f"Consumer: {count:,} accounts, a vendor that answers after 20 ms",
            columns=(
                "accounts",
                "per second",
                "CPU ms/account",
                "bare httpx per second",
                "bare CPU ms/account",
                "CPU ratio",
                "storage calls/account",
                "memory +MB",
            ),
            rows=rows,
            note=f"One worker process, at most {IN_FLIGHT} in flight; queue calls are the host's, as in Azure.",
        )
    ]


def _row(name: str, count: int, seen: Mapping[str, Any], bare: Mapping[str, Any] | None) -> tuple[str, ...]:
    cpu_ms = seen["cpu_s"] * 1000 / count
    bare_ms = bare["cpu_s"] * 1000 / count if bare else 0.0
    return (
        name,
        number(count / seen["wall_s"]),
        number(cpu_ms),
        number(count / bare["wall_s"]) if bare else "no request",
        number(bare_ms) if bare else "",
        number(cpu_ms / bare_ms) if bare else "",
        number(seen["calls"] / count),
        number(seen["growth_mb"]),
    )


async def run_phases(
    folder: Path, storage: str, vendor: str, count: int, settings: Mapping[str, str] = MappingProxyType({})
) -> dict[str, dict[str, Any]]:
    """Answers with what a worker used in each phase; `settings` are further ones of the worker."""
    services = new_services(folder, storage=storage, graph=_NO_GRAPH, vendor_url=vendor)
    await services.prepare_storage()
    await services.states.publish_configuration(services.applications[APPLICATION])
    users = [draw_user(1, 50 * (index // 14) + 10 + index % 14) for index in range(count)]
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.benchmarks.worker",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={
            **environment(folder / "provisioning.yaml", storage=storage, graph_url=_NO_GRAPH.split(maxsplit=1)[0]),
            **settings,
        },
    )
    results = {}
    for at, phase in enumerate(PHASES, 1):
        if phase.change is not None:
            users = [phase.change(user) for user in users]
        await raise_users(services, users, make_number(1, at), writes_mirror=phase.change is not None)
        results[phase.name] = await _pump(services, worker, count, phase.outcome)
    assert worker.stdin is not None
    worker.stdin.close()
    await worker.wait()
    await services.close()
    return results


async def raise_users(
    services: Services, users: list[dict[str, Any]], at: Number, *, writes_mirror: bool = True, enqueues: bool = True
) -> None:
    """Puts users into the mirror, raises their rows and fills the queue: what a sync would do."""
    partitions: dict[str, list[Operation]] = {}
    for user in users if writes_mirror else ():
        attributes = {name: value for name, value in user.items() if name != "id"}
        _, values = user_row(attributes, removal=None, number=at, round_id="")
        partitions.setdefault(user_partition(user["id"]), []).append(Operation.replace(f"{user['id']}:user", values))
    for partition, operations in partitions.items():
        await services.tables.commit_all(DurableWrite.MIRROR, DIRECTORY, partition, operations)
    rows = [
        Operation.merge(
            account_key(ResourceKind.USER, user["id"]), raise_columns(at, staged=False, queued_at=None, trace="")
        )
        for user in users
    ]
    await services.tables.commit_all(DurableWrite.RAISE, ACCOUNTS, APPLICATION, rows)
    messages = [Message(app=APPLICATION, kind=ResourceKind.USER, id=user["id"]) for user in users] if enqueues else []
    for start in range(0, len(messages), 8):
        await gather_all(
            [services.queues.send(DurableWrite.ENQUEUE, message) for message in messages[start : start + 8]]
        )


async def _pump(services: Services, worker: asyncio.subprocess.Process, count: int, expected: str) -> dict[str, Any]:
    """Plays the host for `count` messages; answers with what the worker used meanwhile."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    queue = services.queues._client(queue_name(APPLICATION, first=False))
    worker.stdin.write(b"start\n")
    await worker.stdin.drain()
    await worker.stdout.readline()
    fetched: dict[str, Any] = {}
    outcomes: Counter[str] = Counter()
    deletions: set[asyncio.Task[None]] = set()
    started = time.perf_counter()
    while outcomes.total() < count:
        if len(fetched) <= THRESHOLD and outcomes.total() + len(fetched) < count:
            async for message in queue.receive_messages(
                messages_per_page=BATCH, max_messages=BATCH, visibility_timeout=600
            ):
                fetched[message.id] = message
                line = {"id": message.id, "text": _decoded(message.content)}
                worker.stdin.write(json.dumps(line).encode() + b"\n")
            await worker.stdin.drain()
        settled = json.loads(await worker.stdout.readline())
        outcomes[settled["reason"]] += 1
        task = asyncio.create_task(queue.delete_message(fetched.pop(settled["id"])))
        deletions.add(task)
        task.add_done_callback(deletions.discard)
    await asyncio.gather(*deletions)
    wall_s = time.perf_counter() - started
    worker.stdin.write(b"stop\n")
    await worker.stdin.drain()
    used = json.loads(await worker.stdout.readline())
    if outcomes != {expected: count}:
        raise RuntimeError(f"expected {count} times {expected}, saw {dict(outcomes)}")
    return {**used, "wall_s": wall_s}


def _decoded(content: str) -> str:
    return base64.b64decode(content).decode()


def run_bare(vendor: str, count: int) -> dict[str, dict[str, float]]:
    """The same requests without the product; runs in a process of its own."""
    return asyncio.run(_run_bare(vendor, count))


async def _run_bare(vendor: str, count: int) -> dict[str, dict[str, float]]:
    import httpx

    names = [f"person{index}@contoso.example" for index in range(count)]
    ids: dict[str, str] = {}
    limits = httpx.Limits(max_connections=IN_FLIGHT, max_keepalive_connections=IN_FLIGHT)
    async with httpx.AsyncClient(limits=limits, headers={"authorization": "Bearer benchmark"}) as http:

        async def create(name: str) -> None:
            await http.get(f"{vendor}/Users", params={"filter": f'userName eq "{name}"'})
            created = await http.post(f"{vendor}/Users", json=_resource(name))
            ids[name] = created.json()["id"]

        async def update(name: str) -> None:
            operation = {"op": "replace", "path": "title", "value": "Changed"}
            answer = await http.patch(f"{vendor}/Users/{ids[name]}", json={"Operations": [operation]})
            answer.json()

        return {"create": await _timed(create, names), "update": await _timed(update, names)}


async def _timed(act: Callable[[str], Any], names: Iterable[str]) -> dict[str, float]:
    left = iter(names)

    async def lane() -> None:
        for name in left:
            await act(name)

    usage = Usage()
    await asyncio.gather(*(lane() for _ in range(IN_FLIGHT)))
    return usage.stop().figures()


def _resource(name: str) -> dict[str, Any]:
    """About what the mapping of the profile sends."""
    return {
        "schemas": [
            "urn:ietf:params:scim:schemas:core:2.0:User",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
        ],
        "userName": name,
        "externalId": name,
        "active": True,
        "displayName": name,
        "title": "Engineer",
        "preferredLanguage": "en-GB",
        "name": {"givenName": "Person", "familyName": name},
        "emails": [{"type": "work", "value": name, "primary": True}],
        "addresses": [{"type": "work", "streetAddress": "1 Main Street", "locality": "Berlin", "postalCode": "10115"}],
        "phoneNumbers": [{"type": "work", "value": "+49 5550000"}, {"type": "mobile", "value": "+49 7700000"}],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"employeeNumber": "1", "department": "IT"},
    }
