"""What sentences, lists and remarks say about single attributes and about what the connector does.

Unlike the facts of `facts`, these decide how rows of the tables become attributes and mappings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from shared.operations.tutorials.reading import Sentence, Tutorial, listed_after, plain, section_lines
from shared.operations.tutorials.tables import AttributeTable

_MATCHED: Final = re.compile(
    r"\b(?P<names>[\w. ]{2,60}?)\s+attribute\s+(?:is|will\s+be)\s+used\s+to\s+match\b(?P<rest>.*)"
    r"|\bonly\s+(?:allows?|supports?)\s+matching\s+(?:with|on|by|against)\b(?P<only>.*)",
    re.IGNORECASE,
)
_REQUIRED_LIST: Final = re.compile(
    r"\brequir\w+\b.{0,60}\bfollowing\s+(?:\w+\s+)?attributes\b"
    r"|\bfollowing\s+(?:\w+\s+)?attributes\s+are\s+(?:required|mandatory)",
    re.IGNORECASE,
)
_CAPABILITIES: Final = re.compile(r"#{1,6}\s.*\bcapabilit", re.IGNORECASE)
_CHECK_LIST_ENTRY: Final = re.compile(r"\s*(?:>\s*)*[-*+]\s+(.+)")
_CREATES: Final = re.compile(
    r"\b(?:creat|add|provision|import|invit|push|synchroni[sz]|onboard)\w*\b.*\b(?:users?|accounts?)\b", re.IGNORECASE
)
_KEEPS: Final = re.compile(r"\bkeep\b.*\bsynchroni[sz]ed\b|\bde-?provision|\bsingle sign", re.IGNORECASE)
_ABOUT_USERS: Final = re.compile(r"\b(?:users?|accounts?)\b", re.IGNORECASE)
_SOURCE_CHOSEN: Final = re.compile(r"\bsource\s+attribute\b.{0,40}?\bselect\s+([\w.]+)", re.IGNORECASE)
_TARGET_CHOSEN: Final = re.compile(
    r"\btarget\s+attribute\b.{0,40}?\bselect\s+(.{2,200}?)(?:\s+(?:from|in)\b|\s*,|\.?\s*$)", re.IGNORECASE
)
_DEFAULT_ENTERED: Final = re.compile(r"\bdefault\s+value\s+if\s+null\b", re.IGNORECASE)
_LONGEST_DIALOG: Final = 12
_MOST: Final = re.compile(
    r"\b(?:maximum\s+of|at\s+most|no\s+more\s+than)\s+([\d,]{1,9})\s+(groups|users)\b", re.IGNORECASE
)
_COUNTRY_CODE: Final = re.compile(
    r"\bcountry\b.*\b(?:ISO[- ]?3166|alpha-2|two[- ](?:letter|character))\b", re.IGNORECASE
)
_PHONE_FORMAT: Final = re.compile(r"\bphone\b.*\bE\.? ?164\b|\bphone ?numbers?\b.*\bE\.? ?164\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedBy:
    """A sentence about what existing accounts or groups are matched by."""

    line: int
    names: str
    """Where the sentence names the attributes."""
    groups: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedMapping:
    """A mapping that the tutorial tells the reader to add by hand."""

    line: int
    source: str
    target: str
    default: str
    """What is to be entered for an empty source, in the tutorial's words; empty when nothing is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MostObjects:
    """How many users or groups the vendor takes."""

    line: int
    amount: int
    groups: bool


def find_matched_by(tutorial: Tutorial) -> Iterator[MatchedBy]:
    """What sentences say about the matching attribute."""
    for sentence in tutorial.sentences:
        found = _MATCHED.search(sentence.text)
        if found:
            names, about = found.group("names") or found.group("only"), found.group("rest") or ""
            yield MatchedBy(line=sentence.line, names=names, groups="group" in about.casefold())


def find_required_names(tutorial: Tutorial) -> tuple[tuple[str, int], ...]:
    """Names in a list of attributes that every account must have, each with its line."""
    return tuple(listed_after(tutorial, _REQUIRED_LIST))


def says_users_are_not_created(tutorial: Tutorial) -> int:
    """The line of a list of capabilities that speaks of users and not of creating them; 0 otherwise."""
    for lines in section_lines(tutorial, _CAPABILITIES):
        found = ((number, _CHECK_LIST_ENTRY.fullmatch(tutorial.lines[number - 1])) for number in lines)
        entries = [(number, plain(entry.group(1))) for number, entry in found if entry]
        about_users = [(number, entry) for number, entry in entries if _ABOUT_USERS.search(entry)]
        if len(about_users) > 1 and not any(
            _CREATES.search(entry) and not _KEEPS.search(entry) for _, entry in about_users
        ):
            return about_users[0][0]
    return 0


def find_added_mappings(tutorial: Tutorial) -> Iterator[AddedMapping]:
    """Mappings that the reader is led to add in the dialog for one, field by field."""
    source, default, started = "", "", 0
    for sentence in tutorial.sentences:
        chosen = _SOURCE_CHOSEN.search(sentence.text)
        if chosen:
            source, default, started = chosen.group(1), "", sentence.line
        elif started and sentence.line - started > _LONGEST_DIALOG:
            started = 0
        elif started and _DEFAULT_ENTERED.search(sentence.text):
            default = sentence.text
        target = _TARGET_CHOSEN.search(sentence.text)
        if target and started:
            yield AddedMapping(line=started, source=source, target=target.group(1), default=default)
            started = 0


def find_most_objects(tutorial: Tutorial) -> Iterator[MostObjects]:
    """How many users or groups are taken at most."""
    for sentence in tutorial.sentences:
        for found in _MOST.finditer(sentence.text):
            amount = int(found.group(1).replace(",", "") or 0)
            if amount:
                yield MostObjects(line=sentence.line, amount=amount, groups=found.group(2).casefold() == "groups")


def says_country_is_a_code(tutorial: Tutorial) -> int:
    """The line that asks for countries as codes of two letters, 0 when none does."""
    return next((sentence.line for sentence in tutorial.sentences if _COUNTRY_CODE.search(sentence.text)), 0)


def says_phones_are_e164(tutorial: Tutorial) -> int:
    """The line that asks for telephone numbers as E.164, 0 when none does."""
    return next((sentence.line for sentence in tutorial.sentences if _PHONE_FORMAT.search(sentence.text)), 0)


def find_remarks(tutorial: Tutorial, tables: Iterable[AttributeTable]) -> Iterator[Sentence]:
    """The sentences of a quoted note right behind an attribute table: they are about its attributes."""
    for table in tables:
        lines = _quoted_after(tutorial, max((row.line for row in table.rows), default=table.line))
        yield from (sentence for sentence in tutorial.sentences if sentence.line in lines)


def _quoted_after(tutorial: Tutorial, end: int) -> frozenset[int]:
    quoted: set[int] = set()
    for number in range(end + 1, len(tutorial.lines) + 1):
        line = tutorial.lines[number - 1].strip()
        if line.startswith(">"):
            quoted.add(number)
        elif line and not line.startswith(("![", "|")):
            break
    return frozenset(quoted)
