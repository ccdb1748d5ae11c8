"""How an application stands: its state, its accounts by state, what is left to do and how long that takes.

What is asked does not depend on the number of accounts: those of a small application are counted now, of a large one
the last census says how they were.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from shared.clock import Clock, read_instant
from shared.config.applications import Application, Applications
from shared.config.settings import NotificationSettings
from shared.operations.application_problems import ApplicationProblem, find_problems
from shared.provisioning.accounts import AccountState
from shared.provisioning.applications_state import ApplicationStates, ApplicationStatus, StatusChange
from shared.provisioning.figures.activity import Activity, ActivityCounter
from shared.provisioning.figures.counting import PAGE, SMALL_PAGES, Census, CensusTaker
from shared.provisioning.figures.counts import Counts
from shared.provisioning.figures.cycles import Cycle, CycleBook, Cycles
from shared.provisioning.figures.hours import rate_achieved
from shared.provisioning.guard import GuardKeeper
from shared.provisioning.provisioning_log import LogStatus
from shared.scim.refused_secrets import RefusedSecrets
from shared.storage.limiter import Limiter
from shared.storage.queues import Queues
from shared.storage.tables import StorageUnavailable, gather_all

_DAY_HOURS = 24
_TAIL_PAGES = 1
_SIDE_BY_SIDE = 8
"""Applications that are reported at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationReport:
    """One application, as a person wants to see it."""

    name: str
    enabled: bool
    status: ApplicationStatus
    reason: str = ""
    """Why it is quarantined or paused, and the vendor's own words; empty for an active one."""
    problems: Sequence[ApplicationProblem] = ()
    """What is wrong around it: a setting, the directory's permission, the vendor; causes first. Empty: nothing that
    needs a person, but for single accounts and what is held."""
    since: datetime | None = None
    next_probe_at: datetime | None = None
    history: Sequence[StatusChange] = ()
    """The last changes of status, newest first."""
    counted_at: datetime | None = None
    """When the accounts were counted: now, or some minutes ago where there are more than five thousand. None: they are
    many and were not counted to the end yet; what follows is how far the count has come."""
    total: int = 0
    """Accounts that are known: rows, and who is on a list."""
    pending: int = 0
    """Accounts where something is wanted that was not applied yet, in whatever state they are. One that has an account
    row and is on a list counts twice until it is taken up."""
    behind: int = 0
    """Accounts with nothing pending that are looked at once more: another configuration is in force, or a restart was
    asked for."""
    in_line: int = 0
    """Pending accounts, and accounts behind, that get their turn by themselves: neither in escrow nor held."""
    progress: float = 1.0
    """Share of the accounts that are not in line, 0 to 1. At 1 all that is left waits for a later time or a person."""
    seconds_left: int | None = None
    """Until nobody is in line, at the rate of the last hour, else at the vendor's limit. None: unknown, or stopped."""
    states: Mapping[str, int]
    """State -> number of accounts; every state is present."""
    escrowed: Mapping[str, int] = field(default_factory=dict)
    """Error code -> accounts in escrow."""
    oldest_pending_at: datetime | None = None
    """Since when the pending account waits that waits longest: since its first failure, else since the sync raised it
    last. None: nothing is pending, or it was raised before the sync kept its cycles."""
    queued: int | None = None
    """Messages in both queues, hidden ones included; None: the queues do not exist yet."""
    last_activity_at: datetime | None = None
    """When the last attempt began that was logged; None: there was none."""
    successes: int = 0
    """Attempts of the last 24 hours that succeeded, the present hour and the 23 before it."""
    failures: int = 0
    """Attempts of the same hours that failed for good, and put their account into escrow."""
    rate: float | None = None
    """Accounts finished a second, over the last hour; None: none was."""
    rate_limit: float | None = None
    """Requests a second that the vendor takes from all workers together; None: no limit is set."""
    vendor_pause_until: datetime | None = None
    """Until when the vendor asked everybody to wait; None: it does not now."""
    last_cycle: Cycle | None = None
    """The last run of the sync, for all applications; one that found nothing is noted every five minutes."""
    complete_at: datetime | None = None
    """When the directory was last known to be read to its end."""

    @property
    def needs_a_person(self) -> bool:
        """Whether something waits for somebody: a problem, a quarantine, or deletions that were held."""
        is_stuck = self.status is ApplicationStatus.QUARANTINE or self.states[AccountState.HELD] > 0
        return self.enabled and (is_stuck or bool(self.problems))


