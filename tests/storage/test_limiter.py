"""The rate limit holds for all workers of all instances together, in every sliding second, on a clock moved by hand."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from math import ceil
from random import Random

import pytest
from azure.data.tables.aio import TableServiceClient

from shared.clock import Clock
from shared.storage.limiter import MAX_WAIT_S, Limiter, RateLimited
from shared.storage.service_clock import Reading, ServiceClock
from shared.storage.slots import LATENESS_S, SKEW_S, spacing_of
from shared.storage.tables import Tables
from shared.storage.turns import NoTurnError
from tests.storage.slots import wait_for_slot

START = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
OpenLimiter = Callable[..., Limiter]


@dataclass(slots=True)
class Timeline:
    """True time. It moves on only when every worker sleeps, so that storage takes none of it."""

    elapsed: float = 0.0
    workers: int = 0
    sleeping: list[tuple[float, int, asyncio.Event]] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    order: count[int] = field(default_factory=count)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        awake = asyncio.Event()
        heapq.heappush(self.sleeping, (self.elapsed + seconds, next(self.order), awake))
        self._move_on()
        await awake.wait()

    async def run(self, workers: Sequence[Awaitable[None]]) -> None:
        self.workers = len(workers)
        await asyncio.gather(*(self._work(worker) for worker in workers))

    async def _work(self, worker: Awaitable[None]) -> None:
        await worker
        self.workers -= 1
        self._move_on()

    def _move_on(self) -> None:
        if self.sleeping and len(self.sleeping) >= self.workers:
            self.elapsed, _, awake = heapq.heappop(self.sleeping)
            awake.set()


class InstanceClock(Clock):
    """One instance's clock: a little fast, and its sleepers wake a little late, or very late."""

    __slots__ = ("late", "line", "offset")

    def __init__(self, line: Timeline, *, offset: float = 0.0, late: Callable[[], float] = lambda: 0.0) -> None:
        object.__setattr__(self, "line", line)
        object.__setattr__(self, "offset", offset)
        object.__setattr__(self, "late", late)

    def now(self) -> datetime:
        return START + timedelta(seconds=self.line.elapsed + self.offset)

    def monotonic(self) -> float:
        return self.line.elapsed

    async def sleep(self, seconds: float) -> None:
        await self.line.sleep(seconds + self.late())


@pytest.fixture
async def open_limiter(azurite: str, name_prefix: str) -> AsyncIterator[OpenLimiter]:
    """Answers with how to start an instance; all share one limiter row."""
    async with AsyncExitStack() as stack:

        def open_one(clock: Clock, service_clock: ServiceClock | None = None) -> Limiter:
            tables = Tables(TableServiceClient.from_connection_string(azurite), prefix=name_prefix)
            stack.push_async_callback(tables.close)
            return Limiter(tables=tables, clock=clock, service_clock=service_clock)

        first = Tables(TableServiceClient.from_connection_string(azurite), prefix=name_prefix)
        await first.create_missing()
        await first.close()
        yield open_one


def most_in_a_second(sent: Sequence[float], seconds: float = 1.0) -> int:
    """Answers with the most requests in any second, wherever it begins."""
    ordered = sorted(sent)
    return max(sum(1 for other in ordered if at <= other < at + seconds - 1e-9) for at in ordered)


async def send_many(
    limiter: Limiter, line: Timeline, sent: list[float], *, times: int, rate: float, first: bool
) -> None:
    """Sends requests one after the other, put back whenever there is no slot."""
    while times:
        try:
            await wait_for_slot(limiter, "acme", rate, first=first)
        except RateLimited as limited:
            await line.sleep(limited.wait_s)
        else:
            sent.append(line.elapsed)
            times -= 1


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rate", [0.5, 2.5, 5.0, 10.0, 25.0, 100.0])
async def test_no_second_holds_more_than_the_limit_however_many_instances_share_it(
    open_limiter: OpenLimiter, rate: float, seed: int
) -> None:
    line, sent, dice = Timeline(), [], Random(seed)
    times = 3 if rate < 1 else 10

    def late() -> float:
        return 0.2 if dice.random() < 0.1 else dice.uniform(0.0, 1.5 * LATENESS_S)

    clocks = [
        InstanceClock(line, offset=offset, late=late)
        for offset in (-SKEW_S, SKEW_S, *(dice.uniform(-SKEW_S, SKEW_S) for _ in range(2)))
    ]
    limiters = [open_limiter(clock) for clock in clocks]

    await line.run(
        [
            send_many(limiter, line, sent, times=times, rate=rate, first=number == 0)
            for limiter in limiters
            for number in range(3)
        ]
    )

    assert len(sent) == 12 * times
    assert most_in_a_second(sent) <= ceil(rate)
    # Every time that allows a whole number of requests: 2.5 a second are 5 in two seconds.
    assert most_in_a_second(sent, 2.0) <= 2 * rate
    assert rate > 50 or max(sent) - min(sent) < 3 * len(sent) / rate


