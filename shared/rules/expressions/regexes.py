"""Regular expressions of .NET, translated for the `regex` library and run under a time limit.

Translated: named groups in both spellings, `\\k<name>`, group numbers (.NET counts unnamed groups first), class
subtraction `[a-z-[aeiou]]`, `\\z` and `\\Z`, `\\e`, `\\cX`, Unicode blocks (`\\p{IsGreek}`), braces that are no
quantifier, and in replacements `$1`, `${name}`, `$$`, `$&`, `` $` ``, `$'`, `$+`, `$_`.
Refused with a message: balancing groups, the options n and x, numbered group names, and whatever is special only in
the `regex` library. A pattern is always part of the configuration, never a user's value.
"""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import regex

from shared.rules.expressions.conversion import Unfit, bounded
from shared.rules.expressions.registry import Scope

T = TypeVar("T")

_GROUP_NAME = re.compile(r"\?(?:<([A-Za-z_]\w*)>|'([A-Za-z_]\w*)')", re.ASCII)
_BALANCING = re.compile(r"\?[<'](?:\w*-\w+)[>']")
_INLINE_OPTIONS = re.compile(r"\?[ims]*(?:-[ims]+)?[:)]")
_PLAIN_GROUP = re.compile(r"\?(?::|=|!|<=|<!|>)")
_CONDITION = re.compile(r"\?\(([A-Za-z_]\w*)\)", re.ASCII)
_COMMENT = re.compile(r"\?#[^)]*\)")
_QUANTIFIER = re.compile(r"\{\d+(?:,\d*)?\}", re.ASCII)
_NAMED_REFERENCE = re.compile(r"k(?:<(\w+)>|'(\w+)'|\{(\w+)\})", re.ASCII)
_PROPERTY = re.compile(r"([pP])\{([\w-]+)\}", re.ASCII)
_REPLACEMENT = re.compile(r"\$(?:(\d+)|\{(\w+)\}|([$&`'+_]))", re.ASCII)
_KEPT_LETTERS = frozenset("wWsSdDbBAGtrnfvaxu")
_CLASS_LETTERS = frozenset("wWsSdDbtrnfvaxu")


@dataclass(slots=True)
class _Translation:
    """A pattern on its way: output pieces, and the group names in the order they open (None for unnamed)."""

    source: str
    at: int = 0
    pieces: list[str | int] = field(default_factory=list)
    groups: list[str | None] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern and how .NET numbers its groups: position in `numbers` is .NET's number less one."""

    compiled: regex.Pattern[str]
    numbers: tuple[int | str, ...]

    def group(self, name: str) -> int | str | None:
        """Answer the library's key of a group named or numbered as in .NET, or None for an unknown one."""
        if name.isascii() and name.isdigit():
            number = int(name[:9])
            if number == 0:
                return 0
            return self.numbers[number - 1] if number <= len(self.numbers) else None
        return name if name in self.compiled.groupindex else None


Match = regex.Match[str]
Replacer = Callable[[Match], str]


def compile_pattern(text: str, parameter: str) -> Pattern:
    """Answer the compiled pattern; raises Unfit with what .NET or the library does not take."""
    translation = _Translation(text)
    try:
        while translation.at < len(text):
            _translate_next(translation)
        numbers = _dotnet_numbers(translation.groups)
        pattern = "".join(
            piece if isinstance(piece, str) else _back_reference(numbers, piece) for piece in translation.pieces
        )
        compiled = regex.compile("(?-f)" + pattern, flags=regex.VERSION1)
    except regex.error as problem:
        # The library's position counts in the translated pattern and would mislead.
        reason = str(problem).partition(" at position")[0]
        raise Unfit(f"{parameter}: no valid regular expression ({reason})") from None
    except RecursionError:
        raise Unfit(f"{parameter}: groups are nested too deeply") from None
    except Unfit as problem:
        raise Unfit(f"{parameter}: {problem}") from None
    return Pattern(compiled, numbers)


