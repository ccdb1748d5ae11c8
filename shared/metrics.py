"""Numbers of what goes on: constant names and units, and no attributes but application, action and result.

Nothing is imported and nothing costs anything until `shared.insights` hands the instruments in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Metric(StrEnum):
    """Every metric the product records."""

    DIRECTORY_CHANGES = "directory.changes"
    ACCOUNT_ACTIONS = "account.actions"
    ACCOUNT_LATENCY = "account.latency"
    ACCOUNT_ESCROWS = "account.escrows"
    APPLICATION_QUARANTINE = "application.quarantine"
    QUEUE_AGE = "queue.age"
    LIMITER_WAIT = "limiter.wait"
    LIMITER_SLOTS = "limiter.slots"
    LIMITER_RATE = "limiter.rate"


class InstrumentKind(StrEnum):
    """How values of a metric are put together."""

    COUNTER = "counter"
    """Summed up."""
    HISTOGRAM = "histogram"
    """Sum, count, least and most."""
    GAUGE = "gauge"
    """The last value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """What a metric measures."""

    kind: InstrumentKind
    unit: str
    """As UCUM writes it: `s`, or what is counted in braces."""
    description: str


INSTRUMENTS: Mapping[Metric, Instrument] = {
    Metric.DIRECTORY_CHANGES: Instrument(
        kind=InstrumentKind.COUNTER,
        unit="{change}",
        description="Users and groups on the pages of runs that read some.",
    ),
    Metric.ACCOUNT_ACTIONS: Instrument(
        kind=InstrumentKind.COUNTER, unit="{message}", description="Messages by what was done and how they ended."
    ),
    Metric.ACCOUNT_LATENCY: Instrument(
        kind=InstrumentKind.HISTOGRAM,
        unit="s",
        description="From queueing the account, in the run that read its change, to the save of the vendor's answer. "
        "Graph does not say when the change was made. An account that waited in the backlog, for the guard or for the "
        "sweep counts from when its turn came.",
    ),
    Metric.ACCOUNT_ESCROWS: Instrument(
        kind=InstrumentKind.COUNTER, unit="{account}", description="Attempts that ended in escrow, by error code."
    ),
    Metric.APPLICATION_QUARANTINE: Instrument(
        kind=InstrumentKind.GAUGE, unit="1", description="1 while an application is quarantined; told by housekeeping."
    ),
    Metric.QUEUE_AGE: Instrument(
        kind=InstrumentKind.HISTOGRAM,
        unit="s",
        description="Age of a message when it is taken up, with the time it was hidden on purpose.",
    ),
    Metric.LIMITER_WAIT: Instrument(
        kind=InstrumentKind.HISTOGRAM,
        unit="s",
        description="From asking for a slot of the vendor's rate to its beginning.",
    ),
    Metric.LIMITER_SLOTS: Instrument(
        kind=InstrumentKind.COUNTER,
        unit="{slot}",
        description="Slots by what came of them: entered is a request; late, void, or refused is none.",
    ),
    Metric.LIMITER_RATE: Instrument(
        kind=InstrumentKind.GAUGE, unit="{request}/s", description="The vendor's limit, as it is configured."
    ),
}


Recorder = Callable[[float, dict[str, str]], None]

_recorders: Mapping[Metric, Recorder] = {}


def use_recorders(recorders: Mapping[Metric, Recorder]) -> None:
    """From now on values are recorded by these; a metric without one is not recorded."""
    global _recorders  # noqa: PLW0603  (one per process, as the instruments are)
    _recorders = recorders


def record(metric: Metric, value: float, *, application: str = "", action: str = "", result: str = "") -> None:
    """Record a value. The attributes are words of the product and names of applications; an empty one is left out."""
    recorder = _recorders.get(metric)
    if recorder is not None:
        given = {"application": application, "action": action, "result": result}
        recorder(value, {name: text for name, text in given.items() if text})
