"""An application whose accounts fail one after the other is stopped, and one that is well again goes on."""

from __future__ import annotations

import pytest

from shared.provisioning import failure_window
from shared.provisioning.applications_state import TOO_MANY_FAILURES, ApplicationStatus
from tests.provisioning.stories import Scenery, Stage, open_stage


@pytest.mark.parametrize("status", [400, 500], ids=["clear refusals", "answers that leave the outcome open"])
async def test_failures_one_after_the_other_stop_the_application(
    status: int, azurite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failure_window, "MINIMUM", 3)
    async with open_stage(azurite) as stage:
        people = [await stage.provisioned() for _ in range(3)]
        # Nothing before the test counts: a new process has seen nothing.
        stage.start()
        stage.acme.faults.add("error", status=status, method="PATCH", times=None)

        await _change(stage, people[:2])
        before = await stage.world.services.states.read_fresh(stage.app)
        await _change(stage, people[2:])
        after = await stage.world.services.states.read_fresh(stage.app)
        stage.acme.faults.clear()
        for person in people:
            stage.tenant.update(person, jobTitle="Cosmonaut")
        await stage.settle()

        assert before.status is ApplicationStatus.ACTIVE
        assert (after.status, after.reason) == (ApplicationStatus.QUARANTINE, TOO_MANY_FAILURES)
        assert await stage.findings() == []


async def test_a_quarantine_ends_although_the_first_account_waits_for_the_name_of_another(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        joiner, holder = sorted([stage.hire(assigned=False), stage.hire(assigned=False)])
        stage.assign(holder)
        await stage.settle()
        name = stage.name_of(holder)
        stage.acme.faults.add("error", status=401, times=1)
        stage.rename(holder, f"former-{name}")
        stage.rename(joiner, name)
        stage.assign(joiner)

        await stage.settle()
        await _wait_for_probes(stage)

        assert await stage.findings() == []


@pytest.mark.parametrize("reason", [TOO_MANY_FAILURES, "Unauthorized"])
async def test_a_departure_that_was_rejected_does_not_keep_the_application_in_quarantine(
    reason: str, azurite: str
) -> None:
    async with open_stage(azurite, Scenery(guard="{max_count: 1, max_percent: 100, min_population: 0}")) as stage:
        people = sorted([await stage.provisioned() for _ in range(3)])
        for person in people[:2]:
            stage.tenant.disable(person)
        await stage.settle()
        held_deletions = stage.world.services.held_deletions
        held = await held_deletions.read(stage.application)
        await held_deletions.reject(stage.application, held.list_number)
        await stage.world.services.states.impose_quarantine(stage.app, reason, "")
        stage.tenant.update(people[2], jobTitle="Astronaut")

        await stage.settle()
        await _wait_for_probes(stage)

        assert (await stage.world.services.states.read_fresh(stage.app)).status is ApplicationStatus.ACTIVE
        assert await stage.findings(excused=set(people[:2])) == []


async def test_a_vendor_that_asked_for_a_pause_does_not_end_housekeeping_with_its_probe(azurite: str) -> None:
    async with open_stage(azurite, Scenery(more="rate_limit: {requests_per_second: 10}")) as stage:
        services = stage.world.services
        await services.states.impose_quarantine(stage.app, "Unauthorized", "")
        await stage.pass_time(61)
        await services.limiter.block(stage.app, 600)

        await services.housekeeper.keep_house()

        state = await services.states.read_fresh(stage.app)
        assert (state.status, state.probes) == (ApplicationStatus.QUARANTINE, 1)


async def _wait_for_probes(stage: Stage) -> None:
    for _ in range(4):
        await stage.pass_time(3600)
        await stage.settle()


async def _change(stage: Stage, people: list[str]) -> None:
    for person in people:
        stage.tenant.update(person, jobTitle="Astronaut")
    await stage.sync()
    await stage.deliver()
