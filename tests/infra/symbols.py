"""Names in templates: everything used is declared, everything declared is used, modules get what they ask for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tree_sitter import Node

from tests.infra.templates import (
    Declaration,
    Finding,
    Template,
    body_of,
    literal,
    properties_of,
    read_template,
    text_of,
    walk,
)

_FUNCTIONS = frozenset(
    [
        "any",
        "array",
        "base64",
        "bool",
        "cidrSubnet",
        "concat",
        "contains",
        "empty",
        "endsWith",
        "environment",
        "filter",
        "first",
        "flatten",
        "guid",
        "indexOf",
        "int",
        "items",
        "join",
        "last",
        "length",
        "loadJsonContent",
        "loadTextContent",
        "loadYamlContent",
        "map",
        "max",
        "min",
        "objectKeys",
        "padLeft",
        "range",
        "readEnvironmentVariable",
        "reduce",
        "replace",
        "resourceGroup",
        "resourceId",
        "skip",
        "sort",
        "split",
        "startsWith",
        "string",
        "subscription",
        "subscriptionResourceId",
        "substring",
        "take",
        "tenant",
        "toLower",
        "toObject",
        "toUpper",
        "trim",
        "union",
        "uniqueString",
        "uri",
    ]
)
_DECORATORS = frozenset(
    ["allowed", "description", "export", "maxLength", "maxValue", "minLength", "minValue", "sealed"]
)
_TYPES = frozenset(["string", "int", "bool", "object", "array", "any"])
_FILES = frozenset(["loadTextContent", "loadJsonContent", "loadYamlContent"])


def check_symbols(template: Template) -> Iterator[Finding]:
    """Undeclared and unused names, wrong module parameters and outputs, files that are not there."""
    yield from _check_doubled(template)
    yield from _check_uses(template)
    yield from _check_unused(template)
    yield from _check_modules(template)
    yield from _check_elements(template)


# --- Declared and used ----------------------------------------------------------------------------------------------


def _check_doubled(template: Template) -> Iterator[Finding]:
    seen: set[str] = set(template.imports)
    for each in template.declarations:
        if each.kind in ("param", "var", "resource", "module", "type"):
            if each.name in seen:
                yield template.finding(each.node, f"{each.name} is declared twice")
            seen.add(each.name)


def _check_uses(template: Template) -> Iterator[Finding]:
    for name, file in template.imports.items():
        target = template.path.parent / file
        if not target.exists():
            yield Finding(path=template.path, line=1, text=f"import from {file}: there is no such file")
        elif name not in read_template(target).of("type"):
            yield Finding(path=template.path, line=1, text=f"import of {name}: {file} exports no such type")
    scope = frozenset(_values(template))
    types = _TYPES | frozenset(template.of("type")) | frozenset(template.imports)
    for declaration in template.declarations:
        for decorator in declaration.decorators:
            if decorator not in _DECORATORS:
                yield template.finding(declaration.node, f"@{decorator}: no such decorator")
        if declaration.type is not None:
            for node in walk(declaration.type):
                if node.type in ("identifier", "type_identifier") and text_of(node) not in types:
                    yield template.finding(node, f"{text_of(node)}: no such type")
        if declaration.kind in ("resource", "module"):
            yield from _check_expression(template, declaration.node.named_children[-1], scope)
        elif declaration.kind not in ("type", "targetScope") and declaration.value is not None:
            yield from _check_expression(template, declaration.value, scope)


def _values(template: Template) -> dict[str, Declaration]:
    return {each.name: each for each in template.declarations if each.kind in ("param", "var", "resource", "module")}


def _check_expression(template: Template, node: Node, scope: frozenset[str]) -> Iterator[Finding]:
    match node.type:
        case "identifier":
            if text_of(node) not in scope:
                yield template.finding(
                    node, f"{text_of(node)}: no parameter, variable, resource or module of this name"
                )
        case "call_expression":
            yield from _check_call(template, node, scope)
        case "member_expression":
            yield from _check_expression(template, node.named_children[0], scope)
        case "object_property":
            key, *rest = node.named_children
            if key.type == "string":
                yield from _check_expression(template, key, scope)
            for child in rest:
                yield from _check_expression(template, child, scope)
        case "lambda_expression":
            *names, body = node.named_children
            inner = scope | {text_of(leaf) for name in names for leaf in walk(name) if leaf.type == "identifier"}
            yield from _check_expression(template, body, inner)
        case "for_statement":
            yield from _check_loop(template, node, scope)
        case _:
            for child in node.named_children:
                yield from _check_expression(template, child, scope)


def _check_call(template: Template, node: Node, scope: frozenset[str]) -> Iterator[Finding]:
    called, arguments = node.named_children[0], node.named_children[-1]
    name = text_of(called)
    if called.type == "identifier" and name not in _FUNCTIONS:
        yield template.finding(node, f"{name}(): no such function, or the lint does not know it yet")
    elif called.type != "identifier":
        yield from _check_expression(template, called, scope)
    if name in _FILES:
        file = literal(arguments.named_children[0])
        if file is None or not (template.path.parent / file).is_file():
            yield template.finding(node, f"{name}({file!r}): there is no such file")
    for argument in arguments.named_children:
        yield from _check_expression(template, argument, scope)


def _check_loop(template: Template, node: Node, scope: frozenset[str]) -> Iterator[Finding]:
    names, iterated, *body = node.named_children
    yield from _check_expression(template, iterated, scope)
    for child in body:
        yield from _check_expression(template, child, scope | set(_loop_names(names)))


def _loop_names(names: Node) -> list[str]:
    if not names.named_children:
        return [text_of(names)]
    return [text_of(child) for child in names.named_children]


def _check_unused(template: Template) -> Iterator[Finding]:
    if template.path.suffix == ".bicepparam":
        return
    used = {text_of(node) for node in walk(template.root) if node.type in ("identifier", "type_identifier")}
    counts: dict[str, int] = dict.fromkeys(used, 0)
    for node in walk(template.root):
        if node.type in ("identifier", "type_identifier") and not _is_key(node):
            counts[text_of(node)] += 1
    for declaration in template.declarations:
        if (declaration.kind in ("param", "var") or declaration.is_existing) and counts[declaration.name] < 2:
            yield template.finding(declaration.node, f"{declaration.name} is declared and never used")
    for name in template.imports:
        if counts.get(name, 0) < 2:
            yield Finding(path=template.path, line=1, text=f"{name} is imported and never used")


def _is_key(node: Node) -> bool:
    parent = node.parent
    return parent is not None and parent.type == "object_property" and parent.named_children[0] == node


# --- Modules --------------------------------------------------------------------------------------------------------


def _check_modules(template: Template) -> Iterator[Finding]:
    modules: dict[str, Template] = {}
    for declaration in template.of("module").values():
        file = literal(declaration.node.named_children[1]) or ""
        path = (template.path.parent / file).resolve()
        if not path.is_file():
            yield template.finding(declaration.node, f"module {declaration.name}: there is no file {file}")
            continue
        modules[declaration.name] = read_template(path)
        yield from _check_parameters(template, declaration, modules[declaration.name], file)
    for node in walk(template.root):
        if node.type != "member_expression" or len(node.named_children) < 2:
            continue
        left, name = node.named_children[0], text_of(node.named_children[1])
        if left.type != "member_expression" or text_of(left.named_children[-1]) != "outputs":
            continue
        module = modules.get(text_of(left.named_children[0]))
        if module is not None and name not in module.of("output"):
            yield template.finding(node, f"{text_of(node)}: {module.path.name} has no such output")


def _check_parameters(template: Template, declaration: Declaration, module: Template, file: str) -> Iterator[Finding]:
    body = body_of(declaration.node)
    given = properties_of(properties_of(body)["params"]) if body is not None and "params" in properties_of(body) else {}
    wanted = module.of("param")
    for name, node in given.items():
        if name not in wanted:
            yield template.finding(node, f"module {declaration.name}: {file} has no parameter {name}")
            continue
        written = written_type(wanted[name])
        if node.type == "string" and written.rstrip("?") not in ("string", "any"):
            yield template.finding(node, f"module {declaration.name}: {name} is a {written}, not a string")
        if node.type == "boolean" and written.rstrip("?") not in ("bool", "any"):
            yield template.finding(node, f"module {declaration.name}: {name} is a {written}, not a bool")
        if node.type == "number" and written.rstrip("?") not in ("int", "any"):
            yield template.finding(node, f"module {declaration.name}: {name} is a {written}, not an int")
    for name, parameter in wanted.items():
        if name not in given and is_required(parameter):
            yield template.finding(declaration.node, f"module {declaration.name}: {file} requires the parameter {name}")


def check_parameter_file(path: Path) -> Iterator[Finding]:
    """A .bicepparam file: its template is there, and gets every parameter it requires and no other."""
    assigned = read_template(path)
    using = next((line.split("'")[1] for line in path.read_text().splitlines() if line.startswith("using ")), "")
    target = path.parent / using
    if not using or not target.is_file():
        yield Finding(path=path, line=1, text=f"using {using!r}: there is no such template")
        return
    wanted = read_template(target.resolve()).of("param")
    for name, declaration in assigned.of("var").items():
        if name not in wanted:
            yield assigned.finding(declaration.node, f"{using} has no parameter {name}")
    for name, parameter in wanted.items():
        if is_required(parameter) and name not in assigned.of("var"):
            yield Finding(path=path, line=1, text=f"{using} requires the parameter {name}")


def is_required(parameter: Declaration) -> bool:
    """Whether a template does not work without this parameter."""
    return parameter.value is None and not written_type(parameter).endswith("?")


def written_type(parameter: Declaration) -> str:
    """The type of a parameter as it is written."""
    return text_of(parameter.type) if parameter.type is not None else ""


def _check_elements(template: Template) -> Iterator[Finding]:
    """A loop over a variable that lists objects: every element has the property that is asked for."""
    for loop in (node for node in walk(template.root) if node.type == "for_statement"):
        names, iterated, *body = loop.named_children
        variable = template.of("var").get(text_of(iterated))
        if variable is None or variable.value is None or variable.value.type != "array":
            continue
        elements = [properties_of(each) for each in variable.value.named_children if each.type == "object"]
        if not elements:
            continue
        for node in (node for child in body for node in walk(child) if node.type == "member_expression"):
            left, name = node.named_children[0], text_of(node.named_children[1])
            is_element = left.type == "identifier" and text_of(left) == _loop_names(names)[0]
            if is_element and not all(name in element for element in elements):
                yield template.finding(node, f"{text_of(node)}: not every element of {variable.name} has it")
