"""Lists of accounts to raise: nobody is left out, and nobody goes back to an older number."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.config.settings import Settings
from shared.provisioning.accounts import ACCOUNTS, ResourceKind, account_key, make_number, raise_columns
from shared.provisioning.raise_lists import RaiseLists
from shared.storage.connections import connect_tables
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation, Tables
from tests.examples import NOW
from tests.provisioning.memory_tables import MemoryTables, Store

APP = "acme"
OLD, LISTED, NEW = (make_number(1, n) for n in (1, 2, 3))


@pytest.fixture
async def tables(azurite: str, name_prefix: str) -> AsyncIterator[Tables]:
    opened = Tables(connect_tables(Settings.load({"AzureWebJobsStorage": azurite})), prefix=name_prefix)
    await opened.create_missing()
    yield opened
    await opened.close()


def key_of(user_id: str) -> str:
    return account_key(ResourceKind.USER, user_id)


async def raise_row(tables: Tables, user_id: str, number: str) -> None:
    columns = raise_columns(number, staged=False, queued_at=None, trace="")  # type: ignore[arg-type]
    await tables.commit(DurableWrite.RAISE, ACCOUNTS, APP, [Operation.merge(key_of(user_id), columns)])


async def take_up(lists: RaiseLists, most: int) -> list[str]:
    return [user_id async for taken in lists.take_up(APP, most, now=NOW) for user_id in taken.ids]


async def wanted(tables: Tables) -> dict[str, str]:
    rows = await tables.read_range(ACCOUNTS, APP, first="user:", before="user;")
    return {row.key.removeprefix("user:"): row.text("wanted") for row in rows}


async def test_accounts_are_taken_up_in_the_order_they_were_listed_and_no_more_than_asked_for(tables: Tables) -> None:
    lists = RaiseLists(tables)
    people = [f"user-{n:04d}" for n in range(230)]
    await lists.write(APP, LISTED, people, trace="a-run")

    first = await take_up(lists, 150)
    counted = await lists.count(APP)
    rest = await take_up(lists, 1000)

    assert (first, counted, rest) == (people[:150], 80, people[150:])
    assert await wanted(tables) == dict.fromkeys(people, LISTED)
    assert await lists.count(APP) == 0


async def test_a_row_raised_since_keeps_its_number_and_an_older_one_is_raised(tables: Tables) -> None:
    lists = RaiseLists(tables)
    await raise_row(tables, "older", OLD)
    await lists.write(APP, LISTED, ["older", "newer", "absent"], trace="a-run")
    await raise_row(tables, "newer", NEW)

    taken = await take_up(lists, 10)

    assert taken == ["older", "newer", "absent"]
    assert await wanted(tables) == {"older": LISTED, "newer": NEW, "absent": LISTED}


async def test_a_list_longer_than_a_property_is_spread_over_rows(tables: Tables) -> None:
    lists = RaiseLists(tables)
    people = [f"{'long' * 60}-{n}" for n in range(300)]

    await lists.write(APP, LISTED, people, trace="a-run")

    assert await lists.count(APP) == 300
    assert sorted(await take_up(lists, 1000)) == sorted(people)


async def test_two_at_one_list_raise_everybody_once(tables: Tables) -> None:
    lists = RaiseLists(tables)
    people = [f"user-{n:03d}" for n in range(250)]
    await lists.write(APP, LISTED, people, trace="a-run")
    taken: list[str] = []

    async for mine in lists.take_up(APP, 250, now=NOW):
        taken += mine.ids
        taken += await take_up(lists, 40)

    # Whoever finds the list changed stops; what is left comes with the next top-up.
    taken += await take_up(lists, 250)
    assert sorted(taken) == people


@settings(deadline=None, max_examples=60)
@given(
    rows=st.dictionaries(st.integers(0, 9), st.integers(1, 6), max_size=6),
    pages=st.lists(st.sets(st.integers(0, 9), min_size=1), min_size=1, max_size=4),
    steps=st.lists(st.integers(1, 5), max_size=8),
)
async def test_in_the_end_every_row_has_the_highest_number_it_was_raised_or_listed_to(
    rows: dict[int, int], pages: list[set[int]], steps: list[int]
) -> None:
    tables = MemoryTables(Store())
    lists = RaiseLists(tables)
    expected = {str(user): make_number(1, number) for user, number in rows.items()}
    for user, number in rows.items():
        await raise_row(tables, str(user), make_number(1, number))
    for at, page in enumerate(pages):
        number = make_number(1, at + 2)
        await lists.write(APP, number, [str(user) for user in sorted(page)], trace="a-run")
        expected |= {str(user): max(number, expected.get(str(user), number)) for user in page}

    for most in [*steps, 100]:
        await take_up(lists, most)

    assert await wanted(tables) == expected


@pytest.mark.parametrize("count", [0, 1])
async def test_nothing_is_left_of_an_empty_list(tables: Tables, count: int) -> None:
    lists = RaiseLists(tables)

    await lists.write(APP, LISTED, [f"user-{n}" for n in range(count)], trace="a-run")

    assert len(await take_up(lists, 10)) == count
    assert await tables.read_range(ACCOUNTS, APP, first="raise:", before="raise;") == []
