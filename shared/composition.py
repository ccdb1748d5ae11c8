"""Who builds whom: the one place that knows concrete classes. Imported by function_app, the command line and tests.

Importing it is cheap. Whatever costs seconds to import (Graph, identity and storage SDKs, the HTTP client) is built on
first use, inside the event loop, so that a cold start answers before it is needed.
"""

from __future__ import annotations

import gc
import random
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any

from shared import telemetry
from shared.clock import Clock
from shared.config.outline import Outline, read_outline
from shared.config.settings import Settings
from shared.storage.durable_writes import Observer, unobserved

if TYPE_CHECKING:
    from shared.config.applications import Application, Applications
    from shared.directory.graph import Graph
    from shared.directory.mirror import Mirror
    from shared.insights import Insights
    from shared.operations.application_report import ApplicationReports
    from shared.operations.people import People
    from shared.operations.previewing.previewer import Previewer
    from shared.provisioning.account_rows import AccountRows
    from shared.provisioning.applications_state import ApplicationStates
    from shared.provisioning.audit_trail import AuditTrail
    from shared.provisioning.backlog import Backlog
    from shared.provisioning.checkpoint import Checkpoints
    from shared.provisioning.deciding import Decider
    from shared.provisioning.directory_sync import DirectorySync
    from shared.provisioning.drift.findings import DriftFindings
    from shared.provisioning.drift.rounds import DriftRounds
    from shared.provisioning.drift.verifying import Verifier
    from shared.provisioning.failing import Failures
    from shared.provisioning.figures.activity import ActivityCounter
    from shared.provisioning.figures.counting import CensusTaker
    from shared.provisioning.figures.cycles import CycleBook
    from shared.provisioning.figures.keeping import FiguresKeeper
    from shared.provisioning.guard import GuardKeeper
    from shared.provisioning.held_deletions import HeldDeletions
    from shared.provisioning.housekeeping import Housekeeper
    from shared.provisioning.mapping_source import SourceMapper
    from shared.provisioning.matching import Matcher
    from shared.provisioning.member_wakeups import MemberWakeups
    from shared.provisioning.memberships import Memberships
    from shared.provisioning.notices.notifier import Notifier
    from shared.provisioning.notices.webhook import Webhooks
    from shared.provisioning.notified_sync import NotifiedSync
    from shared.provisioning.on_demand import OnDemand
    from shared.provisioning.poison import PoisonKeeper
    from shared.provisioning.pulling import Puller
    from shared.provisioning.raise_lists import RaiseLists
    from shared.provisioning.reconcile import Reconciler
    from shared.provisioning.references import References
    from shared.provisioning.restarting import Restarts
    from shared.provisioning.retries import Retries
    from shared.provisioning.saving import Saves
    from shared.provisioning.subscription_keeping import SubscriptionKeeper
    from shared.scim.client import Departure, Gate, ScimClient
    from shared.scim.connections import ScimConnections
    from shared.scim.refused_secrets import RefusedSecrets
    from shared.storage.connections import Identities
    from shared.storage.limiter import Limiter
    from shared.storage.queues import Queues
    from shared.storage.service_clock import ServiceClock
    from shared.storage.tables import Tables


