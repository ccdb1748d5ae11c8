"""YAML that remembers where every value was written, so that an error can point at the line.

Scalars follow YAML 1.2's core schema: `NO` is a country, `0123` is a code, `yes` is a word. (PyYAML alone reads YAML
1.1, where the first is false and the second is 83.)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from shared.config.errors import ConfigurationError, Problem

_Loader: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAX_NODES = 200_000
_MAX_CHARACTERS = 400_000
_MAX_DEPTH = 40
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_DIGITS = 100
"""Python refuses to read an integer of some thousands."""

_FLOAT = re.compile(r"[-+]?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")


class LocatedMap(dict[str, Any]):
    """A mapping that knows the file, its own line (that of its key), and the line of each key."""

    def __init__(self, content: Mapping[str, Any], *, file: str, line: int, lines: Mapping[str, int]) -> None:
        super().__init__(content)
        self.file = file
        self.line = line
        self.lines = dict(lines)


class LocatedList(list[Any]):
    """A list that knows the file, its own line (that of its key), and the line of each element."""

    def __init__(self, content: Iterable[Any], *, file: str, line: int, lines: Iterable[int]) -> None:
        super().__init__(content)
        self.file = file
        self.line = line
        self.lines = tuple(lines)


def read_yaml(path: Path) -> LocatedMap:
    """The mapping a file holds. Raises `ConfigurationError` for unreadable files, broken YAML and duplicate keys."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise _refusal(path.name, 0, "(file)", f"a readable UTF-8 file at {path}; {reason}") from error
    return parse_yaml(text, file=path.name)


def parse_yaml(text: str, *, file: str) -> LocatedMap:
    """As `read_yaml`, from a text; `file` is only for messages."""
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 0
        raise _refusal(file, line, "(syntax)", f"valid YAML; {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise _refusal(file, 0, "(syntax)", f"valid YAML; {type(error).__name__}") from error
    if not isinstance(node, yaml.MappingNode):
        raise _refusal(file, 1, "(file)", "a mapping with the key 'version' at the top")
    return _Reader(file).read_map(node, "")


def parse_untrusted_yaml(text: str, *, file: str) -> LocatedMap:
    """As `parse_yaml`, from a text that anybody may have written: its length and depth are looked at first."""
    if len(text) > _MAX_CHARACTERS:
        raise _refusal(file, 0, "(file)", f"at most {_MAX_CHARACTERS} characters")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise _refusal(file, 0, "(file)", "a text without halves of surrogate pairs")
    depth = 0
    try:
        for event in yaml.parse(text, Loader=_Loader):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > _MAX_DEPTH:
                raise _refusal(file, _Reader._line(event), "(syntax)", f"at most {_MAX_DEPTH} levels")
    except yaml.YAMLError:
        pass  # said again below, with its line
    return parse_yaml(text, file=file)


def nearest_line(tree: object, location: Iterable[object]) -> tuple[str, int]:
    """File and line of the value at `location` (keys and indexes), or of the closest parent that was written down."""
    file, line = "", 0
    if isinstance(tree, LocatedMap | LocatedList):
        file, line = tree.file, tree.line
    for step in location:
        if isinstance(tree, LocatedMap) and isinstance(step, str) and step in tree:
            file, line = tree.file, tree.lines.get(step, tree.line)
            tree = tree[step]
        elif isinstance(tree, LocatedList) and isinstance(step, int) and 0 <= step < len(tree):
            file, line = tree.file, tree.lines[step]
            tree = tree[step]
        else:
            break
    return file, line


def merge(base: LocatedMap, over: LocatedMap, *, whole: frozenset[str] = frozenset()) -> LocatedMap:
    """`base` with the keys of `over` on top, both of one file. Mappings are merged, except those named in `whole`;
    lists are replaced."""
    merged = LocatedMap(base, file=over.file, line=over.line, lines=base.lines)
    for key, value in over.items():
        below = base.get(key)
        if isinstance(value, LocatedMap) and isinstance(below, LocatedMap) and key not in whole:
            merged[key] = merge(below, value)
        else:
            merged[key] = value
        merged.lines[key] = over.lines[key]
    return merged


class _Reader:
    """One walk over the node tree. Aliases are followed; a node inside itself is refused."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.open: set[int] = set()
        self.count = 0

    def read(self, node: Any, key: str) -> Any:
        self.count += 1
        if self.count > _MAX_NODES:
            raise _refusal(self.file, self._line(node), key, f"at most {_MAX_NODES} values, aliases counted each time")
        if id(node) in self.open:
            raise _refusal(self.file, self._line(node), key, "no anchor that contains itself")
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        if isinstance(node, yaml.MappingNode):
            return self.read_map(node, key)
        self.open.add(id(node))
        elements = [self.read(child, f"{key}[{index}]") for index, child in enumerate(node.value)]
        self.open.discard(id(node))
        return LocatedList(
            elements, file=self.file, line=self._line(node), lines=[self._line(child) for child in node.value]
        )

    def read_map(self, node: Any, key: str) -> LocatedMap:
        self.open.add(id(node))
        content: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for name_node, value_node in node.value:
            line = self._line(name_node)
            name = name_node.value if isinstance(name_node, yaml.ScalarNode) else None
            full = f"{key}.{name}" if key else str(name)
            if name is None:
                raise _refusal(self.file, line, key or "(file)", "keys that are plain words")
            if name == "<<":
                raise _refusal(self.file, line, full, "no merge keys; use 'defaults' for what applications share")
            if name in content:
                raise _refusal(self.file, line, full, f"each key once; it is also on line {lines[name]}")
            lines[name] = line
            content[name] = value = self.read(value_node, full)
            if isinstance(value, LocatedMap | LocatedList):
                value.line = line
        self.open.discard(id(node))
        return LocatedMap(content, file=self.file, line=self._line(node), lines=lines)

    @staticmethod
    def _line(node: Any) -> int:
        return int(node.start_mark.line) + 1


def _scalar(node: Any) -> str | int | float | bool | None:
    text = str(node.value)
    if node.style:
        return text
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        # Longer ones are no number that anybody counts with: text is refused where a number is expected.
        return int(text) if len(text) <= _DIGITS else text
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def _refusal(file: str, line: int, key: str, expected: str) -> ConfigurationError:
    return ConfigurationError([Problem(file=file, line=line, key=key, expected=expected)])
