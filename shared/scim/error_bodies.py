"""Reading what a vendor says in a refusal, and making it fit for a log.

Bodies come as RFC 7644 3.12 errors and in a dozen other shapes (interop quirk 20). They may quote what was sent, so
that nothing of them is kept but the status word, `scimType` and a redacted text of 300 characters.
"""

from __future__ import annotations

import json
import re
import unicodedata
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

DETAIL_LENGTH = 300
ERROR_URN = "urn:ietf:params:scim:api:messages:2.0:error"

_LONGEST_QUOTED = 65_536
_TEXT_KEYS = ("detail", "message", "error_description", "error", "title", "reason", "description")
_E_MAIL = re.compile(r"[^\s\"'<>()\[\],;:=]+@[^\s\"'<>()\[\],;]+")
_AUTHORIZATION = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}")
_MARKUP = re.compile(rb"^\s*(?:\xef\xbb\xbf)?\s*<(?:!doctype|html|head|body|\?xml)", re.IGNORECASE)


class UnreadableBodyError(ValueError):
    """The body is no JSON that can be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBody:
    """What was understood of a refusal."""

    is_scim: bool
    """True: the SCIM service itself wrote this, so a 404 speaks of the resource and not of the address."""
    status: int | None
    """The status inside the body, None when it has none."""
    scim_type: str
    text: str
    """The vendor's words, as they came: redact before use."""
    retry_after: str
    """Seconds some vendors put into the body instead of the header; empty when absent."""


NO_ERROR = ErrorBody(is_scim=False, status=None, scim_type="", text="", retry_after="")


def is_markup(body: bytes, content_type: str) -> bool:
    """Answers whether a body is a web page or XML, which no SCIM service sends."""
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type in {"text/html", "application/xhtml+xml"} or _MARKUP.match(body[:200]) is not None


def read_json(body: bytes) -> Any:
    """Answers with the JSON value of a body. Raises `UnreadableBodyError` for anything hostile or broken.

    Nesting deeper than the interpreter allows, NaN, and text that is no UTF-8 are refused; lone surrogates are
    replaced, so that every text can be stored.
    """
    try:
        value = json.loads(body.decode("utf-8-sig"), parse_constant=_refuse_constant)
        if b"\\ud" in body or b"\\uD" in body:
            value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise UnreadableBodyError(type(error).__name__) from None
    return value


def _refuse_constant(name: str) -> None:
    raise UnreadableBodyError(name)


def inflate(body: bytes, *, limit: int) -> bytes | None:
    """Answers with the decompressed body (gzip, deflate), None when it is broken or longer than `limit` bytes."""
    try:
        plain = zlib.decompressobj(wbits=47)
        text = plain.decompress(body, limit + 1)
    except zlib.error:
        return None
    return text if len(text) <= limit and plain.eof else None


def read_error(body: bytes, content_type: str) -> ErrorBody:
    """Answers with what a refusal's body says, in whatever shape it came."""
    if not body or is_markup(body, content_type):
        return NO_ERROR
    try:
        value = read_json(body)
    except UnreadableBodyError:
        text = body.decode("utf-8", "replace") if content_type.lower().startswith("text/plain") else ""
        return ErrorBody(is_scim=False, status=None, scim_type="", text=text, retry_after="")
    return _read_value(value)


def _read_value(value: Any) -> ErrorBody:
    for candidate in _unwrapped(value, depth=3):
        fields = {str(name).casefold(): entry for name, entry in candidate.items()}
        status = _status_of(fields.get("status"))
        scim_type = fields.get("scimtype")
        declared = json.dumps([fields.get("schemas"), fields.get("schema")]).casefold()
        speaks = "detail" in fields or "scimtype" in fields
        is_scim = ERROR_URN in declared or (status is not None and speaks)
        text = next((str(fields[key]) for key in _TEXT_KEYS if isinstance(fields.get(key), (str, int))), "")
        if is_scim or text:
            return ErrorBody(
                is_scim=is_scim,
                status=status,
                scim_type=scim_type[:60] if isinstance(scim_type, str) else "",
                text=text,
                retry_after=str(fields.get("retryafter") or ""),
            )
    return NO_ERROR


def _unwrapped(value: Any, *, depth: int) -> Iterator[Mapping[str, Any]]:
    """The objects an error may be hidden in, innermost first: in a list, in `message` or `error`, as JSON in a text."""
    if depth == 0:
        return
    if isinstance(value, list) and value:
        yield from _unwrapped(value[0], depth=depth - 1)
    if isinstance(value, str) and value.lstrip()[:1] == "{":
        try:
            yield from _unwrapped(read_json(value.encode("utf-8", "replace")), depth=depth - 1)
        except UnreadableBodyError:
            return
    if isinstance(value, Mapping):
        for key in ("message", "error", "errors", "Errors", "detail", "response"):
            if isinstance(value.get(key), (Mapping, list, str)):
                yield from _unwrapped(value[key], depth=depth - 1)
        yield value


def _status_of(value: Any) -> int | None:
    text = str(value).strip()
    is_number = isinstance(value, (str, int)) and not isinstance(value, bool) and text.isascii() and text.isdigit()
    return int(text) if is_number and len(text) == 3 else None


def redacted(text: str, values: Collection[str] = ()) -> str:
    """Answers with a vendor's text fit for a log: without values that were sent, addresses and tokens, 300 characters.

    A value is found in any letter case; one shorter than four characters only as a word of its own. A text too
    long to be searched is not quoted at all.
    """
    if len(text) > _LONGEST_QUOTED:
        return "the vendor's text is too long to be quoted"
    text = "".join(" " if unicodedata.category(character) in {"Cc", "Zl", "Zp"} else character for character in text)
    text = "".join(character for character in text if unicodedata.category(character) not in {"Cf", "Cs", "Co", "Cn"})
    wanted = sorted({value.strip() for value in values if value.strip()}, key=len, reverse=True)
    if wanted:
        text = re.sub("|".join(_pattern_of(value) for value in wanted), "...", text, flags=re.IGNORECASE)
    text = _AUTHORIZATION.sub("...", _E_MAIL.sub("...", text))
    text = " ".join(text.split())
    return text if len(text) <= DETAIL_LENGTH else f"{text[: DETAIL_LENGTH - 3]}..."


def _pattern_of(value: str) -> str:
    escaped = re.escape(value)
    return escaped if len(value) >= 4 else rf"(?<!\w){escaped}(?!\w)"
