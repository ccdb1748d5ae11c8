"""The vendor does not answer, answers too late, or writes long after the connection is gone (protocol H3, H6, H7)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from shared.directory.mirror import UserFacts
from shared.provisioning.accounts import ACCOUNTS
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation
from tests.provisioning.stories import APP, Scenery, Stage, open_stage
from tests.simulation.vendors.options import VendorOptions

LOOSE = VendorOptions(etag=False, user_name_unique=False)
IMPATIENT = Scenery(environment={"VENDOR_TIMEOUT_SECONDS": "0.2"})
Change = Callable[[Stage, str], None]

CHANGES: dict[str, tuple[str, Change]] = {
    "an update": ("PATCH", lambda stage, user: stage.tenant.update(user, jobTitle="Astronaut")),
    "a rename": ("PATCH", lambda stage, user: stage.rename(user, f"new-{stage.name_of(user)}")),
    "a disable": ("PATCH", lambda stage, user: stage.tenant.disable(user)),
    "a delete": ("DELETE", lambda stage, user: stage.tenant.purge(user)),
}
NEXT: dict[str, Change] = {
    "nothing": lambda stage, user: None,
    "another title": lambda stage, user: stage.tenant.update(user, jobTitle="Cosmonaut"),
    "leaving": lambda stage, user: stage.tenant.disable(user),
    "returning": lambda stage, user: stage.tenant.enable(user),
    "another name": lambda stage, user: stage.rename(user, f"newer-{stage.name_of(user)}"),
}


async def live(stage: Stage, seconds: float) -> None:
    """Life goes on for so long."""
    until = stage.world.clock.elapsed + seconds
    while stage.world.clock.elapsed < until:
        await stage.sync()
        await stage.deliver()
        await stage.pass_time(10)


@pytest.mark.parametrize("fault", ["timeout_after_write", "timeout_before_write"])
@pytest.mark.parametrize("change", CHANGES)
async def test_an_answer_that_never_comes_is_asserted_again(change: str, fault: str, azurite: str) -> None:
    method, happen = CHANGES[change]
    async with open_stage(azurite, IMPATIENT) as stage:
        user_id = await stage.provisioned()
        stage.acme.faults.add(fault, method=method, seconds=1)
        happen(stage, user_id)

        await stage.settle()

        assert await stage.findings() == []


@pytest.mark.parametrize("lands_after_s", [0, 30, 125])
@pytest.mark.parametrize("following", NEXT)
@pytest.mark.parametrize("change", ["an update", "a rename", "a disable"])
async def test_a_write_that_lands_late_does_not_have_the_last_word(
    change: str, following: str, lands_after_s: int, azurite: str
) -> None:
    method, happen = CHANGES[change]
    async with open_stage(azurite, Scenery(options=LOOSE)) as stage:
        user_id = await stage.provisioned()
        stage.acme.faults.add("late_write", method=method)
        happen(stage, user_id)
        await stage.sync()
        await stage.deliver_one()
        NEXT[following](stage, user_id)
        await live(stage, lands_after_s)
        stage.acme.release_late_writes()

        await stage.settle()

        assert await stage.findings() == []


@pytest.mark.parametrize("lands_after_s", [0, 30, 125])
@pytest.mark.parametrize("following", ["nothing", "another title", "leaving", "another name"])
async def test_a_create_that_lands_late_is_the_only_one(following: str, lands_after_s: int, azurite: str) -> None:
    async with open_stage(azurite, Scenery(options=LOOSE)) as stage:
        stage.acme.faults.add("late_write", method="POST")
        user_id = stage.hire()
        await stage.sync()
        await stage.deliver_one()
        NEXT[following](stage, user_id)
        await live(stage, lands_after_s)
        stage.acme.release_late_writes()

        await stage.settle()

        assert await stage.findings() == []


async def _after_the_row_was_read(stage: Stage, happen: Callable[[], Awaitable[None]], *, mirror_first: bool) -> None:
    """The directory changes while a consumer stands between its first read and its second."""
    services = stage.world.services
    reconciler = services.reconciler
    read_facts, read_row = reconciler.mirror.read_user_facts, reconciler.rows.read
    early: dict[str, UserFacts] = {}

    async def row_then_change(app, kind, source_id):
        reconciler.rows.read = read_row
        if mirror_first:
            early[source_id] = await read_facts(source_id)
            await happen()
            reconciler.mirror.read_user_facts = facts
            return await read_row(app, kind, source_id)
        row = await read_row(app, kind, source_id)
        await happen()
        return row

    async def facts(source_id):
        return early.pop(source_id, None) or await read_facts(source_id)

    reconciler.rows.read = row_then_change
    await stage.deliver_one()
    reconciler.mirror.read_user_facts = read_facts


@pytest.mark.parametrize("mirror_first", [False, True], ids=["row first", "mirror first, a mistake"])
async def test_the_row_is_read_before_the_mirror(azurite: str, *, mirror_first: bool) -> None:
    async with open_stage(azurite) as stage:
        user_id = await stage.provisioned()
        stage.tenant.update(user_id, jobTitle="Astronaut")
        await stage.sync()

        async def happen() -> None:
            stage.tenant.update(user_id, jobTitle="Cosmonaut")
            await stage.world.services.puller.pull()
            stage.world.queues.waiting.clear()

        await _after_the_row_was_read(stage, happen, mirror_first=mirror_first)
        await stage.settle()

        assert (await stage.findings() != []) is mirror_first


async def test_a_reservation_that_a_restored_table_lacks_keeps_no_answer_from_being_saved(
    azurite: str,
) -> None:
    """Else the account would be written at every sweep, for ever."""
    async with open_stage(azurite) as stage:
        user_id = await stage.provisioned()
        stage.acme.faults.add("reset", method="PATCH", applied=True)
        stage.rename(user_id, f"renamed-{stage.name_of(user_id)}")
        await stage.sync()
        await stage.deliver()
        tables = stage.world.services.tables
        for key in await stage.keys("match"):
            await tables.commit(DurableWrite.SAVE, ACCOUNTS, APP, [Operation.delete(key)])

        await stage.settle()
        before = len(stage.acme.journal)
        await stage.settle()

        assert await stage.findings() == []
        assert len(stage.acme.journal) == before
