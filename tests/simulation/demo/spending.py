"""What the product spent at a vendor, counted from the vendor's own journal. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

JsonObject = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """Requests of one vendor by what became of them; each request counts once."""

    creates: int = 0
    updates: int = 0
    disables: int = 0
    deletes: int = 0
    lookups: int = 0
    groups: int = 0
    """About groups, whatever it was."""
    refused: int = 0
    """Answered with an error: 429, 503, 409 and the like."""
    unanswered: int = 0
    """The connection ended before an answer."""
    faults: Mapping[str, int] = field(default_factory=dict)
    """Faults of the demo that a request met, by kind."""

    @property
    def total(self) -> int:
        """All requests."""
        counted = (self.creates, self.updates, self.disables, self.deletes)
        return sum(counted) + self.lookups + self.groups + self.refused + self.unanswered


def count_spending(journal: Iterable[JsonObject]) -> Spending:
    """Sorts a vendor's journal."""
    counts: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    for entry in journal:
        counts[_kind_of(entry)] += 1
        if entry.get("fault"):
            faults[str(entry["fault"])] += 1
    return Spending(faults=dict(faults), **counts)


def _kind_of(entry: JsonObject) -> str:
    method, status = entry["method"], entry.get("status")
    if status is None:
        return "unanswered"
    if "/groups" in str(entry.get("path", "")).casefold() and (status < 400 or status == 404):
        return "groups"
    if method == "GET" and (status < 400 or status == 404):
        return "lookups"
    if status >= 400:
        return "refused"
    if method == "POST":
        return "creates"
    if method == "DELETE":
        return "deletes"
    return "disables" if _switches_off(entry.get("body")) else "updates"


def _switches_off(body: Any) -> bool:
    """Whether a PATCH or PUT sets active to false."""
    if not isinstance(body, Mapping):
        return False
    operations = [{"path": "", "value": body}, *body.get("Operations", [])]
    for operation in operations:
        value = operation.get("value")
        if operation.get("path") == "active":
            return _is_false(value)
        if isinstance(value, Mapping) and "active" in value:
            return _is_false(value["active"])
    return False


def _is_false(value: Any) -> bool:
    return value is False or str(value).casefold() == "false"
