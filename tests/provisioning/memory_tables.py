"""Tables in a dictionary: what Azure Tables promises, without the network, for tests that run a thousand stories.

`test_memory_tables.py` compares it with Azurite, operation by operation.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from itertools import count
from typing import Any

from shared.storage.durable_writes import Observer, unobserved
from shared.storage.tables import Operation, OperationKind, Row, StorageConflict, Tables, decode_key, encode_key

Stored = tuple[dict[str, Any], str]
_COMPARISON = re.compile(r"(\w+) (eq|ne) (true|false|'[^']*')")


class Store:
    """What outlives a process."""

    def __init__(self) -> None:
        self.partitions: dict[tuple[str, str], dict[str, Stored]] = {}
        self.etags = count(1)


class MemoryTables(Tables):
    """One process's view of a store."""

    def __init__(self, store: Store, *, observer: Observer = unobserved) -> None:
        super().__init__(None, observer=observer)  # type: ignore[arg-type]
        self.store = store

    async def create_missing(self) -> None:
        """Tables exist as soon as they are used."""

    async def close(self) -> None:
        """There is no connection."""

    async def read(self, table: str, partition: str, key: str) -> Row | None:
        """Read one row."""
        self.calls[f"{table} read"] += 1
        found = self._partition(table, partition).get(encode_key(key))
        return None if found is None else Row(key, dict(found[0]), found[1])

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
        """Read rows in key order, a page at a time; like the service, at least one page."""
        rows = [
            Row(decode_key(key), {name: values[name] for name in select or values if name in values}, etag)
            for key, (values, etag) in sorted(self._partition(table, partition).items())
            if key >= encode_key(first) and (not before or key < encode_key(before)) and _holds(where, values)
        ]
        for at in range(0, max(len(rows), 1), page_size):
            self.calls[f"{table} query"] += 1
            yield rows[at : at + page_size]

    async def _commit(self, table: str, partition: str, operations: Sequence[Operation]) -> list[str]:
        rows = self._partition(table, encode_key(partition))
        changed = dict(rows)
        etags = [self._apply(changed, operation, alone=len(operations) == 1) for operation in operations]
        rows.clear()
        rows.update(changed)
        return etags

    def _apply(self, rows: dict[str, Stored], operation: Operation, *, alone: bool) -> str:
        key = encode_key(operation.key)
        there = rows.get(key)
        if operation.kind is OperationKind.DELETE and there is None and alone:
            # The SDK takes an absent row for a deleted one, whatever the ETag.
            return ""
        if operation.etag is not None and (there is None or there[1] != operation.etag):
            raise StorageConflict("another version")
        match operation.kind:
            case OperationKind.DELETE:
                if there is None:
                    raise StorageConflict("not there")
                del rows[key]
                return ""
            case OperationKind.INSERT if there is not None:
                raise StorageConflict("there already")
        earlier = there[0] if there and operation.kind is OperationKind.MERGE else {}
        etag = str(next(self.store.etags))
        rows[key] = ({**earlier, **operation.values}, etag)
        return etag

    def _partition(self, table: str, partition: str) -> dict[str, Stored]:
        return self.store.partitions.setdefault((table, encode_key(partition)), {})


def _holds(where: str, values: dict[str, Any]) -> bool:
    """The conditions the product uses: comparisons joined by `or`, or by `and`."""
    if not where:
        return True
    assert not (" or " in where and " and " in where), where
    joined = re.split(r" (?:or|and) ", where)
    results = [_compare(text, values) for text in joined]
    return any(results) if " or " in where else all(results)


def _compare(text: str, values: dict[str, Any]) -> bool:
    match = _COMPARISON.fullmatch(text.strip())
    assert match is not None, text
    name, operator, literal = match.groups()
    wanted = literal[1:-1] if literal.startswith("'") else literal == "true"
    if name not in values:
        return False
    return (values[name] == wanted) is (operator == "eq")
