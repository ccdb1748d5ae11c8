"""Upper, lower and proper case as .NET does them: one character for one character, so ß stays ß.

Cultures: tr and az pair i with the dotted capital and the dotless i with I. .NET maps characters one by one in every
other culture too, Lithuanian included (the dot above that Unicode's full mapping keeps for lt would change the
length). Without a culture the invariant rules hold, which leave the dotless i and the dotted capital alone.
"""

import re
import unicodedata
from enum import StrEnum

from shared.rules.expressions.conversion import Unfit, as_text
from shared.rules.expressions.registry import Options, simple

DOTLESS_I = "\u0131"
DOTTED_CAPITAL_I = "\u0130"
_CULTURE = re.compile(r"[A-Za-z]{2,8}(?:[-_][A-Za-z0-9]{1,8})*")
_TURKIC = {"tr", "az"}
_LETTERS = {"Lu", "Ll", "Lt", "Lm", "Lo"}
_SEPARATORS = {"Zs", "Zl", "Zp", "Cc", "Cf", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So"}


class CasingRules(StrEnum):
    """Which of the i letters belong together."""

    INVARIANT = "invariant"
    """i and I; dotless i and dotted capital have no partner."""

    LINGUISTIC = "linguistic"
    """i and I; the dotless i goes up to I, the dotted capital down to i."""

    TURKIC = "turkic"
    """i and the dotted capital, the dotless i and I."""


_UP = {
    CasingRules.INVARIANT: {DOTLESS_I: DOTLESS_I},
    CasingRules.LINGUISTIC: {},
    CasingRules.TURKIC: {"i": DOTTED_CAPITAL_I, DOTLESS_I: "I"},
}
_DOWN = {
    CasingRules.INVARIANT: {DOTTED_CAPITAL_I: DOTTED_CAPITAL_I},
    CasingRules.LINGUISTIC: {DOTTED_CAPITAL_I: "i"},
    CasingRules.TURKIC: {DOTTED_CAPITAL_I: "i", "I": DOTLESS_I},
}


def _check_culture(value: object) -> None:
    casing_rules(value)


def casing_rules(culture: object) -> CasingRules:
    """Answer the rules of a culture name such as `tr-TR`; null and the empty name are invariant."""
    name = as_text(culture, "culture") or ""
    if not name:
        return CasingRules.INVARIANT
    if not _CULTURE.fullmatch(name):
        raise Unfit("culture: a name such as tr-TR or en-US was expected")
    return CasingRules.TURKIC if re.split("[-_]", name.lower())[0] in _TURKIC else CasingRules.LINGUISTIC


@simple("ToLower", "source, culture?", Options(checks={"culture": _check_culture}))
def to_lower(source: object, culture: object) -> str | None:
    """Answer the source in lower case, by the rules of a culture such as tr-TR, else by the invariant ones."""
    text, rules = as_text(source, "source"), casing_rules(culture)
    return None if text is None else lowered(text, rules)


@simple("ToUpper", "source, culture?", Options(checks={"culture": _check_culture}))
def to_upper(source: object, culture: object) -> str | None:
    """Answer the source in upper case, by the rules of a culture such as tr-TR, else by the invariant ones."""
    text, rules = as_text(source, "source"), casing_rules(culture)
    return None if text is None else uppered(text, rules)


@simple("PCase", "source, wordSeparators?")
def pcase(source: object, separators: object) -> str | None:
    """Answer the source with the first letter of every word in upper case and everything else in lower case.

    Without wordSeparators words break as in .NET's ToTitleCase: at spaces, punctuation and symbols, but not at an
    apostrophe or a digit inside a word. With them, only at the characters given.
    """
    text = as_text(source, "source")
    if text is None:
        return None
    text, given = lower_invariant(text), as_text(separators, "wordSeparators")
    return _capitalised_after(text, given) if given else _title_case(text)


def lower_invariant(text: str) -> str:
    """Answer the text in lower case, character by character, by the invariant rules."""
    return lowered(text, CasingRules.INVARIANT)


def lowered(text: str, rules: CasingRules) -> str:
    """Answer the text in lower case, with as many characters as before."""
    if text.isascii() and rules is not CasingRules.TURKIC:
        return text.lower()
    special = _DOWN[rules]
    return "".join(special.get(c) or _single(c.lower(), c) for c in text)


def uppered(text: str, rules: CasingRules) -> str:
    """Answer the text in upper case, with as many characters as before."""
    if text.isascii() and rules is not CasingRules.TURKIC:
        return text.upper()
    special = _UP[rules]
    return "".join(special.get(c) or _upper_character(c) for c in text)


def _upper_character(character: str) -> str:
    # Unicode's simple mapping of ᾳ and its like is their title case; ß has none and stays.
    return _single(character.upper(), _single(character.title(), character))


def _single(mapped: str, otherwise: str) -> str:
    return mapped if len(mapped) == 1 else otherwise


def _capitalised_after(text: str, separators: str) -> str:
    starts = [True, *(character in separators for character in text)]
    special = _UP[CasingRules.INVARIANT]
    return "".join(
        special.get(c) or _upper_character(c) if start else c for c, start in zip(text, starts, strict=False)
    )


def _title_case(text: str) -> str:
    result = []
    in_word = False
    for character in text:
        category = unicodedata.category(character)
        if in_word:
            in_word = character == "'" or category not in _SEPARATORS
            result.append(character)
        elif category in _LETTERS:
            in_word = True
            result.append(character if character == DOTLESS_I else _single(character.title(), character))
        else:
            result.append(character)
    return "".join(result)