@dataclass(slots=True, kw_only=True)
class ApplicationReports:
    """Reports applications. One instance per process."""

    applications: Applications
    states: ApplicationStates
    census: CensusTaker
    activity: ActivityCounter
    cycles: CycleBook
    guard: GuardKeeper
    limiter: Limiter
    queues: Queues
    environment: Mapping[str, str] = field(repr=False)
    """All settings, to tell which of those that an application names are missing."""
    notifications: NotificationSettings
    refused_secrets: RefusedSecrets
    clock: Clock

    async def report(self, application: Application) -> ApplicationReport:
        """Report one application, at most about twenty storage calls. Raises StorageUnavailable."""
        return await self._report(application, await self.cycles.read())

    async def report_all(self) -> list[ApplicationReport]:
        """Report every application, disabled ones included, in the order of the file. Raises StorageUnavailable."""
        cycles = await self.cycles.read()
        everybody = list(self.applications.values())
        reports: list[ApplicationReport] = []
        for at in range(0, len(everybody), _SIDE_BY_SIDE):
            batch = everybody[at : at + _SIDE_BY_SIDE]
            reports += await gather_all([self._report(application, cycles) for application in batch])
        return reports

    async def _report(self, application: Application, cycles: Cycles) -> ApplicationReport:
        name, now = application.name, self.clock.now()
        census, state, guard, activity, pause, queued = await gather_all(
            [
                self._count(application),
                self.states.read_fresh(name),
                self.guard.read(name),
                self.activity.read_activity(name, _DAY_HOURS, pages=_TAIL_PAGES),
                self.limiter.read_pause(name),
                self._count_queued(name),
            ]
        )
        counts: Counts = census.counts if census.counts is not None else census.so_far
        hold_stands = bool(guard.held_up_to)
        in_line = counts.waiting(hold_stands=hold_stands)
        rate = rate_achieved({each.at: each for each in activity.hours}, now)
        return ApplicationReport(
            name=name,
            enabled=application.enabled,
            status=state.status,
            reason=f"{state.reason}: {state.detail}".strip(": "),
            problems=find_problems(
                application,
                state=state,
                cycles=cycles,
                environment=self.environment,
                notifications=self.notifications,
                refused=self.refused_secrets.of(name),
                now=now,
            ),
            since=state.since,
            next_probe_at=state.next_probe_at,
            history=state.history,
            counted_at=census.counted_at,
            total=counts.total,
            pending=counts.pending,
            behind=counts.behind,
            in_line=in_line,
            progress=_progress(counts.total, in_line),
            seconds_left=(
                None
                if state.is_stopped or not application.enabled
                else _seconds_left(in_line, rate or application.rate_limit.requests_per_second)
            ),
            states=counts.by_state(hold_stands=hold_stands),
            escrowed=dict(counts.escrowed),
            oldest_pending_at=_oldest(counts, cycles),
            queued=queued,
            last_activity_at=activity.last_at,
            successes=_sum(activity, LogStatus.SUCCESS),
            failures=_sum(activity, LogStatus.FAILURE),
            rate=rate,
            rate_limit=application.rate_limit.requests_per_second,
            vendor_pause_until=pause if pause is not None and pause > now else None,
            last_cycle=cycles.last,
            complete_at=cycles.complete_at,
        )

    async def _count(self, application: Application) -> Census:
        """What is counted now where that takes few pages; else the census."""
        census = await self.census.read(application.name)
        known = census.counts if census.counts is not None else census.so_far
        if known.total > SMALL_PAGES * PAGE:
            return census
        counts = await self.census.count_now(application)
        if counts is None:
            return census
        return Census(application=application.name, counts=counts, counted_at=self.clock.now())

    async def _count_queued(self, app: str) -> int | None:
        try:
            first, ordinary = await gather_all([self.queues.count(app, first=first) for first in (True, False)])
            return int(first + ordinary)
        except StorageUnavailable:
            # An application that was never synced has no queues yet; whether storage answers, the tables say.
            return None


def _progress(total: int, in_line: int) -> float:
    return max(0.0, 1.0 - in_line / total) if total else 1.0


def _seconds_left(in_line: int, rate: float | None) -> int | None:
    if not in_line:
        return 0
    return math.ceil(in_line / rate) if rate else None


def _sum(activity: Activity, result: LogStatus) -> int:
    return sum(hour.results[result] for hour in activity.hours)


def _oldest(counts: Counts, cycles: Cycles) -> datetime | None:
    """Since when the account waits that waits longest."""
    known = [read_instant(counts.oldest_failed_at), cycles.raised_at(counts.oldest_number)]
    return min((at for at in known if at is not None), default=None)
