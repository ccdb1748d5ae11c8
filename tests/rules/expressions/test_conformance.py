"""The documented examples, row by row: `conformance.tsv` says where a value is a marker (`$drop`, `$regex`, ...)."""

import json
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from shared.rules.expressions import (
    DROP,
    ExpressionFailure,
    Redacted,
    UniqueValue,
    compile_expression,
)
from tests.rules.expressions.contexts import CONTEXT

_MARKERS = {"$now", "$taken"}


def _rows() -> Iterator[object]:
    lines = (Path(__file__).parent / "conformance.tsv").read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(filter(None, lines[1:]), start=1):
        function, expression, given, expected = line.split("\t")
        yield pytest.param(expression, json.loads(given), json.loads(expected), id=f"row {number} {function}")


ROWS = list(_rows())


def _as_row(value: object, taken: list[str]) -> object:
    if value is DROP:
        return {"$drop": True}
    if isinstance(value, Redacted):
        return {"$value": value.value, "$logged": str(value)}
    if isinstance(value, UniqueValue):
        return next(candidate for candidate in value.candidates if candidate not in taken)
    return value


@pytest.mark.parametrize(("expression", "given", "expected"), ROWS)
def test_every_documented_example_gives_the_documented_answer(expression, given, expected):
    user = {name: value for name, value in given.items() if name not in _MARKERS}
    now = datetime.fromisoformat(given["$now"]) if "$now" in given else CONTEXT.now
    context = replace(CONTEXT, now=now, random=random.Random(7))

    if isinstance(expected, dict) and "$error" in expected:
        with pytest.raises(ExpressionFailure):
            compile_expression(expression).evaluate(user, context=context)
        return
    answer = _as_row(compile_expression(expression).evaluate(user, context=context), given.get("$taken", []))

    if isinstance(expected, dict) and "$regex" in expected:
        assert re.fullmatch(expected["$regex"], answer)
    else:
        assert answer == expected
        assert type(answer) is type(expected)


def test_the_table_is_complete():
    assert len(ROWS) == 322
