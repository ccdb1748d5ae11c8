"""The stories of groups and their members."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from shared.provisioning.accounts import ResourceKind
from tests.provisioning.stories import APP, Scenery, Stage, raised_while_sending

Story = Callable[[Stage], Awaitable[None]]


async def group_is_made(stage: Stage) -> None:
    people = [await stage.provisioned() for _ in range(2)]
    stage.begin()
    stage.form(*people)


async def group_comes_with_its_members(stage: Stage) -> None:
    people = [stage.hire(assigned=False) for _ in range(2)]
    stage.begin()
    stage.form(*people)


async def members_come_and_go(stage: Stage) -> None:
    stays, leaves, comes = [await stage.provisioned() for _ in range(3)]
    group = await stage.provisioned_group(stays, leaves)
    stage.begin()
    stage.tenant.update_group(group, displayName=f"Renamed {group[:8]}")
    stage.tenant.remove_member(group, leaves)
    stage.tenant.add_member(group, comes)


async def member_gets_an_account_later(stage: Stage) -> None:
    present, late = await stage.provisioned(), stage.hire(assigned=False, accountEnabled=False)
    await stage.provisioned_group(present, late)
    stage.begin()
    stage.tenant.enable(late)


async def member_leaves_while_being_added(stage: Stage) -> None:
    stays, goes = await stage.provisioned(), await stage.provisioned()
    group = await stage.provisioned_group(stays)
    stage.begin()
    stage.tenant.add_member(group, goes)
    await stage.sync()
    await raised_while_sending(stage, lambda: stage.tenant.remove_member(group, goes))


async def added_without_an_answer(stage: Stage) -> None:
    stays, goes = await stage.provisioned(), await stage.provisioned()
    group = await stage.provisioned_group(stays)
    await unanswered(stage, lambda: stage.tenant.add_member(group, goes))
    stage.tenant.remove_member(group, goes)


async def removed_without_an_answer(stage: Stage) -> None:
    stays, returns = await stage.provisioned(), await stage.provisioned()
    group = await stage.provisioned_group(stays, returns)
    await unanswered(stage, lambda: stage.tenant.remove_member(group, returns))
    stage.tenant.add_member(group, returns)


async def unanswered(stage: Stage, change: Callable[[], None]) -> None:
    """The vendor carries a change out, and nobody learns of it."""
    stage.begin()
    stage.acme.faults.add("reset", method="PATCH", applied=True)
    change()
    await stage.sync()
    await stage.deliver()


async def group_is_unassigned(stage: Stage) -> None:
    group = await stage.provisioned_group(await stage.provisioned())
    stage.begin()
    stage.tenant.unassign(stage.service_principal, group, stage.role)
    await stage.sync()
    await stage.pass_time(301)
    await stage.sync()


async def group_is_deleted(stage: Stage) -> None:
    group = await stage.provisioned_group(await stage.provisioned())
    stage.begin()
    stage.tenant.delete_group(group)


async def group_vanished_at_the_vendor(stage: Stage) -> None:
    one, two = await stage.provisioned(), await stage.provisioned()
    group = await stage.provisioned_group(one, two)
    await stage.pass_time(1000)
    row = await stage.world.services.rows.read(APP, ResourceKind.GROUP, group)
    stage.begin()
    stage.vanish(row.target_id, "Groups")
    stage.tenant.remove_member(group, two)


async def more_members_than_a_request_holds(stage: Stage) -> None:
    people = [await stage.provisioned() for _ in range(5)]
    group = await stage.provisioned_group(*people[:2])
    stage.begin()
    stage.tenant.remove_member(group, people[0])
    for person in people[2:]:
        stage.tenant.add_member(group, person)


async def account_of_a_member_is_made_anew(stage: Stage) -> None:
    person = await stage.provisioned()
    await stage.provisioned_group(person)
    await stage.pass_time(1000)
    stage.begin()
    stage.vanish((await stage.account(person)).target_id)
    stage.tenant.update(person, jobTitle="Astronaut")


async def lost_create_of_a_member(stage: Stage) -> None:
    late = stage.hire(assigned=False, accountEnabled=False)
    await stage.provisioned_group(late)
    stage.begin()
    stage.acme.faults.add("reset", method="POST", applied=True)
    stage.tenant.enable(late)


async def member_is_adopted(stage: Stage) -> None:
    late = stage.hire(assigned=False, accountEnabled=False)
    await stage.provisioned_group(late)
    stage.acme.seed([{"userName": stage.mapped(late).attributes["userName"], "active": True}])
    stage.begin()
    stage.tenant.enable(late)


async def emptied_by_mistake_then_approved(stage: Stage) -> None:
    people = [await stage.provisioned() for _ in range(4)]
    group = await stage.provisioned_group(*people)
    stage.begin()
    for person in people:
        stage.tenant.remove_member(group, person)
    await stage.sync()
    await stage.settle()

    async def approve() -> int:
        held = stage.world.services.held_deletions
        return await held.approve(stage.application, (await held.read(stage.application)).list_number)

    while await stage.attempt(approve) is None:
        pass


GROUPS = Scenery(more="groups: {enabled: true}")
TWO_AT_ONCE = Scenery(more="groups: {enabled: true, members_per_patch: 2}")
SMALL_GUARD = Scenery(more="groups: {enabled: true}", guard="{max_count: 2, max_percent: 100, min_population: 100000}")

GROUP_STORIES: dict[str, tuple[Story, Scenery]] = {
    "group is made": (group_is_made, GROUPS),
    "group comes with its members": (group_comes_with_its_members, GROUPS),
    "members come and go": (members_come_and_go, GROUPS),
    "member gets an account later": (member_gets_an_account_later, GROUPS),
    "member leaves while being added": (member_leaves_while_being_added, GROUPS),
    "added without an answer": (added_without_an_answer, GROUPS),
    "removed without an answer": (removed_without_an_answer, GROUPS),
    "group is unassigned": (group_is_unassigned, GROUPS),
    "group is deleted": (group_is_deleted, GROUPS),
    "group vanished at the vendor": (group_vanished_at_the_vendor, GROUPS),
    "more members than a request holds": (more_members_than_a_request_holds, TWO_AT_ONCE),
    "account of a member is made anew": (account_of_a_member_is_made_anew, GROUPS),
    "lost create of a member": (lost_create_of_a_member, GROUPS),
    "member is adopted": (member_is_adopted, GROUPS),
    "emptied by mistake, then approved": (emptied_by_mistake_then_approved, SMALL_GUARD),
}
