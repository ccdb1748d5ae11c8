"""The process dies, and the one that takes over dies too: the end is the same.

Every pair would be an hour: the first death is drawn by seed from all the points of a story, the second from the first
points after the restart, where what is done is the recovery. `CRASH_PAIRS=all pytest ...` goes through every first
point, and for each through the second ones until a process lives to the end; `CRASH_PAIRS=40` draws so many a story.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from random import Random

import pytest

from shared.storage.durable_writes import Observer, unobserved
from tests.provisioning.crash_points import CountingKiller, Killer, Point
from tests.provisioning.stories import Stage, open_stage
from tests.provisioning.story_book import STORIES, run
from tests.provisioning.test_crash_sweep import witness_of

PAIRS = os.environ.get("CRASH_PAIRS", "3")
LIVES = (0, *range(1, 24, 2))
"""How many points the second process lives for. Points come in pairs, before and after the same write or request, and
to die after one is to die before the next: half of them are enough."""


@pytest.mark.parametrize("name", STORIES)
async def test_two_crashes_in_a_row_end_as_if_there_had_been_none(name: str, azurite: str) -> None:
    story, scenery = STORIES[name]
    async with open_stage(azurite, scenery) as stage:
        witness = witness_of(stage)
        assert await run(stage, story, witness) == []

        died_twice = 0
        for at, (point, lives) in enumerate(_pairs(name, witness.distinct())):
            stage.redelivery_s = 600.0 * (at % 2)
            for lives_for in lives:
                second = CountingKiller(lives_for)
                stage.respawn = _once(stage, second)
                wrong = await run(stage, story, Killer(point))
                assert wrong == [], f"died {point}, then {second.died_at or 'not again'} ({lives_for} points later)"
                if not second.dead:
                    break
                died_twice += 1

        assert died_twice > 0


def _pairs(name: str, points: list[Point]) -> Iterator[tuple[Point, Sequence[int]]]:
    """The first deaths, and how many points the process after each lives for."""
    if PAIRS == "all":
        yield from ((point, LIVES) for point in points)
        return
    dice = Random(f"two crashes of {name}")
    for place in range(int(PAIRS)):
        # Every story has a second death: the first one comes at once.
        yield dice.choice(points), [dice.choice(LIVES) if place else 0]


def _once(stage: Stage, observer: Observer) -> Callable[[], Observer]:
    """The process after the first death has this observer, those after it none."""

    def respawn() -> Observer:
        stage.respawn = lambda: unobserved
        return observer

    return respawn
