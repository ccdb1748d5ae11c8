"""What one application's people were told, what waits for its receiver, and when it is tried again. Pure.

A notice is noted before it is sent and struck off afterwards, so that a process that dies in between leaves it to the
next one. Notices go out in their order: one that is not taken holds back those behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from enum import StrEnum

from shared.provisioning.notices.due import Marks
from shared.provisioning.notices.notice import ABOUT_CREDENTIALS, LOGGED, Notice, NoticeType

CLAIM = timedelta(seconds=60)
"""Who delivers has ended by then, or has died: a delivery takes ten seconds at most."""

FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=6)
"""Waits double from the first to the longest; a longer Retry-After is shortened to the longest."""

OVERDUE_AFTER = timedelta(hours=1)
"""A receiver that took nothing for so long is a person's matter."""

MOST_WAITING = 100
"""Beyond, the oldest are dropped: what they tell ended long ago."""

DIGEST_AT = time(6)
"""UTC: before people come to work, in most of the places where they read it."""

PATIENCE = timedelta(hours=1)
"""Who was to be provisioned so long ago, and is not, is stuck."""


class DigestStep(StrEnum):
    """What the daily digest needs now."""

    NOTHING = "nothing"
    SAMPLE = "sample"
    """Note which number is the last one now: what is pending at or below it an hour later is stuck."""
    COUNT = "count"
    """Count what is stuck."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The row."""

    application: str
    etag: str = ""
    marks: Marks | None = None
    """None: nobody looked at this application yet."""
    waiting: tuple[Notice, ...] = ()
    """Noted and not yet taken, oldest first."""
    claimed_until: datetime | None = None
    """Somebody is delivering."""
    attempts: int = 0
    """Failed deliveries in a row."""
    failing_since: datetime | None = None
    next_attempt_at: datetime | None = None
    problem: str = ""
    """Why the last delivery failed; a code."""
    asked_to_wait: bool = False
    """The receiver named the time of the next attempt itself."""
    digest_day: str = ""
    """The last day whose digest was made."""
    sampled_at: datetime | None = None
    sampled: str = ""
    """The last number that was raised by then."""

    def is_claimed(self, now: datetime) -> bool:
        """Whether somebody else is delivering."""
        return self.claimed_until is not None and now < self.claimed_until

    def is_due(self, now: datetime) -> bool:
        """Whether something waits whose turn it is."""
        return bool(self.waiting) and (self.next_attempt_at is None or now >= self.next_attempt_at)

    def is_overdue(self, now: datetime) -> bool:
        """Whether the receiver has taken nothing for too long."""
        return self.failing_since is not None and now - self.failing_since >= OVERDUE_AFTER

    def noted(self, due: Sequence[Notice], marks: Marks | None = None) -> Told:
        """With more to tell. News is a reason to try at once, unless the receiver itself named the time."""
        marks = marks if marks is not None else self.marks
        kept = tuple(each for each in self.waiting if not _is_outdated(each, due, marks))
        waiting = (*kept, *due)[-MOST_WAITING:]
        at_once = bool(due) and not self.asked_to_wait
        return replace(self, marks=marks, waiting=waiting, next_attempt_at=None if at_once else self.next_attempt_at)

    def claimed(self, now: datetime) -> Told:
        """Mine to deliver, for a while."""
        return replace(self, claimed_until=now + CLAIM)

    def released(self) -> Told:
        """Nobody's to deliver, until its time."""
        return replace(self, claimed_until=None)

    def is_unlogged(self) -> bool:
        """Whether the telemetry event of something that waits is still to be written."""
        return any(each.type in LOGGED and not each.is_logged for each in self.waiting)

    def logged(self) -> Told:
        """The telemetry events of all that waits are written."""
        return replace(self, waiting=tuple(replace(each, is_logged=True) for each in self.waiting))

    def delivered(self) -> Told:
        """The receiver took the first one."""
        return _at_rest(replace(self, waiting=self.waiting[1:]))

    def emptied(self) -> Told:
        """There is no receiver: what waits was told by telemetry."""
        return _at_rest(replace(self, waiting=()))

    def failed(self, problem: str, now: datetime, *, retry_after_s: float | None = None) -> Told:
        """The receiver did not take the first one: it is tried again after a longer wait."""
        wait = min(FIRST_WAIT * 2 ** min(self.attempts, 20), LONGEST_WAIT)
        if retry_after_s is not None:
            wait = max(wait, min(timedelta(seconds=retry_after_s), LONGEST_WAIT))
        return replace(
            self,
            claimed_until=None,
            attempts=self.attempts + 1,
            failing_since=self.failing_since or now,
            next_attempt_at=now + wait,
            problem=problem,
            asked_to_wait=retry_after_s is not None,
        )

    def digest_step(self, now: datetime) -> DigestStep:
        """What today's digest needs."""
        day = now.date().isoformat()
        opens_at = datetime.combine(now.date(), DIGEST_AT, tzinfo=now.tzinfo)
        if self.digest_day == day or now < opens_at - PATIENCE:
            return DigestStep.NOTHING
        if self.sampled_at is None or self.sampled_at < opens_at - PATIENCE:
            return DigestStep.SAMPLE
        return DigestStep.COUNT if now >= max(opens_at, self.sampled_at + PATIENCE) else DigestStep.NOTHING


def _at_rest(told: Told) -> Told:
    return replace(
        told,
        claimed_until=None,
        attempts=0,
        failing_since=None,
        next_attempt_at=None,
        problem="",
        asked_to_wait=False,
    )


def _is_outdated(waiting: Notice, due: Sequence[Notice], marks: Marks | None) -> bool:
    """Whether nobody needs it any more: a newer one says the same of today, or the credential was renewed."""
    if waiting.type is NoticeType.DIGEST:
        return any(each.type is NoticeType.DIGEST for each in due)
    if waiting.type not in ABOUT_CREDENTIALS:
        return False
    renewed = marks is not None and waiting.data.get("expires_on") != marks.expires_on
    return renewed or any(each.type in ABOUT_CREDENTIALS for each in due)