def substitute(pattern: Pattern, text: str, replace: Replacer, *, scope: Scope) -> str:
    """Answer the text with every match replaced; raises Unfit when the time of this evaluation is used up."""
    return _timed(scope, lambda left: pattern.compiled.sub(replace, text, timeout=left))


def search(pattern: Pattern, text: str, *, scope: Scope) -> Match | None:
    """Answer the first match or None; raises Unfit when the time of this evaluation is used up."""
    return _timed(scope, lambda left: pattern.compiled.search(text, timeout=left))


def expand_replacement(text: str, pattern: Pattern) -> Replacer:
    """Answer a function from a match to what .NET's replacement text stands for; unknown references stay."""
    parts = list(_replacement_parts(text, pattern))
    written = 0

    def replace(match: Match) -> str:
        nonlocal written
        result = "".join(part if isinstance(part, str) else part(match) for part in parts)
        written += len(result)
        bounded(written)
        return result

    return replace


def _timed(scope: Scope, run: Callable[[float], T]) -> T:
    """Run within what is left of this evaluation's time.

    The clock read here only guards against catastrophic patterns: it decides whether there is an answer, never which.
    """
    started = time.perf_counter()
    try:
        return run(max(scope.regex_left_s, 0.0001))
    except TimeoutError:
        limit = scope.context.regex_timeout_s
        raise Unfit(f"the regular expression took longer than {limit:g} s; simplify the pattern") from None
    finally:
        scope.regex_left_s -= time.perf_counter() - started


def _translate_next(t: _Translation) -> None:
    character = t.source[t.at]
    if character == "\\":
        _translate_escape(t)
    elif character == "[":
        t.pieces.append(_character_class(t))
    elif character == "(":
        _translate_group(t)
    elif character == "{":
        quantifier = _QUANTIFIER.match(t.source, t.at)
        t.pieces.append(quantifier.group() if quantifier else r"\{")
        t.at = quantifier.end() if quantifier else t.at + 1
    else:
        t.pieces.append(r"\}" if character == "}" else character)
        t.at += 1


def _translate_group(t: _Translation) -> None:
    start = t.at + 1
    name = _GROUP_NAME.match(t.source, start)
    if name:
        known = name[1] or name[2]
        t.groups.append(known)
        t.pieces.append(f"(?<{known}>")
        t.at = name.end()
        return
    if not t.source.startswith("?", start):
        t.groups.append(None)
        t.pieces.append("(")
        t.at = start
        return
    comment = _COMMENT.match(t.source, start)
    if comment:
        t.at = comment.end()
        return
    if _BALANCING.match(t.source, start):
        raise Unfit("balancing groups (?<name-other>...) are not supported")
    construct = (
        _PLAIN_GROUP.match(t.source, start)
        or _INLINE_OPTIONS.match(t.source, start)
        or _CONDITION.match(t.source, start)
    )
    if construct is None:
        raise Unfit(f"the group ({t.source[start : start + 4]}... is not supported; options may be i, m and s")
    t.pieces.append("(" + construct.group())
    t.at = construct.end()


def _translate_escape(t: _Translation) -> None:
    following = t.source[t.at + 1 : t.at + 2]
    if not following:
        raise Unfit("a character was expected after the last backslash")
    reference = _NAMED_REFERENCE.match(t.source, t.at + 1)
    digits = re.compile(r"[1-9]\d?", re.ASCII).match(t.source, t.at + 1)
    if reference:
        name = next(filter(None, reference.groups()))
        t.pieces.append(int(name) if name.isdigit() else f"(?P={name})")
        t.at = reference.end()
    elif digits:
        t.pieces.append(int(digits.group()))
        t.at = digits.end()
    elif following in "zZ":
        t.pieces.append(r"\Z" if following == "z" else r"(?=\n?\Z)")
        t.at += 2
    else:
        piece, t.at = _escape(t.source, t.at, _KEPT_LETTERS)
        t.pieces.append(piece)


