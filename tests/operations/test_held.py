"""What is held is seen where a person looks: in the status, with the exit code's reason, and in the list."""

from __future__ import annotations

from shared.operations.application_report import ApplicationReport
from shared.operations.held_report import report_held
from tests.provisioning.pulls import APP, assign, calm, people, pulling
from tests.world import World


def narrow_guard(world: World, max_count: int) -> None:
    """The guard lets so many go."""
    object.__setattr__(world.services.applications[APP].deletion_guard, "max_count", max_count)


async def report_of(world: World) -> ApplicationReport:
    return await world.services.application_reports.report(world.services.applications[APP])


async def test_who_the_sync_staged_and_the_guard_holds_is_held_in_the_status(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more="scope: all") as world:
        narrow_guard(world, 1)
        await calm(world)
        # Housekeeping took hours; a directory that nobody read meanwhile would be a problem of its own.
        await world.sync()
        before = await report_of(world)

        for user_id in people(world, 3):
            world.tenant.disable(user_id)
        await calm(world)
        report = await report_of(world)

        assert (before.states["held"], before.needs_a_person) == (0, False)
        assert (report.states["held"], report.needs_a_person) == (3, True)
        assert sum(report.states.values()) == sum(before.states.values())


async def test_a_group_that_would_lose_its_members_is_listed_with_their_number(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more="groups: {enabled: true}") as world:
        narrow_guard(world, 2)
        members = people(world, 4)
        team = world.tenant.create_group("Team", members=members)
        for principal_id in (team, *members):
            assign(world, principal_id)
        await calm(world)

        for user_id in members:
            world.tenant.remove_member(team, user_id)
        await calm(world)
        report = report_held(await world.services.held_deletions.read(world.services.applications[APP]))

        assert [(each.kind, each.source_id, each.members) for each in report.accounts] == [("group", team, 4)]
        assert (await report_of(world)).needs_a_person
