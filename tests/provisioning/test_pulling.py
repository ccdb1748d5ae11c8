"""Reading the directory: what Graph may do wrong, and who gets or loses access because of it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from shared.provisioning.applications_state import ApplicationStatus
from shared.storage.durable_writes import DurableWrite, Moment, Observer
from tests.provisioning.pulls import (
    APP,
    CONFIRM_S,
    TICK_S,
    assign,
    calm,
    checkpoint_of,
    everybody,
    expected,
    name_of,
    names_of,
    people,
    principal_of,
    pulling,
    role_of,
    tick,
    unassign,
)
from tests.simulation.graph import GraphSimulator
from tests.simulation.tenant import DEFAULT_ACCESS, Tenant
from tests.world import World

LISTS = "servicePrincipals/*/appRoleAssignedTo"


def doing(write: DurableWrite, action: Any, *, every: bool = False) -> Observer:
    """An observer that lets something happen in the world after a durable write."""
    left = 1

    def observe(happened: DurableWrite, at: Moment) -> None:
        nonlocal left
        if (happened, at) == (write, Moment.AFTER) and (left or every):
            left = 0
            action()

    return observe


@pytest.fixture
def foreign() -> Iterator[GraphSimulator]:
    with GraphSimulator(Tenant(9, 4)) as running:
        yield running


def origin_of(simulator: GraphSimulator) -> str:
    return simulator.base_url.removesuffix("/v1.0")


def configure(world: World, text: str, *, was: str = "") -> None:
    """Change provisioning.yaml and start over with it."""
    path = world.services.settings.provisioning_config
    now = path.read_text("utf-8")
    assert was in now
    path.write_text(now.replace(was, text) if was else now + text, "utf-8")
    world.restart()


# Who is in


async def test_everybody_gets_an_account_where_everybody_is_in_scope(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more="scope: all", users=30, page_size=7) as world:
        await tick(world)
        await world.settle()
        newcomer = world.tenant.hire(accountEnabled=True)
        await tick(world)

        assert name_of(world, newcomer) in world.active(APP)
        assert world.active(APP) == everybody(world)


async def test_only_who_is_assigned_gets_an_account(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix) as world:
        assign(world, people(world, 1)[0])
        assign(world, people(world, 1, 1)[0], "Admin")
        world.tenant.assign(principal_of(world), next(iter(world.tenant.service_principals)), role_of(world))
        await tick(world)

        assert world.active(APP) == expected(world) == names_of(world, *people(world, 2))


@pytest.mark.parametrize("excluded", [True, False], ids=["does not count", "counts where the application says so"])
async def test_default_access(azurite: str, name_prefix: str, excluded: bool) -> None:
    more = f"exclude_default_access: {str(excluded).lower()}"
    async with pulling(azurite, name_prefix, more=more) as world:
        world.tenant.assign(principal_of(world), people(world, 1)[0], DEFAULT_ACCESS)
        assign(world, people(world, 1, 1)[0])
        team = world.tenant.create_group("Team", members=people(world, 1, 2))
        world.tenant.assign(principal_of(world), team, DEFAULT_ACCESS)
        await tick(world)

        assert world.active(APP) == expected(world, exclude_default_access=excluded)
        assert len(world.active(APP)) == (1 if excluded else 3)


async def test_somebody_whose_role_is_reduced_to_default_access_loses_the_account(
    azurite: str, name_prefix: str
) -> None:
    async with pulling(azurite, name_prefix) as world:
        user_id = people(world, 1)[0]
        assign(world, user_id)
        await tick(world)
        world.tenant.assign(principal_of(world), user_id, DEFAULT_ACCESS)
        unassign(world, user_id)
        await tick(world)
        await world.settle()

        assert world.active(APP) == expected(world) == set()


# Assignments that come and go


async def test_an_assignment_missing_from_one_list_takes_nobodys_access(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix) as world:
        for user_id in people(world, 4):
            assign(world, user_id)
        await tick(world)
        before = world.active(APP)
        for fraction in (0.5, 1.0):
            world.graph.faults.add("assignment_missing", path=LISTS, fraction=fraction)
            await tick(world)
            world.clock.advance(CONFIRM_S)
            await tick(world, times=2)
            world.clock.advance(CONFIRM_S)
        await world.settle()

        assert world.active(APP) == before == expected(world)
        assert {str(outcome.action) for outcome in world.outcomes}.isdisjoint({"disable", "delete"})


async def test_an_assignment_is_gone_after_two_lists_far_enough_apart(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix) as world:
        leaver, other = people(world, 2)
        assign(world, leaver)
        assign(world, other)
        await tick(world)
        unassign(world, leaver)
        seen = []
        for _ in range(7):
            await tick(world)
            seen.append(name_of(world, leaver) in world.active(APP))

        assert seen == [True] * 5 + [False] * 2
        assert world.active(APP) == expected(world)


async def test_a_list_read_early_and_applied_late_does_not_count_as_late(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, page_size=1) as world:
        user_id = people(world, 1)[0]
        assign(world, user_id)
        await tick(world, times=2)
        world.graph.faults.add("assignment_missing", path=LISTS, times=2)
        await tick(world)
        for mover in people(world, 9, 1):
            world.tenant.update(mover, jobTitle="Mover")
        world.restart(doing(DurableWrite.CHECKPOINT, lambda: world.clock.advance(29), every=True))
        started = world.clock.elapsed
        await world.sync()
        took_s = world.clock.elapsed - started
        world.restart()
        await world.deliver()
        await tick(world, times=3)
        await world.settle()

        assert took_s > 200
        assert world.active(APP) == names_of(world, user_id)


async def test_an_assignment_given_back_in_time_costs_nothing(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix) as world:
        user_id = people(world, 1)[0]
        assign(world, user_id)
        await tick(world)
        writes = len(world.vendors[APP].journal)
        unassign(world, user_id)
        await tick(world, times=2)
        assign(world, user_id)
        await tick(world)
        world.clock.advance(CONFIRM_S)
        await tick(world, times=3)

        assert world.active(APP) == names_of(world, user_id)
        assert len(world.vendors[APP].journal) == writes


@pytest.mark.parametrize(("fault", "word"), [("forbidden", "Application.Read.All"), ("not_found", "no such object")])
async def test_a_service_principal_that_cannot_be_read_quarantines_its_application_and_disables_nobody(
    azurite: str, name_prefix: str, fault: str, word: str
) -> None:
    async with pulling(azurite, name_prefix, apps=(APP, "other")) as world:
        other = principal_of(world, "other")
        for user_id in people(world, 3):
            assign(world, user_id)
            world.tenant.assign(other, user_id, world.tenant.role_id_of(other, "User"))
        await tick(world)
        before = world.active(APP)
        unreadable = world.graph.faults.add(fault, path=f"servicePrincipals/{principal_of(world)}*", times=None)
        leaver = people(world, 1)[0]
        world.tenant.disable(leaver)
        await tick(world, times=7)
        await world.services.housekeeper.keep_house()
        state = await world.services.states.read_fresh(APP)
        during = world.active(APP)
        elsewhere = world.active("other")
        unreadable.times = unreadable.hits
        world.restart()
        await tick(world)
        await world.settle()
        after = await world.services.states.read_fresh(APP)

        assert (state.status, state.reason) == (ApplicationStatus.QUARANTINE, "ServicePrincipalUnreadable")
        assert word in state.detail
        assert during == before
        assert elsewhere == before - names_of(world, leaver)
        assert after.status is ApplicationStatus.ACTIVE
        assert world.active(APP) == expected(world)


async def test_a_quarantine_seen_by_one_process_is_lifted_by_another(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix) as world:
        await tick(world, times=2)
        bystander = world.services
        world.restart()
        world.graph.faults.add("not_found", path="servicePrincipals/*")
        await tick(world)
        imposed = (await world.services.states.read_fresh(APP)).status
        world.services = bystander
        await tick(world, times=6)

        assert imposed is ApplicationStatus.QUARANTINE
        assert (await world.services.states.read_fresh(APP)).status is ApplicationStatus.ACTIVE


@pytest.mark.parametrize("fault", ["server_error", "truncate", "garbage", "reset", "refuse"])
async def test_a_list_that_cannot_be_read_stops_no_other_stream_and_takes_nobodys_access(
    azurite: str, name_prefix: str, fault: str
) -> None:
    async with pulling(azurite, name_prefix, apps=(APP, "other")) as world:
        for user_id in people(world, 4):
            assign(world, user_id)
        other = principal_of(world, "other")
        world.tenant.assign(other, people(world, 1)[0], world.tenant.role_id_of(other, "User"))
        await tick(world)
        await world.settle()
        before = world.active(APP)
        world.graph.faults.add(fault, path=f"servicePrincipals/{principal_of(world)}/appRoleAssignedTo", times=6)
        leaver = people(world, 1)[0]
        world.tenant.disable(leaver)
        await tick(world, times=6)
        during = world.active(APP), world.active("other")
        await calm(world)

        assert during == (before - names_of(world, leaver), set())
        assert world.active(APP) == expected(world) == before - names_of(world, leaver)


# What Graph may do wrong


ODDITIES = {
    "duplicates": {"kind": "duplicate", "fraction": 0.6},
    "replays": {"kind": "replay", "count": 9},
    "another order": {"kind": "reorder"},
    "an empty page with a next link": {"kind": "empty_page"},
    "pages of any size": {"kind": "variable_pages"},
    "replication lag": {"kind": "lag", "fraction": 0.7, "polls": 3},
}


@pytest.mark.parametrize("oddity", ODDITIES.values(), ids=ODDITIES)
async def test_the_end_is_the_same_in_spite_of(azurite: str, name_prefix: str, oddity: dict[str, Any]) -> None:
    fault = dict(oddity)
    async with pulling(azurite, name_prefix, more="scope: all", page_size=3) as world:
        await tick(world)
        world.graph.faults.add(fault.pop("kind"), path="users/delta", link="delta", times=2, **fault)
        leavers = people(world, 3)
        for user_id in people(world, 6):
            world.tenant.update(user_id, jobTitle="Mover")
        world.tenant.disable(leavers[0])
        world.tenant.soft_delete(leavers[1])
        gone = names_of(world, *leavers[:2])
        world.tenant.hire(accountEnabled=True)
        for at in range(5):
            world.tenant.update(people(world, 1, 4)[0], jobTitle=f"Mover {at}")
            await tick(world)
        titles = {found["userName"].casefold(): found.get("title") for found in world.vendors[APP].resources("User")}

        assert world.active(APP) == everybody(world)
        assert not gone & world.active(APP)
        assert [titles[name_of(world, user_id)] for user_id in people(world, 3)] == ["Mover"] * 3


@pytest.mark.parametrize("full", [True, False], ids=["full round", "incremental round"])
async def test_the_later_of_two_pages_that_name_one_user_differently_wins(
    azurite: str, name_prefix: str, full: bool
) -> None:
    async with pulling(azurite, name_prefix, more="scope: all", page_size=4) as world:
        leaver, joiner = people(world, 2)
        world.tenant.disable(joiner)
        if not full:
            await tick(world)
            for user_id in people(world, 6):
                world.tenant.update(user_id, jobTitle="Mover")
            world.tenant.update(joiner, jobTitle="Mover")
        world.graph.faults.add("duplicate", path="users/delta")

        def change_minds() -> None:
            world.tenant.disable(leaver)
            world.tenant.enable(joiner)

        world.restart(doing(DurableWrite.CHECKPOINT, change_minds))
        await world.sync()
        await world.deliver()
        await world.settle()

        assert name_of(world, leaver) not in world.active(APP)
        assert name_of(world, joiner) in world.active(APP)


async def test_a_manager_said_on_one_page_of_a_full_round_is_kept_by_a_later_page_that_is_silent(
    azurite: str, name_prefix: str
) -> None:
    more = "scope: all\nmappings: {users: [{target: nickName, expression: '[manager]'}]}"
    async with pulling(azurite, name_prefix, more=more) as world:
        user_id = people(world, 1, 1)[0]
        manager_id = world.tenant.manager_of(user_id)
        puller = world.services.puller
        checkpoint = await checkpoint_of(world)
        run = await puller._take_lease(checkpoint, await puller._read_first_pages(checkpoint), trace="")
        link = {"@odata.nextLink": f"{world.graph.base_url}/users/delta?$skiptoken=x"}
        said = {"id": user_id, "displayName": "Ann", "manager@delta": [{"id": manager_id}]}
        await puller.users.apply_page(run, {**link, "value": [said]})
        await puller.users.apply_page(run, {**link, "value": [{"id": user_id, "displayName": "Anna"}]})
        facts = await world.services.mirror.read_user_facts(user_id)

        assert manager_id
        assert facts.user is not None
        assert facts.user.attributes == {"displayName": "Anna", "manager": manager_id}


THROTTLES = {"seconds": ("40", 40.0), "a date": ("date", 2.0), "no time": (None, 30.0), "long": ("300", 300.0)}
WHERE = {"at the head of users": "users/delta", "at the head of groups": "groups/delta", "in a list": LISTS}


@pytest.mark.parametrize("path", WHERE.values(), ids=WHERE)
@pytest.mark.parametrize(("retry_after", "wait_s"), THROTTLES.values(), ids=THROTTLES)
async def test_nothing_is_asked_again_before_retry_after_by_any_process(
    azurite: str, name_prefix: str, path: str, retry_after: str | None, wait_s: float
) -> None:
    async with pulling(azurite, name_prefix) as world:
        assign(world, people(world, 1)[0])
        world.graph.faults.add("throttle", path=path, retry_after=retry_after)
        started = world.clock.elapsed
        throttled = await world.sync()
        slept_s = world.clock.elapsed - started
        asked = world.graph.requests.total
        world.restart()
        world.clock.advance(wait_s - 0.5)
        too_early = await world.sync()
        asked_too_early = world.graph.requests.total - asked
        world.clock.advance(1.0)
        world.restart()
        in_time = await tick(world)

        assert "hrottled" in throttled.outcome
        assert slept_s == 0
        assert (too_early.outcome, asked_too_early) == ("waiting", 0)
        assert in_time.outcome == "pulled"
        assert world.active(APP) == expected(world)


async def test_a_round_that_is_throttled_in_the_middle_goes_on_where_it_stopped(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more="scope: all", page_size=3) as world:
        world.graph.faults.add("throttle", path="users/delta", link="next", after=1, retry_after="90")
        throttled = await world.sync()
        waiting = (await checkpoint_of(world)).blocked_until
        world.clock.advance(TICK_S)
        too_early = await world.sync()
        world.clock.advance(31)
        before = world.graph.requests.total
        await tick(world)
        await world.settle()
        first = next(entry for entry in world.graph.requests.after(before) if entry.path == "users/delta")

        assert (throttled.outcome, too_early.outcome) == ("throttled", "waiting")
        assert waiting is not None
        assert first.link == "next"
        assert world.active(APP) == everybody(world)


@pytest.mark.parametrize(
    ("path", "fault", "words"),
    [
        ("users/delta", "forbidden", "permission User.Read.All"),
        ("groups/delta", "forbidden", "permission GroupMember.Read.All"),
        ("users/delta", "unauthorized", "AZURE_CLIENT_ID"),
    ],
)
async def test_a_refusal_says_what_to_do_and_changes_nothing(
    azurite: str, name_prefix: str, caplog: pytest.LogCaptureFixture, path: str, fault: str, words: str
) -> None:
    async with pulling(azurite, name_prefix, more="scope: all") as world:
        await tick(world)
        before = await checkpoint_of(world), world.active(APP)
        world.tenant.disable(people(world, 1)[0])
        world.graph.faults.add(fault, path=path)
        caplog.clear()
        refused = await tick(world)
        told = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
        after = await checkpoint_of(world), world.active(APP)
        await tick(world)

        assert refused.outcome == "GraphRefused"
        assert len(told) == 1
        assert words in told[0]
        assert after == before
        assert world.active(APP) == everybody(world)


@pytest.mark.parametrize("link", ["delta", "next"], ids=["at the head", "in the middle"])
@pytest.mark.parametrize("path", ["users/delta", "groups/delta"])
@pytest.mark.parametrize("fault", ["server_error", "reset", "refuse", "truncate", "garbage", "not_found"])
async def test_a_broken_answer_changes_nothing_and_the_next_tick_goes_on(
    azurite: str, name_prefix: str, fault: str, path: str, link: str
) -> None:
    async with pulling(azurite, name_prefix, page_size=2) as world:
        team = world.tenant.create_group("Team", members=people(world, 4))
        assign(world, team)
        await tick(world)
        world.tenant.disable(people(world, 1)[0])
        for user_id in people(world, 3):
            world.tenant.update(user_id, jobTitle="Mover")
        world.tenant.remove_member(team, people(world, 1)[0])
        for at in range(4):
            world.tenant.create_group(f"Crew {at}", members=people(world, 2))
        world.graph.faults.add(fault, path=path, link=link)
        broken = await tick(world)
        await tick(world)

        assert broken.outcome in ("GraphUnavailable", "GraphNotFound", "unavailable")
        assert world.active(APP) == expected(world)


@pytest.mark.parametrize(
    ("path", "page_size"),
    [("users/delta", 4), ("users/delta", 100), ("groups/delta", 4), ("groups/delta", 100), (LISTS, 100)],
    ids=["users, next link", "users, delta link", "groups, next link", "groups, delta link", "assignments"],
)
async def test_a_link_to_another_host_is_neither_followed_nor_stored(
    azurite: str, name_prefix: str, foreign: GraphSimulator, page_size: int, path: str
) -> None:
    many = path == LISTS
    async with pulling(azurite, name_prefix, page_size=page_size, users=140 if many else 12) as world:
        for user_id in people(world, 101 if many else 4):
            assign(world, user_id)
        world.graph.faults.add("foreign_link", path=path, origin=origin_of(foreign), times=2)
        await tick(world, times=2)
        stored = {state.link for state in (await checkpoint_of(world)).streams.values()}
        await tick(world, times=2)
        await world.settle()

        assert foreign.requests.total == 0
        assert not any(origin_of(foreign) in link for link in stored)
        assert world.active(APP) == expected(world)


async def test_the_location_of_a_reset_on_another_host_is_not_followed(
    azurite: str, name_prefix: str, foreign: GraphSimulator
) -> None:
    async with pulling(azurite, name_prefix, more="scope: all", page_size=4) as world:
        await tick(world)
        for link in ("delta", "next"):
            world.graph.faults.add("gone", path="users/delta", link=link, origin=origin_of(foreign))
        await tick(world, times=3)

        assert foreign.requests.total == 0
        assert world.active(APP) == everybody(world)


async def test_a_stored_link_of_another_host_is_given_up_for_a_full_round(
    azurite: str, name_prefix: str, foreign: GraphSimulator
) -> None:
    async with pulling(azurite, name_prefix, more="scope: all") as world:
        await tick(world)
        checkpoint = await checkpoint_of(world)
        users = checkpoint.stream("users")
        poisoned = replace(users, link=f"{foreign.base_url}/users/delta?$deltatoken=x")
        await world.services.puller.checkpoints.write(DurableWrite.WATERMARK, checkpoint.with_stream("users", poisoned))
        world.tenant.disable(people(world, 1)[0])
        report = await tick(world)

        assert report.outcome == "pulled"
        assert foreign.requests.total == 0
        assert world.active(APP) == everybody(world)


class Looping:
    """Graph, except that the pages of users lead in a circle for a while."""

    def __init__(self, graph: Any, times: int) -> None:
        self._graph = graph
        self._times = times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._graph, name)

    async def read(self, url: str) -> dict[str, Any]:
        page: dict[str, Any] = await self._graph.read(url)
        if "/users/delta" in url and self._times:
            self._times -= 1
            page.pop("@odata.deltaLink", None)
            page["@odata.nextLink"] = url
        return page


async def test_pages_that_lead_in_a_circle_end_in_a_full_round(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more="scope: all") as world:
        await tick(world)
        graph = world.services.puller.graph
        world.services.puller.graph = Looping(graph, 50)  # type: ignore[assignment]
        world.tenant.disable(people(world, 1)[0])
        before = world.graph.requests.total
        looped = await tick(world)
        asked = world.graph.requests.total - before
        world.services.puller.graph = graph
        await tick(world)

        assert looped.outcome == "reset"
        assert asked < 10
        assert world.active(APP) == everybody(world)


async def test_a_run_ends_in_its_time_and_the_next_one_goes_on(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more="scope: all", page_size=1) as world:
        world.restart(doing(DurableWrite.CHECKPOINT, lambda: world.clock.advance(30), every=True))
        outcomes = [(await world.sync()).outcome for _ in range(3)]
        await world.deliver()
        world.restart()
        await tick(world, times=2)
        await world.settle()

        assert outcomes[0] == "to be continued"
        assert world.active(APP) == everybody(world)


# Applications that come, change and go


async def test_an_application_added_later_gets_everybody_paced(azurite: str, name_prefix: str) -> None:
    more = "enabled: false\nscope: all\nrate_limit: {requests_per_second: 0.5}"
    async with pulling(azurite, name_prefix, more=more, users=150) as world:
        await tick(world)
        nobody = list(world.queues.waiting)
        configure(world, "enabled: true", was="enabled: false")
        report = await world.sync()

        assert nobody == []
        assert report.raised[APP] >= 150
        assert len(world.queues.waiting) == 60
        assert APP in (await checkpoint_of(world)).backlog


async def test_an_assigned_application_added_later_gets_its_people(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more="enabled: false") as world:
        assign(world, world.tenant.create_group("Team", members=people(world, 3)))
        assign(world, people(world, 1, 3)[0])
        await tick(world)
        configure(world, "enabled: true", was="enabled: false")
        await tick(world)
        await world.settle()

        assert world.active(APP) == expected(world) == names_of(world, *people(world, 4))


async def test_the_first_cycle_of_an_assigned_application_raises_everybody_once(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, users=30, page_size=7) as world:
        team = people(world, 3)
        assign(world, world.tenant.create_group("Team", members=team))
        for user_id in people(world, 5, 3):
            assign(world, user_id)
        report = await world.sync()

        assert report.raised == {APP: 8}


@pytest.mark.parametrize("scope", ["all", "assigned"])
async def test_a_changed_mapping_reaches_everybody(azurite: str, name_prefix: str, scope: str) -> None:
    async with pulling(azurite, name_prefix, more=f"scope: {scope}") as world:
        for user_id in people(world, 5):
            assign(world, user_id)
        await tick(world)
        before = world.active(APP)
        configure(world, "    mappings: {users: [{target: userType, constant: Crew}]}\n")
        await tick(world)
        await world.settle()
        types = {found.get("userType") for found in world.vendors[APP].resources("User") if found["active"]}

        assert types == {"Crew"}
        assert world.active(APP) == before


async def test_a_removed_application_disables_nobody(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, apps=(APP, "other"), more="scope: all") as world:
        await tick(world)
        before = world.active("other")
        path = world.services.settings.provisioning_config
        kept, _, _ = path.read_text("utf-8").partition("  other:")
        path.write_text(kept, "utf-8")
        world.restart()
        world.tenant.disable(people(world, 1)[0])
        await calm(world)

        assert world.active("other") == before
        assert world.active(APP) == everybody(world)


@pytest.mark.parametrize("scope", ["all", "assigned"])
async def test_an_application_switched_off_for_a_while_catches_up_with_what_it_missed(
    azurite: str, name_prefix: str, scope: str
) -> None:
    async with pulling(azurite, name_prefix, more=f"enabled: true\nscope: {scope}") as world:
        team = world.tenant.create_group("Team", members=people(world, 4))
        assign(world, team)
        assign(world, people(world, 1, 4)[0])
        await tick(world)
        before = world.active(APP)
        configure(world, "enabled: false", was="enabled: true")
        world.tenant.disable(people(world, 1)[0])
        world.tenant.disable(people(world, 1, 3)[0])
        world.tenant.remove_member(team, people(world, 1)[0])
        world.tenant.add_member(team, people(world, 1, 5)[0])
        await tick(world, times=3)
        meanwhile = world.active(APP)
        configure(world, "enabled: true", was="enabled: false")
        await tick(world)
        await world.settle()

        assert meanwhile == before
        assert world.active(APP) == (everybody(world) if scope == "all" else expected(world))
