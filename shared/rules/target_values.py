"""A value in the type and form the target asks for, or the reason why it has none."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from shared.config.profile import AttributeType, TargetAttribute, ValueFormat
from shared.config.rule_checks import folded_word, folded_words
from shared.rules.attribute_paths import JSON

_SEPARATORS: Final = re.compile(r"[\s().\-/]")
_E164: Final = re.compile(r"\+[1-9]\d{1,14}")
_TEL_URI: Final = re.compile(r"tel:\+[1-9][\d.\-()]{1,24}(;ext=\d{1,10})?", re.IGNORECASE)
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_BOOLEANS: Final = {"true": True, "false": False}
_PATTERN_TIMEOUT_S: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedValue:
    """`value` None and no `problem`: there is nothing to send. A `problem` never holds the value."""

    value: JSON | None
    problem: str = ""


_NOTHING: Final = FittedValue(value=None)


def fit_value(value: object, attribute: TargetAttribute) -> FittedValue:
    """The value as the target takes it.

    Empty texts and lists are nothing; of several values for a single-valued attribute the first is taken.
    """
    if attribute.type is AttributeType.COMPLEX:
        return _fit_complex(value)
    values = [element for element in value if not is_empty(element)] if isinstance(value, list | tuple) else [value]
    fitted = [_fit_one(element, attribute) for element in values if not is_empty(element)]
    problem = next((element.problem for element in fitted if element.problem), "")
    kept = [element.value for element in fitted if element.value is not None]
    if not attribute.multi_valued:
        return fitted[0] if fitted else _NOTHING
    unique = [element for index, element in enumerate(kept) if element not in kept[:index]]
    return FittedValue(value=unique or None, problem=problem)


def takes_any_text(attribute: TargetAttribute) -> bool:
    """Whether `fit_value` gives every text back as it is, so that nothing has to be asked for each account."""
    limited = (
        attribute.format,
        attribute.max_length,
        attribute.forbidden_characters,
        attribute.allowed_values,
        attribute.pattern,
    )
    converted = attribute.type in _CONVERSIONS or attribute.type is AttributeType.COMPLEX
    return not (converted or attribute.multi_valued or any(limited))


def is_empty(value: object) -> bool:
    """Whether a source value counts as absent."""
    return value is None or (isinstance(value, str) and not value.strip()) or (isinstance(value, list) and not value)


def same_value(left: JSON, right: JSON, *, case_exact: bool) -> bool:
    """Whether sending `right` over `left` would change nothing. Lists are compared without order."""
    if isinstance(left, str) and isinstance(right, str):
        return left == right if case_exact else left.casefold() == right.casefold()
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        rest = list(right)
        for element in left:
            match = next((other for other in rest if same_value(element, other, case_exact=case_exact)), None)
            if match is None:
                return False
            rest.remove(match)
        return not rest
    return left == right


def _fit_one(value: object, attribute: TargetAttribute) -> FittedValue:
    fitted = _CONVERSIONS.get(attribute.type, _as_text)(value)
    if not isinstance(fitted.value, str):
        return fitted
    text = _FORMATS[attribute.format](fitted.value) if attribute.format else fitted.value
    if text is None:
        return FittedValue(value=None, problem=f"not of the form {attribute.format}")
    return (
        FittedValue(value=text)
        if not (problem := _refusal(text, attribute))
        else FittedValue(value=None, problem=problem)
    )


def _refusal(text: str, attribute: TargetAttribute) -> str:
    if attribute.max_length is not None and len(text) > attribute.max_length:
        return f"longer than {attribute.max_length} characters"
    if attribute.forbidden_characters and not set(attribute.forbidden_characters).isdisjoint(text):
        return "holds a character the target forbids"
    if attribute.allowed_values and folded_word(text) not in folded_words(attribute.allowed_values):
        return f"not one of {', '.join(attribute.allowed_values)}"
    if attribute.pattern is not None and not _matches(attribute.pattern, text):
        return "not of the pattern the target asks for"
    return ""


def _matches(pattern: str, text: str) -> bool:
    try:
        return bool(_compiled(pattern)(text, timeout=_PATTERN_TIMEOUT_S))
    except TimeoutError:
        return False


@lru_cache(maxsize=128)
def _compiled(pattern: str) -> Callable[..., object]:
    import regex

    return regex.compile(pattern).fullmatch


def _as_text(value: object) -> FittedValue:
    if isinstance(value, bool):
        return FittedValue(value="True" if value else "False")
    if isinstance(value, str | int | float):
        return FittedValue(value=str(value))
    return FittedValue(value=None, problem="not a single text")


def _as_boolean(value: object) -> FittedValue:
    if isinstance(value, str):
        value = _BOOLEANS.get(value.strip().casefold())
    if isinstance(value, bool):
        return FittedValue(value=value)
    return FittedValue(value=None, problem="neither true nor false")


def _as_integer(value: object) -> FittedValue:
    try:
        return (
            FittedValue(value=int(value))
            if isinstance(value, str | int)
            else FittedValue(value=None, problem="not a whole number")
        )
    except ValueError:
        return FittedValue(value=None, problem="not a whole number")


def _as_decimal(value: object) -> FittedValue:
    try:
        number = float(value) if isinstance(value, str | int | float) else None
    except ValueError:
        number = None
    if number is None or not math.isfinite(number):
        return FittedValue(value=None, problem="not a number")
    return FittedValue(value=number)


def _fit_complex(value: object) -> FittedValue:
    if isinstance(value, dict):
        return FittedValue(value={key: part for key, part in value.items() if not is_empty(part)} or None)
    if isinstance(value, list | tuple):
        return FittedValue(value=list(value))
    if is_empty(value):
        return _NOTHING
    return FittedValue(value=None, problem="not a complex value")


def _as_e164(text: str) -> str | None:
    if _TEL_URI.fullmatch(text.strip()):
        return text.strip()
    digits = _SEPARATORS.sub("", text.replace("(0)", ""))
    return digits if _E164.fullmatch(digits) else None


def _as_country_code(text: str) -> str | None:
    code = text.strip().upper()
    return code if len(code) == 2 and code.isascii() and code.isalpha() else None


def _as_day(text: str) -> str | None:
    return text[:10] if _DAY.match(text) else None


_CONVERSIONS: Final[dict[AttributeType, Callable[[object], FittedValue]]] = {
    AttributeType.BOOLEAN: _as_boolean,
    AttributeType.INTEGER: _as_integer,
    AttributeType.DECIMAL: _as_decimal,
}
_FORMATS: Final[dict[ValueFormat, Callable[[str], str | None]]] = {
    ValueFormat.E164: _as_e164,
    ValueFormat.COUNTRY_CODE: _as_country_code,
    ValueFormat.DATE: _as_day,
}
