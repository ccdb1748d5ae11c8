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
from shared.provisioning.pulling import RUN_BUDGET_S, Puller, PullReport
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
    _is_counting: bool = False

    async def sync(self, *, trace: str = "") -> PullReport:
        """Pull once, then tell; answer what the pull did. Safe to call at any time. Raises what the pull raises."""
        report = await self.pull(trace=trace)
        await self.tell(report)
        return report

    async def pull(self, *, trace: str = "", within_s: float = RUN_BUDGET_S) -> PullReport:
        """Pull once, and note the run for people. Safe to call at any time. Raises what the pull raises."""
        began_at = self.clock.now()
        try:
            report = await self.puller.pull(trace=trace, within_s=within_s)
        except StorageUnavailable as error:
            await self._note(PullReport(outcome="storage unavailable", error=str(error)), began_at)
            raise
        await self._note(report, began_at)
        return report

    async def tell(self, report: PullReport) -> None:
        """Count what moves, and tell people what a run found. No later run has to wait for it."""
        await self._count(report)
        if report.outcome != NOTHING_NEW:
            # What else there is to tell, or is tried again, waits for housekeeping.
            await self.notifier.tell_news()

    async def _count(self, report: PullReport) -> None:
        """One count at a time in this process; what cannot be counted now the next tick counts, or housekeeping."""
        if self._is_counting:
            return
        self._is_counting = True
        try:
            with suppress(StorageUnavailable):
                await self.figures.follow(report.raised)
        finally:
            self._is_counting = False

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
