"""The text of a tutorial made plain: one kind of line end, blank and quote, without marks that only lay text out.

Tutorials were written by hundreds of people over ten years and converted several times; what reaches us has byte order
marks, non-breaking blanks, and characters that were decoded with the wrong code page once.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

_MISREAD: Final = {
    "\u00e2\u20ac\u0153": "\u201c",
    "\u00e2\u20ac\x9d": "\u201d",
    "\u00e2\u20ac\u2122": "\u2019",
    "\u00e2\u20ac\u02dc": "\u2018",
    "\u00e2\u20ac\u201c": "\u2013",
    "\u00e2\u0153\u201c": "\u2713",
    "\u00e2\u0153\u201d": "\u2714",
    "\u00c2 ": " ",
    "\u00c2\u00a0": " ",
}
"""UTF-8 read as Windows-1252, as several published tutorials print it."""
_INVISIBLE: Final = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad"), None)
_BLANKS: Final = dict.fromkeys(map(ord, "\u00a0\u2007\u202f\u3000\v\f"), " ")
_IMAGE: Final = re.compile(r"!\[[^\[\]]{0,300}\]\([^()]{0,500}\)")
_LINK: Final = re.compile(r"\[([^\[\]]{0,300})\]\([^()\s]{0,500}(?:\s{1,9}\"[^\"]{0,300}\")?\)")
_MARKUP: Final = re.compile(r"\*\*|__|`|(?<!\w)\*(?=\w)|(?<=\w)\*(?!\w)|</?\w{1,20}(?:\s[^<>]{0,300})?>")
_LIST_MARK: Final = re.compile(r"^\s*(?:>\s*)*(?:[-*+]\s+|\d+[.)]\s+)?(?:\[!\w+\]\s*)?")
_TABLE_LINE: Final = re.compile(r"[\s>]*\|")
_HEADING: Final = re.compile(r"\s{0,3}#{1,6}\s")
_STARTS: Final = re.compile(r"\s*$|[\s>]*\||\s*(?:>\s*)*(?:#{1,6}\s|[-*+]\s|\d+[.)]\s|!\[|>)")
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+(?=[A-Z(\"'])")
_FRONT_KEY: Final = re.compile(r"([A-Za-z][\w.]*)\s*:\s*(.*)")
_REPEATED: Final = re.compile(r"\b(\w+)(?:\s+\1\b)+", re.IGNORECASE)
_BULLET: Final = re.compile(r"\s*[-*+]\s+(.+)")
_LONGEST_ENTRY: Final = 60
_NAMES: Final = (
    re.compile(r"configure\s+(?:the\s+)?(.+?)\s+for\s+(?:automatic|user|microsoft|azure)\b", re.IGNORECASE),
    re.compile(r"configure\s+(?:automatic\s+)?(?:user\s+)?provisioning\s+(?:for|of|to|in|with)\s+(.+)", re.IGNORECASE),
    re.compile(r"provision(?:ing)?\s+users\s+(?:into?|to|for)\s+(.+?)(?:\s+(?:with|from|using)\b|$)", re.IGNORECASE),
    re.compile(r"(?:user\s+)?provisioning\s+(?:for|to|in)\s+(.+)", re.IGNORECASE),
    re.compile(r"integrate\s+(.+?)\s+with\b", re.IGNORECASE),
)
_FALLBACK_NAME: Final = re.compile(r"synchroni[sz]e\b.{0,60}?\busers\b\s+to\s+(.{1,80}?)\s*(?:[.*]|$)", re.IGNORECASE)
_MAX_NAME: Final = 80
_LONGEST_TITLE: Final = 300
_LONGEST_PARAGRAPH: Final = 4_000
"""No sentence of a tutorial is longer; patterns may look back over what they read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """A sentence without markup; `line` is where its paragraph starts, counted from 1."""

    line: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tutorial:
    """A tutorial as it is looked at by everything else."""

    lines: tuple[str, ...]
    front_matter: Mapping[str, str]
    """Keys in lower case. Empty when there is none."""
    title: str
    """Front-matter title and first heading, for recognising what kind of page this is."""
    application: str
    """The vendor's name as printed; empty when the page does not say it."""
    dated: str
    """The day the page names as its own, YYYY-MM-DD, or empty."""
    sentences: tuple[Sentence, ...]

    @property
    def text(self) -> str:
        """All sentences, one a line."""
        return "\n".join(sentence.text for sentence in self.sentences)


def read_tutorial(text: str) -> Tutorial:
    """The tutorial in a Markdown text. Any text is one; whether it is useful is for others to say."""
    lines = _clean(text).split("\n")
    front_matter, start = _front_matter(lines)
    heading = next((line.lstrip("# ").strip() for line in lines[start:] if re.match(r"\s{0,3}#\s", line)), "")
    title = front_matter.get("title", "")
    sentences = tuple(_sentences(lines, start))
    return Tutorial(
        lines=tuple(lines),
        front_matter=front_matter,
        title=f"{title[:_LONGEST_TITLE]}\n{heading[:_LONGEST_TITLE]}".strip(),
        application=_application(heading[:_LONGEST_TITLE], title[:_LONGEST_TITLE], sentences),
        dated=_day(front_matter.get("ms.date", "")),
        sentences=sentences,
    )


