"""How an application stands: its state, and how many accounts are in which state, counted from the rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.config.applications import Application
from shared.provisioning.accounts import ACCOUNTS, AccountState, ResourceKind
from shared.provisioning.applications_state import ApplicationStates, ApplicationStatus, StatusChange
from shared.provisioning.held_deletions import HeldDeletions
from shared.provisioning.raise_lists import RaiseLists
from shared.storage.queues import Queues
from shared.storage.tables import StorageUnavailable, Tables


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationReport:
    """One application, as a person wants to see it."""

    name: str
    enabled: bool
    status: ApplicationStatus
    reason: str = ""
    """Why it is quarantined or paused, and the vendor's own words; empty for an active one."""
    since: datetime | None = None
    next_probe_at: datetime | None = None
    history: Sequence[StatusChange] = ()
    """The last changes of status, newest first."""
    pending: int = 0
    """Accounts where something is wanted that was not applied yet, in whatever state they are. One that has an account
    row and is on a list counts twice until it is taken up."""
    states: Mapping[str, int]
    """State -> number of account rows; every state is present."""
    queued: int | None = None
    """Messages in both queues, hidden ones included; None: the queues do not exist yet."""

    @property
    def needs_a_person(self) -> bool:
        """Whether something waits for somebody: a quarantine, or deletions that were held."""
        return self.enabled and (self.status is ApplicationStatus.QUARANTINE or self.states[AccountState.HELD] > 0)


async def report_application(
    application: Application,
    *,
    states: ApplicationStates,
    tables: Tables,
    lists: RaiseLists,
    queues: Queues,
    held_deletions: HeldDeletions,
) -> ApplicationReport:
    """Count an application's rows (one request per thousand) and lists. Raises StorageUnavailable."""
    state = await states.read_fresh(application.name)
    # Whoever the sync staged keeps the state they had: only the guard knows that they are held.
    held = {account.key for account in (await held_deletions.read(application)).accounts}
    # Before the rows: what is taken up in between is counted twice rather than not at all.
    listed = await lists.count(application.name)
    counts: Counter[str] = Counter({AccountState.PENDING: listed})
    pending = listed
    for kind in ResourceKind:
        pages = tables.query(
            ACCOUNTS, application.name, first=f"{kind}:", before=f"{kind};", select=("state", "pending", "wanted")
        )
        async for page in pages:
            # A row without a number was never raised: it only says that others refer to it.
            known = [row for row in page if row.values.get("wanted")]
            counts.update(
                AccountState.HELD if row.key in held else str(row.values.get("state") or AccountState.PENDING)
                for row in known
            )
            pending += sum(bool(row.values.get("pending")) for row in page)
    return ApplicationReport(
        name=application.name,
        enabled=application.enabled,
        status=state.status,
        reason=f"{state.reason}: {state.detail}".strip(": "),
        since=state.since,
        next_probe_at=state.next_probe_at,
        history=state.history,
        pending=pending,
        states={known.value: counts[known] for known in AccountState},
        queued=await _count_queued(application.name, queues),
    )


async def _count_queued(app: str, queues: Queues) -> int | None:
    try:
        return await queues.count(app, first=True) + await queues.count(app, first=False)
    except StorageUnavailable:
        # An application that was never synced has no queues yet; that storage answers was seen a moment ago.
        return None
