"""Arithmetic of the language: there is only BitAnd."""

from shared.rules.expressions.conversion import as_integer, is_blank
from shared.rules.expressions.registry import simple


@simple("BitAnd", "value1, value2")
def bit_and(value1: object, value2: object) -> int | None:
    """Answer the bits that both whole numbers have set; null when either is null. &HF7 is a hexadecimal number."""
    if is_blank(value1) or is_blank(value2):
        return None
    return as_integer(value1, "value1") & as_integer(value2, "value2")
