"""Reads what the daily digest needs: the rows of an application that are not at rest, page by page, once a day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.config.applications import Application
from shared.provisioning.account_lists import list_accounts
from shared.provisioning.accounts import ResourceKind
from shared.provisioning.applications_state import ApplicationState
from shared.provisioning.checkpoint import Checkpoints
from shared.provisioning.guard import GuardKeeper
from shared.provisioning.notices.stuck import Stuck, StuckKind, count_stuck, judge_stuck
from shared.provisioning.raise_lists import RaiseLists
from shared.storage.tables import Tables

_COLUMNS = (
    "wanted",
    "tried",
    "pending",
    "state",
    "next_attempt_at",
    "failed_at",
    "error_code",
    "staged",
    "permit",
    "rejected",
)


@dataclass(slots=True, kw_only=True)
class StuckAccounts:
    """Counts what is stuck."""

    tables: Tables
    lists: RaiseLists
    checkpoints: Checkpoints
    guard: GuardKeeper

    async def last_number(self) -> str:
        """The last number that was raised by now; empty before the first. Raises StorageUnavailable."""
        return (await self.checkpoints.read()).saved

    async def count(self, application: Application, state: ApplicationState, *, before: str, now: datetime) -> Stuck:
        """Look through the rows that are not at rest; `before`: the last number that was raised an hour ago.

        One request per thousand rows, and those at rest are left out by the service. Raises StorageUnavailable.
        """
        app = application.name
        # Before the rows, so that an account that is taken up meanwhile is counted twice rather than not at all.
        listed = await self.lists.count(app, up_to=before)
        held = len(await self.guard.read_asked(application))
        judged: list[tuple[StuckKind, str]] = [(StuckKind.PENDING, "")] * listed
        for kind in ResourceKind:
            restless = "pending eq true or state eq 'escrowed'"
            async for page in list_accounts(self.tables, app, kind, where=restless, select=_COLUMNS):
                for account in page:
                    stuck = judge_stuck(account, raised_before=before, now=now)
                    if stuck is not None:
                        judged.append((stuck, account.error_code))
        return count_stuck(judged, held=held, state=state, now=now)
