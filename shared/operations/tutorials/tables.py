"""The attribute tables of a tutorial: which tables they are, which column means what, and which lines make one row."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

_PIPE: Final = re.compile(r"(?<!\\)\|")
_RULE: Final = re.compile(r"[\s|:>-]*-[\s|:>-]*")
_NEW_BLOCK: Final = re.compile(r"\s*(?:#{1,6}\s|\d+[.)]\s|[-*+]\s|!\[|>|```)")
_UNFINISHED: Final = re.compile(r"[:.\[]\s*$|\beq\s*$|^[^\[]*\[[^\]]*$")
_TYPE_WORD: Final = re.compile(
    r"\s*(?:string|boolean|bool|reference|integer|datetime|complex|decimal|binary)\b", re.IGNORECASE
)
_SOURCE_WORDS: Final = ("entra", "azure", "active directory", "source", "workday", "successfactors", "hcm")
_LONGEST_HEADER: Final = 1_000
_LONGEST_CELL: Final = 500
JOINT: Final = "\n"
"""Stands in a cell where the row went on in the next line: with or without a blank, nobody can say."""


class Column(StrEnum):
    """What a column tells."""

    ATTRIBUTE = "attribute"
    """The attribute at the vendor."""
    TYPE = "type"
    """Its data type."""
    FILTERABLE = "filterable"
    """A mark where the vendor can filter by it."""
    REQUIRED = "required"
    """A mark where the vendor insists on a value."""
    SOURCE = "source"
    """The attribute of the directory."""
    NOTE = "note"
    """A remark."""
    OTHER = "other"
    """Nothing that is needed here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """The cells of one row as printed, without the blanks around them."""

    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeTable:
    """A table whose header names attributes."""

    line: int
    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    context: str
    """The few lines before the table, in lower case: they say whose attributes these are."""


@dataclass(slots=True)
class _Row:
    line: int
    cells: list[str] = field(default_factory=list)
    closed: bool = True


def find_tables(lines: Sequence[str]) -> tuple[AttributeTable, ...]:
    """The attribute tables of a text, in order. Tables about something else are left out."""
    tables: list[AttributeTable] = []
    index = 0
    while index < len(lines):
        columns = _columns(lines[index])
        if not columns:
            index += 1
            continue
        rows, end = _rows(lines, index + 1)
        before = [line for line in lines[max(0, index - 14) : index] if line.strip()]
        context = "\n".join(before[-6:]).lower()
        tables.append(AttributeTable(line=index + 1, columns=columns, rows=rows, context=context))
        index = max(end, index + 1)
    return tuple(tables)


def _columns(line: str) -> tuple[Column, ...]:
    """What the cells of a header mean, empty when the line is no header of an attribute table."""
    if len(line) > _LONGEST_HEADER or not _PIPE.search(line):
        return ()
    names = [" ".join(re.sub(r"[*`_:]", " ", html.unescape(cell)).casefold().split()) for cell in split_cells(line)]
    columns = tuple(_column(name) for name in names)
    if Column.ATTRIBUTE in columns and len(set(columns) & {Column.TYPE, Column.SOURCE, Column.FILTERABLE}) > 0:
        return _with_one_attribute(columns, names)
    if Column.TYPE in columns and names[0] in {"name", "property", "field", "user", "group"}:
        return (Column.ATTRIBUTE, *columns[1:])
    return ()


def _column(name: str) -> Column:
    if "filter" in name:
        return Column.FILTERABLE
    if name.startswith(("required", "mandatory")) or name.endswith(("required", "mandatory")):
        return Column.REQUIRED
    if "type" in name.split() or name == "datatype":
        return Column.TYPE
    if re.match(r"(?:notes?|comments?|remarks?|description|details)\b", name):
        return Column.NOTE
    if re.search(r"\battributes?\b", name):
        return Column.SOURCE if any(word in name for word in _SOURCE_WORDS) else Column.ATTRIBUTE
    return Column.OTHER


def _with_one_attribute(columns: tuple[Column, ...], names: list[str]) -> tuple[Column, ...]:
    """Of several columns of attributes the one that speaks of the target, else the first."""
    places = [place for place, column in enumerate(columns) if column is Column.ATTRIBUTE]
    chosen = next((place for place in places if re.search(r"target|scim", names[place])), places[0])
    return tuple(
        Column.OTHER if column is Column.ATTRIBUTE and place != chosen else column
        for place, column in enumerate(columns)
    )


def split_cells(line: str) -> list[str]:
    """The cells of a line, with or without pipes at its ends."""
    text = re.sub(r"^[\s>]+", "", line).rstrip()
    text = text.removeprefix("|")
    if text.endswith("|") and not text.endswith("\\|"):
        text = text[:-1]
    return [cell.replace("\\|", "|").strip()[:_LONGEST_CELL] for cell in _PIPE.split(text)]


def _rows(lines: Sequence[str], start: int) -> tuple[tuple[TableRow, ...], int]:
    """The rows from `start` on, and the index of the first line that is not of the table."""
    rows: list[_Row] = []
    end = start
    for index, line in _table_lines(lines, start):
        leads = re.match(r"[\s>]*\|", line) is not None
        cells = split_cells(line)
        if rows and _continues(rows[-1], cells, leads=leads):
            _join(rows[-1], cells, index=index)
        elif "|" in line:
            rows.append(_Row(line=index + 1, cells=cells))
        else:
            break
        rows[-1].closed = line.rstrip().endswith("|")
        end = index + 1
    return tuple(TableRow(line=row.line, cells=tuple(row.cells)) for row in rows if any(row.cells)), end


def _table_lines(lines: Sequence[str], start: int) -> Iterator[tuple[int, str]]:
    """The lines that may belong to the table: without its rule, and over at most one gap of blank lines at a time."""
    leading = start > 0 and lines[start - 1].lstrip(" \t>").startswith("|")
    gap = 0
    for index in range(start, len(lines)):
        line = lines[index]
        if not line.strip(" \t>"):
            gap += 1
            continue
        if _RULE.fullmatch(line) and ("|" in line or index == start):
            gap = 0
            continue
        starts_row = line.lstrip(" \t>").startswith("|")
        if _columns(line) or gap > 2 or (gap and not (leading and starts_row)):
            return
        if not starts_row and (_NEW_BLOCK.match(line) or (not leading and "|" not in line)):
            return
        gap = 0
        yield index, line


def _continues(row: _Row, cells: list[str], *, leads: bool) -> bool:
    """Whether a line is the rest of the row before it."""
    filled = [cell for cell in row.cells if cell]
    first = next((cell for cell in cells if cell), "")
    if len(filled) != 1 or not row.cells[0]:
        return not leads and not row.closed and len(filled) == 1
    if _UNFINISHED.search(row.cells[0]):
        return True
    if leads:
        return len(row.cells) == 1 and _TYPE_WORD.match(first) is not None
    return not row.closed and len(row.cells) == 1


def _join(row: _Row, cells: list[str], *, index: int) -> None:
    if _TYPE_WORD.match(cells[0]) and not _UNFINISHED.search(row.cells[0]):
        row.cells += cells
        return
    last = max((place for place, cell in enumerate(row.cells) if cell), default=0)
    row.cells[last:] = [f"{row.cells[last]}{JOINT}{cells[0]}", *cells[1:]]
