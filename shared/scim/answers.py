"""What a vendor's answer means for the change that was sent.

Every expected failure is a value, never an exception: the caller decides by `AnswerKind` alone which of the four exits
it takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class AnswerKind(StrEnum):
    """What the caller may conclude."""

    OK = "ok"
    """The vendor did what was asked, or it was so already."""
    THROTTLED = "throttled"
    """A clear refusal for load: nothing was done, try later (429, and 503 that says so)."""
    UNAUTHORIZED = "unauthorized"
    """Credentials or rights are not accepted, or could not be fetched: concerns the whole application."""
    WRONG_ENDPOINT = "wrong_endpoint"
    """What answered is not the SCIM service: HTML, a redirect, an unrouted path. Concerns the whole application."""
    CONFLICT = "conflict"
    """A unique value is taken: nothing was done."""
    NOT_FOUND = "not_found"
    """The SCIM service says that this resource does not exist."""
    REJECTED = "rejected"
    """Permanent for this content: nothing was done, and sending it again gives the same."""
    AMBIGUOUS = "ambiguous"
    """A write was sent and its outcome is unknown: it may have been done, or may still be."""
    UNREACHABLE = "unreachable"
    """Nothing was changed: no request left, or a read got no usable answer."""
    VERSION_MISMATCH = "version_mismatch"
    """The resource changed since the version in If-Match: nothing was done."""


class Interruption(StrEnum):
    """Why there is no complete answer."""

    NOT_SENT = "not_sent"
    """No byte of the request left: no connection, TLS refused, address refused."""
    TIMED_OUT = "timed_out"
    """The request left, wholly or partly; no complete answer came in time."""
    BROKEN = "broken"
    """The request left, wholly or partly; the connection broke before the answer was complete."""
    TOO_LARGE = "too_large"
    """The answer was longer than is accepted; it was not read to its end."""
    NOT_AUTHORIZED = "not_authorized"
    """There are no credentials to send: a setting is empty, or the token endpoint refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One request's outcome. `resource` is what the vendor returned, which may be stale or partial (204: None)."""

    kind: AnswerKind
    status: int | None = None
    """None: no answer was received."""
    resource: dict[str, Any] | None = None
    id: str | None = None
    """The vendor's id of the resource, integers as text. None: the answer carried none."""
    etag: str | None = None
    retry_after_s: float | None = None
    """Seconds the vendor asks to wait. None: it did not say."""
    error_code: str = ""
    """A key of `error_catalogue.ERROR_CATALOGUE`, empty when nothing failed."""
    scim_type: str = ""
    """`scimType` of the vendor's error (RFC 7644 table 9), empty when it gave none."""
    detail: str = ""
    """At most 300 characters, without control characters and without values that were sent."""

    @property
    def ok(self) -> bool:
        """True when the vendor did what was asked."""
        return self.kind is AnswerKind.OK


def resource_id(resource: Mapping[str, Any] | None) -> str | None:
    """Answers with a resource's id as text (integers too), None when it has none."""
    value = resource.get("id") if resource is not None else None
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    return str(value) or None
