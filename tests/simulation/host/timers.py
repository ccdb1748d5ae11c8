"""Pumps one timer: a lease so that one host runs it, a status blob so that a missed run is made up once.

Runs never overlap: the next one is armed when the last one ended. A failed run is not repeated; the next one comes when
it is due. Many missed runs are one late run.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.blob.aio import ContainerClient

from tests.simulation.host.functions import Function
from tests.simulation.host.leases import LEASE_S, SingletonLease
from tests.simulation.host.runtime import Invocation, InvocationResult, TypedData
from tests.simulation.host.schedules import Schedule

log = logging.getLogger("host.timers")

NEVER = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerStatus:
    """What the platform remembers of a timer. `last` is NEVER before its first run."""

    last: datetime
    next: datetime
    last_updated: datetime

    def as_json(self) -> dict[str, str]:
        """Answers with the shape of the status blob and of a timer function's `schedule_status`."""
        return {
            "Last": self.last.isoformat(),
            "Next": self.next.isoformat(),
            "LastUpdated": self.last_updated.isoformat(),
        }

    @classmethod
    def from_json(cls, content: dict[str, str]) -> "TimerStatus":
        """Answers with the status that a blob holds. Raises: ValueError, KeyError."""
        last, following, updated = (datetime.fromisoformat(content[key]) for key in ("Last", "Next", "LastUpdated"))
        return cls(last=last, next=following, last_updated=updated)


def status_at_start(schedule: Schedule, remembered: TimerStatus | None, now: datetime) -> TimerStatus:
    """Answers with the status a starting timer has: its `next` is in the past exactly if a run was missed.

    A schedule that was changed since then is not late: its next run is counted from now.
    """
    if remembered is None:
        return TimerStatus(last=NEVER, next=schedule.next_after(now), last_updated=now)
    since = remembered.last if remembered.last != NEVER else remembered.last_updated
    expected = schedule.next_after(since)
    if expected == remembered.next:
        return remembered
    following = schedule.next_after(now) if now > expected else expected
    return TimerStatus(last=NEVER, next=following, last_updated=since)


class TimerListener:
    """One timer function's listener."""

    def __init__(
        self,
        function: Function,
        container: ContainerClient,
        host_id: str,
        *,
        invoke: Callable[[Function, Invocation], Awaitable[InvocationResult]],
    ) -> None:
        binding = function.trigger_binding
        self.function = function
        self._invoke = invoke
        self._schedule = Schedule.parse(binding["schedule"])
        self._runs_on_startup = bool(binding.get("runOnStartup"))
        self._is_monitored = binding.get("useMonitor") is not False and self._schedule.is_monitored(datetime.now(UTC))
        self._status_blob = container.get_blob_client(f"timers/{host_id}/{function.name}/status")
        self._lease = SingletonLease(container, f"locks/{host_id}/{function.name}.Listener")
        self._stopping = asyncio.Event()

    async def try_to_lead(self) -> None:
        """Takes the lease if it is free, so that a host is not called ready before its timers run."""
        await self._lease.break_dead_owners()
        await self._lease.acquire()

    def stop(self) -> None:
        """Lets `run` end after the run that is under way."""
        self._stopping.set()

    async def run(self) -> None:
        """Runs the function whenever it is due and this host leads, until told to stop."""
        try:
            while not self._stopping.is_set():
                try:
                    if not self._lease.lost.is_set() or await self._lease.acquire():
                        await self._lead()
                except AzureError as error:
                    log.warning("%s: storage does not answer, its timer waits: %s", self.function.name, error.message)
                await self._pause(LEASE_S / 3)
        finally:
            await self._lease.release()

    async def _lead(self) -> None:
        now = datetime.now(UTC)
        status = None
        if self._is_monitored:
            status = status_at_start(self._schedule, await self._read_status(), now)
            await self._write_status(status)
        if status is not None and now > status.next:
            await self._tick(status, past_due=True)
        elif self._runs_on_startup:
            self._runs_on_startup = False
            await self._tick(status, past_due=False)
        while not (self._stopping.is_set() or self._lease.lost.is_set()):
            due = self._schedule.next_after(datetime.now(UTC))
            if await self._wait_until(due):
                await self._tick(await self._read_status(), past_due=False)

    async def _tick(self, status: TimerStatus | None, *, past_due: bool) -> None:
        started = datetime.now(UTC)
        await self._invoke(self.function, timer_invocation(status, past_due=past_due))
        if self._is_monitored:
            following = self._schedule.next_after(started)
            await self._write_status(TimerStatus(last=started, next=following, last_updated=started))

    async def _wait_until(self, due: datetime) -> bool:
        """Waits; answers with False if the host stops or the lease is lost before that time."""
        while (left_s := (due - datetime.now(UTC)).total_seconds()) > 0:
            # In parts, so that a changed clock, a laptop that slept or a lost lease is seen.
            await self._pause(min(left_s, 1.0))
            if self._stopping.is_set() or self._lease.lost.is_set():
                return False
        return True

    async def _pause(self, longest_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), longest_s)

    async def _read_status(self) -> TimerStatus | None:
        if not self._is_monitored:
            return None
        try:
            content = await (await self._status_blob.download_blob()).readall()
            return TimerStatus.from_json(json.loads(content))
        except (ResourceNotFoundError, ValueError, KeyError):
            return None

    async def _write_status(self, status: TimerStatus) -> None:
        await self._status_blob.upload_blob(json.dumps(status.as_json()), overwrite=True)


def timer_invocation(status: TimerStatus | None, *, past_due: bool) -> Invocation:
    """Answers with what the platform hands to a timer function."""
    content: dict[str, Any] = {
        "Schedule": {"AdjustForDST": True},
        "ScheduleStatus": status.as_json() if status else None,
        "IsPastDue": past_due,
    }
    return Invocation(data=TypedData(json=json.dumps(content)))
