"""Azure Table storage, reduced to what the protocol needs: rows, conditional writes, transactions of one partition.

Cleared values are empty strings, zero or False, never None: the service's merge keeps the old value of a property that
is None (and the SDK drops it), so a "released" lease would stay. `Operation` therefore refuses None.
Writes are sent once: a repeated conditional write that had landed answers 412, which would look like somebody else's
(protocol T5). A lost answer is `StorageUnavailable`; the protocol treats what it was about as in doubt.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from shared.storage.durable_writes import DurableWrite, Moment, Observer, unobserved
from shared.storage.refusals import TABLE_ROLE, explain_refusal

if TYPE_CHECKING:
    from azure.data.tables.aio import TableClient, TableServiceClient

TRANSACTION_LIMIT = 100
"""Operations in one transaction (Azure Tables limit; each row at most once)."""

CONTENDED_TRIES = 50
"""How often a change of a row that others change too begins anew. Each refusal is somebody else's success, so only
trouble comes so far."""

TEXT_LIMIT = 32_000
"""Characters that one property holds with a margin under the service's 32 Ki UTF-16 units."""

_TRANSACTION_BYTES = 700_000
"""A transaction may hold 4 MiB; one above 1 MiB blocks the event loop noticeably while it is sent."""

_LONGEST_TOKEN = 4_000
"""Characters of a continuation token: a key of 1 KiB in the service's own encoding, with room."""

_FORBIDDEN = frozenset('/\\#?%"')


class StorageConflict(Exception):
    """A condition did not hold: the row was changed, exists already, or is gone."""


class StorageUnavailable(Exception):
    """Storage did not answer, or not clearly: what was asked may or may not have happened."""


class StorageContended(StorageUnavailable):
    """A row was changed by somebody else at every try: nothing of ours was written."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} was changed by others {CONTENDED_TRIES} times in a row; try again")


class StorageRefused(StorageUnavailable):
    """Storage does not let the app in: its identity, its role, or a network rule. The text says what to mend.

    It ends without a restart: the service looks at roles with every request.
    """


_NO_TABLE = frozenset({"TableNotFound", "TableBeingDeleted"})
"""Error codes of the service that are about a whole table, with the statuses of an absent and of a changed row."""


def storage_failure(what: str, error: Exception, *, role: str = TABLE_ROLE) -> StorageUnavailable:
    """What to raise for an exception of the SDKs: whether somebody has to mend something, or storage is just away."""
    if _is_without_table(error):
        return _table_missing(what)
    refusal = explain_refusal(error, role=role)
    if refusal:
        return StorageRefused(f"{what} failed: {refusal}")
    status = getattr(error, "status_code", None)
    return StorageUnavailable(f"{what} failed{f' with status {status}' if status else ''}: {type(error).__name__}")


def _table_missing(what: str) -> StorageUnavailable:
    advice = "the app makes it again when it starts; look up first what its loss means (README, A table was deleted)"
    return StorageUnavailable(f"{what} failed: the table does not exist; {advice}")


def _is_without_table(error: Exception) -> bool:
    """Whether the table is what is missing: an absent row means nothing known, a changed one another try."""
    code = getattr(error, "error_code", None)
    return getattr(code, "value", code) in _NO_TABLE


class OperationKind(StrEnum):
    """What one operation of a commit does."""

    INSERT = "insert"
    """The row must not exist."""
    MERGE = "merge"
    """Given columns change, others stay; with an ETag the row must be unchanged, without one it may be absent."""
    REPLACE = "replace"
    """The whole row; ETag as in MERGE."""
    DELETE = "delete"
    """The row goes. One that is absent is a conflict in a transaction; alone it is done already, ETag or not."""


@dataclass(frozen=True, slots=True)
class Row:
    """A stored row and the ETag under which it was read."""

    key: str
    values: Mapping[str, Any]
    etag: str

    def text(self, name: str) -> str:
        """Answer a text column, empty when absent; joined again when it was split (`split_text`)."""
        value = str(self.values.get(name, ""))
        part = 1
        while (more := self.values.get(f"{name}_{part}")) is not None:
            value += str(more)
            part += 1
        return value


@dataclass(frozen=True, slots=True)
class RowPage:
    """What one request for rows answered."""

    rows: list[Row]
    """May be none although more follow: the service gives up a long search in between."""
    resume: str
    """Where the next request goes on, opaque; empty: this was the end."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation on one row."""

    kind: OperationKind
    key: str
    values: Mapping[str, Any] = field(default_factory=dict)
    etag: str | None = None

    def __post_init__(self) -> None:
        cleared = [name for name, value in self.values.items() if value is None]
        if cleared:
            raise ValueError(f"columns {cleared} are None; write an empty value to clear a column")

    @classmethod
    def insert(cls, key: str, values: Mapping[str, Any]) -> Self:
        """Create a row that must not exist."""
        return cls(OperationKind.INSERT, key, values)

    @classmethod
    def merge(cls, key: str, values: Mapping[str, Any], *, etag: str | None = None) -> Self:
        """Change the given columns."""
        return cls(OperationKind.MERGE, key, values, etag)

    @classmethod
    def replace(cls, key: str, values: Mapping[str, Any], *, etag: str | None = None) -> Self:
        """Write the whole row."""
        return cls(OperationKind.REPLACE, key, values, etag)

    @classmethod
    def delete(cls, key: str, *, etag: str | None = None) -> Self:
        """Remove a row."""
        return cls(OperationKind.DELETE, key, {}, etag)


