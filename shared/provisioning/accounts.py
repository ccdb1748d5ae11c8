"""The account row: everything about one person's or group's existence at one application.

Three writers, and no fourth: the puller *raises* (a merge of `wanted, pending, queued_at, staged, trace`), a consumer
*saves* (conditional on the ETag it read) and the guard *releases* (a transaction with its own row). Each writes only
its own columns, so a save that was refused because of a raise can be repeated on the newer row, which keeps the raise.

Rows of an application (`accounts` / application):

    user:<source id>              the account row of a person
    group:<source id>             the account row of a group
    target:<kind>:<target id>     who owns an account at the vendor (never two rows, protocol H8)
    match:<kind>:<hash of value>  an open create or rename reserves the value (protocol H12)
    member:<group>:<user>         a membership as it was sent
    change:<group>:<number>:<user>  a membership that is to be looked at
    refers:<source id>:<row key>  whose row refers to whom (a manager), so that a late account wakes who waits for it
    guard                         the deletion guard
    raise:<number>:<part>         ids of many accounts that are raised when their queue has room
    log:<inverted time>:<id>      the provisioning log, newest first
    story:<source id>:<inverted time>:<id>  the same by whose record it is
    drift:, seen:, unowned:       what a verification found (`drift/findings`)
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NewType, TypeVar

from shared.clock import read_instant, write_instant
from shared.rules.attribute_paths import JSON
from shared.storage.tables import TEXT_LIMIT, Row
from shared.tracing import read_trace

Number = NewType("Number", str)
"""`<epoch>.<n>.<release>`, fixed width: compares as text, never used twice for a row (protocol H1)."""

ACCOUNTS = "accounts"
FROM_START = "*"
"""`fill` of a group whose memberships are compared from the first one on; no id looks like this."""
GUARD_KEY = "guard"

_Member = TypeVar("_Member", bound=StrEnum)


class ResourceKind(StrEnum):
    """What an account is at the vendor."""

    USER = "user"
    GROUP = "group"


class AccountState(StrEnum):
    """Where an account stands."""

    PENDING = "pending"
    """Something is wanted that was not applied yet."""
    IN_SYNC = "in_sync"
    """The vendor holds what the mapping says."""
    SKIPPED = "skipped"
    """Not provisioned, on purpose: not in scope, not entitled, never existed there."""
    DISABLED = "disabled"
    """Exists at the vendor and is switched off."""
    ESCROWED = "escrowed"
    """Failed for a reason that trying at once would not cure; retried on the ladder."""
    HELD = "held"
    """A disable or delete waits for the deletion guard's permit."""
    DELETED = "deleted"
    """Was removed at the vendor."""


