"""The queries of alerts and workbook: their columns exist, their events are emitted, with the fields they ask for.

kusto.lark is the part of the language they use; what is in neither is a finding, not a silence. No engine is asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput

from tests.infra.emitted_events import (
    OF_EVERY_EVENT,
    emitted_fields,
    known_words,
    recorded_metrics,
    recorded_spans,
    written_words,
)
from tests.infra.expressions import Values
from tests.infra.registered_functions import registered_functions
from tests.infra.templates import INFRA, Finding, read_template

_COMMON = "timestamp itemCount itemType customDimensions operation_Name operation_Id operation_ParentId cloud_RoleName"
TABLES = {
    "traces": frozenset(f"{_COMMON} message severityLevel".split()),
    "requests": frozenset(f"{_COMMON} id name success resultCode duration".split()),
    "dependencies": frozenset(f"{_COMMON} id name target type success duration".split()),
    "customMetrics": frozenset(f"{_COMMON} name value valueSum valueCount valueMin valueMax".split()),
    "exceptions": frozenset(f"{_COMMON} type outerMessage outerType innermostMessage problemId severityLevel".split()),
}
"""Application Insights' tables and the columns of them that a query may use."""


_SCALARS = {
    "ago": (1, 1),
    "bin": (2, 2),
    "iff": (3, 3),
    "indexof": (2, 2),
    "isempty": (1, 1),
    "isnotempty": (1, 1),
    "not": (1, 1),
    "now": (0, 0),
    "parse_json": (1, 1),
    "round": (1, 2),
    "split": (2, 2),
    "substring": (2, 3),
    "todouble": (1, 1),
    "toint": (1, 1),
    "tostring": (1, 1),
}
"""Functions of one record, and the fewest and the most arguments they take."""

_AGGREGATES = {
    "count": (0, 0),
    "countif": (1, 1),
    "dcount": (1, 1),
    "max": (1, 1),
    "maxif": (2, 2),
    "min": (1, 1),
    "percentile": (2, 2),
    "sum": (1, 1),
    "sumif": (2, 2),
}
"""Functions of many records, in summarize only; likewise."""

_PLATFORM_TEXTS = frozenset(["Worker channel is shutting down", "exited with code 143"])
"""What the host writes when it takes an instance away (azure-functions-host #12007)."""

_FREQUENCIES = {"PT1M": 1, "PT5M": 5, "PT10M": 10, "PT15M": 15, "PT30M": 30, "PT45M": 45}
_FREQUENCIES |= {f"PT{hours}H": hours * 60 for hours in (1, 2, 3, 4, 5, 6)} | {"P1D": 1440}
_WINDOWS = _FREQUENCIES | {"P2D": 2880}
"""What Azure takes as frequency and as window of a log alert, in minutes."""

ALERTS = frozenset(
    [
        "changes-late",
        "clock-skewed",
        "credential-expiring",
        "deletions-held",
        "digest-stuck",
        "escrows-growing",
        "functions-failing",
        "housekeeping-stopped",
        "message-poisoned",
        "no-finished-round",
        "no-successful-cycle",
        "notices-overdue",
        "quarantine-started",
        "setting-missing",
        "watermark-stale",
    ]
)
"""Whatever a person must be told of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A query and where it is written."""

    path: Path
    line: int
    """Line of the file at which its first line is."""
    text: str
    placeholders: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Value:
    """What an expression stands for, as far as a comparison with it can be checked."""

    kind: str = ""
    """`column`; `fields`, a parsed event, or one `field`; `attributes` of a span or metric, or one `attribute`."""
    name: str = ""


