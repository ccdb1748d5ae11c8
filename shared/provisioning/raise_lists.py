"""Many accounts raised at once: their ids in a few rows, from which they are taken up when their queue has room.

A hundred thousand account rows written at once would occupy a partition of Table storage for a minute or more, beside
the consumers that need it (protocol T35), for accounts whose turn at the vendor comes hours later. A list is as durable
as the rows: it is written before the checkpoint, and it is shortened in the transaction that raises the rows.

    raise:<number>:<part>    ids of accounts of one page attempt, in the partition of their application
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.provisioning.accounts import ACCOUNTS, Number, ResourceKind, account_key, raise_columns
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import TEXT_LIMIT, TRANSACTION_LIMIT, Operation, Row, StorageConflict, Tables, gather_all
from shared.tracing import read_trace

RAISE_PREFIX = "raise:"
_PER_PART = 800
"""Ids of 36 characters that fit one property."""

_PER_TRANSACTION = TRANSACTION_LIMIT - 1
_PARALLEL_READS = 16
_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RaiseList:
    """One list as read: who is still to be raised, and to which number."""

    key: str
    number: Number
    ids: tuple[str, ...]
    trace: str
    """Of the run that listed them."""
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenUp:
    """Accounts that were raised from one list, in one transaction."""

    ids: Sequence[str]
    trace: str


class RaiseLists:
    """Writes lists and takes accounts up from them."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def write(self, app: str, number: Number, user_ids: Sequence[str], *, trace: str) -> None:
        """Step 7 for many: idempotent under one number, which no other page attempt has."""
        rows = [
            Operation.replace(f"{RAISE_PREFIX}{number}:{part:04d}", _columns(ids, trace=trace))
            for part, ids in enumerate(_parts(user_ids))
        ]
        await self._tables.commit_all(DurableWrite.RAISE_LIST, ACCOUNTS, app, rows)

    async def count(self, app: str, *, up_to: str | None = None) -> int:
        """How many accounts are on lists (of numbers up to the given one); one that is on two is counted twice."""
        if up_to == "":
            return 0
        before = _BEFORE if up_to is None else f"{RAISE_PREFIX}{up_to};"
        pages = self._tables.query(ACCOUNTS, app, first=RAISE_PREFIX, before=before, select=("count",))
        return sum([int(row.values.get("count", 0)) async for page in pages for row in page])

    async def take_up(self, app: str, most: int, *, now: datetime) -> AsyncIterator[TakenUp]:
        """Raise up to `most` accounts, the longest listed first, and answer whom, by transactions.

        They are stamped as queued at `now`: the caller sends their messages, and one that is lost is found by the
        sweep. Who was raised to a later number meanwhile is only struck off. Stops when somebody else takes up too.
        """
        pages = self._tables.query(ACCOUNTS, app, first=RAISE_PREFIX, before=_BEFORE, page_size=10)
        async for page in pages:
            for row in page:
                listed: RaiseList | None = _read(row)
                while listed is not None and listed.ids and most > 0:
                    taken = TakenUp(ids=listed.ids[: min(most, _PER_TRANSACTION)], trace=listed.trace)
                    listed = await self._raise(app, listed, len(taken.ids), now=now)
                    if listed is None:
                        return
                    most -= len(taken.ids)
                    yield taken
                if most <= 0:
                    return

    async def _raise(self, app: str, listed: RaiseList, count: int, *, now: datetime) -> RaiseList | None:
        """Raise the first `count` of a list and shorten it, together; the rest of it, or None when it was changed."""
        taken, rest = listed.ids[:count], listed.ids[count:]
        columns = raise_columns(listed.number, staged=False, queued_at=now, trace=listed.trace)
        raised = [Operation.insert(account_key(ResourceKind.USER, user_id), columns) for user_id in taken]
        shorter = (
            Operation.replace(listed.key, _columns(rest, trace=listed.trace), etag=listed.etag)
            if rest
            else Operation.delete(listed.key, etag=listed.etag)
        )
        for _ in range(_TRIES):
            try:
                etags = await self._tables.commit(DurableWrite.TAKE_UP, ACCOUNTS, app, [*raised, shorter])
            except StorageConflict:
                # Some have rows already, or another process is at the same list.
                raised = await self._compare(app, listed, taken, now=now)
            else:
                return replace(listed, ids=rest, etag=etags[listed.key])
        return None

    async def _compare(self, app: str, listed: RaiseList, taken: Sequence[str], *, now: datetime) -> list[Operation]:
        """The raises of accounts of which some have rows: never back to an older number."""
        columns = raise_columns(listed.number, staged=False, queued_at=now, trace=listed.trace)
        keys = [account_key(ResourceKind.USER, user_id) for user_id in taken]
        operations: list[Operation] = []
        for at in range(0, len(keys), _PARALLEL_READS):
            batch = keys[at : at + _PARALLEL_READS]
            rows = await gather_all([self._tables.read(ACCOUNTS, app, key) for key in batch])
            for key, row in zip(batch, rows, strict=True):
                if row is None:
                    operations.append(Operation.insert(key, columns))
                elif str(row.values.get("wanted", "")) < listed.number:
                    operations.append(Operation.merge(key, columns, etag=row.etag))
        return operations


_BEFORE = RAISE_PREFIX[:-1] + ";"


def _parts(user_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Split so that each part fits one property."""
    longest = max(map(len, user_ids), default=0) + 3
    size = max(1, min(_PER_PART, TEXT_LIMIT // longest))
    for at in range(0, len(user_ids), size):
        yield user_ids[at : at + size]


def _columns(ids: Sequence[str], *, trace: str) -> dict[str, str | int]:
    return {"ids": json.dumps(ids, ensure_ascii=False, separators=(",", ":")), "count": len(ids), "trace": trace}


def _read(row: Row) -> RaiseList:
    number, _, _ = row.key.removeprefix(RAISE_PREFIX).rpartition(":")
    return RaiseList(
        key=row.key,
        number=Number(number),
        ids=tuple(json.loads(str(row.values.get("ids", "[]")))),
        trace=read_trace(row.values.get("trace")),
        etag=row.etag,
    )
