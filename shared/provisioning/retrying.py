"""When something is tried again. Pure: attempt, instants and jitter come in, an instant or a length of time goes out.

Two clocks and no third. *Later* is the vendor's problem (throttled, unreachable, slow): seconds to minutes, the
message itself comes back. *Escrow* is the account's problem (bad data, a conflict): hours to days, no message is kept,
the row's `next_attempt_at` and the sweep bring it back.
"""

from datetime import datetime, timedelta

ESCROW_LADDER = (timedelta(hours=6), timedelta(hours=12), timedelta(hours=24))
"""Waits after the first, second, third failure; then daily. Entra's ladder (entra-provisioning 6.2)."""

ESCROW_LIFE = timedelta(days=28)
"""After this an escrowed account is tried again only when its source changes or an operator asks."""

LATER_BASE_S = 5.0
LATER_CAP_S = 900.0
LATER_MESSAGE_LIMIT_S = 3600.0
"""A longer wait keeps no message: the row's `next_attempt_at` and the sweep bring it back (protocol T17)."""

DUE_SLACK = timedelta(seconds=60)
"""A clock this slow still finds its row due (protocol T18)."""


def later_delay_s(attempts: int, *, retry_after_s: float | None, jitter: float) -> float:
    """Seconds until the next try of a transient failure.

    Exponential from 5 s, doubled per attempt, capped at 15 min, with full jitter (`jitter` in 0..1) above half of it;
    a longer Retry-After wins, spread by up to 10 % so that a thousand rows do not come back in the same second.
    """
    backoff = min(LATER_CAP_S, LATER_BASE_S * 2.0 ** min(attempts, 12))
    delay = backoff * (0.5 + 0.5 * jitter)
    if retry_after_s is not None and retry_after_s > 0:
        return max(delay if attempts > 3 else 0.0, retry_after_s * (1 + 0.1 * jitter))
    return delay


def escrow_until(failures: int, *, failed_at: datetime, now: datetime) -> datetime | None:
    """The instant of the next try after `failures` failures (from 1), None when the 28 days are over."""
    if now - failed_at >= ESCROW_LIFE:
        return None
    return now + ESCROW_LADDER[min(max(failures, 1), len(ESCROW_LADDER)) - 1]


def is_due(next_attempt_at: datetime | None, now: datetime) -> bool:
    """Whether a planned try may start now."""
    return next_attempt_at is None or now + DUE_SLACK >= next_attempt_at
