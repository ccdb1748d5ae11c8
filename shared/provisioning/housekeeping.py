"""What runs by the clock and not by an event: guard, probes, sweep, log trim, figures, notices and so on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared import metrics
from shared.clock import Clock
from shared.config.applications import Application, Applications
from shared.provisioning.account_lists import list_accounts
from shared.provisioning.accounts import ACCOUNTS, Account, ResourceKind
from shared.provisioning.applications_state import (
    TOO_MANY_FAILURES,
    UNREADABLE,
    ApplicationState,
    ApplicationStates,
    ApplicationStatus,
)
from shared.provisioning.attempt import OutcomeKind
from shared.provisioning.audit_trail import AuditTrail
from shared.provisioning.backlog import Backlog
from shared.provisioning.checkpoint import Checkpoints
from shared.provisioning.drift.verifying import Verifier
from shared.provisioning.figures.keeping import FiguresKeeper
from shared.provisioning.guard import GuardKeeper
from shared.provisioning.member_wakeups import MemberWakeups
from shared.provisioning.notices.notifier import Notifier
from shared.provisioning.provisioning_log import INDEXED, LOG_PREFIX, drop_operations, log_key
from shared.provisioning.reminders import Reminders
from shared.provisioning.retrying import is_due
from shared.provisioning.subscription_keeping import SubscriptionKeeper
from shared.scim.error_catalogue import ErrorCode
from shared.storage.durable_writes import DurableWrite
from shared.storage.limiter import RateLimited
from shared.storage.queues import Message
from shared.storage.tables import Row, StorageConflict, Tables, gather_all

if TYPE_CHECKING:
    from shared.provisioning.reconcile import Reconciler

PROBED = 20
"""Accounts among which a probe chooses."""

LOG_LIFE = timedelta(days=30)


@dataclass(slots=True, kw_only=True)
class Housekeeper:
    """Runs every few minutes; every part is safe to repeat and to interrupt."""

    applications: Applications
    reminders: Reminders
    tables: Tables
    states: ApplicationStates
    checkpoints: Checkpoints
    guard: GuardKeeper
    backlog: Backlog
    wakeups: MemberWakeups
    audit: AuditTrail
    figures: FiguresKeeper
    subscriptions: SubscriptionKeeper
    verifier: Verifier
    reconciler: Reconciler
    notifier: Notifier
    clock: Clock
    _asked: set[str] = field(default_factory=set)
    """Applications that this process probed before it was time, because its settings may be new."""

    async def keep_house(self) -> Mapping[str, int]:
        """Remind, release what the guard permits, probe, queue what is due, trim, count, tell, subscribe, verify."""
        checkpoint = await self.checkpoints.read()
        self.reminders.tell(checkpoint)
        in_round = checkpoint.is_in_round(self.clock.now())
        release_staged = self.guard.release_in_round if in_round else self.guard.release
        for application in self.applications.enabled:
            await release_staged(application)
            await self.states.announce(application.name)
            await self._probe(application)
            if application.has_members:
                await self.wakeups.wake_forgotten(application.name)
        queued = await self.backlog.sweep()
        for application in self.applications.enabled:
            await self._trim_log(application.name)
        await self.audit.trim()
        await self.figures.keep()
        await self.notifier.tell_everything()
        await self.subscriptions.keep()
        # Last, because it takes its time.
        await gather_all([self.verifier.verify(application) for application in self.applications.enabled])
        return queued

    async def _probe(self, application: Application) -> None:
        """Try one real pending account of a quarantined application, a leaver if there is one (protocol step 36)."""
        state = await self.states.read_fresh(application.name)
        is_quarantined = state.status is ApplicationStatus.QUARANTINE
        metrics.record(metrics.Metric.APPLICATION_QUARANTINE, int(is_quarantined), application=application.name)
        due = state.next_probe_at is not None and self.clock.now() >= state.next_probe_at
        due = due or self._has_new_settings(state)
        if not is_quarantined or not due or state.reason == UNREADABLE:
            return
        if await self._is_well(application, state):
            await self.states.lift_quarantine(application.name, reason=state.reason)
        else:
            await self.states.postpone_probe(application.name)

    def _has_new_settings(self, state: ApplicationState) -> bool:
        """Whether this process, which has its settings from its start, began after the credentials were refused.

        A person who mended a secret and restarted the app need not wait for the ladder. Once per process.
        """
        is_older = state.since is not None and state.since < self.states.started_at
        refused = state.status is ApplicationStatus.QUARANTINE and state.reason == ErrorCode.UNAUTHORIZED
        # People are told of the quarantine before they are told of its end.
        if not (is_older and refused) or state.unannounced or state.name in self._asked:
            return False
        self._asked.add(state.name)
        return True

    async def _is_well(self, application: Application, state: ApplicationState) -> bool:
        """Whether a real account gets through or, where its outcome says nothing of the vendor, a question does."""
        message = await self._pick_pending(application, state.probes)
        if message is not None:
            outcome = await self.reconciler.provision(message, first=True, probing=True)
            if outcome.kind in (OutcomeKind.DONE, OutcomeKind.STAGED):
                return True
            if outcome.kind is OutcomeKind.QUARANTINED or state.reason == TOO_MANY_FAILURES:
                # Where accounts were the trouble, one account's own trouble says nothing: another is tried next time.
                return False
            if outcome.kind is OutcomeKind.ESCROWED:
                return True
        try:
            return (await self.reconciler.test_connection(application)).ok
        except RateLimited:
            return False

    async def _pick_pending(self, application: Application, probes: int) -> Message | None:
        """One of the accounts that can be tried now, leavers before others; another one with every probe.

        An account may wait for another one, or for its holder's name, for as long as nobody else is worked on.
        """
        now = self.clock.now()
        due: list[Message] = []
        for condition in ("permit ne ''", "pending eq true and staged eq ''"):
            for kind in ResourceKind:
                async for page in list_accounts(self.tables, application.name, kind, where=condition, page_size=PROBED):
                    due += [
                        Message(app=application.name, kind=kind, id=account.source_id, trace=account.trace)
                        for account in page
                        if _can_be_tried(account, now)
                    ]
                    if len(due) >= PROBED:
                        break
        return due[probes % len(due)] if due else None

    async def _trim_log(self, app: str) -> None:
        """Remove log records older than thirty days."""
        pages = self.tables.query(
            ACCOUNTS,
            app,
            first=log_key(self.clock.now() - LOG_LIFE),
            before=f"{LOG_PREFIX[:-1]};",
            select=("source_id", INDEXED),
        )
        async for page in pages:
            # Records that are one row go last: a pair has to share a transaction.
            expired = [each for row in sorted(page, key=_is_bare) for each in drop_operations(row)]
            try:
                await self.tables.commit_all(DurableWrite.LOG, ACCOUNTS, app, expired)
            except StorageConflict:
                # Records never change: another run removed them. The next one looks again.
                return


def _is_bare(record: Row) -> bool:
    """Whether a record was written before there was an index."""
    return not record.values.get(INDEXED)


def _can_be_tried(account: Account, now: datetime) -> bool:
    """Whether an attempt at a pending row would come to a request."""
    waits = account.tried == account.wanted and not is_due(account.next_attempt_at, now)
    return not (waits or account.is_held() or account.is_leased(now))
