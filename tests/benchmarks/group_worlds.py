"""A group at a vendor, everything in sync, and what is measured of it; each function runs in a process of its own."""

from __future__ import annotations

import asyncio
import gc
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.composition import Services
from shared.directory.mirror import DIRECTORY, members_partition
from shared.provisioning.accounts import (
    ACCOUNTS,
    AccountState,
    ResourceKind,
    account_key,
    make_number,
    member_key,
    write_columns,
)
from shared.storage.durable_writes import DurableWrite
from shared.storage.queues import Message, Queues
from shared.storage.tables import Operation
from tests.benchmarks.machine import Usage
from tests.benchmarks.tenants import APPLICATION, call, control_of, hide_everything, new_services
from tests.provisioning.memory_tables import MemoryTables, Store

JOINS = LEAVES = 50
CHANGES = JOINS + LEAVES
RUNS = 5
BYSTANDERS = JOINS * (RUNS + 1)
"""People who have accounts and are not in the group at first."""

GROUP = "Everybody"
BEFORE = make_number(1, 1)
"""The number of what was written directly."""

CONFIGURATION = """
groups: {enabled: true}
rate_limit: {requests_per_second: 200}
"""

KINDS = ("read", "query", "commit")
"""What is asked of tables, as `Tables.calls` names it."""

Figures = dict[str, float]


class ListedQueues(Queues):
    """Messages in a list, visible at once; calls are counted."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.waiting: list[Message] = []

    async def create_missing(self, apps: list[str]) -> None:
        """There is nothing to create."""

    async def close(self) -> None:
        """There is no connection."""

    async def send(self, write: DurableWrite, message: Message, *, first: bool = False, hidden_s: float = 0.0) -> None:
        """Add a message."""
        self.calls["send"] += 1
        self.waiting.append(message)

    async def count(self, app: str, *, first: bool) -> int:
        """Answer how many messages there are."""
        self.calls["count"] += 1
        return len(self.waiting)


@dataclass(slots=True, kw_only=True)
class GroupWorld:
    """The product, the people, and the group."""

    services: Services
    queues: ListedQueues
    control: str
    vendor: str
    people: list[str]
    group_id: str = ""
    members: set[str] = field(default_factory=set)

    async def create_group(self, count: int) -> None:
        """Somebody makes a group of the first `count` people."""
        self.members = set(self.people[:count])
        given = {"args": [GROUP], "members": self.people[:count]}
        self.group_id = (await asyncio.to_thread(call, f"{self.control}/tenant/create_group", given))["result"]

    async def change(self, run: int) -> None:
        """50 others join the group, and 50 leave it, evenly spread."""
        staying = [user_id for user_id in self.people if user_id in self.members]
        leave = staying[run :: len(staying) // LEAVES][:LEAVES]
        join = [user_id for user_id in self.people if user_id not in self.members][:JOINS]
        for mutator, user_ids in (("add_member", join), ("remove_member", leave)):
            for user_id in user_ids:
                await asyncio.to_thread(call, f"{self.control}/tenant/{mutator}", {"args": [self.group_id, user_id]})
        self.members = self.members - set(leave) | set(join)

    async def pull(self) -> None:
        """Sync until nothing is left."""
        while (await self.services.puller.pull()).outcome == "to be continued":
            pass

    async def deliver(self) -> None:
        """Deliver messages until none is left."""
        while self.queues.waiting:
            await self.services.reconciler.provision(self.queues.waiting.pop(0), first=False)

    async def measure(self, act: Callable[[], Awaitable[None]]) -> Figures:
        """What something takes."""
        services = self.services
        counters = (services.tables.calls, services.queues.calls, services.graph.requests)
        for counter in counters:
            counter.clear()
        before = await self._vendor_requests()
        # Rows of tables in memory are not the product's garbage to look through.
        gc.collect()
        gc.freeze()
        usage = Usage()
        await act()
        usage.stop()
        tables, queues, graph = counters
        after = await self._vendor_requests()
        by_kind = {kind: sum(n for name, n in tables.items() if name.endswith(kind)) for kind in KINDS}
        return {
            "wall_ms": usage.wall_s * 1000,
            "cpu_ms": usage.cpu_s * 1000,
            "growth_mb": usage.growth_mb,
            **by_kind,
            "queues": queues.total(),
            "graph": graph.total(),
            "vendor": after - before,
        }

    async def _vendor_requests(self) -> int:
        return sum((await asyncio.to_thread(call, f"{self.vendor}/_requests")).values())

    async def check(self) -> None:
        """Raises RuntimeError unless everybody's membership was sent and nothing is left to do."""
        tables = self.services.tables
        group = await self.services.rows.read(APPLICATION, ResourceKind.GROUP, self.group_id)
        prefix = member_key(self.group_id, "")
        sent = await tables.read_range(ACCOUNTS, APPLICATION, first=prefix, before=f"{prefix[:-1]};")
        changes = await tables.read_range(ACCOUNTS, APPLICATION, first="change:", before="change;")
        is_right = {row.key.removeprefix(prefix) for row in sent} == self.members and group.members == len(sent)
        if group.pending or group.error_code or changes or not is_right:
            raise RuntimeError(
                f"the group of {len(self.members)} ended as {group.state} {group.error_code} {group.error} with "
                f"{len(sent)} memberships sent and {len(changes)} left to look at"
            )


