"""A table of expressions and what they must answer, so that expressions can be tried before they are configured.

A file of tab-separated columns: function, expression, input attributes as JSON, expected output as JSON; the first line
may be a header. In the input, `$now` (ISO 8601, with offset) is the clock, `$taken` a list of values that exist at the
target, and `appRoleAssignments` a list of {id, value, displayName}. In the output, `{"$drop": true}` means that nothing
flows, `{"$error": ...}` that the expression is refused for this input or altogether, `{"$regex": "..."}` any text of
that form, `{"$value": ..., "$logged": ...}` a value that logs hide.
"""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from shared.rules.attribute_paths import parse_path
from shared.rules.expressions import (
    DROP,
    AppRole,
    EvaluationContext,
    ExpressionError,
    ExpressionFailure,
    Redacted,
    RoleAssignments,
    UniqueValue,
    compile_expression,
)
from shared.rules.roles import shape_roles

__all__ = ["Difference", "TableResult", "check_rows", "check_table", "shown"]

_ROLES: Final = "appRoleAssignments"
_MARKERS: Final = frozenset({"$now", "$taken", _ROLES})
_COLUMNS: Final = 4
_FIXED_NOW: Final = datetime(2026, 11, 20, 13, 5, 9, tzinfo=UTC)
_REGEX_TIMEOUT_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A row whose expression does not answer what the table expects, or that cannot be read."""

    line: int
    """Counts from 1, the header included."""
    function: str
    expression: str
    expected: str
    """As JSON."""
    found: str
    """As JSON, or why there is no value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableResult:
    """How a table went."""

    rows: int
    differences: tuple[Difference, ...]

    @property
    def agrees(self) -> bool:
        """Whether there was a row at all and every row answered what was expected."""
        return self.rows > 0 and not self.differences


def check_table(path: Path) -> TableResult:
    """Evaluates every row of a file. Raises `OSError`, or `UnicodeDecodeError` when it is not UTF-8."""
    return check_rows(path.read_text(encoding="utf-8-sig"))


def check_rows(text: str, *, now: datetime = _FIXED_NOW, seed: int = 7) -> TableResult:
    """As `check_table`, from a text. `now` is the clock of rows without `$now`, `seed` what RandomString draws."""
    rows = 0
    differences: list[Difference] = []
    for line, cells in _rows(text):
        rows += 1
        difference = _check_row(line, cells, now=now, seed=seed)
        if difference is not None:
            differences.append(difference)
    return TableResult(rows=rows, differences=tuple(differences))


def shown(result: TableResult) -> list[Any]:
    """What a person reads: each row that differs, and how many there are."""
    from rich.table import Table
    from rich.text import Text

    parts: list[Any] = []
    if result.differences:
        table = Table("Line", "Function", "Expression", "Expected", "Found", title="Rows that differ")
        for entry in result.differences:
            cells = (str(entry.line), entry.function, entry.expression, entry.expected, entry.found)
            table.add_row(*(Text(cell) for cell in cells))
        parts.append(table)
    parts.append(f"{result.rows} rows, {result.rows - len(result.differences)} as expected.")
    if result.rows == 0:
        parts.append("Write one row a line: function, expression, input JSON, expected JSON.")
    return parts


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        cells = line.split("\t")
        if line.strip() and not (number == 1 and _is_header(cells)):
            yield number, cells


def _is_header(cells: list[str]) -> bool:
    return len(cells) >= _COLUMNS and cells[2].lstrip()[:1] != "{"


def _check_row(line: int, cells: list[str], *, now: datetime, seed: int) -> Difference | None:
    padded = [*cells, "", "", "", ""]
    found = _problem_of_form(cells)
    if found is None:
        given, expected = json.loads(cells[2]), json.loads(cells[3])
        found = _answer_problem(cells[1], given, expected=expected, context=_context(given, now=now, seed=seed))
    if found is None:
        return None
    return Difference(line=line, function=padded[0], expression=padded[1], expected=padded[3], found=found)


def _problem_of_form(cells: list[str]) -> str | None:
    if len(cells) != _COLUMNS:
        return f"4 columns separated by tabs were expected, {len(cells)} found"
    try:
        given = json.loads(cells[2])
    except (ValueError, RecursionError):
        return "the third column: a JSON object of input attributes was expected"
    if not isinstance(given, dict):
        return "the third column: a JSON object of input attributes was expected"
    try:
        json.loads(cells[3])
    except (ValueError, RecursionError):
        return "the fourth column: JSON was expected; put a text in double quotes"
    return _problem_of_markers(given)


def _problem_of_markers(given: Mapping[str, Any]) -> str | None:
    if "$now" in given:
        try:
            aware = datetime.fromisoformat(given["$now"]).tzinfo is not None
        except (TypeError, ValueError):
            aware = False
        if not aware:
            return "$now: an ISO 8601 instant with an offset was expected, such as 2026-11-20T13:05:09Z"
    if not isinstance(given.get("$taken", []), list):
        return "$taken: a list of values was expected"
    roles = given.get(_ROLES, [])
    if not isinstance(roles, list) or not all(isinstance(role, dict) for role in roles):
        return f"{_ROLES}: a list of objects with id, value and displayName was expected"
    return None


def _context(given: Mapping[str, Any], *, now: datetime, seed: int) -> EvaluationContext:
    roles = (
        AppRole(id=str(role.get("id", "")), value=role.get("value"), displayName=role.get("displayName"))
        for role in given.get(_ROLES, [])
    )
    return EvaluationContext(
        now=datetime.fromisoformat(given["$now"]) if "$now" in given else now,
        random=random.Random(seed),
        new_guid=lambda: str(uuid.UUID(int=seed)),
        roles=tuple(roles),
        default_domain="contoso.com",
    )


def _answer_problem(
    expression: str, given: Mapping[str, Any], *, expected: object, context: EvaluationContext
) -> str | None:
    """What was found in place of what was expected; None when they agree."""
    user = {name: value for name, value in given.items() if name not in _MARKERS}
    wants_error = isinstance(expected, dict) and "$error" in expected
    try:
        answer = compile_expression(expression).evaluate(user, context=context)
    except ExpressionError as error:
        return None if wants_error else f"refused: {error}"
    except ExpressionFailure as failure:
        return None if wants_error else f"failed: {failure}"
    written = _written(answer, given.get("$taken", []))
    refused = isinstance(written, dict) and "$error" in written
    if refused if wants_error else _agrees(written, expected):
        return None
    return json.dumps(written, ensure_ascii=False, default=str)


def _written(answer: object, taken: list[Any]) -> object:
    """The answer in the table's notation."""
    if answer is DROP:
        return {"$drop": True}
    if isinstance(answer, Redacted):
        return {"$value": answer.value, "$logged": str(answer)}
    if isinstance(answer, UniqueValue):
        free = (candidate for candidate in answer.candidates if candidate not in taken)
        return next(free, {"$error": "every candidate is taken"})
    if isinstance(answer, RoleAssignments):
        return shape_roles(answer, parse_path("roles"))
    return answer


def _agrees(found: object, expected: object) -> bool:
    if isinstance(expected, dict) and "$regex" in expected:
        import regex

        try:
            return (
                isinstance(found, str)
                and regex.fullmatch(str(expected["$regex"]), found, timeout=_REGEX_TIMEOUT_S) is not None
            )
        except (regex.error, TimeoutError):
            return False
    # JSON's true is no 1 and its 1 is no 1.0.
    return json.dumps(found, sort_keys=True, default=str) == json.dumps(expected, sort_keys=True)