def measured(line: Timeline, clock: InstanceClock, *, round_trip_s: float) -> ServiceClock:
    """What an instance knows of storage's clock, which is true time, after one write."""
    service_clock, now = ServiceClock(clock), line.elapsed
    true_time = START.timestamp() + now
    service_clock.note(
        Reading(
            earliest=true_time - round_trip_s,
            latest=true_time - round_trip_s,
            asked_at=now - round_trip_s * 1.5,
            answered_at=now,
            is_sharp=True,
        )
    )
    return service_clock


async def test_instances_whose_clocks_are_wrong_by_seconds_keep_the_limit_by_storages_clock(
    open_limiter: OpenLimiter,
) -> None:
    line, sent, limiters = Timeline(), [], []
    for offset in (0.0, 0.9, -1.7, 30.0):
        clock = InstanceClock(line, offset=offset)
        limiters.append(open_limiter(clock, measured(line, clock, round_trip_s=SKEW_S)))

    await line.run([send_many(each, line, sent, times=10, rate=10.0, first=False) for each in limiters])

    assert len(sent) == 40
    assert most_in_a_second(sent) <= 10
    assert max(sent) - min(sent) < 40 / 10 * 1.3


async def test_an_instance_that_does_not_know_the_time_sends_nothing_and_reserves_nothing(
    open_limiter: OpenLimiter,
) -> None:
    line = Timeline(workers=1)
    wrong = InstanceClock(line, offset=30.0)
    lost = open_limiter(wrong, measured(line, wrong, round_trip_s=2.0))

    with pytest.raises(RateLimited):
        await wait_for_slot(lost, "acme", 10.0, first=True)

    assert lost.slots["reserved"] == 0
    await wait_for_slot(open_limiter(InstanceClock(line)), "acme", 10.0, first=False)
    assert line.elapsed < 0.1


async def test_a_slot_that_is_given_back_goes_to_the_next_who_asks(open_limiter: OpenLimiter) -> None:
    line = Timeline(workers=1)
    limiter = open_limiter(InstanceClock(line))
    slot = await limiter.reserve("acme", 10.0, first=False)

    limiter.give_back("acme", slot)

    assert await limiter.reserve("acme", 10.0, first=False) == slot


async def test_who_needs_time_before_the_slot_leaves_the_near_ones_to_others(open_limiter: OpenLimiter) -> None:
    line = Timeline(workers=1)
    limiter = open_limiter(InstanceClock(line))
    near = await limiter.reserve("acme", 10.0, first=False)
    limiter.give_back("acme", near)

    late = await limiter.reserve("acme", 10.0, first=False, lead_s=0.1)

    assert late - near >= spacing_of(10.0)
    assert await limiter.reserve("acme", 10.0, first=False) == near


async def test_few_are_let_in_at_a_time_and_a_turn_ends_with_a_slot(open_limiter: OpenLimiter) -> None:
    line, inside, most = Timeline(), set[int](), []
    limiter = open_limiter(InstanceClock(line))

    async def work(number: int) -> None:
        try:
            async with limiter.turns.take("acme", 10.0, patience_s=2.0):
                inside.add(number)
                most.append(len(inside))
                await line.sleep(0.01)
                await limiter.reserve("acme", 10.0, first=False)
                inside.discard(number)
                await line.sleep(5.0)
        except NoTurnError:
            inside.discard(number)

    await line.run([work(number) for number in range(40)])

    assert max(most) == 5
    assert limiter.slots["reserved"] >= 15


