"""What the deletion guard holds at one application, as a person wants to see it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.provisioning.accounts import ResourceKind
from shared.provisioning.held_deletions import Held


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldAccount:
    """One account whose disable or delete waits."""

    kind: str
    source_id: str
    target_id: str
    """Empty: it may exist, because a create was not answered."""
    state: str
    members: int | None
    """Groups: how many memberships would be taken away; None for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldReport:
    """A list of held accounts."""

    list_number: str
    """What an answer names; empty: nothing is held."""
    since: datetime | None
    accounts: tuple[HeldAccount, ...]


def report_held(held: Held) -> HeldReport:
    """The list without anything that is only the protocol's business."""
    return HeldReport(
        list_number=held.list_number,
        since=held.since,
        accounts=tuple(
            HeldAccount(
                kind=account.kind.value,
                source_id=account.source_id,
                target_id=account.target_id,
                state=account.state.value,
                members=(account.removing or account.members) if account.kind is ResourceKind.GROUP else None,
            )
            for account in held.accounts
        ),
    )
