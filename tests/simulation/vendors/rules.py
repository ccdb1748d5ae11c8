"""The rules every simulated vendor shares. A rule sees a request before the SCIM core and may answer or refuse it.

Findings are of two kinds. A *violation* is something no correct client does, whatever the circumstances; tests assert
that there are none. A *notice* is worth knowing but may happen to a correct client, such as a 409 after a lost answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.simulation.vendors.exchange import Answer, Exchange, Refusal, empty_list
from tests.simulation.vendors.filters import terms_of
from tests.simulation.vendors.options import ExternalId, FilterMode, RemoveValue, TypeCheck, UnknownAttribute
from tests.simulation.vendors.writes import Touch, attribute_key, parse_touch, pruned

if TYPE_CHECKING:
    from tests.simulation.vendors.simulator import VendorSimulator

Check = Callable[["VendorSimulator", Exchange], Answer | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A named rule: its id in the requirement list and the check that applies it."""

    id: str
    check: Check


def read_only_json(sim: VendorSimulator, exchange: Exchange) -> Answer | None:
    """Refuses a body whose media type the vendor does not take (415)."""
    sent = exchange.request.header("Content-Type").partition(";")[0].strip().lower()
    if exchange.request.body and sent not in sim.options.accepted_content_types:
        sim.record.notice("C1", "content_type_refused", sent, exchange)
        raise Refusal(415, "", "The Content-Type is not supported.")
    return None


def allow_method(sim: VendorSimulator, exchange: Exchange) -> Answer | None:
    """Refuses a method the vendor does not have (405)."""
    options = sim.options
    supported = {"PUT": options.put_supported, "PATCH": options.patch_supported, "DELETE": options.delete_supported}
    if not supported.get(exchange.method, True):
        sim.record.violate("C1", "method_not_supported", exchange.method, exchange)
        raise Refusal(405, "", f"{exchange.method} is not supported.")
    return None


def check_attributes(sim: VendorSimulator, exchange: Exchange) -> Answer | None:
    """Records every attribute the vendor does not support, and drops it or refuses the write (C5)."""
    unsupported = [touch for touch in exchange.touches if not sim.supports(exchange.resource_type, touch)]
    if not unsupported:
        return None
    for touch in unsupported:
        sim.record.violate(sim.unsupported_rule(touch), "unsupported_attribute", touch.label, exchange)
    if sim.options.unknown_attribute is UnknownAttribute.reject:
        raise Refusal(400, "invalidSyntax", f"Unknown attribute {unsupported[0].label}.")
    sim.rewrite(exchange, lambda touch: sim.supports(exchange.resource_type, touch))
    return None


def check_schemas(sim: VendorSimulator, exchange: Exchange) -> Answer | None:
    """Records extensions whose URN `schemas` does not list (RFC 7643 section 3), and refuses them where strict."""
    if exchange.method not in {"POST", "PUT"} or not isinstance(exchange.payload, dict):
        return None
    listed = {str(urn).casefold() for urn in exchange.payload.get("schemas") or ()}
    for key in exchange.payload:
        if key.casefold() in {urn.casefold() for urn in sim.urns} and key.casefold() not in listed:
            sim.record.violate(sim.schemas_rule, "extension_missing_in_schemas", key, exchange)
            if sim.options.strict_schemas:
                raise Refusal(400, "invalidSyntax", "schemas must list every extension in the body.")
    return None


def refuse_groups(sim: VendorSimulator, exchange: Exchange) -> Answer | None:
    """Answers 404 for anything about groups, at a vendor that has none."""
    if exchange.endpoint == "Groups":
        sim.record.violate(sim.no_groups_rule, "groups_not_supported", exchange.method, exchange)
        raise Refusal(404, "", "There is nothing at this path.")
    return None


def check_booleans(sim: VendorSimulator, exchange: Exchange) -> Answer | None:
    """Records a boolean attribute whose value is not a JSON boolean, and refuses it where the check is strict (C7)."""
    for touch in exchange.touches:
        if touch.op == "remove" or touch.value is None or isinstance(touch.value, bool):
            continue
        if touch.path in sim.booleans and not isinstance(touch.value, (list, dict)):
            sim.record.violate("C7", "boolean_sent_as_other_type", touch.label, exchange)
            if sim.options.type_check is TypeCheck.strict:
                raise Refusal(400, "invalidValue", f"{touch.label} must be a JSON boolean.")
    return None


