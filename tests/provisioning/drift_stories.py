"""Stories about accounts that people changed at the vendor: verified, and written again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from shared.provisioning.accounts import ResourceKind
from shared.provisioning.drift.rounds import DriftPhase
from tests.provisioning.meddling import meddle, remove
from tests.provisioning.stories import APP, Scenery, Stage

HOUSEKEEPINGS = 14

REPAIRING = Scenery(more="drift: {mode: repair, every: 7d}")
REPAIRING_GROUPS = Scenery(more="groups: {enabled: true}\ndrift: {mode: repair, every: 7d}")


async def verified(stage: Stage) -> None:
    """A person asks for a round, and asks again until the wish is written down; then it is carried out."""
    while not await _is_asked_for(stage):
        await stage.attempt(lambda: stage.world.services.drift_rounds.request(APP))
    await housekeeping(stage)


async def _is_asked_for(stage: Stage) -> bool:
    current = await stage.world.services.drift_rounds.read(APP)
    return current.requested or current.phase is not DriftPhase.DONE


async def housekeeping(stage: Stage) -> None:
    """A round, and what it raises: a slice that meets trouble goes on with the next one."""
    for _ in range(HOUSEKEEPINGS):
        await stage.pass_time(300)
        await stage.keep_house()
        await stage.deliver()


async def changed_at_the_vendor(stage: Stage) -> None:
    user_id = await stage.provisioned(jobTitle="Pilot")
    stage.seed_foreign(f"local-{user_id[:8]}")
    stage.begin()
    meddle(stage.acme, (await stage.account(user_id)).target_id, title="Meddled", displayName="Meddled")
    await verified(stage)


async def enabled_at_the_vendor(stage: Stage) -> None:
    user_id = await stage.provisioned()
    stage.tenant.disable(user_id)
    await stage.settle()
    stage.begin()
    meddle(stage.acme, (await stage.account(user_id)).target_id, active=True)
    await verified(stage)


async def removed_at_the_vendor(stage: Stage) -> None:
    user_id = await stage.provisioned()
    await stage.pass_time(700)
    account = await stage.account(user_id)
    stage.begin()
    remove(stage.acme, account.target_id)
    await verified(stage)


async def changed_at_the_vendor_and_in_the_directory(stage: Stage) -> None:
    user_id = await stage.provisioned(jobTitle="Pilot")
    stage.begin()
    meddle(stage.acme, (await stage.account(user_id)).target_id, title="Meddled")
    await stage.attempt(lambda: stage.world.services.drift_rounds.request(APP))
    await stage.keep_house()
    stage.tenant.update(user_id, jobTitle="Astronaut")


async def late_write_behind_the_last(stage: Stage) -> None:
    """Protocol step 39: frozen for longer than grace, a write lands behind the one that settled the account."""
    user_id = await stage.provisioned(jobTitle="Pilot")
    stage.acme.faults.add("reset", method="PATCH", applied=False)
    stage.tenant.update(user_id, jobTitle="Astronaut")
    await stage.sync()
    for _ in range(2):
        await stage.deliver()
        await stage.pass_time(200)
    stage.begin()
    meddle(stage.acme, (await stage.account(user_id)).target_id, title="Pilot")
    await stage.pass_time(1200)
    await housekeeping(stage)


async def members_taken_out_at_the_vendor(stage: Stage) -> None:
    members = [await stage.provisioned() for _ in range(2)]
    group_id = await stage.provisioned_group(*members)
    group = await stage.world.services.rows.read(APP, ResourceKind.GROUP, group_id)
    stage.begin()
    meddle(stage.acme, group.target_id, "Groups", members=None, displayName="Meddled")
    await verified(stage)


DRIFT_STORIES: dict[str, tuple[Callable[[Stage], Awaitable[None]], Scenery]] = {
    "changed at the vendor": (changed_at_the_vendor, REPAIRING),
    "leaver enabled at the vendor": (enabled_at_the_vendor, REPAIRING),
    "removed at the vendor": (removed_at_the_vendor, REPAIRING),
    "changed at the vendor and in the directory": (changed_at_the_vendor_and_in_the_directory, REPAIRING),
    "members taken out at the vendor": (members_taken_out_at_the_vendor, REPAIRING_GROUPS),
    "late write behind the last": (late_write_behind_the_last, Scenery()),
}
