"""Stories of accounts that somebody asks for at once, and of applications that are restarted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from shared.provisioning.accounts import ResourceKind
from shared.provisioning.restarting import RestartScope
from tests.provisioning.meddling import meddle
from tests.provisioning.stories import Scenery, Stage

Story = Callable[[Stage], Awaitable[None]]


async def asked(stage: Stage, source_id: str, kind: ResourceKind = ResourceKind.USER, *, refresh: bool = False) -> None:
    """A person asks, and asks again when there was no answer."""

    async def ask():
        return await stage.world.services.on_demand.provision(stage.application, kind, source_id, refresh=refresh)

    for _ in range(4):
        if await stage.attempt(ask) is not None:
            return


async def asked_for_a_joiner(stage: Stage) -> None:
    stage.begin()
    user_id = stage.hire()
    await asked(stage, user_id, refresh=True)


async def asked_for_somebody_in_sync(stage: Stage) -> None:
    user_id = await stage.provisioned()
    stage.begin()
    await asked(stage, user_id)


async def asked_for_a_leaver(stage: Stage) -> None:
    user_id = await stage.provisioned()
    stage.begin()
    stage.tenant.disable(user_id)
    await asked(stage, user_id, refresh=True)


async def asked_while_the_answer_is_lost(stage: Stage) -> None:
    user_id = await stage.provisioned()
    stage.begin()
    stage.acme.faults.add("reset", method="PATCH", applied=True)
    stage.tenant.update(user_id, jobTitle="Astronaut")
    await asked(stage, user_id, refresh=True)


async def asked_for_a_group(stage: Stage) -> None:
    people = [await stage.provisioned() for _ in range(5)]
    stage.begin()
    group_id = stage.form(*people)
    await asked(stage, group_id, ResourceKind.GROUP, refresh=True)


async def restarted_with_links(stage: Stage) -> None:
    """One mover, one leaver, one who is gone at the vendor; somebody there switched the leaver on again."""
    mover, leaver, lost = [await stage.provisioned(jobTitle="Pilot") for _ in range(3)]
    stage.tenant.disable(leaver)
    await stage.settle()
    await stage.pass_time(1000)
    stage.begin()
    meddle(stage.acme, (await stage.account(mover)).target_id, title="Meddled")
    meddle(stage.acme, (await stage.account(leaver)).target_id, active=True)
    stage.vanish((await stage.account(lost)).target_id)
    await restarted(stage, RestartScope.LINKS)
    await stage.tick()
    await stage.deliver()


async def restarted_while_somebody_moves(stage: Stage) -> None:
    user_id = await stage.provisioned()
    stage.begin()
    await restarted(stage, RestartScope.WATERMARK, RestartScope.QUARANTINE)
    stage.tenant.update(user_id, jobTitle="Astronaut")
    stage.hire()
    await stage.tick()
    await stage.deliver()


async def group_restarted_with_links(stage: Stage) -> None:
    people = [await stage.provisioned() for _ in range(3)]
    group_id = await stage.provisioned_group(*people)
    group = await stage.world.services.rows.read(stage.app, ResourceKind.GROUP, group_id)
    stage.begin()
    meddle(stage.acme, group.target_id, "Groups", members=None)
    stage.tenant.remove_member(group_id, people[0])
    await restarted(stage, RestartScope.LINKS)
    await stage.tick()
    await stage.deliver()


async def restarted(stage: Stage, *scopes: RestartScope) -> None:
    """A person restarts the application, and once more when there was no answer."""
    for _ in range(4):
        if await stage.attempt(lambda: stage.world.services.restarts.restart(stage.application, scopes)) is not None:
            return


TWO_AT_ONCE = Scenery(more="groups: {enabled: true, members_per_patch: 2}")

ON_DEMAND_STORIES: dict[str, tuple[Story, Scenery]] = {
    "asked for a joiner": (asked_for_a_joiner, Scenery()),
    "asked for somebody in sync": (asked_for_somebody_in_sync, Scenery()),
    "asked for a leaver": (asked_for_a_leaver, Scenery()),
    "asked while the answer is lost": (asked_while_the_answer_is_lost, Scenery()),
    "asked for a group": (asked_for_a_group, TWO_AT_ONCE),
    "restarted with links": (restarted_with_links, Scenery()),
    "restarted while somebody moves": (restarted_while_somebody_moves, Scenery()),
    "group restarted with links": (group_restarted_with_links, TWO_AT_ONCE),
}
