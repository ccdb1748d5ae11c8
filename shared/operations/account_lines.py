"""The accounts of an application by state, page by page, counted as its report counts them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from shared.config.applications import Application
from shared.operations.cursors import decode_cursor, encode_cursor, text_field
from shared.operations.pages import Page, Section, read_sections, require_limit
from shared.provisioning.accounts import Account, AccountState, ResourceKind, read_account
from shared.provisioning.held_deletions import HeldDeletions
from shared.storage.tables import Row, Tables, equals

_COLUMNS = ("target_id", "state", "pending", "wanted", "error_code", "attempts", "next_attempt_at", "queued_at")
_STAGED = "staged"
"""Name of the part of a list of held accounts that comes from the guard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLine:
    """One account, shortly."""

    kind: str
    source_id: str
    target_id: str
    state: str
    """`held` also for one that the guard holds and whose row still has the state it had before."""
    pending: bool
    """Something is wanted that was not applied yet."""
    error_code: str
    attempts: int
    next_attempt_at: datetime | None
    queued_at: datetime | None
    """When its message was sent last; None: it waits for its turn in the queue, or for nothing."""


async def read_accounts_page(
    application: Application,
    *,
    tables: Tables,
    held_deletions: HeldDeletions,
    state: AccountState | None = None,
    kind: ResourceKind | None = None,
    limit: int = 100,
    cursor: str = "",
) -> Page[AccountLine]:
    """Read some accounts of a state and kind, by default of all, people before groups.

    A state's pages hold as many accounts as the application's report counts for it, lists of accounts that have no row
    yet aside. Raises CursorRefused, StorageUnavailable, ValueError for a limit outside 1 to 1000.
    """
    require_limit(limit)
    staged = {account.key: account for account in (await held_deletions.read(application)).accounts}
    kinds = [each for each in ResourceKind if kind in (None, each)]
    lines: list[AccountLine] = []
    if state is AccountState.HELD:
        # Whoever the sync staged keeps the state they had: they come from the guard, the others from their state.
        after = _staged_after(cursor)
        if after is not None:
            waiting = [key for key in sorted(staged) if key > after and staged[key].kind in kinds]
            chosen = [staged[key] for key in waiting if staged[key].state is not AccountState.HELD]
            lines = [_describe(account, staged) for account in chosen[:limit]]
            if len(chosen) >= limit:
                return Page(items=tuple(lines), next=encode_cursor({"in": _STAGED, "on": chosen[limit - 1].key}))
            cursor = ""

    def decode(section: Section, row: Row) -> AccountLine | None:
        source_id = row.key.removeprefix(section.prefix)
        each = ResourceKind(section.name)
        account = read_account(row, application=application.name, kind=each, source_id=source_id)
        return _describe(account, staged) if account.wanted and _belongs(account, state, staged) else None

    sections = [Section(name=each, prefix=f"{each}:", where=_condition(state), select=_COLUMNS) for each in kinds]
    page = await read_sections(tables, application.name, sections, decode, limit=limit - len(lines), cursor=cursor)
    return Page(items=(*lines, *page.items), next=page.next)


def _staged_after(cursor: str) -> str | None:
    """Behind which account the guard's part of the list goes on; None: it was given already."""
    if not cursor:
        return ""
    place = decode_cursor(cursor)
    return text_field(place, "on") if text_field(place, "in") == _STAGED else None


def _condition(state: AccountState | None) -> str:
    match state:
        case None:
            return ""
        case AccountState.PENDING:
            # A row that was raised and never saved has no state yet.
            return f"pending eq true or {equals('state', state)}"
        case _:
            return equals("state", state)


def _belongs(account: Account, state: AccountState | None, staged: Mapping[str, Account]) -> bool:
    """Whether a row that storage answered is of a state; of the held ones the guard's part was given already."""
    if state in (None, AccountState.HELD):
        return True
    return account.state is state and account.key not in staged


def _describe(account: Account, staged: Mapping[str, Account]) -> AccountLine:
    return AccountLine(
        kind=account.kind.value,
        source_id=account.source_id,
        target_id=account.target_id,
        state=AccountState.HELD if account.key in staged else account.state.value,
        pending=account.pending,
        error_code=account.error_code,
        attempts=account.attempts,
        next_attempt_at=account.next_attempt_at,
        queued_at=account.queued_at,
    )