class IntentKind(StrEnum):
    """What is about to be sent."""

    CREATE = "create"
    PATCH = "patch"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What the row says before every vendor write. Not closed by a save, it makes `sent` worthless (protocol H3)."""

    kind: IntentKind
    matching: str = ""
    """The matching value this write gives the account; a lost create is searched under it (protocol H5)."""
    paths: tuple[str, ...] = ()
    """Target paths that open writes may have set, so that a later re-assert can remove what is no longer wanted."""
    external_id: str = ""
    """The externalId a create was sent with: by it a lost one is known as ours, whatever the mapping says by then."""

    def encode(self) -> str:
        """Write the intent as the column holds it."""
        return json.dumps([self.kind, self.matching, list(self.paths), self.external_id], ensure_ascii=False)

    @classmethod
    def decode(cls, text: str) -> Intent | None:
        """Read the column; the empty string, a closed intent, is None.

        What another version wrote, or somebody edited, is an open intent all the same: everything is asserted again.
        """
        if not text:
            return None
        try:
            kind, matching, paths, external_id = json.loads(text)
            return cls(
                kind=IntentKind(kind),
                matching=str(matching),
                paths=tuple(map(str, paths)),
                external_id=str(external_id),
            )
        except (ValueError, TypeError):
            return cls(kind=IntentKind.PATCH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One reference of an account: who is meant, and the id of their account; empty: awaited."""

    source_id: str
    target_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account row as read. Empty text means absent, as in storage."""

    application: str
    kind: ResourceKind
    source_id: str
    etag: str = ""
    """Empty: there is no row yet."""
    target_id: str = ""
    target_version: str = ""
    """The vendor's ETag of the resource, where it gives one."""
    linked_at: datetime | None = None
    missed_at: datetime | None = None
    """When a linked account answered 404 first; a second 404 drops the link (protocol T31)."""
    wanted: str = ""
    applied: str = ""
    tried: str = ""
    """`wanted` of the last failed attempt: a newer one is tried at once, the same one waits (protocol T16)."""
    pending: bool = False
    queued_at: datetime | None = None
    trace: str = ""
    """W3C traceparent of the run that raised the row to `wanted`: whoever sends its message goes on with it."""
    config: str = ""
    sent: Mapping[str, JSON] | None = None
    """Attributes as last sent; None: unknown."""
    skipped: str = ""
    """Why nothing was sent when that was last decided: told when it is another reason than before."""
    state: AccountState = AccountState.PENDING
    attempts: int = 0
    next_attempt_at: datetime | None = None
    failed_at: datetime | None = None
    """When the present series of failures began."""
    last_failed_at: datetime | None = None
    error_code: str = ""
    error: str = ""
    crash: str = ""
    """The exception an attempt ended with that nobody foresaw: its type and where, never its text."""
    lease_token: str = ""
    lease_until: datetime | None = None
    intent: Intent | None = None
    intent_at: datetime | None = None
    references: Mapping[str, Reference] = field(default_factory=dict)
    """Target path -> who is referred to, as last saved."""
    recheck: str = ""
    """`wanted` that somebody's new link raised this row to: what it refers to is read again."""
    referred: bool = False
    """Others refer to this account: they are told when it gets a link (protocol T7)."""
    waking: bool = False
    """The account got its link, and whoever refers to it may not have been told yet."""
    fill: str = ""
    """Groups: the user after whom all memberships are still to be compared, `FROM_START`, or empty: none."""
    members: int = 0
    """Groups: how many memberships were sent."""
    chunk: int = 0
    """Groups: how many memberships one request may hold, after the vendor refused more; 0: the profile's limit."""
    removing: int = 0
    """Groups: how many memberships the plan that was staged takes away."""
    removed: int = 0
    """Groups: how many memberships were taken away since `removed_since`."""
    removed_since: datetime | None = None
    doubted_at: datetime | None = None
    """When a write was repeated because the one before had no answer: the vendor is asked later what it holds."""
    staged: str = ""
    permit: str = ""
    rejected: str = ""

    @property
    def key(self) -> str:
        """The row key."""
        return account_key(self.kind, self.source_id)

    def is_leased(self, now: datetime) -> bool:
        """Whether another consumer holds the row now."""
        return bool(self.lease_token) and self.lease_until is not None and now < self.lease_until

    def is_in_doubt(self, now: datetime) -> bool:
        """Whether an intent was left open by a holder that is gone."""
        return self.intent is not None and not self.is_leased(now)

    def is_held(self) -> bool:
        """Whether the guard's permit is missing for what is wanted now."""
        if self.state is not AccountState.HELD or self.permit:
            return False
        return bool(self.staged) or self.rejected == self.wanted


def account_key(kind: ResourceKind, source_id: str) -> str:
    """The row key of an account."""
    return f"{kind}:{source_id}"


def target_key(kind: ResourceKind, target_id: str) -> str:
    """The row key that says who owns an account at the vendor."""
    return f"target:{kind}:{target_id}"


def match_key(kind: ResourceKind, value: str) -> str:
    """The row key that reserves a matching value; folded, because vendors compare names without case."""
    return f"match:{kind}:{hashlib.sha256(value.casefold().encode()).hexdigest()[:40]}"


def member_key(group_id: str, user_id: str) -> str:
    """The row key of a membership as it was sent."""
    return f"member:{group_id}:{user_id}"


def change_key(group_id: str, number: str, user_id: str) -> str:
    """The row key that says: this membership is to be looked at. A later change has a key of its own."""
    return f"change:{group_id}:{number}:{user_id}"


def refers_key(source_id: str, by: str) -> str:
    """The row key that says: the row `by` refers to this source."""
    return f"refers:{source_id}:{by}"


def make_number(epoch: int, n: int) -> Number:
    """The number of one page attempt of one puller epoch."""
    return Number(f"{epoch:010d}.{n:08d}.000")


def is_number(text: str) -> bool:
    """Whether a text could be a number of ours."""
    return re.fullmatch(r"\d{10}\.\d{8}\.\d{3,}", text) is not None


def released_number(staged: str) -> Number:
    """The number a release of the guard raises to: new for the row, and the same when the release is repeated."""
    head, _, release = staged.rpartition(".")
    return Number(f"{head}.{int(release) + 1:03d}")


