"""NormalizeDiacritics: the documented table of 261 letters, as rules.

Every row but fourteen is a Latin letter that loses its marks; those fourteen are the letters in `_SPELLED_OUT`, alone
or with a macron. German umlauts lose their dots (ö becomes o, not oe). Letters the table does not list but that
Unicode composes from a Latin letter and marks (ế, ạ) lose the marks as well; đ, þ and ð are no such letters and stay,
and so does every other script.
"""

import unicodedata

from shared.rules.expressions.conversion import as_text
from shared.rules.expressions.registry import simple

_SPELLED_OUT = {
    "æ": "ae",
    "Æ": "AE",
    "œ": "oe",
    "Œ": "OE",
    "ø": "oe",
    "Ø": "OE",
    "ß": "ss",
    "ł": "l",
    "Ł": "L",
    "\u0131": "i",
}


@simple("NormalizeDiacritics", "source")
def normalize_diacritics(source: object) -> str | None:
    """Answer the source with accented Latin letters replaced by plain ones: ö by o, ø and œ by oe, ß by ss, ł by l."""
    text = as_text(source, "source")
    return None if text is None else without_diacritics(text)


def without_diacritics(text: str) -> str:
    """Answer the text with plain Latin letters; everything that is no Latin letter stays as it was."""
    result = []
    after_latin = False
    for character in text:
        if unicodedata.combining(character):
            if not after_latin:
                result.append(character)
            continue
        base = unicodedata.normalize("NFD", character)[0]
        after_latin = base in _SPELLED_OUT or (base.isascii() and base.isalpha())
        result.append(_SPELLED_OUT.get(base, base) if after_latin else character)
    return "".join(result)
