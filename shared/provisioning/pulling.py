"""The puller: from the directory's changes to raised account rows (protocol steps 1 to 11).

    1 read the checkpoint   2 read the first page of each stream   3 take the lease, with a new epoch
    4..9 per page           10 end of round: guard release, then the watermark       11 assignments

One puller at a time, fenced by the checkpoint row: whoever finds it changed stops, and nothing is lost, because the
watermark moves last. Nothing sleeps here: when Graph throttles, the run ends and notes until when.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from shared import metrics, telemetry, tracing
from shared.clock import Clock, write_instant
from shared.config.applications import Application, Applications
from shared.config.provisioning_file import ScopeMode
from shared.directory.delta import PageError, count_unusable, read_links
from shared.directory.graph import (
    ForeignLink,
    Graph,
    GraphError,
    GraphNotFound,
    GraphRefused,
    GraphThrottled,
    SynchronizationReset,
)
from shared.directory.mirror import Mirror
from shared.provisioning.applications_state import UNREADABLE, ApplicationStates
from shared.provisioning.assignment_pages import AssignmentList, AssignmentPages, changes_principal, stream_name
from shared.provisioning.backlog import Backlog
from shared.provisioning.checkpoint import Checkpoint, Checkpoints, Lease, LeaseLost, Numbers, StreamState
from shared.provisioning.group_pages import GroupPages
from shared.provisioning.guard import ENQUEUED_AT_ONCE, GuardKeeper
from shared.provisioning.pull_run import PullRun
from shared.provisioning.raise_lists import RaiseLists
from shared.provisioning.reconfiguration import Reconfiguration
from shared.provisioning.user_pages import UserPages, start_round
from shared.rules.source_user import select_group_properties, select_properties
from shared.storage.durable_writes import DurableWrite
from shared.storage.queues import Queues
from shared.storage.tables import StorageConflict, StorageUnavailable, Tables, gather_all

LINK_LIFE = timedelta(days=6)
"""A delta token lives seven days (graph.md section 1); an older link is not tried."""

LINK_REFRESH = timedelta(hours=1)
"""A link this old is replaced by the newer one of an empty page, so that it never ages in a quiet directory."""

LOOK_AGAIN_S = 300.0
"""How often a tick without changes looks whether another process quarantined an application."""

RUN_BUDGET_S = 240.0
"""A run ends at a page boundary after this, far below the function's time-out; the next tick goes on."""

LEASE_TAKEN = frozenset({"waiting", "lease lost"})
"""Outcomes of a run that somebody else's run, or Graph's wish for a pause, kept from reading."""

LEASE_LENGTH = timedelta(seconds=60)
LEASE_MARGIN_S = 25.0
"""Storage's time-outs and some: no write is started with less than this left."""


class DeltaPages(Protocol):
    """A stream of delta pages."""

    async def apply_page(self, run: PullRun, page: Mapping[str, Any]) -> None:
        """Carry a page through steps 4 to 8."""
        ...

    async def sweep_unseen(self, run: PullRun) -> None:
        """Treat what a full round did not show."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstPage:
    """What step 2 found at the head of a delta stream."""

    stream: str
    state: StreamState
    page: Mapping[str, Any]
    is_news: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PullReport:
    """What a run did."""

    outcome: str
    epoch: int = 0
    """The run's number; 0: it did not get as far as the lease."""
    pages: int = 0
    """Pages of users and groups that were read."""
    changes: int = 0
    """Users and groups on those pages."""
    raised: Mapping[str, int] = field(default_factory=dict)
    queued: Mapping[str, int] = field(default_factory=dict)
    """Application -> accounts queued at once."""
    error: str = ""
    """What Graph said, if the run ended early."""
    raised_s: float = 0.0
    """Seconds until every touched row was raised; what follows releases and queues them."""
    duration_s: float = 0.0


