"""Every function of the language; importing this module fills the table."""

from shared.rules.expressions import (
    casing,
    dates,
    diacritics,
    encodings,
    generating,
    lists,
    logic,
    numbers,
    references,
    replacing,
    roles,
    text,
)
from shared.rules.expressions.registry import FUNCTIONS

__all__ = [
    "FUNCTIONS",
    "casing",
    "dates",
    "diacritics",
    "encodings",
    "generating",
    "lists",
    "logic",
    "numbers",
    "references",
    "replacing",
    "roles",
    "text",
]
