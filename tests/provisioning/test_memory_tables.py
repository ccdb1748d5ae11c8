"""The tables of the long tests behave as Azurite does."""

from __future__ import annotations

from random import Random

import pytest

from shared.composition import Services
from shared.config.applications import Applications
from shared.config.settings import Settings
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation, StorageConflict, Tables
from tests.provisioning.memory_tables import MemoryTables, Store

CONDITIONS = [
    "",
    "pending eq true or intent ne '' or config ne 'a'",
    "pending eq true and staged eq ''",
    "permit ne ''",
]
KEYS = ["user:a", "user:b", "user:b/c", "target:user:x", "match:user:1", "log:1"]


async def _commit(tables: Tables, operations: list[Operation]) -> str:
    try:
        await tables.commit(DurableWrite.LOG, "accounts", "acme", operations)
    except StorageConflict:
        return "conflict"
    return "done"


def _draw(dice: Random, known: dict[str, list[str]], side: int) -> list[Operation]:
    operations = []
    for key in dice.sample(KEYS, dice.choice([1, 1, 2, 3])):
        values = {
            name: dice.choice(["", "a", "b"]) for name in dice.sample(["intent", "config", "staged", "permit"], 2)
        }
        values["pending"] = dice.random() < 0.5
        etags = known.get(key, ['W/"none"', 'W/"none"'])
        etag = dice.choice([None, None, etags[side]])
        kind = dice.choice(["insert", "merge", "replace", "delete"])
        operations.append(
            Operation.insert(key, values)
            if kind == "insert"
            else Operation.delete(key, etag=etag)
            if kind == "delete"
            else getattr(Operation, kind)(key, values, etag=etag)
        )
    return operations


async def _look(tables: Tables, where: str) -> list[tuple[str, dict]]:
    pages = tables.query("accounts", "acme", first="match:", before="user;", where=where, page_size=2)
    return [(row.key, dict(row.values)) async for page in pages for row in page]


async def _look_by_request(tables: Tables, where: str) -> list[str]:
    """The same keys, every page with a request of its own."""
    keys: list[str] = []
    resume = None
    while resume != "":
        page = await tables.query_page(
            "accounts", "acme", first="match:", before="user;", where=where, page_size=2, resume=resume or ""
        )
        keys += [row.key for row in page.rows]
        resume = page.resume
    return keys


@pytest.mark.parametrize("seed", range(2))
async def test_the_same_operations_have_the_same_outcome_on_both(seed: int, azurite: str, name_prefix: str) -> None:
    services = Services(Settings.load({"AzureWebJobsStorage": azurite}), Applications({}), table_prefix=name_prefix)
    try:
        await _compare(services.tables, MemoryTables(Store()), seed=seed)
    finally:
        await services.close()


async def _compare(real: Tables, memory: Tables, *, seed: int) -> None:
    await real.create_missing()
    known: dict[str, list[str]] = {}

    for step in range(60):
        drawn = _draw(Random(f"{seed} {step}"), known, 0)
        answers = [
            await _commit(tables, _draw(Random(f"{seed} {step}"), known, side))
            for side, tables in enumerate((real, memory))
        ]
        assert answers[0] == answers[1], drawn
        for key in KEYS:
            rows = [await tables.read("accounts", "acme", key) for tables in (real, memory)]
            left, right = (row and dict(row.values) for row in rows)
            assert left == right
            if rows[0] is not None and rows[1] is not None and step % 2:
                known[key] = [rows[0].etag, rows[1].etag]
        where = CONDITIONS[step % len(CONDITIONS)]
        seen = await _look(real, where)
        assert seen == await _look(memory, where)
        for tables in (real, memory):
            assert await _look_by_request(tables, where) == [key for key, _ in seen]
