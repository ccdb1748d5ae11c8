"""How a misprinted attribute path is read. Each repair is a step with its reason; nothing is guessed silently.

The steps come in an order: signs first, then the shape of the filter, then names.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shared.operations.tutorials.tables import JOINT
from shared.rules.attribute_paths import AttributePath, PathError, parse_path

MULTI_VALUED: Final = frozenset(
    {"emails", "phonenumbers", "ims", "photos", "addresses", "groups", "entitlements", "roles", "x509certificates"}
)
"""Lists of complex values in RFC 7643 4.1.2, in lower case."""

_CORE: Final = (
    "userName displayName nickName profileUrl title userType preferredLanguage locale timezone active password "
    "externalId name emails phoneNumbers ims photos addresses groups entitlements roles x509Certificates members "
    "formatted familyName givenName middleName honorificPrefix honorificSuffix value display type primary "
    "streetAddress locality region postalCode country "
    "employeeNumber costCenter organization division department manager"
)
_SPELLING: Final = {name.casefold(): name for name in _CORE.split()}
_ENTERPRISE: Final = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
_CORE_URN: Final = re.compile(r"urn:ietf:params:scim:schemas:core:2\.0:(?:User|Group)[:.]", re.IGNORECASE)
_RESOURCE_DOT: Final = re.compile(r"(urn:[^\[]*:\d+(?:\.\d+)*:(?:User|Group))\.(?=\w)", re.IGNORECASE)
_REMARK: Final = re.compile(r"^(.*?[\w\]])\s*\(([^()]*)\)\s*$|^(.*?[\w\]])\s+[-\u2013]\s+(.+)$", re.DOTALL)
_LONGEST: Final = 300
_FOOTNOTE: Final = re.compile(r"(?<=[\w\]])\s*(?:[*†‡¹²³,;]+|\[\d+\])$")


@dataclass(frozen=True, slots=True, kw_only=True)
class PathReading:
    """How a printed path was read."""

    path: str
    reasons: tuple[str, ...]
    """Why it could not be taken as printed; empty when it could."""
    remark: str
    """What stood behind the path in brackets."""


def printed_text(cell: str) -> str:
    """What a reader sees of a cell: without code marks, links, emphasis, HTML and Markdown escapes."""
    text = re.sub(r"\[([^\]]+)\]\((?:https?://|\.|/|#)[^)]*\)", r"\1", cell)
    text = re.sub(r"<br\s*/?>", JOINT, text, flags=re.IGNORECASE)
    text = html.unescape(re.sub(r"</?[a-zA-Z]\w*[^<>]*>", "", text))
    text = re.sub(r"\\([\\`*_{}\[\]()#+.!\"'-])", r"\1", text.replace("`", ""))
    return re.sub(r"^\*+|(?<=[\w\]])\*\*+$", "", text.strip()).strip()


def read_path(printed: str) -> PathReading:
    """The path that is meant. Raises `PathError` (a ValueError) when no repair makes it one."""
    text, remark = _without_remark(printed)
    if len(text) > _LONGEST:
        raise PathError(f"{text[:40]}...", 1, f"an attribute path of at most {_LONGEST} characters")
    reasons: list[str] = []
    for reason, repair in _REPAIRS:
        repaired = repair(text)
        if repaired != text:
            reasons.append(reason)
            text = repaired
    text, spelled = _spelled(parse_path(text))
    return PathReading(path=text, reasons=(*reasons, *spelled), remark=remark)


def _without_remark(printed: str) -> tuple[str, str]:
    found = _REMARK.match(printed)
    if found is None:
        return _FOOTNOTE.sub("", printed.strip()), ""
    path, remark = (found.group(1), found.group(2)) if found.group(1) else (found.group(3), found.group(4))
    return _FOOTNOTE.sub("", path.strip()), " ".join(remark.split())


def _joined(text: str) -> str:
    if JOINT not in text:
        return text
    halves = [half.strip() for half in text.split(JOINT)]
    tight = "".join(halves)
    return tight if _parses(tight) or not _parses(" ".join(halves)) else " ".join(halves)


def _parses(text: str) -> bool:
    try:
        parse_path(text)
    except PathError:
        return False
    return True


def _straight_quotes(text: str) -> str:
    text = re.sub("[\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb]|''", '"', text)
    return re.sub("[\u2018\u2019\u201a\u201b\u2032\u00b4]", "'", text)


def _double_quotes(text: str) -> str:
    return text.replace('""', '"').replace("'", '"')


def _tight(text: str) -> str:
    """Blanks only inside a filter, one between its words. Those between two words outside stay, and are refused."""
    parts = re.split(r"(\[[^\]]*\])", text)
    outside = [part if part.startswith("[") else re.sub(r"\s*([.:])\s*", r"\1", part).strip() for part in parts]
    return "".join(re.sub(r"\s+", " ", part).replace("[ ", "[").replace(" ]", "]") for part in outside)


def _closed_in_time(text: str) -> str:
    return re.sub(r"(\[[^\]]*?\"[^\"\]]*\"?)\.(\w+)\]$", r"\1].\2", text)


def _closed(text: str) -> str:
    text = re.sub(r"(\[[^\[\]]*?\"[^\"\]]*\")\.(\w+)$", r"\1].\2", text)
    return f"{text}]" if text.count("[") == text.count("]") + 1 else text


def _filter_parts(text: str, change: Callable[[str], str]) -> str:
    return re.sub(r"\[([^\[\]]*)\]", lambda found: f"[{change(found.group(1))}]", text)


def _with_operator(text: str) -> str:
    def change(content: str) -> str:
        if text.partition("[")[0].casefold() in MULTI_VALUED and re.fullmatch(r"\"?[\w-]+\"?", content.strip()):
            return f'type eq "{content.strip().strip(chr(34))}"'
        return re.sub(r"\s*(?:==?|:)\s*(?=[\"\w])", " eq ", content)

    return _filter_parts(text, change) if "[" in text else text


def _with_blanks(text: str) -> str:
    def change(content: str) -> str:
        content = re.sub(r"\beq(?=\")", "eq ", content, flags=re.IGNORECASE)
        return re.sub(r"(?<=\")(?:and)\b", " and", content, flags=re.IGNORECASE)

    return _filter_parts(text, change)


def _with_both_quotes(text: str) -> str:
    def change(content: str) -> str:
        clauses = re.split(r"\s+and\s+", content, flags=re.IGNORECASE)
        return " and ".join(_quoted_clause(clause) for clause in clauses)

    return _filter_parts(text, change)


def _quoted_clause(clause: str) -> str:
    found = re.fullmatch(r"(\s*[\w.$-]+\s+\w+\s+)(\"?)([^\"]*?)(\"?)\s*", clause)
    if found is None or (found.group(2) and found.group(4)):
        return clause
    if not found.group(2) and not found.group(4) and re.fullmatch(r"true|false|-?\d+", found.group(3), re.IGNORECASE):
        return clause
    return f'{found.group(1)}"{found.group(3).strip()}"'


def _with_trimmed_values(text: str) -> str:
    return _filter_parts(text, lambda content: re.sub(r'"\s*([^"]*?)\s*"', r'"\1"', content))


def _with_value(text: str) -> str:
    found = re.fullmatch(r"(\w+)\[[^\]]*\]", text)
    if found is None or found.group(1).casefold() not in MULTI_VALUED:
        return text
    return f"{text}.formatted" if found.group(1).casefold() == "addresses" else f"{text}.value"


_REPAIRS: Final[tuple[tuple[str, Callable[[str], str]], ...]] = (
    ("split over lines", _joined),
    ("curly quotes", _straight_quotes),
    ("quotes other than one double quote on each side", _double_quotes),
    ("bracket closed too late", _closed_in_time),
    ("bracket never closed", _closed),
    ("blanks inside the path", _tight),
    ("a filter without eq", _with_operator),
    ("no blank after eq", _with_blanks),
    ("a missing quote", _with_both_quotes),
    ("blanks inside the quotes", _with_trimmed_values),
    ("a list element without its sub-attribute", _with_value),
    ("URN of the core schema, which is not written", lambda text: _CORE_URN.sub("", text)),
    ("a dot between URN and attribute", lambda text: _RESOURCE_DOT.sub(r"\1:", text)),
)


def _spelled(path: AttributePath) -> tuple[str, tuple[str, ...]]:
    """The path with RFC 7643's spelling of its own names, which differ from the printed ones by case only."""
    enterprise = path.urn is not None and path.urn.casefold() == _ENTERPRISE.casefold()
    if path.urn is not None and not enterprise:
        return path.raw, ()
    text = path.raw[len(path.urn) :] if path.urn else path.raw
    quoted = re.split(r'("[^"]*")', text)
    words = [part if part.startswith('"') else re.sub(r"[A-Za-z]\w*", _known_spelling, part) for part in quoted]
    spelled = (_ENTERPRISE if enterprise else "") + "".join(words)
    return (spelled, ("upper and lower case",)) if spelled != path.raw else (path.raw, ())


def _known_spelling(word: re.Match[str]) -> str:
    name = word.group()
    if name.casefold() in {"eq", "and"}:
        return name.casefold()
    return _SPELLING.get(name.casefold(), name)
