"""A scheduler that decides who goes on: several processes of the product, interleaved at every storage call.

Each actor is a process of its own with its own caches. It stops at a gate before every storage call, before every
message it sends and after every answer of the vendor; the loom lets one of the waiting actors go on, chosen by a seed.
Time passes only between steps, and never between the last look at a lease and the request that follows it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from random import Random
from typing import Any

from shared.composition import Services
from shared.storage.durable_writes import DurableWrite, unobserved
from shared.storage.queues import Message
from shared.storage.tables import Operation, Row
from tests.provisioning.crash_points import Killed
from tests.provisioning.memory_tables import MemoryTables, Store
from tests.provisioning.stories import Stage, tame
from tests.provisioning.vendor_calls import ReadResponse
from tests.world import HandQueues

Work = Callable[[Services], Awaitable[Any]]


class Actor:
    """One process; `services` is replaced when it dies."""

    def __init__(self, name: str, loom: Loom) -> None:
        self.name = name
        self.loom = loom
        self.task: asyncio.Task[Any] | None = None
        self.parked: list[tuple[str, asyncio.Future[None]]] = []
        self.dying = False
        self.at_work = ""
        self.services = self._start()

    def _start(self) -> Services:
        return self.loom.new_services(self)

    async def gate(self, where: str) -> None:
        """Wait until the loom says go on; die instead when it says so."""
        if self.dying:
            raise Killed
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.parked.append((where, future))
        await future
        if self.dying:
            raise Killed

    def begin(self, what: str, work: Work) -> None:
        """Start a piece of work; it runs until it is done or the actor dies."""
        self.at_work = what
        self.task = asyncio.ensure_future(work(self.services))

    @property
    def is_idle(self) -> bool:
        """Whether it can take new work."""
        return self.task is None

    def step(self) -> str:
        """Go on from one of the gates it waits at."""
        where, future = self.parked.pop(self.loom.dice.randrange(len(self.parked)))
        future.set_result(None)
        return where

    async def die(self) -> None:
        """Everything in memory is gone; what is in storage stays."""
        self.dying = True
        while self.task is not None and not self.task.done():
            while self.parked:
                self.step()
            await asyncio.sleep(0)
        self.dying = False
        self.parked.clear()
        self.services = self._start()


class GatedTables(MemoryTables):
    """Tables of an actor."""

    def __init__(self, store: Store, actor: Actor) -> None:
        super().__init__(store)
        self._actor = actor

    async def read(self, table: str, partition: str, key: str) -> Row | None:
        """Read, when it is our turn."""
        await self._actor.gate(f"read {table}")
        return await super().read(table, partition, key)

    async def query(self, table: str, partition: str, **options: Any) -> AsyncIterator[list[Row]]:
        """Query, when it is our turn."""
        await self._actor.gate(f"query {table}")
        async for page in super().query(table, partition, **options):
            yield page

    async def commit(
        self, write: DurableWrite, table: str, partition: str, operations: Sequence[Operation]
    ) -> dict[str, str]:
        """Write, when it is our turn."""
        await self._actor.gate(write.name)
        return await super().commit(write, table, partition, operations)


class GatedQueues(HandQueues):
    """Queues of an actor: what is waiting is everybody's."""

    def __init__(self, shared: HandQueues, actor: Actor) -> None:
        super().__init__(shared.clock)
        self.waiting = shared.waiting
        self._actor = actor

    async def send(self, write: DurableWrite, message: Message, *, first: bool = False, hidden_s: float = 0.0) -> None:
        """Send, when it is our turn."""
        await self._actor.gate(write.name)
        await super().send(write, message, first=first, hidden_s=hidden_s)


class Loom:
    """The actors of one stage."""

    def __init__(self, stage: Stage, names: Sequence[str], *, seed: int) -> None:
        assert stage.world.store is not None
        self.stage = stage
        self.dice = Random(seed)
        self.requests = 0
        self.trace: list[str] = []
        self._graph = _count_reads(stage.world.services.graph, self)
        self.actors = [Actor(name, self) for name in names]

    def new_services(self, actor: Actor) -> Services:
        """A process whose every outward step goes through the gate."""
        world, store = self.stage.world, self.stage.world.store
        assert store is not None
        services = world.new_services(unobserved)
        services.__dict__["graph"] = self._graph
        services.__dict__["tables"] = GatedTables(store, actor)
        services.__dict__["queues"] = GatedQueues(world.queues, actor)
        tame(services)
        services.connections._new_http = self._counted_http(services.connections._new_http)
        send = services.reconciler.exporter.send

        async def gated_send(attempt: Any) -> Any:
            answer = await send(attempt)
            await actor.gate("answered")
            return answer

        services.reconciler.exporter.send = gated_send
        return services

    def _counted_http(self, new_http: Callable[[], Any]) -> Callable[[], Any]:
        def build() -> Any:
            client = new_http()
            send = client.send

            async def counted(*arguments: Any, **options: Any) -> Any:
                self.requests += 1
                try:
                    response = await send(*arguments, **options)
                    await response.aread()
                finally:
                    self.requests -= 1
                return ReadResponse(response)

            client.send = counted
            return client

        return build

    async def rest(self) -> None:
        """Wait until every actor waits at a gate or has nothing to do."""
        still = 0
        while still < 12:
            await asyncio.sleep(0)
            still = 0 if self.requests else still + 1
        for actor in self.actors:
            if actor.task is not None and actor.task.done():
                task, actor.task = actor.task, None
                error = task.exception()
                if error is not None and not isinstance(error, Killed):
                    raise error

    async def step(self) -> bool:
        """Let one waiting actor go on; False when none waits."""
        waiting = [actor for actor in self.actors if actor.parked]
        if not waiting:
            return False
        actor = self.dice.choice(waiting)
        self.trace.append(f"{actor.name} ({actor.at_work}): {actor.step()}")
        await self.rest()
        return True

    async def finish(self) -> None:
        """Let everybody end what they are at."""
        await self.rest()
        for _ in range(5000):
            if not await self.step():
                return
        raise AssertionError("the actors do not come to an end")


def _count_reads(graph: Any, loom: Loom) -> Any:
    """Graph, with its requests under way counted."""
    read = graph.read

    async def counted(url: str) -> dict[str, Any]:
        loom.requests += 1
        try:
            return await read(url)
        finally:
            loom.requests -= 1

    graph.read = counted
    return graph
