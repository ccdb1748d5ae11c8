"""When figures are counted: by housekeeping always, by the sync while something is on its way.

Nothing depends on them, so they take what time is left: a share of a budget for each application, and a count that
costs much is made less often.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.clock import Clock
from shared.config.applications import Application, Applications
from shared.provisioning.figures.activity import ActivityCounter
from shared.provisioning.figures.counting import Budget, Census, CensusTaker

HOUSE_BUDGET_S = 30.0
"""What one housekeeping spends on figures, all applications together."""

TICK_BUDGET_S = 10.0
"""What one sync spends on them."""

_LEAST_S = 1.0
"""The share of one application, however many there are."""

FOLLOWED_EVERY = timedelta(minutes=1)
"""How old the census may be while something moves."""

WORTH = 20
"""The sync takes no census again before so many times the seconds it took: it uses a twentieth of a core."""

LOOK_AGAIN_S = 300.0
"""How often the sync looks whether another process counted, of applications where nobody seemed to wait."""

MANY = 100
"""Accounts that one sync raised: more of them are worth a count at once."""


@dataclass(slots=True, kw_only=True)
class FiguresKeeper:
    """Lets figures be counted. One instance per process."""

    applications: Applications
    census: CensusTaker
    activity: ActivityCounter
    clock: Clock
    _known: dict[str, tuple[float, Census]] = field(default_factory=dict)
    """When this process last saw an application's census, monotonic, and what it said."""

    async def keep(self) -> None:
        """Housekeeping: count accounts and activity of every enabled application. Raises StorageUnavailable."""
        for application in self.applications.enabled:
            budget = self._share(HOUSE_BUDGET_S)
            self._saw(await self.census.count(application, budget))
            await self.activity.count(application.name, budget)

    async def follow(self, raised: Mapping[str, int]) -> None:
        """The sync, after its lease: count where accounts wait for their turn and the last count is a minute old, or
        where many were raised just now. Raises StorageUnavailable.

        A tick without changes, of applications where nobody waits, costs a read every five minutes.
        """
        for application in self.applications.enabled:
            if await self._is_due(application, raised.get(application.name, 0)):
                self._saw(await self.census.count(application, self._share(TICK_BUDGET_S)))

    async def _is_due(self, application: Application, raised: int) -> bool:
        seen_at, census = self._known.get(application.name, (float("-inf"), None))
        now = self.clock.monotonic()
        if census is None or (not _is_followed(census) and now >= seen_at + LOOK_AGAIN_S):
            census = await self.census.read(application.name)
            self._saw(census)
        if census.is_under_way or raised > MANY:
            return True
        return _is_followed(census) and self._is_old(census.counted_at, census.duration_s)

    def _is_old(self, counted_at: datetime | None, duration_s: float) -> bool:
        wait = max(FOLLOWED_EVERY, timedelta(seconds=WORTH * duration_s))
        return counted_at is None or self.clock.now() >= counted_at + wait

    def _saw(self, census: Census) -> None:
        self._known[census.application] = (self.clock.monotonic(), census)

    def _share(self, budget_s: float) -> Budget:
        share = max(budget_s / max(len(self.applications.enabled), 1), _LEAST_S)
        return Budget(until=self.clock.monotonic() + share)


def _is_followed(census: Census) -> bool:
    """Whether something moved at the last count. What is in escrow, or held, is pending and does not."""
    return census.counts is not None and census.counts.waiting(hold_stands=False) > 0
