"""A sequence of events as data: drawn from a seed, replayed as it is, and made shorter when it fails.

Every event brings dice of its own and decides by them what exactly happens to whoever is there. So an event can be
left out of a sequence and the others stay what they were, as far as they can.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random

Fails = Callable[[Sequence["Event"]], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happens."""

    kind: str
    dice: int

    def __str__(self) -> str:
        return f"({self.kind!r}, {self.dice})"


def draw(seed: int, weights: dict[str, float], *, length: int) -> list[Event]:
    """The sequence of a seed."""
    dice = Random(f"sequence {seed}")
    kinds = dice.choices(list(weights), list(weights.values()), k=length)
    return [Event(kind, dice.randrange(1_000_000)) for kind in kinds]


async def shorten(events: Sequence[Event], fails: Fails, *, tries: int) -> list[Event]:
    """The events without those that the failure does not need: halves first, then ever smaller pieces."""
    kept = list(events)
    size = max(1, len(kept) // 2)
    while tries > 0:
        at = 0
        shorter_found = False
        while at < len(kept) and tries > 0:
            tries -= 1
            candidate = kept[:at] + kept[at + size :]
            if await fails(candidate):
                kept, shorter_found = candidate, True
            else:
                at += size
        if size == 1 and not shorter_found:
            break
        size = max(1, size // 2)
    return kept