async def test_one_instance_uses_nearly_the_whole_rate(open_limiter: OpenLimiter) -> None:
    line, sent = Timeline(), []
    limiter = open_limiter(InstanceClock(line))

    await line.run([send_many(limiter, line, sent, times=20, rate=10.0, first=False) for _ in range(4)])

    assert most_in_a_second(sent) <= 10
    assert max(sent) - min(sent) < 80 / 10 * 1.3


async def test_a_pause_the_vendor_asked_one_instance_for_holds_for_all(open_limiter: OpenLimiter) -> None:
    line = Timeline(workers=1)
    asked, other, fresh = (open_limiter(InstanceClock(line)) for _ in range(3))
    await wait_for_slot(other, "acme", 10.0, first=False)

    await asked.block("acme", 30.0)

    for limiter in (asked, other, fresh):
        with pytest.raises(RateLimited) as limited:
            await wait_for_slot(limiter, "acme", 10.0, first=True)
        assert limited.value.wait_s >= 28
        assert limiter.known_wait_s("acme") == pytest.approx(30.0, abs=1.0)
    line.elapsed += 30.1
    await wait_for_slot(fresh, "acme", 10.0, first=False)


async def test_a_shorter_pause_does_not_end_a_longer_one(open_limiter: OpenLimiter) -> None:
    line = Timeline(workers=1)
    limiter = open_limiter(InstanceClock(line))
    await limiter.block("acme", 30.0)

    await limiter.block("acme", 3.0)

    assert limiter.known_wait_s("acme") == pytest.approx(30.0)


async def test_a_pause_of_one_application_is_no_pause_of_another(open_limiter: OpenLimiter) -> None:
    line = Timeline(workers=1)
    limiter = open_limiter(InstanceClock(line))

    await limiter.block("acme", 30.0)
    await wait_for_slot(limiter, "globex", 10.0, first=False)

    assert line.elapsed < 0.1


async def test_a_leaver_finds_a_slot_while_the_backlog_takes_everything(open_limiter: OpenLimiter) -> None:
    line, backlog, leavers = Timeline(), [], []
    busy, quiet = open_limiter(InstanceClock(line)), open_limiter(InstanceClock(line))
    waits: list[float] = []

    async def leave() -> None:
        for _ in range(5):
            await line.sleep(1.0)
            asked_at = line.elapsed
            await wait_for_slot(quiet, "acme", 10.0, first=True)
            waits.append(line.elapsed - asked_at)
            leavers.append(line.elapsed)

    await line.run([*(send_many(busy, line, backlog, times=12, rate=10.0, first=False) for _ in range(8)), leave()])

    assert len(leavers) == 5
    assert max(waits) <= MAX_WAIT_S
    assert most_in_a_second([*backlog, *leavers]) <= 10


async def test_a_long_wait_is_refused_and_nobody_sleeps_more_than_two_seconds(open_limiter: OpenLimiter) -> None:
    line, sent, refused = Timeline(), [], []
    limiters = [open_limiter(InstanceClock(line)) for _ in range(2)]

    async def ask_once(limiter: Limiter) -> None:
        try:
            await wait_for_slot(limiter, "acme", 0.5, first=False)
            sent.append(line.elapsed)
        except RateLimited as limited:
            refused.append(limited.wait_s)

    await line.run([ask_once(limiters[number % 2]) for number in range(8)])

    assert (len(sent) + len(refused), len(sent) <= 2) == (8, True)
    assert max(line.slept) <= MAX_WAIT_S
    assert line.elapsed <= 2 * MAX_WAIT_S
    assert min(refused) > 0


async def test_without_a_limit_nothing_waits_and_a_known_pause_still_holds(open_limiter: OpenLimiter) -> None:
    line = Timeline(workers=1)
    limiter = open_limiter(InstanceClock(line))
    await wait_for_slot(limiter, "acme", None, first=False)

    await limiter.block("acme", 10.0)

    with pytest.raises(RateLimited):
        await wait_for_slot(limiter, "acme", None, first=False)
    assert line.slept == []


async def test_without_a_limit_a_pause_asked_of_another_instance_is_known_within_a_second(
    open_limiter: OpenLimiter,
) -> None:
    line = Timeline(workers=1)
    asked, other = (open_limiter(InstanceClock(line)) for _ in range(2))
    await wait_for_slot(other, "acme", None, first=False)
    await asked.block("acme", 30.0)

    line.elapsed += 1.1

    with pytest.raises(RateLimited):
        await wait_for_slot(other, "acme", None, first=False)
