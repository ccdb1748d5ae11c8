"""One tick of the sync: pull, note for people what came of it, count what moves, tell news.

What the protocol needs is done by the puller, under its lease. What follows here is for people: it comes after the last
write of the protocol, and its failure is not the sync's.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from shared.clock import Clock
from shared.config.applications import Applications
from shared.provisioning.figures.cycles import NOTHING_NEW, Cycle, CycleBook, config_name
from shared.provisioning.figures.keeping import FiguresKeeper
from shared.provisioning.notices.notifier import Notifier
from shared.provisioning.pulling import Puller, PullReport
from shared.storage.tables import StorageUnavailable


@dataclass(slots=True, kw_only=True)
class DirectorySync:
    """What the timer runs, and whoever wants the directory read now. One instance per process."""

    applications: Applications
    puller: Puller
    cycles: CycleBook
    figures: FiguresKeeper
    notifier: Notifier
    clock: Clock

    async def sync(self, *, trace: str = "") -> PullReport:
        """Pull once; answer what the pull did. Safe to call at any time. Raises what the pull raises."""
        began_at = self.clock.now()
        try:
            report = await self.puller.pull(trace=trace)
        except StorageUnavailable as error:
            await self._note(PullReport(outcome="storage unavailable", error=str(error)), began_at)
            raise
        await self._note(report, began_at)
        # What cannot be counted now is counted with the next tick, or by housekeeping.
        with suppress(StorageUnavailable):
            await self.figures.follow(report.raised)
        if report.outcome != NOTHING_NEW:
            # What else there is to tell, or is tried again, waits for housekeeping.
            await self.notifier.tell_news()
        return report

    async def _note(self, report: PullReport, began_at: datetime) -> None:
        await self.cycles.note(
            Cycle(
                began_at=began_at,
                ended_at=self.clock.now(),
                outcome=report.outcome,
                epoch=report.epoch,
                pages=report.pages,
                changes=report.changes,
                raised=report.raised,
                queued=report.queued,
                config=config_name({each.name: each.config_hash for each in self.applications.enabled}),
                error=report.error,
            )
        )
