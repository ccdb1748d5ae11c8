"""What the sentences of a tutorial say about a vendor, beyond its tables: found by the phrases these pages use.

A fact keeps the line and the sentence it was read from, so that a person can check it in a minute.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from shared.operations.tutorials.reading import Sentence, Tutorial, section_lines


class FactKind(StrEnum):
    """What a fact is about."""

    RATE_LIMIT = "rate limit"
    """How many requests the vendor accepts."""
    CREATE_ONLY = "create-only"
    """What can be set when an account is created and not changed afterwards."""
    GROUPS = "groups"
    """Whether groups are provisioned, and what cannot be done with them."""
    AUTHENTICATION = "authentication"
    """What is entered as credentials."""
    ADDRESS = "address"
    """Where the SCIM endpoint is."""
    ROLES = "roles"
    """Which app roles may be assigned."""
    DEFAULT_ACCESS = "default access"
    """Whether the Default Access role entitles."""
    FILTERABLE = "filterable"
    """What accounts can be looked up by."""
    REQUIRED = "required"
    """What an account must have."""
    SECRET_LIFETIME = "secret lifetime"  # noqa: S105 - what a fact is about, no secret
    """How long a token or key is valid."""
    SCHEMA_DISCOVERY = "schema discovery"
    """Whether the vendor lists its schema."""
    ACTIONS = "actions"
    """Whether accounts are created, updated, disabled, deleted."""
    MAPPING = "mapping"
    """What the default mapping had to assume."""
    LIMITATION = "limitation"
    """A sentence a person should know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something the tutorial says, or that had to be assumed because it does not."""

    kind: FactKind
    value: str
    line: int = 0
    """Where it is said; 0 when it is not said."""
    assumed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Requests a second."""

    per_second: float
    line: int
    sentence: str


_NUMBER_WORDS: Final = {"one": 1, "two": 2, "three": 3, "five": 5, "ten": 10, "twenty": 20, "fifty": 50, "hundred": 100}
_RATE: Final = re.compile(
    r"(?<![\w.])(\d[\d,]*(?:\.\d+)?|one|two|three|five|ten|twenty|fifty|hundred)\s+(?:\w+\s+){0,2}?"
    r"(?:requests?|calls?|queries|operations|transactions)\s*(?:/|per|a|an|every|each|in)\s*"
    r"(?:each\s+|a\s+|one\s+)?(\d+)?\s*-?"
    r"(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?)\b",
    re.IGNORECASE,
)
_UNITS: Final = {"s": 1, "m": 60, "h": 3600}
_LIFETIME: Final = re.compile(
    r"\b(?:token|key|secret|credential)s?\b.{0,80}?"
    r"\b(?:expir\w+|valid\w*|lifetime|life|rotat\w+|renew\w+|regenerat\w+)\b.{0,40}?\b(\d+|one|two|three|six|a|an)\s+(day|week|month|year)s?\b",
    re.IGNORECASE,
)
_DAYS: Final = {"day": 1, "week": 7, "month": 30, "year": 365}
_SMALL: Final = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "six": 6}
_AUXILIARY: Final = r"(?:does|do|is|are|can)"
_NOT: Final = rf"(?:{_AUXILIARY}(?:n't|n\u2019t| not)|can(?:'t|\u2019t|not))"
_NO_GROUPS: Final = re.compile(
    rf"{_NOT}\s+(?:currently\s+|yet\s+)?support\w*\s+(?:the\s+)?(?:provisioning\s+(?:of\s+)?)?"
    r"groups?(?:\s+provisioning|\s+object\w*)?(?=\s*(?:[.,;!]|$|and\b|or\b|at\b))"
    rf"|\bgroups?(?:\s+provisioning)?\s+{_NOT}\s+(?:currently\s+|yet\s+)?(?:be\s+)?(?:supported|provisioned|available)"
    r"|\bonly\s+(?:supports?\s+)?(?:the\s+)?(?:provisioning\s+(?:of\s+)?)?users?\b(?:\s+provisioning)?\s*(?:is|are)?\s*"
    r"(?:supported|can be provisioned)",
    re.IGNORECASE,
)
_GROUPS: Final = re.compile(r"^(?:provision|create|push|sync\w*) (?:users and )?groups\b", re.IGNORECASE)
_NESTED: Final = re.compile(r"nested|group (?:of|within|inside)", re.IGNORECASE)
_GROUPS_FIXED: Final = re.compile(
    rf"{_NOT}\s+support\s+(?:the\s+)?group\s+creation(\s+(?:or|and|nor)\s+deletion)?"
    rf"|{_NOT}\s+(?:create|support creating)\s+(?:\w+\s+)?groups",
    re.IGNORECASE,
)
_NO_RENAME: Final = re.compile(
    rf"{_NOT}\s+(?:currently\s+)?support\s+group\s+renam\w+"
    rf"|group\s+renam\w+\s+{_NOT}\s+(?:currently\s+)?supported"
    rf"|{_NOT}\s+(?:support\s+|be\s+)?(?:renam\w+|updat\w+ (?:the )?(?:group )?(?:display ?)?names?)(?:\s+\w+)?"
    r"\s+groups?"
    rf"|groups?\s+(?:names?\s+)?{_NOT}\s+be\s+renamed",
    re.IGNORECASE,
)
_CREATE_ONLY: Final = re.compile(
    r"only\s+(?:able\s+to\s+)?be\s+(?:created|set on creation)\s+and\s+not\s+updated"
    r"|created\s+(?:and|but)\s+(?:can)?not\s+(?:be\s+)?updated"
    rf"|{_NOT}\s+(?:be\s+)?(?:updated|changed|modified)\s+(?:after|once|when|later)"
    r"|only\s+(?:be\s+)?(?:set|sent|provisioned|written|updated)\s+(?:on|at|during|when|upon)\s+"
    r"(?:(?:the|a|new|user|account)\s+){0,3}creat"
    rf"|\b(?:updating|changing)\s+(?!group)[^.]{{2,60}}?\s+{_NOT}\s+(?:currently\s+)?supported",
    re.IGNORECASE,
)
_NOT_FILTERABLE: Final = re.compile(
    rf"{_NOT}\s+(?:currently\s+)?support\s+(?:the\s+)?filter\w*\s+(?:\w+\s+)?"
    r"(?:by|on|for|using|with)\s+(?:the\s+)?([\w.]+)"
    rf"|\b([\w.]+)\s+filter\w*\s+{_NOT}\s+supported"
    rf"|\b([\w.]+)\s+{_NOT}\s+(?:be\s+)?(?:filterable|used (?:as|in) (?:a )?filter|filtered)",
    re.IGNORECASE,
)
_DEFAULT_ACCESS: Final = re.compile(r"other than default access|default access role are excluded", re.IGNORECASE)
_DISCOVERY: Final = re.compile(r"schema discovery", re.IGNORECASE)
_OF_ENTRA: Final = re.compile(r"#{1,6}\s.*(?:\bPIM\b|just-in-time|privileged identity)", re.IGNORECASE)
"""Sections about how fast Entra itself acts, which is no limit of the vendor's."""
_UNUSUAL: Final = re.compile(r"\bBYOA\b|\bSCIM\s+(?:v\s?1|1\.[01])\b|customized to work with", re.IGNORECASE)
_LIMITS: Final = re.compile(
    r"^#{1,6}\s.*(?:limitation|known issue|troubleshoot|good to know|restriction)", re.IGNORECASE
)


