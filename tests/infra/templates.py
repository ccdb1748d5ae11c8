"""Bicep templates as syntax trees, read by tree-sitter: what is declared, and where the grammar does not fit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import tree_sitter
import tree_sitter_bicep
from tree_sitter import Node

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra"

_KINDS = {
    "metadata_declaration": "metadata",
    "target_scope_assignment": "targetScope",
    "parameter_declaration": "param",
    "variable_declaration": "var",
    "resource_declaration": "resource",
    "module_declaration": "module",
    "output_declaration": "output",
    "type_declaration": "type",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is wrong in a file."""

    path: Path
    line: int
    """1-based."""
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """One named thing a template declares."""

    kind: str
    name: str
    node: Node
    decorators: Mapping[str, str]
    """Name of each decorator and the text of its only argument."""
    is_existing: bool = False

    @property
    def line(self) -> int:
        """1-based."""
        return self.node.start_point[0] + 1

    @property
    def type(self) -> Node | None:
        """The written type of a parameter or an output."""
        return next((child for child in self.node.named_children if child.type == "type"), None)

    @property
    def value(self) -> Node | None:
        """The default of a parameter, the value of a variable or an output; None when there is none."""
        return self.node.named_children[-1] if any(child.type == "=" for child in self.node.children) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A template and everything it declares."""

    path: Path
    root: Node
    declarations: tuple[Declaration, ...]
    imports: Mapping[str, str]
    """Imported name and the file it comes from."""

    def of(self, kind: str) -> dict[str, Declaration]:
        """The declarations of one kind by name."""
        return {each.name: each for each in self.declarations if each.kind == kind}

    def finding(self, node: Node, text: str) -> Finding:
        """A finding at the place of a node."""
        return Finding(path=self.path, line=node.start_point[0] + 1, text=text)


def template_paths(folder: Path = INFRA) -> list[Path]:
    """Every template of a folder, the parameter file excepted."""
    return sorted(folder.rglob("*.bicep"))


@cache
def read_template(path: Path) -> Template:
    """The template in a file. Files do not change while a check runs, so each is read once."""
    return parse_template(path, path.read_text())


def parse_template(path: Path, text: str) -> Template:
    """The template in a text. A parameter file is read like one: its assignments become variables."""
    root = _parser().parse(_understandable(text).encode()).root_node
    declarations: list[Declaration] = []
    imports: dict[str, str] = {}
    decorators: dict[str, str] = {}
    for node in root.named_children:
        if node.type == "decorators":
            decorators = dict(_decorators(node))
        elif node.type == "import_functionality":
            *names, source = node.named_children
            imports |= {text_of(name): literal(source) or "" for name in names}
        elif node.type in _KINDS:
            kind = _KINDS[node.type]
            name = kind if kind == "targetScope" else text_of(node.named_children[0])
            existing = any(child.type == "existing" or child.text == b"existing" for child in node.children)
            declarations.append(
                Declaration(kind=kind, name=name, node=node, decorators=decorators, is_existing=existing)
            )
            decorators = {}
    return Template(path=path, root=root, declarations=tuple(declarations), imports=imports)


def check_syntax(template: Template) -> Iterator[Finding]:
    """Where the text is not Bicep."""
    for node in walk(template.root):
        if node.is_missing:
            yield template.finding(node, f"syntax: {node.type or 'something'} is missing here")
        elif node.type == "ERROR":
            yield template.finding(node, f"syntax: not understood: {text_of(node)[:60]!r}")


def walk(node: Node) -> Iterator[Node]:
    """A node and everything below it."""
    yield node
    for child in node.children:
        yield from walk(child)


def text_of(node: Node) -> str:
    """The source text of a node."""
    return node.text.decode() if node.text is not None else ""


def literal(node: Node | None) -> str | None:
    """The value of a string without interpolation; None for anything else."""
    if node is None or node.type != "string" or any(child.type == "interpolation" for child in node.named_children):
        return None
    return unescape("".join(text_of(child) for child in node.named_children))


def unescape(text: str) -> str:
    """A string's text with its escapes resolved."""
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "r": "\r", "t": "\t"}.get(found[1], found[1]), text)


def properties_of(node: Node) -> dict[str, Node]:
    """The properties of an object by name; interpolated names are left out."""
    found: dict[str, Node] = {}
    for entry in node.named_children:
        if entry.type == "object_property" and len(entry.named_children) >= 2:
            key, value = entry.named_children[0], entry.named_children[-1]
            name = literal(key) if key.type == "string" else text_of(key)
            if name is not None:
                found[name] = value
    return found


def body_of(node: Node) -> Node | None:
    """The object of a resource or module, inside its loop and condition."""
    for child in reversed(node.named_children):
        if child.type == "object":
            return child
        if child.type in ("for_statement", "if_statement"):
            return body_of(child)
    return None


def type_of_resource(declaration: Declaration) -> tuple[str, str]:
    """The type of a resource and its API version."""
    written = literal(declaration.node.named_children[1]) or ""
    kind, _, version = written.partition("@")
    return kind, version


@cache
def _parser() -> tree_sitter.Parser:
    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_bicep.language()))


def _understandable(text: str) -> str:
    """The text with what is newer than the grammar put out of its sight; lines and columns stay."""
    text = re.sub(r"^extension \w+$", lambda line: " " * len(line[0]), text, flags=re.MULTILINE)
    if re.search(r"^using ", text, flags=re.MULTILINE):
        text = re.sub(r"^using .*$", lambda line: " " * len(line[0]), text, flags=re.MULTILINE)
        text = re.sub(r"^param (?=\w+ =)", "var   ", text, flags=re.MULTILINE)
    return text


def _decorators(node: Node) -> Iterator[tuple[str, str]]:
    for decorator in node.named_children:
        call = decorator.named_children[0]
        if call.type != "call_expression":
            yield text_of(call), ""
            continue
        arguments = call.named_children[1].named_children
        argument = arguments[0] if arguments else None
        yield text_of(call.named_children[0]), literal(argument) or (text_of(argument) if argument else "")
