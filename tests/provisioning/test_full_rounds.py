"""Full rounds: when the watermark is void, everything is read again and nobody is taken for gone by mistake."""

from datetime import timedelta

import pytest

from shared.directory.mirror import Presence
from shared.storage.durable_writes import DurableWrite, Moment
from shared.storage.tables import StorageUnavailable
from tests.provisioning.pulls import (
    APP,
    Killed,
    assign,
    calm,
    checkpoint_of,
    everybody,
    expected,
    kill_at,
    killed_tick,
    name_of,
    names_of,
    people,
    pulling,
    tick,
)
from tests.world import World

RESETS = {
    "410 on the delta link": {"kind": "gone", "link": "delta"},
    "400 syncStateNotFound": {"kind": "sync_state_not_found", "link": "delta"},
    "404 syncStateNotFound": {"kind": "sync_state_not_found", "link": "delta", "status": 404},
}


def void_watermark(world: World, path: str = "users/delta", **fault: object) -> None:
    options = {"kind": "gone", "link": "delta", **fault}
    world.graph.faults.add(str(options.pop("kind")), path=path, **options)


def initial_reads(world: World, stream: str = "users") -> int:
    return sum(entry.path == f"{stream}/delta" and entry.link == "initial" for entry in world.graph.requests)


async def presence_of(world: World, user_id: str) -> Presence:
    return (await world.services.mirror.read_user_facts(user_id)).presence


@pytest.mark.parametrize("fault", RESETS.values(), ids=RESETS)
async def test_a_void_watermark_is_followed_by_a_full_round_that_finds_who_left_in_the_gap(
    azurite: str, name_prefix: str, fault: dict[str, object]
) -> None:
    async with pulling(azurite, name_prefix, more="scope: all") as world:
        await tick(world)
        purged, deleted, disabled, *_ = people(world, 5)
        gone = names_of(world, purged, deleted, disabled)
        world.tenant.purge(purged)
        world.tenant.soft_delete(deleted)
        world.tenant.disable(disabled)
        newcomer = world.tenant.hire(accountEnabled=True)
        void_watermark(world, **fault)
        void_watermark(world, "groups/delta", **fault)
        await tick(world)
        await world.settle()

        assert initial_reads(world) == initial_reads(world, "groups") == 2
        assert world.active(APP) == everybody(world)
        assert not gone & world.active(APP)
        assert name_of(world, newcomer) in world.active(APP)
        assert await presence_of(world, purged) is Presence.HARD_DELETED
        assert await presence_of(world, deleted) is Presence.SOFT_DELETED


async def test_a_reset_in_the_middle_of_a_round_starts_it_again(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more="scope: all", page_size=3) as world:
        await tick(world)
        leaver, mover = people(world, 2)
        gone = name_of(world, leaver)
        world.tenant.purge(leaver)
        world.tenant.update(mover, jobTitle="Mover")
        void_watermark(world)
        void_watermark(world, link="next", after=1)
        first = await tick(world)
        second = await tick(world)

        assert (first.outcome, second.outcome) == ("reset", "pulled")
        assert world.active(APP) == everybody(world)
        assert gone not in world.active(APP)


async def test_memberships_that_ended_in_the_gap_are_found(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix) as world:
        team = world.tenant.create_group("Team", members=people(world, 4))
        crew = world.tenant.create_group("Crew", members=people(world, 2, 4))
        assign(world, team)
        assign(world, crew)
        await tick(world)
        world.tenant.remove_member(team, people(world, 1)[0])
        world.tenant.add_member(team, people(world, 1, 6)[0])
        world.graph.faults.add("assignment_lag", path="servicePrincipals/*/appRoleAssignedTo")
        world.tenant.delete_group(crew)
        void_watermark(world, "groups/delta")
        await tick(world)

        assert world.active(APP) == expected(world) == names_of(world, *people(world, 3, 1), *people(world, 1, 6))


