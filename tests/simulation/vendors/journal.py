"""What a simulated vendor saw: every request, every broken rule, every change of a privilege."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from threading import Lock
from typing import Any, Generic, TypeVar

_SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})


@dataclass(slots=True, kw_only=True)
class JournalEntry:
    """One request. `status` is None while no answer was sent; `landed_late` marks a write that landed after its connection died."""

    at: float
    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    status: int | None = None
    fault: str = ""
    landed_late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A rule that was broken or touched: its id in the requirement list, its name, what happened."""

    rule: str
    name: str
    detail: str
    method: str
    path: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivilegeChange:
    """An attribute that gives or takes rights changed on an account."""

    at: float
    resource_id: str
    user_name: str
    attribute: str
    before: Any
    after: Any


T = TypeVar("T")


class Ledger(Generic[T]):
    """An append-only list that threads may write and tests may read as a plain list."""

    def __init__(self) -> None:
        self._rows: list[T] = []
        self._lock = Lock()

    def add(self, row: T) -> T:
        """Appends a row and answers with it."""
        with self._lock:
            self._rows.append(row)
        return row

    def rows(self) -> list[T]:
        """Answers with a copy of all rows, oldest first."""
        with self._lock:
            return list(self._rows)

    def clear(self) -> None:
        """Forgets every row."""
        with self._lock:
            self._rows.clear()

    def as_json(self) -> list[dict[str, Any]]:
        """Answers with all rows as JSON objects."""
        return [asdict(row) for row in self.rows()]  # type: ignore[call-overload]


def without_secrets(headers: list[tuple[str, str]]) -> dict[str, str]:
    """Answers with headers, lower-case names, without those that carry credentials."""
    return {name.lower(): value for name, value in headers if name.lower() not in _SECRET_HEADERS}
