"""Account rows of an application that meet a condition, decoded, page by page: for whoever looks through them all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from shared.provisioning.accounts import ACCOUNTS, Account, ResourceKind, read_account
from shared.storage.tables import Tables


async def list_accounts(
    tables: Tables,
    app: str,
    kind: ResourceKind,
    *,
    where: str = "",
    select: Sequence[str] = (),
    after: str = "",
    page_size: int = 1000,
) -> AsyncIterator[list[Account]]:
    """Read the rows of users, or of groups, in the order of their keys; no page is empty.

    `where` is an OData condition on columns, written by us; an empty `select` means all columns; `after` is the key of
    the row to go on behind. Raises StorageUnavailable.
    """
    prefix = f"{kind}:"
    first = f"{after}\x01" if after > prefix else prefix
    pages = tables.query(ACCOUNTS, app, first=first, before=f"{kind};", where=where, select=select, page_size=page_size)
    async for page in pages:
        if page:
            yield [
                read_account(row, application=app, kind=kind, source_id=row.key.removeprefix(prefix)) for row in page
            ]
