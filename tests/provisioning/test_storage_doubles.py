"""Storage that answers wrongly: refuses every condition once, or writes and does not say so (protocol T5)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import pytest

from shared.storage.tables import Operation, OperationKind, StorageConflict, StorageUnavailable
from tests.provisioning.memory_tables import MemoryTables
from tests.provisioning.stories import Stage, open_stage
from tests.provisioning.story_book import STORIES, run

Double = Callable[[MemoryTables], None]


Commit = Callable[[str, str, Sequence[Operation]], Awaitable[list[str]]]


def _first_time(
    tables: MemoryTables, double: Callable[[Commit, str, str, Sequence[Operation]], Awaitable[None]]
) -> None:
    """Let `double` have the first commit to each set of rows; every later one is as it should be.

    Rows of the log, and lists of accounts to raise, have a new key at every attempt: they do not count. Memberships to
    be looked at count once, whatever number they have.
    """
    seen: set[tuple[str, ...]] = set()
    commit = tables._commit

    async def committing(table: str, partition: str, operations: Sequence[Operation]) -> list[str]:
        keys = sorted(
            _without_number(operation.key)
            for operation in operations
            if not operation.key.startswith(("log:", "story:", "raise:"))
        )
        if (table, partition, *keys) not in seen:
            seen.add((table, partition, *keys))
            await double(commit, table, partition, operations)
        return await commit(table, partition, operations)

    tables._commit = committing


def _without_number(key: str) -> str:
    kind, _, rest = key.partition(":")
    return f"{kind}:{rest.split(':')[0]}:{rest.split(':')[-1]}" if kind == "change" else key


def _is_conditional(operations: Sequence[Operation]) -> bool:
    return any(operation.etag or operation.kind is OperationKind.INSERT for operation in operations)


def refuse_every_condition_once(tables: MemoryTables) -> None:
    """A conditional write is answered 412 the first time and carried out the second."""

    async def refuse(_commit: Commit, _table: str, _partition: str, operations: Sequence[Operation]) -> None:
        if _is_conditional(operations):
            raise StorageConflict("refused")

    _first_time(tables, refuse)


def forget_to_answer(tables: MemoryTables) -> None:
    """The write lands, and nobody is told."""

    async def stay_silent(commit: Commit, table: str, partition: str, operations: Sequence[Operation]) -> None:
        await commit(table, partition, operations)
        raise StorageUnavailable("landed, not answered")

    _first_time(tables, stay_silent)


def answer_conflict_for_what_landed(tables: MemoryTables) -> None:
    """What a request repeated below us looks like: the write landed, the answer is a conflict."""

    async def repeat(commit: Commit, table: str, partition: str, operations: Sequence[Operation]) -> None:
        if _is_conditional(operations):
            await commit(table, partition, operations)
            raise StorageConflict("landed, answered 412")

    _first_time(tables, repeat)


def neither_write_nor_answer(tables: MemoryTables) -> None:
    """The write is lost on its way."""

    async def lose(_commit: Commit, _table: str, _partition: str, _operations: Sequence[Operation]) -> None:
        raise StorageUnavailable("not landed, not answered")

    _first_time(tables, lose)


DOUBLES: dict[str, Double] = {
    "refuses each condition once": refuse_every_condition_once,
    "writes and does not answer": forget_to_answer,
    "writes and answers a conflict": answer_conflict_for_what_landed,
    "neither writes nor answers": neither_write_nor_answer,
}


@pytest.mark.parametrize("double", DOUBLES)
@pytest.mark.parametrize("name", [name for name in STORIES if name != "reconfigured"])
async def test_a_story_ends_the_same_when_storage(double: str, name: str, azurite: str) -> None:
    story, scenery = STORIES[name]
    async with open_stage(azurite, scenery) as stage:
        stage.prepare = _with(DOUBLES[double])

        findings = await run(stage, story, None)

        assert findings == []


def _with(double: Double) -> Callable[[Stage], None]:
    return lambda stage: double(stage.world.services.tables)