@dataclass(slots=True, kw_only=True)
class _Reading:
    """What is known while a pipeline is read from its start to its end."""

    query: Query
    tables: dict[str, frozenset[str]]
    """Tables that can be read from here, and their columns."""
    findings: list[Finding]
    columns: dict[str, Value] = field(default_factory=dict)
    events: frozenset[str] = frozenset()
    """Events of this pipeline."""
    recorded: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Spans or metrics that its table can hold, and their attributes."""
    what: str = ""
    """Which of the two they are."""
    selected: frozenset[str] = frozenset()
    """Those of them that it asks for."""

    def complain(self, place: Tree[Token] | Token, text: str) -> None:
        line = place.line if isinstance(place, Token) else getattr(place.meta, "line", 1)
        # Of the workbook, a whole query is one line.
        offset = 0 if self.query.path.suffix == ".json" else (line or 1) - 1
        self.findings.append(Finding(path=self.query.path, line=self.query.line + offset, text=text))


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
    """Syntax, tables, columns, functions and their arguments, events with their fields, words compared with."""
    return _read(query)[1]


def check_alerts(folder: Path = INFRA) -> Iterator[Finding]:
    """Every rule there must be is there, measures and splits by columns of its query, and sees late records."""
    path = folder / "modules" / "alerts.bicep"
    template = read_template(path)
    rules: list[dict[str, Any]] = Values(template=template, parameters={"escrowsBeforeAlert": 20}).variable("rules")
    names = {rule["name"] for rule in rules}
    for name in sorted(names ^ ALERTS):
        yield Finding(path=path, line=1, text=f"{name}: the rules must be exactly those of ALERTS in queries.py")
    for rule in rules:
        file = folder / "queries" / f"{rule['name']}.kql"
        result = _read(Query(path=file, line=1, text=file.read_text()))[0] if file.is_file() else frozenset()
        for name in (rule["measure"], *rule["dimensions"]):
            if name not in result:
                yield Finding(
                    path=path, line=1, text=f"{file.name} has no column {name}; it has {', '.join(sorted(result))}"
                )
        if f"(../queries/{file.name})" not in str(rule["query"]):
            yield Finding(path=path, line=1, text=f"{rule['name']} must read queries/{file.name}")
        frequency, window = _FREQUENCIES.get(rule["frequency"]), _WINDOWS.get(rule["window"])
        if frequency is None or window is None or window < 2 * frequency:
            text = f"{rule['name']}: {rule['frequency']} and {rule['window']} are none of Azure's, or too close"
            yield Finding(path=path, line=1, text=f"{text}: a record may arrive late, so a window is two frequencies")
    for query in alert_queries(folder):
        if query.path.stem not in names:
            yield Finding(path=query.path, line=1, text="no alert rule uses this query")


def check_workbook(folder: Path = INFRA) -> Iterator[Finding]:
    """Every query of the workbook asks Application Insights, for the time its reader chose."""
    path = folder / "workbook.json"
    contents = [item["content"] for item in json.loads(path.read_text())["items"]]
    parameters = [each for content in contents for each in content.get("parameters", [])]
    times = {each["name"] for each in parameters if each["type"] == _TIME_RANGE}
    for asking in [each for each in [*contents, *parameters] if "queryType" in each or "query" in each]:
        title = asking.get("title", asking.get("name", "the parameters"))
        if "query" in asking and asking.get("timeContextFromParameter") not in times:
            yield Finding(path=path, line=1, text=f"{title}: no parameter is its time; {', '.join(times)} would be")
        if (asking.get("queryType"), asking.get("resourceType")) != (0, "microsoft.insights/components"):
            yield Finding(path=path, line=1, text=f"{title}: it must ask Application Insights")


_TIME_RANGE = 4
"""The workbook's number for a parameter that is a span of time."""


# --- Reading --------------------------------------------------------------------------------------------------------


@cache
def _grammar() -> Lark:
    text = Path(__file__).with_name("kusto.lark").read_text()
    return Lark(text, start="query", parser="lalr", propagate_positions=True, maybe_placeholders=False)


