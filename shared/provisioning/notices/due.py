"""Which notices are due: what is, compared with what was told. Pure.

Level-triggered: nobody has to remember that something happened. What happened stands in the application's history, in
the guard's marks and in the calendar; whoever looks finds it, whenever that is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from shared.clock import write_instant
from shared.provisioning.applications_state import ApplicationStatus, StatusChange
from shared.provisioning.notices.notice import Notice, NoticeType, make_notice

EXPIRY_STEPS = (0, 1, 3, 7, 14, 30)
"""Days before a credential ends on which a person is told; afterwards daily."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldList:
    """What the deletion guard asks a person about."""

    list_number: str
    """Highest staged number on the list: what an answer names."""
    lowest: str
    """Lowest staged number on it: everything below is settled."""
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is, at one application."""

    application: str
    now: datetime
    history: Sequence[StatusChange]
    """Newest first."""
    held: HeldList | None = None
    """None: nobody is held."""
    expires_on: date | None = None
    """Last day of the credential; None: nobody said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """Up to where things were noted as told."""

    status: str = ""
    """Names the newest change of status that was noted; empty: there was none."""
    hold: str = ""
    """List number of the hold that was noted and not yet noted as settled."""
    expires_on: str = ""
    step: int | None = None
    """The step of the expiry that was noted for `expires_on`; None: none yet."""


def find_due(facts: Facts, marks: Marks | None) -> tuple[tuple[Notice, ...], Marks]:
    """The notices that are due, in order, and the marks once they are noted.

    No marks: nobody ever looked at this application. What stands is told, what is over is not.
    """
    changes, status = _due_changes(facts, marks.status if marks else None)
    marks = replace(marks or Marks(), status=status)
    holds, hold = _due_holds(facts, marks.hold)
    expiry, marks = _due_expiry(facts, replace(marks, hold=hold))
    return (*changes, *holds, *expiry), marks


def _due_changes(facts: Facts, mark: str | None) -> tuple[list[Notice], str]:
    history = facts.history
    if not history:
        return [], mark or ""
    # By its place in the history, not by its instant: workers' clocks differ.
    marked = next((at for at, change in enumerate(history) if _mark_of(change) == mark), len(history))
    if mark is None:
        marked = 0 if history[0].status is ApplicationStatus.ACTIVE else 1
    due = [_tell_change(facts.application, history, at) for at in range(marked - 1, -1, -1)]
    return due, _mark_of(history[0])


def _mark_of(change: StatusChange) -> str:
    return f"{write_instant(change.at)} {change.status} {change.reason}"


def _tell_change(app: str, history: Sequence[StatusChange], at: int) -> Notice:
    change = history[at]
    before = history[at + 1] if at + 1 < len(history) else None
    data: dict[str, Any] = {}
    match change.status:
        case ApplicationStatus.QUARANTINE:
            notice_type = NoticeType.QUARANTINED
            data = {"reason": change.reason}
            if before is not None and before.status is ApplicationStatus.QUARANTINE:
                data["previous"] = before.reason
        case ApplicationStatus.PAUSED:
            notice_type = NoticeType.PAUSED
            data = {"reason": change.reason}
        case ApplicationStatus.ACTIVE:
            notice_type = NoticeType.RESUMED
            data = {"after": before.reason} if before is not None else {}
    return make_notice(notice_type, app, _mark_of(change), at=change.at, data=data)


def _due_holds(facts: Facts, mark: str) -> tuple[list[Notice], str]:
    """A hold is told when it begins and when all that were on its list are settled; that it grew is in the digest."""
    held = facts.held
    due: list[Notice] = []
    if mark and (held is None or held.lowest > mark):
        data: dict[str, Any] = {"list_number": mark}
        due.append(make_notice(NoticeType.SETTLED, facts.application, mark, at=facts.now, data=data))
        mark = ""
    if held is not None and not mark:
        mark = held.list_number
        data = {"list_number": mark, "count": held.count}
        due.append(make_notice(NoticeType.HELD, facts.application, mark, at=facts.now, data=data))
    return due, mark


def _due_expiry(facts: Facts, marks: Marks) -> tuple[list[Notice], Marks]:
    if facts.expires_on is None:
        return [], replace(marks, expires_on="", step=None)
    day = facts.expires_on.isoformat()
    told = marks.step if marks.expires_on == day else None
    days = (facts.expires_on - facts.now.date()).days
    step = expiry_step(days)
    if step is None or (told is not None and step >= told):
        return [], replace(marks, expires_on=day, step=told)
    notice_type = NoticeType.EXPIRED if days < 0 else NoticeType.EXPIRING
    data: dict[str, Any] = {"days": days, "expires_on": day}
    due = make_notice(notice_type, facts.application, day, str(step), at=facts.now, data=data)
    return [due], replace(marks, expires_on=day, step=step)


def expiry_step(days: int) -> int | None:
    """The step that so many days before the end belong to: the next day named in `EXPIRY_STEPS`, every day afterwards.

    None: nobody is told yet.
    """
    if days < 0:
        return days
    return next((step for step in EXPIRY_STEPS if days <= step), None)
