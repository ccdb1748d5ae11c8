"""What is to be done about the subscription to one resource. Pure: no clock, no Graph, no storage.

Ours is what we remember, and whatever leads to our own address. Everything else belongs to somebody else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from shared.directory.subscriptions import CHANGES, Subscription

LIFE = timedelta(days=28)
"""How long a subscription is made for: Graph allows 41,760 minutes, a day more."""

RENEW_BEFORE = timedelta(days=7)
"""Less than this left: renewed. A week of failures may pass before a subscription ends."""

LOOK_EVERY = timedelta(hours=6)
"""How often Graph is asked whether the subscriptions are still there: it may lose one without a word."""

RENEWED_RECENTLY = timedelta(minutes=10)
"""Graph wants no two authorizations of a subscription in less than this."""

_FIRST_WAIT = timedelta(minutes=5)
_LONGEST_WAIT = timedelta(hours=6)


class Step(StrEnum):
    """What is to be done."""

    KEEP = "keep"
    CREATE = "create"
    RENEW = "renew"
    """One that is gone when it is renewed is created."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How every subscription of ours has to be."""

    url: str
    secret: str
    """Digest of the clientState: Graph does not show what it holds."""

    @property
    def mark(self) -> str:
        """Both in one text: what failed under one mark is worth another try at once under another."""
        return f"{self.secret} {self.url}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What we know of the subscription to a resource."""

    id: str = ""
    """Empty: there is none."""
    url: str = ""
    secret: str = ""
    """Digest of the clientState it was made with."""
    expires_at: datetime | None = None
    renewed_at: datetime | None = None
    """When it was made, or renewed last."""
    failures: int = 0
    """In a row."""
    next_attempt_at: datetime | None = None
    """Not looked at before; None: nothing failed last time."""
    tried: str = ""
    """Mark of what failed; empty: to take it back."""
    reauthorize: bool = False
    """Graph said that it needs to be authorized anew, or is gone, and it was not renewed or made again since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The step, and what goes after it."""

    step: Step
    surplus: tuple[str, ...] = ()
    """Ids of our other subscriptions to the resource; removed when the one that stays is certain."""


def is_due(known: Remembered, wanted: Wanted | None, now: datetime, *, looked_at: datetime | None) -> bool:
    """Whether a resource is worth a look. `wanted` None: change notifications are switched off."""
    if known.next_attempt_at is not None and known.tried == ("" if wanted is None else wanted.mark):
        return now >= known.next_attempt_at
    if wanted is None:
        return bool(known.id)
    if known.reauthorize or not _fits(known, wanted) or _ends_soon(known.expires_at, now):
        return True
    return looked_at is None or now >= looked_at + LOOK_EVERY


def plan_subscription(
    resource: str, known: Remembered, wanted: Wanted, listed: Sequence[Subscription], now: datetime
) -> Plan:
    """Exactly one subscription is to stay. One that is kept although Graph wished it renewed was renewed just now."""
    ours = [each for each in listed if each.id == known.id or (each.resource == resource and each.url == wanted.url)]
    surplus = tuple(each.id for each in ours if each.id != known.id)
    if not _fits(known, wanted):
        # Of what we do not remember, or made for another address, nobody knows the clientState: it is replaced.
        return Plan(step=Step.CREATE, surplus=tuple(each.id for each in ours))
    shown = next((each for each in ours if each.id == known.id), None)
    if shown is None:
        # A list may be behind: renewing says for certain whether it is gone.
        return Plan(step=Step.RENEW, surplus=surplus)
    if not _is_as_wanted(shown, resource, wanted):
        return Plan(step=Step.CREATE, surplus=(*surplus, shown.id))
    recently = known.renewed_at is not None and now < known.renewed_at + RENEWED_RECENTLY
    if _ends_soon(shown.expires_at, now) or (known.reauthorize and not recently):
        return Plan(step=Step.RENEW, surplus=surplus)
    return Plan(step=Step.KEEP, surplus=surplus)


def wait_after(failures: int, retry_after_s: float) -> timedelta:
    """How long after the n-th failure in a row nothing is tried: 5, 10, 20 minutes ..., 6 hours; longer if asked to."""
    grown = _LONGEST_WAIT if failures > 8 else min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** max(failures - 1, 0))
    return max(grown, timedelta(seconds=retry_after_s))


def _fits(known: Remembered, wanted: Wanted) -> bool:
    return bool(known.id) and (known.url, known.secret) == (wanted.url, wanted.secret)


def _is_as_wanted(shown: Subscription, resource: str, wanted: Wanted) -> bool:
    return (
        shown.resource == resource
        and shown.url == shown.lifecycle_url == wanted.url
        and shown.changes >= set(CHANGES.split(","))
    )


def _ends_soon(expires_at: datetime | None, now: datetime) -> bool:
    return expires_at is None or expires_at - now < RENEW_BEFORE
