"""Storage's clock as its answers tell it: the truth is never excluded, and a wrong clock is corrected or not used."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta

import pytest
from azure.data.tables.aio import TableServiceClient
from hypothesis import given
from hypothesis import strategies as st

from shared.clock import Clock
from shared.config.settings import Settings
from shared.storage.connections import connect_tables
from shared.storage.durable_writes import DurableWrite
from shared.storage.service_clock import DRIFT, FRESH_S, LOST_S, Reading, ServiceClock, bounds_after, read_headers
from shared.storage.tables import Operation, Tables

START = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
EPOCH = START.timestamp()
DATE = "Sat, 21 Nov 2026 08:00:00 GMT"
ETAG = "W/\"datetime'2026-11-21T08%3A00%3A00.1234567Z'\""


class WrongClock(Clock):
    """Moved by hand, and wrong by `offset` seconds; `drift` is what its monotonic clock gains a second."""

    __slots__ = ("drift", "elapsed", "offset")

    def __init__(self, offset: float = 0.0, drift: float = 0.0) -> None:
        for name, value in (("offset", offset), ("drift", drift), ("elapsed", 0.0)):
            object.__setattr__(self, name, value)

    def now(self) -> datetime:
        return START + timedelta(seconds=self.elapsed + self.offset)

    def monotonic(self) -> float:
        return 1000.0 + self.elapsed * (1 + self.drift)

    def advance(self, seconds: float) -> None:
        object.__setattr__(self, "elapsed", self.elapsed + seconds)

    def error_of(self, told: datetime) -> float:
        """Answers with how far an instant is from true time, in seconds."""
        return (told - START).total_seconds() - self.elapsed


def write(clock: WrongClock, *, there_s: float, back_s: float, resolution_s: float = 0.001) -> Reading:
    """One request whose answer carries the instant of the write."""
    asked_at = clock.monotonic()
    clock.advance(there_s)
    written = EPOCH + clock.elapsed
    clock.advance(back_s)
    cut = written - written % resolution_s
    return Reading(
        earliest=cut, latest=cut + resolution_s, asked_at=asked_at, answered_at=clock.monotonic(), is_sharp=True
    )


LEGS = st.floats(min_value=0.0, max_value=0.2)


@given(
    offset=st.floats(min_value=-100, max_value=100),
    drift=st.floats(min_value=-DRIFT * 0.9, max_value=DRIFT * 0.9),
    requests=st.lists(st.tuples(LEGS, LEGS, st.floats(min_value=0.0, max_value=300.0)), min_size=1, max_size=12),
)
def test_the_truth_is_never_excluded_and_a_correction_is_off_by_half_of_what_is_left_at_most(
    offset: float, drift: float, requests: list[tuple[float, float, float]]
) -> None:
    clock = WrongClock(offset, drift)
    told, known = ServiceClock(clock), None
    for there_s, back_s, pause_s in requests:
        reading = write(clock, there_s=there_s, back_s=back_s)
        told.note(reading)
        known = bounds_after(known, reading)
        clock.advance(pause_s)
        seen = known.widened(clock.monotonic())

        true_distance = EPOCH + clock.elapsed - clock.monotonic()
        assert seen.low - 1e-4 <= true_distance <= seen.high + 1e-4
        error_s = abs(clock.error_of(told.now()))
        assert error_s <= max(seen.half_width_s, min(abs(offset), 2 * seen.half_width_s)) + 1e-4


def test_a_clock_that_may_be_right_is_left_alone() -> None:
    clock = WrongClock(0.004)
    told = ServiceClock(clock)

    told.note(write(clock, there_s=0.005, back_s=0.005))

    assert told.now() == clock.now()
    assert not told.is_lost()


def test_a_clock_that_is_wrong_is_corrected_by_the_first_write() -> None:
    clock = WrongClock(3.0)
    told = ServiceClock(clock)

    told.note(write(clock, there_s=0.004, back_s=0.006))

    assert abs(clock.error_of(told.now())) <= 0.002
    assert not told.is_lost()


def test_a_wrong_clock_is_not_used_while_nobody_knows_by_how_much() -> None:
    clock = WrongClock(30.0)
    told = ServiceClock(clock)

    told.note(read_headers({"date": DATE}, wrote=False, asked_at=1000.0, answered_at=1000.01)[0])

    assert told.is_lost()
    told.note(write(clock, there_s=LOST_S / 2, back_s=LOST_S / 2))
    assert not told.is_lost()


def test_a_sharp_reading_is_due_before_the_first_slot_and_again_after_a_while() -> None:
    clock = WrongClock()
    told = ServiceClock(clock)
    assert told.is_stale()

    told.note(write(clock, there_s=0.01, back_s=0.01))

    assert not told.is_stale()
    clock.advance(FRESH_S + 1)
    assert told.is_stale()


def test_what_contradicts_what_was_known_replaces_it() -> None:
    clock = WrongClock()
    told = ServiceClock(clock)
    told.note(write(clock, there_s=0.01, back_s=0.01))
    # The machine was suspended for an hour: the monotonic clock did not see it.
    object.__setattr__(clock, "offset", 3600.0)
    later = write(clock, there_s=0.01, back_s=0.01)

    told.note(
        Reading(
            earliest=later.earliest + 3600,
            latest=later.latest + 3600,
            asked_at=later.asked_at,
            answered_at=later.answered_at,
            is_sharp=True,
        )
    )

    assert told.now() == clock.now()
    assert not told.is_lost()


def test_a_person_is_told_of_a_clock_that_is_far_off_once_an_hour(caplog: pytest.LogCaptureFixture) -> None:
    clock = WrongClock(-2.0)
    told = ServiceClock(clock)

    with caplog.at_level(logging.ERROR, logger="provisioner"):
        for _ in range(3):
            told.note(write(clock, there_s=0.01, back_s=0.01))
            clock.advance(60)

    (said,) = caplog.messages
    name, _, fields = said.partition(" ")
    assert name == "clock.skewed"
    assert json.loads(fields)["off_s"] == pytest.approx(2.0, abs=0.02)
    assert json.loads(fields)["corrected"] is True


@pytest.mark.parametrize(
    ("headers", "wrote", "spans"),
    [
        ({"date": DATE, "etag": ETAG}, True, [(0.0, 2.0), (0.1234567, 0.1244567)]),
        ({"date": DATE, "etag": ETAG}, False, [(0.0, 2.0)]),
        ({"date": "yesterday", "etag": '"0x8DB"'}, True, []),
        ({"etag": "W/\"datetime'2026-13-41T08%3A00%3A00Z'\""}, True, []),
        ({"etag": "W/\"datetime'2026-11-21T08%3A00%3A00Z'\""}, True, [(0.0, 0.001)]),
        ({}, True, []),
    ],
)
def test_headers_are_read_as_far_as_they_are_understood(
    headers: dict[str, str], wrote: bool, spans: list[tuple[float, float]]
) -> None:
    found = read_headers(headers, wrote=wrote, asked_at=1.0, answered_at=2.0)

    seen = [value for reading in found for value in (reading.earliest - EPOCH, reading.latest - EPOCH)]
    assert seen == pytest.approx([value for span in spans for value in span], abs=1e-5)


async def test_every_write_of_the_real_sdk_measures(azurite: str, name_prefix: str) -> None:
    settings = Settings.load({"AzureWebJobsStorage": azurite})
    told = ServiceClock(Clock())
    service = connect_tables(settings, measures=told)
    assert isinstance(service, TableServiceClient)
    tables = Tables(service, prefix=name_prefix)
    await tables.create_missing()
    assert told.is_stale()

    await tables.commit(DurableWrite.LIMITER, "applications", "acme", [Operation.merge("clock", {})])

    assert not told.is_stale()
    assert not told.is_lost()
    await tables.close()
