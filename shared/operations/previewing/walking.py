"""Facts and rows side by side: the mirror's partitions and each application's rows, merged by id.

The mirror spreads people over sixteen partitions and rows lie by application, each in order of the ids. Read page by
page and merged, everybody's facts and rows come together for two or three requests per thousand, and none per account.
Ids of the directory are of one length, so that their order is the order of all these keys.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from shared.directory.mirror import GroupFacts, Mirror, UserFacts
from shared.provisioning.account_rows import AccountRows
from shared.provisioning.accounts import Account, ResourceKind
from shared.storage.tables import gather_all

_DIGITS = "0123456789abcdef"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One person or group: what the directory says, and the rows that there are."""

    source_id: str
    facts: UserFacts | GroupFacts
    """Of somebody unknown where the mirror has nothing."""
    accounts: Mapping[str, Account]
    """Application -> row."""


@dataclass(slots=True)
class _Stream:
    """Pages of pairs in order of their ids, as far as they were read."""

    pages: AsyncIterator[list[tuple[str, Any]]]
    waiting: list[tuple[str, Any]] = field(default_factory=list)
    is_over: bool = False

    async def fill(self) -> None:
        """Read until something waits, or nothing is left."""
        while not self.waiting and not self.is_over:
            try:
                self.waiting = await anext(self.pages)
            except StopAsyncIteration:
                self.is_over = True

    def take(self, horizon: str | None) -> list[tuple[str, Any]]:
        """What waits, up to an id, which is included."""
        if horizon is None or not self.waiting or self.waiting[-1][0] <= horizon:
            taken, self.waiting = self.waiting, []
            return taken
        count = next(at for at, (source_id, _) in enumerate(self.waiting) if source_id > horizon)
        taken, self.waiting = self.waiting[:count], self.waiting[count:]
        return taken


async def walk_users(
    mirror: Mirror, rows: AccountRows, apps: Sequence[str], *, after: str = "", until: str = ""
) -> AsyncGenerator[list[Sighting]]:
    """Everybody the mirror or a row knows, in order of ids, `after` one and `until` another, which is included."""
    facts = [mirror.list_user_facts(digit, after=after, until=until) for digit in _DIGITS]
    accounts = {app: rows.list_accounts(app, ResourceKind.USER, after=after, until=until) for app in apps}
    async with aclosing(_merge(facts, accounts)) as batches:
        async for known, owned in batches:
            yield [
                Sighting(
                    source_id=source_id, facts=known.get(source_id) or UserFacts(user=None), accounts=owned[source_id]
                )
                for source_id in sorted(owned)
            ]


async def walk_groups(
    mirror: Mirror, rows: AccountRows, app: str, *, after: str = ""
) -> AsyncGenerator[list[Sighting]]:
    """Every group the mirror or a row of one application knows, in order of ids, `after` one."""
    accounts = {app: rows.list_accounts(app, ResourceKind.GROUP, after=after)}
    async with aclosing(_merge([mirror.list_group_facts(after=after)], accounts)) as batches:
        async for known, owned in batches:
            yield [
                Sighting(
                    source_id=source_id,
                    facts=known.get(source_id) or GroupFacts(id=source_id),
                    accounts=owned[source_id],
                )
                for source_id in sorted(owned)
            ]


async def _merge(
    facts: Sequence[AsyncIterator[list[tuple[str, Any]]]],
    accounts: Mapping[str, AsyncIterator[list[tuple[str, Account]]]],
) -> AsyncGenerator[tuple[dict[str, Any], dict[str, dict[str, Account]]]]:
    """Batches of facts by id, and of rows by id and application; every id of a batch is in the second."""
    about = [_Stream(pages) for pages in facts]
    owned = {app: _Stream(pages) for app, pages in accounts.items()}
    streams = [*about, *owned.values()]
    try:
        while True:
            await gather_all([stream.fill() for stream in streams])
            going = [stream for stream in streams if stream.waiting]
            if not going:
                return
            # Beyond the first end of a page somebody's other half may not have been read yet.
            open_ends = [stream.waiting[-1][0] for stream in going if not stream.is_over]
            horizon = min(open_ends, default=None)
            known = {source_id: found for stream in about for source_id, found in stream.take(horizon)}
            rows: dict[str, dict[str, Account]] = {source_id: {} for source_id in known}
            for app, stream in owned.items():
                for source_id, account in stream.take(horizon):
                    rows.setdefault(source_id, {})[app] = account
            yield known, rows
    finally:
        for stream in streams:
            await stream.pages.aclose()  # type: ignore[attr-defined]
