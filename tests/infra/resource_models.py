"""Property names and values of resources, against the models of Microsoft's azure-mgmt packages.

The models are of one API version each, usually newer than the one a template names, so this finds misspelt and
misplaced properties, wrong kinds of values and words that no enumeration has; not a property that came later than the
version in the template.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from tree_sitter import Node

from tests.infra.templates import Declaration, Finding, Template, body_of, literal, text_of, type_of_resource

_ALWAYS = frozenset(["name", "parent", "scope", "dependsOn"])


@dataclass(frozen=True, slots=True)
class Shape:
    """What a value may be."""

    kind: str
    """`any`, `str`, `int`, `bool`, `object` with `fields`, `map` or `list` with `element`."""
    fields: Mapping[str, Shape] = field(default_factory=dict)
    element: Shape | None = None
    words: frozenset[str] = frozenset()
    """The enumeration a string comes from; empty when it may be anything."""
    model: type | None = None


_WRITTEN = {
    "object": "object",
    "array": "list",
    "for_statement": "list",
    "string": "str",
    "number": "int",
    "boolean": "bool",
}
"""Syntax, and the kind of value it makes."""

_ANY, _TEXT, _YES_OR_NO = Shape("any"), Shape("str"), Shape("bool")


def _objects(**fields: Shape) -> Shape:
    return Shape("object", fields)


_CATEGORIES = Shape("list", element=_objects(category=_TEXT, categoryGroup=_TEXT, enabled=_YES_OR_NO))

_OWN: dict[str, Shape] = {
    # Not in today's azure-mgmt-monitor; written down from the REST reference.
    "Microsoft.Insights/diagnosticSettings": _objects(
        properties=_objects(workspaceId=_TEXT, logs=_CATEGORIES, metrics=_CATEGORIES)
    ),
    # Microsoft Graph's Bicep types come from its extension.
    "Microsoft.Graph/servicePrincipals": _objects(appId=_TEXT),
    "Microsoft.Graph/appRoleAssignedTo": _objects(appRoleId=_TEXT, principalId=_TEXT, resourceId=_TEXT),
    # App settings: any name, always a text.
    "Microsoft.Web/sites/config": _objects(properties=Shape("map", element=_TEXT)),
}

_MODELS = {
    "Microsoft.Authorization/roleAssignments": ("authorization", "RoleAssignmentCreateParameters"),
    "Microsoft.Insights/actionGroups": ("monitor", "ActionGroupResource"),
    "Microsoft.Insights/components": ("applicationinsights", "ApplicationInsightsComponent"),
    "Microsoft.Insights/scheduledQueryRules": ("monitor", "ScheduledQueryRuleResource"),
    "Microsoft.Insights/workbooks": ("applicationinsights", "Workbook"),
    "Microsoft.KeyVault/vaults": ("keyvault", "VaultCreateOrUpdateParameters"),
    "Microsoft.ManagedIdentity/userAssignedIdentities": ("msi", "Identity"),
    "Microsoft.Network/natGateways": ("network", "NatGateway"),
    "Microsoft.Network/networkSecurityGroups": ("network", "NetworkSecurityGroup"),
    "Microsoft.Network/privateDnsZones": ("privatedns", "PrivateZone"),
    "Microsoft.Network/privateDnsZones/virtualNetworkLinks": ("privatedns", "VirtualNetworkLink"),
    "Microsoft.Network/privateEndpoints": ("network", "PrivateEndpoint"),
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups": ("network", "PrivateDnsZoneGroup"),
    "Microsoft.Network/publicIPAddresses": ("network", "PublicIPAddress"),
    "Microsoft.Network/virtualNetworks": ("network", "VirtualNetwork"),
    "Microsoft.Network/virtualNetworks/subnets": ("network", "Subnet"),
    "Microsoft.OperationalInsights/workspaces": ("loganalytics", "Workspace"),
    "Microsoft.Storage/storageAccounts": ("storage", "StorageAccountCreateParameters"),
    "Microsoft.Storage/storageAccounts/blobServices": ("storage", "BlobServiceProperties"),
    "Microsoft.Storage/storageAccounts/blobServices/containers": ("storage", "BlobContainer"),
    "Microsoft.Storage/storageAccounts/queueServices": ("storage", "QueueServiceProperties"),
    "Microsoft.Storage/storageAccounts/queueServices/queues": ("storage", "StorageQueue"),
    "Microsoft.Storage/storageAccounts/tableServices": ("storage", "TableServiceProperties"),
    "Microsoft.Storage/storageAccounts/tableServices/tables": ("storage", "Table"),
    "Microsoft.Web/serverfarms": ("web", "AppServicePlan"),
    "Microsoft.Web/sites": ("web", "Site"),
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": ("web", "CsmPublishingCredentialsPoliciesEntity"),
}


def check_resources(template: Template) -> Iterator[Finding]:
    """Misspelt properties, wrong kinds of values, unknown types."""
    for declaration in template.of("resource").values():
        kind, _ = type_of_resource(declaration)
        shape = shape_of(kind)
        if shape is None:
            yield template.finding(
                declaration.node, f"{kind}: no such resource type, or the check does not know it yet"
            )
            continue
        yield from _check_body(template, declaration, shape)


def _check_body(template: Template, declaration: Declaration, shape: Shape) -> Iterator[Finding]:
    body = body_of(declaration.node)
    if body is None:
        yield template.finding(declaration.node, f"{declaration.name} has no body")
        return
    is_graph = type_of_resource(declaration)[0].startswith("Microsoft.Graph")
    allowed = dict.fromkeys({"dependsOn"} if is_graph else _ALWAYS, _ANY) | dict(fields_of(shape))
    yield from _check_object(template, body, allowed, declaration.name)


def _check_object(template: Template, node: Node, allowed: Mapping[str, Shape], where: str) -> Iterator[Finding]:
    for entry in node.named_children:
        if entry.type != "object_property":
            continue
        key, value = entry.named_children[0], entry.named_children[-1]
        name = literal(key) if key.type == "string" else text_of(key)
        if name is None or name not in allowed:
            yield template.finding(entry, f"{where}.{name}: no such property")
        else:
            yield from _check_value(template, value, allowed[name], f"{where}.{name}")


def _check_value(template: Template, node: Node, shape: Shape, where: str) -> Iterator[Finding]:
    if node.type == "object" and shape.kind == "object":
        yield from _check_object(template, node, fields_of(shape), where)
        return
    parts, expected = _parts_of(node, shape)
    for part in parts:
        yield from _check_value(template, part, expected, where)
    if not parts and node.type in _WRITTEN:
        yield from _check_literal(template, node, shape, where)


def _parts_of(node: Node, shape: Shape) -> tuple[list[Node], Shape]:
    """The nodes that make up a value, and what each of them may be; none for a value that stands for itself."""
    element = shape.element or _ANY
    match node.type:
        case "ternary_expression":
            return node.named_children[1:], shape
        case "parenthesized_expression":
            return node.named_children[:1], shape
        case "for_statement" if shape.kind in ("list", "any"):
            return node.named_children[-1:], element
        case "array" if shape.kind == "list":
            return [child for child in node.named_children if child.type != "comment"], element
        case "object" if shape.kind == "map":
            return [
                entry.named_children[-1] for entry in node.named_children if entry.type == "object_property"
            ], element
        case "call_expression":
            return _produced_by(node, shape)
    return [], shape


def _produced_by(node: Node, shape: Shape) -> tuple[list[Node], Shape]:
    """The objects that `union` puts together, or that `map` makes."""
    name, arguments = text_of(node.named_children[0]), node.named_children[-1].named_children
    if name == "union":
        return arguments, shape
    if name == "map" and shape.kind == "list":
        return arguments[-1].named_children[-1:], shape.element or _ANY
    return [], shape


def _check_literal(template: Template, node: Node, shape: Shape, where: str) -> Iterator[Finding]:
    written = _WRITTEN[node.type]
    expected = {"map": "object"}.get(shape.kind, shape.kind)
    if expected not in ("any", written):
        yield template.finding(node, f"{where}: expected {expected}, not {written}")
    value = literal(node)
    if shape.words and value is not None and value.lower() not in {word.lower() for word in shape.words}:
        yield template.finding(node, f"{where}: {value!r} is none of {', '.join(sorted(shape.words))}")


# --- The models -----------------------------------------------------------------------------------------------------


@cache
def shape_of(kind: str) -> Shape | None:
    """What a resource of this type may be; None for a type nobody wrote down here."""
    if kind in _OWN:
        return _OWN[kind]
    if kind not in _MODELS:
        return None
    package, name = _MODELS[kind]
    models = importlib.import_module(f"azure.mgmt.{package}.models")
    return Shape("object", model=getattr(models, name))


def fields_of(shape: Shape) -> Mapping[str, Shape]:
    """The properties of an object."""
    return shape.fields if shape.model is None else _fields_of_model(shape.model)


@cache
def _fields_of_model(model: type) -> dict[str, Shape]:
    """The properties of a model as they are called in JSON."""
    if hasattr(model, "_attribute_map"):
        return _fields_of_old_model(model)
    model({})  # Fills in the names.
    fields: dict[str, Shape] = {}
    for attribute, rest in model._attr_to_rest_field.items():  # type: ignore[attr-defined]
        written = next((_annotations(c)[attribute] for c in model.__mro__ if attribute in _annotations(c)), "Any")
        fields[rest._rest_name] = _shape_of_annotation(str(written), model)
    return fields


def _annotations(owner: type) -> Mapping[str, Any]:
    return inspect.get_annotations(owner)


def _fields_of_old_model(model: type) -> dict[str, Shape]:
    """The older generator flattens `properties.x` into one attribute and keeps the path."""
    tree: dict[str, Any] = {}
    hints = {name: str(each.annotation) for name, each in inspect.signature(model.__init__).parameters.items()}  # type: ignore[misc]
    for attribute, entry in model._attribute_map.items():  # type: ignore[attr-defined]
        *path, last = [part.replace("\\.", ".") for part in re.split(r"(?<!\\)\.", entry["key"])]
        place = tree
        for part in path:
            place = place.setdefault(part, {})
        words = _shape_of_annotation(hints.get(attribute, ""), model).words
        place[last] = _shape_of_old_type(entry["type"], model, words)
    return {name: _closed(value) for name, value in tree.items()}


def _closed(value: Any) -> Shape:
    if isinstance(value, Shape):
        return value
    return Shape("object", {name: _closed(inner) for name, inner in value.items()})


def _shape_of_old_type(written: str, model: type, words: frozenset[str]) -> Shape:
    if written.startswith("["):
        return Shape("list", element=_shape_of_old_type(written[1:-1], model, frozenset()))
    if written.startswith("{"):
        return Shape("map", element=_shape_of_old_type(written[1:-1], model, frozenset()))
    simple = {"str": "str", "int": "int", "long": "int", "bool": "bool", "float": "int", "duration": "str"}
    if written in simple:
        return Shape(simple[written], words=words)
    return _shape_of_name(written, model)


def _shape_of_annotation(written: str, model: type) -> Shape:
    written = written.strip()
    optional = re.fullmatch(r"(?:typing\.)?Optional\[(.*)\]", written)
    if optional:
        return _shape_of_annotation(optional[1], model)
    listed = re.fullmatch(r"(?:typing\.)?[Ll]ist\[(.*)\]", written)
    if listed:
        return Shape("list", element=_shape_of_annotation(listed[1], model))
    mapped = re.fullmatch(r"(?:typing\.)?[Dd]ict\[str, (.*)\]", written)
    if mapped:
        return Shape("map", element=_shape_of_annotation(mapped[1], model))
    named = re.search(r"_models\.(\w+)", written)
    if named:
        return _shape_of_name(named[1], model)
    simple = {"str": "str", "int": "int", "bool": "bool", "float": "int"}
    return Shape(simple[written]) if written in simple else _ANY


def _shape_of_name(name: str, model: type) -> Shape:
    package = model.__module__.rsplit(".", 1)[0]
    found = getattr(importlib.import_module(package), name, None)
    if found is None:
        return _ANY
    if issubclass(found, enum.Enum):
        return Shape("str", words=frozenset(str(each.value) for each in found))
    return Shape("object", model=found)
