"""Table storage against the emulator: keys, conditions, transactions, and what a failure is called."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from azure.data.tables.aio import TableServiceClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.storage.durable_writes import DurableWrite, Moment
from shared.storage.tables import (
    TEXT_LIMIT,
    TRANSACTION_LIMIT,
    Operation,
    Row,
    StorageConflict,
    StorageUnavailable,
    Tables,
    decode_key,
    encode_key,
    equals,
    split_text,
)

WRITE = DurableWrite.MIRROR
NOWHERE = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=c2VjcmV0;TableEndpoint=http://127.0.0.1:1/a;"
)
OLD_ETAG = "W/\"datetime'2020-01-01T00%3A00%3A00Z'\""
KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


class Diary:
    """Remembers around which writes it was called."""

    def __init__(self) -> None:
        self.moments: list[Moment] = []

    def __call__(self, write: DurableWrite, moment: Moment) -> None:
        self.moments.append(moment)


@pytest.fixture
async def tables(azurite: str, name_prefix: str) -> AsyncIterator[Tables]:
    tables = Tables(TableServiceClient.from_connection_string(azurite), prefix=name_prefix)
    await tables.create_missing()
    yield tables
    await tables.close()


async def read(tables: Tables, key: str, partition: str = "p") -> Row:
    row = await tables.read("accounts", partition, key)
    assert row is not None
    return row


@settings(max_examples=300, deadline=None)
@given(KEYS)
def test_a_key_comes_back_from_its_encoding(text: str) -> None:
    assert decode_key(encode_key(text)) == text


@settings(max_examples=300, deadline=None)
@given(KEYS)
def test_an_encoded_key_has_no_character_that_a_key_may_not_have(text: str) -> None:
    assert not {char for char in encode_key(text) if char in '/\\#?%"' or ord(char) < 0x20 or 0x7F <= ord(char) <= 0x9F}


@settings(max_examples=200, deadline=None)
@given(KEYS, KEYS)
def test_two_keys_never_become_one(first: str, second: str) -> None:
    assert (encode_key(first) == encode_key(second)) == (first == second)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(KEYS, KEYS)
async def test_any_text_is_a_key_that_is_found_again(tables: Tables, partition: str, key: str) -> None:
    await tables.commit(WRITE, "accounts", partition, [Operation.replace(key, {"value": key})])

    row = await read(tables, key, partition)

    assert (row.key, row.values["value"]) == (key, key)


async def test_a_range_is_read_in_key_order_with_quotes_in_its_bounds(tables: Tables) -> None:
    keys = ["log:a", "user:o'neil", "user:o'neill", "user:\N{GRINNING FACE}", "waiting:z"]
    await tables.commit(WRITE, "accounts", "o'p", [Operation.insert(key, {"n": 1}) for key in keys])

    rows = await tables.read_range("accounts", "o'p", first="user:o'neil", before="user;")

    assert [row.key for row in rows] == ["user:o'neil", "user:o'neill", "user:\N{GRINNING FACE}"]


async def test_an_empty_value_clears_a_column_and_a_merge_keeps_the_others(tables: Tables) -> None:
    await tables.commit(WRITE, "accounts", "p", [Operation.insert("k", {"lease": "me", "attempts": 3, "sent": "x"})])

    await tables.commit(WRITE, "accounts", "p", [Operation.merge("k", {"lease": "", "attempts": 0})])

    assert dict((await read(tables, "k")).values) == {"lease": "", "attempts": 0, "sent": "x"}


def test_none_is_refused_because_the_service_would_keep_the_old_value() -> None:
    with pytest.raises(ValueError, match="lease"):
        Operation.merge("k", {"lease": None})


async def test_a_replaced_row_has_no_column_of_the_old_one(tables: Tables) -> None:
    await tables.commit(WRITE, "accounts", "p", [Operation.insert("k", split_text("text", "x" * 3 * TEXT_LIMIT))])

    await tables.commit(WRITE, "accounts", "p", [Operation.replace("k", split_text("text", "short"))])

    assert dict((await read(tables, "k")).values) == {"text": "short"}


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=3), st.integers(0, 40_000))
async def test_a_long_text_is_joined_as_it_was_split(tables: Tables, unit: str, times: int) -> None:
    text = unit * times
    await tables.commit(WRITE, "accounts", "long", [Operation.replace("k", split_text("text", text))])

    assert (await read(tables, "k", "long")).text("text") == text


def test_a_text_that_fits_nowhere_is_refused_before_anything_is_written() -> None:
    with pytest.raises(ValueError, match="attributes is longer than"):
        split_text("attributes", "x" * 1_000_000)


async def test_whoever_read_an_older_row_loses(tables: Tables) -> None:
    await tables.commit(WRITE, "accounts", "p", [Operation.insert("k", {"n": 1})])
    old = await read(tables, "k")
    await tables.commit(WRITE, "accounts", "p", [Operation.merge("k", {"n": 2}, etag=old.etag)])

    with pytest.raises(StorageConflict):
        await tables.commit(WRITE, "accounts", "p", [Operation.merge("k", {"n": 3}, etag=old.etag)])

    assert (await read(tables, "k")).values["n"] == 2


async def test_a_new_etag_is_answered_and_works(tables: Tables) -> None:
    first = await tables.commit(WRITE, "accounts", "p", [Operation.insert("k", {"n": 1})])
    second = await tables.commit(
        WRITE, "accounts", "p", [Operation.merge("k", {"n": 2}, etag=first["k"]), Operation.insert("l", {})]
    )

    await tables.commit(WRITE, "accounts", "p", [Operation.delete("k", etag=second["k"])])

    assert await tables.read("accounts", "p", "k") is None


@pytest.mark.parametrize(
    "operation",
    [
        pytest.param(Operation.insert("taken", {}), id="409: the row exists already"),
        pytest.param(Operation.merge("absent", {"n": 1}, etag='W/"x"'), id="404: the row to change is gone"),
        pytest.param(Operation.replace("taken", {}, etag=OLD_ETAG), id="412: the row was changed"),
        pytest.param(Operation.delete("taken", etag=OLD_ETAG), id="412: the row to delete was changed"),
    ],
)
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "in a transaction"])
async def test_a_condition_that_does_not_hold_is_a_conflict(tables: Tables, operation: Operation, alone: bool) -> None:
    await tables.commit(WRITE, "accounts", "p", [Operation.insert("taken", {"n": 1})])
    operations = [operation] if alone else [Operation.insert("beside", {}), operation]

    with pytest.raises(StorageConflict):
        await tables.commit(WRITE, "accounts", "p", operations)

    assert (await read(tables, "taken")).values["n"] == 1
    assert await tables.read("accounts", "p", "beside") is None


@pytest.mark.parametrize("etag", [None, OLD_ETAG], ids=["without a condition", "with a condition"])
async def test_deleting_what_is_gone_is_done_alone_and_a_conflict_in_a_transaction(
    tables: Tables, etag: str | None
) -> None:
    await tables.commit(WRITE, "accounts", "p", [Operation.delete("never", etag=etag)])

    with pytest.raises(StorageConflict):
        await tables.commit(
            WRITE, "accounts", "p", [Operation.insert("beside", {}), Operation.delete("never", etag=etag)]
        )

    assert await tables.read("accounts", "p", "beside") is None


@pytest.mark.parametrize("count", [0, TRANSACTION_LIMIT + 1])
async def test_a_transaction_of_an_impossible_size_is_refused(tables: Tables, count: int) -> None:
    with pytest.raises(ValueError, match="1 to 100"):
        await tables.commit(WRITE, "accounts", "p", [Operation.insert(str(number), {}) for number in range(count)])


async def test_many_operations_are_all_written_and_pairs_share_a_transaction(azurite: str, name_prefix: str) -> None:
    tables = Tables(TableServiceClient.from_connection_string(azurite), prefix=name_prefix)
    await tables.create_missing()
    await tables.commit(WRITE, "accounts", "p", [Operation.insert("b-0049", {})])
    pairs = [Operation.insert(f"{side}-{number:04d}", {"n": number}) for number in range(130) for side in "ab"]

    with pytest.raises(StorageConflict):
        await tables.commit_all(WRITE, "accounts", "p", pairs)

    rows = await tables.read_range("accounts", "p", first="a-", before="c")
    await tables.close()
    written = {side: {row.key[2:] for row in rows if row.key.startswith(side) and row.values} for side in "ab"}
    assert written["a"] == written["b"]
    assert 0 < len(written["a"]) < 130


async def test_large_rows_are_spread_over_transactions_by_their_size(tables: Tables) -> None:
    text = "\N{HIRAGANA LETTER A}" * 30_000
    before = tables.calls["directory commit"]

    await tables.commit_all(
        WRITE,
        "directory",
        "p",
        [Operation.insert(f"{number:03d}", {"a": text, "b": text}) for number in range(60)],
        parallel=2,
    )

    rows = await tables.read_range("directory", "p", first="0", before=":")
    assert len(rows) == 60
    assert all(row.values["b"] == text for row in rows)
    assert tables.calls["directory commit"] - before > 1


async def test_the_observer_sees_the_moment_after_only_when_the_write_succeeded(azurite: str, name_prefix: str) -> None:
    diary = Diary()
    tables = Tables(TableServiceClient.from_connection_string(azurite), prefix=name_prefix, observer=diary)
    await tables.create_missing()
    await tables.commit(WRITE, "accounts", "p", [Operation.insert("k", {})])

    with pytest.raises(StorageConflict):
        await tables.commit(WRITE, "accounts", "p", [Operation.insert("k", {})])

    await tables.close()
    assert diary.moments == [Moment.BEFORE, Moment.AFTER, Moment.BEFORE]


async def test_storage_that_does_not_answer_is_unavailable_whatever_was_asked() -> None:
    tables = Tables(TableServiceClient.from_connection_string(NOWHERE, retry_total=0))

    with pytest.raises(StorageUnavailable, match="reading a row of table accounts failed"):
        await tables.read("accounts", "p", "k")
    with pytest.raises(StorageUnavailable, match="querying table accounts failed"):
        await tables.read_range("accounts", "p", first="a", before="b")
    with pytest.raises(StorageUnavailable, match="writing table accounts failed"):
        await tables.commit(WRITE, "accounts", "p", [Operation.insert("k", {})])
    with pytest.raises(StorageUnavailable, match="writing table accounts failed"):
        await tables.commit(WRITE, "accounts", "p", [Operation.insert("k", {}), Operation.insert("l", {})])
    with pytest.raises(StorageUnavailable, match="creating the tables failed"):
        await tables.create_missing()
    await tables.close()


@pytest.mark.parametrize(
    "operations",
    [
        pytest.param([Operation.insert("k", {})], id="insert"),
        pytest.param([Operation.merge("k", {})], id="merge"),
        pytest.param([Operation.replace("k", {}, etag=OLD_ETAG)], id="replace"),
        pytest.param([Operation.insert("k", {}), Operation.insert("l", {})], id="transaction"),
        pytest.param([Operation.delete("k"), Operation.insert("l", {})], id="transaction that begins with a delete"),
    ],
)
async def test_a_table_that_does_not_exist_is_no_conflict(
    azurite: str, name_prefix: str, operations: list[Operation]
) -> None:
    """Who meets a conflict tries again, which would never end."""
    tables = Tables(TableServiceClient.from_connection_string(azurite), prefix=name_prefix)

    with pytest.raises(StorageUnavailable, match="the table does not exist"):
        await tables.commit(WRITE, "accounts", "p", operations)
    await tables.close()


async def test_a_table_that_does_not_exist_holds_no_answer(azurite: str, name_prefix: str) -> None:
    """An absent row would say: never paused, nothing known, nobody linked."""
    tables = Tables(TableServiceClient.from_connection_string(azurite), prefix=name_prefix)

    with pytest.raises(StorageUnavailable, match="the table does not exist"):
        await tables.read("accounts", "p", "k")
    with pytest.raises(StorageUnavailable, match="the table does not exist"):
        await tables.read_range("accounts", "p", first="a", before="b")
    await tables.close()


async def test_a_table_that_nothing_creates_is_refused(tables: Tables) -> None:
    with pytest.raises(ValueError, match=r"extra: no such table; add it to Tables\.NAMES"):
        await tables.read("extra", "p", "k")


async def test_a_condition_compares_with_any_text_and_means_nothing_else(tables: Tables) -> None:
    texts = ["o'neil", "x' or '1' eq '1", "'", "a and b", "%27", "\N{GRINNING FACE}"]
    for at, text in enumerate(texts):
        await tables.commit(WRITE, "accounts", "p", [Operation.insert(str(at), {"name": text})])

    for at, text in enumerate(texts):
        page = await tables.query_page("accounts", "p", where=equals("name", text))
        assert [row.key for row in page.rows] == [str(at)]
        assert page.resume == ""


@pytest.mark.parametrize("resume", ["x", "[]", "[1,2]", '["a"]', '["\\u0000", "b"]', '["a", "é"]', "[" * 5000])
async def test_a_place_that_no_page_answered_with_is_refused(tables: Tables, resume: str) -> None:
    with pytest.raises(ValueError, match=r"place|value|char"):
        await tables.query_page("accounts", "p", resume=resume)
