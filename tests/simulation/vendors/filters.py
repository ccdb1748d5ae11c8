"""What a filter asks: the comparisons in it and the operators that join them, for rules that allow only some."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from scim2_models import SCIMException, ScimFilter
from scim2_models.path import Comparison, LogicalExpr, Not, Present, ValuePath

from tests.simulation.vendors.writes import CORE_URNS, attribute_key

_BARE_VALUE = re.compile(r'(?P<head>\s(?:eq|EQ|Eq)\s+)(?P<value>[^\s"()\[\]]+)')
_LITERAL = re.compile(r"^(?:true|false|null)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One comparison: the folded attribute key without element filters, the operator, the value."""

    key: str
    op: str
    value: Any


def terms_of(text: str) -> tuple[Term, ...] | None:
    """Answers with the comparisons of a filter, `or` and `not` as terms of their own; None when it does not parse."""
    try:
        return tuple(_terms(ScimFilter(text).ast))
    except (SCIMException, ValueError):
        return None


def _terms(node: Any, prefix: str = "") -> Iterator[Term]:
    match node:
        case LogicalExpr():
            if node.op.value != "and":
                yield Term(key="or", op="", value=None)
            for each in node.terms:
                yield from _terms(each, prefix)
        case Not():
            yield Term(key="not", op="", value=None)
            yield from _terms(node.expr, prefix)
        case Present():
            yield Term(key=_key(node.attr_path, prefix), op="pr", value=None)
        case Comparison():
            yield Term(key=_key(node.attr_path, prefix), op=node.op.value, value=node.value)
        case ValuePath():
            for inner in _terms(node.val_filter, prefix=_key(node.attr_path, "")):
                if not inner.key.endswith(".type"):
                    yield inner


def _key(path: Any, prefix: str) -> str:
    if prefix:
        return f"{prefix}.{path.attr.casefold()}"
    urn = "" if path.uri is None or path.uri in CORE_URNS else path.uri
    return attribute_key(urn, path.attr, path.sub_attr or "")


def with_quoted_values(text: str) -> str:
    """Answers with a filter in which bare words after `eq` are quoted; some vendors' examples leave them bare."""

    def quoted(match: re.Match[str]) -> str:
        value = match["value"]
        return match[0] if _LITERAL.match(value) else f'{match["head"]}"{value}"'

    return _BARE_VALUE.sub(quoted, text)
