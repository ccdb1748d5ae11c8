"""The course of one SCIM request through a vendor: token, rate limit, rules, core, shaping."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from scim2_models import SCIMException

from tests.simulation.vendors.answering import shaped
from tests.simulation.vendors.exchange import ENDPOINTS, Answer, Exchange, Refusal, Request, opened
from tests.simulation.vendors.faults import FaultKind
from tests.simulation.vendors.options import PathCase
from tests.simulation.vendors.rules import SHARED_RULES, operations_of
from tests.simulation.vendors.storage import Json
from tests.simulation.vendors.writes import touches_of

if TYPE_CHECKING:
    from tests.simulation.vendors.simulator import VendorSimulator

DISCOVERY = frozenset({"Schemas", "ResourceTypes", "ServiceProviderConfig"})


class CommitRefusal(SCIMException):
    """A commit rule's refusal on its way through the core."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(detail=refusal.detail)
        self.status = refusal.status
        self.scim_type = refusal.scim_type


def opened_at(sim: VendorSimulator, request: Request) -> Exchange | None:
    """Answers with the exchange for a request below the vendor's base path or an alias of it, None for another path."""
    path = request.raw_path
    for base in sorted((sim.base_path, *sim.alias_paths), key=len, reverse=True):
        if path == base or path.startswith(base + "/"):
            return opened(request, path[len(base) :], arrived_at=sim.clock.now(), unversioned=base != sim.base_path)
    return None


def bearer_of(exchange: Exchange) -> str:
    """Answers with the bearer token of a request, empty when there is none."""
    scheme, _, token = exchange.request.header("Authorization").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def carried_out(sim: VendorSimulator, exchange: Exchange, count: int, *, pace: int) -> Answer:
    """Answers a request that no fault stopped: `count` requests are in the rate window, `pace` were sent in one."""
    try:
        authenticate(sim, exchange)
        ceiling, limit = sim.ceiling(), sim.enforced_rate()
        if ceiling is not None and pace > ceiling:
            sim.record.violate(sim.rate_rule, "rate_exceeded", str(pace), exchange)
        if limit is not None and count > limit:
            return sim.throttled(exchange)
        with sim.storage.lock:
            answer = _served(sim, exchange)
    except Refusal as refusal:
        answer = refusal.answer()
    return shaped(sim, exchange, answer)


def authenticate(sim: VendorSimulator, exchange: Exchange) -> None:
    """Finds the request's grant. Raises Refusal 401 with the reason as a notice, 403 where a right is missing (C2)."""
    grant = sim.tokens.find(bearer_of(exchange))
    reason = "unknown" if grant is None else grant.refusal(exchange.arrived_at)
    if grant is None or reason:
        sim.record.notice("C2", f"{reason}_token", exchange.endpoint, exchange)
        raise Refusal(401, "", "The token is not valid.", headers={"WWW-Authenticate": "Bearer"})
    grant.last_used_at = exchange.arrived_at
    exchange.grant = grant
    sim.authorize(exchange)


def _served(sim: VendorSimulator, exchange: Exchange) -> Answer:
    _check_path(sim, exchange)
    exchange.read_payload()
    if exchange.writes:
        exchange.touches = touches_of(exchange.payload, method=exchange.method, urns=sim.urns)
    for rule in (*sim.rules, *SHARED_RULES):
        answer = rule.check(sim, exchange)
        if answer is not None:
            return answer
    return _asked_core(sim, exchange)


def _check_path(sim: VendorSimulator, exchange: Exchange) -> None:
    sent = exchange.path.strip("/").partition("/")[0]
    known = ENDPOINTS.get(sent.casefold(), "")
    wanted = {PathCase.sensitive: known, PathCase.lower_only: known.lower()}.get(sim.options.path_case, sent)
    if sent != wanted:
        sim.record.violate("C8", "path_case", sent, exchange)
        raise Refusal(404, "", "There is nothing at this path.")
    if exchange.endpoint in DISCOVERY and not sim.options.discovery:
        raise Refusal(404, "", "There is nothing at this path.")


