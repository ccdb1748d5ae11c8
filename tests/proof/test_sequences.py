"""Random joiners, movers, leavers, groups and troubles: every vendor comes to hold what the directory says.

A failure prints the shortest sequence that still fails, what happened in it, and its seed. `SEQUENCES=500 pytest ...`
looks longer; `-k "[173-"` lives one seed again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from tests.proof.events import Event, draw, shorten
from tests.proof.life import WEIGHTS, Setting, live

SEQUENCES = int(os.environ.get("SEQUENCES", "4"))
LENGTH = 120
SHORTENINGS = int(os.environ.get("SHORTENINGS", "150"))
"""Tries to make a failing sequence shorter."""

SETTINGS: dict[str, Setting] = {
    "plain, forgetful": Setting(("plain", "forgetful")),
    "loose, unsearchable": Setting(("loose", "unsearchable")),
    "strict, narrow guard": Setting(("strict",), guard="narrow"),
}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("seed", range(SEQUENCES))
async def test_every_sequence_ends_as_the_directory_says(seed: int, name: str, azurite: str) -> None:
    events = draw(seed, WEIGHTS, length=LENGTH)

    wrong, _ = await live(azurite, SETTINGS[name], events)

    if wrong:
        pytest.fail(await _told(azurite, SETTINGS[name], events, seed=seed))


async def _told(azurite: str, setting: Setting, events: Sequence[Event], *, seed: int) -> str:
    async def fails(candidate: Sequence[Event]) -> bool:
        return bool((await live(azurite, setting, candidate))[0])

    shortest = await shorten(events, fails, tries=SHORTENINGS)
    wrong, told = await live(azurite, setting, shortest)
    return "\n".join([f"seed {seed}, {setting}", *wrong, *told, f"events: [{', '.join(map(str, shortest))}]"])
