"""Tables in a dictionary: what Azure Tables promises, without the network, for tests that run a thousand stories.

`test_memory_tables.py` compares it with Azurite, operation by operation. What an operation costs hardly depends on how
many rows there are, as with the service and other than with Azurite, so that a benchmark shows how the product grows.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right, insort
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import count
from typing import Any

from shared.storage.durable_writes import Observer, unobserved
from shared.storage.tables import (
    Operation,
    OperationKind,
    Row,
    RowPage,
    StorageConflict,
    Tables,
    decode_key,
    encode_key,
)

Stored = tuple[dict[str, Any], str]
_BLOCK = 1000
_COMPARISON = re.compile(r"(\w+) (eq|ne) (true|false|'(?:[^']|'')*')(?: (and|or) |$)")


class Partition(dict[str, Stored]):
    """Rows by key, and their keys in order: in blocks, because to insert into a long list is to move half of it."""

    def __init__(self) -> None:
        self._blocks: list[list[str]] = [[]]

    def __setitem__(self, key: str, stored: Stored) -> None:
        if key not in self:
            at = self._find(key)
            block = self._blocks[at]
            insort(block, key)
            if len(block) > _BLOCK:
                self._blocks[at : at + 1] = [block[: _BLOCK // 2], block[_BLOCK // 2 :]]
        super().__setitem__(key, stored)

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        at = self._find(key)
        block = self._blocks[at]
        del block[bisect_left(block, key)]
        if not block and len(self._blocks) > 1:
            del self._blocks[at]

    def between(self, first: str, before: str) -> Iterator[str]:
        """The keys with `first <= key < before`."""
        start = self._find(first)
        for at in range(start, len(self._blocks)):
            block = self._blocks[at]
            for place in range(bisect_left(block, first) if at == start else 0, len(block)):
                if before and block[place] >= before:
                    return
                yield block[place]

    def _find(self, key: str) -> int:
        """The block that a key belongs to."""
        return max(0, bisect_right(self._blocks, key, key=lambda block: block[0] if block else "") - 1)


class Store:
    """What outlives a process."""

    def __init__(self) -> None:
        self.partitions: dict[tuple[str, str], Partition] = {}
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
        """Read rows in key order, a page at a time, each as it is then; like the service, at least one page."""
        resume: str | None = None
        while resume != "":
            page = await self.query_page(
                table,
                partition,
                first=first,
                before=before,
                where=where,
                select=select,
                page_size=page_size,
                resume=resume or "",
            )
            yield page.rows
            resume = page.resume

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
        """Read one page; where the next begins is its first key."""
        self.calls[f"{table} query"] += 1
        begin = max(resume, encode_key(first))
        found, following = self._read_page(table, partition, begin, before, where=where, count=page_size)
        rows = [
            Row(decode_key(key), {name: values[name] for name in select or values if name in values}, etag)
            for key, (values, etag) in found
        ]
        return RowPage(rows, following or "")

    def _read_page(
        self, table: str, partition: str, first: str, before: str, *, where: str, count: int
    ) -> tuple[list[tuple[str, Stored]], str | None]:
        """Up to `count` rows, and the key at which the next page begins."""
        rows = self._partition(table, partition)
        found: list[tuple[str, Stored]] = []
        for key in rows.between(first, encode_key(before) if before else ""):
            if not _holds(where, rows[key][0]):
                continue
            if len(found) == count:
                return found, key
            found.append((key, rows[key]))
        return found, None

    async def _commit(self, table: str, partition: str, operations: Sequence[Operation]) -> list[str]:
        rows = self._partition(table, partition)
        before = {key: rows.get(key) for key in (encode_key(operation.key) for operation in operations)}
        try:
            return [self._apply(rows, operation, alone=len(operations) == 1) for operation in operations]
        except StorageConflict:
            for key, stored in before.items():
                if stored is not None:
                    rows[key] = stored
                elif key in rows:
                    del rows[key]
            raise

    def _apply(self, rows: Partition, operation: Operation, *, alone: bool) -> str:
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

    def _partition(self, table: str, partition: str) -> Partition:
        return self.store.partitions.setdefault((table, encode_key(partition)), Partition())


def _holds(where: str, values: dict[str, Any]) -> bool:
    """The conditions the product uses: comparisons joined by `or`, or by `and`."""
    if not where:
        return True
    comparisons = [match.groups() for match in _COMPARISON.finditer(where)]
    joints = {joint for *_, joint in comparisons if joint}
    assert "".join(match[0] for match in _COMPARISON.finditer(where)) == where, where
    assert len(joints) <= 1, where
    results = [_compare(name, operator, literal, values) for name, operator, literal, _ in comparisons]
    return any(results) if "or" in joints else all(results)


def _compare(name: str, operator: str, literal: str, values: dict[str, Any]) -> bool:
    wanted = literal[1:-1].replace("''", "'") if literal.startswith("'") else literal == "true"
    if name not in values:
        return False
    return (values[name] == wanted) is (operator == "eq")
