"""A person asks for another try at once: of one account, of everybody with one error, or of all that failed.

The rows are given back to the top-up, which queues them in the vendor's pace; one account is queued at once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from shared.clock import Clock
from shared.config.applications import Application
from shared.provisioning.accounts import ACCOUNTS, Account, ResourceKind, account_key, read_account, write_columns
from shared.storage.durable_writes import DurableWrite
from shared.storage.queues import Message, Queues
from shared.storage.tables import Operation, StorageConflict, Tables

_COLUMNS = (
    "wanted",
    "tried",
    "pending",
    "state",
    "error_code",
    "attempts",
    "next_attempt_at",
    "lease_token",
    "lease_until",
    "intent",
    "intent_at",
    "staged",
    "permit",
    "rejected",
)


@dataclass(slots=True, kw_only=True)
class Retries:
    """Lets failed accounts be tried again."""

    tables: Tables
    queues: Queues
    clock: Clock

    async def retry_account(self, application: Application, kind: ResourceKind, source_id: str) -> bool:
        """Try one account now; False when there is nothing to retry, or somebody is at it. Idempotent."""
        row = await self.tables.read(ACCOUNTS, application.name, account_key(kind, source_id))
        account = read_account(row, application=application.name, kind=kind, source_id=source_id)
        if not self._waits(account) or not await self._reset(application.name, [account], queued=True):
            return False
        message = Message(app=application.name, kind=kind, id=source_id)
        await self.queues.send(DurableWrite.RETRY_ENQUEUE, message)
        return True

    async def retry_all(self, application: Application, *, code: str = "") -> int:
        """Let everybody be tried again who failed (with one error code), as the queue has room; answers how many."""
        count = 0
        async for accounts in self._list_failed(application.name):
            chosen = [account for account in accounts if self._waits(account) and code in ("", account.error_code)]
            for at in range(0, len(chosen), 100):
                count += await self._reset(application.name, chosen[at : at + 100], queued=False)
        return count

    def _waits(self, account: Account) -> bool:
        """Whether the row waits because an attempt failed, and not for the guard, a lease or the end of grace."""
        now = self.clock.now()
        failed = bool(account.error_code) and account.tried == account.wanted and account.pending
        return failed and not account.is_leased(now) and account.intent is None and not account.staged

    async def _reset(self, app: str, accounts: list[Account], *, queued: bool) -> int:
        """A new series of attempts; one whose row moved meanwhile has no need of it."""
        columns = write_columns(
            tried=None, next_attempt_at=None, failed_at=None, attempts=0, queued_at=self.clock.now() if queued else None
        )
        operations = [Operation.merge(account.key, columns, etag=account.etag) for account in accounts]
        try:
            if operations:
                await self.tables.commit(DurableWrite.RETRY, ACCOUNTS, app, operations)
            return len(operations)
        except StorageConflict:
            if len(accounts) == 1:
                return 0
        return sum([await self._reset(app, [account], queued=queued) for account in accounts])

    async def _list_failed(self, app: str) -> AsyncIterator[list[Account]]:
        for kind in ResourceKind:
            pages = self.tables.query(
                ACCOUNTS,
                app,
                first=f"{kind}:",
                before=f"{kind};",
                where="error_code ne '' and pending eq true",
                select=_COLUMNS,
            )
            async for page in pages:
                yield [
                    read_account(row, application=app, kind=kind, source_id=row.key.removeprefix(f"{kind}:"))
                    for row in page
                ]