def plain(line: str) -> str:
    """A line without images, link targets, emphasis, HTML tags and entities."""
    line = _LINK.sub(r"\1", _IMAGE.sub(" ", line))
    return " ".join(html.unescape(_MARKUP.sub("", line)).split())


def section_lines(tutorial: Tutorial, heading: re.Pattern[str]) -> Iterator[range]:
    """The line numbers below each heading of a pattern, up to the next heading that is not below it."""
    heads = [
        (number, len(line.strip()) - len(line.strip().lstrip("#")), line)
        for number, line in enumerate(tutorial.lines, start=1)
        if _HEADING.match(line)
    ]
    for index, (start, level, line) in enumerate(heads):
        if heading.match(line.strip()):
            later = (heads[at] for at in range(index + 1, len(heads)))
            end = next((number for number, other, _ in later if other <= level), len(tutorial.lines) + 1)
            yield range(start + 1, end)


def listed_after(tutorial: Tutorial, pattern: re.Pattern[str]) -> Iterator[tuple[str, int]]:
    """The short list entries that follow the first sentence of a pattern, each with its line."""
    start = next((sentence.line for sentence in tutorial.sentences if pattern.search(sentence.text)), 0)
    listing = False
    for number in range(start, len(tutorial.lines)) if start else ():
        line = tutorial.lines[number]
        bullet = _BULLET.fullmatch(line)
        if bullet is None and (line.strip() or listing):
            return
        if bullet is not None and len(plain(bullet.group(1))) <= _LONGEST_ENTRY:
            listing = True
            yield plain(bullet.group(1)), number + 1


def slug(name: str, *, longest: int = 40) -> str:
    """A name as lower case letters, digits and single hyphens; empty when nothing of it is left."""
    words = re.findall(r"[a-z0-9]+", name.casefold())
    return "-".join(words)[:longest].strip("-")


def _clean(text: str) -> str:
    for misread, meant in _MISREAD.items():
        text = text.replace(misread, meant)
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\x85", "\n")
    return text.translate(_INVISIBLE).translate(_BLANKS)


def _front_matter(lines: list[str]) -> tuple[dict[str, str], int]:
    """The keys between two lines of dashes at the top, and the index of the first line after them."""
    if not lines or lines[0].strip() != "---":
        return {}, 0
    end = next((index for index, line in enumerate(lines[1:60], start=1) if line.strip() == "---"), 0)
    keys = (_FRONT_KEY.fullmatch(line.strip()) for line in lines[1:end])
    return {key.group(1).lower(): key.group(2).strip().strip("'\"") for key in keys if key}, end + 1 if end else 0


def _sentences(lines: list[str], start: int) -> Iterator[Sentence]:
    for number, paragraph in _paragraphs(lines, start):
        bare = plain(_LIST_MARK.sub("", paragraph))
        for sentence in _SENTENCE_END.split(bare):
            if sentence.strip():
                yield Sentence(line=number, text=sentence.strip())


def _paragraphs(lines: list[str], start: int) -> Iterator[tuple[int, str]]:
    """Paragraphs, headings and list entries on one line each, with the line they start on. Tables are left out."""
    number, paragraph = 0, ""
    for index, line in enumerate(lines[start:], start=start + 1):
        if paragraph and _STARTS.match(line):
            yield number, paragraph
            paragraph = ""
        if not line.strip() or _TABLE_LINE.match(line):
            continue
        if not paragraph:
            number = index
        paragraph = f"{paragraph} {line.strip()}" if paragraph else line
        paragraph = paragraph[:_LONGEST_PARAGRAPH]
        if _HEADING.match(line):
            yield number, paragraph
            paragraph = ""
    if paragraph:
        yield number, paragraph


def _application(heading: str, title: str, sentences: tuple[Sentence, ...]) -> str:
    for line in (heading, title):
        bare = re.sub(r"^tutorial\s*:\s*", "", plain(line).split(" | ")[0], flags=re.IGNORECASE)
        bare = _REPEATED.sub(r"\1", bare)
        for pattern in _NAMES:
            found = pattern.search(bare)
            if found and slug(found.group(1)):
                return _trimmed(found.group(1))
    for sentence in sentences:
        found = _FALLBACK_NAME.search(sentence.text)
        if found and slug(found.group(1)):
            return _trimmed(found.group(1))
    return ""


def _trimmed(name: str) -> str:
    name = re.sub(r"\s+(?:with|for|in|from)\s+(?:microsoft|azure|entra)\b.*", "", name, flags=re.IGNORECASE)
    return name.strip(" .:;,'\"*")[:_MAX_NAME]


def _day(text: str) -> str:
    american = re.fullmatch(r"(\d{1,2})/(\d{1,2})/(\d{4})", text.strip())
    if american:
        month, day, year = (int(part) for part in american.groups())
        return f"{year:04}-{month:02}-{day:02}" if 1 <= month <= 12 and 1 <= day <= 31 else ""
    return text.strip() if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text.strip()) else ""
