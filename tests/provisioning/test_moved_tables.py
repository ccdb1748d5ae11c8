"""The tables go to another storage account, as in a move to another region, and whoever left meanwhile loses access."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from azure.data.tables import EdmType, EntityProperty

from shared.operations.table_copy import ORDER, SILENCE, CopyRefused, copy_table, copy_tables
from shared.provisioning.accounts import AccountState
from shared.storage.connections import connect_tables
from shared.storage.durable_writes import DurableWrite, Moment
from shared.storage.tables import Operation, Tables
from tests.provisioning.pulls import APP, CONFIRM_S, assign, calm, names_of, people, pulling, tick, unassign
from tests.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """An app with somebody who stays and somebody who is to leave, and another account without rows."""

    world: World
    old: Tables
    new: Tables
    new_prefix: str
    stays: str
    leaves: str

    async def start_new_app(self) -> None:
        """The app on the other account. Messages stay with the old one."""
        self.world.queues.waiting.clear()
        self.world.restart()
        self.world.services._table_prefix = self.new_prefix
        await self.world.services.states.resume(APP)
        await calm(self.world)


@pytest.fixture
async def move(azurite: str, name_prefix: str) -> AsyncIterator[Move]:
    async with pulling(azurite, name_prefix, in_memory=False) as world:
        stays, leaves = people(world, 2)
        for user_id in (stays, leaves):
            assign(world, user_id)
        await calm(world)
        service = connect_tables(world.services.settings)
        new = Tables(service, prefix=f"{name_prefix}new")
        yield Move(
            world=world, old=world.services.tables, new=new, new_prefix=f"{name_prefix}new", stays=stays, leaves=leaves
        )
        await new.close()


async def test_who_was_unassigned_before_the_old_app_stopped_is_disabled_by_the_new_one(move: Move) -> None:
    world = move.world
    await world.services.states.pause(APP, "a move")
    unassign(world, move.leaves)
    await tick(world)
    world.clock.advance(CONFIRM_S)
    await tick(world, times=2)
    world.clock.advance(SILENCE.total_seconds())

    report = await copy_tables(move.old, move.new, clock=world.clock)
    paused = world.active(APP)
    await move.start_new_app()

    assert paused == names_of(world, move.stays, move.leaves)
    assert world.active(APP) == names_of(world, move.stays)
    assert (await world.account(APP, move.leaves)).state is AccountState.DISABLED
    assert (report.rows["checkpoint"], min(report.rows[name] for name in ("accounts", "directory"))) > (1, 1)


async def test_who_is_unassigned_after_the_old_app_stopped_is_disabled_by_the_new_one(move: Move) -> None:
    world = move.world
    await world.services.states.pause(APP, "a move")
    world.clock.advance(SILENCE.total_seconds())
    await copy_tables(move.old, move.new, clock=world.clock)
    unassign(world, move.leaves)

    await move.start_new_app()

    assert world.active(APP) == names_of(world, move.stays)


async def test_beside_a_running_app_a_leaver_would_be_forgotten_so_the_copy_is_refused(move: Move) -> None:
    world = move.world
    await world.services.states.pause(APP, "a move")
    await move.new.create_missing()
    await copy_table(move.old, move.new, "accounts")
    unassign(world, move.leaves)
    await tick(world)
    world.clock.advance(CONFIRM_S)
    await tick(world, times=2)
    for table in set(ORDER) - {"accounts"}:
        await copy_table(move.old, move.new, table)

    with pytest.raises(CopyRefused, match="stop it"):
        await copy_tables(move.old, move.new, clock=world.clock)
    await move.start_new_app()

    assert world.active(APP) == names_of(world, move.stays, move.leaves)


async def test_a_row_that_is_written_during_the_copy_is_told(move: Move) -> None:
    world = move.world
    world.clock.advance(SILENCE.total_seconds())

    def meddle(write: DurableWrite, moment: Moment) -> None:
        """Somebody writes a row of the old account after the table was walked."""
        written.append(asyncio.ensure_future(move.old.commit(DurableWrite.AUDIT, "directory", "late", [late])))

    late, written = Operation.replace("late", {"n": 1}), list[asyncio.Future[Any]]()
    move.new._observer = meddle

    with pytest.raises(CopyRefused, match="the old app still runs"):
        await copy_tables(move.old, move.new, clock=world.clock)
    await asyncio.gather(*written)


async def test_an_account_that_an_app_ran_on_is_not_written(move: Move) -> None:
    world = move.world
    world.clock.advance(SILENCE.total_seconds())
    await move.new.create_missing()

    with pytest.raises(CopyRefused, match="the two accounts are exchanged"):
        await copy_tables(move.new, move.old, clock=world.clock)

    assert await move.old.read("accounts", APP, f"user:{move.stays}") is not None
    assert [each async for each in move.new.walk("accounts")] == []


async def test_a_copy_that_ended_early_goes_on_where_it_ended(move: Move) -> None:
    world = move.world
    world.clock.advance(SILENCE.total_seconds())
    await move.new.create_missing()
    for table in ORDER[:2]:
        await copy_table(move.old, move.new, table)
    before = move.new.calls["accounts commit"]

    await copy_tables(move.old, move.new, clock=world.clock)

    assert move.new.calls["accounts commit"] == before
    assert move.new.calls["checkpoint commit"] == 1


async def test_keys_and_values_of_every_kind_arrive_as_they_are(move: Move) -> None:
    world = move.world
    world.clock.advance(SILENCE.total_seconds())
    values = {
        "text": "é",
        "none": "",
        "number": 7,
        "large": EntityProperty(2**40, EdmType.INT64),
        "truth": True,
        "f": 0.5,
    }
    keys = ["a/b", "a!b", "é", "\N{GRINNING FACE}", "\ufb01", "x" * 200, *(f"k{at}" for at in range(250))]
    for partition in ("p/1", "p\N{GRINNING FACE}"):
        operations = [Operation.insert(key, values) for key in keys]
        await move.old.commit_all(DurableWrite.MIRROR, "directory", partition, operations)

    report = await copy_tables(move.old, move.new, clock=world.clock)

    found = [each async for each in move.new.walk("directory")]
    assert report.rows["directory"] == len(found) >= 2 * len(keys)
    assert {row.key for partition, row in found if partition == "p/1"} == {*keys}
    assert all(dict(row.values) == values for partition, row in found if partition == "p/1")


def test_every_table_is_copied_and_the_watermark_last() -> None:
    assert sorted(ORDER) == sorted(Tables.NAMES)
    assert ORDER[-1] == "checkpoint"
