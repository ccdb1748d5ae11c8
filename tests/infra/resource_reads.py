"""What templates read from resources, such as `identity.properties.clientId`: the property is there to be read."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from functools import cache

from tree_sitter import Node

from tests.infra.resource_models import Shape, fields_of, shape_of
from tests.infra.templates import Finding, Template, text_of, type_of_resource, walk

_ALWAYS = frozenset(["id", "name", "type", "apiVersion"])
_READ = {
    "Microsoft.KeyVault/vaults": ("keyvault", "Vault"),
    "Microsoft.Storage/storageAccounts": ("storage", "StorageAccount"),
}
"""Types of which more can be read than written."""


def check_reads(template: Template) -> Iterator[Finding]:
    """Properties that a resource does not have."""
    resources = template.of("resource")
    for node in walk(template.root):
        is_outermost = node.parent is None or node.parent.type != "member_expression"
        if node.type != "member_expression" or not is_outermost:
            continue
        base, names = _path_of(node)
        kind = type_of_resource(resources[base])[0] if base in resources else ""
        if not kind or kind.startswith("Microsoft.Graph") or names[0] in _ALWAYS:
            continue
        shape = _shape_to_read(kind)
        for name in names:
            if shape is None or shape.kind != "object":
                break
            shape = fields_of(shape).get(name)
            if shape is None:
                yield template.finding(node, f"{text_of(node)}: {kind} has no {name}")


def _path_of(node: Node) -> tuple[str, list[str]]:
    """The name at the start, and the properties after it; of `zones[0].id` it is `zones`."""
    names: list[str] = []
    while node.type in ("member_expression", "subscript_expression"):
        if node.type == "member_expression":
            names.append(text_of(node.named_children[1]))
        node = node.named_children[0]
    return text_of(node) if node.type == "identifier" else "", names[::-1]


@cache
def _shape_to_read(kind: str) -> Shape | None:
    if kind not in _READ:
        return shape_of(kind)
    package, name = _READ[kind]
    return Shape("object", model=getattr(importlib.import_module(f"azure.mgmt.{package}.models"), name))
