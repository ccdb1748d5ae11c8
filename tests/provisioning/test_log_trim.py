"""The log keeps thirty days, and its index goes with it."""

from __future__ import annotations

from datetime import timedelta

from shared.provisioning.accounts import ACCOUNTS
from shared.provisioning.housekeeping import LOG_LIFE
from shared.provisioning.provisioning_log import INDEXED
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation
from tests.operations.seeded_logs import entry, write_log
from tests.provisioning.pulls import APP, pulling
from tests.world import World


async def keys(world: World) -> set[str]:
    rows = await world.services.tables.read_range(ACCOUNTS, APP, first="log:", before="log;")
    index = await world.services.tables.read_range(ACCOUNTS, APP, first="story:", before="story;")
    return {row.key for row in [*rows, *index]}


async def test_records_and_their_index_go_together_also_those_that_have_none(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix) as world:
        tables = world.services.tables
        late = (LOG_LIFE + timedelta(days=1)).total_seconds()
        recent = [entry(int(late) // 7 - at) for at in range(3)]
        old = [entry(at, source_id=f"p{at % 3}") for at in range(250)]
        await write_log(tables, APP, [*old, *recent])
        for each in old[::7]:
            # As a version that knew no index wrote it.
            record, pointer = each.operations()
            bare = {name: value for name, value in record.values.items() if name != INDEXED}
            await tables.commit(
                DurableWrite.LOG, ACCOUNTS, APP, [Operation.replace(record.key, bare), Operation.delete(pointer.key)]
            )
        world.clock.advance(late)

        await world.services.housekeeper.keep_house()

        assert await keys(world) == {operation.key for each in recent for operation in each.operations()}


async def test_every_attempt_of_a_person_is_found_by_the_index(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more="scope: all\ngroups: {enabled: true}") as world:
        world.tenant.create_group("Team", members=world.tenant.user_ids()[:3])
        await world.provision_all()
        for user_id in world.tenant.user_ids()[:4]:
            world.tenant.update(user_id, jobTitle="Astronaut")
        world.tenant.disable(world.tenant.user_ids()[5])
        await world.provision_all()

        known = await keys(world)

        records = {key.removeprefix("log:") for key in known if key.startswith("log:")}
        index = {":".join(key.split(":")[2:]) for key in known if key.startswith("story:")}
        assert records == index
        assert len(records) > 15
