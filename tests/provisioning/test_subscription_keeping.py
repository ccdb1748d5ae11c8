"""Subscriptions at the simulated Graph: one for each resource, whoever looks after them, and nobody else's touched."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from shared.config.settings import Settings
from shared.provisioning.subscription_keeping import CLAIM
from shared.storage.durable_writes import DurableWrite, Moment, unobserved
from shared.storage.tables import StorageUnavailable
from tests.provisioning.pulls import Killed, kill_at, pulling
from tests.simulation.graph.endpoint import Endpoint, serve_endpoint
from tests.simulation.graph.odata import ODataError
from tests.simulation.graph.reader import GraphReader
from tests.world import World

SECRET = "the secret of this test"
DAY_S = 86_400.0


@dataclass(slots=True)
class Scene:
    """A world whose Graph can ring at an endpoint, which stands for our function."""

    world: World
    endpoint: Endpoint
    settings: dict[str, str]

    async def keep(self, *, urgent: bool = False) -> bool:
        return await self.world.services.subscriptions.keep(urgent=urgent)

    async def keep_for(self, seconds: float) -> None:
        """Keeps house as often as the timer would."""
        for _ in range(round(seconds / 300.0)):
            self.world.clock.advance(300.0)
            await self.keep()

    def shown(self) -> list[dict[str, Any]]:
        return self.world.graph.subscriptions.shown()

    def resources(self) -> list[str]:
        return sorted(each["resource"] for each in self.shown())

    def ids(self) -> set[str]:
        return {each["id"] for each in self.shown()}

    def requests(self) -> list[str]:
        """Answers with what was asked about subscriptions since the last time, without ids."""
        asked = [f"{each.method} {each.path.split('/')[0]}" for each in self.world.graph.requests]
        self.world.graph.requests.clear()
        return [each for each in asked if each.endswith("subscriptions")]


@pytest.fixture
async def scene(azurite: str, name_prefix: str) -> AsyncIterator[Scene]:
    with serve_endpoint() as endpoint:
        settings = {"NOTIFICATION_URL": endpoint.url, "NOTIFICATION_CLIENT_STATE": SECRET}
        async with pulling(azurite, name_prefix, environment=settings) as world:
            yield Scene(world, endpoint, settings)


def subscribe(scene: Scene, **changes: str) -> str:
    """Makes a subscription at Graph as any other program could, and answers with its id."""
    document = {
        "changeType": "updated",
        "notificationUrl": f"{scene.endpoint.url}/elsewhere",
        "resource": "users",
        "expirationDateTime": (scene.world.clock.now() + timedelta(days=2)).isoformat(),
    }
    with GraphReader(scene.world.graph.base_url) as reader:
        answer = reader.send("POST", "subscriptions", document | changes)
    return str(answer.json()["id"])


async def test_one_subscription_for_users_and_one_for_groups_is_made_once(scene: Scene):
    await scene.keep()
    made = scene.requests()
    await scene.keep()
    await scene.keep()

    assert made == ["GET subscriptions", "POST subscriptions", "POST subscriptions"]
    assert scene.requests() == []
    assert scene.resources() == ["/groups", "/users"]
    assert {each["changeType"] for each in scene.shown()} == {"deleted,updated"}
    url = f"{scene.endpoint.url}/api/notified"
    assert {(each["notificationUrl"], each["lifecycleNotificationUrl"]) for each in scene.shown()} == {(url, url)}


async def test_what_changes_rings_with_our_secret(scene: Scene):
    await scene.keep()

    user_id = scene.world.tenant.user_ids()[0]
    scene.world.tenant.update(user_id, jobTitle="Astronaut")
    scene.world.graph.subscriptions.settle()

    assert [each["clientState"] for each in scene.endpoint.notices] == [SECRET]


async def test_they_are_renewed_a_week_before_they_end_and_live_for_ever(scene: Scene):
    await scene.keep()
    first, made = scene.ids(), scene.requests()

    for _ in range(100):
        scene.world.clock.advance(DAY_S)
        await scene.keep()

    asked = scene.requests()
    assert made.count("POST subscriptions") == 2
    assert scene.ids() == first
    assert asked.count("POST subscriptions") == 0
    assert asked.count("PATCH subscriptions") == 2 * (100 // 22)


async def test_one_that_was_lost_is_made_again(scene: Scene):
    await scene.keep()
    [lost] = [each["id"] for each in scene.shown() if each["resource"] == "/users"]
    with GraphReader(scene.world.graph.base_url) as reader:
        reader.send("DELETE", f"subscriptions/{lost}")

    scene.world.clock.advance(DAY_S)
    await scene.keep()

    assert scene.resources() == ["/groups", "/users"]
    assert lost not in scene.ids()


async def test_graph_says_that_one_is_gone_and_it_is_made_again_at_once(scene: Scene):
    await scene.keep()
    [lost] = [each["id"] for each in scene.shown() if each["resource"] == "/groups"]
    with GraphReader(scene.world.graph.base_url) as reader:
        reader.send("DELETE", f"subscriptions/{lost}")

    await scene.keep(urgent=True)

    assert scene.resources() == ["/groups", "/users"]


async def test_graph_asks_for_a_new_authorization_and_both_are_renewed_once(scene: Scene):
    await scene.keep()
    scene.world.clock.advance(DAY_S)
    scene.requests()

    await scene.keep(urgent=True)
    await scene.keep(urgent=True)

    assert scene.requests().count("PATCH subscriptions") == 2


@pytest.mark.parametrize("failing", ["GET", "PATCH"])
async def test_what_graph_asked_for_once_is_done_although_it_failed_at_first(scene: Scene, failing: str):
    await scene.keep()
    scene.world.clock.advance(DAY_S)
    await scene.keep()
    scene.requests()
    path = "subscriptions" if failing == "GET" else "subscriptions/*"
    scene.world.graph.faults.add("server_error", path=path, status=500)

    await scene.keep(urgent=True)
    scene.world.restart()
    await scene.keep_for(3600.0)

    # The one that failed is asked for twice.
    assert scene.requests().count("PATCH subscriptions") == (2 if failing == "GET" else 3)
    await scene.keep_for(3600.0)
    assert scene.requests().count("PATCH subscriptions") == 0


async def test_what_graph_asks_for_while_somebody_else_is_at_it_is_not_saved(scene: Scene):
    await scene.keep()
    scene.world.clock.advance(DAY_S)
    scene.world.restart(kill_at(DurableWrite.SUBSCRIPTION_CLAIM))
    with suppress(Killed):
        await scene.keep()
    scene.world.restart()
    scene.requests()

    assert await scene.keep(urgent=True) is False
    assert await scene.keep() is True
    assert scene.requests() == []
    scene.world.clock.advance(301.0)
    assert await scene.keep(urgent=True) is True
    assert scene.requests().count("PATCH subscriptions") == 2


async def test_what_graph_asked_for_outlives_the_process_that_wrote_it_down(scene: Scene):
    await scene.keep()
    scene.world.clock.advance(DAY_S)
    scene.world.restart(kill_at(DurableWrite.SUBSCRIPTION_CLAIM))
    with suppress(Killed):
        await scene.keep(urgent=True)
    scene.world.restart()
    scene.requests()

    await scene.keep_for(3600.0)

    assert scene.requests().count("PATCH subscriptions") == 2


async def test_what_storage_did_not_take_is_not_saved(scene: Scene):
    await scene.keep()
    scene.world.clock.advance(DAY_S)
    scene.world.restart(kill_at(DurableWrite.SUBSCRIPTION_CLAIM, Moment.BEFORE, failure=StorageUnavailable))

    assert await scene.keep(urgent=True) is False
    assert await scene.keep(urgent=True) is True


async def test_what_graph_asks_for_while_the_secret_cannot_be_read_is_done_when_it_can(scene: Scene):
    await scene.keep()
    scene.world.clock.advance(3600.0)
    reconfigure(scene, NOTIFICATION_CLIENT_STATE="@Microsoft.KeyVault(SecretUri=https://v/secrets/x)")
    scene.requests()

    assert await scene.keep(urgent=True) is True
    asked = scene.requests()
    reconfigure(scene)
    await scene.keep()

    assert asked == []
    assert scene.requests().count("PATCH subscriptions") == 2


@pytest.mark.parametrize("kind", ["throttle", "server_error"])
async def test_however_often_graph_asks_it_is_left_alone_as_long_as_it_wants(scene: Scene, kind: str):
    await scene.keep()
    scene.world.clock.advance(3600.0)
    scene.world.graph.faults.add(kind, path="subscriptions", retry_after="3600" if kind == "throttle" else None)
    scene.requests()

    for _ in range(10):
        await scene.keep(urgent=True)
    asked = scene.requests()
    await scene.keep_for(3300.0 if kind == "throttle" else 0.0)
    meanwhile = scene.requests()
    await scene.keep_for(600.0)

    assert (asked, meanwhile) == (["GET subscriptions"], [])
    assert scene.requests() == ["GET subscriptions", "PATCH subscriptions", "PATCH subscriptions"]


async def test_a_pause_for_one_resource_is_one_for_the_other(scene: Scene):
    scene.world.graph.faults.add("throttle", path="subscriptions", retry_after="3600", after=1)

    await scene.keep()
    asked = scene.requests()
    await scene.keep_for(3000.0)
    meanwhile = scene.requests()
    await scene.keep_for(900.0)

    assert (asked, meanwhile) == (["GET subscriptions", "POST subscriptions"], [])
    assert scene.resources() == ["/groups", "/users"]


async def test_a_pass_ends_before_its_claim_and_what_it_did_not_do_waits(
    scene: Scene, caplog: pytest.LogCaptureFixture
):
    keeper = scene.world.services.subscriptions
    assert keeper.pass_s <= CLAIM.total_seconds() - 60.0
    keeper.pass_s = 0.0

    await scene.keep(urgent=True)
    keeper.pass_s = 240.0
    await scene.keep()
    meanwhile = scene.resources()
    await scene.keep_for(600.0)

    assert "took too long" in told("subscription.failed", caplog)
    assert meanwhile == []
    assert scene.resources() == ["/groups", "/users"]


async def test_two_processes_make_no_duplicate(scene: Scene):
    one = scene.world.services
    other = scene.world.new_services(unobserved)

    await asyncio.gather(*(each.subscriptions.keep() for each in (one, other) for _ in range(3)))

    assert scene.resources() == ["/groups", "/users"]
    assert scene.requests().count("POST subscriptions") == 2


async def test_duplicates_are_removed_and_others_stay(scene: Scene):
    await scene.keep()
    kept = scene.ids()
    foreign = subscribe(scene)
    duplicate = subscribe(scene, notificationUrl=f"{scene.endpoint.url}/api/notified")

    scene.world.clock.advance(DAY_S)
    await scene.keep()

    assert duplicate not in scene.ids()
    assert scene.ids() == kept | {foreign}


async def test_another_secret_replaces_them_and_leaves_nobody_behind(scene: Scene):
    await scene.keep()
    before = scene.ids()
    scene.settings["NOTIFICATION_CLIENT_STATE"] = "another secret than before"
    reconfigure(scene)

    await scene.keep()
    scene.world.tenant.update(scene.world.tenant.user_ids()[0], jobTitle="Astronaut")
    scene.world.graph.subscriptions.settle()

    assert scene.resources() == ["/groups", "/users"]
    assert scene.ids().isdisjoint(before)
    assert [each["clientState"] for each in scene.endpoint.notices] == ["another secret than before"]


async def test_switched_off_they_are_taken_back_and_others_stay(scene: Scene):
    await scene.keep()
    foreign = subscribe(scene)
    reconfigure(scene, NOTIFICATION_CLIENT_STATE="")

    await scene.keep()
    scene.requests()
    await scene.keep()

    assert scene.ids() == {foreign}
    assert scene.requests() == []


async def test_a_secret_that_cannot_be_read_leaves_them_as_they_are(scene: Scene):
    await scene.keep()
    before = scene.ids()
    reconfigure(scene, NOTIFICATION_CLIENT_STATE="@Microsoft.KeyVault(SecretUri=https://v/secrets/x)")

    for _ in range(3):
        await scene.keep()

    assert scene.ids() == before


async def test_without_the_permission_for_groups_users_are_announced_and_somebody_is_told(
    scene: Scene, caplog: pytest.LogCaptureFixture
):
    refuse_groups(scene)

    await scene.keep()
    await scene.keep()

    assert scene.resources() == ["/users"]
    assert scene.requests().count("POST subscriptions") == 2
    assert "Group.Read.All" in told("subscription.failed", caplog)
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("Authorization_RequestDenied", {"Group.Read.All": True, "quota": False}),
        ("ExtensionError", {"Group.Read.All": True, "quota": True}),
    ],
)
async def test_a_quota_that_is_used_up_is_not_told_as_a_permission(
    scene: Scene, caplog: pytest.LogCaptureFixture, code: str, says: dict[str, bool]
):
    refuse_groups(scene, code)

    await scene.keep()

    line = told("subscription.failed", caplog)
    assert {word: word in line for word in says} == says


async def test_a_graph_that_fails_is_left_alone_for_a_while(scene: Scene):
    scene.world.graph.faults.add("server_error", path="subscriptions", times=None)
    await scene.keep()
    for _ in range(12):
        scene.world.clock.advance(300.0)
        await scene.keep()
    asked = len(scene.requests())
    scene.world.graph.faults.clear()
    scene.world.clock.advance(DAY_S)
    await scene.keep()

    assert asked == 4
    assert scene.resources() == ["/groups", "/users"]


async def test_an_address_that_nobody_answers_at_is_told_and_harms_nothing(
    scene: Scene, caplog: pytest.LogCaptureFixture
):
    scene.endpoint.handshake = "refusing"

    await scene.world.services.housekeeper.keep_house()
    scene.endpoint.handshake = "faithful"
    scene.world.clock.advance(DAY_S)
    await scene.world.services.housekeeper.keep_house()

    assert "ValidationError" in told("subscription.failed", caplog)
    assert scene.resources() == ["/groups", "/users"]


async def test_storage_that_fails_harms_nothing(scene: Scene, caplog: pytest.LogCaptureFixture):
    scene.world.restart(kill_at(DurableWrite.SUBSCRIPTION_CLAIM, Moment.BEFORE, failure=StorageUnavailable))

    await scene.keep()
    await scene.keep()

    assert told("subscription.failed", caplog)
    assert scene.resources() == ["/groups", "/users"]


@pytest.mark.parametrize("write", [DurableWrite.SUBSCRIPTION_CLAIM, DurableWrite.SUBSCRIPTION_SAVE])
@pytest.mark.parametrize("moment", Moment)
async def test_a_process_that_dies_leaves_one_of_each_in_the_end(scene: Scene, write: DurableWrite, moment: Moment):
    foreign = subscribe(scene)
    scene.world.restart(kill_at(write, moment))
    with suppress(Killed):
        await scene.keep()
    scene.world.restart()

    await scene.keep()
    scene.world.clock.advance(400.0)
    await scene.keep()

    ours = [each["resource"] for each in scene.shown() if each["id"] != foreign]
    assert sorted(ours) == ["/groups", "/users"]
    assert foreign in scene.ids()


def reconfigure(scene: Scene, **changes: str) -> None:
    """A new process with other settings."""
    services = scene.world.new_services(unobserved)
    loaded = Settings.load({**services.settings.environment, **scene.settings, **changes})
    services.settings = replace(services.settings, notifications=loaded.notifications)
    scene.world.services = services


def refuse_groups(scene: Scene, code: str = "Authorization_RequestDenied") -> None:
    """Lets Graph refuse whoever subscribes to groups."""
    create = scene.world.graph.subscriptions._create

    def refusing(payload: dict[str, Any]) -> Any:
        if payload["resource"] == "/groups":
            raise ODataError(403, code, "Insufficient privileges to complete the operation.")
        return create(payload)

    scene.world.graph.subscriptions._create = refusing  # type: ignore[method-assign]


def told(start: str, caplog: pytest.LogCaptureFixture) -> str:
    """Answers with the first line of the log that holds a text."""
    return next(each.message for each in caplog.records if start in each.message)