@dataclass(slots=True, kw_only=True)
class Puller:
    """Pulls the directory once per call. Build one per process."""

    applications: Applications
    graph: Graph
    mirror: Mirror
    tables: Tables
    lists: RaiseLists
    queues: Queues
    checkpoints: Checkpoints
    states: ApplicationStates
    guard: GuardKeeper
    backlog: Backlog
    reconfiguration: Reconfiguration
    users: UserPages
    groups: GroupPages
    assignments: AssignmentPages
    clock: Clock
    new_id: Callable[[], str]
    takeover_slack: timedelta
    """How long after its end the lease of a silent puller is still respected: clocks differ."""
    _looked_at: dict[str, float] = field(default_factory=dict)
    """Application -> when its status was last read, on the monotonic clock."""

    async def pull(self, *, trace: str = "", within_s: float = RUN_BUDGET_S) -> PullReport:
        """Read what changed and raise the accounts it touches. Safe to call at any time, from anywhere.

        `within_s`: the run ends at the first page boundary after this. `trace`: a W3C traceparent to go on with.
        """
        with tracing.span(tracing.SpanName.DIRECTORY_PULL, parent=trace) as span:
            report = await self._pull(trace=span.traceparent or trace, within_s=within_s)
            span.set(outcome=report.outcome, epoch=report.epoch, pages=report.pages, changes=report.changes)
            if report.error:
                span.fail(report.outcome)
            elif not report.epoch:
                # Nothing new, or somebody else is at it: most runs.
                span.forget()
        if report.changes:
            metrics.record(metrics.Metric.DIRECTORY_CHANGES, report.changes, result=report.outcome)
        return report

    async def _pull(self, *, trace: str, within_s: float) -> PullReport:
        started = self.clock.monotonic()
        checkpoint = await self.checkpoints.read()
        if self._must_wait(checkpoint):
            return PullReport(outcome="waiting")
        try:
            firsts = await self._read_first_pages(checkpoint)
            lists, unread = await self._read_lists(checkpoint)
        except GraphError as error:
            return await self._end_unread(checkpoint, error)
        reconfigured = self._reconfigured(checkpoint, unread)
        restarted = [
            application
            for application in self.applications.enabled
            if application.name in checkpoint.restarts and application.name not in unread
        ]
        departed = checkpoint.configs.keys() - {application.name for application in self.applications.enabled}
        is_news = any(first.is_news for first in firsts) or bool(lists)
        if not (is_news or reconfigured or restarted or departed or checkpoint.backlog):
            return PullReport(outcome="nothing new")
        try:
            run = await self._take_lease(checkpoint, firsts, trace=trace, lists=lists)
            until = self.clock.monotonic() + min(within_s, RUN_BUDGET_S)
            outcome = await self._run(run, firsts, lists, reconfigured, unread=unread, until=until)
        except StorageUnavailable:
            await self._give_back_lease(checkpoint)
            raise
        except (LeaseLost, StorageConflict) as error:
            telemetry.emit(telemetry.Event.PULLER_LEASE_LOST, reason=str(error))
            return PullReport(outcome="lease lost", error=str(error))
        duration = self.clock.monotonic() - started
        telemetry.emit(
            telemetry.Event.DIRECTORY_PULLED, outcome=outcome, raised=run.raised, duration_s=round(duration, 3)
        )
        return PullReport(
            outcome=outcome,
            epoch=run.checkpoint.epoch,
            pages=run.pages,
            changes=run.changes,
            raised=dict(run.raised),
            queued=dict(run.queued),
            error=run.error,
            raised_s=run.raised_at - started,
            duration_s=duration,
        )

    async def _give_back_lease(self, before: Checkpoint) -> None:
        """Storage failed in the middle: the page is read again at the next tick, which need not wait for the lease."""
        try:
            current = await self.checkpoints.read()
            if current.epoch == before.epoch + 1:
                released = replace(_without_first(current), lease_token="", lease_until=None)
                await self.checkpoints.write(DurableWrite.PULLER_RELEASE, released)
        except (StorageUnavailable, StorageConflict):
            return

    def _must_wait(self, checkpoint: Checkpoint) -> bool:
        """Step 1: whether another puller is at work, or Graph asked us to wait."""
        now = self.clock.now()
        waits = [checkpoint.blocked_until]
        if checkpoint.lease_until is not None:
            waits.append(checkpoint.lease_until + self.takeover_slack)
        until = max((at for at in waits if at is not None), default=None)
        if until is None or now >= until:
            return False
        telemetry.emit(telemetry.Event.DIRECTORY_WAITING, until=until, leased=checkpoint.lease_until is not None)
        return True

    async def _read_first_pages(self, checkpoint: Checkpoint) -> list[FirstPage]:
        """Step 2 for users and groups. The links are followed side by side; each chain is sequential by nature."""
        user_properties = select_properties(self.applications.values())
        group_properties = select_group_properties(self.applications.values())
        return await gather_all(
            [
                self._read_first_page(checkpoint, "users", user_properties, self.graph.read_users_delta),
                self._read_first_page(checkpoint, "groups", group_properties, self.graph.read_groups_delta),
            ]
        )

    async def _read_first_page(
        self,
        checkpoint: Checkpoint,
        stream: str,
        properties: Sequence[str],
        read_initial: Callable[[Sequence[str]], Awaitable[dict[str, Any]]],
    ) -> FirstPage:
        state = checkpoint.stream(stream)
        select = hashlib.sha256(json.dumps(properties).encode()).hexdigest()[:16]
        now = self.clock.now()
        usable = state.link and state.select == select and state.saved_at and now - state.saved_at < LINK_LIFE
        if usable:
            # A run that died, and kept its lease, may have left a part of a page in the mirror.
            state = replace(state, first=state.first and not checkpoint.lease_token)
            try:
                page = await self.graph.read(state.link)
            except (SynchronizationReset, ForeignLink) as error:
                telemetry.emit(telemetry.Event.DIRECTORY_RESET, stream=stream, reason=str(error))
            else:
                stale = state.saved_at is not None and now - state.saved_at >= LINK_REFRESH
                is_news = bool(page.get("value")) or "@odata.nextLink" in page or bool(state.round) or stale
                return FirstPage(stream=stream, state=state, page=page, is_news=is_news)
        started = start_round(state, round_id=self.new_id(), select=select)
        return FirstPage(stream=stream, state=started, page=await read_initial(properties), is_news=True)

    async def _read_lists(self, checkpoint: Checkpoint) -> tuple[dict[str, AssignmentList], set[str]]:
        """Step 2 for assignments: the complete lists that say something new, and whose list could not be read.

        One application's trouble stops no other; only a throttled Graph ends the run.
        """
        lists: dict[str, AssignmentList] = {}
        unread: set[str] = set()
        now = write_instant(self.clock.now())
        for application in self.applications.enabled:
            if application.scope is not ScopeMode.ASSIGNED:
                continue
            if not application.service_principal_id:
                unread.add(application.name)
                await self._stop_unreadable(application, "; ".join(map(str, application.unfilled)))
                continue
            try:
                found = await self.assignments.read_list(application, now=self.clock.now())
            except (GraphNotFound, GraphRefused) as error:
                unread.add(application.name)
                await self._stop_unreadable(
                    application, f"service_principal_id {application.service_principal_id}: {error}"
                )
                continue
            except GraphThrottled:
                raise
            except GraphError as error:
                telemetry.emit(_event_of(error), application=application.name, reason=str(error))
                unread.add(application.name)
                continue
            await self._lift_quarantine(application.name)
            state = checkpoint.stream(stream_name(application.name))
            if self.assignments.is_news(state, application, found, now):
                lists[application.name] = found
        return lists, unread

    async def _stop_unreadable(self, application: Application, reason: str) -> None:
        """Never an empty list: nobody loses access because a service principal could not be read."""
        telemetry.emit(
            telemetry.Event.ASSIGNMENTS_UNREADABLE,
            application=application.name,
            service_principal=application.service_principal_id,
            reason=reason,
        )
        await self.states.impose_quarantine(application.name, UNREADABLE, reason)
        self._looked_at.pop(application.name, None)

    async def _lift_quarantine(self, app: str) -> None:
        """End the quarantine of a service principal that can be read again.

        The state is only read when this process saw the trouble, and now and then because another one may have: a tick
        without changes makes one storage call.
        """
        now = self.clock.monotonic()
        if now < self._looked_at.get(app, float("-inf")) + LOOK_AGAIN_S:
            return
        await self.states.lift_quarantine(app, reason=UNREADABLE)
        self._looked_at[app] = now

    def _reconfigured(self, checkpoint: Checkpoint, unread: Set[str]) -> list[Application]:
        """New, changed and returning applications; one whose assignments cannot be read has to wait for them."""
        return [
            application
            for application in self.applications.enabled
            if checkpoint.configs.get(application.name) != application.config_hash and application.name not in unread
        ]

    async def _take_lease(
        self,
        checkpoint: Checkpoint,
        firsts: Sequence[FirstPage],
        *,
        trace: str,
        lists: Mapping[str, AssignmentList] | None = None,
    ) -> PullRun:
        """Step 3: one conditional write on the row read in step 1. Raises StorageConflict when another was faster."""
        before = self.clock.monotonic()
        leased = replace(
            checkpoint,
            # Where the row was lost, numbers go on above all that were ever given: no run takes less than a second.
            epoch=checkpoint.epoch + 1 if checkpoint.etag else int(self.clock.now().timestamp()),
            lease_token=self.new_id(),
            lease_until=self.clock.now() + LEASE_LENGTH,
            blocked_until=None,
        )
        for first in firsts:
            # A round's stamp is durable before the first row carries it (protocol T21).
            leased = leased.with_stream(first.stream, first.state)
        for app, found in (lists or {}).items():
            name = stream_name(app)
            in_doubt = self.assignments.in_doubt(leased.stream(name), self.applications[app], found)
            leased = leased.with_stream(name, in_doubt)
        leased = await self.checkpoints.write(DurableWrite.PULLER_LEASE, leased)
        return PullRun(
            checkpoint=leased,
            lease=Lease(
                token=leased.lease_token,
                ends_at=before + LEASE_LENGTH.total_seconds(),
                length=LEASE_LENGTH,
                margin_s=LEASE_MARGIN_S,
            ),
            numbers=Numbers(leased.epoch),
            applications=self.applications,
            tables=self.tables,
            lists=self.lists,
            queues=self.queues,
            mirror=self.mirror,
            checkpoints=self.checkpoints,
            clock=self.clock,
            trace=trace,
        )

    async def _run(
        self,
        run: PullRun,
        firsts: Sequence[FirstPage],
        lists: Mapping[str, AssignmentList],
        reconfigured: Sequence[Application],
        *,
        unread: Set[str],
        until: float,
    ) -> str:
        """Steps 4 to 11 under the lease, the streams in sequence (protocol T23)."""
        blocked_s, outcome = 0.0, "pulled"
        self.reconfiguration.forget_departed(run)
        try:
            await self.reconfiguration.apply(run, [each for each in reconfigured if _knows_assignments(run, each)])
            await self.reconfiguration.take_up_restarts(run)
            outcome = "to be continued"
            if await self._run_streams(run, firsts, until=until):
                outcome = await self._apply_lists(run, lists, until=until)
                # With its assignments unread an application would take everybody for unassigned.
                await self.reconfiguration.apply(run, [each for each in reconfigured if _read_assignments(run, each)])
        except GraphThrottled as error:
            blocked_s, outcome, run.error = error.retry_after_s, "throttled", str(error)
            telemetry.emit(telemetry.Event.DIRECTORY_THROTTLED, retry_after_s=blocked_s)
        except SynchronizationReset as error:
            telemetry.emit(telemetry.Event.DIRECTORY_RESET, reason=str(error))
            run.finished.clear()
            outcome, run.error = "reset", str(error)
            run.checkpoint = _without_links(run.checkpoint)
        except (GraphError, PageError) as error:
            outcome, run.error = "unavailable", str(error)
            telemetry.emit(_event_of(error), reason=str(error))
        run.raised_at = self.clock.monotonic()
        is_over = outcome != "to be continued" and _rounds_ended(run, firsts)
        release_staged = self.guard.release if is_over else self.guard.release_in_round
        if is_over and any(first.state.began for first in firsts):
            # Earlier runs of the same round may have staged somebody, and waited for its end.
            run.staged.update(application.name for application in self.applications.enabled)
        for app in sorted(run.staged):
            release = await release_staged(self.applications[app])
            if release.released > ENQUEUED_AT_ONCE and app not in run.checkpoint.backlog:
                run.checkpoint = run.checkpoint.with_backlog(app, "")
            await run.renew()
        await self.backlog.top_up(run)
        run.checkpoint = replace(run.checkpoint, blocked_until=self._blocked_until(blocked_s))
        await run.save_watermarks(complete=outcome == "pulled" and not unread)
        return outcome

    async def _run_streams(self, run: PullRun, firsts: Sequence[FirstPage], *, until: float) -> bool:
        """Read both delta streams to their ends; False when the time was up first."""
        pages: dict[str, DeltaPages] = {"users": self.users, "groups": self.groups}
        for first in firsts:
            if first.is_news and not await self._run_stream(run, first, pages[first.stream], until=until):
                return False
        return True

    async def _apply_lists(self, run: PullRun, lists: Mapping[str, AssignmentList], *, until: float) -> str:
        """Step 11 for every list that says something new; answers how that ended.

        A group whose members cannot be read keeps its application waiting, and no other.
        """
        outcome = "pulled"
        for app, found in lists.items():
            if changes_principal(run.checkpoint.stream(stream_name(app)), self.applications[app]):
                await self.guard.distrust(app)
            try:
                if not await self.assignments.apply_list(run, self.applications[app], found, until=until):
                    return "to be continued"
            except (GraphThrottled, SynchronizationReset):
                raise
            except GraphError as error:
                outcome, run.error = "unavailable", str(error)
                telemetry.emit(_event_of(error), application=app, reason=str(error))
        return outcome

    async def _run_stream(self, run: PullRun, first: FirstPage, pages: DeltaPages, *, until: float) -> bool:
        page, state, seen = first.page, first.state, set[str]()
        while True:
            links = read_links(page)
            # A page that leads to another host is neither followed nor stored: raises ForeignLink.
            self.graph.require_own(links.next or links.delta)
            unusable = count_unusable(page)
            if unusable:
                telemetry.emit(telemetry.Event.DIRECTORY_OBJECT_UNUSABLE, stream=first.stream, count=unusable)
            run.pages, run.changes = run.pages + 1, run.changes + len(page.get("value") or ())
            if links.delta:
                await pages.apply_page(run, page)
                await pages.sweep_unseen(run)
                run.finish_round(first.stream, replace(state, link=links.delta, round="", first=False, began=""))
                return True
            if links.next in seen:
                # Following it again would never end, at this run and at every later one.
                raise SynchronizationReset(f"the {first.stream} stream links back to a page already read")
            seen.add(links.next)
            state = replace(state, link=links.next, began=state.began or run.numbers.before_first())
            async with _begun(self.graph.read(links.next)) as following:
                await pages.apply_page(run, page)
                await run.save_page(first.stream, state)
                if self.clock.monotonic() >= until:
                    return False
                page = await following

    async def _end_unread(self, checkpoint: Checkpoint, error: GraphError) -> PullReport:
        """Step 2 failed: nothing was changed. A time to wait is written down, so that it holds for every instance."""
        telemetry.emit(_event_of(error), reason=str(error))
        if isinstance(error, GraphThrottled):
            blocked = replace(checkpoint, blocked_until=self._blocked_until(error.retry_after_s))
            try:
                await self.checkpoints.write(DurableWrite.PULLER_RELEASE, blocked)
            except StorageConflict:
                return PullReport(outcome="throttled", error=str(error))
        return PullReport(outcome=type(error).__name__, error=str(error))

    def _blocked_until(self, seconds: float) -> datetime | None:
        return self.clock.now() + timedelta(seconds=seconds) if seconds else None