def check_emails(sim: VendorSimulator, exchange: Exchange) -> Answer | None:
    """Refuses an e-mail value that has no @ (RFC 7643 section 4.1.2)."""
    for touch in exchange.touches:
        if touch.path == "emails.value" and isinstance(touch.value, str) and "@" not in touch.value:
            sim.record.violate("C7", "malformed_email", touch.label, exchange)
            raise Refusal(400, "invalidValue", "emails.value must be an e-mail address.")
    return None


def check_empty_values(sim: VendorSimulator, exchange: Exchange) -> Answer | None:
    """Refuses null and empty strings where the vendor does not take them for no value."""
    for touch in exchange.touches:
        refused = (touch.value is None and not sim.options.nulls_accepted and touch.op != "remove") or (
            touch.value == "" and not sim.options.empty_strings_accepted
        )
        if refused:
            sim.record.violate("C8", "empty_value_sent", touch.label, exchange)
            raise Refusal(400, "invalidValue", f"{touch.label} has no value.")
    return None


def treat_external_id(sim: VendorSimulator, exchange: Exchange) -> Answer | None:
    """Loses externalId where the vendor or a fault does."""
    if not any(touch.path == "externalid" for touch in exchange.touches):
        return None
    if sim.options.external_id is ExternalId.dropped or sim.loses_external_id(exchange):
        sim.rewrite(exchange, lambda touch: touch.path != "externalid")
    return None


def fold_user_name(sim: VendorSimulator, exchange: Exchange) -> Answer | None:
    """Stores userName in lower case where the vendor does."""
    if sim.options.fold_user_name and isinstance(exchange.payload, dict):
        for holder in (exchange.payload, *operations_of(exchange)):
            _fold(holder)
    return None


def _fold(holder: dict[str, Any]) -> None:
    if isinstance(holder.get("userName"), str):
        holder["userName"] = holder["userName"].lower()
    value = holder.get("value")
    if isinstance(value, dict):
        _fold(value)
    elif isinstance(value, str) and str(holder.get("path", "")).casefold() == "username":
        holder["value"] = value.lower()


def bound_page(sim: VendorSimulator, exchange: Exchange) -> Answer | None:
    """Gives a list the vendor's default and largest page size."""
    if not exchange.is_list:
        return None
    count = exchange.query.get("count", "")
    if not count.lstrip("-").isdigit():
        exchange.query["count"] = str(sim.options.default_page_size)
    else:
        exchange.query["count"] = str(min(int(count), sim.options.max_page_size))
    return None


def apply_filter_mode(sim: VendorSimulator, exchange: Exchange) -> Answer | None:
    """Honours, refuses or ignores user filters as the vendor does."""
    if exchange.is_list and exchange.endpoint == "Users" and "filter" in exchange.query:
        return filter_in_mode(sim, exchange, mode=sim.options.user_filter, rule="C8", name="filter_not_supported")
    return None


def filter_in_mode(
    sim: VendorSimulator, exchange: Exchange, *, mode: FilterMode, rule: str, name: str
) -> Answer | None:
    """Treats the request's filter in a mode; anything but `honour` is a violation."""
    if mode is FilterMode.honour:
        return None
    sim.record.violate(rule, name, exchange.query["filter"].partition(" ")[0], exchange)
    if mode is FilterMode.reject:
        raise Refusal(400, "invalidFilter", "This attribute cannot be filtered.")
    terms = terms_of(exchange.query.pop("filter")) or ()
    if mode is FilterMode.empty:
        return empty_list()
    exchange.query["startIndex"] = "1"
    exchange.asked_for = next((str(term.value) for term in terms if term.op == "eq"), "")
    return None


def catch_wrong_account(sim: VendorSimulator, exchange: Exchange) -> Answer | None:
    """Catches a client that took the first hit of an ignored filter: it gives another's account the asked key."""
    if exchange.method not in {"PUT", "PATCH"} or exchange.resource_id is None or exchange.endpoint != "Users":
        return None
    asked = sim.decoys.get(exchange.resource_id, set())
    for touch in exchange.touches:
        if touch.path in {"username", "emails.value"} and str(touch.value).lower() in asked:
            stored = sim.storage.find("User", exchange.resource_id) or {}
            if str(touch.value).lower() not in keys_of(stored):
                sim.record.violate("F2", "updated_a_user_whose_key_differs", exchange.resource_id, exchange)
                return None
    return None


def keys_of(resource: dict[str, Any]) -> set[str]:
    """Answers with what identifies an account for a person: userName and e-mail addresses, in lower case."""
    values = [resource.get("userName"), *(each.get("value") for each in resource.get("emails") or [])]
    return {str(value).lower() for value in values if value}


