"""What a POST of Microsoft Graph says: that something changed, or that a subscription needs us (graph.md section 3).

Pure, and import-light: it runs in the one function that answers from a cold start. A notification says nothing that is
believed but that it came: whoever rings, the directory itself is asked what changed.
"""

from __future__ import annotations

import hmac
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any

LARGEST_BODY = 256 * 1024
"""Bytes: some five hundred notifications of Graph's. A larger body is not looked at; the timer reads what changed."""

MOST_ENTRIES = 1000
"""More than fit with all that Graph says of each; what comes after them is not looked at."""

LONGEST_TOKEN = 4096
"""Characters of a validation token; Graph's have a few hundred."""


class Ring(StrEnum):
    """What one notification is to us."""

    CHANGE = "change"
    """A user or group changed."""
    MISSED = "missed"
    """Graph lost notifications."""
    REAUTHORIZE = "reauthorize"
    """A subscription stops soon unless it is renewed."""
    REMOVED = "removed"
    """A subscription is gone, and changes since then were not announced."""
    FORGED = "forged"
    """It does not carry our clientState."""
    MALFORMED = "malformed"
    """It is none that we know."""


_LIFECYCLE = {
    "missed": Ring.MISSED,
    "reauthorizationRequired": Ring.REAUTHORIZE,
    "subscriptionRemoved": Ring.REMOVED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What one POST said."""

    changes: int
    lifecycle: int
    """Notifications about subscriptions, of the kinds we know."""
    forged: int
    malformed: int
    """An unreadable body is one."""
    wants_sync: bool
    """The directory is to be read."""
    wants_subscriptions: bool
    """The subscriptions are to be looked after."""


def is_token(text: str) -> bool:
    """Whether a validation token is short enough to be repeated."""
    return len(text) <= LONGEST_TOKEN


def hear_notifications(body: bytes, *, client_state: str) -> Heard:
    """Judge the notifications of a POST, whatever it holds. Never raises.

    `client_state`: the secret that authentic ones carry; with none set, nothing is authentic.
    """
    rings = Counter(_judge(each, client_state) for each in _entries(body))
    return Heard(
        changes=rings[Ring.CHANGE],
        lifecycle=sum(rings[ring] for ring in _LIFECYCLE.values()),
        forged=rings[Ring.FORGED],
        malformed=rings[Ring.MALFORMED],
        wants_sync=any(rings[ring] for ring in (Ring.CHANGE, Ring.MISSED, Ring.REMOVED)),
        wants_subscriptions=any(rings[ring] for ring in (Ring.REAUTHORIZE, Ring.REMOVED)),
    )


def _entries(body: bytes) -> Iterator[Any]:
    """The notifications; None for a body that has none to offer."""
    try:
        document = json.loads(body) if len(body) <= LARGEST_BODY else None
    except (ValueError, RecursionError):
        document = None
    entries = document.get("value") if isinstance(document, dict) else None
    if isinstance(entries, list):
        yield from islice(entries, MOST_ENTRIES)
    else:
        yield None


def _judge(entry: Any, client_state: str) -> Ring:
    if not isinstance(entry, dict):
        return Ring.MALFORMED
    given = entry.get("clientState")
    # The secret comes first: whoever does not know it learns nothing about anything else.
    if not isinstance(given, str) or not client_state or not _is_same(given, client_state):
        return Ring.FORGED
    if "lifecycleEvent" in entry:
        event = entry["lifecycleEvent"]
        return _LIFECYCLE.get(event, Ring.MALFORMED) if isinstance(event, str) else Ring.MALFORMED
    return Ring.CHANGE if isinstance(entry.get("changeType"), str) else Ring.MALFORMED


def _is_same(given: str, expected: str) -> bool:
    """Compare in a time that does not say how much was right; half an emoji is legal JSON, too."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode())
