"""The checkpoint: one puller at a time, numbers never used twice, and a watermark that moves last."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.config.settings import Settings
from shared.provisioning.checkpoint import (
    STALLED,
    Checkpoint,
    Checkpoints,
    Lease,
    LeaseLost,
    Numbers,
    StreamState,
)
from shared.storage.connections import connect_tables
from shared.storage.durable_writes import DurableWrite, Moment, Observer
from shared.storage.tables import StorageConflict, Tables
from tests.provisioning.pulls import (
    APP,
    CONFIRM_S,
    LEASE_AND_SLACK_S,
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
    unassign,
)
from tests.world import START, World

FULL = Checkpoint(
    epoch=7,
    lease_token="token",
    lease_until=START,
    saved="0000000006.00000003.000",
    blocked_until=START + timedelta(seconds=30),
    streams={
        "users": StreamState(link="https://x/delta?$deltatoken=ä", round="r", first=True, select="s", saved_at=START),
        "assigned-acme": StreamState(digests={"user:ab": "1"}, marked={"group:": "2026"}, principal="p"),
        "groups": StreamState(),
    },
    configs={"acme": "hash"},
    backlog={"acme": "user:x", "other": ""},
)


@pytest.mark.parametrize(
    ("checkpoint", "in_round"),
    [
        (Checkpoint(), False),
        (Checkpoint(streams={"users": StreamState(link="delta", saved_at=START)}), False),
        (Checkpoint(streams={"users": StreamState(link="next", began="7", saved_at=START)}), True),
        (Checkpoint(streams={"groups": StreamState(round="r", saved_at=START)}), True),
        (Checkpoint(streams={"users": StreamState(began="7", saved_at=START - STALLED)}), False),
        (Checkpoint(lease_token="token", lease_until=START + timedelta(seconds=1)), True),
        (Checkpoint(lease_token="token", lease_until=START), False),
    ],
    ids=["new", "at rest", "half read", "full round", "stuck", "at work", "died"],
)
def test_a_round_is_open_while_somebody_reads_or_goes_on_soon(checkpoint: Checkpoint, in_round: bool) -> None:
    assert checkpoint.is_in_round(START) is in_round


@pytest.fixture
async def checkpoints(azurite: str, name_prefix: str) -> AsyncIterator[Checkpoints]:
    tables = Tables(connect_tables(Settings.load({"AzureWebJobsStorage": azurite})), prefix=name_prefix)
    await tables.create_missing()
    yield Checkpoints(tables)
    await tables.close()


async def test_nothing_was_ever_read_before_the_first_write(checkpoints: Checkpoints) -> None:
    assert await checkpoints.read() == Checkpoint()


async def test_a_checkpoint_is_read_back_as_it_was_written(checkpoints: Checkpoints) -> None:
    written = await checkpoints.write(DurableWrite.PULLER_LEASE, FULL)

    assert await checkpoints.read() == written == replace(FULL, etag=written.etag)


async def test_what_was_noted_can_be_taken_away_again(checkpoints: Checkpoints) -> None:
    written = await checkpoints.write(DurableWrite.PULLER_LEASE, FULL)
    cleared = Checkpoint(etag=written.etag, epoch=8)
    await checkpoints.write(DurableWrite.WATERMARK, cleared)

    assert replace(await checkpoints.read(), etag="") == Checkpoint(epoch=8)


async def test_links_and_digests_of_many_applications_fit(checkpoints: Checkpoints) -> None:
    digests = {f"user:{at:02x}": "0123456789ab" for at in range(256)}
    marked = dict.fromkeys(digests, "2026-11-21T08:00:00.000000Z")
    streams = {f"assigned-app-{at}": StreamState(digests=digests, principal="p" * 36) for at in range(40)}
    streams["assigned-worst"] = StreamState(digests=digests, marked=marked)
    streams["users"] = StreamState(link="https://graph.example/" + "x" * 8000)
    written = await checkpoints.write(DurableWrite.PULLER_LEASE, Checkpoint(epoch=1, streams=streams))

    assert await checkpoints.read() == written


async def test_only_one_of_two_who_read_the_same_checkpoint_moves_it(checkpoints: Checkpoints) -> None:
    await checkpoints.write(DurableWrite.PULLER_LEASE, Checkpoint(epoch=1))
    one, other = await checkpoints.read(), await checkpoints.read()
    await checkpoints.write(DurableWrite.PULLER_LEASE, replace(one, epoch=2))

    with pytest.raises(StorageConflict):
        await checkpoints.write(DurableWrite.PULLER_LEASE, replace(other, epoch=2, lease_token="late"))
    assert (await checkpoints.read()).lease_token == ""


async def test_only_one_of_two_creates_the_first_checkpoint(checkpoints: Checkpoints) -> None:
    await checkpoints.write(DurableWrite.PULLER_LEASE, Checkpoint(epoch=1))

    with pytest.raises(StorageConflict):
        await checkpoints.write(DurableWrite.PULLER_LEASE, Checkpoint(epoch=1, lease_token="late"))


def test_numbers_grow_within_an_epoch_and_over_epochs() -> None:
    first, second = Numbers(9), Numbers(10)
    drawn = [first.before_first(), first.last(), *(first.next() for _ in range(12)), second.before_first()]
    drawn += [second.next() for _ in range(2)]

    assert drawn == sorted(drawn)
    assert len({*drawn}) == len(drawn) - 1
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize(("left_s", "may_write"), [(35.1, True), (35.0, False), (0.0, False), (-5.0, False)])
def test_no_write_is_started_with_too_little_lease_left(left_s: float, may_write: bool) -> None:
    lease = Lease(token="t", ends_at=100.0, length=timedelta(seconds=90), margin_s=35.0)

    if may_write:
        lease.require(100.0 - left_s)
    else:
        with pytest.raises(LeaseLost):
            lease.require(100.0 - left_s)


def test_a_lease_is_renewed_when_a_quarter_is_over_long_before_writes_are_refused() -> None:
    lease = Lease(token="t", ends_at=100.0, length=timedelta(seconds=80), margin_s=35.0)

    assert not lease.is_worn(40.0)
    assert lease.is_worn(40.1)
    lease.require(64.9)


async def test_a_second_puller_waits_for_the_first_and_takes_over_when_that_one_is_dead(
    azurite: str, name_prefix: str
) -> None:
    async with pulling(azurite, name_prefix, more="scope: all") as world:
        world.restart(kill_at(DurableWrite.MIRROR, Moment.AFTER))
        with pytest.raises(BaseException, match=r"^$"):
            await world.sync()
        world.restart()
        at_once = await world.sync()
        world.clock.advance(60)
        a_tick_later = await world.sync()
        world.clock.advance(LEASE_AND_SLACK_S - 60)
        in_the_end = await world.sync()
        await world.deliver()

        assert (at_once.outcome, a_tick_later.outcome, in_the_end.outcome) == ("waiting", "waiting", "pulled")
        assert world.active(APP) == everybody(world)


def at_write(write: DurableWrite, action: object, moment: Moment = Moment.AFTER) -> Observer:
    done = False

    def observe(happened: DurableWrite, at: Moment) -> None:
        nonlocal done
        if (happened, at) == (write, moment) and not done:
            done = True
            action()  # type: ignore[operator]

    return observe


@pytest.mark.parametrize(
    "write",
    [DurableWrite.PULLER_LEASE, DurableWrite.MIRROR, DurableWrite.RAISE, DurableWrite.ENQUEUE, DurableWrite.CHECKPOINT],
)
async def test_a_puller_that_slept_through_its_lease_stops_and_the_next_one_does_its_work(
    azurite: str, name_prefix: str, write: DurableWrite
) -> None:
    async with pulling(azurite, name_prefix, more="scope: all", page_size=4) as world:
        world.restart(at_write(write, lambda: world.clock.advance(LEASE_AND_SLACK_S)))
        slept = await world.sync()
        await tick(world)
        await world.settle()

        assert slept.outcome == "lease lost"
        assert world.active(APP) == everybody(world)


async def test_a_puller_whose_checkpoint_was_moved_by_another_saves_nothing(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more="scope: all") as world:
        await tick(world)
        leaver = people(world, 1)[0]
        world.tenant.disable(leaver)
        checkpoint = await checkpoint_of(world)
        checkpoints = world.services.puller.checkpoints
        firsts = await world.services.puller._read_first_pages(checkpoint)
        await checkpoints.write(DurableWrite.PULLER_LEASE, replace(checkpoint, epoch=checkpoint.epoch + 1))

        with pytest.raises(StorageConflict):
            await world.services.puller._take_lease(checkpoint, firsts, trace="")
        await tick(world)
        assert name_of(world, leaver) not in world.active(APP)


async def test_nothing_is_written_by_a_tick_that_finds_nothing(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix) as world:
        await tick(world)
        before = await checkpoint_of(world)
        report = await tick(world)

        assert report.outcome == "nothing new"
        assert await checkpoint_of(world) == before


def a_day(world: World) -> None:
    """A joiner, a mover, leavers of every kind, a group that gains and loses."""
    team = world.tenant.group_id_of("Team")
    one, two, three, four, five, six, seven, *_ = people(world, 9)
    world.tenant.update(one, jobTitle="Mover")
    world.tenant.disable(two)
    world.tenant.soft_delete(three)
    world.tenant.remove_member(team, four)
    world.tenant.add_member(team, seven)
    unassign(world, five)
    assign(world, six)
    newcomer = world.tenant.hire(accountEnabled=True, userType="Member", department=None)
    world.tenant.add_member(team, newcomer)


DEATHS = [
    (DurableWrite.PULLER_LEASE, Moment.AFTER, 1),
    *((DurableWrite.MIRROR, moment, occurrence) for moment in Moment for occurrence in (1, 4, 8)),
    *((DurableWrite.RAISE, moment, occurrence) for moment in Moment for occurrence in (1, 2, 4)),
    *((DurableWrite.ENQUEUE, Moment.AFTER, occurrence) for occurrence in (1, 4)),
    (DurableWrite.CHECKPOINT, Moment.BEFORE, 1),
    (DurableWrite.CHECKPOINT, Moment.AFTER, 2),
    (DurableWrite.GUARD_RELEASE, Moment.BEFORE, 1),
    (DurableWrite.GUARD_RELEASE, Moment.AFTER, 1),
    (DurableWrite.WATERMARK, Moment.BEFORE, 1),
    (DurableWrite.WATERMARK, Moment.AFTER, 1),
]


@pytest.mark.parametrize(("write", "moment", "occurrence"), DEATHS, ids=[f"{w.name} {m} {n}" for w, m, n in DEATHS])
async def test_a_puller_that_dies_anywhere_loses_no_change(
    azurite: str, name_prefix: str, write: DurableWrite, moment: Moment, occurrence: int
) -> None:
    async with pulling(azurite, name_prefix, users=30, page_size=4) as world:
        assign(world, world.tenant.create_group("Team", members=[*people(world, 4), *people(world, 10, 9)]))
        assign(world, people(world, 1, 4)[0])
        await tick(world)
        a_day(world)
        await killed_tick(world, kill_at(write, moment, occurrence=occurrence))
        await calm(world)

        assert world.active(APP) == expected(world)


async def test_a_change_in_the_mirror_that_was_never_raised_is_raised_although_its_content_is_equal(
    azurite: str, name_prefix: str
) -> None:
    async with pulling(azurite, name_prefix, more="scope: all") as world:
        await tick(world)
        leaver = people(world, 1)[0]
        world.tenant.disable(leaver)
        await killed_tick(world, kill_at(DurableWrite.MIRROR, Moment.AFTER))
        report = await tick(world)

        assert report.raised == {APP: 1}
        assert name_of(world, leaver) not in world.active(APP)


async def test_a_change_that_was_checkpointed_is_not_raised_again_by_a_replay(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more="scope: all") as world:
        await tick(world)
        world.tenant.update(people(world, 1)[0], jobTitle="Mover")
        first = await tick(world)
        world.graph.faults.add("replay", path="users/delta", link="delta", count=3)
        replayed = await tick(world)

        assert first.raised == {APP: 1}
        assert replayed.raised == {}


@pytest.mark.parametrize("moment", Moment)
async def test_a_departure_that_died_with_its_run_survives_a_long_round_and_another_death(
    azurite: str, name_prefix: str, moment: Moment
) -> None:
    async with pulling(azurite, name_prefix, page_size=2) as world:
        team = world.tenant.create_group("Team", members=people(world, 3))
        assign(world, team)
        leaver = people(world, 1, 4)[0]
        assign(world, leaver)
        await tick(world)
        unassign(world, leaver)
        unassign(world, team)
        await tick(world)
        world.clock.advance(CONFIRM_S)
        await killed_tick(world, kill_at(DurableWrite.RAISE, moment))
        for user_id in people(world, 8):
            world.tenant.update(user_id, jobTitle="Mover")
        await killed_tick(world, kill_at(DurableWrite.CHECKPOINT, Moment.AFTER, occurrence=2))
        await tick(world)
        await calm(world)

        assert world.active(APP) == expected(world) == set()


async def test_an_assignment_that_died_with_its_run_survives_a_run_in_which_its_list_cannot_be_read(
    azurite: str, name_prefix: str
) -> None:
    async with pulling(azurite, name_prefix) as world:
        await tick(world)
        assign(world, people(world, 1)[0])
        await killed_tick(world, kill_at(DurableWrite.RAISE, Moment.BEFORE))
        world.tenant.update(people(world, 1, 3)[0], jobTitle="Mover")
        world.graph.faults.add("server_error", path="servicePrincipals/*/appRoleAssignedTo")
        await tick(world)
        await tick(world, times=2)

        assert world.active(APP) == names_of(world, *people(world, 1))
