"""Which events, spans and metrics the product writes, with which fields, and which words it uses: read, not run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from pathlib import Path

from shared.metrics import Metric
from shared.telemetry import Event
from shared.tracing import SpanName
from tests.infra.templates import ROOT

OF_EVERY_EVENT = "trace"
"""The field that every event has within a span."""


class NotUnderstood(Exception):
    """An emit call is written in a way this reader cannot follow."""


@cache
def emitted_fields() -> dict[str, frozenset[str]]:
    """The fields of every event that is emitted anywhere, by the event's name."""
    found: dict[str, set[str]] = {}
    for path in _sources():
        module = _parsed(path)
        for call in _calls(module, "emit"):
            for event in _events_of(call.args[0], module, path):
                found.setdefault(event, set()).update(_fields_of(call, module, path))
    return {event: frozenset(fields) for event, fields in found.items()}


@cache
def recorded_metrics() -> dict[str, frozenset[str]]:
    """The attributes of every metric that is recorded anywhere, by the metric's name."""
    found: dict[str, set[str]] = {}
    for path in _sources():
        for call in _calls(_parsed(path), "record"):
            if call.args and (name := _member(call.args[0], Metric)) is not None:
                found.setdefault(name, set()).update(keyword.arg or "" for keyword in call.keywords)
    return {name: frozenset(attributes) for name, attributes in found.items()}


@cache
def recorded_spans() -> dict[str, frozenset[str]]:
    """The attributes of every span, by its name: given at its beginning, or set on a `span` in the same file.

    What `exchange_in_span` is called with has those that it sets, too.
    """
    found: dict[str, set[str]] = {}
    exchanged = _span_calls(_parsed(ROOT / "shared/scim/observed_exchange.py"))
    for path in _sources():
        module = _parsed(path)
        begun = [(call, _span_calls(module)) for call in _calls(module, "span")]
        begun += [(call, exchanged) for call in _calls(module, "exchange_in_span")]
        for call, others in begun:
            if call.args and (name := _member(call.args[0], SpanName)) is not None:
                given = {keyword.arg or "" for each in (call, *others) for keyword in each.keywords}
                found.setdefault(name, {"failure"}).update(given - _NO_ATTRIBUTES)
    return {name: frozenset(attributes) for name, attributes in found.items()}


_NO_ATTRIBUTES = {"", "parent", "target", "timeout_s", "departs", "monotonic"}


def _span_calls(module: ast.Module) -> list[ast.Call]:
    """What sets attributes of a `span` in a file; where a file begins spans by a name it is given, that, too."""
    later = [call for call in _calls(module, "set") if _is_of_span(call)]
    return later + [
        call
        for call in _calls(module, "span")
        if call.args and isinstance(call.args[0], ast.Name) and call.args[0].id == "name"
    ]


def _is_of_span(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and getattr(call.func.value, "id", "") == "span"


def _member(node: ast.expr, kind: type[StrEnum]) -> str | None:
    """The value of `Metric.X`, or of `metrics.Metric.X`."""
    is_member = isinstance(node, ast.Attribute) and node.attr in kind.__members__
    return kind[node.attr].value if is_member and isinstance(node, ast.Attribute) else None


@cache
def written_words() -> frozenset[str]:
    """Every text constant of the product: what a query may compare a field with."""
    return frozenset(
        node.value
        for path in _sources()
        for node in ast.walk(_parsed(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


@cache
def known_words(event: str, field: str) -> frozenset[str]:
    """The texts a field of an event can have, where each is written beside the emit call; else any of the product's."""
    found: set[str] = set()
    for path in _sources():
        module = _parsed(path)
        for call in _calls(module, "emit"):
            values = [keyword.value for keyword in call.keywords if keyword.arg == field]
            for value in values if event in _events_of(call.args[0], module, path) else []:
                words = _words_of(value, module)
                if not words:
                    return written_words()
                found |= words
    return frozenset(found) or written_words()


def _words_of(value: ast.expr, module: ast.Module) -> set[str]:
    """A text, or those that a variable of this name is set to in the same file."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return {value.value}
    if not isinstance(value, ast.Name):
        return set()
    set_to: list[ast.expr] = []
    for node in ast.walk(module):
        for target in node.targets if isinstance(node, ast.Assign) else []:
            pairs = [(target, node.value)]
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = list(zip(target.elts, node.value.elts, strict=True))
            set_to += [each for name, each in pairs if isinstance(name, ast.Name) and name.id == value.id]
    return {each.value for each in set_to if isinstance(each, ast.Constant) and isinstance(each.value, str)}


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _sources() -> Iterator[Path]:
    yield from sorted([*(ROOT / "shared").rglob("*.py"), *(ROOT / "functions").rglob("*.py")])


def _calls(module: ast.Module, called: str) -> Iterator[ast.Call]:
    """Calls of functions and methods of a name."""
    for call in _all_calls(module):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if name == called:
            yield call


@cache
def _all_calls(module: ast.Module) -> tuple[ast.Call, ...]:
    return tuple(node for node in ast.walk(module) if isinstance(node, ast.Call))


def _events_of(node: ast.expr, module: ast.Module, path: Path) -> Iterator[str]:
    """`Event.X`, or a call of a function of the same file that returns such values."""
    if isinstance(node, ast.Attribute) and node.attr in Event.__members__:
        yield Event[node.attr].value
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        for returned in ast.walk(_function(module, node.func.id, path)):
            if isinstance(returned, ast.Return) and returned.value is not None:
                yield from _events_of(returned.value, module, path)
    else:
        raise NotUnderstood(f"{path}:{node.lineno}: which event is emitted here?")


def _fields_of(call: ast.Call, module: ast.Module, path: Path) -> Iterator[str]:
    """Keyword names, and the keys of a dict that a method of the same file returns for `**`."""
    for keyword in call.keywords:
        if keyword.arg is not None:
            yield keyword.arg
            continue
        value = keyword.value
        if not (isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute)):
            raise NotUnderstood(f"{path}:{call.lineno}: which fields does ** add here?")
        for node in ast.walk(_function(module, value.func.attr, path)):
            if isinstance(node, ast.Dict):
                yield from (str(key.value) for key in node.keys if isinstance(key, ast.Constant))


def _function(module: ast.Module, name: str, path: Path) -> ast.AST:
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            return node
    raise NotUnderstood(f"{path}: there is no function {name} in this file")
