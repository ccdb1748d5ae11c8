"""What a preview has counted so far at one application, and how it travels in a cursor.

The cursor comes back from outside: every field is looked at as if a stranger had written it. A lie in it reaches nobody
but the liar's own report.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.operations.cursors import refused
from shared.operations.previewing.report import Obstacle, PreviewAction

_LARGEST = 10**9
_REASON = re.compile(r"[A-Za-z_]{1,40}")
_REASONS = 40
_FILLS = 2_000
_KEY = re.compile(r"[0-9a-f]{10}")
_ID = re.compile(r"[A-Za-z0-9._@-]{0,128}")

NUMBERS = (
    "look_ups",
    "creates",
    "updates",
    "disables",
    "deletes",
    "members",
    "reads",
    "more_at_most",
    "guarded_disables",
    "guarded_deletes",
    "counted",
    "still_held",
    "groups_asked",
    "linked",
    "enters",
    "leaves",
    "members_added",
    "members_removed",
)
"""What is counted beside actions and obstacles: requests first. `guarded_...` need a permit that is not there yet,
`counted` is what the deletion guard would count, and `linked` the accounts that its percentage is of."""


@dataclass(slots=True)
class Tally:
    """The counts of one application."""

    actions: dict[str, Counter[str]] = field(default_factory=dict)
    """Action -> reason -> accounts."""
    obstacles: Counter[str] = field(default_factory=Counter)
    numbers: Counter[str] = field(default_factory=Counter)
    fills: Counter[str] = field(default_factory=Counter)
    """Groups to which nothing was sent yet, by a short hash -> people with an account who are to be members."""

    def count_fill(self, group_id: str) -> None:
        """Count a member of a group to which nothing was sent yet."""
        key = _short(group_id)
        if key in self.fills or len(self.fills) < _FILLS:
            self.fills[key] += 1

    def read_fill(self, group_id: str) -> int | None:
        """How many are to be members; None: there are so many such groups that not all were counted."""
        key = _short(group_id)
        return self.fills[key] if key in self.fills or len(self.fills) < _FILLS else None

    def count(self, action: PreviewAction, reason: str, obstacle: Obstacle) -> None:
        """Count one account."""
        self.actions.setdefault(action, Counter())[reason] += 1
        if action is not PreviewAction.SKIP and obstacle is not Obstacle.NONE:
            self.obstacles[obstacle] += 1

    def encode(self) -> dict[str, Any]:
        """As a cursor holds it; what is zero is left out."""
        return {
            "a": {action: dict(reasons) for action, reasons in self.actions.items()},
            "o": {obstacle: count for obstacle, count in self.obstacles.items() if count},
            "n": {name: self.numbers[name] for name in NUMBERS if self.numbers[name]},
            "f": dict(self.fills),
        }

    @classmethod
    def decode(cls, value: Any) -> Tally:
        """Read what `encode` wrote. Raises CursorRefused."""
        counts = _mapping(value, {"a", "o", "n", "f"})
        fills = counts.get("f")
        if not isinstance(fills, dict) or len(fills) > _FILLS or not all(map(_KEY.fullmatch, fills)):
            raise refused()
        actions = _mapping(counts.get("a"), {*PreviewAction})
        return cls(
            actions={PreviewAction(action): _reasons(reasons) for action, reasons in actions.items()},
            obstacles=_counter(_mapping(counts.get("o"), {*Obstacle})),
            numbers=_counter(_mapping(counts.get("n"), {*NUMBERS})),
            fills=_counter(fills),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberCount:
    """What was found of one group's memberships, up to some member."""

    after: str = ""
    added: int = 0
    newcomers: int = 0
    """Of those added: whose accounts would only be made."""
    removed: int = 0
    is_last: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the next page begins."""

    application: int = -1
    """-1: people, of all applications at once; else the application, by its number, whose groups are looked at."""
    after: str = ""
    """The last person or group that was finished."""
    group: str = ""
    """The group after that, if it was begun."""
    count: MemberCount = field(default_factory=MemberCount)
    """What was found of it by then."""

    def encode(self) -> list[Any]:
        """As a cursor holds it."""
        count = self.count
        begun = [self.group, count.after, count.added, count.newcomers, count.removed]
        return [self.application, self.after, *begun]

    @classmethod
    def decode(cls, value: Any, *, applications: int) -> Place:
        """Read what `encode` wrote. Raises CursorRefused."""
        if not isinstance(value, list) or len(value) != 7:
            raise refused()
        application, after, group, member, *counts = value
        if type(application) is not int or not -1 <= application < applications:
            raise refused()
        if not all(isinstance(text, str) and _ID.fullmatch(text) for text in (after, group, member)):
            raise refused()
        added, newcomers, removed = map(whole_number, counts)
        count = MemberCount(after=member, added=added, newcomers=newcomers, removed=removed)
        return cls(application=application, after=after, group=group, count=count)


def _short(group_id: str) -> str:
    return hashlib.sha256(group_id.encode()).hexdigest()[:10]


def whole_number(value: Any) -> int:
    """A count. Raises CursorRefused."""
    if type(value) is not int or not 0 <= value <= _LARGEST:
        raise refused()
    return value


def _mapping(value: Any, names: set[Any]) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not value.keys() <= names:
        raise refused()
    return value


def _reasons(value: Any) -> Counter[str]:
    if not isinstance(value, dict) or len(value) > _REASONS or not all(_REASON.fullmatch(reason) for reason in value):
        raise refused()
    return _counter(value)


def _counter(value: Mapping[str, Any]) -> Counter[str]:
    return Counter({str(name): whole_number(count) for name, count in value.items()})
