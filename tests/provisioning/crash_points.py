"""Where a process can die: before and after every durable write, and every request to a vendor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from shared.storage.durable_writes import DurableWrite, Moment
from tests.provisioning.vendor_calls import VendorCall

Place = DurableWrite | VendorCall


class Killed(BaseException):
    """The process died here. No code catches it, as no code survives a power cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A place where a process can die: before or after the k-th time a durable write, or a request, happens."""

    write: Place
    occurrence: int
    moment: Moment

    def __str__(self) -> str:
        return f"{self.moment} {self.write.name} #{self.occurrence}"


class Witness:
    """An observer that writes down every point of a run."""

    def __init__(self, fingerprint: Callable[[], object] = lambda: None) -> None:
        self.points: list[tuple[Point, object]] = []
        self._counts: Counter[tuple[Place, Moment]] = Counter()
        self._fingerprint = fingerprint

    def __call__(self, write: Place, moment: Moment) -> None:
        self._counts[write, moment] += 1
        point = Point(write=write, occurrence=self._counts[write, moment], moment=moment)
        self.points.append((point, self._fingerprint()))

    def reached(self) -> set[Place]:
        """The writes and requests that happened."""
        return {point.write for point, _ in self.points}

    def distinct(self) -> list[Point]:
        """The points with different consequences: dying after one write is dying before the next, unless something
        outside (a request, a message, time) lies between them."""
        chosen: list[Point] = []
        for at, (point, mark) in enumerate(self.points):
            earlier, earlier_mark = self.points[at - 1] if at else (None, None)
            follows = earlier is not None and earlier.moment is Moment.AFTER and point.moment is Moment.BEFORE
            if not (follows and earlier_mark == mark):
                chosen.append(point)
        return chosen


class Killer:
    """An observer that dies at one point, and whose process does nothing any more afterwards."""

    def __init__(self, point: Point) -> None:
        self.point = point
        self.seen = 0
        self.dead = False

    def __call__(self, write: Place, moment: Moment) -> None:
        if self.dead:
            raise Killed
        if (write, moment) == (self.point.write, self.point.moment):
            self.seen += 1
            if self.seen == self.point.occurrence:
                self.dead = True
                raise Killed


class CountingKiller:
    """An observer that dies at the n-th point it meets, whichever that is; point 0 is the first."""

    def __init__(self, lives_for: int) -> None:
        self.left = lives_for
        self.died_at = ""

    @property
    def dead(self) -> bool:
        """Whether the process has died."""
        return bool(self.died_at)

    def __call__(self, write: Place, moment: Moment) -> None:
        if not self.dead:
            self.left -= 1
            if self.left >= 0:
                return
            self.died_at = f"{moment} {write.name}"
        raise Killed
