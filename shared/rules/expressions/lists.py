"""Multi-valued attributes. A single value counts as a list of one; an empty list is null."""

from shared.rules.expressions.conversion import Unfit, as_integer, as_text, as_values, is_null
from shared.rules.expressions.registry import Options, simple


def _check_index(value: object) -> None:
    if as_integer(value, "index") < 1:
        raise Unfit("index: 1 or more was expected, the first value is number 1")


def _check_delimiter(value: object) -> None:
    if not as_text(value, "delimiter"):
        raise Unfit("delimiter: at least one character was expected")


@simple("Count", "attribute")
def count(attribute: object) -> int:
    """Answer the number of values; 0 for null."""
    if isinstance(attribute, list):
        return len(attribute)
    return 0 if is_null(attribute) else 1


@simple("Item", "attribute, index", Options(checks={"index": _check_index}))
def item(attribute: object, index: object) -> object:
    """Answer one value of a list, counted from 1; null when the attribute is null.

    An index below 1 or beyond the last value fails the user.
    """
    _check_index(index)
    if is_null(attribute):
        return None
    values = attribute if isinstance(attribute, list) else [attribute]
    wanted = as_integer(index, "index")
    if wanted > len(values):
        raise Unfit("index: the list has fewer values")
    return values[wanted - 1]


@simple("Contains", "attribute, value")
def contains(attribute: object, value: object) -> int:
    """Answer which value of a list contains that text, counted from 1, or 0; case-sensitive.

    Known only from a documented example: `Item([proxyAddresses], Contains([proxyAddresses], "SMTP:"))`.
    """
    wanted = as_text(value, "value") or ""
    values = as_values(attribute, "attribute")
    return next((number for number, text in enumerate(values, start=1) if wanted in text), 0)


@simple("RemoveDuplicates", "attribute")
def remove_duplicates(attribute: object) -> list[str] | None:
    """Answer the values once each, in their first order; texts that differ in case are different."""
    return list(dict.fromkeys(as_values(attribute, "attribute"))) or None


@simple("Split", "source, delimiter", Options(checks={"delimiter": _check_delimiter}))
def split(source: object, delimiter: object) -> list[str] | None:
    """Answer the parts of a text as a list, trimmed (a documented example shows it); empty parts are left out."""
    _check_delimiter(delimiter)
    text = as_text(source, "source")
    if text is None:
        return None
    parts = (part.strip() for part in text.split(as_text(delimiter, "delimiter") or ","))
    return [part for part in parts if part] or None
