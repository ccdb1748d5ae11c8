"""Results and actions by the hour, counted from records of the provisioning log. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.clock import read_instant
from shared.provisioning.planning import ProvisioningAction
from shared.provisioning.provisioning_log import LogStatus
from shared.storage.tables import Row

LOGGED_COLUMNS = ("at", "status", "action")
"""What says how a record counts."""

HOUR = timedelta(hours=1)
OTHER = "other"
RESULTS = tuple(status.value for status in LogStatus)
ACTIONS = ("create", "update", "disable", "delete", OTHER)
_COUNTED_ACTIONS = frozenset(ACTIONS) & {action.value for action in ProvisioningAction}
_FIRST = "first"


@dataclass(frozen=True, slots=True, kw_only=True)
class HourFigures:
    """What was done within one hour (UTC)."""

    at: datetime
    """The beginning of the hour."""
    results: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(RESULTS, 0))
    """How attempts ended: `success`, `failure`, `skipped`, `warning`; every result is present."""
    actions: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(ACTIONS, 0))
    """What the successful ones did: `create`, `update`, `disable`, `delete`, `other`; every action is present."""
    first_s: int | None = None
    """Seconds into the hour at which the first attempt began that came to an end (success or skipped); None: none."""

    @property
    def finished(self) -> int:
        """Attempts after which the account had nothing left to do."""
        return self.results[LogStatus.SUCCESS] + self.results[LogStatus.SKIPPED]


Hours = dict[datetime, HourFigures]
"""By the beginning of the hour."""


def count_records(rows: Iterable[Row]) -> Hours:
    """Count records that were read with `LOGGED_COLUMNS`. What is not a record of ours is left out."""
    counted: dict[datetime, Counter[str]] = {}
    firsts: dict[datetime, int] = {}
    for row in rows:
        at, status = read_instant(str(row.values.get("at", ""))), str(row.values.get("status", ""))
        if at is None or status not in RESULTS:
            continue
        hour = hour_of(at)
        counter = counted.setdefault(hour, Counter())
        counter[status] += 1
        if status == LogStatus.SUCCESS:
            action = str(row.values.get("action", ""))
            counter[action if action in _COUNTED_ACTIONS else OTHER] += 1
        if status in (LogStatus.SUCCESS, LogStatus.SKIPPED):
            firsts[hour] = min(firsts.get(hour, 3600), int((at - hour).total_seconds()))
    return {hour: _figures(hour, counter, firsts.get(hour)) for hour, counter in counted.items()}


def added_hours(one: Mapping[datetime, HourFigures], other: Mapping[datetime, HourFigures]) -> Hours:
    """Both together."""
    return {**one, **{at: _added(one[at], figures) if at in one else figures for at, figures in other.items()}}


def by_day(hours: Mapping[datetime, HourFigures]) -> dict[datetime, Hours]:
    """The hours of each day, by its beginning."""
    days: dict[datetime, Hours] = {}
    for at, figures in hours.items():
        days.setdefault(at.replace(hour=0), {})[at] = figures
    return days


def hour_of(at: datetime) -> datetime:
    """The beginning of an instant's hour."""
    return at.replace(minute=0, second=0, microsecond=0)


def write_hours(hours: Mapping[datetime, HourFigures]) -> str:
    """Write hours of one day as a column holds them: only what is not zero."""
    kept = {
        str(at.hour): {name: count for name, count in {**figures.results, **figures.actions}.items() if count}
        | ({_FIRST: figures.first_s} if figures.first_s is not None else {})
        for at, figures in sorted(hours.items())
    }
    return json.dumps(kept, separators=(",", ":"))


def read_hours(text: str, day: datetime) -> Hours:
    """Read the column; what another version wrote, or somebody edited, is nothing counted."""
    try:
        hours = {day + int(hour) * HOUR: values for hour, values in json.loads(text or "{}").items()}
        return {at: _figures(at, Counter(values), values.get(_FIRST)) for at, values in hours.items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def rate_achieved(hours: Mapping[datetime, HourFigures], now: datetime) -> float | None:
    """Accounts a second that were finished within the last hour or so, since the first of them; None: none was."""
    recent = [hours[at] for at in (hour_of(now) - HOUR, hour_of(now)) if at in hours]
    begun = [each.at + timedelta(seconds=each.first_s) for each in recent if each.first_s is not None]
    if not begun:
        return None
    return sum(each.finished for each in recent) / max((now - min(begun)).total_seconds(), 60.0)


def _figures(at: datetime, counted: Mapping[str, int], first_s: int | None) -> HourFigures:
    return HourFigures(
        at=at,
        results={name: int(counted.get(name, 0)) for name in RESULTS},
        actions={name: int(counted.get(name, 0)) for name in ACTIONS},
        first_s=first_s,
    )


def _added(one: HourFigures, other: HourFigures) -> HourFigures:
    firsts = [each.first_s for each in (one, other) if each.first_s is not None]
    return HourFigures(
        at=one.at,
        results={name: one.results[name] + other.results[name] for name in RESULTS},
        actions={name: one.actions[name] + other.actions[name] for name in ACTIONS},
        first_s=min(firsts, default=None),
    )
