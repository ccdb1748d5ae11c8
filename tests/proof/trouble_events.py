"""What goes wrong at vendors, at Graph and with the process."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from shared.storage.durable_writes import Moment
from tests.proof.company import Company

Trouble = Callable[[Company, Random], None]

WRITES = ("POST", "PATCH", "DELETE")
VENDOR_FAULTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("throttle", {"retry_after": 3}),
    ("throttle", {"retry_after": None}),
    ("reset", {"applied": True}),
    ("reset", {"applied": False}),
    ("error", {"status": 500, "applied": True}),
    ("error", {"status": 500}),
    ("error", {"status": 503, "retry_after": 20}),
    ("error", {"status": 400}),
    ("error", {"status": 404}),
    ("late_write", {}),
    ("html", {"status": 404}),
    ("html", {"status": 200}),
    ("malformed_json", {}),
    ("empty_201", {}),
)
LOOK_UP_FAULTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("throttle", {"retry_after": 2}),
    ("reset", {}),
    ("error", {"status": 503}),
    ("error", {"status": 404}),
    ("html", {"status": 404}),
    ("malformed_json", {}),
    ("duplicate_match", {}),
    ("null_resources", {}),
)
GRAPH_FAULTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("throttle", {"retry_after": "30"}),
    ("throttle", {"retry_after": None}),
    ("server_error", {"status": 503}),
    ("server_error", {"status": 500}),
    ("reset", {}),
    ("refuse", {}),
    ("truncate", {}),
    ("garbage", {}),
    ("gone", {}),
    ("sync_state_not_found", {}),
    ("empty_page", {}),
    ("variable_pages", {"times": 5}),
    ("duplicate", {"fraction": 0.5}),
    ("replay", {"count": 4}),
    ("reorder", {}),
    ("lag", {"fraction": 0.5, "polls": 2}),
    ("conflicting_membership", {"fraction": 0.5}),
    ("assignment_missing", {"fraction": 0.5}),
    ("assignment_lag", {}),
    ("unauthorized", {}),
    ("forbidden", {"path": "*appRoleAssignedTo*"}),
)


def vendor_fault(company: Company, dice: Random) -> None:
    """A write goes wrong at one vendor."""
    app, stage = dice.choice(list(company.stages.items()))
    kind, options = dice.choice(VENDOR_FAULTS)
    method = "POST" if kind == "empty_201" else dice.choice(WRITES)
    company.tell(f"{app}: the next {method} meets {kind} {options}")
    stage.acme.faults.add(kind, method=method, **options)


def look_up_fault(company: Company, dice: Random) -> None:
    """A question goes wrong at one vendor."""
    app, stage = dice.choice(list(company.stages.items()))
    kind, options = dice.choice(LOOK_UP_FAULTS)
    company.tell(f"{app}: the next GET meets {kind} {options}")
    stage.acme.faults.add(kind, method="GET", **options)


def outage(company: Company, dice: Random) -> None:
    """A vendor is away, or refuses our credentials, until it is mended."""
    app, stage = dice.choice(list(company.stages.items()))
    if dice.random() < 0.5:
        company.tell(f"{app}: away")
        stage.acme.faults.add("outage", retry_after=dice.choice([None, 30]))
    else:
        status = dice.choice([401, 403])
        company.tell(f"{app}: answers {status}")
        stage.acme.faults.add("error", status=status, times=None)


def mend(company: Company, _dice: Random) -> None:
    """The vendors' people mend what was broken."""
    company.tell("the vendors are mended")
    for stage in company.stages.values():
        stage.acme.faults.clear()


def graph_fault(company: Company, dice: Random) -> None:
    """Graph has one of its moods."""
    kind, options = dice.choice(GRAPH_FAULTS)
    company.tell(f"Graph: {kind} {options}")
    company.main.world.graph.faults.add(kind, **options)


def time_out(company: Company, dice: Random) -> None:
    """A write gets no answer, whether it was carried out or not."""
    company.fate.times_out = dice.choice(list(Moment))
    company.tell(f"the next write gets no answer ({company.fate.times_out} it was carried out)")


def die(company: Company, dice: Random) -> None:
    """The process will die, at a durable write or a request; and the next one perhaps too."""
    company.fate.dies_in = dice.randrange(25)
    company.main.redelivery_s = dice.choice([0.0, 30.0, 600.0])
    company.tell(f"the process will die at point {company.fate.dies_in}")


TROUBLES: dict[str, tuple[float, Trouble]] = {
    "vendor fault": (4, vendor_fault),
    "look-up fault": (2, look_up_fault),
    "outage": (0.6, outage),
    "mend": (3, mend),
    "Graph fault": (2.5, graph_fault),
    "time-out": (1.5, time_out),
    "death": (3, die),
}
"""Every trouble, and how often it comes."""