def _rounds_ended(run: PullRun, firsts: Sequence[FirstPage]) -> bool:
    """Whether users and groups were read to the end: all who leave together are staged."""
    return all(first.stream in run.finished for first in firsts if first.is_news)


def _knows_assignments(run: PullRun, application: Application) -> bool:
    """Whether the application's assignments were in the mirror before this run."""
    state = run.checkpoint.stream(stream_name(application.name))
    return application.scope is ScopeMode.ALL or state.principal == application.service_principal_id


def _read_assignments(run: PullRun, application: Application) -> bool:
    """Whether this run read the application's assignments for the first time, to their end."""
    return not _knows_assignments(run, application) and stream_name(application.name) in run.finished


@asynccontextmanager
async def _begun(reading: Coroutine[Any, Any, dict[str, Any]]) -> AsyncIterator[asyncio.Task[dict[str, Any]]]:
    """Read the next page while this one is written; its failure counts when it is asked for, if ever."""
    task = asyncio.ensure_future(reading)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()


def _without_first(checkpoint: Checkpoint) -> Checkpoint:
    """No longer claim that the mirror holds nothing but the pages that were saved."""
    streams = {name: replace(state, first=False) for name, state in checkpoint.streams.items()}
    return replace(checkpoint, streams=streams)


def _without_links(checkpoint: Checkpoint) -> Checkpoint:
    """Forget the delta links: the next run starts full rounds."""
    streams = dict(checkpoint.streams)
    for name in ("users", "groups"):
        if name in streams:
            streams[name] = replace(streams[name], link="")
    return replace(checkpoint, streams=streams)


def _event_of(error: Exception) -> telemetry.Event:
    if isinstance(error, GraphRefused):
        return telemetry.Event.DIRECTORY_REFUSED
    if isinstance(error, GraphThrottled):
        return telemetry.Event.DIRECTORY_THROTTLED
    return telemetry.Event.DIRECTORY_UNAVAILABLE
