"""What goes wrong between the product and the others: every kind of fault, under its name in the summary. Data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.demo.connected import VENDOR_TIMEOUT_S
from tests.simulation.graph.faults import FaultKind as GraphKind
from tests.simulation.vendors.faults import FaultKind

_NO_PATIENCE = {"seconds": VENDOR_TIMEOUT_S + 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One kind of fault, at whatever simulator knows it."""

    name: str
    kind: str
    times: int = 1
    """How many requests meet it."""
    options: Mapping[str, Any] = field(default_factory=dict)


def _fault(name: str, kind: str, *, times: int = 1, **options: Any) -> Fault:
    return Fault(name=name, kind=kind, times=times, options=options)


AT_VENDORS = (
    _fault("answer lost after the write landed", FaultKind.timeout_after_write, **_NO_PATIENCE),
    _fault("no answer, nothing written", FaultKind.timeout_before_write, **_NO_PATIENCE),
    _fault("connection reset after the write landed", FaultKind.reset, applied=True),
    _fault("connection reset", FaultKind.reset),
    _fault("429 with Retry-After", FaultKind.throttle, times=2, retry_after=2),
    _fault("429 with Retry-After as a date", FaultKind.throttle, retry_after="http-date", seconds=2),
    _fault("429 without Retry-After", FaultKind.throttle, times=2, retry_after=None),
    _fault("503 with Retry-After", FaultKind.throttle, times=2, status=503, retry_after=1),
    _fault("500", FaultKind.error, status=500),
    _fault("500 after the write landed", FaultKind.error, status=500, applied=True),
    _fault("504 after the write landed", FaultKind.error, status=504, applied=True),
    _fault("slow answer", FaultKind.slow, times=3, seconds=VENDOR_TIMEOUT_S / 2),
    _fault("HTML error page, 502", FaultKind.html, status=502),
    _fault("HTML error page, 503", FaultKind.html, times=2, status=503),
    _fault("answer cut in the middle", FaultKind.malformed_json),
)
"""An HTML page with 404 is not here: it means a wrong address, and stops the application as it should."""

AT_GRAPH = (
    _fault("429 with Retry-After", GraphKind.THROTTLE, retry_after="2"),
    _fault("503 with Retry-After", GraphKind.SERVER_ERROR, status=503, retry_after="1"),
    _fault("500", GraphKind.SERVER_ERROR, status=500),
    _fault("504", GraphKind.SERVER_ERROR, status=504),
    _fault("slow answer", GraphKind.SLOW, times=3, seconds=1.0),
    _fault("connection reset in the middle", GraphKind.RESET),
    _fault("connection refused", GraphKind.REFUSE),
    _fault("answer cut in the middle", GraphKind.TRUNCATE),
    _fault("web page with status 200", GraphKind.GARBAGE),
    _fault("empty page", GraphKind.EMPTY_PAGE, path="*/delta"),
    _fault("short pages", GraphKind.VARIABLE_PAGES, times=6, path="*/delta"),
    _fault("people twice in a round", GraphKind.DUPLICATE, fraction=0.5, path="*/delta"),
    _fault("old changes once more", GraphKind.REPLAY, count=10, path="*/delta"),
    _fault("changes in another order", GraphKind.REORDER, path="*/delta"),
    _fault("changes that come late", GraphKind.LAG, fraction=0.5, polls=2, path="*/delta"),
    _fault("contradictory memberships", GraphKind.CONFLICTING_MEMBERSHIP, path="groups/delta"),
    _fault("assignments missing from a list", GraphKind.ASSIGNMENT_MISSING, fraction=0.2, path="servicePrincipals/*"),
    _fault("delta link gone (410)", GraphKind.GONE, path="*/delta", link="delta"),
)
"""What Graph hides for good (a short full round) is not here: nobody could know of it."""
