"""What a Bicep expression comes to: as much of the language as infra/ uses.

Whatever only Azure knows (ids, endpoints) comes to a text that names it, such as `<storage.id>`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tree_sitter import Node

from tests.infra.templates import Declaration, Template, literal, text_of, unescape


class NotEvaluated(Exception):
    """The expression uses something this reader does not know."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that only a deployment knows."""

    name: str

    def __str__(self) -> str:
        return f"<{self.name}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """The values of a template's parameters and variables."""

    template: Template
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def variable(self, name: str) -> Any:
        """The value of a variable or parameter."""
        return self._name(name, {})

    def of(self, node: Node, scope: Mapping[str, Any] | None = None) -> Any:
        """The value of an expression."""
        scope = scope or {}
        if node.type in _LITERALS:
            return _LITERALS[node.type](text_of(node))
        match node.type:
            case "string":
                return self._string(node, scope)
            case "identifier":
                return self._name(text_of(node), scope)
            case "parenthesized_expression":
                return self.of(node.named_children[0], scope)
            case "array":
                return [self.of(child, scope) for child in node.named_children if child.type != "comment"]
            case "object":
                return self._object(node, scope)
            case "member_expression":
                return self._member(node, scope)
            case "subscript_expression":
                base, index = (self.of(child, scope) for child in node.named_children)
                return Unknown(f"{base.name}[{index}]") if isinstance(base, Unknown) else base[index]
            case "for_statement":
                return [self.of(node.named_children[-1], inner) for inner in self._loop(node, scope)]
            case "ternary_expression":
                condition, yes, no = node.named_children
                return self.of(yes if self.of(condition, scope) else no, scope)
            case "binary_expression":
                return self._binary(node, scope)
            case "call_expression":
                return self._call(node, scope)
        raise NotEvaluated(f"{node.type} in {text_of(node)[:60]!r}")

    def bodies(self, declaration: Declaration) -> list[Any]:
        """What a resource or module is given, once for each turn of its loop; empty where its condition is false."""
        return list(self._bodies(declaration.node.named_children[-1], {}))

    def _bodies(self, node: Node, scope: Mapping[str, Any]) -> Iterator[Any]:
        match node.type:
            case "if_statement":
                condition, body = node.named_children
                if self.of(condition, scope):
                    yield from self._bodies(body, scope)
            case "for_statement":
                for inner in self._loop(node, scope):
                    yield from self._bodies(node.named_children[-1], inner)
            case _:
                yield self.of(node, scope)

    def _loop(self, node: Node, scope: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """The names of a loop, turn by turn: the element, and its place where it has a name."""
        names, iterated = node.named_children[:2]
        written = [text_of(name) for name in names.named_children] or [text_of(names)]
        for index, element in enumerate(self.of(iterated, scope)):
            yield {**scope, **dict(zip(written, (element, index), strict=False))}

    def _string(self, node: Node, scope: Mapping[str, Any]) -> str:
        found = literal(node)
        if found is not None:
            return found
        return "".join(
            str(self.of(child.named_children[0], scope)) if child.type == "interpolation" else unescape(text_of(child))
            for child in node.named_children
        )

    def _name(self, name: str, scope: Mapping[str, Any]) -> Any:
        if name in scope:
            return scope[name]
        if name in self.parameters:
            return self.parameters[name]
        for kind in ("param", "var"):
            declaration = self.template.of(kind).get(name)
            if declaration is not None:
                return self.of(declaration.value) if declaration.value is not None else None
        module = self.template.of("module").get(name)
        return None if module is not None and not self.bodies(module) else Unknown(name)

    def _object(self, node: Node, scope: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for entry in node.named_children:
            if entry.type == "object_property":
                key, value = entry.named_children[0], entry.named_children[-1]
                name = self._string(key, scope) if key.type == "string" else text_of(key)
                found[name] = self.of(value, scope)
        return found

    def _member(self, node: Node, scope: Mapping[str, Any]) -> Any:
        base, name = self.of(node.named_children[0], scope), text_of(node.named_children[1])
        if isinstance(base, Unknown):
            return Unknown(f"{base.name}.{name}")
        return None if base is None else base[name]

    def _binary(self, node: Node, scope: Mapping[str, Any]) -> Any:
        left, right = node.named_children
        sign = next(text_of(child) for child in node.children if not child.is_named)
        first = self.of(left, scope)
        if sign == "??":
            return self.of(right, scope) if first is None else first
        second = self.of(right, scope)
        operations: dict[str, Callable[[], Any]] = {
            "==": lambda: first == second,
            "!=": lambda: first != second,
            "+": lambda: first + second,
            "&&": lambda: first and second,
            "||": lambda: first or second,
        }
        if sign not in operations:
            raise NotEvaluated(f"{sign} in {text_of(node)[:60]!r}")
        return operations[sign]()

    def _call(self, node: Node, scope: Mapping[str, Any]) -> Any:
        name = text_of(node.named_children[0])
        arguments = [
            self._function(each, scope) or self.of(each, scope) for each in node.named_children[-1].named_children
        ]
        if name in _KNOWN:
            return _KNOWN[name](*arguments)
        shown = (each.name if isinstance(each, Unknown) else str(each) for each in arguments)
        return Unknown(f"{name}({', '.join(shown)})")

    def _function(self, node: Node, scope: Mapping[str, Any]) -> Callable[[Any], Any] | None:
        """The function a lambda is. `x => x.y` reaches us as `(x => x).y`: the grammar binds the arrow too tightly."""
        if node.type == "lambda_expression":
            name, body = node.named_children[0], node.named_children[-1]
            return lambda value: self.of(body, {**scope, text_of(name): value})
        inner = self._function(node.named_children[0], scope) if node.type == "member_expression" else None
        return (lambda value: inner(value)[text_of(node.named_children[1])]) if inner is not None else None


def _union(*values: Any) -> Any:
    if isinstance(values[0], list):
        return list(dict.fromkeys(element for value in values for element in value))
    return {key: element for value in values for key, element in value.items()}


_LITERALS: dict[str, Callable[[str], Any]] = {
    "number": int,
    "boolean": lambda text: text == "true",
    "null": lambda _: None,
}


def _subnet(prefix: str, size: int, index: int) -> str:
    return str(list(ipaddress.ip_network(prefix).subnets(new_prefix=size))[index])


_KNOWN: dict[str, Callable[..., Any]] = {
    "cidrSubnet": _subnet,
    "concat": lambda *lists: [element for each in lists for element in each],
    "empty": lambda value: not value,
    "flatten": lambda lists: [element for each in lists for element in each],
    "length": len,
    "min": min,
    "map": lambda elements, change: [change(element) for element in elements],
    "replace": lambda text, old, new: text.replace(old, new),
    "toLower": str.lower,
    "toObject": lambda elements, key, value: {key(element): value(element) for element in elements},
    "union": _union,
}