def read_account(row: Row | None, *, application: str, kind: ResourceKind, source_id: str) -> Account:
    """Decode a row; an absent one is an account with nothing wanted."""
    if row is None:
        return Account(application=application, kind=kind, source_id=source_id)
    values = row.values

    def text(name: str) -> str:
        return str(values.get(name, ""))

    def instant(name: str) -> datetime | None:
        return read_instant(text(name))

    return Account(
        application=application,
        kind=kind,
        source_id=source_id,
        etag=row.etag,
        target_id=text("target_id"),
        target_version=text("target_version"),
        linked_at=instant("linked_at"),
        missed_at=instant("missed_at"),
        wanted=text("wanted"),
        applied=text("applied"),
        tried=text("tried"),
        pending=bool(values.get("pending", False)),
        queued_at=instant("queued_at"),
        trace=read_trace(values.get("trace")),
        config=text("config"),
        sent=_read_sent(text("sent")),
        skipped=text("skipped"),
        # The row's numbers say what is left to do.
        state=read_known(text("state"), AccountState.PENDING),
        attempts=int(values.get("attempts", 0)),
        next_attempt_at=instant("next_attempt_at"),
        failed_at=instant("failed_at"),
        last_failed_at=instant("last_failed_at"),
        error_code=text("error_code"),
        error=text("error"),
        crash=text("crash"),
        lease_token=text("lease_token"),
        lease_until=instant("lease_until"),
        intent=Intent.decode(text("intent")),
        intent_at=instant("intent_at"),
        references=_read_references(text("references")),
        recheck=text("recheck"),
        referred=bool(values.get("referred", False)),
        waking=bool(values.get("waking", False)),
        fill=text("fill"),
        members=int(values.get("members", 0)),
        chunk=int(values.get("chunk", 0)),
        removing=int(values.get("removing", 0)),
        removed=int(values.get("removed", 0)),
        removed_since=instant("removed_since"),
        doubted_at=instant("doubted_at"),
        staged=text("staged"),
        permit=text("permit"),
        rejected=text("rejected"),
    )


def _read_sent(text: str) -> Mapping[str, JSON] | None:
    """What was last sent; unknown when the column cannot be read, so that everything is asserted again."""
    try:
        sent = json.loads(text) if text else None
    except ValueError:
        return None
    return sent if isinstance(sent, dict) else None


def read_known(text: str, default: _Member) -> _Member:
    """The member that a stored text names; `default` for an empty text, and for one that only another version knows."""
    kind = type(default)
    return kind(text) if text in frozenset(kind) else default


def _read_references(text: str) -> dict[str, Reference]:
    """What another version wrote, or somebody edited, is nothing known: it is resolved again."""
    try:
        return {
            path: Reference(source_id=str(source_id), target_id=str(target_id))
            for path, (source_id, target_id) in (json.loads(text) if text else {}).items()
        }
    except (ValueError, TypeError, AttributeError):
        return {}


def encode_references(references: Mapping[str, Reference]) -> str:
    """Write references as the column holds them; none is the empty value."""
    if not references:
        return ""
    return json.dumps({path: [entry.source_id, entry.target_id] for path, entry in sorted(references.items())})


class SentTooLong(ValueError):
    """The mapped state does not fit one column."""


def write_columns(**columns: Any) -> dict[str, Any]:
    """Encode columns by their name in `Account`; None becomes the empty value that clears a column.

    Raises SentTooLong when the mapped state is longer than one property holds.
    """
    encoded: dict[str, Any] = {}
    for name, value in columns.items():
        match value:
            case None:
                encoded[name] = ""
            case datetime():
                encoded[name] = write_instant(value)
            case Intent():
                encoded[name] = value.encode()
            case StrEnum():
                encoded[name] = value.value
            case Mapping():
                encoded[name] = encode_sent(value)
            case _:
                encoded[name] = value
    return encoded


def encode_sent(attributes: Mapping[str, JSON]) -> str:
    """Write the mapped state as the `sent` column holds it. Raises SentTooLong."""
    text = json.dumps(attributes, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    if len(text.encode("utf-16-le")) // 2 > TEXT_LIMIT:
        raise SentTooLong(f"the mapped attributes take more than {TEXT_LIMIT} characters")
    return text


def raise_columns(number: Number, *, staged: bool, queued_at: datetime | None, trace: str) -> dict[str, Any]:
    """The columns a raise merges (protocol step 7). An empty `queued_at` leaves the row to the top-up."""
    return write_columns(
        wanted=number, pending=True, queued_at=queued_at, staged=number if staged else None, trace=trace
    )
