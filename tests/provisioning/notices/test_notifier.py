"""People are told, at a real receiver: once each and in order, however often somebody looks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from shared.operations.webhook_report import send_test
from shared.provisioning.accounts import ACCOUNTS, ResourceKind, account_key
from shared.provisioning.attempt import Outcome, OutcomeKind
from shared.provisioning.guard import staged_key
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation, StorageUnavailable
from tests.provisioning.notices.telling import LOOK_S, events, expire, lift, look, quarantine, telling
from tests.provisioning.stories import APP, Scenery, Stage, open_stage
from tests.scim.server import Reply
from tests.simulation.receiver import Receiver

Scene = tuple[Stage, Receiver]


@pytest.fixture
async def scene(azurite: str) -> AsyncIterator[Scene]:
    async with telling(azurite) as opened:
        yield opened


async def test_every_change_of_status_is_told_once(scene: Scene) -> None:
    stage, receiver = scene
    states = stage.world.services.states

    for deed in (
        lambda: quarantine(stage),
        lambda: quarantine(stage),
        lambda: quarantine(stage, "WrongEndpoint"),
        lambda: lift(stage),
        lambda: states.pause(APP, "maintenance"),
        lambda: states.resume(APP),
    ):
        await deed()
        await look(stage, times=3)

    assert [(each["type"], each["data"]) for each in receiver.taken] == [
        ("application.quarantined", {"reason": "Unauthorized"}),
        ("application.quarantined", {"reason": "WrongEndpoint", "previous": "Unauthorized"}),
        ("application.resumed", {"after": "WrongEndpoint"}),
        ("application.paused", {"reason": "PausedByPerson"}),
        ("application.resumed", {"after": "PausedByPerson"}),
    ]
    assert receiver.forged == 0


async def test_what_happened_while_nobody_looked_is_told_in_order(scene: Scene) -> None:
    stage, receiver = scene
    await quarantine(stage)
    await lift(stage)
    await stage.world.services.states.pause(APP, "maintenance")

    await look(stage)

    assert receiver.types == ["application.quarantined", "application.resumed", "application.paused"]
    assert len(receiver.requests) == 3


async def test_a_hold_is_told_when_it_begins_and_when_a_person_answered(azurite: str) -> None:
    async with telling(azurite, small_guard=True) as (stage, receiver):
        people = [await stage.provisioned() for _ in range(3)]
        for person in people[:2]:
            stage.tenant.disable(person)
        await stage.settle()
        await look(stage, times=2)
        assert [(each["type"], each["data"]["count"]) for each in receiver.taken] == [("deletions.held", 2)]

        stage.tenant.disable(people[2])
        await stage.settle()
        await look(stage)
        assert len(receiver.taken) == 1

        seen = receiver.taken[0]["data"]["list_number"]
        await stage.world.services.held_deletions.approve(stage.application, seen)
        await look(stage, times=2)
        assert [(each["type"], each["data"].get("count")) for each in receiver.taken[1:]] == [
            ("deletions.settled", None),
            ("deletions.held", 1),
        ]
        assert receiver.taken[1]["data"]["list_number"] == seen

        stage.tenant.enable(people[2])
        await stage.settle()
        assert receiver.types[3:] == ["deletions.settled"]


async def test_a_look_at_a_hold_of_hundreds_costs_few_requests_and_a_quiet_sync_looks_at_none(azurite: str) -> None:
    async with telling(azurite, small_guard=True) as (stage, receiver):
        tables = stage.world.services.tables
        number = "0000000001.00000001.000"
        staged: list[Operation] = []
        for at in range(300):
            key = account_key(ResourceKind.USER, f"{at:08d}-0000-0000-0000-000000000000")
            columns = {"wanted": number, "staged": number, "pending": True, "target_id": f"t{at}", "state": "in_sync"}
            staged += [Operation.merge(key, columns), Operation.merge(staged_key(key), {"number": number})]
        await tables.commit_all(DurableWrite.RAISE, ACCOUNTS, APP, staged)
        await stage.world.services.guard.release(stage.application)

        tables.calls.clear()
        await look(stage)
        looked = tables.calls.copy()
        tables.calls.clear()
        quiet = await stage.world.sync()

        assert [(each["type"], each["data"]["count"]) for each in receiver.taken] == [("deletions.held", 300)]
        assert looked["accounts query"] + looked["accounts read"] <= 4
        assert quiet.outcome == "nothing new"
        assert not any(call.startswith("accounts") for call in tables.calls)


async def test_a_consumer_that_meets_refused_credentials_tells_at_once(scene: Scene) -> None:
    stage, receiver = scene
    notifier = stage.world.services.notifier
    await quarantine(stage)

    await notifier.heed(APP, Outcome(kind=OutcomeKind.DONE, reason=""))
    assert receiver.types == []
    outcome = Outcome(kind=OutcomeKind.QUARANTINED, reason="Unauthorized")
    await asyncio.gather(*(notifier.heed(APP, outcome) for _ in range(24)))

    assert [each["type"] for each in receiver.taken] == ["application.quarantined"]
    await notifier.heed("unknown", outcome)
    assert len(receiver.requests) == 1


async def test_an_expiring_credential_is_told_by_webhook_and_by_telemetry(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    stage, receiver = scene
    expire(stage, 20)
    with caplog.at_level(logging.INFO):
        for _ in range(22):
            await stage.keep_house()
            stage.world.clock.advance(24 * 3600)

    told = [(each["type"], each["data"]["days"]) for each in receiver.taken]
    expiring = [("credential.expiring", days) for days in (20, 14, 7, 3, 1, 0)]
    assert told == [*expiring, ("credential.expired", -1)]
    names = ("credential.expiring", "credential.expired")
    assert [(name, fields["days"]) for name, fields in events(caplog, *names)] == told


async def test_a_credential_is_told_to_the_log_although_the_receiver_is_dead(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    stage, receiver = scene
    receiver.always = Reply(status=429, headers={"Retry-After": "21600"})
    await quarantine(stage)
    await look(stage)
    expire(stage, 3)
    with caplog.at_level(logging.INFO):
        await look(stage, times=5)

    assert [name for name, _ in events(caplog, "credential.expiring")] == ["credential.expiring"]
    assert len(receiver.requests) == 1
    receiver.behave()
    stage.world.clock.advance(21600)
    await look(stage)
    assert receiver.types == ["application.quarantined", "credential.expiring"]


async def next_morning(stage: Stage) -> None:
    """Housekeeping an hour before the digest, and at its time."""
    now = stage.world.clock.now()
    five = now.replace(hour=5, minute=0, second=0) + timedelta(days=1)
    for at in (five, five + timedelta(hours=1), five + timedelta(hours=1, minutes=5)):
        stage.world.clock.advance((at - stage.world.clock.now()).total_seconds())
        await stage.keep_house()


async def test_a_digest_comes_once_a_day_when_something_is_stuck(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    stage, receiver = scene
    await stage.provisioned()
    await next_morning(stage)
    assert receiver.types == []

    stage.acme.faults.add("error", status=400, method="POST", times=None)
    for _ in range(2):
        stage.hire()
    await stage.sync()
    await stage.deliver()
    with caplog.at_level(logging.INFO):
        await next_morning(stage)
        await next_morning(stage)

    assert receiver.types == ["digest", "digest"]
    first = receiver.taken[0]
    assert sum(first["data"]["escrowed"].values()) == 2
    assert first["text"].startswith("acme: stuck: 2 in escrow (")
    assert [(name, fields["escrowed"], fields["held"]) for name, fields in events(caplog, "digest.stuck")] == [
        ("digest.stuck", 2, 0)
    ] * 2


async def test_who_waits_for_more_than_an_hour_is_in_the_digest_and_who_joined_since_is_not(scene: Scene) -> None:
    stage, receiver = scene
    await stage.world.services.states.pause(APP, "maintenance")
    await look(stage)
    stage.hire()
    await stage.sync()
    now = stage.world.clock.now()
    five = now.replace(hour=5, minute=0, second=0) + timedelta(days=1)
    stage.world.clock.advance((five - now).total_seconds())
    await stage.keep_house()
    stage.hire()
    await stage.sync()
    stage.world.clock.advance(3600)
    await stage.keep_house()

    digest = receiver.taken[-1]
    assert (digest["type"], digest["data"]["pending"]) == ("digest", 1)
    assert digest["data"]["stopped"] == ""

    await next_morning(stage)
    digest = receiver.taken[-1]
    assert (digest["data"]["pending"], digest["data"]["stopped"]) == (2, "Paused")


async def test_a_receiver_that_refuses_is_asked_again_after_growing_waits(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    stage, receiver = scene
    receiver.always = Reply(status=500)
    await quarantine(stage)
    asked: list[int] = []
    with caplog.at_level(logging.INFO):
        for minute in range(130):
            before = len(receiver.requests)
            await look(stage)
            asked += [minute] * (len(receiver.requests) - before)

    assert asked == [0, 1, 3, 7, 15, 31, 63, 127]
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1
    failed, overdue = events(caplog, "notice.failed"), events(caplog, "notice.overdue")
    assert [fields["attempts"] for _, fields in failed] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert {fields["status"] for _, fields in failed} == {500}
    assert len(overdue) == 2

    receiver.behave()
    await lift(stage)
    await look(stage)
    assert receiver.types == ["application.quarantined", "application.resumed"]


async def test_a_retry_after_is_obeyed(scene: Scene) -> None:
    stage, receiver = scene
    receiver.misbehaving.append(Reply(status=429, headers={"Retry-After": "600"}))
    await quarantine(stage)
    await look(stage, times=10)
    await lift(stage)
    assert len(receiver.requests) == 1

    await look(stage)

    assert receiver.types == ["application.quarantined", "application.resumed"]


async def test_a_receiver_that_never_answers_stops_nothing(scene: Scene) -> None:
    stage, receiver = scene
    receiver.hangs = True
    stage.world.services.webhooks._timeout_s = 0.1
    await quarantine(stage)
    await look(stage)
    user_id = stage.hire()
    stage.world.clock.advance(60)

    await stage.settle()

    assert stage.should_be_active(user_id)
    assert await stage.findings() == []
    assert receiver.taken == []
    assert len(receiver.requests) >= 2

    receiver.behave()
    stage.world.clock.advance(6 * 3600)
    await look(stage)
    assert receiver.types == ["application.quarantined", "application.resumed"]


async def test_a_slow_receiver_gets_what_fits_and_the_rest_with_the_next_look(scene: Scene) -> None:
    stage, receiver = scene
    receiver.arrived = lambda _notice: stage.world.clock.advance(6)
    for _ in range(3):
        await quarantine(stage)
        stage.world.clock.advance(1)
        await lift(stage)
        stage.world.clock.advance(1)

    taken: list[int] = []
    for _ in range(4):
        await look(stage)
        taken.append(len(receiver.taken))

    assert taken == [2, 4, 6, 6]
    assert len(receiver.told) == 6


async def test_two_processes_at_once_tell_it_once(azurite: str) -> None:
    async with telling(azurite) as (stage, receiver):
        services = [stage.world.services]
        stage.start()
        services.append(stage.world.services)
        for deed in (quarantine, lift, quarantine, lift):
            await deed(stage)
            stage.world.clock.advance(1)
            await asyncio.gather(*(each.notifier.tell_news() for each in services for _ in range(3)))
            stage.world.clock.advance(LOOK_S)

        assert [each["type"] for each in receiver.taken] == ["application.quarantined", "application.resumed"] * 2


async def test_storage_that_does_not_answer_stops_nobody(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    stage, receiver = scene
    await quarantine(stage)
    tables: Any = stage.world.services.tables
    read = tables.read

    async def unavailable(*_: Any) -> None:
        raise StorageUnavailable("not now")

    tables.read = unavailable
    with caplog.at_level(logging.INFO):
        await stage.world.services.notifier.tell_news()
        await stage.world.services.notifier.tell_everything()
    tables.read = read
    await look(stage)

    assert {fields["problem"] for _, fields in events(caplog, "notice.failed")} == {"storage_unavailable"}
    assert receiver.types == ["application.quarantined"]


async def test_what_a_look_costs(scene: Scene) -> None:
    stage, _ = scene
    tables = stage.world.services.tables
    tables.calls.clear()

    await look(stage)

    assert tables.calls == {"applications read": 2, "accounts read": 1, "accounts query": 1}


async def test_an_application_without_a_webhook_costs_the_sync_nothing_and_is_told_by_telemetry(
    azurite: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_stage(azurite, Scenery()) as stage:
        notifier, tables = stage.world.services.notifier, stage.world.services.tables
        await quarantine(stage)
        expire(stage, 3)
        tables.calls.clear()
        await notifier.tell_news()
        assert not tables.calls

        with caplog.at_level(logging.INFO):
            for _ in range(3):
                await notifier.tell_everything()

        assert [name for name, _ in events(caplog, "credential.expiring", "notice.delivered", "notice.failed")] == [
            "credential.expiring"
        ]
        assert (await notifier.rows.read(APP)).waiting == ()


async def test_a_test_notice_says_what_the_receiver_said(scene: Scene) -> None:
    stage, receiver = scene
    notifier = stage.world.services.notifier

    good = await send_test(stage.application, notifier=notifier)
    again = await send_test(stage.application, notifier=notifier)
    receiver.always = Reply(status=403, body=b"s3cret words")
    refused = await send_test(stage.application, notifier=notifier)

    assert (good.ok, good.status, good.problem, good.advice) == (True, 200, "", "")
    assert (again.ok, receiver.types) == (True, ["test", "test"])
    assert (refused.ok, refused.status, refused.problem) == (False, 403, "refused")
    assert refused.advice
    assert "s3cret" not in repr(refused)
    assert (await notifier.rows.read(APP)).attempts == 0
