"""Every account whose last attempt failed, as a person wants to see it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.operations.pages import Page, Section, read_sections, require_word
from shared.provisioning.accounts import Account, ResourceKind, read_account
from shared.provisioning.attempt import remedy_of
from shared.storage.tables import Row, Tables, equals

_COLUMNS = (
    "target_id",
    "state",
    "attempts",
    "failed_at",
    "last_failed_at",
    "next_attempt_at",
    "error_code",
    "error",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedAccount:
    """One account with its trouble."""

    kind: str
    source_id: str
    target_id: str
    state: str
    """`escrowed`: tried again on the ladder; anything else: tried again soon, by itself."""
    code: str
    text: str
    first_at: datetime | None
    last_at: datetime | None
    attempts: int
    next_at: datetime | None
    """None: given up, or as soon as its turn comes."""
    remedy: str


async def read_failures_page(
    tables: Tables, app: str, *, code: str = "", limit: int = 100, cursor: str = ""
) -> Page[FailedAccount]:
    """Read some failed accounts, of one error code if it is given, people before groups.

    Raises FilterRefused, CursorRefused, StorageUnavailable, ValueError for a limit outside 1 to 1000.
    """
    require_word("code", code)
    where = equals("error_code", code) if code else "error_code ne ''"
    sections = [Section(name=kind, prefix=f"{kind}:", where=where, select=_COLUMNS) for kind in ResourceKind]

    def decode(section: Section, row: Row) -> FailedAccount:
        source_id = row.key.removeprefix(section.prefix)
        return _describe(read_account(row, application=app, kind=ResourceKind(section.name), source_id=source_id))

    return await read_sections(tables, app, sections, decode, limit=limit, cursor=cursor)


def _describe(account: Account) -> FailedAccount:
    return FailedAccount(
        kind=account.kind.value,
        source_id=account.source_id,
        target_id=account.target_id,
        state=account.state.value,
        code=account.error_code,
        text=account.error,
        first_at=account.failed_at,
        last_at=account.last_failed_at,
        attempts=account.attempts,
        next_at=account.next_attempt_at,
        remedy=remedy_of(account.error_code),
    )
