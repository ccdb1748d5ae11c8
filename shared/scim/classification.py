"""From a status, headers and bytes to an `Answer`: the one place that knows how vendors say no.

Pure and total: whatever a vendor sends, an answer comes out. The client turns exceptions of the HTTP library into an
`Interruption` first.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import unquote

from shared.scim.answers import Answer, AnswerKind, Interruption, resource_id
from shared.scim.error_bodies import (
    NO_ERROR,
    ErrorBody,
    UnreadableBodyError,
    is_markup,
    read_error,
    read_json,
    redacted,
)
from shared.scim.error_catalogue import ErrorCode

_LONGEST_WAIT_S = 86_400.0
_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and what came back, as plain values."""

    method: str
    status: int | None = None
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes = b""
    interruption: Interruption | None = None
    names_resource: bool
    """True: the URL ends with an id, so that a 404 may speak of that resource. False: a collection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalRules:
    """How a vendor says no, where it differs from RFC 7644 (from the profile's `protocol`)."""

    conflict_statuses: frozenset[int] = frozenset({409})
    conflict_codes: frozenset[str] = frozenset({"uniqueness"})
    throttled_statuses: frozenset[int] = frozenset({429, 503})
    version_mismatch_status: int = 412
    version_mismatch_code: str = ""


def classify(exchange: Exchange, *, now: datetime, rules: RefusalRules, sent_values: Collection[str] = ()) -> Answer:
    """Answers with what an exchange means. `sent_values` are kept out of the detail; never raises."""
    if exchange.interruption is Interruption.TOO_LARGE and (exchange.status or 0) >= (
        200 if _is_write(exchange) else 300
    ):
        # The status says what a write did; only what was returned is lost.
        exchange = replace(exchange, body=b"", interruption=None)
    if exchange.interruption is not None or exchange.status is None:
        return _interrupted(exchange)
    error = _error_of(exchange)
    status = _effective_status(exchange.status, error)
    if 200 <= status < 300:
        return _accepted(exchange)
    kind, code = _refusal(exchange, status=status, error=error, rules=rules)
    return Answer(
        kind=kind,
        status=status,
        retry_after_s=read_retry_after(exchange.headers.get("retry-after", "") or error.retry_after, now=now),
        error_code=code,
        scim_type=error.scim_type,
        detail=_detail_of(exchange, error=error, sent_values=sent_values),
    )


def _is_write(exchange: Exchange) -> bool:
    return exchange.method in _WRITES


def _interrupted(exchange: Exchange) -> Answer:
    kind, code, detail = _INTERRUPTIONS[exchange.interruption or Interruption.BROKEN]
    if kind is AnswerKind.AMBIGUOUS and not _is_write(exchange):
        kind = AnswerKind.UNREACHABLE
    return Answer(kind=kind, status=exchange.status, error_code=code, detail=detail)


_INTERRUPTIONS = {
    Interruption.NOT_SENT: (AnswerKind.UNREACHABLE, ErrorCode.WEB_EXCEPTION, "no connection; nothing was sent"),
    Interruption.TIMED_OUT: (AnswerKind.AMBIGUOUS, ErrorCode.TIMEOUT, "no complete answer in time"),
    Interruption.BROKEN: (AnswerKind.AMBIGUOUS, ErrorCode.WEB_EXCEPTION, "the connection broke before the answer"),
    Interruption.TOO_LARGE: (
        AnswerKind.AMBIGUOUS,
        ErrorCode.SERVICE_INCOMPATIBLE,
        "the answer is too large to be read",
    ),
    Interruption.NOT_AUTHORIZED: (AnswerKind.UNAUTHORIZED, ErrorCode.UNAUTHORIZED, "there are no credentials to send"),
}


def _error_of(exchange: Exchange) -> ErrorBody:
    return (
        read_error(exchange.body, exchange.headers.get("content-type", "")) if _may_hold_error(exchange) else NO_ERROR
    )


def _may_hold_error(exchange: Exchange) -> bool:
    return exchange.status is not None and (exchange.status >= 300 or b"2.0:Error" in exchange.body[:2000])


def _effective_status(status: int, error: ErrorBody) -> int:
    """A 200 around a SCIM error is that error."""
    inner = error.status or 0
    return inner if 200 <= status < 300 and error.is_scim and inner >= 400 else status


def _accepted(exchange: Exchange) -> Answer:
    """2xx. What a write returns is only taken note of; a read without a usable object is no answer at all."""
    if is_markup(exchange.body, exchange.headers.get("content-type", "")):
        return Answer(
            kind=AnswerKind.WRONG_ENDPOINT,
            status=exchange.status,
            error_code=ErrorCode.SERVICE_INCOMPATIBLE,
            detail="a web page came back instead of SCIM",
        )
    resource: dict[str, Any] | None = None
    try:
        value = read_json(exchange.body) if exchange.body.strip() else None
        resource = value if isinstance(value, dict) else None
    except UnreadableBodyError:
        resource = None
    if exchange.method == "GET" and resource is None:
        return Answer(
            kind=AnswerKind.UNREACHABLE,
            status=exchange.status,
            error_code=ErrorCode.SERVICE_INCOMPATIBLE,
            detail="the answer is no JSON object",
        )
    identifier = resource_id(resource) or (_id_of_location(exchange) if exchange.method == "POST" else None)
    return Answer(
        kind=AnswerKind.OK,
        status=exchange.status,
        resource=resource,
        id=identifier,
        etag=exchange.headers.get("etag") or _version_of(resource),
    )


def _version_of(resource: Mapping[str, Any] | None) -> str | None:
    meta = resource.get("meta") if resource is not None else None
    version = meta.get("version") if isinstance(meta, Mapping) else None
    return version if isinstance(version, str) and version else None


def _id_of_location(exchange: Exchange) -> str | None:
    """The last segment of Location; never followed, so that its host does not matter."""
    path = exchange.headers.get("location", "").partition("?")[0].partition("#")[0].rstrip("/")
    return unquote(path.rpartition("/")[2]) or None


def _refusal(exchange: Exchange, *, status: int, error: ErrorBody, rules: RefusalRules) -> tuple[AnswerKind, ErrorCode]:
    """A ladder: what concerns the whole application first, then what is certain from the status, then the text."""
    markup = is_markup(exchange.body, exchange.headers.get("content-type", ""))
    if status == 401:
        return AnswerKind.UNAUTHORIZED, ErrorCode.UNAUTHORIZED
    if status == 403 and not _says_taken(error, rules):
        return AnswerKind.UNAUTHORIZED, ErrorCode.INSUFFICIENT_RIGHTS
    if status < 400 or status in {406, 407, 415, 421, 505}:
        return AnswerKind.WRONG_ENDPOINT, ErrorCode.SERVICE_INCOMPATIBLE
    if status in {404, 410}:
        return _missing(exchange, error=error, markup=markup)
    if status == rules.version_mismatch_status and _is_version_code(error, rules):
        return AnswerKind.VERSION_MISMATCH, ErrorCode.VERSION_MISMATCH
    if status == 412 or error.scim_type.casefold() == "invalidvers":
        return AnswerKind.VERSION_MISMATCH, ErrorCode.VERSION_MISMATCH
    if status == 425 or (
        status in rules.throttled_statuses and _is_clear_refusal(exchange, status=status, error=error)
    ):
        return AnswerKind.THROTTLED, ErrorCode.TOO_MANY_REQUESTS
    if status in rules.conflict_statuses or (status < 500 and _says_taken(error, rules)):
        return AnswerKind.CONFLICT, ErrorCode.CONFLICT
    if status == 501:
        return AnswerKind.REJECTED, ErrorCode.NOT_IMPLEMENTED
    if status == 408 or status >= 500:
        kind = AnswerKind.AMBIGUOUS if _is_write(exchange) else AnswerKind.UNREACHABLE
        return kind, ErrorCode.INTERNAL_SERVER_ERROR
    if status == 405 and markup:
        return AnswerKind.WRONG_ENDPOINT, ErrorCode.METHOD_NOT_ALLOWED
    return AnswerKind.REJECTED, _rejection_code(status, error)


def _missing(exchange: Exchange, *, error: ErrorBody, markup: bool) -> tuple[AnswerKind, ErrorCode]:
    """404: about the resource only when its URL named one and no router's page came back.

    Without a SCIM error body it may still be a router; the client asks the collection before it believes that.
    """
    if markup or not exchange.names_resource:
        return AnswerKind.WRONG_ENDPOINT, ErrorCode.SERVICE_INCOMPATIBLE
    return AnswerKind.NOT_FOUND, ErrorCode.INVALID_ANCHOR


def is_scim_error(exchange: Exchange) -> bool:
    """Answers whether the SCIM service itself, not a router or proxy, wrote this refusal."""
    return read_error(exchange.body, exchange.headers.get("content-type", "")).is_scim


def _is_version_code(error: ErrorBody, rules: RefusalRules) -> bool:
    code = rules.version_mismatch_code.casefold()
    return error.scim_type.casefold() == code if code else rules.version_mismatch_status == 412


def _is_clear_refusal(exchange: Exchange, *, status: int, error: ErrorBody) -> bool:
    """A bare 503 may come from a proxy whose server did the work: a Retry-After or a SCIM body makes it clear."""
    return status != 503 or exchange.method == "GET" or error.is_scim or "retry-after" in exchange.headers


_TAKEN = re.compile(
    r"already (?:exists?|in use|taken|registered|used)|duplicate"
    r"|must be unique|not unique|uniqueness|unique constraint",
    re.IGNORECASE,
)


def _says_taken(error: ErrorBody, rules: RefusalRules) -> bool:
    if error.scim_type:
        return error.scim_type.casefold() in {code.casefold() for code in rules.conflict_codes}
    return _TAKEN.search(error.text[:2000]) is not None


_BY_STATUS = {
    402: ErrorCode.LICENSE_LIMIT,
    405: ErrorCode.METHOD_NOT_ALLOWED,
    422: ErrorCode.UNPROCESSABLE,
}
_BY_SCIM_TYPE = {
    "invalidpath": ErrorCode.SCHEMA_ATTRIBUTE_NOT_FOUND,
    "notarget": ErrorCode.SCHEMA_ATTRIBUTE_NOT_FOUND,
    "toomany": ErrorCode.MULTIPLE_IN_RESPONSE,
}
_BY_TEXT = (
    (re.compile(r"licen[cs]e|\bseats?\b|quota|plan limit", re.IGNORECASE), ErrorCode.LICENSE_LIMIT),
    (re.compile(r"\bdomain\b", re.IGNORECASE), ErrorCode.INVALID_DOMAIN),
    (re.compile(r"is required|missing|mandatory|must not be (?:empty|blank)", re.IGNORECASE), ErrorCode.MISSING_VALUES),
    (re.compile(r"one of|allowed values|enum", re.IGNORECASE), ErrorCode.SINGLE_VALUE_ONLY),
    (
        re.compile(r"unknown attribute|unrecognized|not declared|no such attribute", re.IGNORECASE),
        ErrorCode.SCHEMA_ATTRIBUTE_NOT_FOUND,
    ),
)


def _rejection_code(status: int, error: ErrorBody) -> ErrorCode:
    known = _BY_STATUS.get(status) or _BY_SCIM_TYPE.get(error.scim_type.casefold())
    if known is not None:
        return known
    text = error.text[:2000]
    return next((code for pattern, code in _BY_TEXT if pattern.search(text)), ErrorCode.BAD_REQUEST)


def _detail_of(exchange: Exchange, *, error: ErrorBody, sent_values: Collection[str]) -> str:
    if is_markup(exchange.body, exchange.headers.get("content-type", "")):
        return "a web page came back instead of SCIM"
    if exchange.status is not None and 300 <= exchange.status < 400:
        return "the vendor redirects to another address; redirects are not followed, correct base_url"
    return redacted(error.text, sent_values)


def read_retry_after(text: str, *, now: datetime) -> float | None:
    """Seconds from a Retry-After (RFC 9110 10.2.3), at most a day; None when absent or unreadable."""
    text = text.strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text):
        return min(float(text), _LONGEST_WAIT_S)
    try:
        instant = parsedate_to_datetime(text)
        seconds = (instant if instant.tzinfo else instant.replace(tzinfo=UTC)) - now
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(max(seconds.total_seconds(), 0.0), _LONGEST_WAIT_S)
