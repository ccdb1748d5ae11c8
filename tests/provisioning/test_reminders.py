"""What a person must mend is told by housekeeping at once, then daily, and anew by a new process."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta

import pytest

from shared.provisioning.checkpoint import Checkpoint, StreamState
from shared.provisioning.reminders import STALE_AFTER, watermark_age
from shared.telemetry import Event
from tests.provisioning.pulls import APP, pulling
from tests.world import World

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
DAY_S = 86400.0


def told(caplog: pytest.LogCaptureFixture, event: Event) -> list[dict[str, object]]:
    """Answers with the fields of every event of a kind, and forgets them."""
    found = [each.getMessage().partition(" ") for each in caplog.records if each.name == "provisioner"]
    caplog.clear()
    return [json.loads(fields) for name, _, fields in found if name == event]


@pytest.fixture(autouse=True)
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="provisioner")


@pytest.mark.parametrize(
    ("saved", "age"),
    [
        pytest.param({}, None, id="never read"),
        pytest.param({"users": 1, "groups": 5}, 5, id="the stream that lags most"),
        pytest.param({"users": 2, "groups": None}, 2, id="a stream that was never saved says nothing"),
        pytest.param({"users": 2, "assigned-acme": 400}, 2, id="a list of assignments moves only with an assignment"),
    ],
)
def test_the_age_of_the_watermark(saved: dict[str, int | None], age: int | None):
    streams = {
        name: StreamState(saved_at=None if hours is None else NOW - timedelta(hours=hours))
        for name, hours in saved.items()
    }

    found = watermark_age(Checkpoint(streams=streams), NOW)

    assert found == (None if age is None else timedelta(hours=age))


async def keep_house(world: World, *, after_s: float = 0.0) -> None:
    world.clock.advance(after_s)
    await world.services.housekeeper.keep_house()


async def test_a_missing_setting_is_told_at_once_then_daily_and_by_a_new_process(azurite, name_prefix, caplog):
    async with pulling(azurite, name_prefix, environment={"ACME_TOKEN": ""}) as world:
        at_import = told(caplog, Event.SETTING_MISSING)
        await keep_house(world)
        first = told(caplog, Event.SETTING_MISSING)
        await keep_house(world, after_s=300)
        soon = told(caplog, Event.SETTING_MISSING)
        await keep_house(world, after_s=DAY_S)
        next_day = told(caplog, Event.SETTING_MISSING)
        world.restart()
        await keep_house(world)
        restarted = told(caplog, Event.SETTING_MISSING)

    assert at_import == soon == []
    assert first == next_day == restarted
    assert first == [{"application": APP, "key": "auth.token", "setting": "ACME_TOKEN", "unresolved": False}]


async def test_a_secret_of_notifications_that_cannot_be_read_is_told_like_any_other(azurite, name_prefix, caplog):
    unread = {"NOTIFICATION_URL": "https://app.example", "NOTIFICATION_CLIENT_STATE": "@Microsoft.KeyVault(x)"}
    async with pulling(azurite, name_prefix, environment=unread) as world:
        await keep_house(world)
        first = told(caplog, Event.SETTING_MISSING)
        await keep_house(world, after_s=300)
        soon = told(caplog, Event.SETTING_MISSING)
        await keep_house(world, after_s=DAY_S)
        next_day = told(caplog, Event.SETTING_MISSING)

    assert soon == []
    assert first == next_day
    assert first == [{"application": "", "key": "", "setting": "NOTIFICATION_CLIENT_STATE", "unresolved": True}]


async def test_a_watermark_older_than_three_days_is_told_daily_until_it_moves(azurite, name_prefix, caplog):
    async with pulling(azurite, name_prefix) as world:
        await world.sync()
        await keep_house(world, after_s=STALE_AFTER.total_seconds())
        in_time = told(caplog, Event.DIRECTORY_STALE)
        await keep_house(world, after_s=300)
        late = told(caplog, Event.DIRECTORY_STALE)
        await keep_house(world, after_s=300)
        soon = told(caplog, Event.DIRECTORY_STALE)
        await keep_house(world, after_s=DAY_S)
        next_day = told(caplog, Event.DIRECTORY_STALE)
        await world.sync()
        await keep_house(world, after_s=DAY_S)
        moved = told(caplog, Event.DIRECTORY_STALE)

    assert in_time == soon == moved == []
    assert [late, next_day] == [[{"age_h": 72}], [{"age_h": 96}]]
