"""What may not happen, counted: accounts lost, doubled, still active or not ours, and seconds above a limit. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from tests.simulation.demo.expectations import Expected, Wanted

JsonObject = Mapping[str, Any]

_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_ACCOUNT = re.compile(r"/users/(?P<id>[^/]+)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Toll:
    """One vendor's; all zero, or something is broken."""

    lost: int = 0
    """People who should have an account, or have had one, and have none."""
    doubled: int = 0
    """Accounts that somebody has besides the first."""
    still_active: int = 0
    """People who left and can still get in."""
    touched: int = 0
    """Writes to accounts that are the vendor's own."""
    over_limit_s: int = 0
    """Seconds in which more requests came than the vendor allows."""

    @property
    def is_nothing(self) -> bool:
        """Whether nothing of it happened."""
        return self == Toll()


def count_toll(
    expected: Iterable[Expected],
    resources: Iterable[JsonObject],
    *,
    names: Mapping[str, frozenset[str]],
    own: frozenset[str],
    journal: Iterable[JsonObject],
    violations: Iterable[JsonObject],
) -> Toll:
    """Counts at one vendor. `names` are all that a person ever had; `own` are the vendor's own accounts."""
    present = [each for each in resources if not each.get("_deleted")]
    person = {name.casefold(): user_id for user_id, all_names in names.items() for name in all_names}
    held = Counter(person.get(_name(each), _name(each)) for each in present)
    active = {person.get(_name(each), _name(each)) for each in present if each.get("active")}
    own_ids = {str(each["id"]) for each in present if each.get("userName") in own}
    wanted = [each for each in expected if each.user_id not in own]
    return Toll(
        lost=sum(each.wanted in (Wanted.ACTIVE, Wanted.INACTIVE) and not held[each.user_id] for each in wanted),
        doubled=sum(count - 1 for count in held.values()),
        still_active=sum(each.wanted is not Wanted.ACTIVE and each.user_id in active for each in wanted),
        touched=sum(_is_write_to(entry, own_ids) for entry in journal) + len(own) - len(own_ids),
        over_limit_s=len({int(each["at"]) for each in violations if each["name"] == "rate_exceeded"}),
    )


def _name(resource: JsonObject) -> str:
    return str(resource.get("userName", "")).casefold()


def _is_write_to(entry: JsonObject, ids: set[str]) -> bool:
    found = _ACCOUNT.search(str(entry.get("path", "")))
    return entry["method"] in _WRITES and found is not None and unquote(found["id"]) in ids
