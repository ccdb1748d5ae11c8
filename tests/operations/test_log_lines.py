"""The log as people read it: filters, merging, pages and cursors, against a reader who looks at every record."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.operations.cursors import CursorRefused, decode_cursor, encode_cursor
from shared.operations.log_lines import LogFilter, read_log_page
from shared.operations.pages import REQUESTS_PER_PAGE, FilterRefused
from shared.provisioning.provisioning_log import LogEntry, LogStatus
from shared.storage.tables import Tables
from tests.operations.seeded_logs import STEP, entry, expected, read_all, storage_of, write_log
from tests.provisioning.memory_tables import MemoryTables, Store
from tests.world import START

APPS = ("acme", "fuze", "zeta")
PEOPLE = ("jo", "jo'; or", "ann:b", "ann", "émile 😀", "a/b\\c#d?e")
ACTIONS = ("create", "update", "disable", "other")
CODES = ("", "TooManyRequests", "Rare")


@pytest.fixture
async def tables(azurite: str, name_prefix: str) -> AsyncIterator[Tables]:
    services = storage_of(azurite, name_prefix)
    await services.tables.create_missing()
    yield services.tables
    await services.close()


def drawn(dice: Random, count: int, *, first: int = 0) -> list[tuple[str, LogEntry]]:
    """Records of several applications; some at the same instant, even with the same id."""
    written = []
    for at in range(first, first + count):
        app = dice.choice(APPS)
        each = entry(
            at - dice.choice([0, 0, 0, 1]),
            source_id=dice.choice(PEOPLE),
            action=dice.choice(ACTIONS),
            status=dice.choice(list(LogStatus)),
            error_code=dice.choice(CODES),
            trace=f"{app} {at}",
        )
        if not any((app, each.at, each.id) == (other, known.at, known.id) for other, known in written):
            written.append((app, each))
    return written


async def write(tables: Tables, written: list[tuple[str, LogEntry]]) -> None:
    for app in APPS:
        await write_log(tables, app, [each for owner, each in written if owner == app])


FILTERS = st.builds(
    LogFilter,
    source_id=st.sampled_from(["", *PEOPLE]),
    action=st.sampled_from(["", *ACTIONS]),
    status=st.sampled_from(["", *LogStatus]),
    code=st.sampled_from([*CODES, "Never"]),
    since=st.one_of(st.none(), st.integers(-5, 95).map(lambda at: START + at * STEP)),
    until=st.one_of(
        st.none(), st.integers(-5, 95).map(lambda at: START + at * STEP + timedelta(microseconds=at % 3 - 1))
    ),
)


@settings(max_examples=300, deadline=None)
@given(wanted=FILTERS, apps=st.sets(st.sampled_from(APPS), min_size=1), limit=st.sampled_from([1, 2, 3, 7, 50]))
async def test_every_filter_answers_what_a_naive_reader_finds_whatever_the_size_of_the_page(
    wanted: LogFilter, apps: set[str], limit: int
) -> None:
    tables, written = MemoryTables(Store()), drawn(Random(3), 90)
    await write(tables, written)

    lines = await read_all(tables, sorted(apps), wanted, limit=limit)

    assert [(line.application, line.trace) for line in lines] == expected(
        [(app, each) for app, each in written if app in apps], wanted
    )


FIELDS: dict[str, Any] = {
    "nothing": {},
    "source_id": {"source_id": "jo'; or"},
    "an id like another's beginning": {"source_id": "ann"},
    "an id that no key may hold": {"source_id": "a/b\\c#d?e"},
    "emoji": {"source_id": "émile 😀"},
    "action": {"action": "create"},
    "status": {"status": "failure"},
    "code": {"code": "Rare"},
    "since": {"since": START + 40 * STEP},
    "until": {"until": START + 40 * STEP},
    "a stretch of time": {"since": START + 20 * STEP, "until": START + 40 * STEP},
    "nothing, because the stretch is empty": {"since": START + 40 * STEP, "until": START + 20 * STEP},
    "everything": {
        "source_id": "ann:b",
        "action": "update",
        "status": "success",
        "code": "Rare",
        "since": START,
        "until": START + 80 * STEP,
    },
}


async def test_storage_compares_as_the_naive_reader_does(tables: Tables) -> None:
    written = drawn(Random(4), 120)
    await write(tables, written)

    for fields in FIELDS.values():
        wanted = LogFilter(**fields)
        for limit in (3, 1000):
            lines = await read_all(tables, APPS, wanted, limit=limit)
            assert [(line.application, line.trace) for line in lines] == expected(written, wanted), fields


@pytest.mark.parametrize("source_id", ["", "jo"])
async def test_each_record_comes_once_while_others_are_written(tables: Tables, source_id: str) -> None:
    dice, known = Random(5), drawn(Random(5), 40)
    await write(tables, known)
    wanted = LogFilter(source_id=source_id)

    found: list[str] = []
    cursor: str | None = ""
    later = 40
    while cursor is not None:
        page = await read_log_page(tables, APPS, wanted, limit=4, cursor=cursor)
        found += [line.trace for line in page.items]
        cursor = page.next
        await write(tables, drawn(dice, 3, first=later))
        later += 3

    assert found == [trace for _, trace in expected(known, wanted)]


async def test_a_line_says_everything_the_record_holds(tables: Tables) -> None:
    await write_log(tables, "acme", [entry(1, error_code="Rare", error="no", remedy="do", attempt=3)])

    [line] = (await read_log_page(tables, ["acme"], LogFilter())).items

    assert (line.application, line.kind, line.source_id, line.target_id) == ("acme", "user", "jo", "target of jo")
    assert (line.config, line.number, line.attempt) == ("c0ffee", "0000000001.00000001.000", 3)
    assert (line.error_code, line.error, line.remedy) == ("Rare", "no", "do")
    assert line.at == "2026-11-21T08:00:07.000000Z"
    assert line.modified == [{"displayName": "title", "oldValue": "old", "newValue": "new 1"}]
    assert [step["provisioningStepType"] for step in line.steps] == ["export"]


async def test_one_person_costs_one_request_however_long_the_log(tables: Tables) -> None:
    await write_log(tables, "acme", [entry(at, source_id=f"other{at % 7}") for at in range(3000)])
    await write_log(tables, "acme", [entry(at, source_id="ann") for at in (5, 1500)])
    before = tables.calls.total()

    lines = (await read_log_page(tables, ["acme"], LogFilter(source_id="ann"), limit=20)).items

    assert len(lines) == 2
    assert tables.calls.total() - before == 1


class InterruptedTables(MemoryTables):
    """As the service does in a long search: it answers nothing yet, and where to go on."""

    async def query_page(self, table: str, partition: str, **asked: Any) -> Any:
        page = await super().query_page(table, partition, **{**asked, "where": "", "page_size": 3, "select": ()})
        if asked["where"]:
            name, wanted = asked["where"].split(" eq ")
            page.rows[:] = [row for row in page.rows if row.values.get(name) == wanted.strip("'")]
        return page


async def test_a_search_that_finds_little_is_bounded_and_goes_on() -> None:
    tables = InterruptedTables(Store())
    oldest = entry(0, status=LogStatus.FAILURE)
    await write_log(tables, "acme", [oldest, *(entry(at) for at in range(1, 400))])
    wanted = LogFilter(status="failure")
    before = tables.calls["accounts query"]

    page = await read_log_page(tables, ["acme"], wanted, limit=2)

    assert (page.items, page.next is None) == ((), False)
    assert tables.calls["accounts query"] - before == REQUESTS_PER_PAGE + 1
    assert [line.source_id for line in await read_all(tables, ["acme"], wanted, limit=2)] == ["jo"]


async def test_a_search_that_storage_interrupts_goes_on_where_it_was() -> None:
    tables, written = InterruptedTables(Store()), drawn(Random(6), 200)
    await write(tables, written)
    wanted = LogFilter(code="Rare")

    lines = await read_all(tables, APPS, wanted, limit=5)

    assert [(line.application, line.trace) for line in lines] == expected(written, wanted)


@pytest.mark.parametrize(
    "place",
    [
        {"at": 7},
        {"at": "1"},
        {"at": "x" * 18 + ":"},
        {"at": "1" * 18 + ":a\x00b"},
        {"app": ["acme"]},
        {"on": []},
        {"on": {"acme": 7}},
        {"on": {"acme": "no JSON"}},
        {"on": {"acme": "[1,2]"}},
        {"on": {"acme": '{"PartitionKey":"x"}'}},
        {"on": {"acme": '["a\\r\\nHost: x","b"]'}},
        {"on": {"acme": json.dumps(["é", "b"])}},
        {"on": {"acme": "[" * 3000}},
    ],
    ids=str,
)
async def test_a_cursor_that_somebody_made_is_refused(tables: Tables, place: dict[str, Any]) -> None:
    with pytest.raises(CursorRefused):
        await read_log_page(tables, ["acme"], cursor=encode_cursor(place))


@pytest.mark.parametrize("cursor", ["x", "é", "e30", "bnVsbA", base64.b64encode(b"[1]").decode(), "A" * 9000, "=;"])
async def test_what_is_no_cursor_is_refused_or_the_beginning(tables: Tables, cursor: str) -> None:
    await write_log(tables, "acme", [entry(1)])
    if cursor == "e30":
        assert len((await read_log_page(tables, ["acme"], cursor=cursor)).items) == 1
        return

    with pytest.raises(CursorRefused):
        await read_log_page(tables, ["acme"], cursor=cursor)


@settings(max_examples=100, deadline=None)
@given(fields=st.dictionaries(st.sampled_from(["at", "app", "on"]), st.recursive(st.text(), st.lists)))
async def test_no_cursor_does_worse_than_be_refused(fields: dict[str, Any]) -> None:
    tables = MemoryTables(Store())
    try:
        cursor = encode_cursor(fields)
    except UnicodeEncodeError:
        return

    with contextlib.suppress(CursorRefused):
        await read_log_page(tables, ["acme"], cursor=cursor)


async def test_a_cursor_of_somebody_else_shows_only_what_was_asked_for(tables: Tables) -> None:
    await write_log(tables, "acme", [entry(at, source_id=f"p{at % 2}") for at in range(9)])
    await write_log(tables, "other", [entry(at, source_id="p0") for at in range(9)])
    page = await read_log_page(tables, ["other"], LogFilter(code=""), limit=3)
    assert page.next is not None
    place = decode_cursor(page.next)
    forged = encode_cursor({**place, "app": "", "on": {"acme": json.dumps(["other", f"log:{place['at']}"])}})

    lines = (await read_log_page(tables, ["acme"], LogFilter(source_id="p1"), limit=100, cursor=forged)).items

    assert {(line.application, line.source_id) for line in lines} <= {("acme", "p1")}


@pytest.mark.parametrize(
    "fields",
    [
        {"action": "a' or 'a' eq 'a"},
        {"status": "x y"},
        {"code": "ü"},
        {"source_id": "a\x00"},
        {"source_id": "\ud83d"},
        {"source_id": "x" * 400},
        {"since": START.replace(tzinfo=None)},
    ],
    ids=str,
)
def test_a_filter_that_nothing_can_match_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(FilterRefused, match=next(iter(fields))):
        LogFilter(**fields)


@pytest.mark.parametrize("limit", [0, -1, 1001])
async def test_a_page_has_between_one_line_and_a_thousand(tables: Tables, limit: int) -> None:
    with pytest.raises(ValueError, match="limit"):
        await read_log_page(tables, ["acme"], limit=limit)
