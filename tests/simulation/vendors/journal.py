"""What a simulated vendor saw: every request, every broken rule, every change of a privilege."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from threading import Lock
from typing import Any, Generic, TypeVar

from tests.simulation.vendors.clock import Clock
from tests.simulation.vendors.exchange import Exchange

_SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})


@dataclass(slots=True, kw_only=True)
class JournalEntry:
    """One request. `status` is None while unanswered; `landed_late` marks a write that outlived its connection."""

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


class Record:
    """Everything one vendor wrote down. Findings made while a write is committed have no method and path."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.journal: Ledger[JournalEntry] = Ledger()
        self.violations: Ledger[Finding] = Ledger()
        self.notices: Ledger[Finding] = Ledger()
        self.privilege_changes: Ledger[PrivilegeChange] = Ledger()

    def violate(self, rule: str, name: str, detail: str, exchange: Exchange | None = None) -> None:
        """Records something no correct client does."""
        self.violations.add(self._finding(rule, name, detail, exchange))

    def notice(self, rule: str, name: str, detail: str, exchange: Exchange | None = None) -> None:
        """Records something worth knowing that may happen to a correct client."""
        self.notices.add(self._finding(rule, name, detail, exchange))

    def _finding(self, rule: str, name: str, detail: str, exchange: Exchange | None) -> Finding:
        return Finding(
            rule=rule,
            name=name,
            detail=detail,
            method=exchange.method if exchange else "",
            path=exchange.path if exchange else "",
            at=exchange.arrived_at if exchange else self._clock.now(),
        )

    def clear(self) -> None:
        """Forgets everything."""
        for ledger in (self.journal, self.violations, self.notices, self.privilege_changes):
            ledger.clear()


def without_secrets(headers: list[tuple[str, str]]) -> dict[str, str]:
    """Answers with headers, lower-case names, without those that carry credentials."""
    return {name.lower(): value for name, value in headers if name.lower() not in _SECRET_HEADERS}
