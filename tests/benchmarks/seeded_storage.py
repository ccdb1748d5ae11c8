"""Azurite that begins with many rows: written into its file, because it searches a whole table for every insert.

One row of each kind is written through the product's own storage; Azurite saves it, and the others are copies of what
it saved, each with its own key and columns. (A hundred thousand inserts take a quarter of an hour, and grow by the
square.)
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.composition import Services
from shared.provisioning.accounts import ACCOUNTS
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation
from tests.simulation.azurite import Azurite, Ports

_FILE = "__azurite_db_table__.json"


@dataclass(frozen=True, slots=True)
class Seed:
    """Rows of one kind: the first is written as it is, the others are copies with other keys and columns."""

    rows: Iterable[tuple[str, Mapping[str, Any]]]


@contextlib.contextmanager
def serve_seeded(
    folder: Path, compose: Callable[[str], Services], partition: str, seeds: Iterable[Seed]
) -> Iterator[str]:
    """Runs Azurite with these rows in the table of accounts while the body runs; yields the connection string."""
    ports = Ports.free()
    rest: list[tuple[str, Iterator[tuple[str, Mapping[str, Any]]]]] = []
    with Azurite.in_folder(folder, ports) as first:
        firsts = []
        for seed in seeds:
            rows = iter(seed.rows)
            key, values = next(rows)
            firsts.append(Operation.insert(key, values))
            rest.append((key, rows))
        asyncio.run(_write(compose(first.connection_string), partition, firsts))
    _copy(folder / _FILE, rest)
    with Azurite.in_folder(folder, ports) as filled:
        yield filled.connection_string


async def _write(services: Services, partition: str, operations: list[Operation]) -> None:
    await services.prepare_storage()
    await services.tables.commit(DurableWrite.SAVE, ACCOUNTS, partition, operations)
    await services.close()


def _copy(path: Path, rest: Iterable[tuple[str, Iterator[tuple[str, Mapping[str, Any]]]]]) -> None:
    stored = json.loads(path.read_text())
    [collection] = [each for each in stored["collections"] if each["name"].endswith(f"${ACCOUNTS}")]
    documents = collection["data"]
    templates = {each["RowKey"]: each for each in documents}
    for key, rows in rest:
        template = templates[key]
        for copied, values in rows:
            properties = {**template["properties"], **values, "RowKey": copied}
            number = len(documents) + 1
            documents.append({**template, "RowKey": copied, "properties": properties, "$loki": number})
    documents.sort(key=lambda each: each["$loki"])
    collection["maxId"] = len(documents)
    collection["idIndex"] = [each["$loki"] for each in documents]
    for name in collection["binaryIndices"]:
        ranked = sorted(range(len(documents)), key=lambda at: documents[at][name])
        collection["binaryIndices"][name] = {"name": name, "dirty": False, "values": ranked}
    path.write_text(json.dumps(stored, separators=(",", ":")))
