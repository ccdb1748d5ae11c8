"""One thing a person is told: what it is about, in ids, counts and codes, and in a sentence. Pure.

The id follows from what happened, not from when it was sent: a receiver that gets a notice twice, because a process
died between delivering it and writing that down, knows the second by it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.clock import read_instant, write_instant


class NoticeType(StrEnum):
    """What a notice is about."""

    QUARANTINED = "application.quarantined"
    """A quarantine began, or its reason is another one now (`data.previous`)."""
    PAUSED = "application.paused"
    RESUMED = "application.resumed"
    """A quarantine or a pause ended."""
    HELD = "deletions.held"
    """The deletion guard holds somebody; a person is asked."""
    SETTLED = "deletions.settled"
    """Nobody of a list that was told is held any more."""
    EXPIRING = "credential.expiring"
    EXPIRED = "credential.expired"
    DIGEST = "digest"
    """Once a day, when something is stuck."""
    TEST = "test"
    """A person tries the webhook."""


ABOUT_CREDENTIALS = frozenset({NoticeType.EXPIRING, NoticeType.EXPIRED})

LOGGED = ABOUT_CREDENTIALS | {NoticeType.DIGEST}
"""What is also told as a telemetry event by whoever notes it; status and holds are told so where they change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing to be told."""

    id: str
    """The same whenever the same is told again."""
    type: NoticeType
    application: str
    at: datetime
    """When it happened or, where nobody knows that, was noticed."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """Ids, counts, codes and days; never an attribute value or a vendor's words."""
    is_logged: bool = False
    """Its telemetry event was written, where it has one."""


def make_notice(
    notice_type: NoticeType, application: str, *occurrence: str, at: datetime, data: Mapping[str, Any]
) -> Notice:
    """A notice whose id follows from its type, its application and what tells this occurrence from others."""
    key = json.dumps([notice_type.value, application, *occurrence])
    return Notice(
        id=f"ntc_{hashlib.sha256(key.encode()).hexdigest()[:32]}",
        type=notice_type,
        application=application,
        at=at,
        data=data,
    )


def render_body(notice: Notice, *, link: str = "") -> bytes:
    """The JSON that is sent; the same bytes for the same notice. `text` is what a chat shows."""
    body: dict[str, Any] = {
        "id": notice.id,
        "type": notice.type.value,
        "application": notice.application,
        "at": write_instant(notice.at),
        "text": describe(notice),
        "data": notice.data,
    }
    if link:
        body["link"] = link
    return json.dumps(body, separators=(",", ":")).encode()


def describe(notice: Notice) -> str:
    """A sentence or two for people."""
    app, data = notice.application, notice.data
    match notice.type:
        case NoticeType.QUARANTINED if data.get("previous"):
            return f"{app} is still quarantined, now because of {data['reason']} (before: {data['previous']})."
        case NoticeType.QUARANTINED:
            return f"{app} is quarantined: {data['reason']}. Nothing is written to it until a probe succeeds."
        case NoticeType.PAUSED:
            return f"{app} was paused by a person. Nothing is written to it until somebody resumes it."
        case NoticeType.RESUMED:
            return f"{app} goes on, after {data['after']}." if data.get("after") else f"{app} goes on."
        case NoticeType.HELD:
            return (
                f"{app}: {_counted(data['count'], 'account')} would lose access or members, more than the deletion "
                f"guard allows. Approve or reject list {data['list_number']}; everything else goes on."
            )
        case NoticeType.SETTLED:
            return f"{app}: nobody of list {data['list_number']} is held any more."
        case NoticeType.EXPIRING if data["days"] == 0:
            return f"{app}: the credential ends today. Renew it at the vendor and change its setting."
        case NoticeType.EXPIRING:
            return f"{app}: the credential ends in {_counted(data['days'], 'day')}, on {data['expires_on']}."
        case NoticeType.EXPIRED:
            return f"{app}: the credential ended {_counted(-data['days'], 'day')} ago, on {data['expires_on']}."
        case NoticeType.DIGEST:
            return f"{app}: {_describe_stuck(data)}."
        case NoticeType.TEST:
            return f"{app}: this is a test. Notices of this application arrive here."


def _describe_stuck(data: Mapping[str, Any]) -> str:
    parts = [
        f"{data['stopped']} since {data['stopped_since'][:10]} ({data['reason']})" if data["stopped"] else "",
        _by_code(data["escrowed"], "in escrow"),
        _by_code(data["given_up"], "given up"),
        f"{data['poisoned']} poisoned" if data["poisoned"] else "",
        f"{data['held']} held by the deletion guard" if data["held"] else "",
        f"{data['pending']} waiting for more than an hour" if data["pending"] else "",
    ]
    return "stuck: " + "; ".join(part for part in parts if part)


def _by_code(counts: Mapping[str, int], what: str) -> str:
    if not counts:
        return ""
    codes = ", ".join(f"{code or 'unknown'} {count}" for code, count in counts.items())
    return f"{sum(counts.values())} {what} ({codes})"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def write_notices(notices: tuple[Notice, ...]) -> str:
    """Notices as a row holds them."""
    lines = [
        [each.id, each.type, each.application, write_instant(each.at), dict(each.data), each.is_logged]
        for each in notices
    ]
    return json.dumps(lines, separators=(",", ":")) if lines else ""


def read_notices(text: str) -> tuple[Notice, ...]:
    """What `write_notices` wrote; what another version wrote, or somebody edited, is nothing."""
    try:
        lines = json.loads(text) if text else []
    except ValueError:
        return ()
    read = (_read_notice(line) for line in lines) if isinstance(lines, list) else ()
    return tuple(notice for notice in read if notice is not None)


def _read_notice(line: Any) -> Notice | None:
    try:
        notice_id, notice_type, application, at, data, is_logged = line
        instant = read_instant(at)
        if instant is None:
            return None
        notice = Notice(
            id=str(notice_id),
            type=NoticeType(notice_type),
            application=str(application),
            at=instant,
            data=dict(data),
            is_logged=bool(is_logged),
        )
        describe(notice)  # It must be possible to tell it, or it would hold back those behind it for ever.
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return notice
