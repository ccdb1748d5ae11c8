"""Which events the product writes, with which fields, and which words it uses: read from its source, not run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from shared.telemetry import Event
from tests.infra.templates import ROOT


class NotUnderstood(Exception):
    """An emit call is written in a way this reader cannot follow."""


@cache
def emitted_fields() -> dict[str, frozenset[str]]:
    """The fields of every event that is emitted anywhere, by the event's name."""
    found: dict[str, set[str]] = {}
    for path in _sources():
        module = ast.parse(path.read_text())
        for call in _emit_calls(module):
            for event in _events_of(call.args[0], module, path):
                found.setdefault(event, set()).update(_fields_of(call, module, path))
    return {event: frozenset(fields) for event, fields in found.items()}


@cache
def written_words() -> frozenset[str]:
    """Every text constant of the product: what a query may compare a field with."""
    return frozenset(
        node.value
        for path in _sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _sources() -> Iterator[Path]:
    yield from sorted([*(ROOT / "shared").rglob("*.py"), *(ROOT / "functions").rglob("*.py")])


def _emit_calls(module: ast.Module) -> Iterator[ast.Call]:
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name == "emit":
                yield node


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
