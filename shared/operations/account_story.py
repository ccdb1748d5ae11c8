"""One account's whole story: what the directory says, what the row says, what comes next, what was done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.config.applications import Application
from shared.directory.mirror import GroupFacts, Mirror, UserFacts
from shared.operations.log_lines import LogFilter, LogLine, read_log_page
from shared.provisioning.account_rows import AccountRows
from shared.provisioning.accounts import Account, AccountState, ResourceKind
from shared.provisioning.attempt import OwnCode, remedy_of
from shared.provisioning.standing import judge_standing
from shared.rules.failures import InvalidData
from shared.storage.tables import Tables

_LINES = 20
"""Of the log, newest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountStory:
    """Everything known about a person, or a group, at one application. Names of attributes, never their values."""

    application: str
    kind: str
    source_id: str
    directory: Mapping[str, Any]
    """`presence`, `standing`, `roles`, `groups` and `scoping` as the mirror has them now."""
    row: Mapping[str, Any]
    """Columns of the account row that say something; empty: there is no row."""
    next: str
    """What happens next, in a sentence."""
    remedy: str
    log: Sequence[LogLine]

    @property
    def is_known(self) -> bool:
        """Whether the mirror or the rows have ever seen this person or group."""
        return bool(self.row) or self.directory["presence"] != "unknown"


async def find_source(rows: AccountRows, app: str, given: str) -> tuple[ResourceKind, str]:
    """Who is meant by what a person typed: a directory id, or the vendor's id of the account or group."""
    for kind in ResourceKind:
        holder = await rows.find_owner(app, kind, given)
        if holder:
            return kind, holder.removeprefix(f"{kind}:")
    group = await rows.read(app, ResourceKind.GROUP, given)
    return (ResourceKind.GROUP if group.etag else ResourceKind.USER), given


async def tell_account(
    application: Application,
    source: tuple[ResourceKind, str],
    *,
    rows: AccountRows,
    mirror: Mirror,
    tables: Tables,
    now: datetime,
) -> AccountStory:
    """Read one account's story. Raises StorageUnavailable."""
    kind, source_id = source
    log = await read_log_page(tables, [application.name], LogFilter(source_id=source_id), limit=_LINES)
    return await tell_account_of(
        application,
        source,
        facts=await mirror.read_facts(kind, source_id),
        log=list(log.items),
        rows=rows,
        mirror=mirror,
        now=now,
    )


async def tell_account_of(
    application: Application,
    source: tuple[ResourceKind, str],
    *,
    facts: UserFacts | GroupFacts,
    log: Sequence[LogLine],
    rows: AccountRows,
    mirror: Mirror,
    now: datetime,
) -> AccountStory:
    """The story of an account whose facts and log were read already: two requests. Raises StorageUnavailable."""
    kind, source_id = source
    account = await rows.read(application.name, kind, source_id)
    groups = await mirror.read_assigned_groups(application.name)
    directory: dict[str, Any] = {"presence": facts.presence.value}
    try:
        standing = judge_standing(application, facts, groups)
    except InvalidData as error:
        directory["standing"] = str(error)
    else:
        directory |= {
            "standing": standing.reason.value,
            "roles": [role.value or role.id for role in standing.roles],
            "scoping": dict(standing.explanation),
        }
        if isinstance(facts, UserFacts):
            directory["groups"] = sorted(group for group, member in facts.groups.items() if member and group in groups)
    return AccountStory(
        application=application.name,
        kind=kind.value,
        source_id=source_id,
        directory=directory,
        row=_columns(account) if account.etag else {},
        next=_next(account, now) if account.etag else "There is no row: nothing was ever wanted for this account.",
        remedy=remedy_of(account.error_code),
        log=log,
    )


def _columns(account: Account) -> dict[str, Any]:
    columns: dict[str, Any] = {
        "state": account.state.value,
        "target_id": account.target_id,
        "linked_at": account.linked_at,
        "wanted": account.wanted,
        "applied": account.applied,
        "pending": account.pending,
        "queued_at": account.queued_at,
        "attempts": account.attempts,
        "next_attempt_at": account.next_attempt_at,
        "failed_at": account.failed_at,
        "last_failed_at": account.last_failed_at,
        "error_code": account.error_code,
        "error": account.error,
        "lease_until": account.lease_until,
        "intent": account.intent.kind.value if account.intent else "",
        "intent_at": account.intent_at,
        "staged": account.staged,
        "permit": account.permit,
        "rejected": account.rejected,
        "config": account.config,
        "sent": sorted(account.sent) if account.sent is not None else None,
    }
    if account.kind is ResourceKind.GROUP:
        columns |= {"members": account.members, "compares_all": bool(account.fill), "removing": account.removing or ""}
    return {name: value for name, value in columns.items() if value not in ("", None)}


def _next(account: Account, now: datetime) -> str:
    """The sentence that answers "and now?"; the first that applies."""
    if account.is_held():
        return "Held by the deletion guard: a person approves or rejects it (`provisioner held list`)."
    if account.staged and not account.permit:
        return "Staged: the deletion guard decides at the end of the sync round or at the next housekeeping."
    if account.is_leased(now):
        return f"A worker is at it until {account.lease_until}."
    if account.state is AccountState.SKIPPED and account.error_code == OwnCode.GROUP_MISSING:
        return f"Not at the vendor under this name: looked for again at {account.next_attempt_at}."
    if account.state is AccountState.ESCROWED and account.pending:
        if account.next_attempt_at is None:
            return "Given up: it is tried again when the person changes in the directory."
        return f"In escrow: tried again by itself at {account.next_attempt_at}, at once when the person changes."
    if account.is_in_doubt(now):
        return "The last request's outcome is unknown: the whole state is asserted again when it cannot land any more."
    if account.pending and account.next_attempt_at is not None and account.next_attempt_at > now:
        return f"Tried again by itself at {account.next_attempt_at}."
    if account.pending:
        return "Waits for its turn in the queue."
    return "Nothing is to be done."
