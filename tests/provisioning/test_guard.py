"""The deletion guard: how many may lose access before a person is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.config.provisioning_file import DeletionGuard
from shared.provisioning.accounts import AccountState, Intent, IntentKind, ResourceKind, released_number
from shared.provisioning.guard import Verdict, counts, is_far_below, judge_release, needs_population
from shared.provisioning.pull_run import PullRun
from shared.provisioning.user_pages import UserPages
from tests.examples import WANTED, example_account
from tests.provisioning.stories import Scenery, open_stage
from tests.simulation.tenant import Tenant
from tests.simulation.vendors import AcmeSimulator
from tests.world import HandClock, World, minimal_configuration, open_world

GUARD = DeletionGuard(max_count=10, max_percent=20, min_population=50)
CREATE = Intent(kind=IntentKind.CREATE, matching="a")


@pytest.mark.parametrize(
    ("released", "staged", "population", "verdict"),
    [
        pytest.param(0, 0, 1000, Verdict.NOTHING, id="nothing staged"),
        pytest.param(0, 10, 1000, Verdict.RELEASE, id="at the count"),
        pytest.param(0, 11, 1000, Verdict.HOLD, id="over the count"),
        pytest.param(8, 3, 1000, Verdict.HOLD, id="over the count together with the rolling day"),
        pytest.param(0, 10, 50, Verdict.RELEASE, id="at the percentage"),
        pytest.param(5, 6, 50, Verdict.HOLD, id="over the percentage together with the rolling day"),
        pytest.param(0, 10, 49, Verdict.RELEASE, id="a small population is not counted in percent"),
    ],
)
def test_the_thresholds(released: int, staged: int, population: int, verdict: Verdict) -> None:
    assert judge_release(GUARD, released=released, staged=staged, population=population) is verdict


@pytest.mark.parametrize(
    ("total", "population", "far_below"),
    [
        pytest.param(4, 1000, True, id="less than half of the count"),
        pytest.param(5, 1000, False, id="half of the count"),
        pytest.param(4, 50, True, id="less than half of the percentage"),
        pytest.param(5, 50, False, id="half of the percentage"),
        pytest.param(4, 10, True, id="a small population is not counted in percent"),
    ],
)
def test_what_is_far_below_the_thresholds(total: int, population: int, far_below: bool) -> None:
    assert is_far_below(GUARD, total=total, population=population) is far_below


@given(total=st.integers(1, 100), more=st.integers(0, 100), population=st.integers(0, 1000))
def test_who_goes_before_the_end_of_a_round_would_have_gone_at_its_end(total: int, more: int, population: int) -> None:
    if is_far_below(GUARD, total=total, population=population):
        assert judge_release(GUARD, released=0, staged=total, population=population) is Verdict.RELEASE
        assert judge_release(GUARD, released=total, staged=min(more, total), population=population) is not Verdict.HOLD


@given(total=st.integers(1, 100), population=st.integers(0, 1000))
def test_the_accounts_are_counted_whenever_the_percentage_could_matter(total: int, population: int) -> None:
    without = judge_release(GUARD, released=0, staged=total, population=0)
    with_population = judge_release(GUARD, released=0, staged=total, population=population)

    assert needs_population(GUARD, total) or without is with_population


@pytest.mark.parametrize(
    ("columns", "counted"),
    [
        ({"target_id": "t1"}, True),
        ({}, False),
        ({"intent": CREATE}, True),
        ({"target_id": "t1", "state": AccountState.DISABLED}, False),
        ({"target_id": "t1", "state": AccountState.DISABLED, "intent": CREATE}, True),
        ({"target_id": "t1", "state": AccountState.HELD}, True),
    ],
    ids=["linked", "nothing there", "maybe there", "off already", "off, but in doubt", "planned by a consumer"],
)
def test_only_rows_that_may_lose_access_count(columns: dict[str, object], counted: bool) -> None:
    assert counts(example_account(staged=WANTED, **columns)) is counted


def test_a_release_gives_a_number_that_is_new_sorts_behind_and_is_the_same_when_repeated() -> None:
    released = released_number(WANTED)

    assert released > WANTED
    assert released == released_number(WANTED)
    assert released < "0000000007.00000003.000"


@pytest.fixture
async def world(tmp_path: Path, azurite: str, name_prefix: str) -> AsyncIterator[World]:
    tenant = Tenant(3, 60)
    clock = HandClock()
    acme = AcmeSimulator(clock=lambda: clock.now().timestamp())
    principal = tenant.service_principal_id_of("Acme SCIM")
    guard = "deletion_guard: {max_count: 5, max_percent: 100, min_population: 0}\nscope: all"
    async with open_world(
        tmp_path,
        azurite=azurite,
        prefix=name_prefix,
        tenant=tenant,
        vendors={"acme": acme},
        clock=clock,
        configure=lambda vendors, _tenant: minimal_configuration("acme", vendors["acme"], principal).replace(
            "deletion_guard: {max_count: 1000, max_percent: 100, min_population: 0}", guard.replace("\n", "\n  ")
        ),
    ) as opened:
        await opened.provision_all()
        yield opened


def some_active(world: World, count: int) -> list[str]:
    people = sorted(user_id for user_id in world.tenant.user_ids() if world.tenant.user(user_id)["accountEnabled"])
    return people[:count]


async def test_a_few_leavers_lose_access_at_the_end_of_the_round(world: World) -> None:
    before = len(world.active("acme"))
    for user_id in some_active(world, 5):
        world.tenant.disable(user_id)

    await world.sync()
    await world.deliver()

    assert len(world.active("acme")) == before - 5


async def test_too_many_leavers_are_held_and_everything_else_goes_on(world: World) -> None:
    before = len(world.active("acme"))
    leavers = some_active(world, 6)
    for user_id in leavers:
        world.tenant.disable(user_id)
    joiner = world.tenant.hire()

    await world.provision_all()

    assert len(world.active("acme")) == before + 1
    assert (await world.account("acme", joiner)).state is AccountState.IN_SYNC
    assert all([(await world.account("acme", user_id)).staged for user_id in leavers])


@pytest.mark.parametrize(("threshold", "left_early"), [(4, 0), (5, 2)], ids=["half is staged", "less than half"])
@pytest.mark.parametrize("by", ["housekeeping", "on demand"])
async def test_before_the_end_of_a_round_only_few_lose_access(
    by: str, threshold: int, left_early: int, azurite: str
) -> None:
    guard = f"{{max_count: {threshold}, max_percent: 100, min_population: 100000}}"
    async with open_stage(azurite, Scenery(guard=guard, page_size=2)) as stage:
        people = [await stage.provisioned() for _ in range(6)]
        for person in people:
            stage.tenant.disable(person)
        services = stage.world.services
        released: list[int] = []
        told: list[str] = []

        async def look() -> None:
            staged = await services.guard.read_staged(stage.application)
            if by == "housekeeping":
                await stage.keep_house()
            else:
                report = await services.on_demand.provision(stage.application, ResourceKind.USER, staged[0].source_id)
                told.append(report.next)
            await stage.deliver()
            released.append(len(people) - len(stage.world.active("acme")))

        services.puller.users = AfterFirstPage(services.puller.users, look)
        await stage.sync()
        await stage.deliver()

        assert released == [left_early]
        assert len(people) - len(stage.world.active("acme")) == left_early
        held = await services.held_deletions.read(stage.application)
        assert len(held.accounts) == len(people) - left_early
        if told and not left_early:
            assert told[0].startswith("The deletion guard decides at the end of the round")


class AfterFirstPage:
    """Pages of users; something happens after the first one."""

    def __init__(self, pages: UserPages, deed: Callable[[], Awaitable[None]]) -> None:
        self.pages, self.deeds = pages, [deed]

    async def apply_page(self, run: PullRun, page: Mapping[str, Any]) -> None:
        await self.pages.apply_page(run, page)
        while self.deeds:
            await self.deeds.pop()()

    async def sweep_unseen(self, run: PullRun) -> None:
        await self.pages.sweep_unseen(run)


async def test_a_hold_never_ends_by_time(world: World) -> None:
    before = len(world.active("acme"))
    for user_id in some_active(world, 6):
        world.tenant.disable(user_id)
    await world.provision_all()

    for _ in range(40):
        world.clock.advance(6 * 3600)
        await world.services.housekeeper.keep_house()
        await world.deliver()

    assert len(world.active("acme")) == before


async def test_a_second_batch_below_the_threshold_is_held_while_a_hold_stands(world: World) -> None:
    before = len(world.active("acme"))
    people = some_active(world, 7)
    for user_id in people[:6]:
        world.tenant.disable(user_id)
    await world.provision_all()
    world.tenant.disable(people[6])

    await world.provision_all()

    assert len(world.active("acme")) == before


async def test_people_who_come_back_end_their_own_hold(world: World) -> None:
    before = world.active("acme")
    people = some_active(world, 6)
    for user_id in people:
        world.tenant.disable(user_id)
    await world.provision_all()
    for user_id in people[:3]:
        world.tenant.enable(user_id)
    await world.provision_all()
    for user_id in people[3:]:
        world.tenant.enable(user_id)
    await world.provision_all()

    world.tenant.disable(people[0])
    await world.provision_all()

    assert world.active("acme") == before - {world.tenant.user(people[0])["userPrincipalName"].casefold()}


async def hold(world: World, count: int) -> set[str]:
    """So many people leave at once; answers the user names that are still active then."""
    for user_id in some_active(world, count):
        world.tenant.disable(user_id)
    await world.provision_all()
    return world.active("acme")


async def test_what_was_approved_loses_access_and_does_not_count_against_the_thresholds(world: World) -> None:
    before = await hold(world, 6)
    people = some_active(world, 11)
    application = world.services.applications["acme"]
    held = await world.services.held_deletions.read(application)

    count = await world.services.held_deletions.approve(application, held.list_number)
    await world.settle()
    for user_id in people[:5]:
        world.tenant.disable(user_id)
    await world.provision_all()

    assert (len(held.accounts), count) == (6, 6)
    assert len(world.active("acme")) == len(before) - 6 - 5
    assert (await world.services.held_deletions.read(application)).list_number == ""


async def test_only_the_list_that_was_seen_is_approved(world: World) -> None:
    before = await hold(world, 6)
    application = world.services.applications["acme"]
    seen = await world.services.held_deletions.read(application)
    later = some_active(world, 1)[0]
    world.tenant.disable(later)
    await world.provision_all()

    await world.services.held_deletions.approve(application, seen.list_number)
    await world.settle()
    left = await world.services.held_deletions.read(application)

    assert len(world.active("acme")) == len(before) - 6
    assert [account.source_id for account in left.accounts] == [later]


async def test_who_was_rejected_keeps_access_until_the_directory_changes_for_them(world: World) -> None:
    leaver, *_ = some_active(world, 6)
    before = await hold(world, 6)
    application = world.services.applications["acme"]
    held = await world.services.held_deletions.read(application)

    count = await world.services.held_deletions.reject(application, held.list_number)
    for _ in range(3):
        world.clock.advance(86_400)
        await world.settle()
    kept = world.active("acme")
    world.tenant.update(leaver, jobTitle="Gone")
    await world.provision_all()
    await world.settle()

    assert count == 6
    assert kept == before
    assert len(world.active("acme")) == len(before) - 1


async def test_an_answer_is_safe_to_repeat_and_an_old_one_does_nothing(world: World) -> None:
    before = await hold(world, 6)
    application = world.services.applications["acme"]
    held = await world.services.held_deletions.read(application)
    await world.services.held_deletions.reject(application, held.list_number)

    assert await world.services.held_deletions.reject(application, held.list_number) == 0
    assert await world.services.held_deletions.approve(application, held.list_number) == 0
    await world.settle()
    assert world.active("acme") == before


async def test_the_rolling_day_counts_across_rounds(world: World) -> None:
    before = len(world.active("acme"))
    people = some_active(world, 6)
    for user_id in people[:3]:
        world.tenant.disable(user_id)
    await world.provision_all()
    for user_id in people[3:]:
        world.tenant.disable(user_id)

    await world.provision_all()

    assert len(world.active("acme")) == before - 3
