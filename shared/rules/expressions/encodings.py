"""Text as base64 or hexadecimal digits, and security identifiers as text."""

import base64
import binascii
import re

from shared.rules.expressions.conversion import Unfit, as_text
from shared.rules.expressions.registry import Options, simple

ENCODINGS = ("Unicode", "ASCII", "UTF8")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SID = re.compile(r"S-\d+-\d+(?:-\d+)*")


def _check_encoding(value: object) -> None:
    if value not in ENCODINGS:
        raise Unfit(f"encoding: one of {', '.join(ENCODINGS)} was expected")


@simple("ConvertToBase64", "source")
def convert_to_base64(source: object) -> str | None:
    """Answer the base64 of the text's UTF-16 (little endian) bytes: the language's "Unicode"."""
    text = as_text(source, "source")
    return None if text is None else base64.b64encode(text.encode("utf-16-le", "surrogatepass")).decode()


@simple(
    "ConvertFromBase64",
    "source, encoding?",
    Options(checks={"encoding": _check_encoding}, names={"encoding": ENCODINGS}),
)
def convert_from_base64(source: object, encoding: object) -> str | None:
    """Answer the text that base64 digits stand for, read as Unicode (UTF-16, the default), ASCII or UTF8."""
    text = as_text(source, "source")
    chosen = "Unicode" if encoding is None else encoding
    _check_encoding(chosen)
    if text is None:
        return None
    content = _bytes(text, "source")
    if chosen == "Unicode":
        return content.decode("utf-16-le", "replace")
    if chosen == "UTF8":
        return content.decode("utf-8", "replace")
    return content.decode("ascii", "replace").replace("\ufffd", "?")


@simple("ConvertToUTF8Hex", "source")
def convert_to_utf8_hex(source: object) -> str | None:
    """Answer the text's UTF-8 bytes as hexadecimal digits in upper case."""
    text = as_text(source, "source")
    return None if text is None else _SURROGATE.sub("\ufffd", text).encode().hex().upper()


@simple("StringFromSID", "sid")
def string_from_sid(sid: object) -> str | None:
    """Answer a security identifier as `S-1-...`.

    Graph and JSON carry its bytes as base64; one that is text already stays. Layout: revision, count, six bytes of
    authority (big endian), then count times four bytes (little endian).
    """
    text = as_text(sid, "sid")
    if text is None or _SID.fullmatch(text):
        return text
    content = _bytes(text, "sid")
    if len(content) < 8 or len(content) != 8 + 4 * content[1]:
        raise Unfit("sid: the bytes of a security identifier in base64 were expected")
    authority = int.from_bytes(content[2:8], "big")
    shown = str(authority) if authority < 2**32 else f"0x{authority:012X}"
    parts = [int.from_bytes(content[at : at + 4], "little") for at in range(8, len(content), 4)]
    return "-".join(["S", str(content[0]), shown, *map(str, parts)])


def _bytes(text: str, parameter: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Unfit(f"{parameter}: base64 was expected") from None
