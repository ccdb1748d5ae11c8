"""The status of an application: right for a small one at once, cheap for a large one, and it says what is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from shared.clock import read_instant
from shared.operations.application_report import ApplicationReport
from shared.provisioning.accounts import ACCOUNTS
from shared.provisioning.figures import counting
from shared.provisioning.figures.counting import Budget
from shared.provisioning.provisioning_log import LogStatus
from shared.provisioning.restarting import RestartScope
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation
from tests.provisioning.figures_data import CODES, person, record, states_of, write_list, write_log, write_people
from tests.provisioning.pulls import APP, assign, calm, people, pulling
from tests.world import START, World

RATE = "rate_limit: {requests_per_second: 10}"


@asynccontextmanager
async def in_memory(azurite: str, prefix: str) -> AsyncIterator[World]:
    """A world whose tables are in memory, so that many rows cost little."""
    async with pulling(azurite, prefix, users=2, more=RATE, in_memory=True) as world:
        yield world


async def report_of(world: World) -> ApplicationReport:
    """The report of the one application."""
    return await world.services.application_reports.report(world.services.applications[APP])


async def spent_on_report(world: World) -> Counter[str]:
    """What one report asks of storage."""
    services = world.services
    before = Counter(services.tables.calls) + Counter(services.queues.calls)
    await report_of(world)
    return Counter(services.tables.calls) + Counter(services.queues.calls) - before


async def test_what_is_left_to_do_and_since_when_is_said_from_the_first_sync_to_the_last_account(
    azurite: str, name_prefix: str
) -> None:
    async with pulling(azurite, name_prefix, users=12, more=RATE) as world:
        for user_id in people(world, 4):
            assign(world, user_id)
        unknown = await report_of(world)
        await world.sync()
        raised = await report_of(world)
        world.clock.advance(120)
        await world.deliver(limit=2)
        half = await report_of(world)
        await calm(world)
        done = await report_of(world)
        log = await world.log(APP)
        logged = Counter(line["status"] for line in log)

    assert (unknown.total, unknown.progress, unknown.seconds_left, unknown.last_cycle) == (0, 1.0, 0, None)
    assert (raised.total, raised.pending, raised.in_line, raised.progress) == (4, 4, 4, 0.0)
    assert (raised.seconds_left, raised.rate, raised.rate_limit) == (1, None, 10.0)
    assert (raised.counted_at, raised.oldest_pending_at) == (START, START)
    assert (half.pending, half.progress, half.successes) == (2, 0.5, 2)
    assert half.rate is not None
    assert half.seconds_left == round(2 / half.rate)
    assert (done.pending, done.progress, done.seconds_left, done.oldest_pending_at) == (0, 1.0, 0, None)
    assert (done.successes, done.failures, done.states["in_sync"]) == (logged["success"], 0, 4)
    assert done.last_cycle is not None
    assert done.complete_at is not None
    assert done.last_activity_at == max(read_instant(line["at"]) for line in log)


async def test_a_small_application_is_counted_now_and_a_large_one_as_its_census_says(
    azurite: str, name_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "PAGE", 100)
    monkeypatch.setattr("shared.operations.application_report.PAGE", 100)
    async with in_memory(azurite, name_prefix) as world:
        services = world.services
        population = [person(at) for at in range(450)]
        config = services.applications[APP].config_hash
        await write_people(services.tables, population, config=config)
        await write_list(services.tables, 7)
        small = await report_of(world)
        await services.census.count(services.applications[APP], Budget())
        world.clock.advance(60)
        fresh = await report_of(world)
        more = [Operation.insert(f"user:y{at}", person(1).columns() | {"config": config}) for at in range(200)]
        await services.tables.commit_all(DurableWrite.SAVE, ACCOUNTS, APP, more)
        large = await report_of(world)

    expected = states_of(population, hold_stands=False)
    assert small.states == {**expected, "pending": expected["pending"] + 7}
    assert small.total == large.total == 457
    assert small.states == large.states == fresh.states
    assert (small.counted_at, fresh.counted_at, large.counted_at) == (START, START + timedelta(seconds=60), START)
    assert small.escrowed == {code: small.escrowed[code] for code in sorted(CODES) if code in small.escrowed}
    assert sum(small.escrowed.values()) == small.states["escrowed"]
    assert small.pending == sum(each.pending for each in population) + 7
    assert small.in_line < small.pending
    assert small.seconds_left == -(-small.in_line // 10)


async def test_after_a_restart_everybody_is_in_line_until_they_were_looked_at(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, users=6, more=RATE) as world:
        for user_id in people(world, 3):
            assign(world, user_id)
        await calm(world)
        before = await report_of(world)
        await world.services.restarts.restart(world.services.applications[APP], [RestartScope.WATERMARK])
        begun = await report_of(world)
        await calm(world)
        ended = await report_of(world)

    assert (before.behind, before.progress) == (0, 1.0)
    assert (begun.pending, begun.behind, begun.in_line, begun.progress) == (0, 3, 3, 0.0)
    assert begun.seconds_left is not None
    assert (ended.behind, ended.in_line, ended.progress) == (0, 0, 1.0)


async def test_of_a_large_application_that_was_never_counted_the_count_so_far_is_told(
    azurite: str, name_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "PAGE", 10)
    async with in_memory(azurite, name_prefix) as world:
        await write_people(world.services.tables, [person(at) for at in range(100)])
        never = await report_of(world)
        await world.services.census.count(world.services.applications[APP], Budget(pages=3))
        partly = await report_of(world)

    assert (never.counted_at, never.total) == (None, 0)
    assert (partly.counted_at, partly.total) == (None, 30)


@pytest.mark.parametrize("accounts", [8_000, 40_000])
async def test_the_status_of_a_large_application_costs_the_same_whatever_its_size(
    azurite: str, name_prefix: str, accounts: int
) -> None:
    async with in_memory(azurite, name_prefix) as world:
        services = world.services
        config = services.applications[APP].config_hash
        await write_people(services.tables, [person(at) for at in range(accounts)], config=config)
        records = [record(START - timedelta(seconds=at), at) for at in range(accounts // 4)]
        await write_log(services.tables, records)
        await services.figures.keep()

        assert await spent_on_report(world) == {
            "checkpoint read": 1,
            "applications read": 3,
            "applications query": 1,
            "accounts read": 1,
            "accounts query": 1,
            "count": 2,
        }
        report = await report_of(world)

    assert report.total == accounts
    day_began_at = START.replace(minute=0) - timedelta(hours=23)
    assert report.successes == sum(START - timedelta(seconds=at) >= day_began_at for at in range(accounts // 4))


async def test_the_last_day_counts_failures_and_successes_apart(azurite: str, name_prefix: str) -> None:
    async with in_memory(azurite, name_prefix) as world:
        await write_log(
            world.services.tables,
            [
                record(START - timedelta(hours=30), 1),
                record(START - timedelta(hours=20), 2),
                record(START - timedelta(hours=2), 3, status=LogStatus.FAILURE),
                record(START, 4, status=LogStatus.WARNING),
            ],
        )
        live = await report_of(world)
        await world.services.figures.keep()
        counted = await report_of(world)

    assert (live.successes, live.failures, live.last_activity_at) == (1, 1, START)
    assert (counted.successes, counted.failures, counted.last_activity_at) == (1, 1, START)


async def test_a_stopped_application_has_no_time_left_and_every_application_is_reported_in_order(
    azurite: str, name_prefix: str
) -> None:
    async with pulling(azurite, name_prefix, users=3, apps=(APP, "other")) as world:
        assign(world, people(world, 1)[0])
        await world.sync()
        await world.services.states.pause(APP, "maintenance")
        await world.services.limiter.block("other", 90)

        stopped, other = await world.services.application_reports.report_all()

    assert (stopped.name, stopped.in_line, stopped.seconds_left) == (APP, 1, None)
    assert (other.name, other.seconds_left) == ("other", 0)
    assert other.vendor_pause_until == START + timedelta(seconds=90)


async def test_a_secret_of_notifications_that_did_not_resolve_is_in_the_status(azurite: str, name_prefix: str) -> None:
    settings = {"NOTIFICATION_CLIENT_STATE": "@Microsoft.KeyVault(SecretUri=https://v/secrets/x)"}
    async with pulling(azurite, name_prefix, users=2, environment=settings) as world:
        report = await report_of(world)

    assert [each.code for each in report.problems] == ["SettingUnresolved"]
    assert report.needs_a_person
