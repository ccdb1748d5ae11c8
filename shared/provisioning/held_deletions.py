"""What the deletion guard holds, and a person's answer to it (protocol steps 14 and 15).

The answer names the list it is about by number: exactly what the person saw is approved or rejected, and whoever was
staged since waits for an answer of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from shared import telemetry
from shared.config.applications import Application
from shared.provisioning.accounts import ACCOUNTS, Account, AccountState, write_columns
from shared.provisioning.guard import GuardKeeper, staged_key
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation, StorageConflict, Tables

_BATCH = 49
_TRIES = 5


class ListChanged(Exception):
    """The rows kept changing while they were answered for; what was not reached is still held. Ask again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What is held at one application."""

    list_number: str = ""
    """Names the list in the answer; empty: nothing is held."""
    since: datetime | None = None
    accounts: tuple[Account, ...] = ()
    """Who would lose access."""


@dataclass(slots=True, kw_only=True)
class HeldDeletions:
    """Lists what is held, approves it or rejects it."""

    tables: Tables
    guard: GuardKeeper

    async def read(self, application: Application) -> Held:
        """What is held now. Raises StorageUnavailable."""
        guard = await self.guard.read(application.name)
        accounts = await self._read_counted(application)
        if not accounts:
            return Held()
        number = max(account.staged for account in accounts)
        return Held(list_number=number, since=guard.held_since, accounts=tuple(accounts))

    async def approve(self, application: Application, list_number: str) -> int:
        """Let everybody on the list lose access, without counting them against the thresholds; answers how many.

        Idempotent. Raises ListChanged, StorageUnavailable.
        """
        for _ in range(_TRIES):
            accounts = await self._read_counted(application)
            listed = [account for account in accounts if account.staged <= list_number]
            try:
                await self.guard.permit_approved(application, listed, ends_hold=len(listed) == len(accounts))
            except StorageConflict:
                continue
            return len(listed)
        raise ListChanged(application.name)

    async def reject(self, application: Application, list_number: str) -> int:
        """Let everybody on the list keep access until the directory changes again for them; answers how many.

        Idempotent. Raises ListChanged, StorageUnavailable.
        """
        for _ in range(_TRIES):
            accounts = await self._read_counted(application)
            listed = [account for account in accounts if account.staged <= list_number]
            try:
                await self._reject(application.name, listed)
            except StorageConflict:
                continue
            if listed:
                telemetry.emit(telemetry.Event.DELETIONS_REJECTED, application=application.name, count=len(listed))
            return len(listed)
        raise ListChanged(application.name)

    async def _reject(self, app: str, accounts: Sequence[Account]) -> None:
        for at in range(0, len(accounts), _BATCH):
            operations: list[Operation] = []
            for account in accounts[at : at + _BATCH]:
                columns = write_columns(staged=None, permit=None, rejected=account.wanted, state=AccountState.HELD)
                operations.append(Operation.merge(account.key, columns, etag=account.etag))
                operations.append(Operation.delete(staged_key(account.key)))
            await self.tables.commit(DurableWrite.GUARD_REJECT, ACCOUNTS, app, operations)

    async def _read_counted(self, application: Application) -> list[Account]:
        return sorted(await self.guard.read_asked(application), key=lambda account: account.staged)
