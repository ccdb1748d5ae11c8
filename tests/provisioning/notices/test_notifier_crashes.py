"""The process dies before and after every durable write of a notice: nothing is lost, what is told twice has one id.

Before NOTICE_TOLD is after the delivery: the receiver has it, and nobody wrote that down.
"""

from __future__ import annotations

import logging

import pytest

from shared.storage.durable_writes import DurableWrite, Moment
from tests.provisioning.crash_points import Killer, Point, Witness
from tests.provisioning.notices.telling import events, expire, lift, look, quarantine, telling
from tests.provisioning.stories import Stage
from tests.scim.server import Reply
from tests.simulation.receiver import Receiver

OWN = frozenset({DurableWrite.NOTICE_DUE, DurableWrite.NOTICE_TOLD})


async def story(stage: Stage, receiver: Receiver) -> None:
    """A quarantine that nobody hears of at first, and its end."""
    stage.begin()
    receiver.misbehaving.append(Reply(status=500))
    await quarantine(stage)
    await look(stage)
    await quarantine(stage, "WrongEndpoint")
    await look(stage)
    await lift(stage)
    await look(stage, times=5)
    stage.start()


async def test_nothing_is_lost_and_what_is_told_twice_has_one_id(azurite: str) -> None:
    expected = ["application.quarantined", "application.quarantined", "application.resumed"]
    async with telling(azurite) as (stage, receiver):
        witness = Witness()
        stage.observer = witness
        await story(stage, receiver)
        assert receiver.types == expected
        assert len(receiver.taken) == len(expected)
        points = [point for point, _ in witness.points if point.write in OWN]

        for point in points:
            receiver.taken.clear()
            killer = Killer(point)
            stage.observer = killer
            await story(stage, receiver)

            assert killer.dead, point
            assert receiver.types == expected, point
            assert all(each in receiver.told for each in receiver.taken), point
            assert len(receiver.taken) - len(expected) <= 1, point
            assert len(receiver.taken) == len(expected) or point.moment is Moment.BEFORE, point

        doubled = Point(write=DurableWrite.NOTICE_TOLD, occurrence=2, moment=Moment.BEFORE)
        receiver.taken.clear()
        stage.observer = Killer(doubled)
        await story(stage, receiver)
        assert len(receiver.taken) == len(expected) + 1
        assert receiver.taken[0] == receiver.taken[1]


@pytest.mark.parametrize(
    ("write", "moment", "times"),
    [
        pytest.param(DurableWrite.NOTICE_DUE, Moment.BEFORE, 1, id="before it is noted"),
        pytest.param(DurableWrite.NOTICE_DUE, Moment.AFTER, 1, id="noted, and not told"),
        pytest.param(DurableWrite.NOTICE_TOLD, Moment.BEFORE, 2, id="told, and not struck off"),
        pytest.param(DurableWrite.NOTICE_TOLD, Moment.AFTER, 1, id="struck off"),
    ],
)
async def test_a_telemetry_event_outlives_the_process_that_was_to_write_it(
    azurite: str, caplog: pytest.LogCaptureFixture, write: DurableWrite, moment: Moment, times: int
) -> None:
    async with telling(azurite) as (stage, receiver):
        expire(stage, 7)
        stage.observer = Killer(Point(write=write, occurrence=1, moment=moment))
        stage.begin()
        with caplog.at_level(logging.INFO):
            await look(stage, times=4)

        assert stage.deaths == 1
        assert [fields["days"] for _, fields in events(caplog, "credential.expiring")] == [7] * times
        assert receiver.types == ["credential.expiring"]
