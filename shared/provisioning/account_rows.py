"""The consumer's durable writes: one method per write, in the order of the protocol's steps.

Every write is conditional on the ETag of the row that was read. A refused save is repeated on the newer row while the
lease token in it is still ours, because then only a raise came between (step 31); with a foreign token the new holder
finds the intent open and asserts everything again, so nothing is saved over it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from shared.provisioning.accounts import (
    ACCOUNTS,
    FROM_START,
    Account,
    AccountState,
    Intent,
    IntentKind,
    ResourceKind,
    account_key,
    make_number,
    match_key,
    read_account,
    released_number,
    target_key,
    write_columns,
)
from shared.provisioning.guard import staged_key
from shared.provisioning.provisioning_log import LogEntry
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation, OperationKind, Row, StorageConflict, Tables, gather_all

_BEFORE_ALL = make_number(0, 0)
"""Below every number of a puller, whose epochs begin with 1: whatever it raises the row to comes later."""

_SAVES = 3
_PARALLEL_READS = 16

_FEW = 8
"""So many accounts are read one by one."""

_SPREAD = 4
"""How many rows are read, at most, for each that is looked for: twenty in a page cost about as much as a request."""


class IndexTaken(Exception):
    """The account at the vendor, or the matching value, belongs to another row of ours."""

    def __init__(self, holder: str, *, is_target: bool) -> None:
        super().__init__("another account row holds this account or name")
        self.holder = holder
        self.is_target = is_target


class RowMoved(Exception):
    """The row was changed by somebody else since it was read: start again at step 18."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRequest:
    """What step 27 writes."""

    token: str
    until: datetime
    intent: Intent
    at: datetime
    claim: str = ""
    """Target id of an existing account that this row takes over, with the lease and in the same transaction."""