def check_members(sim: VendorSimulator, exchange: Exchange) -> Answer | None:
    """Applies the vendor's limits on membership changes: how many, who, and what a remove with a value means."""
    if exchange.endpoint != "Groups" or not exchange.writes:
        return None
    for operation in operations_of(exchange):
        _treat_remove_value(sim, exchange, operation)
    members = [touch for touch in exchange.touches if touch.path == "members.value"]
    limit = sim.options.members_per_request
    if limit is not None and len(members) > limit:
        sim.record.violate("C8", "too_many_members", str(len(members)), exchange)
        raise Refusal(413, "tooMany", f"At most {limit} members per request.")
    if sim.options.check_members:
        for touch in members:
            known = any(sim.storage.is_visible(name, str(touch.value)) for name in ("User", "Group"))
            if touch.op != "remove" and not known:
                sim.record.notice(sim.member_rule, "unknown_member", str(touch.value), exchange)
                raise Refusal(400, "invalidValue", "A member is not an existing user.")
    return None


def _treat_remove_value(sim: VendorSimulator, exchange: Exchange, operation: dict[str, Any]) -> None:
    fields = {key.casefold(): key for key in operation}
    if str(operation.get(fields.get("op", ""), "")).casefold() != "remove" or "value" not in fields:
        return
    if sim.options.remove_value is RemoveValue.select:
        return
    sim.record.violate("C8", "remove_with_value", str(operation.get(fields.get("path", ""), "")), exchange)
    if sim.options.remove_value is RemoveValue.reject:
        raise Refusal(400, "invalidValue", "A remove operation takes no value.")
    del operation[fields["value"]]


def operations_of(exchange: Exchange) -> list[dict[str, Any]]:
    """Answers with the operations of a PATCH body, the dicts themselves; empty for anything else."""
    if exchange.method != "PATCH" or not isinstance(exchange.payload, dict):
        return []
    key = next((k for k in exchange.payload if k.casefold() == "operations"), "")
    found = exchange.payload.get(key)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


SHARED_RULES = (
    Rule(id="C1", check=read_only_json),
    Rule(id="C1", check=allow_method),
    Rule(id="C5", check=check_schemas),
    Rule(id="C5", check=check_attributes),
    Rule(id="C7", check=check_booleans),
    Rule(id="C7", check=check_emails),
    Rule(id="C8", check=check_empty_values),
    Rule(id="F2", check=catch_wrong_account),
    Rule(id="C8", check=treat_external_id),
    Rule(id="C8", check=fold_user_name),
    Rule(id="C8", check=bound_page),
    Rule(id="C8", check=apply_filter_mode),
    Rule(id="C8", check=check_members),
)


@dataclass(frozen=True, slots=True)
class Supported:
    """The attributes a vendor supports, read from rows as its documentation prints them."""

    keys: frozenset[str]
    kinds: dict[str, frozenset[str]]
    """Element types by attribute, for attributes whose rows name a type."""

    @classmethod
    def of(cls, rows: tuple[str, ...], *, urns: tuple[str, ...]) -> Supported:
        """Answers with the set for rows such as `emails[type eq "work"].value`. Raises ValueError on a bad row."""
        keys: set[str] = set()
        kinds: dict[str, set[str]] = {}
        for row in rows:
            touch = parse_touch(row, urns=urns)
            if touch is None:
                raise ValueError(f"{row} is not an attribute path")
            keys.add(touch.path)
            whole = attribute_key(touch.urn, touch.name)
            if touch.type:
                kinds.setdefault(whole, set()).add(touch.type.casefold())
        return cls(frozenset(keys), {key: frozenset(value) for key, value in kinds.items()})

    def has(self, touch: Touch) -> bool:
        """Answers whether a touch is supported. Sub-attributes that only describe an element go with it."""
        whole = attribute_key(touch.urn, touch.name)
        if not touch.name:
            return any(key.startswith(touch.urn.casefold() + ":") for key in self.keys)
        kinds = self.kinds.get(whole)
        if kinds is not None and touch.type and touch.type.casefold() not in kinds:
            return False
        if touch.path in self.keys or whole in self.keys:
            return True
        describes = not touch.sub or touch.sub.casefold() in {"type", "primary", "display", "$ref"}
        return describes and any(key.startswith(whole + ".") for key in self.keys)


def rewritten(sim: VendorSimulator, exchange: Exchange, keep: Callable[[Touch], bool]) -> Any:
    """Answers with the exchange's body without the touches `keep` refuses."""
    return pruned(exchange.payload, method=exchange.method, urns=sim.urns, keep=keep)
