"""Pause, quarantine and resume: told once each, by whoever changed it or, if they died, by housekeeping; and kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from shared.provisioning import applications_state
from shared.provisioning.applications_state import PROBE_LADDER, ApplicationStates, ApplicationStatus
from shared.storage.durable_writes import DurableWrite, Moment
from tests.provisioning.pulls import APP, Killed, assign, calm, held_titles, kill_at, people, pulling
from tests.world import World


@pytest.fixture
async def world(azurite: str, name_prefix: str) -> AsyncIterator[World]:
    async with pulling(azurite, name_prefix, users=4) as opened:
        assign(opened, people(opened, 1)[0])
        await calm(opened)
        yield opened


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was told about an application: event and reason."""
    events: list[tuple[str, str]] = []

    def emit(event: str, **fields: object) -> None:
        events.append((str(event), str(fields.get("reason", fields.get("detail", "")))))

    monkeypatch.setattr(applications_state.telemetry, "emit", emit)
    return events


def of_applications(told: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [each for each in told if each[0].startswith("application.") and each[0] != "application.configured"]


async def test_start_change_and_end_of_a_quarantine_are_told_once_each(
    world: World, told: list[tuple[str, str]]
) -> None:
    states = world.services.states
    for reason in ("Unauthorized", "Unauthorized", "WrongEndpoint", "WrongEndpoint"):
        await states.impose_quarantine(APP, reason, "the vendor's words")
    await states.lift_quarantine(APP)
    await states.lift_quarantine(APP)
    await world.services.housekeeper.keep_house()

    assert of_applications(told) == [
        ("application.quarantined", "Unauthorized"),
        ("application.quarantined", "WrongEndpoint"),
        ("application.resumed", "after WrongEndpoint"),
    ]


async def test_many_workers_that_meet_the_same_trouble_tell_it_once(world: World, told: list[tuple[str, str]]) -> None:
    services = world.services
    workers = [ApplicationStates(tables=services.tables, clock=world.clock) for _ in range(8)]

    await asyncio.gather(*(worker.impose_quarantine(APP, "Unauthorized", "401") for worker in workers))
    ended = await asyncio.gather(*(worker.lift_quarantine(APP) for worker in workers))

    assert of_applications(told) == [
        ("application.quarantined", "Unauthorized"),
        ("application.resumed", "after Unauthorized"),
    ]
    assert sum(ended) == 1


async def test_a_quarantine_is_ended_by_the_reason_it_has_now_whatever_was_read_before(world: World) -> None:
    tables, clock = world.services.tables, world.clock
    one, other = (ApplicationStates(tables=tables, clock=clock) for _ in range(2))
    await one.read(APP)
    await other.impose_quarantine(APP, "Unauthorized", "401")

    assert not await one.lift_quarantine(APP, reason="ServicePrincipalUnreadable")
    await other.impose_quarantine(APP, "ServicePrincipalUnreadable", "404")
    assert not await one.lift_quarantine(APP, reason="Unauthorized")
    assert await one.lift_quarantine(APP, reason="ServicePrincipalUnreadable")

    await one.read(APP)
    await other.impose_quarantine(APP, "Unauthorized", "401")
    assert await one.lift_quarantine(APP)


async def test_a_worker_that_dies_before_it_tells_leaves_it_to_housekeeping(
    world: World, told: list[tuple[str, str]]
) -> None:
    world.restart(kill_at(DurableWrite.QUARANTINE, Moment.AFTER))
    with pytest.raises(Killed):
        await world.services.states.impose_quarantine(APP, "Unauthorized", "401")
    world.restart()
    assert of_applications(told) == []

    for _ in range(3):
        world.clock.advance(30)
        await world.services.housekeeper.keep_house()

    # Told before the probe that finds the vendor well again.
    assert of_applications(told) == [
        ("application.quarantined", "Unauthorized"),
        ("application.resumed", "after Unauthorized"),
    ]


async def test_the_history_is_kept_newest_first_and_bounded(world: World) -> None:
    states = world.services.states
    for at in range(15):
        await states.impose_quarantine(APP, f"Reason{at}", "x" * 500)
        world.clock.advance(60)
        await states.lift_quarantine(APP)

    state = await ApplicationStates(tables=world.services.tables, clock=world.clock).read_fresh(APP)

    assert len(state.history) == applications_state.HISTORY
    assert [(each.status, each.reason) for each in state.history[:2]] == [
        (ApplicationStatus.ACTIVE, ""),
        (ApplicationStatus.QUARANTINE, "Reason14"),
    ]
    assert state.history[0].at - state.history[1].at == timedelta(seconds=60)
    assert len(state.history[1].detail) == 300


async def test_another_reason_does_not_bring_the_next_probe_forward(world: World) -> None:
    states = world.services.states
    await states.impose_quarantine(APP, "Unauthorized", "401")
    for _ in range(2):
        await states.postpone_probe(APP)
    before = await states.read_fresh(APP)

    await states.impose_quarantine(APP, "WrongEndpoint", "404")

    after = await states.read_fresh(APP)
    assert before.next_probe_at == world.clock.now() + PROBE_LADDER[2]
    assert (after.reason, after.next_probe_at, after.probes) == ("WrongEndpoint", before.next_probe_at, 2)


async def test_a_pause_stops_writing_and_a_resume_catches_up(world: World, told: list[tuple[str, str]]) -> None:
    user_id = people(world, 1)[0]
    states = world.services.states
    assert await states.pause(APP, "maintenance")
    assert not await states.pause(APP, "again")
    await states.impose_quarantine(APP, "Unauthorized", "a pause stays a pause")
    before = len(world.vendors[APP].journal)
    world.tenant.update(user_id, jobTitle="Astronaut")
    await calm(world)
    assert len(world.vendors[APP].journal) == before
    assert (await states.read_fresh(APP)).status is ApplicationStatus.PAUSED

    assert await states.resume(APP)
    await calm(world)

    assert held_titles(world) == ["Astronaut"]
    assert of_applications(told) == [
        ("application.paused", "maintenance"),
        ("application.resumed", "after PausedByPerson"),
    ]


async def test_a_history_that_another_version_wrote_is_no_history() -> None:
    assert applications_state._read_history("[[1, 2]]") == ()
    assert applications_state._read_history("nonsense") == ()
    assert applications_state._read_history('[["2026-11-21T08:00:00.000000Z", "Unheard", "", ""]]') == ()
