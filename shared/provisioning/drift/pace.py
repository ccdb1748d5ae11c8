"""How often a verification may ask the vendor, and what it does when the vendor does not answer the question."""

from __future__ import annotations

from dataclasses import dataclass

from shared.clock import Clock
from shared.config.applications import Application
from shared.provisioning.applications_state import ApplicationStates
from shared.scim.answers import Answer, AnswerKind
from shared.storage.limiter import MAX_WAIT_S, Limiter

SHARE = 0.2
"""Of the vendor's rate."""

UNLIMITED_RATE = 25.0
"""Requests per second assumed for a vendor without a limit."""

SLICE_S = 60.0
"""How long one housekeeping goes on with a round."""


class SliceOver(Exception):
    """The time of this slice is up, or the vendor cannot be asked now; the round goes on where it is."""


@dataclass(slots=True)
class Pace:
    """Lets a request go at most every so often, until the slice is over."""

    clock: Clock
    gap_s: float
    ends: float
    next: float = 0.0

    @classmethod
    def begin(cls, application: Application, clock: Clock) -> Pace:
        """A slice that begins now."""
        rate = application.rate_limit.requests_per_second or UNLIMITED_RATE
        return cls(clock, gap_s=1 / (SHARE * rate), ends=clock.monotonic() + SLICE_S)

    async def turn(self) -> None:
        """Wait for the turn of one request. Raises SliceOver."""
        now = self.clock.monotonic()
        wait = self.next - now
        if now >= self.ends or wait > MAX_WAIT_S:
            raise SliceOver
        if wait > 0:
            await self.clock.sleep(wait)
        self.next = max(now, self.next) + self.gap_s


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerHeed:
    """Lets the whole application know what a verification was told."""

    states: ApplicationStates
    limiter: Limiter

    async def heed(self, application: Application, answer: Answer) -> None:
        """Return when only this question cannot be answered. Raises SliceOver when any other would be no use either."""
        match answer.kind:
            case AnswerKind.UNAUTHORIZED | AnswerKind.WRONG_ENDPOINT:
                reason = answer.error_code or answer.kind
                detail = f"{answer.status or ''} {answer.detail}".strip()
                await self.states.impose_quarantine(application.name, reason, detail)
            case AnswerKind.THROTTLED:
                await self.limiter.block(application.name, answer.retry_after_s or 1.0)
            case AnswerKind.UNREACHABLE | AnswerKind.AMBIGUOUS:
                pass
            case _:
                return
        raise SliceOver
