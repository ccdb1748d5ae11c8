"""Names of target attributes, as they are written in a mapping and in a SCIM PATCH (RFC 7644 3.10).

One parser for the whole product, because a naive split on "." or ":" breaks on the first vendor extension:
`urn:ietf:params:scim:schemas:extension:fcc:2.0:User:administrator` holds dots in the URN, and SCIM 1.1 wrote
`urn:scim:schemas:extension:enterprise:1.0.department`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

JSON: TypeAlias = "str | int | float | bool | list[JSON] | dict[str, JSON]"
Attributes: TypeAlias = Mapping[str, JSON]
"""A user's or group's flat state: target path -> value. Absent means absent; there is no null."""

_NAME = re.compile(r"[A-Za-z$][A-Za-z0-9_$-]*")
_OLD_VERSION = re.compile(r"\d+\.\d+\.")
_CLAUSE = re.compile(r'\s*([A-Za-z$][A-Za-z0-9_$.-]*)\s+(\w+)\s+("(?:[^"\\]|\\.)*"|true|false|-?\d+)\s*', re.IGNORECASE)
_AND = re.compile(r"and\b", re.IGNORECASE)


class PathError(ValueError):
    """The text is no attribute path. `column` counts from 1."""

    def __init__(self, text: str, column: int, expected: str) -> None:
        super().__init__(f"column {column} of {text!r}: expected {expected}")
        self.column = column
        self.expected = expected


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributePath:
    """One target attribute: `[urn:]name[[filters]][.sub]`.

    `urn` is None for attributes of the core schema written without a prefix; `filters` holds the clauses of a value
    filter, all joined by `and`; `sub` is the sub-attribute, None for the attribute itself.
    """

    urn: str | None
    name: str
    filters: tuple[tuple[str, str | bool | int], ...]
    sub: str | None
    raw: str

    def __str__(self) -> str:
        return self.raw


@lru_cache(maxsize=4096)
def parse_path(text: str) -> AttributePath:
    """The parts of an attribute path. Raises `PathError` (a ValueError) naming the column."""
    urn, start = _split_urn(text)
    name, position = _read_name(text, start)
    filters: tuple[tuple[str, str | bool | int], ...] = ()
    if text[position : position + 1] == "[":
        filters, position = _read_filters(text, position + 1)
    sub: str | None = None
    if text[position : position + 1] == ".":
        sub, position = _read_name(text, position + 1)
    if position != len(text):
        raise PathError(text, position + 1, "the end of the path, '.', or '[' and a filter such as type eq \"work\"")
    return AttributePath(urn=urn, name=name, filters=filters, sub=sub, raw=text)


def _split_urn(text: str) -> tuple[str | None, int]:
    if text[:4].lower() != "urn:":
        return None, 0
    before_filter = text.find("[")
    colon = text.rfind(":", 0, before_filter if before_filter >= 0 else len(text))
    version = _OLD_VERSION.match(text, colon + 1)
    if version is not None:
        return text[: version.end() - 1], version.end()
    if colon <= 3:
        raise PathError(text, 5, "a schema URN followed by ':' and an attribute name")
    return text[:colon], colon + 1


def _read_name(text: str, start: int) -> tuple[str, int]:
    match = _NAME.match(text, start)
    if match is None:
        raise PathError(text, start + 1, "an attribute name (letters, digits, '-', '_')")
    return match.group(), match.end()


def _read_filters(text: str, start: int) -> tuple[tuple[tuple[str, str | bool | int], ...], int]:
    clauses: list[tuple[str, str | bool | int]] = []
    position = start
    while True:
        match = _CLAUSE.match(text, position)
        if match is None:
            raise PathError(text, position + 1, 'a clause such as type eq "work"')
        if match.group(2).lower() != "eq":
            raise PathError(text, match.start(2) + 1, "the operator eq")
        clauses.append((match.group(1), _read_value(text, match)))
        position = match.end()
        joined = _AND.match(text, position)
        if joined is not None:
            position = joined.end()
        elif text[position : position + 1] == "]":
            return tuple(clauses), position + 1
        else:
            raise PathError(text, position + 1, "']' or the word and")


def _read_value(text: str, match: re.Match[str]) -> str | bool | int:
    literal = match.group(3)
    if not literal.startswith('"'):
        literal = literal.lower()
    try:
        value: str | bool | int = json.loads(literal)
    except ValueError as error:
        raise PathError(text, match.start(3) + 1, "a quoted value with JSON escapes") from error
    return value