class AccountRows:
    """Reads and conditionally writes account rows of all applications."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def read(self, app: str, kind: ResourceKind, source_id: str) -> Account:
        """Step 18: read one row; an absent one is an account with nothing wanted."""
        row = await self._tables.read(ACCOUNTS, app, account_key(kind, source_id))
        return read_account(row, application=app, kind=kind, source_id=source_id)

    async def read_users(self, app: str, user_ids: Sequence[str]) -> dict[str, Account]:
        """Read the rows of users whose ids are given in order.

        Rows that lie side by side, as in a group of nearly everybody, take one request; those that it does not come to,
        because others lie between, are read one by one.
        """
        rows: dict[str, Row] = {}
        left = list(user_ids)
        if len(left) > _FEW:
            keys = [account_key(ResourceKind.USER, user_id) for user_id in (left[0], left[-1])]
            most = len(left) * _SPREAD
            pages = self._tables.query(ACCOUNTS, app, first=keys[0], before=f"{keys[1]}\x01", page_size=most)
            async for page in pages:
                rows |= {row.key.partition(":")[2]: row for row in page}
                if len(rows) >= most:
                    left = [user_id for user_id in left if user_id not in rows]
                    break
            else:
                left = []
        for at in range(0, len(left), _PARALLEL_READS):
            batch = left[at : at + _PARALLEL_READS]
            keys = [account_key(ResourceKind.USER, user_id) for user_id in batch]
            found = await gather_all([self._tables.read(ACCOUNTS, app, key) for key in keys])
            rows |= {user_id: row for user_id, row in zip(batch, found, strict=True) if row is not None}
        return {
            user_id: read_account(rows.get(user_id), application=app, kind=ResourceKind.USER, source_id=user_id)
            for user_id in user_ids
        }

    async def list_accounts(
        self, app: str, kind: ResourceKind, *, after: str = "", until: str = ""
    ) -> AsyncIterator[list[tuple[str, Account]]]:
        """List rows page by page in order of their source ids, `after` one and `until` another, which is included."""
        first = account_key(kind, after) + "\x01" if after else account_key(kind, "")
        before = account_key(kind, until) + "\x01" if until else f"{kind};"
        async for page in self._tables.query(ACCOUNTS, app, first=first, before=before):
            yield [
                (source_id, read_account(row, application=app, kind=kind, source_id=source_id))
                for row in page
                for source_id in (row.key.partition(":")[2],)
            ]

    async def find_owner(self, app: str, kind: ResourceKind, target_id: str) -> str:
        """The key of the row that owns an account at the vendor, empty when nobody does."""
        return await self._read_holder(app, target_key(kind, target_id))

    async def find_reservation(self, app: str, kind: ResourceKind, value: str) -> str:
        """The key of the row whose open create or rename reserves a matching value, empty when none does."""
        return await self._read_holder(app, match_key(kind, value))

    async def _read_holder(self, app: str, key: str) -> str:
        row = await self._tables.read(ACCOUNTS, app, key)
        return str(row.values.get("account", "")) if row is not None else ""

    async def take_lease(self, account: Account, request: LeaseRequest) -> Account:
        """Step 27: lease and intent in one conditional write, before anything is sent.

        A create, a rename or an adoption reserves its value, or claims its target, in the same transaction. Raises
        RowMoved when the row changed, IndexTaken when value or target belong to another row.
        """
        columns = write_columns(
            lease_token=request.token,
            lease_until=request.until,
            intent=request.intent,
            intent_at=request.at,
            **({"doubted_at": request.at} if account.intent is not None else {}),
            **_claimed(account, request),
        )
        operations = [
            Operation.merge(account.key, columns, etag=account.etag),
            *_reservation_operations(account, request.intent.matching),
        ]
        if request.claim:
            operations.append(Operation.insert(target_key(account.kind, request.claim), {"account": account.key}))
        try:
            etags = await self._tables.commit(DurableWrite.LEASE_AND_INTENT, ACCOUNTS, account.application, operations)
        except StorageConflict:
            return await self._look_after_conflict(account, request)
        return _leased(replace(account, etag=etags[account.key]), request)

    async def _look_after_conflict(self, account: Account, request: LeaseRequest) -> Account:
        """Whose conflict it was: our own write that had landed, a changed row, or an index row (protocol T5)."""
        now = await self.read(account.application, account.kind, account.source_id)
        if now.lease_token == request.token:
            return now
        if now.etag != account.etag:
            raise RowMoved
        if request.claim:
            owner = await self.find_owner(account.application, account.kind, request.claim)
            if owner and owner != account.key:
                raise IndexTaken(owner, is_target=True)
        holder = await self.find_reservation(account.application, account.kind, request.intent.matching)
        if holder and holder != account.key:
            raise IndexTaken(holder, is_target=False)
        raise RowMoved

    async def undo_intent(self, leased: Account, before: Account) -> None:
        """Step 28: nothing was sent; take lease, intent and reservation back.

        If that fails the row is merely in doubt.
        """
        assert leased.intent is not None
        columns = write_columns(lease_token=None, lease_until=None, intent=before.intent, intent_at=before.intent_at)
        operations = [Operation.merge(leased.key, columns, etag=leased.etag)]
        reserved = leased.intent.matching
        earlier = before.intent.matching if before.intent else ""
        # Two spellings that differ by case share one row, and a transaction holds each row once.
        moved = reserved.casefold() != earlier.casefold()
        if reserved and moved:
            operations.append(Operation.delete(match_key(leased.kind, reserved)))
        if earlier and moved:
            operations.append(Operation.merge(match_key(leased.kind, earlier), {"account": leased.key}))
        try:
            await self._tables.commit(DurableWrite.UNDO_INTENT, ACCOUNTS, leased.application, operations)
        except StorageConflict:
            return

    async def wake(
        self, account: Account, *, now: datetime, trace: str, rechecks: bool = False, unstages: bool = False
    ) -> None:
        """Raise a row because of another row's change. Raises RowMoved.

        `trace`: of the run that changed the other one. `rechecks`: what the row refers to is read again; `unstages`:
        the plan that waits for the guard is made anew.
        """
        # Under the row's ETag its own number, last field one up, is new for it.
        number = released_number(account.wanted)
        columns = write_columns(wanted=number, pending=True, queued_at=now, trace=trace)
        if rechecks:
            columns["recheck"] = number
        if unstages:
            columns["staged"] = ""
        raised = Operation.merge(account.key, columns, etag=account.etag)
        try:
            await self._tables.commit(DurableWrite.WAKE, ACCOUNTS, account.application, [raised])
        except StorageConflict:
            raise RowMoved from None

    async def raise_asked(self, account: Account, *, trace: str, fill: str = "") -> None:
        """Raise one row because a person asks for it; somebody who has none yet gets one. Raises RowMoved.

        `queued_at` stays empty: if the asking process dies, the next sweep queues the row. `fill`: the memberships of a
        group that are compared.
        """
        number = released_number(account.wanted or _BEFORE_ALL)
        columns = write_columns(wanted=number, pending=True, queued_at=None, trace=trace)
        if account.kind is ResourceKind.GROUP:
            columns["fill"] = fill
        await self._unleased(DurableWrite.RAISE_ASKED, account, columns, None)

    async def save_nothing(
        self,
        account: Account,
        *,
        state: AccountState,
        config: str,
        entry: LogEntry,
        references: str = "",
        more_columns: Mapping[str, Any] | None = None,
    ) -> None:
        """Step 23: the plan is empty. Raises RowMoved."""
        columns = write_columns(
            references=references,
            recheck=None,
            waking=False,
            applied=account.wanted,
            tried=account.wanted,
            pending=False,
            config=config,
            state=state,
            skipped=entry.reason,
            permit=None,
            staged=None,
            intent=None,
            intent_at=None,
            lease_token=None,
            **NOTHING_FAILED,
        )
        columns |= more_columns or {}
        reserved = account.intent.matching if account.intent else ""
        more = [Operation.delete(match_key(account.kind, reserved))] if reserved else []
        await self._unleased(DurableWrite.SAVE_NOTHING, account, columns, entry, more=more)

    async def stage(self, account: Account, *, config: str, entry: LogEntry, removing: int = 0) -> None:
        """Step 24: a destructive plan without a permit waits for the guard. Raises RowMoved.

        `removing`: how many memberships a group would lose at once.
        """
        columns = write_columns(
            staged=account.wanted, state=AccountState.HELD, tried=account.wanted, config=config, **NOTHING_FAILED
        )
        if account.kind is ResourceKind.GROUP:
            columns["removing"] = removing
        marker = Operation.merge(staged_key(account.key), {"number": account.wanted})
        await self._unleased(DurableWrite.STAGE, account, columns, entry, more=[marker])

    async def claim_created(self, account: Account, *, target_id: str, now: datetime) -> Account:
        """Step 21: a lost create was found and is ours. The intent stays, as a patch. Raises RowMoved, IndexTaken."""
        assert account.intent is not None
        intent = replace(account.intent, kind=IntentKind.PATCH)
        operations = [
            Operation.merge(
                account.key,
                write_columns(target_id=target_id, linked_at=now, sent=None, intent=intent, waking=account.referred),
                etag=account.etag,
            ),
            Operation.insert(target_key(account.kind, target_id), {"account": account.key}),
        ]
        try:
            await self._tables.commit(DurableWrite.RESOLVE_CREATE, ACCOUNTS, account.application, operations)
        except StorageConflict:
            owner = await self.find_owner(account.application, account.kind, target_id)
            if owner and owner != account.key:
                raise IndexTaken(owner, is_target=True) from None
            raise RowMoved from None
        return account

    async def clear_create(self, account: Account) -> None:
        """Step 21: the create never landed: close its intent and free its value. Raises RowMoved."""
        assert account.intent is not None
        operations = [
            Operation.merge(
                account.key, write_columns(intent=None, intent_at=None, lease_token=None), etag=account.etag
            )
        ]
        if account.intent.matching:
            operations.append(Operation.delete(match_key(account.kind, account.intent.matching)))
        try:
            await self._tables.commit(DurableWrite.RESOLVE_CREATE, ACCOUNTS, account.application, operations)
        except StorageConflict:
            raise RowMoved from None

    async def save_leased(
        self,
        write: DurableWrite,
        leased: Account,
        *,
        columns: Mapping[str, Any],
        entry: LogEntry,
        closes_intent: bool,
        link: str = "",
        unlink: str = "",
    ) -> Account | None:
        """Steps 30 to 35: save under our lease, repeated after a raise; None when the lease went to somebody else.

        `pending` is recomputed from the newest `wanted`. `link` inserts the index row of a new account, `unlink`
        removes one. Raises IndexTaken when the account belongs to another row.
        """
        current, gone = leased, set[str]()
        for _ in range(_SAVES):
            values = {**write_columns(lease_token=None, lease_until=None), **columns}
            if "applied" in columns:
                values["pending"] = current.wanted != columns["applied"]
                # Told of another link since: what was saved about references may be old already.
                values["recheck"] = current.recheck if current.recheck != leased.recheck else ""
            if "fill" in columns and current.fill == FROM_START and current.wanted != leased.wanted:
                # Raised to compare all since: what was compared before may be old already.
                values["fill"] = FROM_START
            if link and current.referred:
                values["waking"] = True
            operations = [Operation.merge(current.key, values, etag=current.etag), *entry.operations()]
            operations += self._index_operations(current, closes_intent=closes_intent, link=link, unlink=unlink)
            if values.get("staged") == "" and current.staged:
                operations.append(Operation.delete(staged_key(current.key)))
            operations = [each for each in operations if each.key not in gone]
            try:
                etags = await self._tables.commit(write, ACCOUNTS, current.application, operations)
            except StorageConflict:
                newer = await self.read(current.application, current.kind, current.source_id)
                if newer.lease_token != leased.lease_token:
                    return None
                if newer.etag == current.etag:
                    await self._raise_index_taken(current, link)
                    gone = await self._find_gone(current.application, operations)
                current = newer
                continue
            return replace(
                current,
                etag=etags[current.key],
                lease_token="",
                pending=bool(values.get("pending", current.pending)),
                waking=bool(values.get("waking", current.waking)),
                target_id=str(values.get("target_id", current.target_id)),
            )
        return None

    def _index_operations(self, account: Account, *, closes_intent: bool, link: str, unlink: str) -> list[Operation]:
        operations: list[Operation] = []
        if closes_intent and account.intent is not None and account.intent.matching:
            operations.append(Operation.delete(match_key(account.kind, account.intent.matching)))
        if link:
            operations.append(Operation.insert(target_key(account.kind, link), {"account": account.key}))
        if unlink:
            operations.append(Operation.delete(target_key(account.kind, unlink)))
        return operations

    async def _raise_index_taken(self, account: Account, link: str) -> None:
        """The row is unchanged, so an index row was the obstacle."""
        owner = await self.find_owner(account.application, account.kind, link) if link else ""
        if owner and owner != account.key:
            raise IndexTaken(owner, is_target=True)

    async def _find_gone(self, app: str, operations: Sequence[Operation]) -> set[str]:
        """Rows that are to be deleted and are not there: only a table that was restored, or edited, lacks them."""
        deleted = [each.key for each in operations if each.kind is OperationKind.DELETE]
        rows = await gather_all([self._tables.read(ACCOUNTS, app, key) for key in deleted])
        return {key for key, row in zip(deleted, rows, strict=True) if row is None}

    async def note_crash(self, account: Account, crash: str) -> None:
        """Note what an attempt ended with that nobody foresaw. A row that moved meanwhile is left alone."""
        noted = Operation.merge(account.key, write_columns(crash=crash), etag=account.etag)
        try:
            await self._tables.commit(DurableWrite.CRASH_NOTE, ACCOUNTS, account.application, [noted])
        except StorageConflict:
            return

    async def save_unleased(
        self, write: DurableWrite, account: Account, *, columns: Mapping[str, Any], entry: LogEntry | None
    ) -> None:
        """Save an outcome that needed no lease: a look-up that failed, bad data. Raises RowMoved."""
        await self._unleased(write, account, columns, entry)

    async def _unleased(
        self,
        write: DurableWrite,
        account: Account,
        columns: Mapping[str, Any],
        entry: LogEntry | None,
        *,
        more: Sequence[Operation] = (),
    ) -> None:
        own = (
            Operation.merge(account.key, columns, etag=account.etag)
            if account.etag
            else Operation.insert(account.key, columns)
        )
        operations = [own, *more, *(entry.operations() if entry else [])]
        if columns.get("staged") == "" and account.staged:
            operations.append(Operation.delete(staged_key(account.key)))
        try:
            await self._tables.commit(write, ACCOUNTS, account.application, operations)
        except StorageConflict:
            raise RowMoved from None


NOTHING_FAILED: Mapping[str, Any] = {
    "attempts": 0,
    "next_attempt_at": None,
    "failed_at": None,
    "last_failed_at": None,
    "error_code": "",
    "error": "",
    "crash": "",
}
"""The columns of a row that has nothing to complain about."""


def failure_columns(
    account: Account, *, code: str, text: str, next_attempt_at: datetime | None, now: datetime
) -> dict[str, Any]:
    """The columns of a failed attempt. A new change starts a new series, the same one goes on."""
    goes_on = account.tried == account.wanted
    return write_columns(
        tried=account.wanted,
        attempts=account.attempts + 1 if goes_on else 1,
        failed_at=account.failed_at if goes_on and account.failed_at else now,
        last_failed_at=now,
        next_attempt_at=next_attempt_at,
        error_code=code,
        error=text,
    )


def _reservation_operations(account: Account, matching: str) -> list[Operation]:
    """Reserve a value. An open intent's reservation is kept when it is the same, and freed when it is another."""
    held = account.intent.matching if account.intent else ""
    operations: list[Operation] = []
    # Two spellings that differ by case share one row.
    if held and held.casefold() != matching.casefold():
        operations.append(Operation.delete(match_key(account.kind, held)))
    if matching and held.casefold() != matching.casefold():
        operations.append(Operation.insert(match_key(account.kind, matching), {"account": account.key}))
    return operations


def _claimed(account: Account, request: LeaseRequest) -> dict[str, Any]:
    """What taking an existing account over changes; whoever refers to ours is to be told."""
    if not request.claim:
        return {}
    return {"target_id": request.claim, "linked_at": request.at, "sent": None, "waking": account.referred}


def _leased(account: Account, request: LeaseRequest) -> Account:
    return replace(
        account,
        lease_token=request.token,
        lease_until=request.until,
        intent=request.intent,
        intent_at=request.at,
        **_claimed(account, request),
    )
