"""Memberships of one group: 100 changes at once, and the first fill, in a group of 500, of 5,000 and of 50,000.

Measured, once per size: a sync after 50 people joined the group and 50 left it, then the consumer until nothing of it
is left to do; and the same for the group's first fill. Everybody has an account before and after, everything is in sync
before the clock starts, and the application is for all users (`scope: all`): what is measured is memberships, not
accounts. The vendor answers after 20 ms and allows 200 requests a second. Every run of changes moves other people.

What is counted (calls to tables and queues, requests to Graph and to the vendor) does not depend on the machine. Time
is that of one process, taken twice: with tables in its memory, where an operation costs next to nothing however many
rows there are (so this is the product's own time, and growth in it would be the product's), and with Azurite, which
searches a whole table for a range of keys (so its time grows with the rows, which Azure's does not). Memory is how far
the process rises above where it was; with tables in memory the rows that are added are part of it. The queue is a list
in the process, whatever the tables are: its calls are counted, and messages are delivered at once.

Rows that nothing measured here reads are left out: the mirror of the users, and index rows. Azurite is asked up to
5,000 members: beyond, filling it and its searches would take most of an hour and tell about the emulator only.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.benchmarks.group_worlds import BYSTANDERS, CHANGES, KINDS, RUNS, run_changes, run_fill
from tests.benchmarks.separate import run_apart, serve_apart
from tests.benchmarks.tables import Table, number
from tests.benchmarks.tenants import serve_graph
from tests.benchmarks.vendor import serve_vendor
from tests.simulation.azurite import Azurite

SIZED_BY = "members"
SIZES = (500, 5_000, 50_000)
MOST_IN_AZURITE = 5_000
PAGE_SIZE = 999
TURNS = 3

_NOTE = (
    "Tables are in the process's memory (no network, no SDK) unless it says Azurite, whose time is mostly its own "
    f"searches and which is asked up to {MOST_IN_AZURITE:,} members."
)

Seen = Mapping[str, Mapping[str, float]]
"""Part (sync or consumer) -> figure -> value."""


def measure(members: int | None) -> list[Table]:
    """Answers with the tables of this benchmark; `members` is the largest group."""
    largest = members or SIZES[-1]
    sizes = [*(size for size in SIZES if size < largest), largest]
    changes = _measure(run_changes, sizes, turns=TURNS)
    fills = _measure(run_fill, sizes, turns=1)
    return [
        Table(
            title=f"{CHANGES} membership changes in one sync: 50 people with accounts join, 50 leave",
            columns=_columns(sizes),
            rows=_rows(changes, sizes),
            note=f"Median of {TURNS} processes, taking turns, {RUNS} syncs each. All was in sync before. {_NOTE}",
        ),
        Table(
            title="The first fill of a group: everybody has an account already",
            columns=_columns(sizes),
            rows=_rows(fills, sizes),
            note=f"A request holds 100 members. {_NOTE}",
        ),
    ]


def _measure(run: Callable[..., Any], sizes: Sequence[int], *, turns: int) -> list[tuple[Seen, Seen | None]]:
    """Figures by size with tables in memory, and with Azurite where it is of use."""
    # The machine is not equally fast all the time: sizes take turns.
    in_memory = [[_run(run, "", size) for size in sizes] for _ in range(turns)]
    return [
        (_median(seen), _run_in_azurite(run, size) if size <= MOST_IN_AZURITE else None)
        for size, seen in zip(sizes, zip(*in_memory, strict=True), strict=True)
    ]


def _run_in_azurite(run: Callable[..., Any], size: int) -> Seen:
    with Azurite.in_memory() as azurite:
        return _run(run, azurite.connection_string, size)


def _run(run: Callable[..., Any], storage: str, size: int) -> Seen:
    people = size + BYSTANDERS
    with serve_apart(serve_graph, people, False, PAGE_SIZE) as graph, serve_apart(serve_vendor) as vendor:
        return _median(run_apart(run, storage, graph, vendor, size))


def _median(seen: Sequence[Seen]) -> Seen:
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
            _row(f"{part}: wall ms", part, "wall_ms", in_memory),
            _row(f"{part}: CPU ms", part, "cpu_ms", in_memory),
            _row(f"{part}: memory +MB", part, "growth_mb", in_memory),
            _row(f"{part}: wall ms, Azurite", part, "wall_ms", in_azurite),
            _row(f"{part}: CPU ms, Azurite", part, "cpu_ms", in_azurite),
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
