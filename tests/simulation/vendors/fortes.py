"""Fortes Change Cloud: users only, userName the only filter, two booleans that give or take rights, two tokens.

Requirement ids FC1 to FC9. Where Fortes documents nothing, `FortesOptions` has a switch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from scim2_models import URN, Extension

from tests.simulation.vendors.exchange import Answer, Exchange, Refusal
from tests.simulation.vendors.filters import terms_of
from tests.simulation.vendors.options import FilterMode, VendorOptions
from tests.simulation.vendors.rules import Rule, filter_in_mode, refuse_groups
from tests.simulation.vendors.simulator import VendorSimulator

FCC_URN = "urn:ietf:params:scim:schemas:extension:fcc:2.0:User"


class FortesUser(Extension):
    """What Fortes adds to User."""

    __schema__ = URN(FCC_URN)

    administrator: bool | None = None
    login_disabled: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FortesOptions(VendorOptions):
    """What is assumed about Fortes."""

    other_filter: FilterMode = FilterMode.reject
    """What becomes of a filter on anything but userName."""
    strict_schemas: bool = True
    secondary_token: bool = True
    etag: bool = False


def limit_filters(sim: VendorSimulator, exchange: Exchange) -> Answer | None:
    """Honours a filter on userName only (FC1, FC2)."""
    options = sim.options
    assert isinstance(options, FortesOptions)
    if not exchange.is_list or "filter" not in exchange.query:
        return None
    if {term.key for term in terms_of(exchange.query["filter"]) or ()} == {"username"}:
        return None
    return filter_in_mode(sim, exchange, mode=options.other_filter, rule="FC1", name="filtered_on_other_attribute")


def refuse_split_paths(sim: VendorSimulator, exchange: Exchange) -> Answer | None:
    """Refuses a path under a foreign URN: most often one split at the dot of its version (FC4)."""
    for touch in exchange.touches:
        if touch.urn and touch.urn.casefold() not in {urn.casefold() for urn in sim.urns}:
            sim.record.violate("FC4", "path_under_unknown_urn", touch.raw, exchange)
            raise Refusal(400, "invalidPath", "The path names no attribute of this service.")
    return None


class FortesSimulator(VendorSimulator):
    """The Fortes Change Cloud tenant. `token` is the primary token, `secondary_token` the other one."""

    name: ClassVar[str] = "fortes"
    groups: ClassVar[bool] = False
    no_groups_rule: ClassVar[str] = "FC6"
    schemas_rule: ClassVar[str] = "FC4"
    supported_users: ClassVar[tuple[str, ...] | None] = (
        "userName",
        "active",
        'emails[type eq "work"].value',
        "name.givenName",
        "name.familyName",
        "name.formatted",
        "externalId",
        f"{FCC_URN}:administrator",
        f"{FCC_URN}:loginDisabled",
    )
    privileges: ClassVar[tuple[str, ...]] = (f"{FCC_URN}:administrator".casefold(),)
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(id="FC6", check=refuse_groups),
        Rule(id="FC1", check=limit_filters),
        Rule(id="FC4", check=refuse_split_paths),
    )
    options_type: ClassVar[type[VendorOptions]] = FortesOptions
    options: FortesOptions

    def __init__(
        self, *, options: FortesOptions | None = None, clock: Callable[[], float] | None = None, seed: int = 0
    ) -> None:
        super().__init__(options=options, clock=clock, seed=seed)
        self.secondary_token = self.tokens.issue("secondary") if self.options.secondary_token else ""

    def extensions(self) -> tuple[type[Extension], ...]:
        """Answers with the fcc extension; there is no enterprise extension."""
        return (FortesUser,)