class Services:
    """Everything a process needs, each built once and only when asked for."""

    def __init__(
        self,
        settings: Settings,
        outline: Outline,
        *,
        clock: Clock | None = None,
        observer: Observer = unobserved,
        table_prefix: str = "",
    ) -> None:
        self.settings = settings
        self.enabled = outline.enabled
        """Names of the enabled applications: all that registering the functions needs."""
        self.clock = clock or Clock()
        # A clock that somebody hands in, to move it by hand, has nothing to do with storage's.
        self._measures_clock = clock is None
        self._observer = observer
        self._table_prefix = table_prefix
        self._prepared = False
        self._sends_telemetry = False
        self._insights: Insights | None = None

    @cached_property
    def applications(self) -> Applications:
        """The connected applications, validated. Raises ConfigurationError."""
        return _validate(self.settings)

    async def ensure_storage(self) -> None:
        """`prepare_storage`, once per process."""
        if not self._prepared:
            await self.prepare_storage()
            self._prepared = True

    def send_telemetry(self) -> None:
        """Record spans and metrics and send them to Application Insights, where the settings name one.

        For function apps; every invocation calls it, and the first one pays for it.
        """
        if self._sends_telemetry:
            return
        self._sends_telemetry = True
        if self.settings.insights_connection is None:
            return
        from shared.insights import Insights

        try:
            self._insights = Insights(
                self.settings.insights_connection,
                sample_percent=self.settings.trace_sample_percent,
                environment=self.settings.environment,
            )
        except ValueError:
            # Without a trace people are provisioned all the same.
            telemetry.logger.warning("APPLICATIONINSIGHTS_CONNECTION_STRING is no connection string; no spans are sent")

    async def prepare_storage(self) -> None:
        """Create tables and queues that are missing. Idempotent; in Azure they exist already."""
        await self.tables.create_missing()
        await self.queues.create_missing(list(self.enabled))

    async def close(self) -> None:
        """Close every connection. For commands and tests; a function app is ended by its host."""
        if self._insights is not None:
            self._insights.close()
        if "connections" in self.__dict__:
            await self.connections.aclose()
        if "webhooks" in self.__dict__:
            await self.webhooks.aclose()
        for name in ("tables", "queues", "graph", "identities"):
            if name in self.__dict__:
                await self.__dict__[name].close()

    def client_of(self, application: Application) -> ScimClient:
        """The SCIM client of an application."""
        return self.connections.client_of(application)

    def gate_of(self, application: Application) -> Gate:
        """Every request to a vendor passes its rate limit, look-ups and tokens included (protocol T14)."""
        from shared.scim.client import RequestPriority

        name, rate = application.name, application.rate_limit.requests_per_second

        async def gate(priority: RequestPriority) -> Departure:
            first, asked = priority is RequestPriority.FIRST, priority is RequestPriority.ASKED
            slot = await self.limiter.reserve(name, rate, first=first, begun=asked)
            await self.limiter.approach(slot)
            return partial(self.limiter.depart, name, rate, slot, first=first)

        return gate

    @cached_property
    def connections(self) -> ScimConnections:
        """The vendors' SCIM clients."""
        from shared.scim.connections import ScimConnections

        return ScimConnections(
            secret=self.settings.secret,
            gate_of=self.gate_of,
            timeout_s=self.settings.vendor_timeout_s,
            refused=self.refused_secrets,
        )

    @cached_property
    def refused_secrets(self) -> RefusedSecrets:
        """Secrets that a vendor refused in this process while another one is tried in their place."""
        from shared.scim.refused_secrets import RefusedSecrets

        return RefusedSecrets()

    @cached_property
    def identities(self) -> Identities:
        """Who the app is to storage and Graph."""
        from shared.storage.connections import Identities

        return Identities()

    @cached_property
    def tables(self) -> Tables:
        """Table storage."""
        from shared.storage.connections import connect_tables
        from shared.storage.tables import Tables

        service = connect_tables(self.settings, self.identities, measures=self.service_clock)
        return Tables(service, prefix=self._table_prefix, observer=self._observer)

    @cached_property
    def service_clock(self) -> ServiceClock | None:
        """Storage's clock, which is the same for every worker; None where the clock is moved by hand."""
        from shared.storage.service_clock import ServiceClock

        return ServiceClock(self.clock) if self._measures_clock else None

    @cached_property
    def queues(self) -> Queues:
        """Queue storage."""
        from shared.storage.connections import connect_queues
        from shared.storage.queues import Queues

        return Queues(connect_queues(self.settings, self.identities), observer=self._observer)

    @cached_property
    def limiter(self) -> Limiter:
        """The vendors' rate limits."""
        from shared.storage.limiter import Limiter

        return Limiter(tables=self.tables, clock=self.clock, service_clock=self.service_clock)

    @cached_property
    def graph(self) -> Graph:
        """Microsoft Graph."""
        from shared.directory.graph import Graph
        from shared.storage.connections import graph_credential

        credential = graph_credential(self.settings, self.identities)
        return Graph(base_url=self.settings.graph_base_url, credential=credential, clock=self.clock)

    @cached_property
    def mirror(self) -> Mirror:
        """The directory mirror."""
        from shared.directory.mirror import Mirror

        return Mirror(self.tables)

    @cached_property
    def states(self) -> ApplicationStates:
        """Application states."""
        from shared.provisioning.applications_state import ApplicationStates

        return ApplicationStates(tables=self.tables, clock=self.clock)

    @cached_property
    def rows(self) -> AccountRows:
        """Account rows."""
        from shared.provisioning.account_rows import AccountRows

        return AccountRows(self.tables)

    @cached_property
    def guard(self) -> GuardKeeper:
        """The deletion guard."""
        from shared.provisioning.guard import GuardKeeper

        return GuardKeeper(tables=self.tables, queues=self.queues, clock=self.clock)

    @cached_property
    def held_deletions(self) -> HeldDeletions:
        """What the guard holds, and a person's answer."""
        from shared.provisioning.held_deletions import HeldDeletions

        return HeldDeletions(tables=self.tables, guard=self.guard)

    @cached_property
    def audit(self) -> AuditTrail:
        """Who did what."""
        from shared.provisioning.audit_trail import AuditTrail

        return AuditTrail(tables=self.tables, clock=self.clock)

    @cached_property
    def retries(self) -> Retries:
        """Another try, when a person asks for it."""
        from shared.provisioning.retries import Retries

        return Retries(tables=self.tables, queues=self.queues, clock=self.clock)

    @cached_property
    def on_demand(self) -> OnDemand:
        """One account at once, when a person asks for it."""
        from shared.provisioning.on_demand import OnDemand

        return OnDemand(
            rows=self.rows,
            mirror=self.mirror,
            states=self.states,
            checkpoints=self.checkpoints,
            guard=self.guard,
            memberships=self.memberships,
            directory_sync=self.directory_sync,
            reconciler=self.reconciler,
            queues=self.queues,
            clock=self.clock,
            new_id=new_id,
        )

    @cached_property
    def restarts(self) -> Restarts:
        """A restart of an application, with chosen scopes."""
        from shared.provisioning.restarting import Restarts

        return Restarts(
            checkpoints=self.checkpoints,
            states=self.states,
            retries=self.retries,
            clock=self.clock,
        )

    @cached_property
    def people(self) -> People:
        """Whoever is searched for, and their stories."""
        from shared.directory.directory_search import DirectorySearch
        from shared.operations.people import People

        return People(
            applications=self.applications,
            rows=self.rows,
            mirror=self.mirror,
            tables=self.tables,
            directory=DirectorySearch(self.graph),
            clock=self.clock,
        )

    @cached_property
    def checkpoints(self) -> Checkpoints:
        """How far the directory was read."""
        from shared.provisioning.checkpoint import Checkpoints

        return Checkpoints(self.tables)

    @cached_property
    def lists(self) -> RaiseLists:
        """Accounts that are raised when their queue has room."""
        from shared.provisioning.raise_lists import RaiseLists

        return RaiseLists(self.tables)

    @cached_property
    def memberships(self) -> Memberships:
        """Memberships of groups."""
        from shared.provisioning.memberships import Memberships

        return Memberships(rows=self.rows, tables=self.tables, mirror=self.mirror, clock=self.clock)

    @cached_property
    def wakeups(self) -> MemberWakeups:
        """Who is told of an account that groups wait for."""
        from shared.provisioning.member_wakeups import MemberWakeups

        return MemberWakeups(
            rows=self.rows, tables=self.tables, mirror=self.mirror, queues=self.queues, clock=self.clock
        )

    @cached_property
    def backlog(self) -> Backlog:
        """Top-up and sweep."""
        from shared.provisioning.backlog import Backlog

        return Backlog(
            applications=self.applications,
            tables=self.tables,
            lists=self.lists,
            queues=self.queues,
            states=self.states,
            clock=self.clock,
            grace=timedelta(seconds=self.settings.grace_s),
            sweep_after=timedelta(seconds=self.settings.sweep_after_s),
        )

    @cached_property
    def mapper(self) -> SourceMapper:
        """Compiled mappings."""
        from shared.provisioning.mapping_source import SourceMapper

        return SourceMapper(clock=self.clock)

    @cached_property
    def decider(self) -> Decider:
        """What is to be done about accounts."""
        from shared.provisioning.deciding import Decider

        return Decider(self.mapper)

    @cached_property
    def puller(self) -> Puller:
        """The sync."""
        from shared.provisioning.assignment_pages import AssignmentPages
        from shared.provisioning.group_pages import GroupPages
        from shared.provisioning.pulling import Puller
        from shared.provisioning.reconfiguration import Reconfiguration
        from shared.provisioning.user_pages import UserPages

        groups = GroupPages(graph=self.graph, mirror=self.mirror)
        return Puller(
            applications=self.applications,
            graph=self.graph,
            mirror=self.mirror,
            tables=self.tables,
            queues=self.queues,
            checkpoints=self.checkpoints,
            states=self.states,
            guard=self.guard,
            lists=self.lists,
            backlog=self.backlog,
            reconfiguration=Reconfiguration(
                states=self.states,
                tables=self.tables,
                mirror=self.mirror,
                groups=groups,
                audit=self.audit,
                checkpoints=self.checkpoints,
            ),
            users=UserPages(graph=self.graph, mirror=self.mirror),
            groups=groups,
            assignments=AssignmentPages(
                graph=self.graph,
                mirror=self.mirror,
                groups=groups,
                confirm_after=timedelta(seconds=self.settings.assignment_confirm_s),
            ),
            clock=self.clock,
            new_id=new_id,
            takeover_slack=timedelta(seconds=self.settings.grace_margin_s),
        )

    @cached_property
    def directory_sync(self) -> DirectorySync:
        """The sync, and what is noted of it for people."""
        from shared.provisioning.directory_sync import DirectorySync

        return DirectorySync(
            applications=self.applications,
            puller=self.puller,
            cycles=self.cycles,
            figures=self.figures,
            notifier=self.notifier,
            clock=self.clock,
        )

    @cached_property
    def subscriptions(self) -> SubscriptionKeeper:
        """Subscriptions to change notifications."""
        from shared.directory.subscriptions import Subscriptions
        from shared.provisioning.subscription_keeping import SubscriptionKeeper
        from shared.provisioning.subscription_rows import SubscriptionRows

        return SubscriptionKeeper(
            settings=self.settings.notifications,
            subscriptions=Subscriptions(self.graph),
            rows=SubscriptionRows(self.tables),
            clock=self.clock,
        )

    @cached_property
    def notified_sync(self) -> NotifiedSync:
        """The sync when somebody rings."""
        from shared.provisioning.notified_sync import NotifiedSync

        return NotifiedSync(
            directory_sync=self.directory_sync, subscriptions=self.subscriptions, queues=self.queues, clock=self.clock
        )

    @cached_property
    def matcher(self) -> Matcher:
        """Look-ups of accounts that exist before any link does."""
        from shared.provisioning.listing import Listing
        from shared.provisioning.matching import Matcher

        listing = Listing(tables=self.tables, states=self.states, client_of=self.client_of, clock=self.clock)
        return Matcher(client_of=self.client_of, rows=self.rows, listing=listing)

    @cached_property
    def failures(self) -> Failures:
        """How attempts end that did not succeed."""
        from shared.provisioning.failing import Failures
        from shared.provisioning.failure_window import FailureWindows

        return Failures(
            rows=self.rows,
            states=self.states,
            limiter=self.limiter,
            windows=FailureWindows(),
            queues=self.queues,
            client_of=self.client_of,
            clock=self.clock,
            new_id=new_id,
            jitter=random.random,
            grace_s=self.settings.grace_s,
        )

    @cached_property
    def references(self) -> References:
        """References between accounts."""
        from shared.provisioning.references import References

        return References(rows=self.rows, tables=self.tables, queues=self.queues, clock=self.clock)

    @cached_property
    def saves(self) -> Saves:
        """How attempts end that met no failure."""
        from shared.provisioning.saving import Saves

        return Saves(
            rows=self.rows,
            references=self.references,
            memberships=self.memberships,
            wakeups=self.wakeups,
            failures=self.failures,
            queues=self.queues,
            clock=self.clock,
            new_id=new_id,
            jitter=random.random,
            grace_s=self.settings.grace_s,
        )

    @cached_property
    def reconciler(self) -> Reconciler:
        """The consumer."""
        from shared.provisioning.exporting import Exporter
        from shared.provisioning.leasing import Leases
        from shared.provisioning.member_saving import MemberSaves
        from shared.provisioning.names import Names
        from shared.provisioning.reconcile import Reconciler

        reconciler = Reconciler(
            applications=self.applications,
            rows=self.rows,
            mirror=self.mirror,
            states=self.states,
            limiter=self.limiter,
            leases=Leases(
                rows=self.rows,
                limiter=self.limiter,
                clock=self.clock,
                new_id=new_id,
                lease_s=self.settings.lease_s,
                vendor_timeout_s=self.settings.vendor_timeout_s,
            ),
            decider=self.decider,
            matcher=self.matcher,
            exporter=Exporter(self.client_of),
            failures=self.failures,
            names=Names(
                rows=self.rows,
                mirror=self.mirror,
                mapper=self.mapper,
                matcher=self.matcher,
                failures=self.failures,
                queues=self.queues,
            ),
            references=self.references,
            memberships=self.memberships,
            saves=self.saves,
            member_saves=MemberSaves(
                rows=self.rows,
                memberships=self.memberships,
                wakeups=self.wakeups,
                saves=self.saves,
                failures=self.failures,
                queues=self.queues,
                clock=self.clock,
                new_id=new_id,
            ),
            queues=self.queues,
            clock=self.clock,
            jitter=random.random,
            grace_s=self.settings.grace_s,
        )
        _set_aside_what_stays()
        return reconciler

    @cached_property
    def previewer(self) -> Previewer:
        """What would happen."""
        from shared.operations.previewing.previewer import Previewer

        return Previewer(
            applications=self.applications,
            rows=self.rows,
            mirror=self.mirror,
            tables=self.tables,
            guard=self.guard,
            states=self.states,
            decider=self.decider,
            clock=self.clock,
            grace_s=self.settings.grace_s,
        )

    @cached_property
    def drift_rounds(self) -> DriftRounds:
        """How far verifications have come."""
        from shared.provisioning.drift.rounds import DriftRounds

        return DriftRounds(self.tables)

    @cached_property
    def drift_findings(self) -> DriftFindings:
        """What verifications found."""
        from shared.provisioning.drift.findings import DriftFindings

        return DriftFindings(self.tables)

    @cached_property
    def verifier(self) -> Verifier:
        """Drift verification."""
        from shared.provisioning.drift.confirming import DriftConfirmer
        from shared.provisioning.drift.members import DriftMembers
        from shared.provisioning.drift.ownership import OwnershipJudge
        from shared.provisioning.drift.pace import AnswerHeed
        from shared.provisioning.drift.verifying import Verifier

        heed = AnswerHeed(states=self.states, limiter=self.limiter)
        return Verifier(
            rows=self.rows,
            tables=self.tables,
            states=self.states,
            rounds=self.drift_rounds,
            findings=self.drift_findings,
            confirmer=DriftConfirmer(
                rows=self.rows,
                rounds=self.drift_rounds,
                findings=self.drift_findings,
                members=DriftMembers(tables=self.tables, wakeups=self.wakeups),
                mapper=self.mapper,
                client_of=self.client_of,
                heed=heed,
                clock=self.clock,
                new_id=new_id,
            ),
            ownership=OwnershipJudge(
                mirror=self.mirror, rows=self.rows, findings=self.drift_findings, mapper=self.mapper
            ),
            client_of=self.client_of,
            heed=heed,
            clock=self.clock,
        )

    @cached_property
    def housekeeper(self) -> Housekeeper:
        """Sweep, guard, probes, log trim."""
        from shared.provisioning.housekeeping import Housekeeper
        from shared.provisioning.reminders import Reminders

        return Housekeeper(
            applications=self.applications,
            reminders=Reminders(
                applications=self.applications,
                environment=self.settings.environment,
                notifications=self.settings.notifications,
                clock=self.clock,
            ),
            tables=self.tables,
            states=self.states,
            checkpoints=self.checkpoints,
            guard=self.guard,
            backlog=self.backlog,
            wakeups=self.wakeups,
            audit=self.audit,
            figures=self.figures,
            subscriptions=self.subscriptions,
            verifier=self.verifier,
            reconciler=self.reconciler,
            notifier=self.notifier,
            clock=self.clock,
        )

    @cached_property
    def webhooks(self) -> Webhooks:
        """The applications' webhooks."""
        from shared.provisioning.notices.webhook import Webhooks

        return Webhooks(secret=self.settings.secret, now=self.clock.now, link_of=self._link_of)

    def _link_of(self, app: str) -> str:
        """Where a person looks at an application; empty where the platform does not say what this app is called."""
        address = self.settings.address
        return f"{address}/api/dashboard/#/applications/{app}" if address else ""

    @cached_property
    def notifier(self) -> Notifier:
        """Who tells people."""
        from shared.provisioning.notices.notifier import Notifier
        from shared.provisioning.notices.stuck_accounts import StuckAccounts
        from shared.provisioning.notices.told_rows import ToldRows

        return Notifier(
            applications=self.applications,
            states=self.states,
            guard=self.guard,
            stuck=StuckAccounts(tables=self.tables, lists=self.lists, checkpoints=self.checkpoints, guard=self.guard),
            rows=ToldRows(self.tables),
            webhooks=self.webhooks,
            clock=self.clock,
            new_id=new_id,
        )

    @cached_property
    def census(self) -> CensusTaker:
        """How many accounts are in which state."""
        from shared.provisioning.figures.counting import CensusTaker

        return CensusTaker(tables=self.tables, states=self.states, clock=self.clock)

    @cached_property
    def activity(self) -> ActivityCounter:
        """Results and actions by the hour."""
        from shared.provisioning.figures.activity import ActivityCounter

        return ActivityCounter(tables=self.tables, clock=self.clock)

    @cached_property
    def cycles(self) -> CycleBook:
        """What the sync did last."""
        from shared.provisioning.figures.cycles import CycleBook

        return CycleBook(tables=self.tables, clock=self.clock)

    @cached_property
    def figures(self) -> FiguresKeeper:
        """When figures are counted."""
        from shared.provisioning.figures.keeping import FiguresKeeper

        return FiguresKeeper(
            applications=self.applications, census=self.census, activity=self.activity, clock=self.clock
        )

    @cached_property
    def application_reports(self) -> ApplicationReports:
        """How applications stand."""
        from shared.operations.application_report import ApplicationReports

        return ApplicationReports(
            applications=self.applications,
            states=self.states,
            census=self.census,
            activity=self.activity,
            cycles=self.cycles,
            guard=self.guard,
            limiter=self.limiter,
            queues=self.queues,
            environment=self.settings.environment,
            notifications=self.settings.notifications,
            refused_secrets=self.refused_secrets,
            clock=self.clock,
        )

    @cached_property
    def poison(self) -> PoisonKeeper:
        """What nobody foresaw."""
        from shared.provisioning.poison import PoisonKeeper

        return PoisonKeeper(applications=self.applications, rows=self.rows, clock=self.clock, new_id=new_id)