def encode_key(text: str) -> str:
    """Make any text a legal key: forbidden and control characters become `!xx`, reversibly.

    GUIDs and most ids come back unchanged. Azure Tables forbids / \\ # ? and control characters and mishandles %.
    """
    if text.isalnum() and text.isascii():
        return text
    return "".join(
        "".join(f"!{byte:02x}" for byte in char.encode())
        if char in _FORBIDDEN or char == "!" or ord(char) < 0x20 or 0x7F <= ord(char) <= 0x9F
        else char
        for char in text
    )


def decode_key(key: str) -> str:
    """Answer the text that `encode_key` made a key of."""
    if "!" not in key:
        return key
    return re.sub(r"(?:!([0-9a-f]{2}))+", lambda run: bytes.fromhex(run[0].replace("!", "")).decode(), key)


def split_text(name: str, text: str, *, parts: int = 24) -> dict[str, str]:
    """Spread a long text over `name`, `name_1`, ... because one property holds 32 Ki characters.

    Every part is written, an unused one not at all, so rows that use this are replaced, never merged.
    Raises ValueError when the text does not fit `parts` properties.
    """
    pieces = [text[at : at + TEXT_LIMIT // 2] for at in range(0, len(text), TEXT_LIMIT // 2)] or [""]
    if len(pieces) > parts:
        raise ValueError(f"{name} is longer than {parts * TEXT_LIMIT // 2} characters")
    return {name if not at else f"{name}_{at}": piece for at, piece in enumerate(pieces)}


class Tables:
    """All tables of the product. One instance per process; safe for concurrent use on one event loop."""

    NAMES = ("directory", "accounts", "applications", "checkpoint", "audit")

    def __init__(self, service: TableServiceClient, *, prefix: str = "", observer: Observer = unobserved) -> None:
        self._service = service
        self._prefix = prefix
        self._observer = observer
        self._clients: dict[str, TableClient] = {}
        self.calls: Counter[str] = Counter()
        """Requests made so far, by table and kind, for the figures that do not depend on the machine."""

    async def create_missing(self) -> None:
        """Create the tables that do not exist. Idempotent. Raises StorageUnavailable."""
        from azure.core.exceptions import AzureError

        try:
            for name in self.NAMES:
                await self._service.create_table_if_not_exists(self._prefix + name)
        except AzureError as error:
            raise storage_failure("creating the tables", error) from error

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            await client.close()
        await self._service.close()

    async def read(self, table: str, partition: str, key: str) -> Row | None:
        """Read one row; None when it does not exist. Raises StorageUnavailable, also when the table does not exist."""
        from azure.core.exceptions import AzureError, ResourceNotFoundError

        self.calls[f"{table} read"] += 1
        try:
            found = await self._client(table).get_entity(encode_key(partition), encode_key(key))
        except ResourceNotFoundError as error:
            if _is_without_table(error):
                # An application that was paused would look as if it never had been.
                raise storage_failure(f"reading a row of table {table}", error) from error
            return None
        except AzureError as error:
            raise storage_failure(f"reading a row of table {table}", error) from error
        return _row(found)

    async def query(
        self,
        table: str,
        partition: str,
        *,
        first: str = "",
        before: str = "",
        where: str = "",
        select: Sequence[str] = (),
        page_size: int = 1000,
    ) -> AsyncIterator[list[Row]]:
        """Read the rows with `first <= key < before` page by page, in key order.

        `where` is an OData condition on columns, written by us; outside text goes in through `equals` only.
        """
        from azure.core.exceptions import AzureError

        pages = (
            self._client(table)
            .query_entities(
                _condition(partition, first, before, where), results_per_page=page_size, select=_columns(select)
            )
            .by_page()
        )
        try:
            async for page in pages:
                self.calls[f"{table} query"] += 1
                yield [_row(found) async for found in page]
        except AzureError as error:
            raise storage_failure(f"querying table {table}", error) from error

    async def query_page(
        self,
        table: str,
        partition: str,
        *,
        first: str = "",
        before: str = "",
        where: str = "",
        select: Sequence[str] = (),
        page_size: int = 1000,
        resume: str = "",
    ) -> RowPage:
        """One request of `query`, and where the next one goes on: for answers that are given page by page.

        `resume` may be anybody's: it is checked, and whatever it says, the conditions hold. Raises ValueError for one
        that no page answered with, StorageUnavailable.
        """
        from azure.core.exceptions import AzureError, HttpResponseError

        found: Any = self._client(table).query_entities(
            _condition(partition, first, before, where), results_per_page=page_size, select=_columns(select)
        )
        pages = found.by_page(continuation_token=_continuation(resume))
        self.calls[f"{table} query"] += 1
        try:
            rows = [_row(each) async for each in await anext(pages)]
        except HttpResponseError as error:
            if error.status_code == 400 and resume:
                raise ValueError("this is no place where a page ended") from error
            raise storage_failure(f"querying table {table}", error) from error
        except AzureError as error:
            raise storage_failure(f"querying table {table}", error) from error
        token = pages.continuation_token
        return RowPage(rows, json.dumps([token["PartitionKey"], token["RowKey"]]) if token else "")

    async def read_range(self, table: str, partition: str, *, first: str, before: str) -> list[Row]:
        """Read all rows with `first <= key < before`."""
        return [row async for page in self.query(table, partition, first=first, before=before) for row in page]

    async def walk(self, table: str) -> AsyncIterator[tuple[str, Row]]:
        """Every row of a table with its partition, in the order of their stored keys. Raises StorageUnavailable."""
        from azure.core.exceptions import AzureError

        pages = self._client(table).list_entities(results_per_page=1000).by_page()
        try:
            async for page in pages:
                self.calls[f"{table} query"] += 1
                async for found in page:
                    yield decode_key(found["PartitionKey"]), _row(found)
        except AzureError as error:
            raise storage_failure(f"reading table {table}", error) from error

    async def commit(
        self, write: DurableWrite, table: str, partition: str, operations: Sequence[Operation]
    ) -> dict[str, str]:
        """Carry out the operations together or not at all; answer the new ETags by key.

        Raises StorageConflict when a condition does not hold, StorageUnavailable when the outcome is unknown or there
        is no such table.
        """
        if not 0 < len(operations) <= TRANSACTION_LIMIT:
            raise ValueError(f"a commit takes 1 to {TRANSACTION_LIMIT} operations, not {len(operations)}")
        self._observer(write, Moment.BEFORE)
        self.calls[f"{table} commit"] += 1
        etags = await self._commit(table, partition, operations)
        self._observer(write, Moment.AFTER)
        return {operation.key: etag for operation, etag in zip(operations, etags, strict=True)}

    async def commit_all(
        self, write: DurableWrite, table: str, partition: str, operations: Sequence[Operation], *, parallel: int = 4
    ) -> None:
        """Commit any number of operations on different rows, in transactions of 100, a few at a time.

        Two neighbours at an even position share a transaction, so a pair can be written together or not at all.
        """
        batches = deque(_batches(operations))

        async def commit_next() -> None:
            while batches:
                try:
                    await self.commit(write, table, partition, batches.popleft())
                except BaseException:
                    batches.clear()
                    raise

        await gather_all([commit_next() for _ in range(min(parallel, len(batches)))])

    async def _commit(self, table: str, partition: str, operations: Sequence[Operation]) -> list[str]:
        from azure.core.exceptions import AzureError, HttpResponseError
        from azure.data.tables import RequestTooLargeError, TableTransactionError

        client = self._client(table)
        steps = [_transaction_step(encode_key(partition), operation) for operation in operations]
        try:
            if len(steps) == 1:
                return [await _single(client, steps[0])]
            answers = await client.submit_transaction(steps, retry_total=0)
            return [str(answer.get("etag", "")) for answer in answers]
        except RequestTooLargeError as error:
            raise ValueError(f"the rows are too large for table {table}: {error.message}") from error
        except (TableTransactionError, HttpResponseError) as error:
            if error.status_code == 404 and [each.kind for each in operations] == [OperationKind.INSERT]:
                # The SDK drops the service's code here, and there is no row that an insert could miss.
                raise _table_missing(f"writing table {table}") from error
            if error.status_code in (404, 409, 412) and not _is_without_table(error):
                raise StorageConflict(f"a row of table {table} was changed by somebody else") from error
            if error.status_code == 400:
                raise ValueError(f"table {table} refused a row: {getattr(error, 'error_code', '')}") from error
            raise storage_failure(f"writing table {table}", error) from error
        except AzureError as error:
            raise storage_failure(f"writing table {table}", error) from error

    def _client(self, table: str) -> TableClient:
        if table not in self._clients:
            if table not in self.NAMES:
                raise ValueError(f"{table}: no such table; add it to Tables.NAMES and to tableNames in main.bicep")
            self._clients[table] = self._service.get_table_client(self._prefix + table)
        return self._clients[table]


def _batches(operations: Sequence[Operation]) -> Iterator[Sequence[Operation]]:
    """Split into transactions, by count and by size; neighbours at an even position stay together."""
    start, size = 0, 0
    for at in range(0, len(operations), 2):
        pair = sum(_bytes_of(value) for step in operations[at : at + 2] for value in step.values.values())
        if at > start and (at - start >= TRANSACTION_LIMIT or size + pair > _TRANSACTION_BYTES):
            yield operations[start:at]
            start, size = at, 0
        size += pair
    if start < len(operations):
        yield operations[start:]


def stored_order(partition: str, key: str) -> tuple[bytes, bytes]:
    """What rows of a table are sorted by: the service compares keys as UTF-16."""
    return encode_key(partition).encode("utf-16-be"), encode_key(key).encode("utf-16-be")


def _bytes_of(value: Any) -> int:
    """What a column takes in a request: the SDK writes every character outside ASCII as `\\uXXXX`."""
    if not isinstance(value, str):
        return 0
    return len(value) if value.isascii() else len(json.dumps(value))


async def gather_all(awaitables: Sequence[Any]) -> list[Any]:
    """Await all, also when one fails, then raise the first failure: nothing keeps running behind our back."""
    results = await asyncio.gather(*awaitables, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return list(results)


def equals(column: str, text: str) -> str:
    """The condition that a column holds a text, whoever the text is from."""
    return f"{column} eq '{_quote(text)}'"


def _condition(partition: str, first: str, before: str, where: str) -> str:
    conditions = [equals("PartitionKey", encode_key(partition))]
    if first:
        conditions.append(f"RowKey ge '{_quote(encode_key(first))}'")
    if before:
        conditions.append(f"RowKey lt '{_quote(encode_key(before))}'")
    if where:
        conditions.append(f"({where})")
    return " and ".join(conditions)


def _columns(select: Sequence[str]) -> list[str] | None:
    return ["PartitionKey", "RowKey", *select] if select else None


def _continuation(resume: str) -> dict[str, str] | None:
    """What the SDK calls a continuation token. Raises ValueError."""
    if not resume:
        return None
    try:
        place = json.loads(resume)
    except RecursionError as error:
        raise ValueError("this is no place where a page ended") from error
    match place:
        case [str(partition), str() | None as key] if _is_header(partition) and _is_header(key or ""):
            return {"PartitionKey": partition, "RowKey": key or ""}
    raise ValueError("this is no place where a page ended")


def _is_header(text: str) -> bool:
    """Whether a text could have come in a header of the service's answer."""
    return len(text) <= _LONGEST_TOKEN and text.isascii() and text.isprintable()


def _row(found: Mapping[str, Any]) -> Row:
    values = {name: value for name, value in found.items() if name not in ("PartitionKey", "RowKey")}
    return Row(decode_key(found["RowKey"]), values, str(found.metadata["etag"]))  # type: ignore[attr-defined]


def _quote(text: str) -> str:
    return text.replace("'", "''")


def _transaction_step(partition: str, operation: Operation) -> Any:
    """Translate to the SDK's tuple form."""
    from azure.core import MatchConditions
    from azure.data.tables import UpdateMode

    entity = {**operation.values, "PartitionKey": partition, "RowKey": encode_key(operation.key)}
    condition: dict[str, Any] = {}
    if operation.etag is not None:
        condition = {"etag": operation.etag, "match_condition": MatchConditions.IfNotModified}
    match operation.kind:
        case OperationKind.INSERT:
            return ("create", entity)
        case OperationKind.DELETE:
            return ("delete", entity, condition)
        case OperationKind.MERGE | OperationKind.REPLACE:
            mode = UpdateMode.MERGE if operation.kind is OperationKind.MERGE else UpdateMode.REPLACE
            verb = "update" if operation.etag is not None else "upsert"
            return (verb, entity, {"mode": mode, **condition})


async def _single(client: TableClient, step: Any) -> str:
    """Send one operation without the transaction envelope: it costs a third."""
    verb, entity, *options = step
    arguments = {**(options[0] if options else {}), "retry_total": 0}
    match verb:
        case "create":
            answer = await client.create_entity(entity, **arguments)
        case "update":
            answer = await client.update_entity(entity, **arguments)
        case "upsert":
            answer = await client.upsert_entity(entity, **arguments)
        case _:
            await client.delete_entity(entity, **arguments)
            return ""
    return str(answer.get("etag", ""))