def _asked_core(sim: VendorSimulator, exchange: Exchange) -> Answer:
    if exchange.resource_id is not None and exchange.resource_type:
        exchange.before = sim.storage.find(exchange.resource_type, exchange.resource_id)
    ignored = _nothing_left(sim, exchange)
    if ignored is not None:
        return ignored
    if exchange.is_list and sim.faults.take(FaultKind.page_loop, method=exchange.method, path=exchange.path):
        exchange.query["startIndex"] = "1"
    answer = _from_core(sim, exchange, method=exchange.method)
    if exchange.asked_for and isinstance(answer.body, dict):
        for each in answer.body.get("Resources") or []:
            sim.decoys.setdefault(str(each.get("id")), set()).add(exchange.asked_for.lower())
    if _changed_nothing(sim, exchange, answer) and sim.options.no_op_patch_status >= 400:
        raise Refusal(sim.options.no_op_patch_status, "invalidValue", "The PATCH changes nothing.")
    return answer


def _nothing_left(sim: VendorSimulator, exchange: Exchange) -> Answer | None:
    """Answers a PATCH all of whose operations were ignored as if the account had been patched."""
    if exchange.method != "PATCH" or not isinstance(exchange.payload, dict) or operations_of(exchange):
        return None
    if exchange.before is None or b"op" not in exchange.request.body.lower():
        return None
    sent = json.loads(exchange.request.body)
    if not sent.get("Operations") and not sent.get("operations"):
        return None
    return _from_core(sim, exchange, method="GET") if sim.answers_patches else Answer(status=204)


def _from_core(sim: VendorSimulator, exchange: Exchange, *, method: str) -> Answer:
    path = f"/{exchange.endpoint}"
    if exchange.resource_id is not None:
        path += "/" + quote(exchange.resource_id, safe=":")
    hidden = set() if sim.options.etag else {"if-match", "if-none-match"}
    response = sim.core.answer(
        method,
        path,
        base_url=sim.base_url,
        query=exchange.query,
        headers=[(name, value) for name, value in exchange.request.headers if name.lower() not in hidden],
        body=b"" if exchange.payload is None or method == "GET" else json.dumps(exchange.payload).encode(),
    )
    return Answer(status=int(response.status), body=response.body, headers=dict(response.headers))


def _changed_nothing(sim: VendorSimulator, exchange: Exchange, answer: Answer) -> bool:
    if exchange.method != "PATCH" or answer.status >= 300 or exchange.before is None:
        return False
    now = sim.storage.find(exchange.resource_type, str(exchange.resource_id))
    return now == exchange.before


def committed(sim: VendorSimulator, resource_type: str, before: Json | None, after: Json) -> Json:
    """Answers with what a write stores after the vendor's commit rule and the shared uniqueness rules saw it."""
    try:
        final = sim.commit(resource_type, before, after)
        if resource_type == "Group" and sim.options.group_name_unique:
            _refuse_taken_group_name(sim, before, final)
        if resource_type == "User" and sim.options.deleted_user_name == "conflict":
            _refuse_deleted_name(sim, before, final)
    except Refusal as refusal:
        raise CommitRefusal(refusal) from refusal
    for attribute in sim.privileges:
        sim.record_privilege(attribute, before, final)
    return final


def _refuse_taken_group_name(sim: VendorSimulator, before: Json | None, after: Json) -> None:
    name = str(after.get("displayName", "")).casefold()
    own = before["id"] if before else None
    taken = any(
        str(each.get("displayName", "")).casefold() == name for each in sim.storage.all("Group") if each["id"] != own
    )
    if taken:
        raise Refusal(409, "uniqueness", "A group with this displayName exists.")


def _refuse_deleted_name(sim: VendorSimulator, before: Json | None, after: Json) -> None:
    name = str(after.get("userName", "")).casefold()
    if before is not None and str(before.get("userName", "")).casefold() == name:
        return
    if any(str(getattr(each, "user_name", "")).casefold() == name for each in sim.storage.deleted.values()):
        raise Refusal(409, "uniqueness", "A deleted account holds this userName.")


def value_at(resource: Json | None, key: str) -> Any:
    """Answers with the value a resource holds under an attribute key (`writes.attribute_key`), None when absent."""
    for name, value in (resource or {}).items():
        folded = name.casefold()
        if folded == key:
            return value
        if isinstance(value, dict) and (key.startswith(folded + ":") or key.startswith(folded + ".")):
            return value_at(value, key[len(folded) + 1 :])
    return None
