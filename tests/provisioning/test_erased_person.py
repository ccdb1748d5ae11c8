"""Somebody who was purged from the directory is erased here by deleting rows, as the README says."""

from __future__ import annotations

from shared.directory.mirror import DIRECTORY
from shared.provisioning.accounts import ACCOUNTS
from shared.provisioning.housekeeping import LOG_LIFE
from shared.provisioning.restarting import RestartScope
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation, Row
from tests.provisioning.pulls import APP, assign, calm, names_of, people, pulling
from tests.world import World


async def test_nothing_of_a_purged_person_stays_or_comes_back_and_nobody_else_changes(
    azurite: str, name_prefix: str
) -> None:
    async with pulling(azurite, name_prefix, in_memory=False) as world:
        stays, goes = people(world, 2)
        for user_id in (stays, goes):
            assign(world, user_id)
        await calm(world)
        value = world.tenant.user(goes)["userPrincipalName"].partition("@")[0]
        world.tenant.purge(goes)
        await calm(world)
        target_id = (await world.account(APP, goes)).target_id

        for table, keys in {
            DIRECTORY: (goes, f"{goes}:", f"user:{goes}"),
            ACCOUNTS: (f"user:{goes}", f"target:user:{target_id}", f"drift:user:{goes}"),
        }.items():
            await _delete(world, table, keys)
        world.clock.advance(LOG_LIFE.total_seconds() + 86_400)
        await world.services.restarts.restart(world.services.applications[APP], [RestartScope.WATERMARK])
        await calm(world)

        left = [row for table in (DIRECTORY, ACCOUNTS) async for row in _about(world, table, goes, value)]
        assert left == []
        assert world.active(APP) == names_of(world, stays)


async def _delete(world: World, table: str, keys: tuple[str, ...]) -> None:
    """Delete the rows with one of these keys, or that begin with one that ends in a colon."""
    tables = world.services.tables
    rows = [
        (partition, row.key)
        async for partition, row in tables.walk(table)
        if row.key in keys or any(key.endswith(":") and row.key.startswith(key) for key in keys)
    ]
    for partition, key in rows:
        await tables.commit(DurableWrite.MIRROR, table, partition, [Operation.delete(key)])


async def _about(world: World, table: str, *texts: str):
    async for _, row in world.services.tables.walk(table):
        if any(text.casefold() in _all_of(row) for text in texts):
            yield row.key, dict(row.values)


def _all_of(row: Row) -> str:
    return f"{row.key} {dict(row.values)}".casefold()
