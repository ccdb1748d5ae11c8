"""References and distinguished names (from the cloud-sync reference; useful with on-premises attributes)."""

import re

from shared.rules.expressions.conversion import Unfit, as_integer, as_text
from shared.rules.expressions.registry import Options, simple

_ESCAPED = re.compile(r"\\([0-9A-Fa-f]{2}(?:\\[0-9A-Fa-f]{2})*)|\\(.)", re.DOTALL)


def _check_component(value: object) -> None:
    if as_integer(value, "componentNumber") < 1:
        raise Unfit("componentNumber: 1 or more was expected, the leftmost component is number 1")


@simple("CRef", "value")
def cref(value: object) -> str | None:
    """Answer a text as a reference, which is the same text here."""
    return as_text(value, "value")


@simple("DNComponent", "dn, componentNumber", Options(checks={"componentNumber": _check_component}))
def dn_component(dn: object, number: object) -> str | None:
    """Answer the value of one component of a distinguished name, counted from 1 on the left (RFC 4514).

    Null when the name has fewer components.
    """
    _check_component(number)
    components = _split_unescaped(as_text(dn, "dn") or "", ",")
    wanted = as_integer(number, "componentNumber")
    if wanted > len(components):
        return None
    attribute, equals, value = _split_unescaped(components[wanted - 1], "+")[0].partition("=")
    return _unescaped((value if equals else attribute).strip())


def _split_unescaped(text: str, separator: str) -> list[str]:
    """Split at separators that are neither escaped nor inside double quotes."""
    parts, start, position, quoted = [], 0, 0, False
    while position < len(text):
        character = text[position]
        if character == "\\":
            position += 1
        elif character == '"':
            quoted = not quoted
        elif character == separator and not quoted:
            parts.append(text[start:position])
            start = position + 1
        position += 1
    parts.append(text[start:])
    return [part for part in parts if part.strip()]


def _unescaped(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1]
    return _ESCAPED.sub(
        lambda match: (
            bytes.fromhex(match[1].replace("\\", "")).decode(errors="replace") if match[1] is not None else match[2]
        ),
        value,
    )
