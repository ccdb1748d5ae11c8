"""Timers run on one host, once for what was missed, and remember."""

import contextlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient

from tests.simulation.host.schedules import Schedule
from tests.simulation.host.timers import NEVER, TimerStatus, status_at_start
from tests.simulation.tests.sample_host import SampleHost, eventually

HOURLY = Schedule.parse("0 0 * * * *")
NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
TEN = NOW.replace(hour=10, minute=0)


@pytest.fixture
def sample(azurite: str, name_prefix: str, tmp_path: Path) -> SampleHost:
    return SampleHost(storage=azurite, prefix=name_prefix, folder=tmp_path, settings={})


@pytest.mark.parametrize(
    ("remembered", "next_at"),
    [
        pytest.param(None, NOW.replace(hour=13, minute=0), id="a new timer waits for its time"),
        pytest.param(
            TimerStatus(last=TEN, next=TEN + timedelta(hours=1), last_updated=TEN),
            TEN + timedelta(hours=1),
            id="one that missed runs is due",
        ),
        pytest.param(
            TimerStatus(last=NEVER, next=TEN + timedelta(hours=1), last_updated=TEN),
            TEN + timedelta(hours=1),
            id="one that never ran and missed its first run is due",
        ),
        pytest.param(
            TimerStatus(last=TEN, next=TEN + timedelta(minutes=5), last_updated=TEN),
            NOW.replace(hour=13, minute=0),
            id="one whose schedule was changed is not",
        ),
    ],
)
def test_what_is_due_at_a_start(remembered: TimerStatus | None, next_at: datetime) -> None:
    assert status_at_start(HOURLY, remembered, NOW).next == next_at.replace(second=0)


def test_many_missed_runs_are_one_late_run(sample: SampleHost) -> None:
    last = datetime.now(UTC) - timedelta(hours=5)
    remember(sample, TimerStatus(last=last, next=HOURLY.next_after(last), last_updated=last))

    with sample.start(TICK_SCHEDULE=HOURLY.expression):
        ran = eventually(lambda: sample.notes("tick"))
        written = eventually(lambda: recall(sample).last > last)
    with sample.start(TICK_SCHEDULE=HOURLY.expression):
        pass

    assert ran
    assert written
    assert [(note["past_due"], note["has_status"]) for note in sample.notes("tick")] == [(True, True)]


def test_a_new_timer_does_not_run_at_once(sample: SampleHost) -> None:
    with sample.start(TICK_SCHEDULE=HOURLY.expression):
        remembered = eventually(lambda: recall(sample).next > datetime.now(UTC))

    assert remembered
    assert not sample.notes("tick")


def test_two_hosts_share_one_timer_and_the_second_takes_over(sample: SampleHost) -> None:
    schedule = {"TICK_SCHEDULE": "* * * * * *"}
    with sample.start(**schedule) as first, sample.start(**schedule) as second:
        assert eventually(lambda: len(sample.notes("tick")) >= 3)
        before = {note["pid"] for note in sample.notes("tick")}
        first.stop()
        taken_over = eventually(lambda: sample.notes("tick", pid=second.pid))

    assert before == {first.pid}
    assert taken_over


def remember(sample: SampleHost, status: TimerStatus) -> None:
    """Writes what a host would find of an earlier one."""
    with BlobServiceClient.from_connection_string(sample.storage) as service:
        container = service.get_container_client("azure-webjobs-hosts")
        with contextlib.suppress(ResourceExistsError):
            container.create_container()
        container.upload_blob(f"timers/{sample.prefix}/tick/status", json.dumps(status.as_json()))


def recall(sample: SampleHost) -> TimerStatus:
    """Answers with what a host left; never and never if it left nothing."""
    with BlobServiceClient.from_connection_string(sample.storage) as service:
        blob = service.get_blob_client("azure-webjobs-hosts", f"timers/{sample.prefix}/tick/status")
        if not blob.exists():
            return TimerStatus(last=NEVER, next=NEVER, last_updated=NEVER)
        return TimerStatus.from_json(json.loads(blob.download_blob().readall()))
