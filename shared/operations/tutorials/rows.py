"""From the rows of an attribute table to attributes: what was repaired, what was refused, what the marks say."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from shared.config.profile import AttributeType, Mutability
from shared.operations.tutorials.paths import MULTI_VALUED, printed_text, read_path
from shared.operations.tutorials.tables import AttributeTable, Column, TableRow
from shared.rules.attribute_paths import AttributePath, parse_path

_TYPES: Final = {
    **{kind.value.casefold(): kind for kind in AttributeType},
    "bool": AttributeType.BOOLEAN,
    "text": AttributeType.STRING,
    "int": AttributeType.INTEGER,
    "number": AttributeType.INTEGER,
    "date": AttributeType.DATE_TIME,
    "float": AttributeType.DECIMAL,
}
_YES: Final = re.compile(
    r"[\u2713\u2714\u2705\u2611\u221ax]\ufe0f?|yes|y|true|required|mandatory|supported", re.IGNORECASE
)
_NO: Final = re.compile(
    r"[-\u2013\u2014\u2717\u2718\u274c\u2715]?|no|n|false|optional|n/?a|not supported|not required", re.IGNORECASE
)
_MANY: Final = re.compile(r"\[\]|multi|list|array|collection", re.IGNORECASE)
_CREATE_ONLY: Final = re.compile(
    r"(?:can(?:not|'t|\u2019t| not)|(?:is |are )?not)\s+(?:be\s+)?(?:updated|changed|modified|editable|updatable)"
    r"|(?:only|just)\s+(?:be\s+)?(?:set|sent|written|provisioned)?\s*(?:on|at|during|when|upon)\s+(?:user\s+)?creat"
    r"|create[- ]only|immutable|creation only",
    re.IGNORECASE,
)
_READ_ONLY: Final = re.compile(r"read[- ]?only", re.IGNORECASE)
_UNMAPPED: Final = re.compile(r"(?:not|n't)\s+mapped\s+by\s+default", re.IGNORECASE)
_TEXTS: Final = frozenset(
    [
        "username",
        "externalid",
        "displayname",
        "nickname",
        "profileurl",
        "title",
        "usertype",
        "preferredlanguage",
        "locale",
        "timezone",
    ]
)
_OF_TEXTS: Final = frozenset({"name", "emails", "phonenumbers", "ims", "photos", "addresses"})
"""Core attributes whose parts are texts, `primary` apart."""
_SET_BY_VENDOR: Final = frozenset({"id", "meta", "schemas"})
DIVISION: Final = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:division"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableAttribute:
    """One attribute of a table, ready for a profile. None: the table has no such column."""

    line: int
    printed: str
    path: str
    type: AttributeType
    multi_valued: bool = False
    filterable: bool | None = None
    required: bool | None = None
    mutability: Mutability = Mutability.READ_WRITE
    mapped: bool = True
    """False: the table says that it is not mapped by default."""
    source: str = ""
    """The attribute of the directory, where the table names it."""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """A row that was taken otherwise than printed."""

    line: int
    printed: str
    path: str
    """What it was read as; empty when the row was left out."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A row that could not be taken."""

    line: int
    printed: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """What the tables of one resource say together."""

    attributes: tuple[TableAttribute, ...] = ()
    repairs: tuple[Repair, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    filters_marked: bool = False
    """Whether a column says what can be filtered."""

    def find(self, path: str) -> TableAttribute | None:
        """The attribute of a path, None when the tables lack it. Case is ignored."""
        return next((each for each in self.attributes if each.path.casefold() == path.casefold()), None)


def read_attributes(tables: Iterable[AttributeTable]) -> Attributes:
    """The attributes of one resource, from all tables that list some."""
    found: dict[str, TableAttribute] = {}
    repairs: list[Repair] = []
    refusals: list[Refusal] = []
    marked = False
    for table in tables:
        marked = marked or Column.FILTERABLE in table.columns
        for row in table.rows:
            answer = _read_row(row, table.columns)
            if isinstance(answer, Refusal):
                refusals.append(answer)
                continue
            attribute, reasons = answer
            first = found.setdefault(attribute.path.casefold(), attribute)
            if first is attribute:
                if reasons:
                    repairs.append(_repair(attribute, attribute.path, "; ".join(reasons)))
            else:
                repairs.append(_repair(attribute, "", f"printed twice, first on line {first.line}; left out"))
    return Attributes(
        attributes=tuple(found.values()), repairs=tuple(repairs), refusals=tuple(refusals), filters_marked=marked
    )


def _repair(attribute: TableAttribute, path: str, reason: str) -> Repair:
    return Repair(line=attribute.line, printed=attribute.printed, path=path, reason=reason)


def _read_row(row: TableRow, columns: tuple[Column, ...]) -> tuple[TableAttribute, tuple[str, ...]] | Refusal:
    cells, shifts = _aligned(row.cells, columns)
    printed = printed_text(cells[Column.ATTRIBUTE])
    if not printed:
        return Refusal(line=row.line, printed=" | ".join(row.cells), reason="no attribute in this row")
    try:
        reading = read_path(printed)
    except ValueError as error:
        return Refusal(line=row.line, printed=" ".join(printed.split()), reason=f"no attribute path: {error}")
    if reading.path.casefold() in _SET_BY_VENDOR:
        return Refusal(line=row.line, printed=printed, reason="the vendor sets it; clients do not")
    if reading.path.casefold() in MULTI_VALUED - {"roles", "entitlements", "groups"}:
        reason = 'a whole list; a path such as emails[type eq "work"].value was expected'
        return Refusal(line=row.line, printed=printed, reason=reason)
    note = "; ".join(text for text in (printed_text(cells[Column.NOTE]).replace("\n", " "), reading.remark) if text)
    kind, many, type_reasons = _type_of(reading.path, printed_text(cells[Column.TYPE]), typed=Column.TYPE in columns)
    attribute = TableAttribute(
        line=row.line,
        printed=" ".join(printed.split()),
        path=reading.path,
        type=kind,
        multi_valued=many,
        filterable=_mark(cells[Column.FILTERABLE]) if Column.FILTERABLE in columns else None,
        required=_mark(cells[Column.REQUIRED]) if Column.REQUIRED in columns else None,
        mutability=_mutability(note, reading.path),
        mapped=not _UNMAPPED.search(note),
        source=printed_text(cells[Column.SOURCE]).strip("[]"),
        note=note,
    )
    if re.fullmatch(r"required|mandatory", reading.remark, re.IGNORECASE):
        attribute = replace(attribute, required=True)
    return attribute, (*shifts, *reading.reasons, *type_reasons, *_mark_reasons(cells, columns))


def _aligned(cells: tuple[str, ...], columns: tuple[Column, ...]) -> tuple[dict[Column, str], tuple[str, ...]]:
    """Cells by column; columns that are missing are empty."""
    reasons: list[str] = []
    texts = list(cells)
    while len(texts) > len(columns) and not texts[0]:
        texts.pop(0)
        reasons = ["an empty cell in front"]
    named = dict.fromkeys(Column, "")
    for column, text in zip(columns, texts, strict=False):
        named[column] = named[column] or text
    swapped = named[Column.ATTRIBUTE].casefold() in _TYPES and named[Column.TYPE]
    if swapped and named[Column.TYPE].casefold() not in _TYPES:
        named[Column.ATTRIBUTE], named[Column.TYPE] = named[Column.TYPE], named[Column.ATTRIBUTE]
        reasons.append("attribute and type exchanged")
    return named, tuple(reasons)


def _mark(cell: str) -> bool:
    return _YES.fullmatch(printed_text(cell).strip(" *")) is not None


def _mark_reasons(cells: dict[Column, str], columns: tuple[Column, ...]) -> tuple[str, ...]:
    odd = (
        f"{column.value}: {printed_text(cells[column])[:30]!r} is neither a mark nor empty, taken as no"
        for column in (Column.FILTERABLE, Column.REQUIRED)
        if column in columns and not _mark(cells[column]) and not _NO.fullmatch(printed_text(cells[column]).strip(" *"))
    )
    return tuple(odd)


def _type_of(path: str, printed: str, *, typed: bool) -> tuple[AttributeType, bool, tuple[str, ...]]:
    """Type, whether it is a list, and what had to be assumed."""
    many = bool(_MANY.search(printed)) or path.casefold() in {"members", "roles", "groups", "entitlements"}
    natural = _natural_type(path)
    word = re.sub(r"[^a-z]", "", _MANY.sub("", printed).replace("valued", "").casefold())
    close = difflib.get_close_matches(word, _TYPES, n=1, cutoff=0.75)
    if not close:
        assumed = natural or AttributeType.STRING
        if not word and not typed:
            return assumed, many, ()
        shown = f"type {printed[:30]!r} is unknown" if word else "no type printed"
        return assumed, many, (f"{shown}, taken as {assumed.value}",)
    kind = _TYPES[close[0]]
    reasons = () if word in _TYPES else (f"type {printed[:30]!r} read as {kind.value}",)
    if natural is not None and kind is not natural:
        return natural, many, (*reasons, f"type {kind.value} printed, {natural.value} is what RFC 7643 has")
    return kind, many, reasons


def _natural_type(path: str) -> AttributeType | None:
    """The type RFC 7643 gives an attribute, where another one would break it."""
    parsed = parse_path(path)
    if path.casefold() == "active":
        return AttributeType.BOOLEAN
    if parsed.urn is None and (path.casefold() in _TEXTS or _is_text_part(parsed)):
        return AttributeType.STRING
    if path.casefold() == "members" or (parsed.name.casefold() == "manager" and parsed.sub is None):
        return AttributeType.REFERENCE
    return AttributeType.COMPLEX if path.casefold() in {"roles", "groups", "entitlements"} else None


def _is_text_part(path: AttributePath) -> bool:
    return path.name.casefold() in _OF_TEXTS and path.sub is not None and path.sub.casefold() != "primary"


def _mutability(note: str, path: str) -> Mutability:
    if _CREATE_ONLY.search(note):
        return Mutability.CREATE_ONLY
    return Mutability.READ_ONLY if _READ_ONLY.search(note) or path.casefold() == "groups" else Mutability.READ_WRITE
