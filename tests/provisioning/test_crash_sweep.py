"""The process dies before and after every durable write of every story, and the end is the same.

First a story runs with a witness that lists its durable writes; then it runs again once for each of them, with other
people, and is killed there. The message that was being handled comes back, the timer runs again after the lease.
How many partitions a page of the mirror has depends on the people's ids, and a digest on the time of day, so these
writes may not happen every time.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shared.storage.durable_writes import DurableWrite, Moment
from tests.provisioning.crash_points import Killer, Witness
from tests.provisioning.stories import Stage, open_stage
from tests.provisioning.story_book import STORIES, run

ROOT = Path(__file__).resolve().parents[2]

NOTIFIED = "reads no account and writes none: test_subscription_keeping and test_notified_sync kill at it"

EXCLUDED = {
    DurableWrite.SUBSCRIPTION_CLAIM: NOTIFIED,
    DurableWrite.SUBSCRIPTION_SAVE: NOTIFIED,
    DurableWrite.SYNC_AGAIN: NOTIFIED,
    DurableWrite.TABLE_COPY: "begins only where no app runs: test_moved_tables ends it early",
    DurableWrite.WISH_AGAIN: NOTIFIED,
}

NOT_EVERY_TIME = frozenset(
    {DurableWrite.MIRROR, DurableWrite.NOTICE_DUE, DurableWrite.NOTICE_TOLD, DurableWrite.NOTICE_DIGEST}
)
"""Writes that depend on people's ids or on the time of day, so that a story may come to its end without them."""

FIGURES = frozenset({DurableWrite.CENSUS, DurableWrite.ACTIVITY, DurableWrite.CYCLE})
"""Rows that no step of the protocol reads. One story dies at their writes, and at no others; it compares them, too."""

RUNS_A_STAGE = 8
"""A stage keeps everybody who was ever on it, and each run takes longer than the one before: a new stage is quicker."""


def witness_of(stage: Stage) -> Witness:
    """A witness that sees whether something outside happened between two writes."""
    return Witness(lambda: (len(stage.acme.journal), stage.delivered, stage.world.clock.elapsed))


@pytest.mark.parametrize("name", STORIES)
async def test_a_crash_at_any_durable_write_ends_as_if_there_had_been_none(name: str, azurite: str) -> None:
    story, scenery = STORIES[name]
    async with open_stage(azurite, scenery) as stage:
        witness = witness_of(stage)
        assert await run(stage, story, witness) == []

    witness.points = [each for each in witness.points if (each[0].write in FIGURES) == (name == "figures")]
    points = list(enumerate(witness.distinct()))
    for begin in range(0, len(points), RUNS_A_STAGE):
        async with open_stage(azurite, scenery) as stage:
            for at, point in points[begin : begin + RUNS_A_STAGE]:
                stage.redelivery_s = 600.0 * (at % 2)
                killer = Killer(point)
                assert await run(stage, story, killer) == [], f"died {point}"
                assert killer.dead or point.write in NOT_EVERY_TIME, f"{point} was not reached"


async def test_every_durable_write_is_reached_by_a_story_or_excluded_for_a_reason(azurite: str) -> None:
    reached: set[DurableWrite] = set()

    for story, scenery in STORIES.values():
        if set(DurableWrite) - reached == set(EXCLUDED):
            break
        async with open_stage(azurite, scenery) as stage:
            witness = witness_of(stage)
            assert await run(stage, story, witness) == []
            reached |= witness.reached()

    assert set(DurableWrite) - reached == set(EXCLUDED)


@pytest.mark.parametrize(
    ("write", "moment", "consumes"),
    [
        (DurableWrite.MIRROR, Moment.AFTER, False),
        (DurableWrite.RAISE, Moment.AFTER, False),
        (DurableWrite.LEASE_AND_INTENT, Moment.AFTER, True),
        (DurableWrite.SAVE, Moment.BEFORE, True),
    ],
    ids=lambda value: str(getattr(value, "name", value)),
)
async def test_a_process_killed_by_the_kernel_loses_nothing(
    write: DurableWrite, moment: Moment, *, consumes: bool, azurite: str, tmp_path: Path
) -> None:
    async with open_stage(azurite, in_memory=False) as stage:
        user_id = stage.hire()
        if consumes:
            await stage.sync()
        queued = stage.world.queues.take() if consumes else None
        task = stage.task() | {
            "write": write.name,
            "moment": moment.value,
            "message": queued.message.encode() if queued else "",
            "sent": str(tmp_path / "sent"),
        }

        died = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-m", "tests.provisioning.dying_process", json.dumps(task)], cwd=ROOT
        )
        if queued:
            stage.world.queues.waiting.append(queued)
        await stage.settle()

        assert died.returncode == -signal.SIGKILL
        assert await stage.findings() == []
        assert stage.should_be_active(user_id)
