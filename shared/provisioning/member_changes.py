"""Which memberships a group's next request changes, decided one by one. Pure.

    directory says      account          sent            decision
    member              linked           no, or another  add
    member              linked           yes             nothing
    member              none yet         -               nothing: told when the account gets its link (protocol T7)
    no member           linked           yes             remove
    no member           gone             yes             forget: it went with the account
    no member           -                no              nothing
    nothing known       -                -               nothing: a missing row never removes anybody (protocol T8)
    any                 being written    -               later: the answer to that write decides

What a request without an answer was about is unknown: it is asserted whatever was sent, a removal by adding first, so
that the filter of the removal selects something (RFC 7644 3.5.2.2, `noTarget`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from shared.config.provisioning_file import DeletionGuard


class Decision(StrEnum):
    """What becomes of one membership."""

    ADD = "add"
    REMOVE = "remove"
    FORGET = "forget"
    """The note that it was sent goes; there is nothing to write."""
    NOTHING = "nothing"
    LATER = "later"
    """The account is being written just now: look again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One membership, with everything that decides it."""

    user_id: str
    is_member: bool | None
    """What the directory says now; None: nothing is known."""
    target_id: str = ""
    """The user's account at the vendor, empty while there is none."""
    is_disabled: bool = False
    is_in_flight: bool = False
    """A write of the account is open."""
    is_leased: bool = False
    """Somebody is at it now."""
    sent_target: str = ""
    """The account that was made a member, empty: none that we know of."""
    again: bool = False
    """The vendor may have dropped it: assert it."""
    in_doubt: bool = False
    """A request about it was sent and never answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberChange:
    """One request's worth of memberships. User id -> the id of the account at the vendor."""

    added: Mapping[str, str] = field(default_factory=dict)
    removed: Mapping[str, str] = field(default_factory=dict)
    doubtful: frozenset[str] = frozenset()
    """Users whose removal is asserted by adding them first."""

    @property
    def user_ids(self) -> tuple[str, ...]:
        """Everybody it is about."""
        return (*self.added, *self.removed)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberBatch:
    """The memberships one attempt looked at, and what is left."""

    change: MemberChange = field(default_factory=MemberChange)
    settled: tuple[str, ...] = ()
    """Keys of `change:` rows that need no further look once the request has succeeded."""
    forgotten: Mapping[str, str] = field(default_factory=dict)
    """User -> ETag of the `member:` row that goes."""
    postponed: Mapping[str, bool] = field(default_factory=dict)
    """Users without a `change:` row who have to be looked at again -> whether they leave the group."""
    fill: str = ""
    """Up to where all memberships were compared."""
    is_last: bool = True
    """Nothing is left that could be done now."""
    wait_s: float = 0.0
    """Seconds after which to look again at those whose accounts are being written; 0: there are none."""
    refused: int = 0
    """Memberships that the vendor refused and that wait for their next try."""
    refused_until: datetime | None = None
    refused_code: str = ""
    leaving: int = 0
    """How many memberships all that is to be looked at takes away, as far as is known."""


def decide(member: Member, *, keeps_disabled: bool) -> Decision:
    """What becomes of one membership. `keeps_disabled`: a disabled account stays a member."""
    if member.is_in_flight and not member.in_doubt:
        return Decision.LATER
    if member.is_member is None:
        return Decision.NOTHING
    wanted = member.is_member and bool(member.target_id) and (keeps_disabled or not member.is_disabled)
    is_sent = bool(member.sent_target)
    if wanted:
        is_there = member.sent_target == member.target_id and not member.again and not member.in_doubt
        return Decision.NOTHING if is_there else Decision.ADD
    if member.target_id and (member.in_doubt or member.sent_target == member.target_id):
        return Decision.REMOVE
    return Decision.FORGET if is_sent else Decision.NOTHING


def loses_many(thresholds: DeletionGuard, *, removed: int, population: int) -> bool:
    """Whether a group that had `population` members loses so many that a person is asked first.

    The thresholds are those of the application's deletion guard; the percentage counts from `min_population` on.
    """
    if removed > thresholds.max_count:
        return True
    return population >= thresholds.min_population and removed > population * thresholds.max_percent / 100