def _read(query: Query) -> tuple[frozenset[str], list[Finding]]:
    """The columns a query ends with, and what is wrong with it."""
    reading = _Reading(query=query, tables=dict(TABLES), findings=[])
    for name in re.findall(r"\{(\w+)\}", query.text):
        if name not in query.placeholders:
            reading.findings.append(
                Finding(path=query.path, line=query.line, text=f"{{{name}}}: the workbook has no such parameter")
            )
    try:
        tree = _grammar().parse(query.text)
    except UnexpectedInput as error:
        offset = 0 if query.path.suffix == ".json" else error.line - 1
        shown = error.get_context(query.text, 30).splitlines()[0]
        reading.findings.append(Finding(path=query.path, line=query.line + offset, text=f"syntax: {shown}"))
        return frozenset(), reading.findings
    *lets, last = tree.children
    for each in lets:
        name, pipeline = each.children
        reading.tables[str(name)] = _read_pipeline(reading, pipeline)
    return _read_pipeline(reading, last), reading.findings


def _read_pipeline(outside: _Reading, pipeline: Tree[Token]) -> frozenset[str]:
    """The columns a pipeline ends with."""
    table, *steps = pipeline.children
    reading = replace(outside, columns={}, events=frozenset(), selected=frozenset(), recorded={}, what="")
    if table not in reading.tables:
        reading.complain(table, f"{table}: no such table")
        return frozenset()
    reading.columns = {name: Value("column", name) for name in reading.tables[table]}
    if table in ("dependencies", "customMetrics"):
        is_spans = table == "dependencies"
        reading.recorded, reading.what = (recorded_spans(), "span") if is_spans else (recorded_metrics(), "metric")
        reading.columns["customDimensions"] = Value("attributes")
    for step in steps:
        _read_step(reading, step)
    if reading.recorded and not reading.selected:
        reading.complain(table, f"which {reading.what}? compare its name")
    return frozenset(reading.columns)


def _read_step(reading: _Reading, step: Tree[Token]) -> None:
    match step.data:
        case "where":
            # First what is selected: conditions about its fields may stand beside it.
            for comparison in step.iter_subtrees_topdown():
                _select(reading, comparison)
            _value_of(reading, step.children[0])
        case "extend":
            # Side by side: none of them sees another.
            reading.columns |= _columns(reading, step)
        case "project" | "distinct":
            reading.columns = _columns(reading, step.children[0])
        case "summarize":
            made, *by = step.children
            columns = _columns(reading, made, aggregates=True)
            reading.columns = columns | (_columns(reading, by[0]) if by else {})
        case "order":
            for name in step.children:
                _value_of(reading, Tree("name", [name]))


def _columns(reading: _Reading, tree: Tree[Token], *, aggregates: bool = False) -> dict[str, Value]:
    """The columns that `a, b = expression, bin(c, 1h)` makes."""
    found = {}
    for part in tree.children:
        expression = part.children[-1] if part.data == "named" else part
        value = _value_of(reading, expression, aggregates=aggregates)
        if part.data == "named" or (part.data == "name" and not aggregates):
            found[str(part.children[0])] = value
        elif part.data == "call" and part.children[0] == "bin":
            found[str(part.children[1].children[0])] = value
        else:
            reading.complain(part, "it needs a name, for alerts and charts refer to it")
        if aggregates and not any(each.children[0] in _AGGREGATES for each in expression.find_data("call")):
            reading.complain(part, "summarize makes a value of many records: which one of them is this?")
    return found


def _value_of(reading: _Reading, tree: Tree[Token], *, aggregates: bool = False) -> Value:
    """What an expression stands for; complains of whatever in it is not there."""
    match tree.data:
        case "name":
            return _name(reading, tree.children[0])
        case "member":
            return _member(reading, tree)
        case "call":
            return _call(reading, tree, aggregates=aggregates)
        case "comparison":
            left, sign, right = tree.children
            compared = _value_of(reading, left, aggregates=aggregates)
            _value_of(reading, right, aggregates=aggregates)
            if sign in ("==", "!=", "has", "contains"):
                _check_word(reading, compared, right)
            return Value()
        case "listed":
            left, _, *words = tree.children
            compared = _value_of(reading, left)
            for word in words:
                is_table = word.data == "name" and word.children[0] in reading.tables
                if not is_table:
                    _value_of(reading, word)
                    _check_word(reading, compared, word)
            return Value()
    for child in tree.children:
        if isinstance(child, Tree):
            _value_of(reading, child, aggregates=aggregates)
    return Value()


