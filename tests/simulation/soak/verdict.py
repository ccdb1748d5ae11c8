"""The end of a soak: what the demo's judge finds, what may not have happened, and what the product did meanwhile."""

from __future__ import annotations

import contextlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shared.telemetry import Event
from tests.simulation.demo.judging import Judge, as_found
from tests.simulation.demo.stage import Stage
from tests.simulation.demo.verdict import Finding
from tests.simulation.soak.toll import Toll, count_toll

_EVENT = re.compile(r": (?P<event>[a-z]+\.[a-z_]+) (?P<fields>\{.*\})$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """What the product said about itself, from the host's log: application -> how often."""

    retries: Mapping[str, int]
    escrows: Mapping[str, Mapping[str, int]]
    """By error code, too: a role that the vendor does not take is one."""
    quarantines: Mapping[str, int]
    poisoned: int
    """Accounts on which a function failed again and again: a bug."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Everything about one vendor."""

    finding: Finding
    toll: Toll

    @property
    def agrees(self) -> bool:
        """Whether nothing at all is wrong."""
        return self.finding.agrees and self.toll.is_nothing


async def find_outcome(stage: Stage, judge: Judge, finding: Finding) -> Outcome:
    """Counts at one vendor what the demo does not count."""
    name = finding.application
    resources, journal = [await stage.vendors.read(name, what) for what in ("resources", "journal")]
    expected = as_found(judge.expected(name), resources).values()
    people = {each.user_id: judge.names_of(each.user_id) | {each.user_name} for each in expected}
    toll = count_toll(
        expected,
        resources,
        names=people,
        own=judge.own_accounts(name),
        journal=journal,
        violations=finding.violations,
    )
    return Outcome(finding=finding, toll=toll)


def read_effort(log: Iterable[str]) -> Effort:
    """Counts the product's own events in the lines of the host's log."""
    counted: dict[str, Counter[str]] = {}
    escrows: dict[str, Counter[str]] = {}
    for line in log:
        found = _EVENT.search(line)
        if found is None:
            continue
        # A host that is killed may leave half a line, and its successor writes on behind it.
        with contextlib.suppress(ValueError):
            fields = json.loads(found["fields"])
            application = str(fields.get("application", ""))
            counted.setdefault(found["event"], Counter())[application] += 1
            if found["event"] == Event.ACCOUNT_ESCROWED:
                escrows.setdefault(application, Counter())[str(fields.get("code"))] += 1
    return Effort(
        retries=counted.get(Event.ACCOUNT_RETRIED, Counter()),
        escrows=escrows,
        quarantines=counted.get(Event.APPLICATION_QUARANTINED, Counter()),
        poisoned=sum(counted.get(Event.ACCOUNT_POISONED, Counter()).values()),
    )
