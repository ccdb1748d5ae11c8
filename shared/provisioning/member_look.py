"""What one attempt finds out about a group's memberships, bit by bit, until a request is full. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from shared.clock import read_instant
from shared.provisioning.accounts import Account, AccountState, member_key
from shared.provisioning.member_changes import Decision, Member, MemberBatch, MemberChange, decide
from shared.provisioning.retrying import is_due
from shared.storage.tables import Row

GATHER_S = 5.0
"""A group waits this long for more accounts of its members before it is written: many appear together."""

IN_DOUBT_S = 60.0
"""A group looks again after this when an account of a member is in doubt: that takes minutes."""


@dataclass(slots=True, kw_only=True)
class MemberLook:
    """What one attempt finds out about a group's memberships, bit by bit."""

    limit: int
    keeps_disabled: bool
    now: datetime
    fill: str
    asserted: int = 0
    """What was sent before this restart of the application is in doubt."""
    changes: dict[str, list[Row]] = field(default_factory=dict)
    """User -> `change:` rows that are due, oldest first."""
    sent: dict[str, str] = field(default_factory=dict)
    """User -> the account that was made a member."""
    sent_etags: dict[str, str] = field(default_factory=dict)
    distrusted: set[str] = field(default_factory=set)
    """Users of whom what was sent is in doubt since a restart."""
    decided: set[str] = field(default_factory=set)
    added: dict[str, str] = field(default_factory=dict)
    removed: dict[str, str] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)
    settled: list[str] = field(default_factory=list)
    forgotten: dict[str, str] = field(default_factory=dict)
    postponed: dict[str, bool] = field(default_factory=dict)
    is_last: bool = True
    wait_s: float = 0.0
    looked_at: int = 0
    leaving: int = 0
    refused: list[Row] = field(default_factory=list)

    @property
    def room(self) -> int:
        """How many more memberships the request can hold."""
        return self.limit - len(self.added) - len(self.removed)

    def note_changes(self, rows: Iterable[Row]) -> None:
        """Sort what is to be looked at; a later change of somebody who was refused is tried at once."""
        by_user: dict[str, list[Row]] = {}
        for row in rows:
            by_user.setdefault(user_of(row.key), []).append(row)
        for user_id, found in by_user.items():
            newest = found[-1]
            if newest.values.get("refused") and not is_due(instant_of(newest, "again_at"), self.now):
                self.refused.append(newest)
            else:
                self.changes[user_id] = found
        self.leaving = sum(bool(found[-1].values.get("left")) for found in self.changes.values())

    def note_sent(self, rows: Iterable[Row], group: Account) -> None:
        """Know what was sent. What was sent to a group that was made anew since is void."""
        for row in rows:
            user_id = row.key.removeprefix(member_key(group.source_id, ""))
            self.sent_etags[user_id] = row.etag
            if row.values.get("of") == group.target_id:
                self.sent[user_id] = str(row.values.get("target", ""))
                if int(row.values.get("asserted", 0)) < self.asserted:
                    self.distrusted.add(user_id)

    def is_void(self, user_id: str) -> bool:
        """Whether something was sent to a group that is no more."""
        return user_id in self.sent_etags and user_id not in self.sent

    def member(self, user_id: str, account: Account, is_member: bool | None, *, in_doubt: bool = False) -> Member:
        """Everything that decides one membership."""
        rows, is_in_flight = self.changes.get(user_id, ()), account.intent is not None
        doubted = user_id in self.distrusted or any(row.values.get("doubt") for row in rows)
        was_in_doubt = doubted and not is_in_flight
        return Member(
            user_id=user_id,
            is_member=is_member,
            target_id="" if account.state is AccountState.DELETED else account.target_id,
            is_disabled=account.state is AccountState.DISABLED,
            is_in_flight=is_in_flight,
            is_leased=account.is_leased(self.now),
            sent_target=self.sent.get(user_id, ""),
            again=any(row.values.get("again") for row in rows),
            in_doubt=in_doubt or was_in_doubt,
        )

    def take(self, members: Iterable[Member], *, emptied: bool = False) -> None:
        """Decide these; `emptied`: as if nobody was a member any more."""
        for each in members:
            member = replace(each, is_member=False) if emptied else each
            self.looked_at += 1
            self.decided.add(member.user_id)
            decision = decide(member, keeps_disabled=self.keeps_disabled)
            rows = self.changes.get(member.user_id, [])
            if member.is_in_flight and not (rows or emptied):
                self.postponed[member.user_id] = False
            if decision is Decision.LATER:
                self.is_last = False
                self.wait_s = GATHER_S if member.is_leased else self.wait_s or IN_DOUBT_S
                continue
            self.settled += [row.key for row in rows]
            if decision is Decision.ADD:
                self.added[member.user_id] = member.target_id
            elif decision is not Decision.NOTHING or self.is_void(member.user_id):
                if member.user_id in self.sent_etags:
                    self.forgotten[member.user_id] = self.sent_etags[member.user_id]
                if decision is Decision.REMOVE:
                    self.removed[member.user_id] = member.target_id
                    if member.in_doubt:
                        self.doubtful.add(member.user_id)

    def postpone_removals(self) -> None:
        """Leave the removals for a request of their own."""
        kept = {row.key for user_id in self.removed for row in self.changes.get(user_id, ())}
        self.settled = [key for key in self.settled if key not in kept]
        self.postponed |= {user_id: True for user_id in self.removed if user_id not in self.changes}
        self.forgotten = {user_id: etag for user_id, etag in self.forgotten.items() if user_id not in self.removed}
        self.removed.clear()
        self.doubtful.clear()
        self.is_last = False

    def batch(self) -> MemberBatch:
        """What was found out."""
        again = [at for row in self.refused if (at := instant_of(row, "again_at")) is not None]
        return MemberBatch(
            change=MemberChange(added=self.added, removed=self.removed, doubtful=frozenset(self.doubtful)),
            settled=tuple(self.settled),
            forgotten=self.forgotten,
            postponed=self.postponed,
            fill=self.fill,
            is_last=self.is_last and not self.fill,
            wait_s=self.wait_s,
            refused=len(self.refused),
            refused_until=min(again, default=None),
            refused_code=str(self.refused[0].values.get("refused", "")) if self.refused else "",
            leaving=self.leaving,
        )


def change_columns(*, left: bool) -> dict[str, Any]:
    """The columns of a `change:` row. `left` is for the deletion guard to count; what is done the directory says."""
    return {"left": left, "refused": ""}


def user_of(key: str) -> str:
    """The user a `change:` row is about."""
    return key.split(":", 3)[3]


def instant_of(row: Row, name: str) -> datetime | None:
    """An instant column of a row."""
    return read_instant(str(row.values.get(name, "")))
