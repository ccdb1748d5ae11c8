"""Where a tutorial says that the SCIM endpoint is: one URL, a URL with gaps, a few to choose from, or nothing.

Tutorials are full of URLs; those that look like a SCIM endpoint, or stand in a sentence about the Tenant URL, count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from shared.config.urls import AddressError, checked_url
from shared.operations.tutorials.reading import Tutorial, plain, slug
from shared.operations.tutorials.tables import split_cells

_URL: Final = re.compile(
    r"(?:https?://|\{\{?[^{}\n]{1,40}\}\}?/|<[^<>\n]{1,40}>/)"
    r"(?:\{\{?[^{}\n]{1,40}\}\}?|<[^<>\n]{1,40}>|\[[^\[\]\n]{1,40}\]|[^\s`\"'<>|()\[\]{},;*])+",
    re.IGNORECASE,
)
_LINK_TARGET: Final = re.compile(r"\]\([^()]{0,500}\)")
_GAP: Final = re.compile(r"\{\{?([^{}]+)\}\}?|<([^<>]+)>|\[([^\[\]]+)\]")
_YOUR: Final = re.compile(r"(?<=[/.])(your[\w-]*|[A-Z]+(?:[_-][A-Z]+)+)(?=[/.:]|$)|(?<=//)(your[\w-]*|x{3,})(?=\.)")
_DOCUMENT: Final = re.compile(
    r"\.(?:md|html?|png|pdf|aspx|jpg)$|/(?:docs?|articles?|help|kb|hc|support)/", re.IGNORECASE
)
_NEVER: Final = re.compile(
    r"^https?://(?!api\.github\.com/)[^/]*(?:microsoft\.com|microsoftonline\.com|azure\.com|aka\.ms|windows\.net|github\.com|ietf\.org)",
    re.IGNORECASE,
)
_READING: Final = re.compile(
    r"^https?://(?:docs?|developers?|help|support|learn|knowledge|community|academy|status|portal|kb)\d?\.",
    re.IGNORECASE,
)
_VISIT: Final = re.compile(r"\b(?:sign|log) ?in\b|\b(?:go|navigate|browse) to\b|\bopen\b|\bvisit\b", re.IGNORECASE)
_NEAR: Final = 60
_LONGEST_LINE: Final = 4_000
_EXAMPLE: Final = re.compile(
    r"\b(?:for example|for instance|e\.g\.|such as|an example|looks? (?:something )?like)(?!\w)", re.IGNORECASE
)
_CLAUSE: Final = re.compile(r"(?<=[!?.])\s+(?=[A-Z*`])")
_TOKEN_ENDPOINT: Final = re.compile(r"token (?:end ?point|url)", re.IGNORECASE)
_TOKEN_PATH: Final = re.compile(r"/oauth2?/|/tokens?$|/connect/", re.IGNORECASE)
_ABOUT: Final = re.compile(r"tenant url|scim (?:2\.0 )?(?:end ?point|base ?url|url)|base url", re.IGNORECASE)
_SCIM_PATH: Final = re.compile(r"/scim\b|/scim2?\b|scim\.", re.IGNORECASE)
_FLAG: Final = re.compile(r"[/?&]*\??aadoptscim\w*", re.IGNORECASE)
_LABEL: Final = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+(?:\*\*)?([^:|]{2,60}?)(?:\*\*)?\s*(?::|-|\u2013)(?:\*\*)?\s*`?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A URL that may be the endpoint."""

    line: int
    url: str
    """Without a slash at the end; gaps as `{name}`."""
    label: str
    """What stands before it in a list; empty elsewhere."""
    about: bool
    """Whether the line speaks of the Tenant URL."""
    flagged: bool
    """Whether it ends in Entra's flag for correct PATCH requests."""
    example: bool
    """Whether the sentence calls it an example: it is then somebody's, not everybody's."""

    @property
    def gaps(self) -> tuple[str, ...]:
        """Names of what has to be filled in."""
        return tuple(dict.fromkeys(re.findall(r"\{([a-z_]+)\}", self.url)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """All that a tutorial says about where the endpoint is; everything empty when it says nothing."""

    fixed: Address | None = None
    template: Address | None = None
    choices: tuple[Address, ...] = ()
    others: tuple[Address, ...] = ()
    """What else is printed as an endpoint: other regions, trial systems."""
    refused: tuple[tuple[int, str], ...] = ()
    """Line, and why a URL was not taken."""

    @property
    def flagged(self) -> bool:
        """Whether Entra is told to use its RFC-conforming PATCH requests."""
        found = (self.fixed, self.template, *self.choices)
        return any(address.flagged for address in found if address is not None)


def find_endpoint(tutorial: Tutorial) -> Endpoint:
    """Where the SCIM endpoint is, as far as the text says."""
    refused: list[tuple[int, str]] = []
    found: dict[str, Address] = {}
    tabled = tuple(_tabled_addresses(tutorial))
    choices = tuple(address for address in tabled if not address.gaps and not _problem(address))
    if len({address.url for address in choices}) > 1:
        return Endpoint(choices=choices)
    for address in (*tabled, *_addresses(tutorial)):
        problem = "" if address.gaps else _problem(address)
        if problem:
            refused.append((address.line, problem))
        else:
            found.setdefault(address.url.casefold(), address)
    templates = [address for address in found.values() if address.gaps]
    whole = [address for address in found.values() if not address.gaps]
    labelled = [address for address in whole if address.label]
    if len(labelled) > 1:
        return Endpoint(choices=tuple(labelled), refused=tuple(refused))
    best = max([*templates, *whole], key=lambda address: (address.about, -address.line), default=None)
    if best is None:
        return Endpoint(refused=tuple(refused))
    others = tuple(address for address in found.values() if address is not best)
    if best.gaps:
        return Endpoint(template=best, others=others, refused=tuple(refused))
    return Endpoint(fixed=best, others=others, refused=tuple(refused))


def find_token_endpoint(tutorial: Tutorial) -> tuple[str, int] | None:
    """Where access tokens come from, with gaps in braces, and the line; None when it is not printed."""
    for number, line in enumerate(tutorial.lines, start=1):
        text = line[:_LONGEST_LINE].replace("\\", "")
        for match in _URL.finditer(text) if _TOKEN_ENDPOINT.search(text) else ():
            url, _ = _tidy(match.group())
            if _TOKEN_PATH.search(url) and url.startswith("https://"):
                return url, number
    return None


def _addresses(tutorial: Tutorial) -> Iterator[Address]:
    for number, line in enumerate(tutorial.lines, start=1):
        if "|" in line and line.lstrip().startswith("|"):
            continue
        text = _LINK_TARGET.sub("]", line[:_LONGEST_LINE].replace("\\", ""))
        about = _ABOUT.search(text) is not None
        for match in _URL.finditer(text):
            url, flagged = _tidy(match.group())
            near = text[max(0, match.start() - _NEAR) : match.end() + _NEAR]
            if _counts(url, near=near):
                clause = _CLAUSE.split(text[: match.start()])[-1]
                label = _LABEL.match(text[: match.start()])
                name = slug(re.sub(r"data ?cent(?:er|re)|tenant url|url|endpoint", "", label.group(1))) if label else ""
                example = _EXAMPLE.search(clause) is not None
                yield Address(line=number, url=url, label=name, about=about, flagged=flagged, example=example)


def _tabled_addresses(tutorial: Tutorial) -> Iterator[Address]:
    """The URLs of a table with a column such as Tenant URL, each labelled by the first cell of its row."""
    place = 0
    for number, line in enumerate(tutorial.lines, start=1):
        cells = split_cells(line) if "|" in line else []
        headed = next((at for at, cell in enumerate(cells) if at and _ABOUT.fullmatch(plain(cell))), 0)
        if headed or not cells:
            place = headed
        elif place and place < len(cells):
            match = _URL.search(cells[place])
            label = slug(plain(cells[0]))
            if match is not None and label:
                url, flagged = _tidy(match.group())
                yield Address(line=number, url=url, label=label, about=True, flagged=flagged, example=False)


def _tidy(url: str) -> tuple[str, bool]:
    """The URL without what ends the sentence, with gaps in braces."""
    url = url.rstrip(".:!?")
    bare = _FLAG.sub("", url)
    flagged = bare != url
    bare = _GAP.sub(lambda found: "{" + _gap_name(next(filter(None, found.groups()))) + "}", bare)
    bare = _YOUR.sub(lambda found: "{" + _gap_name(found.group()) + "}", bare)
    if bare.startswith("{"):
        bare = f"https://{bare}"
    return bare.rstrip("/?&"), flagged


def _gap_name(words: str) -> str:
    name = "_".join(re.findall(r"[a-z]+", words.casefold())).removeprefix("your_").removeprefix("the_")
    return (name or "tenant")[:40].strip("_")


def _counts(url: str, *, near: str) -> bool:
    """Whether a URL may be the endpoint: by its own path, or by standing right beside the words Tenant URL."""
    if "#" in url or _TOKEN_PATH.search(url) or _NEVER.match(url) or _DOCUMENT.search(url) or _READING.match(url):
        return False
    if _SCIM_PATH.search(url.partition("://")[2]) is not None:
        return True
    return url.count("/") > 2 and _ABOUT.search(near) is not None and _VISIT.search(near) is None


def _problem(address: Address) -> str:
    if address.example:
        return f"{address.url[:80]} is an example in the text and may be somebody else's: not taken"
    try:
        checked_url(address.url, key="base_url")
    except AddressError as error:
        return f"the URL {address.url[:80]} was not taken: {error.expected}"
    return ""