def _name(reading: _Reading, name: Token) -> Value:
    if name not in reading.columns:
        reading.complain(name, f"{name}: no such column here; there are {', '.join(sorted(reading.columns))}")
    return reading.columns.get(name, Value())


def _member(reading: _Reading, tree: Tree[Token]) -> Value:
    """`fields.x` and `fields['x']` of an event, `customDimensions.x` of a span or metric."""
    of, name = _value_of(reading, tree.children[0]), tree.children[1].strip("'\"")
    if of.kind == "fields":
        known = {each for event in reading.events for each in emitted_fields()[event]} | {OF_EVERY_EVENT}
        if name not in known:
            reading.complain(tree, f"fields.{name}: none of {', '.join(sorted(reading.events))} carries it")
        return Value("field", name)
    if of.kind == "attributes":
        if not any(name in reading.recorded[each] for each in reading.selected):
            chosen = ", ".join(sorted(reading.selected))
            reading.complain(tree, f"customDimensions.{name}: none of {chosen} carries it")
        return Value("attribute", name)
    reading.complain(tree, f".{name}: only a parsed event and customDimensions have members")
    return Value()


def _call(reading: _Reading, tree: Tree[Token], *, aggregates: bool) -> Value:
    name, *arguments = tree.children
    known = _SCALARS | (_AGGREGATES if aggregates else {})
    values = [_value_of(reading, each, aggregates=aggregates) for each in arguments]
    fewest, most = known.get(name, (0, 99))
    if name not in known:
        reading.complain(name, f"{name}(): no such function here, or the check does not know it yet")
    elif not fewest <= len(arguments) <= most:
        reading.complain(name, f"{name}() takes {fewest} to {most} arguments, not {len(arguments)}")
    elif name == "parse_json":
        return Value("fields")
    elif name in ("tostring", "toint", "todouble"):
        return values[0]
    return Value()


# --- Words ----------------------------------------------------------------------------------------------------------


def _select(reading: _Reading, tree: Tree[Token]) -> None:
    """`message startswith 'event '` and `name == 'x'` say which events, spans or metrics the pipeline is about."""
    if tree.data not in ("comparison", "listed") or tree.children[0].data != "name":
        return
    column, sign, *words = tree.children
    texts = [(each, each.children[0][1:-1]) for each in words if each.data == "text"]
    if column.children[0] == "message" and sign == "startswith":
        for place, prefix in texts:
            matching = {event for event in emitted_fields() if f"{event} ".startswith(prefix)}
            if not matching:
                reading.complain(place, f"{prefix!r}: no event that is emitted begins like this")
            elif not prefix.endswith((" ", ".")):
                reading.complain(place, f"{prefix!r}: end it with a blank, or a longer event's name begins like it too")
            reading.events |= matching
    elif column.children[0] == "name" and sign in ("==", "in"):
        for place, text in texts:
            if text not in reading.recorded:
                reading.complain(place, f"{text}: no such {reading.what} is recorded")
        reading.selected |= {text for _, text in texts} & reading.recorded.keys()


def _check_word(reading: _Reading, compared: Value, word: Tree[Token]) -> None:
    """A text that something is compared with is one that it can be."""
    if word.data != "text" or "{" in word.children[0]:
        return
    text = word.children[0][1:-1]
    possible = written_words()
    match compared:
        case Value("column", "operation_Name"):
            possible = frozenset(registered_functions())
        case Value("column", "outerMessage"):
            possible = _PLATFORM_TEXTS
        case Value("column", "message"):
            return
        case Value("field", name):
            possible = frozenset().union(*(known_words(event, name) for event in reading.events))
    if text not in possible:
        shown = "" if len(possible) > 30 else f"; it can be {', '.join(sorted(possible))}"
        reading.complain(word, f"{text!r} is never {compared.name or 'here'}{shown}")