async def test_a_link_older_than_six_days_is_not_tried(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more="scope: all") as world:
        await tick(world)
        leaver = people(world, 1)[0]
        gone = name_of(world, leaver)
        world.tenant.purge(leaver)
        world.clock.advance(timedelta(days=6).total_seconds())
        before = world.graph.requests.total
        await tick(world)
        links = {entry.link for entry in world.graph.requests.after(before) if entry.path.endswith("/delta")}

        assert links == {"initial"}
        assert gone not in world.active(APP)
        assert world.active(APP) == everybody(world)


async def test_a_link_never_ages_in_a_quiet_directory(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix) as world:
        await tick(world)
        for _ in range(9):
            world.clock.advance(timedelta(days=1).total_seconds())
            await tick(world)

        assert initial_reads(world) == initial_reads(world, "groups") == 1


async def test_another_selection_of_properties_is_another_round(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more="scope: all") as world:
        await tick(world)
        user_id = people(world, 1)[0]
        world.tenant.update(user_id, employeeType="Astronaut")
        path = world.services.settings.provisioning_config
        path.write_text(
            path.read_text("utf-8") + "    mappings: {users: [{target: userType, source: employeeType}]}\n", "utf-8"
        )
        world.restart()
        await tick(world)
        await world.settle()
        types = {found["userName"].casefold(): found.get("userType") for found in world.vendors[APP].resources("User")}

        assert initial_reads(world) == 2
        assert initial_reads(world, "groups") == 1
        assert types[name_of(world, user_id)] == "Astronaut"


@pytest.mark.parametrize("fraction", [0.3, 1.0])
async def test_a_short_round_takes_nobodys_access(azurite: str, name_prefix: str, fraction: float) -> None:
    async with pulling(azurite, name_prefix, more="scope: all") as world:
        await tick(world)
        void_watermark(world)
        world.graph.faults.add("short_round", path="users/delta", fraction=fraction)
        await tick(world)
        await calm(world)

        assert world.active(APP) == everybody(world)
        assert {outcome.action for outcome in world.outcomes if outcome.action} <= {"create", "skip"}


@pytest.mark.parametrize("fault", ["server_error", "throttle", "forbidden", "truncate", "garbage", "reset"])
async def test_a_failed_confirmation_takes_nobodys_access_and_is_repeated(
    azurite: str, name_prefix: str, fault: str
) -> None:
    async with pulling(azurite, name_prefix, more="scope: all") as world:
        await tick(world)
        leaver = people(world, 1)[0]
        gone = name_of(world, leaver)
        before = world.active(APP)
        world.tenant.purge(leaver)
        void_watermark(world)
        world.graph.faults.add(fault, path="users/*-*")
        failed = await tick(world)
        after_failure = world.active(APP)
        await tick(world)

        assert failed.outcome in ("unavailable", "throttled")
        assert after_failure == before
        assert world.active(APP) == everybody(world) == before - {gone}


async def test_where_deleted_items_cannot_be_read_a_missing_user_is_disabled_and_not_deleted(
    azurite: str, name_prefix: str
) -> None:
    async with pulling(azurite, name_prefix, more="scope: all") as world:
        await tick(world)
        leaver = people(world, 1)[0]
        gone = name_of(world, leaver)
        world.tenant.purge(leaver)
        void_watermark(world)
        world.graph.faults.add("forbidden", path="directory/deletedItems/*")
        await tick(world)
        found = [user for user in world.vendors[APP].resources("User") if user["userName"].casefold() == gone]

        assert [user["active"] for user in found] == [False]
        assert await presence_of(world, leaver) is Presence.SOFT_DELETED


async def test_a_first_round_that_died_and_was_begun_again_notices_who_left_meanwhile(
    azurite: str, name_prefix: str
) -> None:
    async with pulling(azurite, name_prefix, more="scope: all") as world:
        leaver = people(world, 1)[0]
        gone = name_of(world, leaver)
        await killed_tick(world, kill_at(DurableWrite.WATERMARK, Moment.BEFORE))
        await world.deliver()
        too_early = world.active(APP)
        world.tenant.purge(leaver)
        await tick(world)
        await world.settle()

        assert gone in too_early
        assert world.active(APP) == everybody(world) == too_early - {gone}