def _escape(source: str, at: int, kept: frozenset[str]) -> tuple[str, int]:
    """Answer the library's spelling of an escape that means the same inside and outside a class."""
    following = source[at + 1 : at + 2]
    unicode_property = _PROPERTY.match(source, at + 1)
    if unicode_property:
        name = unicode_property[2]
        block = f"In{name[2:]}" if name.startswith("Is") else name
        return f"\\{unicode_property[1]}{{{block}}}", unicode_property.end()
    if following == "e":
        return r"\x1b", at + 2
    if following == "c" and source[at + 2 : at + 3].isalpha() and source[at + 2].isascii():
        return f"\\x{ord(source[at + 2].upper()) - 64:02x}", at + 3
    if following == "0":
        octal = re.compile("0[0-7]{0,2}").match(source, at + 1)
        digits = octal.group() if octal else "0"
        return f"\\x{int(digits, 8):02x}", at + 1 + len(digits)
    if not following or (following.isalnum() and following not in kept):
        raise Unfit(f"the escape \\{following} is not known")
    return "\\" + following, at + 2


def _character_class(t: _Translation) -> str:
    """Translate from [ to its ]; raises Unfit when it is never closed or nested beyond reason."""
    inside, t.at = _class_from(t.source, t.at, depth=0)
    return inside


def _class_from(source: str, at: int, *, depth: int) -> tuple[str, int]:
    if depth > 8:
        raise Unfit("character classes are nested too deeply")
    pieces = ["["]
    at += 1
    if source.startswith("^", at):
        pieces.append("^")
        at += 1
    first = True
    while at < len(source):
        character = source[at]
        if character == "]" and not first:
            return "".join(pieces) + "]", at + 1
        if source.startswith("-[", at) and not first:
            inner, at = _class_from(source, at + 1, depth=depth + 1)
            pieces.append("--" + inner)
        elif character == "\\":
            piece, at = _escape(source, at, _CLASS_LETTERS)
            pieces.append(piece)
        else:
            pieces.append(_class_character(source, at))
            at += 1
        first = False
    raise Unfit("a ] was expected to close the character class")


def _class_character(source: str, at: int) -> str:
    """Answer one character of a class; what the library reads as a set operation is escaped."""
    character = source[at]
    if character == "-":
        is_range = source[at - 1] not in "[^" and source[at + 1 : at + 2] not in ("]", "-", "")
        return "-" if is_range else r"\-"
    return "\\" + character if character in "[]&|~" else character


def _dotnet_numbers(groups: list[str | None]) -> tuple[int | str, ...]:
    """Answer the library's keys in .NET's order: unnamed groups first, then the named ones."""
    library_number = 0
    unnamed: list[int | str] = []
    named: dict[str, int | str] = {}
    for name in groups:
        if name is None:
            library_number += 1
            unnamed.append(library_number)
        elif name not in named:
            library_number += 1
            named[name] = name
    return (*unnamed, *named.values())


def _back_reference(numbers: tuple[int | str, ...], number: int) -> str:
    if number > len(numbers):
        raise Unfit(f"the reference \\{number} names no group")
    key = numbers[number - 1]
    return f"(?P={key})" if isinstance(key, str) else f"\\g<{key}>"


def _replacement_parts(text: str, pattern: Pattern) -> Iterator[str | Replacer]:
    at = 0
    for reference in _REPLACEMENT.finditer(text):
        yield text[at : reference.start()]
        at = reference.end()
        yield _reference(reference, pattern)
    yield text[at:]


def _reference(reference: re.Match[str], pattern: Pattern) -> str | Replacer:
    symbol = reference[3]
    if symbol is None:
        key = pattern.group(reference[1] or reference[2])
        return reference.group() if key is None else lambda match: match.group(key) or ""
    if symbol == "+":
        last = pattern.numbers[-1] if pattern.numbers else 0
        return lambda match: match.group(last) or ""
    return _SYMBOLS[symbol]


_SYMBOLS: dict[str, str | Replacer] = {
    "$": "$",
    "&": lambda match: match.group(),
    "`": lambda match: match.string[: match.start()],
    "'": lambda match: match.string[match.end() :],
    "_": lambda match: match.string,
}