def load_services(environment: Mapping[str, str], **options: Any) -> Services:
    """Read settings and provisioning.yaml, check both, and compose. No network, no SDK import.

    Raises ConfigurationError or SettingsError naming every mistake at once: file, line and key, or the setting.
    """
    telemetry.quiet_libraries()
    settings = Settings.load(environment)
    outline = read_outline(settings.provisioning_config, environment)
    if outline is not None and outline.is_validated():
        return Services(settings, outline, **options)
    applications = _validate(settings)
    if outline is None:
        outline = Outline(enabled=tuple(application.name for application in applications.enabled), digest="unread")
    else:
        outline.note_validated()
    services = Services(settings, outline, **options)
    services.__dict__["applications"] = applications
    return services


@asynccontextmanager
async def open_account_tables(address: str) -> AsyncIterator[Tables]:
    """The tables of any storage account, as whoever is signed in on this machine."""
    from shared.storage.connections import Identities, connect_tables_at
    from shared.storage.tables import Tables

    identities = Identities()
    tables = Tables(connect_tables_at(address, identities))
    try:
        yield tables
    finally:
        await tables.close()
        await identities.close()


def _validate(settings: Settings) -> Applications:
    """Read all of the configuration, and check it. Raises ConfigurationError."""
    from shared.config.applications import load_applications

    return load_applications(settings.provisioning_config, settings.environment)


@cache
def _set_aside_what_stays() -> None:
    """Once per process: the collector no longer walks what was loaded by now and stays.

    A full collection walks 75,000 objects of the SDKs, in 40 to 80 ms (measured): every slot of the vendor's rate that
    begins meanwhile would be lost.
    """
    gc.collect()
    gc.freeze()


def new_id() -> str:
    """A random id: lease tokens, log records, rounds."""
    return uuid.uuid4().hex
