"""Clarizen One: users and groups, one role, managers it drops silently, keys that live a year, four data centres.

Requirement ids K1 to K11. Where Clarizen documents nothing, `ClarizenOptions` has a switch.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from tests.simulation.vendors.exchange import Answer, DuplicateKeys, Exchange, Refusal
from tests.simulation.vendors.filters import terms_of
from tests.simulation.vendors.options import FilterMode, VendorOptions
from tests.simulation.vendors.rules import Rule, filter_in_mode, operations_of
from tests.simulation.vendors.simulator import VendorSimulator
from tests.simulation.vendors.storage import Json
from tests.simulation.vendors.writes import ENTERPRISE_URN, Touch

KEY_LIFE_S = 365 * 86400.0
LITE_ADMIN = "lite_admin"
_BRACKET_CLOSED_TOO_LATE = re.compile(r"\[[^\]]*\.\s*\w+\s*\]")
_FILTERABLE = frozenset({"username", "externalid", "displayname", "id"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ClarizenOptions(VendorOptions):
    """What is assumed about Clarizen."""

    invalid_role: str = "refuse"
    """`refuse`: 400 invalidValue for the whole write; `drop`: the role is left out."""
    scim_exempt: bool = True
    """Whether SCIM calls are outside the API quota."""
    other_filter: FilterMode = FilterMode.honour
    """What becomes of a filter on anything but userName, externalId, displayName and id."""
    group_name_unique: bool = True
    soft_delete: bool = True
    rate_limit: int | None = 25
    etag: bool = False


def refuse_malformed_roles(sim: VendorSimulator, exchange: Exchange) -> Answer | None:
    """Refuses the path as the tutorial prints it, its bracket closed too late (K2)."""
    texts = [exchange.query.get("filter", "")]
    texts += [str(value) for each in operations_of(exchange) for key, value in each.items() if key.casefold() == "path"]
    if isinstance(exchange.payload, dict):
        texts += _keys(exchange.payload)
    if any(_BRACKET_CLOSED_TOO_LATE.search(text) for text in texts):
        sim.record.violate("K2", "malformed_path", "roles", exchange)
        raise Refusal(400, "invalidPath", "The path closes its bracket after the sub-attribute.")
    return None


def _keys(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(key for each in value.values() for key in _keys(each))]
    return [key for each in value for key in _keys(each)] if isinstance(value, list) else []


def refuse_repeated_attributes(sim: VendorSimulator, exchange: Exchange) -> Answer | None:
    """Refuses two values for one enterprise attribute in one request: the table lists `division` twice (K10)."""
    repeated = _repeated(exchange.payload)
    if exchange.method == "PATCH":
        written = Counter(touch.path for touch in exchange.touches if touch.urn.casefold() == ENTERPRISE_URN.casefold())
        repeated += [path for path, times in written.items() if times > 1]
    if repeated:
        sim.record.violate("K10", "attribute_written_twice", repeated[0], exchange)
        raise Refusal(400, "invalidSyntax", "An attribute has two values.")
    return None


def _repeated(value: Any) -> list[str]:
    own = list(value.repeated) if isinstance(value, DuplicateKeys) else []
    if isinstance(value, dict):
        return own + [name for each in value.values() for name in _repeated(each)]
    return [name for each in value for name in _repeated(each)] if isinstance(value, list) else own


def limit_filters(sim: VendorSimulator, exchange: Exchange) -> Answer | None:
    """Treats a filter outside the attributes that are assumed to be filterable."""
    options = sim.options
    assert isinstance(options, ClarizenOptions)
    if not exchange.is_list or "filter" not in exchange.query:
        return None
    if {term.key for term in terms_of(exchange.query["filter"]) or ()} <= _FILTERABLE:
        return None
    return filter_in_mode(sim, exchange, mode=options.other_filter, rule="C8", name="filtered_on_other_attribute")


class ClarizenSimulator(VendorSimulator):
    """One Clarizen data centre. `token` is the primary key, `secondary_token` the one that replaces it."""

    name: ClassVar[str] = "clarizen"
    rate_rule: ClassVar[str] = "K4"
    supported_users: ClassVar[tuple[str, ...] | None] = (
        *("userName", "displayName", "active", "title", "preferredLanguage", "externalId", "nickName", "locale"),
        *("timezone", "userType"),
        *(f'emails[type eq "{kind}"].value' for kind in ("work", "home", "other")),
        *(f"name.{part}" for part in ("givenName", "familyName", "formatted", "honorificPrefix", "honorificSuffix")),
        *(f'addresses[type eq "{kind}"].formatted' for kind in ("other", "work")),
        *(f"addresses.{part}" for part in ("country", "region", "locality", "postalCode", "streetAddress")),
        *(f'phoneNumbers[type eq "{kind}"].value' for kind in ("work", "mobile", "fax", "home", "other", "pager")),
        *("roles.type", "roles.value"),
        *(f"{ENTERPRISE_URN}:{name}" for name in ("department", "employeeNumber", "manager", "costCenter", "division")),
    )
    supported_groups: ClassVar[tuple[str, ...] | None] = ("displayName", "externalId", "members")
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(id="K2", check=refuse_malformed_roles),
        Rule(id="K10", check=refuse_repeated_attributes),
        Rule(id="C8", check=limit_filters),
    )
    options_type: ClassVar[type[VendorOptions]] = ClarizenOptions
    options: ClarizenOptions

    def __init__(
        self,
        *,
        options: ClarizenOptions | None = None,
        clock: Callable[[], float] | None = None,
        seed: int = 0,
        data_centre: str = "us_production",
    ) -> None:
        super().__init__(options=options, clock=clock, seed=seed)
        self.data_centre = data_centre
        now = self.clock.now()
        self.tokens.find(self.token).expires_at = now + KEY_LIFE_S  # type: ignore[union-attr]
        self.secondary_token = self.tokens.issue("secondary", expires_at=now + 1.5 * KEY_LIFE_S)

    @property
    def kept_as(self) -> str:
        """Answers with the name of vendor and data centre."""
        return f"{self.name}-{self.data_centre}"

    def switch_off_integration_user(self) -> None:
        """Refuses every key at once, as turning the Integration User off does (K5)."""
        for grant in self.tokens.all():
            grant.revoked = True

    def key_without_lite_admin(self) -> str:
        """Answers with a good key whose user lacks Lite Admin (K6)."""
        return self.tokens.issue("no_lite_admin", rights=frozenset())

    def authorize(self, exchange: Exchange) -> None:
        """Refuses a key whose user is not at least Lite Admin (K6)."""
        rights = exchange.grant.rights if exchange.grant else None
        if rights is not None and LITE_ADMIN not in rights:
            self.record.notice("K6", "not_lite_admin", exchange.endpoint, exchange)
            raise Refusal(403, "", "The key's user needs at least Lite Admin.")

    def enforced_rate(self) -> int | None:
        """Answers with the API quota, which SCIM is said to be exempt from (K4)."""
        return None if self.options.scim_exempt else self.options.rate_limit

    def ceiling(self) -> int | None:
        """Answers with the quota where it is enforced; an exempt client may go as fast as it likes."""
        return self.enforced_rate()

    def throttled(self, exchange: Exchange) -> Answer:
        """Answers with the body a Clarizen engineer published, which is not a SCIM error (K4)."""
        body = {
            "statusCode": "Too Many Requests",
            "message": f"API calls quota exceeded! maximum admitted {self.options.rate_limit} per Second.",
            "retryAfter": "1",
        }
        return Answer(status=429, body=body, headers={"Content-Type": "application/json", **self.retry_after(exchange)})

    def unsupported_rule(self, touch: Touch) -> str:
        """Answers K11 for an attribute under a URN Clarizen does not have."""
        return "K11" if touch.urn and touch.urn.casefold() != ENTERPRISE_URN.casefold() else "C5"

    def commit(self, resource_type: str, before: Json | None, after: Json) -> Json:
        """Allows the role `User` only (K1) and drops a manager nobody knows (K3)."""
        if resource_type != "User":
            return after
        return self._with_known_manager(self._with_allowed_roles(after))

    def _with_allowed_roles(self, after: Json) -> Json:
        roles = after.get("roles") or []
        refused = [each for each in roles if _normalised(each.get("value")) not in {"", "user"}]
        if not refused:
            return after
        role = str(refused[0].get("value"))
        self.record.violate("K1", "role_not_allowed", role)
        if self.options.invalid_role == "refuse":
            raise Refusal(400, "invalidValue", f"The role {role} cannot be assigned.")
        return {**after, "roles": [each for each in roles if each not in refused]}

    def _with_known_manager(self, after: Json) -> Json:
        enterprise = after.get(ENTERPRISE_URN) or {}
        manager = (enterprise.get("manager") or {}).get("value")
        if manager is None or self.storage.is_visible("User", str(manager)):
            return after
        self.record.notice("K3", "unknown_manager_dropped", str(after.get("id")))
        left = {name: value for name, value in enterprise.items() if name != "manager"}
        return {**after, ENTERPRISE_URN: left} if left else {k: v for k, v in after.items() if k != ENTERPRISE_URN}


def _normalised(role: Any) -> str:
    return re.sub(r"\s+", "", str(role or "")).casefold()


class ClarizenDataCentres:
    """The four data centres, each with its own accounts and keys: a key of one is refused by the others (K8)."""

    names: ClassVar[tuple[str, ...]] = ("us_production", "eu_production", "us_sandbox", "eu_sandbox")

    def __init__(
        self, *, options: ClarizenOptions | None = None, clock: Callable[[], float] | None = None, seed: int = 0
    ) -> None:
        self.centres = {
            name: ClarizenSimulator(options=options, clock=clock, seed=seed + place, data_centre=name)
            for place, name in enumerate(self.names)
        }

    def __getitem__(self, name: str) -> ClarizenSimulator:
        return self.centres[name]

    def start(self) -> dict[str, str]:
        """Starts all four and answers with their base URLs by name."""
        return {name: centre.start() for name, centre in self.centres.items()}

    def stop(self) -> None:
        """Stops all four."""
        for centre in self.centres.values():
            centre.stop()
