"""An application whose accounts fail one after the other is stopped, whatever the failures look like."""

from __future__ import annotations

import pytest

from shared.provisioning import failure_window
from shared.provisioning.applications_state import TOO_MANY_FAILURES, ApplicationStatus
from tests.provisioning.stories import Stage, open_stage


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


async def _change(stage: Stage, people: list[str]) -> None:
    for person in people:
        stage.tenant.update(person, jobTitle="Astronaut")
    await stage.sync()
    await stage.deliver()
