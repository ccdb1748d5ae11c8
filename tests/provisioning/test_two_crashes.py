"""The process dies, and the one that takes over dies too: the end is the same.

Every pair would be hours: the first death is drawn by seed from all the points of a story, the second from the first
points after the restart, where what is done is the recovery. `CRASH_PAIRS=all pytest ...` goes through every first
point and every second one within `RECOVERY` points of the restart; `CRASH_PAIRS=40` draws so many of each story.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from random import Random

import pytest

from shared.storage.durable_writes import Observer, unobserved
from tests.provisioning.crash_points import CountingKiller, Killer, Point
from tests.provisioning.stories import Stage, open_stage
from tests.provisioning.story_book import STORIES, run
from tests.provisioning.test_crash_sweep import witness_of

PAIRS = os.environ.get("CRASH_PAIRS", "4")
RECOVERY = 24
"""Points after the restart among which the second death is: two for each durable write and each request."""


@pytest.mark.parametrize("name", STORIES)
async def test_two_crashes_in_a_row_end_as_if_there_had_been_none(name: str, azurite: str) -> None:
    story, scenery = STORIES[name]
    async with open_stage(azurite, scenery) as stage:
        witness = witness_of(stage)
        assert await run(stage, story, witness) == []

        for at, (point, lives_for) in enumerate(_pairs(name, witness.distinct())):
            stage.redelivery_s = 600.0 * (at % 2)
            first, second = Killer(point), CountingKiller(lives_for)
            stage.respawn = _once(stage, second)
            wrong = await run(stage, story, first)
            assert wrong == [], f"died {point}, then {second.died_at or 'not again'} ({lives_for} points later)"


def _pairs(name: str, points: list[Point]) -> Iterator[tuple[Point, int]]:
    """The first deaths, and how many points the next process lives for."""
    every = [(point, lives_for) for point in points for lives_for in range(RECOVERY)]
    if PAIRS == "all":
        yield from every
    else:
        dice = Random(f"two crashes of {name}")
        yield from dice.sample(every, min(len(every), int(PAIRS)))


def _once(stage: Stage, observer: Observer) -> Callable[[], Observer]:
    """The process after the first death has this observer, those after it none."""

    def respawn() -> Observer:
        stage.respawn = lambda: unobserved
        return observer

    return respawn
