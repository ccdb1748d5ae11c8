"""Memberships of one group: 100 changes at once, and the first fill, in a group of 500, of 5,000 and of 50,000.

Measured, once per size: a sync after 50 people joined the group and 50 left it, then the consumer until nothing of it
is left to do; and the same for the group's first fill. Everybody has an account before and after, everything is in sync
before the clock starts, and the application is for all users (`scope: all`): what is measured is memberships, not
accounts. The vendor answers after 20 ms and allows 200 requests a second. Every run of changes moves other people; the
figures are the median.

What is counted (calls to tables and queues, requests to Graph and to the vendor) does not depend on the machine. Time
is that of one process, taken twice: with tables in its memory, where an operation costs next to nothing however many
rows there are (so this is the product's own time, and growth in it would be the product's), and with Azurite, which
searches a whole table for a range of keys (so its time grows with the rows, which Azure's does not). Memory is how far
the process rises above where it was, with Azurite; with tables in memory it would be the rows. The queue is a list in
the process, whatever the tables are: its calls are counted, and messages are delivered at once.

Rows that nothing measured here reads are left out: the mirror of the users, and index rows. With Azurite the first fill
is measured up to 5,000 members: beyond, the emulator's searches would take most of an hour.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.benchmarks.group_worlds import BYSTANDERS, CHANGES, KINDS, run_changes, run_fill
from tests.benchmarks.separate import run_apart, serve_apart
from tests.benchmarks.tables import Table, number
from tests.benchmarks.tenants import serve_graph
from tests.benchmarks.vendor import serve_vendor
from tests.simulation.azurite import Azurite

SIZED_BY = "members"
SIZES = (500, 5_000, 50_000)
FILLED_IN_AZURITE = 5_000
PAGE_SIZE = 999

Seen = Mapping[str, Mapping[str, float]]
"""Part (sync or consumer) -> figure -> value."""


def measure(members: int | None) -> list[Table]:
    """Answers with the tables of this benchmark; `members` is the largest group."""
    largest = members or SIZES[-1]
    sizes = [*(size for size in SIZES if size < largest), largest]
    changes = [_measure(run_changes, size) for size in sizes]
    fills = [_measure(run_fill, size) for size in sizes]
    return [
        Table(
            title=f"{CHANGES} membership changes in one sync: 50 people with accounts join, 50 leave",
            columns=_columns(sizes),
            rows=_rows(changes, sizes),
            note="Median of 3. Everything was in sync before; a group costs its changes, not its members.",
        ),
        Table(
            title="The first fill of a group: everybody has an account already",
            columns=_columns(sizes),
            rows=_rows(fills, sizes),
            note=f"With Azurite up to {FILLED_IN_AZURITE:,} members: the emulator searches the whole table.",
        ),
    ]


def _measure(run: Callable[..., Any], size: int) -> tuple[Seen, Seen | None]:
    """Figures with tables in memory, and with Azurite where it is of use."""
    in_memory = _run(run, "", size)
    if run is run_fill and size > FILLED_IN_AZURITE:
        return in_memory, None
    with Azurite.in_memory() as azurite:
        return in_memory, _run(run, azurite.connection_string, size)


def _run(run: Callable[..., Any], storage: str, size: int) -> Seen:
    people = size + BYSTANDERS
    with serve_apart(serve_graph, people, False, PAGE_SIZE) as graph, serve_apart(serve_vendor) as vendor:
        seen = run_apart(run, storage, graph, vendor, size)
    return {
        part: {name: statistics.median(each[part][name] for each in seen) for name in seen[0][part]}
        for part in ("sync", "consumer")
    }


def _columns(sizes: Sequence[int]) -> list[str]:
    return ["", *(f"{size:,} members" for size in sizes), f"{sizes[-1]:,} to {sizes[0]:,}"]


def _rows(seen: Sequence[tuple[Seen, Seen | None]], sizes: Sequence[int]) -> list[tuple[str, ...]]:
    in_memory = [each for each, _ in seen]
    in_azurite = [each for _, each in seen]
    return [
        row
        for part in ("sync", "consumer")
        for row in (
            _row(f"{part}: wall ms, tables in memory", part, "wall_ms", in_memory),
            _row(f"{part}: CPU ms, tables in memory", part, "cpu_ms", in_memory),
            _row(f"{part}: wall ms, Azurite", part, "wall_ms", in_azurite),
            _row(f"{part}: CPU ms, Azurite's SDK included", part, "cpu_ms", in_azurite),
            _row(f"{part}: memory +MB, Azurite", part, "growth_mb", in_azurite),
            *(_row(f"{part}: table calls, {kind}", part, kind, in_memory) for kind in KINDS),
            _row(f"{part}: queue calls", part, "queues", in_memory),
            _row(f"{part}: requests to Graph", part, "graph", in_memory),
            _row(f"{part}: requests to the vendor", part, "vendor", in_memory),
        )
        if any(cell not in ("0", "", "-") for cell in row[1:-1])
    ]


def _row(label: str, part: str, name: str, seen: Sequence[Seen | None]) -> tuple[str, ...]:
    values = [each[part][name] if each is not None else None for each in seen]
    cells = ["-" if value is None else _cell(name, value) for value in values]
    first, last = values[0], values[-1]
    growth = f"{last / first:.2f}" if first and last is not None and not name.endswith("_mb") else ""
    return (label, *cells, growth)


def _cell(name: str, value: float) -> str:
    return number(value) if name.endswith(("_ms", "_mb")) else f"{value:,.0f}"