def run_changes(storage: str, graph: str, vendor: str, count: int) -> list[dict[str, Figures]]:
    """`RUNS` times a hundred changes in a group of `count` that is in sync: figures of sync and consumer."""
    return asyncio.run(_run_changes(storage, graph, vendor, count))


def run_fill(storage: str, graph: str, vendor: str, count: int) -> list[dict[str, Figures]]:
    """A group of `count` people with accounts becomes known: figures of sync and consumer."""
    return asyncio.run(_run_fill(storage, graph, vendor, count))


async def _run_changes(storage: str, graph: str, vendor: str, count: int) -> list[dict[str, Figures]]:
    seen: list[dict[str, Figures]] = []
    async with _open_world(storage, graph, vendor) as world:
        await world.create_group(count)
        await _begin(world)
        await _write_group(world)
        for run in range(RUNS + 1):
            await world.change(run)
            seen.append({"sync": await world.measure(world.pull), "consumer": await world.measure(world.deliver)})
            await world.check()
    # The first run loads the SDKs, connects, and lets the product write the rows of the group itself.
    return seen[1:]


async def _run_fill(storage: str, graph: str, vendor: str, count: int) -> list[dict[str, Figures]]:
    async with _open_world(storage, graph, vendor) as world:
        await _begin(world)
        await world.create_group(count)
        seen = {"sync": await world.measure(world.pull), "consumer": await world.measure(world.deliver)}
        await world.check()
    return [seen]


@asynccontextmanager
async def _open_world(storage: str, graph: str, vendor: str) -> AsyncIterator[GroupWorld]:
    """The product; `storage` is a connection string, or empty for tables in memory."""
    with tempfile.TemporaryDirectory() as folder:
        services = new_services(
            Path(folder),
            # Nothing connects to it where tables are in memory.
            storage=storage or "UseDevelopmentStorage=true",
            graph=graph,
            vendor_url=vendor,
            more=CONFIGURATION,
        )
        queues = ListedQueues()
        services.__dict__["queues"] = queues
        if not storage:
            services.__dict__["tables"] = MemoryTables(Store())
        control = control_of(graph.split(maxsplit=1)[0])
        people = call(f"{control}/tenant/users")["ids"]
        await services.prepare_storage()
        try:
            yield GroupWorld(services=services, queues=queues, control=control, vendor=vendor, people=people)
        finally:
            await services.close()


async def _begin(world: GroupWorld) -> None:
    """The product reads a directory that shows nobody yet; everybody's account is in sync."""
    await asyncio.to_thread(hide_everything, f"{world.control.removesuffix('/_sim')}/v1.0")
    await world.pull()
    config = world.services.applications[APPLICATION].config_hash
    rows = [
        Operation.insert(
            account_key(ResourceKind.USER, user_id),
            _in_sync(config) | write_columns(target_id=target_of(user_id), sent=_sent(user_id)),
        )
        for user_id in world.people
    ]
    await world.services.tables.commit_all(DurableWrite.SAVE, ACCOUNTS, APPLICATION, rows)


async def _write_group(world: GroupWorld) -> None:
    """The group as it is after its first fill: at the vendor, in the mirror, and what was sent."""
    tables, group_id = world.services.tables, world.group_id
    answer = await asyncio.to_thread(call, f"{world.vendor}/Groups", {"displayName": GROUP})
    config = world.services.applications[APPLICATION].config_hash
    tracked = Operation.insert(group_id, {"tracked": True, "removal": "", "round": "", "number": BEFORE})
    await tables.commit(DurableWrite.MIRROR, DIRECTORY, "group", [tracked])
    mirrored = [Operation.insert(user_id, {"gone": False, "number": BEFORE}) for user_id in world.members]
    await tables.commit_all(DurableWrite.MIRROR, DIRECTORY, members_partition(group_id), mirrored)
    sent = [
        Operation.insert(member_key(group_id, user_id), {"of": answer["id"], "target": target_of(user_id)})
        for user_id in world.members
    ]
    group = Operation.insert(
        account_key(ResourceKind.GROUP, group_id),
        _in_sync(config)
        | write_columns(target_id=answer["id"], members=len(sent), sent={"displayName": GROUP, "externalId": group_id}),
    )
    await tables.commit_all(DurableWrite.SAVE, ACCOUNTS, APPLICATION, [*sent, group])


def _in_sync(config: str) -> dict[str, Any]:
    return write_columns(
        wanted=BEFORE, applied=BEFORE, tried=BEFORE, pending=False, config=config, state=AccountState.IN_SYNC
    )


def _sent(user_id: str) -> dict[str, str]:
    """About as long as what a mapping sends."""
    return {f"attribute{at}": user_id for at in range(12)}


def target_of(user_id: str) -> str:
    """The id of somebody's account at the vendor."""
    return f"account-{user_id}"
