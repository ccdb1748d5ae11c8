"""The queries of alerts and workbook: their columns exist, their events are emitted, with the fields they ask for.

Reads the part of the Kusto language these queries use. What it does not know is a finding, not a silence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.infra.emitted_events import (
    OF_EVERY_EVENT,
    emitted_fields,
    recorded_metrics,
    recorded_spans,
    written_words,
)
from tests.infra.templates import INFRA, Finding, literal, properties_of, read_template

_COMMON = "timestamp itemCount itemType customDimensions operation_Name operation_Id operation_ParentId cloud_RoleName"
TABLES = {
    "traces": frozenset(f"{_COMMON} message severityLevel".split()),
    "requests": frozenset(f"{_COMMON} id name success resultCode duration".split()),
    "dependencies": frozenset(f"{_COMMON} id name target type success duration".split()),
    "customMetrics": frozenset(f"{_COMMON} name value valueSum valueCount valueMin valueMax".split()),
    "exceptions": frozenset(f"{_COMMON} type outerMessage outerType innermostMessage problemId severityLevel".split()),
}
"""Application Insights' tables and the columns of them that a query may use."""

_FUNCTIONS = frozenset(
    [
        "ago",
        "bin",
        "count",
        "countif",
        "dcount",
        "iff",
        "indexof",
        "isempty",
        "isnotempty",
        "max",
        "maxif",
        "min",
        "not",
        "now",
        "parse_json",
        "percentile",
        "round",
        "split",
        "substring",
        "sum",
        "sumif",
        "todouble",
        "toint",
        "tostring",
    ]
)
_WORDS = frozenset(
    ["and", "or", "in", "has", "contains", "startswith", "between", "by", "asc", "desc", "true", "false", "null"]
)
_TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*)|(?P<text>'[^']*'|"[^"]*")|(?P<placeholder>\{\w+\})|(?P<number>\d+(?:\.\d+)?[a-z]*)"""
    r"""|(?P<name>[A-Za-z_]\w*)|(?P<sign>!in|==|!=|<=|>=|=~|[|;=<>()\[\],.+*/-])|(?P<space>\s+)|(?P<other>.)"""
)
_EVENT = re.compile(r"[a-z]+\.[a-z_]*")


