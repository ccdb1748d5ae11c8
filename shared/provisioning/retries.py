"""A person asks for another try at once: of one account, of everybody with one error, or of all that failed.

The rows are given back to the top-up, which queues them in the vendor's pace; one account is queued at once.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.clock import Clock
from shared.config.applications import Application
from shared.provisioning.account_lists import list_accounts
from shared.provisioning.accounts import ACCOUNTS, Account, ResourceKind, account_key, read_account, write_columns
from shared.provisioning.backlog import DUE_COLUMNS
from shared.storage.durable_writes import DurableWrite
from shared.storage.queues import Message, Queues
from shared.storage.tables import Operation, StorageConflict, Tables

_BATCH = 100
"""As many as a transaction holds."""


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
        message = Message(app=application.name, kind=kind, id=source_id, trace=account.trace)
        await self.queues.send(DurableWrite.RETRY_ENQUEUE, message)
        return True

    async def retry_all(self, application: Application, *, code: str = "") -> int:
        """Let everybody be tried again who failed (with one error code), as the queue has room; answers how many."""
        count = 0
        failed = "error_code ne '' and pending eq true"
        for kind in ResourceKind:
            async for page in list_accounts(
                self.tables, application.name, kind, where=failed, select=DUE_COLUMNS, page_size=_BATCH
            ):
                chosen = [account for account in page if self._waits(account) and code in ("", account.error_code)]
                count += await self._reset(application.name, chosen, queued=False)
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
