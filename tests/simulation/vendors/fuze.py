"""Fuze: users only, userName cannot be filtered, entitlements are set once, ten requests per second.

Requirement ids F1 to F9. Where Fuze documents nothing, `FuzeOptions` has a switch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from scim2_models import URN, Extension

from tests.simulation.vendors.exchange import Answer, Exchange, Refusal
from tests.simulation.vendors.filters import terms_of
from tests.simulation.vendors.options import FilterMode, VendorOptions
from tests.simulation.vendors.rules import Rule, filter_in_mode, refuse_groups
from tests.simulation.vendors.serving import value_at
from tests.simulation.vendors.simulator import VendorSimulator
from tests.simulation.vendors.storage import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class FuzeOptions(VendorOptions):
    """What is assumed about Fuze."""

    user_name_filter: FilterMode = FilterMode.reject
    email_filter: FilterMode = FilterMode.honour
    other_filter: FilterMode = FilterMode.reject
    entitlements_change: str = "reject"
    """`reject`: 400 mutability; `silent`: 200 and nothing changes."""
    extension_urn: str = "urn:ietf:params:scim:schemas:extension:fuze:2.0:User"
    entitlements_attribute: str = "entitlements"
    entitlements_multi_valued: bool = False
    entitlement_codes: tuple[str, ...] | None = None
    """Codes the customer handed over; None accepts any."""
    location_codes: tuple[str, ...] | None = None
    department_codes: tuple[str, ...] | None = None
    email_unique: bool = True
    rate_limit: int | None = 10
    default_page_size: int = 20
    max_page_size: int = 50
    etag: bool = False


@cache
def fuze_extension(urn: str, attribute: str, *, multi_valued: bool) -> type[Extension]:
    """Answers with the model of Fuze's custom attributes. Its path is assumed, so it is an option."""
    kind: Any = list[str] if multi_valued else str
    names = dict.fromkeys((attribute, "location", "department"))
    body = {
        "__schema__": URN(urn),
        "__module__": __name__,
        "__annotations__": {name: (kind if name == attribute else str) | None for name in names},
        **names,
    }
    return type("FuzeUser", (Extension,), body)


def limit_filters(sim: VendorSimulator, exchange: Exchange) -> Answer | None:
    """Treats a filter by the attribute it names: userName, work e-mail, anything else (F2, F3)."""
    options = sim.options
    assert isinstance(options, FuzeOptions)
    if not exchange.is_list or "filter" not in exchange.query:
        return None
    keys = {term.key for term in terms_of(exchange.query["filter"]) or ()}
    if "username" in keys:
        return filter_in_mode(sim, exchange, mode=options.user_name_filter, rule="F2", name="filtered_on_user_name")
    if keys <= {"emails", "emails.value"}:
        return filter_in_mode(sim, exchange, mode=options.email_filter, rule="F3", name="filtered_on_email")
    return filter_in_mode(sim, exchange, mode=options.other_filter, rule="F3", name="filtered_on_other_attribute")


class FuzeSimulator(VendorSimulator):
    """The Fuze tenant."""

    name: ClassVar[str] = "fuze"
    groups: ClassVar[bool] = False
    no_groups_rule: ClassVar[str] = "F7"
    rate_rule: ClassVar[str] = "F1"
    rate_ceiling: ClassVar[int | None] = 10
    supported_users: ClassVar[tuple[str, ...] | None] = (
        "userName",
        "name.givenName",
        "name.familyName",
        'emails[type eq "work"].value',
        "active",
    )
    rules: ClassVar[tuple[Rule, ...]] = (Rule(id="F7", check=refuse_groups), Rule(id="F2", check=limit_filters))
    options_type: ClassVar[type[VendorOptions]] = FuzeOptions
    options: FuzeOptions

    def extensions(self) -> tuple[type[Extension], ...]:
        """Answers with Fuze's own attributes; it has no enterprise extension."""
        options = self.options
        return (
            fuze_extension(
                options.extension_urn, options.entitlements_attribute, multi_valued=options.entitlements_multi_valued
            ),
        )

    def user_rows(self) -> tuple[str, ...]:
        """Answers with the documented rows and the assumed custom attributes."""
        custom = (self.options.entitlements_attribute, "location", "department")
        return (*(self.supported_users or ()), *(f"{self.options.extension_urn}:{name}" for name in custom))

    def commit(self, resource_type: str, before: Json | None, after: Json) -> Json:
        """Keeps keys unique (F4), entitlements as they were created (F5) and codes within the lists (F6)."""
        if self.options.email_unique:
            self._refuse_taken_email(before, after)
        self._refuse_unknown_codes(after)
        return after if before is None else self._with_first_entitlements(before, after)

    def _refuse_taken_email(self, before: Json | None, after: Json) -> None:
        held = {str(each.get("value", "")).lower() for each in (before or {}).get("emails") or []}
        for each in after.get("emails") or []:
            email = str(each.get("value", ""))
            if email.lower() not in held and self.storage.holders(email) - {str(after.get("id"))}:
                raise Refusal(409, "uniqueness", "The e-mail address is in use.")

    def _refuse_unknown_codes(self, after: Json) -> None:
        options = self.options
        lists = {
            options.entitlements_attribute: options.entitlement_codes,
            "location": options.location_codes,
            "department": options.department_codes,
        }
        for name, allowed in lists.items():
            value = (after.get(options.extension_urn) or {}).get(name)
            codes = value if isinstance(value, list) else [value]
            if allowed is not None and value is not None and not set(codes) <= set(allowed):
                raise Refusal(400, "invalidValue", f"{name} holds a code that is not in the configured list.")

    def _with_first_entitlements(self, before: Json, after: Json) -> Json:
        urn, name = self.options.extension_urn, self.options.entitlements_attribute
        key = f"{urn}:{name}".casefold()
        first, proposed = value_at(before, key), value_at(after, key)
        if first == proposed:
            return after
        self.record.violate("F5", "entitlements_changed_after_creation", str(after.get("id")))
        if self.options.entitlements_change == "reject":
            raise Refusal(400, "mutability", f"{name} cannot change after creation.")
        custom = {k: v for k, v in (after.get(urn) or {}).items() if k != name}
        if first is not None:
            custom[name] = first
        return {**after, urn: custom} if custom else {k: v for k, v in after.items() if k != urn}
