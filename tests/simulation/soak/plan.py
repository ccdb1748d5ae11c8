"""What happens in a soak and when it is due, drawn from the seed. Pure: when it really happens, processes decide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from random import Random
from typing import TypeVar

from tests.simulation.soak.weather import AT_GRAPH, AT_VENDORS, Fault

Thing = TypeVar("Thing")

BEGINS_AT_S = 2.0
STRIKES_PER_CYCLE = 9
LONGEST_CYCLE_S = 126.0
"""A cycle holds every kind of strike: about one in 14 seconds, closer in a short soak."""


class Strike(StrEnum):
    """What is done to processes."""

    HOST_KILLED = "function host killed with -9"
    STORAGE_RESTARTED = "Azurite restarted with SIGTERM"
    VENDOR_RESTARTED = "vendor process restarted"


class Change(StrEnum):
    """What people do to the directory."""

    JOINER = "joiner"
    TITLE = "title change"
    RENAME = "rename"
    MANAGER = "other manager"
    MOVE = "other department"
    DISABLE = "disabled"
    ENABLE = "enabled again"
    GROUP_JOIN = "group joined"
    GROUP_LEAVE = "group left"
    ASSIGN = "assigned"
    UNASSIGN = "assignment taken away"


_CHANGES = (
    *(Change.JOINER, Change.TITLE, Change.TITLE, Change.TITLE, Change.RENAME, Change.MANAGER, Change.MOVE),
    *(
        Change.DISABLE,
        Change.DISABLE,
        Change.DISABLE,
        Change.ENABLE,
        Change.ENABLE,
        Change.GROUP_JOIN,
        Change.GROUP_JOIN,
    ),
    *(Change.GROUP_LEAVE, Change.GROUP_LEAVE, Change.ASSIGN, Change.ASSIGN, Change.UNASSIGN, Change.UNASSIGN),
)
_STRIKES = (
    *(Strike.HOST_KILLED,) * 4,
    *(Strike.VENDOR_RESTARTED,) * 3,
    *(Strike.STORAGE_RESTARTED,) * 2,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedChange:
    """One change of the directory."""

    at_s: float
    change: Change


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStrike:
    """Something done to a process."""

    at_s: float
    strike: Strike
    vendor: str
    """Which vendor's process; empty for other strikes."""
    down_s: float
    """How long it stays away; nothing for storage, which is back as soon as it can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFault:
    """A fault that the next request meets."""

    at_s: float
    fault: Fault
    vendor: str
    """Where; empty: at Graph."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole soak, each list in the order of time."""

    changes: Sequence[PlannedChange]
    strikes: Sequence[PlannedStrike]
    faults: Sequence[PlannedFault]


def plan_soak(seed: int, seconds: float, vendors: Sequence[str]) -> Plan:
    """Draws a soak; equal arguments give an equal one."""
    return Plan(
        changes=list(_plan_changes(Random(f"{seed} changes"), seconds)),
        strikes=list(_plan_strikes(Random(f"{seed} strikes"), seconds, vendors)),
        faults=sorted(
            [
                *_plan_faults_at_vendors(Random(f"{seed} faults"), seconds, vendors),
                *_plan_faults_at_graph(Random(f"{seed} faults at Graph"), seconds),
            ],
            key=lambda planned: planned.at_s,
        ),
    )


def _plan_changes(dice: Random, seconds: float) -> Iterator[PlannedChange]:
    changes = _endlessly(dice, _CHANGES)
    for at_s in _instants(dice, seconds, mean_s=0.8):
        yield PlannedChange(at_s=at_s, change=next(changes))


def _plan_strikes(dice: Random, seconds: float, vendors: Sequence[str]) -> Iterator[PlannedStrike]:
    # One of each first: a short soak strikes at everything, too.
    strikes = chain(dice.sample(tuple(Strike), len(Strike)), _endlessly(dice, _STRIKES))
    names = _endlessly(dice, vendors)
    for at_s in _instants(dice, seconds, mean_s=min(seconds, LONGEST_CYCLE_S) / (STRIKES_PER_CYCLE + 1)):
        strike = next(strikes)
        yield PlannedStrike(
            at_s=at_s,
            strike=strike,
            vendor=next(names) if strike is Strike.VENDOR_RESTARTED else "",
            down_s=0.0 if strike is Strike.STORAGE_RESTARTED else round(dice.uniform(0.0, 4.0), 2),
        )


def _plan_faults_at_vendors(dice: Random, seconds: float, vendors: Sequence[str]) -> Iterator[PlannedFault]:
    faults, names = _endlessly(dice, AT_VENDORS), _endlessly(dice, vendors)
    for at_s in _instants(dice, seconds, mean_s=1.3):
        yield PlannedFault(at_s=at_s, fault=next(faults), vendor=next(names))


def _plan_faults_at_graph(dice: Random, seconds: float) -> Iterator[PlannedFault]:
    faults = _endlessly(dice, AT_GRAPH)
    for at_s in _instants(dice, seconds, mean_s=4.0):
        yield PlannedFault(at_s=at_s, fault=next(faults), vendor="")


def _endlessly(dice: Random, things: Sequence[Thing]) -> Iterator[Thing]:
    """All things in random order, again and again: none is missing from a long soak, and none comes too often."""
    while True:
        yield from dice.sample(things, len(things))


def _instants(dice: Random, seconds: float, *, mean_s: float) -> Iterator[float]:
    at_s = BEGINS_AT_S
    while (at_s := at_s + dice.uniform(0.5, 1.5) * mean_s) < seconds:
        yield round(at_s, 3)