def find_rates(tutorial: Tutorial) -> tuple[Rate, ...]:
    """Every rate a sentence names."""
    rates: list[Rate] = []
    elsewhere = {number for lines in section_lines(tutorial, _OF_ENTRA) for number in lines}
    for sentence in tutorial.sentences:
        if sentence.line in elsewhere:
            continue
        for found in _RATE.finditer(sentence.text):
            amount = _number(found.group(1))
            seconds = int(found.group(2) or 1) * _UNITS[found.group(3)[0].lower()]
            if amount > 0 and seconds > 0:
                rates.append(Rate(per_second=amount / seconds, line=sentence.line, sentence=sentence.text))
    return tuple(rates)


def find_lifetime_days(tutorial: Tutorial) -> tuple[int, int] | None:
    """Days a secret is valid and the line that says so."""
    for sentence in tutorial.sentences:
        found = _LIFETIME.search(sentence.text)
        if found:
            amount = _SMALL.get(found.group(1).lower()) or int(found.group(1))
            days = amount * _DAYS[found.group(2).lower()]
            if 0 < days <= 3650:
                return days, sentence.line
    return None


def says_default_access_is_excluded(tutorial: Tutorial) -> int:
    """The line that says that Default Access does not entitle, 0 when none does."""
    return _first_line(tutorial, _DEFAULT_ACCESS)


def says_schema_discovery(tutorial: Tutorial) -> int:
    """The line that says that the vendor lists its schema, 0 when none does."""
    return _first_line(tutorial, _DISCOVERY)


def says_groups_are_unsupported(tutorial: Tutorial) -> int:
    """The line that says that groups cannot be provisioned, 0 when none does. Nested groups are another matter."""
    return next(
        (
            sentence.line
            for sentence in tutorial.sentences
            if _NO_GROUPS.search(sentence.text)
            and not _NESTED.search(sentence.text)
            and not _GROUPS_FIXED.search(sentence.text)
        ),
        0,
    )


def says_groups_are_provisioned(tutorial: Tutorial) -> int:
    """The line that lists groups among the capabilities, 0 when none does."""
    return _first_line(tutorial, _GROUPS)


def says_groups_must_exist(tutorial: Tutorial) -> int:
    """The line that says that groups are neither created nor deleted, 0 when none does."""
    return _first_line(tutorial, _GROUPS_FIXED)


def says_groups_keep_their_name(tutorial: Tutorial) -> int:
    """The line that says that groups cannot be renamed, 0 when none does."""
    return _first_line(tutorial, _NO_RENAME)


def find_create_only(tutorial: Tutorial) -> Iterator[tuple[Sentence, str]]:
    """Sentences about what cannot be changed later, each with the one before it, which often names it."""
    previous = ""
    for sentence in tutorial.sentences:
        if _CREATE_ONLY.search(sentence.text):
            yield sentence, previous
        previous = sentence.text


def find_unfilterable(tutorial: Tutorial) -> Iterator[tuple[str, int]]:
    """Names of attributes by which the vendor cannot be asked, and the line that says so."""
    for sentence in tutorial.sentences:
        for found in _NOT_FILTERABLE.finditer(sentence.text):
            yield next(filter(None, found.groups()), "").strip("."), sentence.line


def find_limitations(tutorial: Tutorial) -> Iterator[Sentence]:
    """What a person should know: unusual servers, and the sentences below headings such as Connector limitations."""
    below = {number for lines in section_lines(tutorial, _LIMITS) for number in lines}
    heads = {number for number, line in enumerate(tutorial.lines, start=1) if re.match(r"\s*#{1,6}\s", line)}
    for sentence in tutorial.sentences:
        if sentence.line in below - heads or _UNUSUAL.search(sentence.text):
            yield sentence


def _number(text: str) -> float:
    return float(_NUMBER_WORDS.get(text.casefold()) or text.replace(",", ""))


def _first_line(tutorial: Tutorial, pattern: re.Pattern[str]) -> int:
    return next((sentence.line for sentence in tutorial.sentences if pattern.search(sentence.text)), 0)
