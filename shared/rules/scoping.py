"""Scoping filters: who of the assigned (or of everybody) is in scope, and why.

Clauses inside a filter are joined by AND, filters by OR, no filter at all means everybody. Comparisons are
case-sensitive. An empty attribute fails every clause but IS NULL, NOT EQUALS included, as Entra documents it.
A pattern matches anywhere in the text, as .NET does: write `^...$` for the whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from shared.config.provisioning_file import Operator, ScopingClause, ScopingFilter
from shared.rules.failures import InvalidData
from shared.rules.source_user import SourceUser
from shared.rules.target_values import is_empty

PATTERN_TIMEOUT_S: Final = 0.1
"""Longest time one pattern may take on one value."""

_NEGATIONS: Final = frozenset({Operator.NOT_EQUALS, Operator.NOT_REGEX_MATCH, Operator.NOT_INCLUDES})
_WHOLE_NUMBER: Final = re.compile(r"\d+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClauseResult:
    """What one clause said about the user. Holds the attribute's name, never its value."""

    filter: str
    attribute: str
    operator: Operator
    passed: bool
    reason: str
    """`passed`, `failed`, `empty` or `not_comparable`."""

    def __str__(self) -> str:
        return f"{self.filter}.{self.attribute} {self.operator}: {str(self.passed).lower()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeResult:
    """Whether the user is in scope, and the result of every clause. No filters: in scope, no explanation."""

    in_scope: bool
    explanation: tuple[ClauseResult, ...]

    def as_mapping(self) -> dict[str, bool]:
        """`{"Filter title.department EQUALS": false}`, as Entra's logs show it."""
        return {f"{result.filter}.{result.attribute} {result.operator}": result.passed for result in self.explanation}


def evaluate(filters: Sequence[ScopingFilter], user: Mapping[str, object]) -> ScopeResult:
    """Whether a source user passes. Every clause is evaluated, so that the explanation is whole.

    Raises `InvalidData` when a pattern takes too long: who cannot be judged is neither in nor out.
    """
    view = user if isinstance(user, SourceUser) else SourceUser(user)
    explanation: list[ClauseResult] = []
    in_scope = not filters
    for scoping_filter in filters:
        results = [_evaluate_clause(scoping_filter.name, clause, view) for clause in scoping_filter.clauses]
        in_scope = in_scope or all(result.passed for result in results)
        explanation += results
    return ScopeResult(in_scope=in_scope, explanation=tuple(explanation))


def _evaluate_clause(name: str, clause: ScopingClause, user: SourceUser) -> ClauseResult:
    value = user.get(clause.attribute)
    values = [value] if not isinstance(value, list | tuple) else list(value)
    present = [element for element in values if not is_empty(element)]
    if clause.operator is Operator.IS_NULL or clause.operator is Operator.IS_NOT_NULL:
        passed, reason = bool(present) is (clause.operator is Operator.IS_NOT_NULL), ""
    elif not present:
        passed, reason = False, "empty"
    else:
        passed, reason = _compare_all(clause, present)
    return ClauseResult(
        filter=name,
        attribute=clause.attribute,
        operator=clause.operator,
        passed=passed,
        reason=reason or ("passed" if passed else "failed"),
    )


def _compare_all(clause: ScopingClause, values: list[object]) -> tuple[bool, str]:
    match = clause.match or ("all" if clause.operator in _NEGATIONS else "any")
    verdicts = [_COMPARISONS[clause.operator](value, clause) for value in values]
    if all(verdict is None for verdict in verdicts):
        return False, "not_comparable"
    return (all(verdicts) if match == "all" else any(verdicts)), ""


def _equals(value: object, clause: ScopingClause) -> bool:
    if isinstance(value, bool) or isinstance(clause.value, bool):
        return _text(value).casefold() == _text(clause.value).casefold()
    return _text(value) == _text(clause.value)


def _pattern_found(value: object, clause: ScopingClause) -> bool:
    try:
        return bool(_compiled(_text(clause.value))(_text(value), timeout=PATTERN_TIMEOUT_S))
    except TimeoutError as error:
        reason = f"the pattern took longer than {PATTERN_TIMEOUT_S} s; simplify it"
        raise InvalidData(target="scoping_filters", source=clause.attribute, reason=reason) from error


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Callable[..., object]:
    import regex

    return regex.compile(pattern).search


def _order(value: object, clause: ScopingClause) -> int | None:
    """-1, 0 or 1 for smaller, equal or greater; None when the two cannot be compared."""
    left, right = _comparable(value), _comparable(clause.value)
    if isinstance(left, int) and isinstance(right, int):
        return (left > right) - (left < right)
    if isinstance(left, datetime) and isinstance(right, datetime):
        return (left > right) - (left < right)
    return None


def _comparable(value: object) -> int | datetime | None:
    """A non-negative whole number or an instant (ISO 8601; a day is its first second, no zone is UTC)."""
    text = _text(value).strip()
    if _WHOLE_NUMBER.fullmatch(text):
        return int(text)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)


def _ordered(accept: Callable[[int], bool]) -> Callable[[object, ScopingClause], bool | None]:
    def compare(value: object, clause: ScopingClause) -> bool | None:
        order = _order(value, clause)
        return None if order is None else accept(order)

    return compare


def _bits(value: object, clause: ScopingClause) -> bool | None:
    """Whether any bit of the clause's number is set in the value."""
    left, right = _comparable(value), _comparable(clause.value)
    return bool(left & right) if isinstance(left, int) and isinstance(right, int) else None


def _no_bits(value: object, clause: ScopingClause) -> bool | None:
    found = _bits(value, clause)
    return None if found is None else not found


def _text(value: object) -> str:
    return value if isinstance(value, str) else str(value)


_COMPARISONS: Final[dict[Operator, Callable[[object, ScopingClause], bool | None]]] = {
    Operator.EQUALS: _equals,
    Operator.NOT_EQUALS: lambda value, clause: not _equals(value, clause),
    Operator.REGEX_MATCH: _pattern_found,
    Operator.NOT_REGEX_MATCH: lambda value, clause: not _pattern_found(value, clause),
    Operator.INCLUDES: lambda value, clause: _text(clause.value) in _text(value),
    Operator.NOT_INCLUDES: lambda value, clause: _text(clause.value) not in _text(value),
    Operator.STARTS_WITH: lambda value, clause: _text(value).startswith(_text(clause.value)),
    Operator.ENDS_WITH: lambda value, clause: _text(value).endswith(_text(clause.value)),
    Operator.GREATER_THAN: _ordered(lambda order: order > 0),
    Operator.GREATER_THAN_OR_EQUALS: _ordered(lambda order: order >= 0),
    Operator.LESS_THAN: _ordered(lambda order: order < 0),
    Operator.LESS_THAN_OR_EQUALS: _ordered(lambda order: order <= 0),
    Operator.IS_TRUE: lambda value, _: _text(value).casefold() == "true",
    Operator.IS_FALSE: lambda value, _: _text(value).casefold() == "false",
    Operator.BITS_SET: _bits,
    Operator.BITS_CLEAR: _no_bits,
}
