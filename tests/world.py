"""A small world in one process: tenant, simulated Graph, simulated vendors, storage, and the product between them.

Graph and vendors speak HTTP, leases and slots are Azurite's. Time and the queues' transport are in the tests' hands: a
message hidden for hours comes back when the clock is moved there, so that nothing sleeps and every order can be made.
Tables are in memory, which `test_memory_tables.py` compares with Azurite; `TABLES=azurite pytest ...` tells every story
on Azurite's, in three times the time.
"""

from __future__ import annotations

import os
import textwrap
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from shared.clock import Clock
from shared.composition import Services, load_services
from shared.provisioning.accounts import Account, ResourceKind
from shared.provisioning.attempt import Outcome
from shared.provisioning.pulling import PullReport
from shared.storage.change_message import DirectoryChanged
from shared.storage.durable_writes import DurableWrite, Moment, Observer, unobserved
from shared.storage.queues import Message, Queues
from tests.provisioning.memory_tables import MemoryTables, Store
from tests.simulation.graph import GraphSimulator
from tests.simulation.tenant import Tenant
from tests.simulation.vendors import VendorSimulator

START = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


class HandClock(Clock):
    """A clock that only moves when it is told to, or when somebody sleeps."""

    __slots__ = ("elapsed",)

    def __init__(self) -> None:
        object.__setattr__(self, "elapsed", 0.0)

    def now(self) -> datetime:
        return START + timedelta(seconds=self.elapsed)

    def monotonic(self) -> float:
        return self.elapsed

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        object.__setattr__(self, "elapsed", self.elapsed + seconds)


@dataclass(slots=True)
class Queued:
    """A message in a hand-held queue."""

    due: float
    first: bool
    message: Message


class HandQueues(Queues):
    """Queues whose messages become visible by the hand-held clock."""

    def __init__(self, clock: HandClock, observer: Observer = unobserved) -> None:
        self.clock = clock
        self.waiting: list[Queued] = []
        self.changes: list[tuple[float, DirectoryChanged]] = []
        """Messages that the directory changed, and when each is visible."""
        self.calls: Counter[str] = Counter()
        self._observer = observer

    async def create_missing(self, apps: list[str]) -> None:
        return

    async def close(self) -> None:
        return

    async def send(self, write: DurableWrite, message: Message, *, first: bool = False, hidden_s: float = 0.0) -> None:
        self._observer(write, Moment.BEFORE)
        self.calls["send"] += 1
        # Through the codec, as a real queue would.
        copy = Message.decode(message.encode())
        self.waiting.append(Queued(self.clock.elapsed + hidden_s, first, copy))
        self._observer(write, Moment.AFTER)

    async def send_change(self, write: DurableWrite, message: DirectoryChanged, *, hidden_s: float = 0.0) -> None:
        self._observer(write, Moment.BEFORE)
        self.calls["send"] += 1
        self.changes.append((self.clock.elapsed + hidden_s, DirectoryChanged.decode(message.encode())))
        self._observer(write, Moment.AFTER)

    async def count(self, app: str, *, first: bool) -> int:
        self.calls["count"] += 1
        return sum(queued.first == first and queued.message.app == app for queued in self.waiting)

    def take(self) -> Queued | None:
        """The next visible message: the overtaking queue first, then in order of sending."""
        visible = [queued for queued in self.waiting if queued.due <= self.clock.elapsed]
        if not visible:
            return None
        chosen = min(visible, key=lambda queued: not queued.first)
        self.waiting.remove(chosen)
        return chosen


