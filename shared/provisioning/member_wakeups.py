"""Who is told that something decides a membership anew, so that no late member is forgotten (protocol T7).

A mark is a `change:` row. A user's consumer marks the user's memberships after the intent of the write that gives the
link, and before the save of it. A group that decides a membership while the user's intent is open keeps the mark and
decides again. So either the group sees the link, or the mark is written after the group looked. A group that is at work
is not raised: it looks for new marks once more after the save that leaves nothing pending, and housekeeping raises
groups whose marks nobody saw.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.clock import Clock
from shared.config.provisioning_file import ScopeMode
from shared.directory.mirror import Mirror
from shared.provisioning.account_rows import AccountRows, RowMoved
from shared.provisioning.accounts import (
    ACCOUNTS,
    Account,
    ResourceKind,
    change_key,
)
from shared.provisioning.attempt import Attempt
from shared.provisioning.member_look import GATHER_S, change_columns
from shared.storage.durable_writes import DurableWrite
from shared.storage.queues import Message, Queues
from shared.storage.tables import Operation, Tables, gather_all

_PARALLEL = 8
_TRIES = 5


@dataclass(slots=True, kw_only=True)
class MemberWakeups:
    """Marks memberships and raises groups."""

    rows: AccountRows
    tables: Tables
    mirror: Mirror
    queues: Queues
    clock: Clock

    async def tell(self, attempt: Attempt, *, again: bool = False) -> None:
        """Before a user's link is saved, and after its intent was: mark the user's memberships, wake their groups.

        Whoever decides a membership while the intent is open decides again later, so nobody misses the link. `again`:
        the vendor may have dropped what was sent.
        """
        account = attempt.account
        # Read now, not before the intent: what came in between would be nobody's to tell.
        facts = await self.mirror.read_user_facts(account.source_id)
        group_ids = [group_id for group_id, is_member in facts.groups.items() if is_member]
        if group_ids and attempt.application.scope is ScopeMode.ASSIGNED:
            assigned = await self.mirror.read_assigned_groups(account.application)
            group_ids = [group_id for group_id in group_ids if group_id in assigned]
        columns = {**change_columns(left=False), "again": again}
        # A row of this attempt's own: the group may be about to remove an earlier one that it has read.
        number = f"{account.wanted}-{account.lease_token[:12]}"
        marks = [Operation.merge(change_key(group_id, number, account.source_id), columns) for group_id in group_ids]
        await self.tables.commit_all(DurableWrite.MARK_MEMBERS, ACCOUNTS, account.application, marks)
        for at in range(0, len(group_ids), _PARALLEL):
            batch = group_ids[at : at + _PARALLEL]
            await gather_all(
                [self.wake(account.application, group_id, trace=attempt.trace, for_news=True) for group_id in batch]
            )

    async def wake(self, app: str, group_id: str, *, trace: str = "", for_news: bool = False) -> None:
        """Raise a group that is not raised already. Idempotent.

        `trace`: of the run that has something for it, where one is known. `for_news`: one that waits, for members who
        were refused or for a person's answer about others, does not wait with these.
        """
        for _ in range(_TRIES):
            group = await self.rows.read(app, ResourceKind.GROUP, group_id)
            is_waiting = group.is_held() or (group.tried == group.wanted and group.next_attempt_at is not None)
            if not group.wanted or (group.pending and not (for_news and is_waiting)):
                return
            try:
                await self.rows.wake(group, now=self.clock.now(), trace=trace, unstages=True)
            except RowMoved:
                continue
            message = Message(app=app, kind=ResourceKind.GROUP, id=group_id, trace=trace)
            await self.queues.send(DurableWrite.WAKE_ENQUEUE, message, hidden_s=GATHER_S)
            return

    async def look_again(self, account: Account) -> None:
        """After a save that left nothing pending: who marked meanwhile saw the group at work, and did not wake it."""
        prefix = change_key(account.source_id, "", "")[:-1]
        pages = self.tables.query(
            ACCOUNTS, account.application, first=prefix, before=prefix[:-1] + ";", where="refused eq ''", page_size=1
        )
        async for page in pages:
            if page:
                await self.wake(account.application, account.source_id, trace=account.trace)
                return

    async def wake_forgotten(self, app: str) -> None:
        """Raise groups with something to look at that nobody raised: a process died between the two."""
        after = "change:"
        while True:
            pages = self.tables.query(ACCOUNTS, app, first=after, before="change;", select=("refused",), page_size=1)
            group_id = ""
            async for page in pages:
                group_id = page[0].key.split(":")[1] if page else ""
                break
            if not group_id:
                return
            await self.wake(app, group_id)
            after = f"change:{group_id};"
