"""This process's clock, measured against storage's, which is the same for every worker (protocol T13).

Slots are instants, so workers whose clocks disagree send at the wrong time. Every answer of storage says what its
clock read somewhere between the request and the answer:

- `Date`, whole seconds: coarse, and as old as a second where a server renews it once a second.
- The ETag of a row that was just written holds its `Timestamp`, the instant of the write in fractions of a second
  (`W/"datetime'2026-11-21T08%3A00%3A00.1234567Z'"`): as sharp as the round trip of the request.

Each is an interval for the distance between the two clocks; together they are their intersection. It is kept against
the monotonic clock, which nobody sets, and widens with time because clocks run at different speeds. An answer that
contradicts what was known replaces it: a machine was suspended, or another server answers.

A clock that the evidence allows is trusted as it is. One that it excludes is corrected to the middle of what is left;
while that is too wide to rely on, the clock is `lost` and nothing is sent by it. Correcting is better than refusing:
on the platform nobody can set the clock of an instance.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import unquote

from shared import telemetry
from shared.clock import Clock

DRIFT = 0.0001
"""Seconds a second that a monotonic clock may gain or lose: quartz stays below 100 ppm."""

FRESH_S = 60.0
"""A sharp reading older than this is taken again before slots are handed out: by then it widened by 12 ms."""

TOLD_S = 0.25
"""A clock that is certainly further off than this is reported: leases and waits compare instants too, less strictly."""

TOLD_EVERY_S = 3600.0

LOST_S = 0.025
"""A correction that may be wrong by more is not used. Half of a round trip, most of which is the same both ways."""

_DATE_LIFE_S = 2.0
"""A `Date` is cut to the second, and some servers renew it once a second."""

_TIMESTAMP_RESOLUTION_S = 0.001
_ETAG = re.compile(r"datetime'([0-9-]{10}T[0-9:]{8})(\.[0-9]+)?Z'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The service's clock stood between `earliest` and `latest` at an instant between `asked_at` and `answered_at`.

    The service's clock in seconds since 1970, ours monotonic.
    """

    earliest: float
    latest: float
    asked_at: float
    answered_at: float
    is_sharp: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Between which values the service's clock less our monotonic one lies, as known at the monotonic instant `at`."""

    low: float
    high: float
    at: float

    @property
    def half_width_s(self) -> float:
        """How far the middle may be wrong."""
        return (self.high - self.low) / 2

    def widened(self, at: float) -> Bounds:
        """What is left of the knowledge some time later."""
        drift = DRIFT * max(0.0, at - self.at)
        return Bounds(low=self.low - drift, high=self.high + drift, at=at)

    def shift_of(self, clock: float) -> float:
        """What to add to a clock's distance from the monotonic one: nothing where the evidence allows it."""
        return 0.0 if self.low <= clock <= self.high else (self.low + self.high) / 2 - clock


def bounds_after(known: Bounds | None, reading: Reading) -> Bounds:
    """What is known after one more reading; a contradiction begins anew with it. Pure."""
    at = reading.answered_at
    low, high = reading.earliest - reading.answered_at, reading.latest - reading.asked_at
    if known is not None:
        old = known.widened(at)
        if max(low, old.low) <= min(high, old.high):
            low, high = max(low, old.low), min(high, old.high)
    return Bounds(low=low, high=high, at=at)


def read_headers(
    headers: Mapping[str, str], *, wrote: bool, asked_at: float, answered_at: float
) -> tuple[Reading, ...]:
    """The readings in an answer's headers; `wrote`: its ETag is that of a row written by the request. Pure."""
    found = []
    if (date := _date_of(headers.get("date", ""))) is not None:
        found.append(Reading(earliest=date, latest=date + _DATE_LIFE_S, asked_at=asked_at, answered_at=answered_at))
    if wrote and (written := _written_at(headers.get("etag", ""))) is not None:
        found.append(
            Reading(
                earliest=written,
                latest=written + _TIMESTAMP_RESOLUTION_S,
                asked_at=asked_at,
                answered_at=answered_at,
                is_sharp=True,
            )
        )
    return tuple(found)


class ServiceClock:
    """Tells the time as storage's clock does, as far as its answers say. One instance per process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._bounds: Bounds | None = None
        self._sharp_at = float("-inf")
        self._told_at = float("-inf")

    def monotonic(self) -> float:
        """The monotonic clock that readings are taken with."""
        return self._clock.monotonic()

    def note(self, reading: Reading) -> None:
        """Take what an answer said; tells a person when our clock is certainly far off."""
        self._bounds = bounds_after(self._bounds, reading)
        if reading.is_sharp:
            self._sharp_at = reading.answered_at
        off_s = self._excess_s()
        if off_s > TOLD_S and reading.answered_at - self._told_at >= TOLD_EVERY_S:
            self._told_at = reading.answered_at
            telemetry.emit(telemetry.Event.CLOCK_SKEWED, off_s=round(off_s, 3), corrected=not self.is_lost())

    def now(self) -> datetime:
        """The current instant, corrected where our own clock is certainly wrong."""
        bounds, at, own = self._look()
        shift = bounds.shift_of(own.timestamp() - at) if bounds is not None else 0.0
        return own + timedelta(seconds=shift) if shift else own

    def is_stale(self) -> bool:
        """Whether a sharp reading is due before slots are handed out: write something."""
        return self._clock.monotonic() - self._sharp_at > FRESH_S or self.is_lost()

    def is_lost(self) -> bool:
        """Whether our clock is certainly wrong and nobody knows by how much: send nothing by it."""
        bounds, at, own = self._look()
        if bounds is None or bounds.half_width_s <= LOST_S:
            return False
        return bounds.shift_of(own.timestamp() - at) != 0.0

    def _excess_s(self) -> float:
        """How far our clock is off at least."""
        bounds, at, own = self._look()
        if bounds is None:
            return 0.0
        distance = own.timestamp() - at
        return max(0.0, bounds.low - distance, distance - bounds.high)

    def _look(self) -> tuple[Bounds | None, float, datetime]:
        at, own = self._clock.monotonic(), self._clock.now()
        return (self._bounds.widened(at) if self._bounds is not None else None), at, own


def _date_of(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except ValueError:
        return None


def _written_at(etag: str) -> float | None:
    """The `Timestamp` in an ETag of Table storage; None when the service writes its ETags in another way."""
    found = _ETAG.search(unquote(etag))
    if found is None:
        return None
    try:
        whole = datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
    except ValueError:
        return None
    return whole.timestamp() + float(found[2] or 0)