@dataclass(slots=True, kw_only=True)
class World:
    """Everything a test needs to tell a story and look at its end."""

    tenant: Tenant
    graph: GraphSimulator
    vendors: Mapping[str, VendorSimulator]
    clock: HandClock
    queues: HandQueues
    services: Services
    new_services: Callable[[Observer], Services]
    store: Store | None = None
    """Tables in memory; None: in Azurite."""
    outcomes: list[Outcome] = field(default_factory=list)

    async def sync(self) -> PullReport:
        """Run the sync once."""
        return await self.services.directory_sync.sync()

    async def deliver(self, limit: int = 10_000) -> int:
        """Deliver every visible message until none is left."""
        delivered = 0
        while delivered < limit and (queued := self.queues.take()) is not None:
            self.outcomes.append(await self.services.reconciler.provision(queued.message, first=queued.first))
            delivered += 1
        return delivered

    async def settle(self, *, within_s: float = 7200.0) -> None:
        """Deliver, moving the clock to every hidden message, with housekeeping on the way, until all is quiet."""
        until = self.clock.elapsed + within_s
        quiet = False
        while not quiet and self.clock.elapsed < until:
            await self.deliver()
            if self.queues.waiting:
                ahead = min(queued.due for queued in self.queues.waiting) - self.clock.elapsed
                self.clock.advance(max(ahead, 0.01))
                continue
            self.clock.advance(1000.0)
            await self.services.housekeeper.keep_house()
            quiet = not self.queues.waiting

    async def provision_all(self) -> None:
        """Sync and settle."""
        await self.sync()
        await self.settle()

    async def account(self, app: str, user_id: str) -> Account:
        """The account row of a user."""
        return await self.services.rows.read(app, ResourceKind.USER, user_id)

    async def log(self, app: str) -> list[dict[str, Any]]:
        """The provisioning log of an application, newest first."""
        rows = await self.services.tables.read_range("accounts", app, first="log:", before="log;")
        return [dict(row.values) for row in rows]

    def active(self, app: str) -> set[str]:
        """User names of the active accounts at a vendor."""
        return {
            str(found["userName"]).casefold()
            for found in self.vendors[app].resources("User")
            if found.get("active", True) and not found.get("_deleted")
        }

    def restart(self, observer: Observer = unobserved) -> None:
        """A new process: everything in memory is gone, storage and queues stay."""
        self.services = self.new_services(observer)


def names_of_enabled(world: World) -> set[str]:
    """User names of everybody who is enabled in the directory."""
    users = [world.tenant.user(user_id) for user_id in world.tenant.user_ids()]
    return {str(user["userPrincipalName"]).casefold() for user in users if user["accountEnabled"]}


def first_enabled(world: World) -> str:
    """The first user who is enabled in the directory."""
    return next(user_id for user_id in world.tenant.user_ids() if world.tenant.user(user_id)["accountEnabled"])


def minimal_configuration(app: str, vendor: VendorSimulator, service_principal_id: str, more: str = "") -> str:
    """A section of provisioning.yaml for a vendor that takes a bearer token."""
    text = f"""
      {app}:
        profile: scim
        service_principal_id: {service_principal_id}
        base_url: {vendor.base_url}
        auth: {{type: bearer, token: {app.upper()}_TOKEN}}
        deletion_guard: {{max_count: 1000, max_percent: 100, min_population: 0}}
    """
    return textwrap.dedent(text).strip("\n") + "\n" + textwrap.indent(textwrap.dedent(more).strip("\n"), "  ") + "\n"


@asynccontextmanager
async def open_world(
    folder: Path,
    *,
    azurite: str,
    prefix: str,
    tenant: Tenant,
    vendors: Mapping[str, VendorSimulator],
    configure: Callable[[Mapping[str, VendorSimulator], Tenant], str],
    clock: HandClock | None = None,
    environment: Mapping[str, str] | None = None,
    page_size: int = 100,
    in_memory: bool | None = None,
):
    """Start everything, yield the world, end everything. `in_memory` says where tables are in any case."""
    clock = clock or HandClock()
    if in_memory is None:
        in_memory = os.environ.get("TABLES") != "azurite"
    store = Store() if in_memory else None
    async with AsyncExitStack() as stack:
        graph = GraphSimulator(tenant, clock=clock.now, page_size=page_size)
        graph.start()
        stack.callback(graph.stop)
        for vendor in vendors.values():
            vendor.start()
            stack.callback(vendor.stop)
        written = configure(vendors, tenant)
        path = folder / "provisioning.yaml"
        path.write_text("version: 1\napplications:\n" + textwrap.indent(written, "  "), encoding="utf-8")
        settings = {
            "AzureWebJobsStorage": azurite,
            "GRAPH_BASE_URL": graph.base_url,
            "GRAPH_STATIC_TOKEN": "simulated",
            "PROVISIONING_CONFIG": str(path),
            **{f"{name.upper().replace('-', '_')}_TOKEN": vendor.token for name, vendor in vendors.items()},
            **(environment or {}),
        }
        queues = HandQueues(clock)
        built: list[Services] = []

        def new_services(observer: Observer = unobserved) -> Services:
            services = load_services(settings, clock=clock, observer=observer, table_prefix=prefix)
            queues._observer = observer
            if store is not None:
                services.__dict__["tables"] = MemoryTables(store, observer=observer)
            services.__dict__["queues"] = queues
            built.append(services)
            return services

        async def close_all() -> None:
            for services in built:
                await services.close()

        services = new_services()
        stack.push_async_callback(close_all)
        await services.prepare_storage()
        yield World(
            tenant=tenant,
            graph=graph,
            vendors=vendors,
            clock=clock,
            queues=queues,
            services=services,
            new_services=new_services,
            store=store,
        )
