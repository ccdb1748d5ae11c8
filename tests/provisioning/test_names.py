"""Two accounts and one name: swaps, chains and circles end right, and who left keeps what only a person may take."""

from __future__ import annotations

from itertools import permutations

import pytest

from shared.provisioning.attempt import OutcomeKind, OwnCode
from shared.provisioning.names import WAIT_S
from shared.scim.error_catalogue import ErrorCode
from tests.provisioning.stories import Scenery, Stage, open_stage
from tests.simulation.vendors.options import ExternalId, VendorOptions

NO_UNIQUENESS = Scenery(options=VendorOptions(user_name_unique=False))
NO_EXTERNAL_ID = Scenery(options=VendorOptions(external_id=ExternalId.dropped))
VENDORS = {"plain": Scenery(), "without uniqueness": NO_UNIQUENESS, "that drops externalId": NO_EXTERNAL_ID}


async def _people(stage: Stage, *names: str) -> list[str]:
    return [await stage.provisioned(userPrincipalName=f"{name}@contoso.example") for name in names]


async def _deliver_in_order(stage: Stage, order: list[str]) -> None:
    """The messages of one sync, in an order of our choice."""
    await stage.sync()
    stage.world.queues.waiting.sort(key=lambda queued: order.index(queued.message.id))
    await stage.settle()


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("first", [0, 1])
async def test_two_people_swap_their_names(vendor: str, first: int, azurite: str) -> None:
    async with open_stage(azurite, VENDORS[vendor]) as stage:
        people = await _people(stage, "ann", "bob")
        stage.rename(people[0], "bob")
        stage.rename(people[1], "ann")

        await _deliver_in_order(stage, [people[first], people[1 - first]])

        assert await stage.findings() == []


@pytest.mark.parametrize("swaps", [False, True], ids=["moves on", "swaps"])
async def test_a_name_given_up_between_the_refusal_and_the_look_up_is_taken(swaps: bool, azurite: str) -> None:
    async with open_stage(azurite) as stage:
        people = sorted(await _people(stage, "ann", "bob"))
        mine, theirs = stage.name_of(people[0]), stage.name_of(people[1])
        stage.rename(people[0], theirs)
        stage.rename(people[1], mine if swaps else "cy")
        await stage.sync()
        stage.world.queues.waiting.sort(key=lambda queued: people.index(queued.message.id), reverse=swaps)
        matcher = stage.world.services.reconciler.names.matcher
        look_up, looked = matcher.look_up, []

        async def look_up_late(attempt, *args, **kwargs):
            looked.append(attempt.account.source_id)
            # Who swaps is refused twice: it steps aside, and the other, refused earlier, still waits to try again.
            if looked.count(people[0]) == (2 if swaps else 1):
                matcher.look_up = look_up
                await stage.pass_time(WAIT_S * 2)
                await stage.deliver()
            return await look_up(attempt, *args, **kwargs)

        matcher.look_up = look_up_late

        await stage.settle()

        assert looked == ([people[1], people[0], people[0]] if swaps else [people[0]])
        assert [outcome for outcome in stage.outcomes if outcome.kind is OutcomeKind.ESCROWED] == []
        assert await stage.findings() == []


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
@pytest.mark.parametrize("new_names", [("bob", "cy", "dee"), ("bob", "cy", "ann")], ids=["a chain", "a circle"])
async def test_three_names_move_on_in_any_order(
    order: tuple[int, ...], new_names: tuple[str, ...], azurite: str
) -> None:
    async with open_stage(azurite) as stage:
        people = await _people(stage, "ann", "bob", "cy")
        for user_id, name in zip(people, new_names, strict=True):
            stage.rename(user_id, name)

        await _deliver_in_order(stage, [people[at] for at in order])

        assert await stage.findings() == []


async def test_a_circle_is_broken_although_what_was_sent_last_is_not_known(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        people = await _people(stage, "ann", "bob")
        people.sort()
        stage.acme.faults.add("reset", method="PATCH", applied=True)
        stage.tenant.update(people[0], jobTitle="Astronaut")
        await stage.sync()
        await stage.deliver()
        one, two = stage.name_of(people[0]), stage.name_of(people[1])
        stage.rename(people[0], two)
        stage.rename(people[1], one)

        await stage.settle()

        assert await stage.findings() == []


async def test_a_name_held_by_the_account_of_somebody_who_left_is_escrowed(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        [leaver] = await _people(stage, "ann")
        stage.tenant.disable(leaver)
        await stage.settle()
        stage.tenant.update(leaver, userPrincipalName="ann.old@contoso.example")
        target = (await stage.account(leaver)).target_id
        before = stage.resource(target)

        joiner = stage.hire(userPrincipalName="ann@contoso.example")
        await stage.settle()

        account = await stage.account(joiner)
        assert (account.error_code, account.target_id) == (OwnCode.HELD_BY_DEPARTED, "")
        assert stage.resource(target) == before
        assert await stage.keys("match") == {}


async def test_two_people_mapped_to_one_name_never_share_an_account(azurite: str) -> None:
    async with open_stage(azurite) as stage:
        [first] = await _people(stage, "ann")

        second = stage.hire(userPrincipalName="ann@contoso.example")
        await stage.settle()

        assert (await stage.account(second)).error_code == ErrorCode.DUPLICATE_SOURCES
        assert (await stage.account(first)).target_id
        assert await stage.findings(excused={second}) == []


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_lost_create_is_not_taken_by_the_next_owner_of_the_name(vendor: str, azurite: str) -> None:
    async with open_stage(azurite, VENDORS[vendor]) as stage:
        stage.acme.faults.add("reset", method="POST", applied=True)
        first = stage.hire(userPrincipalName="ann@contoso.example")
        await stage.sync()
        await stage.deliver()
        stage.rename(first, "cy")
        second = stage.hire(userPrincipalName="ann@contoso.example")

        await stage.settle()

        assert await stage.findings() == []
        assert (await stage.account(first)).target_id != (await stage.account(second)).target_id


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_recycled_name_does_not_recycle_the_account(vendor: str, azurite: str) -> None:
    async with open_stage(azurite, VENDORS[vendor]) as stage:
        [first] = await _people(stage, "ann")
        target = (await stage.account(first)).target_id
        stage.rename(first, "cy")
        second = stage.hire(userPrincipalName="ann@contoso.example")

        await stage.sync()
        stage.world.queues.waiting.sort(key=lambda queued: queued.message.id != second)
        await stage.settle()

        assert await stage.findings() == []
        assert (await stage.account(first)).target_id == target
