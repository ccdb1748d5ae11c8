"""Carries a plan out: changes, strikes and faults side by side, each in its own order."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

import httpx

from shared.storage.tables import StorageUnavailable
from tests.simulation.demo.connected import CONNECTED
from tests.simulation.demo.judging import Judge
from tests.simulation.demo.progress import Progress, read_progress
from tests.simulation.demo.stage import Stage, in_thread
from tests.simulation.graph.faults import Fault as GraphFault
from tests.simulation.soak.plan import Plan, PlannedChange, PlannedFault, PlannedStrike, Strike
from tests.simulation.soak.staff import Staff

LOOK_EVERY_S = 2.0
_TITLES = {connected.name: connected.title for connected in CONNECTED}


class _Planned(Protocol):
    @property
    def at_s(self) -> float: ...


Each = TypeVar("Each", bound=_Planned)


class Load:
    """One soak while it lasts; afterwards, what was done."""

    def __init__(self, stage: Stage, staff: Staff, judge: Judge, *, say: Callable[[str], None]) -> None:
        self._stage = stage
        self._staff = staff
        self._judge = judge
        self._say = say
        self._at_graph: list[tuple[str, GraphFault]] = []
        self.changes: Counter[str] = Counter()
        """Changes of the directory by kind."""
        self.strikes: Counter[str] = Counter()
        """What was done to processes."""
        self.deaths = 0
        """How often the function host had ended by itself."""

    @property
    def faults_at_graph(self) -> Counter[str]:
        """Requests to Graph that met a fault, by its name."""
        met: Counter[str] = Counter()
        for name, fault in self._at_graph:
            met[name] += fault.hits
        return +met

    async def run(self, plan: Plan, *, show: Callable[[Sequence[Progress]], None]) -> None:
        """Carries the plan out, then takes every fault away and leaves everything running."""
        began = time.monotonic()
        try:
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(self._watch(show))
                async with asyncio.TaskGroup() as doing:
                    doing.create_task(self._in_time(plan.changes, self._change, began=began))
                    doing.create_task(self._in_time(plan.faults, self._make_weather, began=began))
                    doing.create_task(self._in_time(plan.strikes, self._strike, began=began))
                watching.cancel()
        except BaseExceptionGroup as several:
            raise _first(several) from several
        await self._calm_down()

    async def _in_time(self, planned: Sequence[Each], do: Callable[[Each], Awaitable[None]], *, began: float) -> None:
        for each in planned:
            await asyncio.sleep(max(0.0, began + each.at_s - time.monotonic()))
            await do(each)

    async def _change(self, planned: PlannedChange) -> None:
        if self._staff.change(planned.change):
            self.changes[planned.change] += 1
            self._judge.note_passing()

    async def _make_weather(self, planned: PlannedFault) -> None:
        fault = planned.fault
        if not planned.vendor:
            self._at_graph.append(
                (fault.name, self._stage.graph.faults.add(fault.kind, times=fault.times, **fault.options))
            )
            return
        try:
            await self._stage.vendors.add_fault(
                planned.vendor, fault.kind, called=fault.name, times=fault.times, **fault.options
            )
        except httpx.TransportError:
            # It is being restarted: bad weather enough.
            return

    async def _strike(self, planned: PlannedStrike) -> None:
        self.strikes[planned.strike] += 1
        match planned.strike:
            case Strike.HOST_KILLED:
                self._say(f"[red]kill -9[/red] of the function host (process {self._stage.host.pid})")
                self._note_death()
                await in_thread(self._stage.host.kill)
                await asyncio.sleep(planned.down_s)
                await in_thread(self._stage.host.start_again)
            case Strike.STORAGE_RESTARTED:
                self._say(f"[yellow]restart[/yellow] of Azurite (process {self._stage.storage.pid})")
                await in_thread(self._stage.storage.restart)
            case Strike.VENDOR_RESTARTED:
                process = self._stage.vendors.process_of(planned.vendor)
                self._say(f"[yellow]restart[/yellow] of {_TITLES[planned.vendor]} (process {process.pid})")
                await in_thread(process.end)
                await asyncio.sleep(planned.down_s)
                await in_thread(process.begin_again)

    async def _calm_down(self) -> None:
        self._stage.graph.faults.clear()
        for connected in CONNECTED:
            await self._stage.vendors.lift_faults(connected.name)
        if self._note_death():
            await in_thread(self._stage.host.start_again)

    def _note_death(self) -> bool:
        has_ended = self._stage.host_has_ended()
        if has_ended:
            self.deaths += 1
            self._say("[red]the function host has ended by itself[/red]")
        return has_ended

    async def _watch(self, show: Callable[[Sequence[Progress]], None]) -> None:
        names = [connected.name for connected in CONNECTED]
        while True:
            # Storage may be away for a restart.
            with contextlib.suppress(StorageUnavailable):
                show([await read_progress(self._stage.services, name) for name in names])
            await asyncio.sleep(LOOK_EVERY_S)


def _first(several: BaseExceptionGroup[BaseException]) -> BaseException:
    inner = several.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
