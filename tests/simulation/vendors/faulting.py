"""How each fault changes the course of a request: before the SCIM core sees it, and after it answered."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.simulation.vendors.exchange import Answer, Delivery, Exchange, Refusal
from tests.simulation.vendors.faults import Fault, FaultKind

if TYPE_CHECKING:
    from tests.simulation.vendors.clock import Clock
    from tests.simulation.vendors.simulator import VendorSimulator

_PAGE = b"<!doctype html><html><head><title>Not found</title></head><body><h1>Nothing here</h1></body></html>"
_BEFORE = (
    FaultKind.outage,
    FaultKind.throttle,
    FaultKind.html,
    FaultKind.timeout_before_write,
    FaultKind.late_write,
)
_AROUND = (FaultKind.error, FaultKind.reset, FaultKind.timeout_after_write)


def retry_after_headers(clock: Clock, fault: Fault, default: object) -> dict[str, str]:
    """Answers with the Retry-After header a fault asks for: seconds, an HTTP date, or none."""
    wanted = fault.options.get("retry_after", default)
    if wanted is None:
        return {}
    if wanted == "http-date":
        return {"Retry-After": clock.http_date(float(fault.options.get("seconds", 1)))}
    return {"Retry-After": str(wanted)}


def refused_by_fault(clock: Clock, fault: Fault) -> Answer:
    """Answers the way an outage, a throttle or an error fault says, without carrying anything out."""
    if fault.kind is FaultKind.throttle:
        headers = retry_after_headers(clock, fault, 1)
        return Refusal(int(fault.options.get("status", 429)), "", "Too many requests.", headers=headers).answer()
    headers = retry_after_headers(clock, fault, None)
    default = 503 if fault.kind is FaultKind.outage else 500
    return Refusal(int(fault.options.get("status", default)), "", "The service failed.", headers=headers).answer()


def carried_out_with_faults(
    sim: VendorSimulator, exchange: Exchange, carry_out: Callable[[], Answer]
) -> tuple[Answer, str]:
    """Answers with what the client gets, and the name of the fault that shaped it (empty for none)."""
    where = {"method": exchange.method, "path": exchange.path}
    slow = sim.faults.take(FaultKind.slow, **where)
    fault = sim.faults.take(*_BEFORE, **where)
    if fault is not None:
        answer = _before(sim, exchange, fault, carry_out)
    else:
        fault = sim.faults.take(*_AROUND, **where)
        answer = _around(sim, fault, carry_out) if fault else carry_out()
    name = fault.name if fault else _after(sim, exchange, answer)
    if slow is not None:
        answer.hold = answer.hold or sim.faults.hold(float(slow.options.get("seconds", 1)))
        name = name or slow.name
    return answer, name


def _before(sim: VendorSimulator, exchange: Exchange, fault: Fault, carry_out: Callable[[], Answer]) -> Answer:
    match fault.kind:
        case FaultKind.html:
            headers = {"Content-Type": "text/html; charset=utf-8"}
            return Answer(status=int(fault.options.get("status", 404)), raw=_PAGE, headers=headers)
        case FaultKind.timeout_before_write:
            hold = sim.faults.hold(float(fault.options.get("seconds", 30)))
            return Answer(status=0, delivery=Delivery.drop, hold=hold)
        case FaultKind.late_write:
            sim.postpone(exchange, carry_out)
            return Answer(status=0, delivery=Delivery.drop)
        case _:
            return refused_by_fault(sim.clock, fault)


def _around(sim: VendorSimulator, fault: Fault, carry_out: Callable[[], Answer]) -> Answer:
    if fault.kind is FaultKind.timeout_after_write:
        carry_out()
        hold = sim.faults.hold(float(fault.options.get("seconds", 30)))
        return Answer(status=0, delivery=Delivery.drop, hold=hold)
    if fault.options.get("applied"):
        carry_out()
    if fault.kind is FaultKind.reset:
        return Answer(status=0, delivery=Delivery.reset)
    return refused_by_fault(sim.clock, fault)


def _after(sim: VendorSimulator, exchange: Exchange, answer: Answer) -> str:
    """Changes a finished answer in place and answers with the name of the fault that did, empty for none."""
    for kind, change in _CHANGES.items():
        fault = sim.faults.peek(kind, method=exchange.method, path=exchange.path)
        if fault is not None and change(exchange, answer, fault):
            sim.faults.take(kind, method=exchange.method, path=exchange.path)
            return fault.name
    return ""


def _cut_json(_exchange: Exchange, answer: Answer, _fault: Fault) -> bool:
    if answer.body is None:
        return False
    whole = json.dumps(answer.body).encode()
    answer.raw = whole[: len(whole) // 2]
    return True


def _cut_list(exchange: Exchange, answer: Answer, fault: Fault) -> bool:
    listed = _listed(exchange, answer)
    if not listed:
        return False
    answer.body["Resources"] = listed[: int(fault.options.get("keep", len(listed) // 2))]
    return True


def _double(exchange: Exchange, answer: Answer, _fault: Fault) -> bool:
    listed = _listed(exchange, answer)
    if len(listed) != 1 or "filter" not in exchange.request.query:
        return False
    twin = copy.deepcopy(listed[0])
    twin["id"] = f"{twin['id']}-twin"
    answer.body |= {"Resources": [*listed, twin], "totalResults": 2, "itemsPerPage": 2}
    return True


def _null_list(exchange: Exchange, answer: Answer, fault: Fault) -> bool:
    if not exchange.is_list or not isinstance(answer.body, dict) or "totalResults" not in answer.body:
        return False
    if answer.body.get("Resources") and not fault.options.get("always"):
        return False
    answer.body["Resources"] = None
    return True


def _empty_created(_exchange: Exchange, answer: Answer, fault: Fault) -> bool:
    if answer.status not in {200, 201}:
        return False
    answer.body = None
    answer.headers.pop("Content-Type", None)
    if not fault.options.get("location", True):
        answer.headers.pop("Location", None)
        answer.headers.pop("Content-Location", None)
    return True


def _listed(exchange: Exchange, answer: Answer) -> list[dict[str, object]]:
    if not exchange.is_list or not isinstance(answer.body, dict):
        return []
    return list(answer.body.get("Resources") or [])


_CHANGES: dict[FaultKind, Callable[[Exchange, Answer, Fault], bool]] = {
    FaultKind.malformed_json: _cut_json,
    FaultKind.truncated_list: _cut_list,
    FaultKind.duplicate_match: _double,
    FaultKind.null_resources: _null_list,
    FaultKind.empty_201: _empty_created,
}
