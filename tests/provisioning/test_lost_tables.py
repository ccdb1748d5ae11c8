"""A table is deleted by mistake: nothing is taken away because of it, and what people do next brings all back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from shared.provisioning.accounts import AccountState, ResourceKind
from shared.provisioning.applications_state import CACHE_S
from shared.provisioning.generations import generation_of
from shared.provisioning.restarting import RestartScope
from shared.storage.connections import connect_tables
from shared.storage.queues import Message
from shared.storage.tables import StorageConflict, StorageContended, StorageUnavailable
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

    async def delete(self, *tables: str) -> None:
        """Delete tables; the process goes on."""
        async with connect_tables(self.world.services.settings) as service:
            for table in tables:
                await service.delete_table(self.prefix + table)

    async def lose(self, *tables: str) -> None:
        """Delete tables, and start the process anew, which makes them again."""
        await self.delete(*tables)
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


async def test_while_the_table_is_away_whoever_needs_it_is_told_so_at_once_and_nothing_is_sent(stage: Stage) -> None:
    """An application that was paused must not look as if it never had been."""
    world = stage.world
    services = world.services
    await services.states.pause(APP, "maintenance")
    world.tenant.update(stage.moves, jobTitle="Astronaut")
    await calm(world)
    requests = len(world.vendors[APP].journal)
    await stage.delete("applications")
    world.clock.advance(CACHE_S)
    calls = services.tables.calls.total()

    for act in (
        lambda: services.states.pause(APP, "once more"),
        lambda: services.states.resume(APP),
        lambda: services.drift_rounds.request(APP),
        lambda: services.restarts.restart(services.applications[APP], [RestartScope.WATERMARK]),
        services.housekeeper.keep_house,
        lambda: services.reconciler.provision(Message(app=APP, kind=ResourceKind.USER, id=stage.moves), first=False),
    ):
        with pytest.raises(StorageUnavailable, match="the table does not exist; the app makes it again"):
            await act()

    assert services.tables.calls.total() - calls < 20
    assert len(world.vendors[APP].journal) == requests


async def test_a_restart_after_the_loss_sends_everything_again_although_nobody_knows_the_last_one(stage: Stage) -> None:
    world = stage.world
    for _ in range(2):
        await world.services.restarts.restart(world.services.applications[APP], [RestartScope.LINKS])
        await calm(world)
        await world.settle()
    before = (await world.account(APP, stage.stays)).config
    await stage.lose("applications")
    await calm(world)
    requests = len(world.vendors[APP].journal)

    await world.services.restarts.restart(world.services.applications[APP], [RestartScope.LINKS])
    await calm(world)
    await world.settle()

    patched = {entry.path for entry in world.vendors[APP].journal[requests:] if entry.method == "PATCH"}
    assert len(patched) == 4
    assert generation_of((await world.account(APP, stage.stays)).config) > generation_of(before)


async def test_an_application_that_is_switched_off_before_the_restart_is_not_written_to(
    stage: Stage,
) -> None:
    """A pause is forgotten with the table; `enabled: false` stands in the file."""
    world = stage.world
    await world.services.states.pause(APP, "maintenance")
    world.tenant.update(stage.moves, jobTitle="Astronaut")
    unassign(world, stage.leaves)
    await calm(world)
    requests = len(world.vendors[APP].journal)
    path = world.services.settings.provisioning_config
    path.write_text(path.read_text().replace("    profile:", "    enabled: false\n    profile:"))

    await stage.lose("applications")
    await calm(world)
    await world.services.housekeeper.keep_house()
    await world.settle()
    enabled = world.services.enabled
    await world.services.states.pause(APP, "maintenance")
    path.write_text(path.read_text().replace("enabled: false", "enabled: true"))
    world.restart()
    await calm(world)
    await world.services.housekeeper.keep_house()
    await world.settle()

    assert (enabled, world.services.enabled) == ((), (APP,))
    assert len(world.vendors[APP].journal) == requests


@pytest.mark.parametrize("act", ["pause", "distrust", "request", "restart"])
async def test_a_row_that_others_change_at_every_try_is_given_up(stage: Stage, act: str) -> None:
    services = stage.world.services
    acts = {
        "pause": lambda: services.states.pause(APP, "maintenance"),
        "distrust": lambda: services.guard.distrust(APP),
        "request": lambda: services.drift_rounds.request(APP),
        "restart": lambda: services.restarts.restart(services.applications[APP], [RestartScope.WATERMARK]),
    }

    async def refuse(*_: object) -> list[str]:
        raise StorageConflict("somebody was faster")

    services.tables._commit = refuse

    with pytest.raises(StorageContended, match="times in a row"):
        await acts[act]()


async def test_numbers_are_never_given_again_although_nobody_knows_the_last_one(stage: Stage) -> None:
    """A number that a row has seen before would hide a change from a worker that is at the row (protocol H1)."""
    world = stage.world
    given = [(await world.account(APP, user_id)).wanted for user_id in (stage.stays, stage.left)]
    await stage.lose("checkpoint")

    await world.sync()

    assert (await world.account(APP, stage.stays)).wanted > max(given)