async def test_a_first_round_that_died_in_the_middle_notices_who_left_meanwhile(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more="scope: all", page_size=4) as world:
        await killed_tick(world, kill_at(DurableWrite.ENQUEUE, Moment.AFTER, occurrence=8))
        await world.deliver()
        too_early = world.active(APP)
        leavers = [user_id for user_id in people(world, 12) if name_of(world, user_id) in too_early]
        gone = names_of(world, *leavers)
        for user_id in leavers:
            world.tenant.purge(user_id)
        await tick(world, times=2)
        await world.settle()

        assert gone
        assert world.active(APP) == everybody(world)


@pytest.mark.parametrize("failure", [Killed, StorageUnavailable])
async def test_a_first_round_goes_on_without_reading_the_mirror_until_a_run_failed_in_it(
    azurite: str, name_prefix: str, monkeypatch: pytest.MonkeyPatch, failure: type[BaseException]
) -> None:
    monkeypatch.setattr("shared.provisioning.pulling.RUN_BUDGET_S", 0.0)
    async with pulling(azurite, name_prefix, more="scope: all", users=40, page_size=5) as world:

        async def reads_of_a_tick() -> int:
            before = world.services.tables.calls["directory query"]
            assert (await world.sync()).outcome == "to be continued"
            return world.services.tables.calls["directory query"] - before

        untouched = [await reads_of_a_tick(), await reads_of_a_tick()]
        await killed_tick(world, kill_at(DurableWrite.RAISE, failure=failure), failure=failure)
        after_failure = await reads_of_a_tick()

        assert untouched == [0, 0]
        assert after_failure == 5


async def test_a_user_goes_through_all_the_stations_of_leaving(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more="scope: all") as world:
        user_id = people(world, 1)[0]
        name = name_of(world, user_id)
        seen: dict[str, tuple[bool, Presence]] = {}

        async def look(station: str) -> None:
            await tick(world)
            seen[station] = (name in world.active(APP), await presence_of(world, user_id))

        await look("hired")
        world.tenant.disable(user_id)
        await look("disabled")
        world.tenant.enable(user_id)
        await look("enabled")
        world.tenant.soft_delete(user_id)
        await look("deleted")
        world.tenant.restore(user_id)
        await look("restored")
        world.tenant.soft_delete(user_id)
        world.tenant.purge(user_id)
        await look("purged")

        assert seen == {
            "hired": (True, Presence.ACTIVE),
            "disabled": (False, Presence.DISABLED),
            "enabled": (True, Presence.ACTIVE),
            "deleted": (False, Presence.SOFT_DELETED),
            "restored": (True, Presence.ACTIVE),
            "purged": (False, Presence.HARD_DELETED),
        }


async def test_an_older_change_of_somebody_deleted_for_good_is_not_believed(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more="scope: all") as world:
        await tick(world)
        user_id = people(world, 1)[0]
        name, remembered = name_of(world, user_id), world.tenant.users[user_id]
        world.tenant.purge(user_id)
        await tick(world)
        world.tenant.users[user_id] = remembered
        world.tenant.update(user_id, jobTitle="Ghost")
        world.graph.faults.add("not_found", path=f"users/{user_id}")
        await tick(world)
        del world.tenant.users[user_id]
        await calm(world)

        assert name not in world.active(APP)
        assert await presence_of(world, user_id) is Presence.HARD_DELETED


async def test_removals_of_people_nobody_ever_saw_are_ignored(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more="scope: all") as world:
        await tick(world)
        stranger = world.tenant.hire(accountEnabled=True)
        world.tenant.purge(stranger)
        report = await tick(world)

        assert report.raised == {}
        assert await presence_of(world, stranger) is Presence.UNKNOWN


async def test_the_stamp_of_a_round_is_the_one_it_began_with(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more="scope: all", page_size=4) as world:
        await tick(world)
        void_watermark(world)
        await killed_tick(world, kill_at(DurableWrite.CHECKPOINT, Moment.AFTER, occurrence=1))
        begun = (await checkpoint_of(world)).stream("users").round
        before = world.graph.requests.total
        await tick(world)
        confirmed = [entry.path for entry in world.graph.requests.after(before) if entry.path.startswith("users/")]

        assert begun
        assert set(confirmed) == {"users/delta"}
        assert (await checkpoint_of(world)).stream("users").round == ""
