"""Cutting and joining text.

Positions count characters from 1. A null source answers null unless the documentation says otherwise (Left and Word
answer an empty text). .NET counts UTF-16 units, so a character outside the basic plane counts as two there; here it
counts as one, which never cuts an emoji in half.
"""

from shared.rules.expressions.casing import lower_invariant
from shared.rules.expressions.conversion import Unfit, as_integer, as_text, as_values, bounded
from shared.rules.expressions.registry import Options, simple

COMPARE_TYPES = ("vbBinaryCompare", "vbTextCompare")


def _check_start(value: object) -> None:
    if as_integer(value, "start") < 1:
        raise Unfit("start: 1 or more was expected, the first character is number 1")


def _check_length(value: object) -> None:
    if as_integer(value, "length") < 0:
        raise Unfit("length: 0 or more was expected")


def _check_compare_type(value: object) -> None:
    if value not in (*COMPARE_TYPES, 0, 1, "0", "1"):
        raise Unfit(f"compareType: {' or '.join(COMPARE_TYPES)} was expected")


@simple("Append", "source, suffix")
def append(source: object, suffix: object) -> str | None:
    """Answer source followed by suffix; null when the source is null, so that a suffix never flows alone."""
    text = as_text(source, "source")
    return None if text is None else text + (as_text(suffix, "suffix") or "")


@simple("Join", "separator, source...")
def join(separator: object, *sources: object) -> str:
    """Answer the sources with the separator between them; lists are flattened, null and empty values skipped."""
    between = as_text(separator, "separator") or ""
    parts = [text for source in sources for text in as_values(source, "source") if text]
    bounded(sum(map(len, parts)) + len(between) * len(parts))
    return between.join(parts)


@simple("Left", "source, numChars")
def left(source: object, count: object) -> str:
    """Answer the first characters of the source.

    numChars 0 answers an empty text, less than 0 the whole source, more than there are the whole source; a null
    source answers an empty text.
    """
    text = as_text(source, "source") or ""
    wanted = as_integer(count, "numChars")
    return text if wanted < 0 else text[:wanted]


@simple("Mid", "source, start, length?", Options(checks={"start": _check_start, "length": _check_length}))
def mid(source: object, start: object, length: object) -> str | None:
    """Answer length characters from start (the first is 1), clipped at the end; all the rest without a length."""
    text = as_text(source, "source")
    _check_start(start)
    first = as_integer(start, "start") - 1
    if length is None:
        return None if text is None else text[first:]
    _check_length(length)
    return None if text is None else text[first : first + as_integer(length, "length")]


@simple("Len", "source")
def length_of(source: object) -> int:
    """Answer the number of characters; 0 for null."""
    return len(as_text(source, "source") or "")


@simple(
    "InStr",
    "value1, value2, start?, compareType?",
    Options(checks={"start": _check_start, "compareType": _check_compare_type}, names={"compareType": COMPARE_TYPES}),
)
def in_str(value1: object, value2: object, start: object, compare_type: object) -> int:
    """Answer the position of value2 in value1, counted from 1, or 0 when it is not there.

    The search begins at start. vbTextCompare ignores case, vbBinaryCompare (the default) does not.
    """
    searched, wanted = as_text(value1, "value1") or "", as_text(value2, "value2") or ""
    first = 1 if start is None else start
    _check_start(first)
    if compare_type is not None:
        _check_compare_type(compare_type)
    if compare_type in ("vbTextCompare", 1, "1"):
        searched, wanted = lower_invariant(searched), lower_invariant(wanted)
    return searched.find(wanted, as_integer(first, "start") - 1) + 1 if searched else 0


@simple("Trim", "source")
def trim(source: object) -> object:
    """Answer the source without white space at both ends; every value of a list on its own."""
    if isinstance(source, list):
        return [text.strip() for text in as_values(source, "source")] or None
    text = as_text(source, "source")
    return None if text is None else text.strip()


@simple("StripSpaces", "source")
def strip_spaces(source: object) -> str | None:
    """Answer the source without its spaces; tabs and other white space stay."""
    text = as_text(source, "source")
    return None if text is None else text.replace(" ", "")


@simple("Word", "source, wordNumber, delimiters")
def word(source: object, number: object, delimiters: object) -> str:
    """Answer the word with that number, counted from 1; every character of delimiters separates words.

    A number below 1, a null source, or too few words answer an empty text. Adjacent delimiters enclose no word.
    """
    text = as_text(source, "source") or ""
    wanted = as_integer(number, "wordNumber")
    separators = as_text(delimiters, "delimiters") or ""
    words = [text]
    for separator in dict.fromkeys(separators):
        words = [part for piece in words for part in piece.split(separator)]
    words = [part for part in words if part]
    return words[wanted - 1] if 1 <= wanted <= len(words) else ""


@simple("CStr", "value")
def cstr(value: object) -> str | None:
    """Answer a number, a boolean, a date or a reference as text; a reference reads as its id."""
    return as_text(value, "value")
