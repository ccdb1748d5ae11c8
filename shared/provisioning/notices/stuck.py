"""What does not move by itself, or not soon: the content of the daily digest. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from shared.clock import write_instant
from shared.provisioning.accounts import Account, AccountState
from shared.provisioning.applications_state import ApplicationState
from shared.provisioning.attempt import OwnCode

STOPPED_FOR = timedelta(days=1)
"""A shorter quarantine or pause was told already and may be over by tomorrow."""

SLOW_FOR = timedelta(hours=1)
"""Accounts that fail for as long, again and again, are stuck although they are tried again."""


class StuckKind(StrEnum):
    """Why an account does not move."""

    ESCROWED = "escrowed"
    """Tried again on the ladder."""
    GIVEN_UP = "given_up"
    """Not tried again before its source changes or a person asks."""
    POISONED = "poisoned"
    """A bug."""
    PENDING = "pending"
    """Wanted for more than an hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    """What is stuck at one application, in counts."""

    escrowed: Mapping[str, int] = field(default_factory=dict)
    """Error code -> accounts."""
    given_up: Mapping[str, int] = field(default_factory=dict)
    poisoned: int = 0
    held: int = 0
    """By the deletion guard."""
    pending: int = 0
    stopped: str = ""
    """`Quarantine` or `Paused`, for more than a day; empty: neither."""
    reason: str = ""
    stopped_since: datetime | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nobody has to know anything."""
        return not (self.escrowed or self.given_up or self.poisoned or self.held or self.pending or self.stopped)

    def as_data(self) -> dict[str, Any]:
        """The digest's content."""
        return {
            "escrowed": dict(self.escrowed),
            "given_up": dict(self.given_up),
            "poisoned": self.poisoned,
            "held": self.held,
            "pending": self.pending,
            "stopped": self.stopped,
            "reason": self.reason,
            "stopped_since": write_instant(self.stopped_since) if self.stopped_since else "",
        }


def judge_stuck(account: Account, *, raised_before: str, now: datetime) -> StuckKind | None:
    """Whether an account is stuck; None: it moves, or it waits for the guard, which is counted by itself.

    `raised_before`: the last number that was raised an hour ago; what is wanted since is not late yet.
    """
    if account.staged or account.is_held():
        return None
    if account.state is AccountState.ESCROWED and account.tried == account.wanted:
        if account.error_code == OwnCode.POISONED:
            return StuckKind.POISONED
        return StuckKind.GIVEN_UP if account.next_attempt_at is None else StuckKind.ESCROWED
    fails_long = account.failed_at is not None and now - account.failed_at >= SLOW_FOR
    if account.pending and (account.wanted <= raised_before or fails_long):
        return StuckKind.PENDING
    return None


def count_stuck(judged: Iterable[tuple[StuckKind, str]], *, held: int, state: ApplicationState, now: datetime) -> Stuck:
    """The counts by reason; `judged` holds kind and error code of every stuck account. The most frequent code first."""
    by_kind: dict[StuckKind, Counter[str]] = {kind: Counter() for kind in StuckKind}
    for kind, code in judged:
        by_kind[kind][code] += 1
    is_stopped = state.is_stopped and state.since is not None and now - state.since >= STOPPED_FOR
    return Stuck(
        escrowed=dict(by_kind[StuckKind.ESCROWED].most_common()),
        given_up=dict(by_kind[StuckKind.GIVEN_UP].most_common()),
        poisoned=by_kind[StuckKind.POISONED].total(),
        held=held,
        pending=by_kind[StuckKind.PENDING].total(),
        stopped=state.status.value if is_stopped else "",
        reason=state.reason if is_stopped else "",
        stopped_since=state.since if is_stopped else None,
    )