@dataclass(frozen=True, slots=True)
class Token:
    """A word of a query."""

    kind: str
    text: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A query and where it is written."""

    path: Path
    line: int
    """Line of the file at which its first line is."""
    text: str
    placeholders: frozenset[str] = frozenset()


@dataclass(slots=True, kw_only=True)
class _Reading:
    """What is known while a query is read from its start to its end."""

    query: Query
    findings: list[Finding] = field(default_factory=list)
    tables: dict[str, frozenset[str]] = field(default_factory=lambda: dict(TABLES))
    result: frozenset[str] = frozenset()

    def complain(self, token: Token, text: str) -> None:
        self.findings.append(Finding(path=self.query.path, line=self.query.line + token.line, text=text))


def alert_queries(folder: Path = INFRA) -> list[Query]:
    """The files in queries/."""
    return [Query(path=path, line=1, text=path.read_text()) for path in sorted((folder / "queries").glob("*.kql"))]


def workbook_queries(folder: Path = INFRA) -> list[Query]:
    """The queries in the workbook, those of its parameters included."""
    path = folder / "workbook.json"
    lines = path.read_text().splitlines()
    items = json.loads(path.read_text())["items"]
    parameters = [each for item in items for each in item["content"].get("parameters", [])]
    names = frozenset(each["name"] for each in parameters)
    written = [item["content"]["query"] for item in items if "query" in item["content"]]
    written += [each["query"] for each in parameters if "query" in each]
    return [
        # The whole query is one line of the file.
        Query(
            path=path,
            line=next(at for at, line in enumerate(lines, 1) if json.dumps(text) in line),
            text=text,
            placeholders=names,
        )
        for text in written
    ]


def check_query(query: Query) -> list[Finding]:
    """Unknown tables, columns, functions, events and fields."""
    return _read(query).findings


def check_alerts(folder: Path = INFRA) -> Iterator[Finding]:
    """Every rule measures and splits by columns its query has, and every query file belongs to a rule."""
    template = read_template(folder / "modules" / "alerts.bicep")
    rules = template.of("var")["rules"].value
    used: set[str] = set()
    for rule in rules.named_children if rules is not None else []:
        if rule.type != "object":
            continue
        properties = properties_of(rule)
        file = literal(properties["query"].named_children[-1].named_children[0]) or ""
        path = (template.path.parent / file).resolve()
        used.add(path.name)
        if not path.is_file():
            continue
        result = _read(Query(path=path, line=1, text=path.read_text())).result
        asked = [literal(properties["measure"]), *map(literal, properties["dimensions"].named_children)]
        for name in asked:
            if name not in result:
                yield template.finding(rule, f"{path.name} has no column {name}; it has {', '.join(sorted(result))}")
    for query in alert_queries(folder):
        if query.path.name not in used:
            yield Finding(path=query.path, line=1, text="no alert rule uses this query")


# --- Reading --------------------------------------------------------------------------------------------------------


def _read(query: Query) -> _Reading:
    reading = _Reading(query=query)
    tokens = _tokens(reading)
    for statement in _split(tokens, ";"):
        if statement and statement[0].text == "let" and len(statement) > 3:
            reading.tables[statement[1].text] = _read_pipeline(reading, statement[3:])
        elif statement:
            reading.result = _read_pipeline(reading, statement)
    _check_events(reading, tokens)
    return reading


def _tokens(reading: _Reading) -> list[Token]:
    found: list[Token] = []
    line = 0
    is_one_line = reading.query.path.suffix == ".json"
    for match in _TOKEN.finditer(reading.query.text):
        kind = match.lastgroup or "other"
        token = Token(kind, match[0], 0 if is_one_line else line)
        line += match[0].count("\n")
        if kind == "other":
            reading.complain(token, f"{match[0]!r} was not understood")
        elif kind not in ("comment", "space"):
            found.append(token)
        if kind in ("placeholder", "text"):
            for name in re.findall(r"\{(\w+)\}", match[0]):
                if name not in reading.query.placeholders:
                    reading.complain(token, f"{{{name}}}: the workbook has no such parameter")
    return found


def _split(tokens: list[Token], separator: str) -> list[list[Token]]:
    """Cut at a separator that is outside brackets."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token.text in "([" and token.kind == "sign") - (token.text in ")]" and token.kind == "sign")
        if token.text == separator and token.kind == "sign" and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _read_pipeline(reading: _Reading, tokens: list[Token]) -> frozenset[str]:
    """The columns a pipeline ends with."""
    source, *steps = _split(tokens, "|")
    if len(source) != 1 or source[0].text not in reading.tables:
        reading.complain(source[0], f"{' '.join(each.text for each in source)}: no such table")
        return frozenset()
    columns = reading.tables[source[0].text]
    if source[0].text == "dependencies":
        _check_recorded(reading, tokens, recorded_spans(), "span")
    elif source[0].text == "customMetrics":
        _check_recorded(reading, tokens, recorded_metrics(), "metric")
    for step in steps:
        columns = _read_step(reading, step, columns)
    return columns


def _read_step(reading: _Reading, step: list[Token], columns: frozenset[str]) -> frozenset[str]:
    operator, rest = step[0], step[1:]
    match operator.text:
        case "where":
            _read_expression(reading, rest, columns)
            return columns
        case "extend":
            for part in _split(rest, ","):
                _read_expression(reading, part[2:], columns)
                columns |= {part[0].text}
            return columns
        case "project":
            return _read_columns(reading, rest, columns)
        case "distinct":
            return _read_columns(reading, rest, columns)
        case "summarize":
            at = next((at for at, token in enumerate(rest) if token.text == "by"), len(rest))
            made = _read_columns(reading, rest[:at], columns, needs_name=True)
            return made | (_read_columns(reading, rest[at + 1 :], columns) if at < len(rest) else frozenset())
        case "order" | "sort":
            _read_expression(reading, rest, columns)
            return columns
        case "take" | "render":
            return columns
    reading.complain(operator, f"{operator.text}: no such operator, or the check does not know it yet")
    return columns


def _read_columns(
    reading: _Reading, tokens: list[Token], columns: frozenset[str], *, needs_name: bool = False
) -> frozenset[str]:
    """The names of `a, b = expression, bin(c, 1h)`."""
    names: set[str] = set()
    for part in _split(tokens, ","):
        if len(part) > 1 and part[1].text == "=":
            _read_expression(reading, part[2:], columns)
            names.add(part[0].text)
        else:
            _read_expression(reading, part, columns)
            names.add(part[2].text if part[0].text == "bin" else part[0].text)
            if needs_name:
                reading.complain(part[0], "an aggregate needs a name, for alerts and charts refer to it")
    return frozenset(names)


