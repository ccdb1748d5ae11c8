"""What is counted of an application's account rows. Pure.

A count may be made of parts: `added` joins them, in any order, to what one look at all rows would have counted.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.config.applications import Application
from shared.provisioning.accounts import AccountState, ResourceKind, read_account
from shared.provisioning.generations import is_behind
from shared.provisioning.guard import counts, loses_members
from shared.storage.tables import Row

COUNTED_COLUMNS = (
    "wanted",
    "pending",
    "config",
    "state",
    "error_code",
    "failed_at",
    "tried",
    "staged",
    "permit",
    "target_id",
    "intent",
    "members",
    "removing",
)
"""What says how a row counts."""

OTHER_CODES = "other"
_CODES = 50
"""Error codes that are counted apart; the vendor does not decide how long a row gets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Account rows, counted."""

    states: Mapping[str, int] = field(default_factory=dict)
    """State -> rows, without the `staged` ones."""
    staged: Mapping[str, int] = field(default_factory=dict)
    """State -> rows whose departure waits for the guard: held while a hold stands, else as their state says."""
    staged_in_line: int = 0
    """How many of the staged rows are in line when no hold stands."""
    pending: int = 0
    """Rows where something is wanted that was not applied yet, and accounts on lists."""
    behind: int = 0
    """Rows where nothing else is wanted than another look: another configuration came into force, or a restart."""
    in_line: int = 0
    """How many of the pending ones, and of those behind, get their turn by themselves: not escrowed, not held."""
    listed: int = 0
    """Accounts that are raised when their queue has room; one that has a row already counts twice until then."""
    escrowed: Mapping[str, int] = field(default_factory=dict)
    """Error code -> escrowed rows; beyond fifty codes the rest is `other`."""
    oldest_number: str = ""
    """The lowest number that waits, of accounts without a failure; empty: none."""
    oldest_failed_at: str = ""
    """Since when the account has been failing that has been failing longest; empty: none."""

    @property
    def total(self) -> int:
        """Accounts, those on lists included."""
        return sum(self.states.values()) + sum(self.staged.values()) + self.listed

    def by_state(self, *, hold_stands: bool) -> dict[str, int]:
        """Every state and its accounts, as people see them: who is on a list is pending."""
        found = Counter(self.states)
        found.update({AccountState.HELD: sum(self.staged.values())} if hold_stands else self.staged)
        found[AccountState.PENDING] += self.listed
        return {state.value: found[state] for state in AccountState}

    def waiting(self, *, hold_stands: bool) -> int:
        """Accounts that get their turn by themselves."""
        return self.in_line + (0 if hold_stands else self.staged_in_line)


def count_rows(application: Application, rows: Iterable[Row], *, config: str) -> Counts:
    """Count rows that were read with `COUNTED_COLUMNS`; `config`: what a row says that is not behind."""
    states: Counter[str] = Counter()
    staged: Counter[str] = Counter()
    escrowed: Counter[str] = Counter()
    pending = behind = in_line = staged_in_line = 0
    oldest_number = oldest_failed_at = ""
    for row in rows:
        values = row.values
        number = str(values.get("wanted", ""))
        if not number:
            # Never raised: it only says that others refer to it.
            continue
        state = _state_of(values)
        is_pending = bool(values.get("pending"))
        waits_for_guard = False
        if values.get("staged"):
            waits_for_guard, is_held = _judge_staged(application, row)
            state = AccountState.HELD if is_held else state
        (staged if waits_for_guard else states)[state] += 1
        if state == AccountState.ESCROWED:
            escrowed[str(values.get("error_code", ""))] += 1
        is_left_behind = not is_pending and is_behind(str(values.get("config", "")), config)
        pending, behind = pending + is_pending, behind + is_left_behind
        if (is_pending or is_left_behind) and not _is_stopped(state, values):
            staged_in_line, in_line = staged_in_line + waits_for_guard, in_line + (not waits_for_guard)
        if not is_pending:
            continue
        if failed_at := str(values.get("failed_at", "")):
            oldest_failed_at = _lower(oldest_failed_at, failed_at)
        else:
            oldest_number = _lower(oldest_number, number)
    return Counts(
        states=dict(states),
        staged=dict(staged),
        staged_in_line=staged_in_line,
        pending=pending,
        behind=behind,
        in_line=in_line,
        escrowed=_bounded(escrowed),
        oldest_number=oldest_number,
        oldest_failed_at=oldest_failed_at,
    )


def count_lists(rows: Iterable[Row], *, prefix: str) -> Counts:
    """Count accounts on lists, read with their column `count`."""
    listed, oldest = 0, ""
    for row in rows:
        count = int(row.values.get("count", 0))
        listed += count
        if count:
            oldest = _lower(oldest, row.key.removeprefix(prefix).rpartition(":")[0])
    return Counts(listed=listed, pending=listed, in_line=listed, oldest_number=oldest)


def added(one: Counts, other: Counts) -> Counts:
    """Both counts together."""
    return Counts(
        states=_sum(one.states, other.states),
        staged=_sum(one.staged, other.staged),
        staged_in_line=one.staged_in_line + other.staged_in_line,
        pending=one.pending + other.pending,
        behind=one.behind + other.behind,
        in_line=one.in_line + other.in_line,
        listed=one.listed + other.listed,
        escrowed=_bounded(_sum(one.escrowed, other.escrowed)),
        oldest_number=_lower(one.oldest_number, other.oldest_number),
        oldest_failed_at=_lower(one.oldest_failed_at, other.oldest_failed_at),
    )


def write_counts(counted: Counts) -> str:
    """Write a count as a column holds it."""
    return json.dumps({name: getattr(counted, name) for name in Counts.__slots__}, ensure_ascii=False)


def read_counts(text: str) -> Counts | None:
    """Read the column; None when another version wrote it: it is counted again."""
    try:
        values = json.loads(text)
        return Counts(
            states=_read_map(values["states"]),
            staged=_read_map(values["staged"]),
            staged_in_line=int(values["staged_in_line"]),
            pending=int(values["pending"]),
            behind=int(values["behind"]),
            in_line=int(values["in_line"]),
            listed=int(values["listed"]),
            escrowed=_read_map(values["escrowed"]),
            oldest_number=str(values["oldest_number"]),
            oldest_failed_at=str(values["oldest_failed_at"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _state_of(values: Mapping[str, Any]) -> str:
    """The state; one that only another version knows is pending, as in `read_account`."""
    text = str(values.get("state", ""))
    return text if text in frozenset(AccountState) else AccountState.PENDING.value


def _is_stopped(state: str, values: Mapping[str, Any]) -> bool:
    """Whether a pending row waits for a later time or a person: in escrow and not raised since, or held."""
    if state == AccountState.ESCROWED:
        return values.get("tried") == values.get("wanted")
    return state == AccountState.HELD and not values.get("permit")


def _judge_staged(application: Application, row: Row) -> tuple[bool, bool]:
    """Whether a staged row is held if a hold stands, and whether it is held anyway: a group that loses many members."""
    kind, _, source_id = row.key.partition(":")
    account = read_account(row, application=application.name, kind=ResourceKind(kind), source_id=source_id)
    is_asked = counts(account)
    is_held = is_asked and loses_members(application, account)
    return is_asked and not is_held, is_held


def _bounded(codes: Mapping[str, int]) -> dict[str, int]:
    if len(codes) <= _CODES:
        return dict(codes)
    kept = dict(sorted(codes.items(), key=lambda entry: (entry[0] != OTHER_CODES, -entry[1], entry[0]))[: _CODES - 1])
    kept[OTHER_CODES] = kept.get(OTHER_CODES, 0) + sum(codes.values()) - sum(kept.values())
    return kept


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return dict(Counter(one) + Counter(other))


def _lower(one: str, other: str) -> str:
    return min(filter(None, (one, other)), default="")


def _read_map(values: Mapping[str, Any]) -> dict[str, int]:
    return {str(name): int(count) for name, count in values.items()}
