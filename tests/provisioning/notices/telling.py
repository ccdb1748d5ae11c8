"""A stage whose application has a webhook, and what its people are told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from tests.provisioning.application_stories import SMALL_GUARD
from tests.provisioning.stories import APP, Scenery, Stage, open_stage
from tests.simulation.receiver import SECRET, Receiver, receiving

NOTIFY = "notify: {webhook: HOOK_URL, secret: HOOK_SECRET}"
LOOK_S = 60.0
"""Between two syncs."""

Deed = Callable[[Stage], Any]


@asynccontextmanager
async def telling(azurite: str, *, small_guard: bool = False) -> AsyncIterator[tuple[Stage, Receiver]]:
    """A settled stage and its receiver, which has heard nothing yet."""
    async with receiving() as receiver:
        scenery = Scenery(
            more=NOTIFY,
            environment={"HOOK_URL": receiver.url, "HOOK_SECRET": SECRET},
            guard=SMALL_GUARD.guard if small_guard else Scenery().guard,
        )
        async with open_stage(azurite, scenery) as stage:
            assert receiver.requests == []
            yield stage, receiver


async def look(stage: Stage, *, times: int = 1) -> None:
    """What the sync does at its end, once a minute; a process that dies in it is followed by another one."""
    for _ in range(times):
        await stage.attempt(stage.world.services.notifier.tell_news)
        stage.world.clock.advance(LOOK_S)


async def quarantine(stage: Stage, reason: str = "Unauthorized") -> None:
    """The application stops by itself."""
    await stage.world.services.states.impose_quarantine(APP, reason, "the vendor's words")


async def lift(stage: Stage) -> None:
    """A probe was good."""
    await stage.world.services.states.lift_quarantine(APP)


def expire(stage: Stage, days: int) -> None:
    """The credential's last day is so many days from now, for this process and every later one."""
    day = (stage.world.clock.now() + timedelta(days=days)).date().isoformat()

    def prepare(prepared: Stage) -> None:
        auth = prepared.application.auth.model_copy(update={"expires_on": day})
        object.__setattr__(prepared.application, "auth", auth)

    stage.prepare = prepare
    prepare(stage)


def events(caplog: pytest.LogCaptureFixture, *names: str) -> list[tuple[str, dict[str, Any]]]:
    """The telemetry events of these names, with their fields."""
    split = [record.getMessage().partition(" ") for record in caplog.records if record.name == "provisioner"]
    return [(name, json.loads(fields)) for name, _, fields in split if name in names]