def _read_expression(reading: _Reading, tokens: list[Token], columns: frozenset[str]) -> None:
    for at, token in enumerate(tokens):
        if token.kind != "name":
            continue
        before = tokens[at - 1].text if at else ""
        after = tokens[at + 1].text if at + 1 < len(tokens) else ""
        if before == ".":
            continue
        if after == "(" and token.text not in _WORDS:
            if token.text not in _FUNCTIONS:
                reading.complain(token, f"{token.text}(): no such function, or the check does not know it yet")
        elif token.text not in columns | _WORDS | frozenset(reading.tables):
            reading.complain(token, f"{token.text}: no such column here; there are {', '.join(sorted(columns))}")


# --- Events and their fields ----------------------------------------------------------------------------------------


def _check_events(reading: _Reading, tokens: list[Token]) -> None:
    """`message startswith 'event '` names events that are emitted; `fields.x` is a field of one of them."""
    emitted = emitted_fields()
    selected: set[str] = set()
    for at, token in enumerate(tokens):
        if token.text == "operation_Name" and at + 2 < len(tokens) and tokens[at + 1].text == "==":
            _check_comparison(reading, tokens[at : at + 3])
        if token.kind != "text" or tokens[at - 1].text != "startswith":
            continue
        prefix = token.text[1:-1]
        matching = {event for event in emitted if f"{event} ".startswith(prefix)}
        if not matching:
            reading.complain(token, f"{prefix!r}: no event that is emitted begins like this")
        elif not prefix.endswith((" ", ".")):
            reading.complain(token, f"{prefix!r}: end it with a blank, or a longer event's name begins like it too")
        selected |= matching
    known = {name for event in selected for name in emitted[event]} | {OF_EVERY_EVENT}
    for at, token in enumerate(tokens):
        if token.text != "fields" or at + 2 >= len(tokens) or tokens[at + 1].text not in (".", "["):
            continue
        name = tokens[at + 2].text.strip("'")
        if name not in known:
            reading.complain(token, f"fields.{name}: none of {', '.join(sorted(selected))} carries it")
        _check_comparison(reading, tokens[at + 2 : at + 6])


# --- Spans and metrics, and their attributes ------------------------------------------------------------------------


def _check_recorded(reading: _Reading, tokens: list[Token], recorded: Mapping[str, frozenset[str]], what: str) -> None:
    """`name == 'x'` and `name in ('x', ...)` name what is recorded; `customDimensions.x` is an attribute of one."""
    selected: set[str] = set()
    for at, token in enumerate(tokens):
        if token.text != "name" or at + 2 >= len(tokens) or tokens[at + 1].text not in ("==", "in"):
            continue
        end = next((later for later in range(at + 2, len(tokens)) if tokens[later].text == ")"), len(tokens))
        for named in tokens[at + 2 : end if tokens[at + 1].text == "in" else at + 3]:
            if named.kind == "text" and named.text[1:-1] not in recorded:
                reading.complain(named, f"{named.text}: no such {what} is recorded")
            elif named.kind == "text":
                selected.add(named.text[1:-1])
    if not selected:
        reading.complain(tokens[0], f"which {what}? compare its name")
    known = {attribute for name in selected for attribute in recorded[name]}
    for at, token in enumerate(tokens):
        if token.text in known and at + 2 < len(tokens) and tokens[at + 1].text == "==":
            _check_comparison(reading, tokens[at : at + 3])
        if token.text != "customDimensions" or at + 2 >= len(tokens) or tokens[at + 1].text != ".":
            continue
        if tokens[at + 2].text not in known:
            reading.complain(
                token, f"customDimensions.{tokens[at + 2].text}: none of {', '.join(sorted(selected))} carries it"
            )
        _check_comparison(reading, tokens[at + 2 : at + 6])


def _check_comparison(reading: _Reading, tokens: list[Token]) -> None:
    """`tostring(fields.x) == 'word'`, `operation_Name == 'function'`: the product has that word somewhere."""
    compared = [token for token in tokens if token.text in ("==", "!=")]
    for token in tokens:
        is_plain = token.kind == "text" and "{" not in token.text and tokens[0] != token
        if compared and is_plain and token.text[1:-1] not in written_words():
            reading.complain(token, f"{token.text}: the product has no such word")
