"""A table is deleted by mistake: nothing is taken away because of it, and what people do next brings all back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from shared.provisioning.accounts import AccountState
from shared.provisioning.restarting import RestartScope
from shared.storage.connections import connect_tables
from tests.provisioning.pulls import APP, assign, calm, name_of, names_of, people, pulling, unassign
from tests.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Somebody who stays, somebody who moves, somebody who leaves, somebody who left before, and one who is to join."""

    world: World
    prefix: str
    stays: str
    moves: str
    leaves: str
    left: str
    joins: str

    async def lose(self, *tables: str) -> None:
        """Delete tables, and start the process anew, which makes them again."""
        async with connect_tables(self.world.services.settings) as service:
            for table in tables:
                await service.delete_table(self.prefix + table)
        self.world.restart()
        await self.world.services.prepare_storage()

    async def live_on(self) -> None:
        """A change of every kind, after which everything settles."""
        self.world.tenant.update(self.moves, jobTitle="Astronaut")
        assign(self.world, self.joins)
        unassign(self.world, self.leaves)
        await calm(self.world)
        await self.world.settle()

    def title_of(self, user_id: str) -> str:
        """A person's title at the vendor."""
        accounts = self.world.vendors[APP].resources("User")
        name = name_of(self.world, user_id)
        return str(next(each for each in accounts if str(each["userName"]).casefold() == name).get("title"))


@pytest.fixture
async def stage(azurite: str, name_prefix: str) -> AsyncIterator[Stage]:
    async with pulling(azurite, name_prefix, in_memory=False) as world:
        stays, moves, leaves, left, joins = people(world, 5)
        for user_id in (stays, moves, leaves, left):
            assign(world, user_id)
        await calm(world)
        await world.settle()
        unassign(world, left)
        await calm(world)
        await world.settle()
        yield Stage(world=world, prefix=name_prefix, stays=stays, moves=moves, leaves=leaves, left=left, joins=joins)


@pytest.mark.parametrize(
    "lost", [("checkpoint",), ("checkpoint", "directory"), ("applications",), ("audit",)], ids=" and ".join
)
async def test_a_lost_table_costs_nobody_an_account_and_changes_go_on(stage: Stage, lost: tuple[str, ...]) -> None:
    world = stage.world
    await stage.lose(*lost)
    await calm(world)
    await world.settle()
    untouched = world.active(APP)

    await stage.live_on()

    assert untouched == names_of(world, stage.stays, stage.moves, stage.leaves)
    assert world.active(APP) == names_of(world, stage.stays, stage.moves, stage.joins)
    assert stage.title_of(stage.moves) == "Astronaut"


async def test_lost_accounts_are_matched_again_by_a_restart_and_nobody_is_doubled(stage: Stage) -> None:
    world = stage.world
    await stage.lose("accounts")

    await world.services.restarts.restart(world.services.applications[APP], [RestartScope.WATERMARK])
    await calm(world)
    await world.settle()
    await stage.live_on()

    assert world.active(APP) == names_of(world, stage.stays, stage.moves, stage.joins)
    assert (await world.account(APP, stage.stays)).state is AccountState.IN_SYNC
    assert len(world.vendors[APP].resources("User")) == 5


async def test_numbers_are_never_given_again_although_nobody_knows_the_last_one(stage: Stage) -> None:
    """A number that a row has seen before would hide a change from a worker that is at the row (protocol H1)."""
    world = stage.world
    given = [(await world.account(APP, user_id)).wanted for user_id in (stage.stays, stage.left)]
    await stage.lose("checkpoint")

    await world.sync()

    assert (await world.account(APP, stage.stays)).wanted > max(given)
