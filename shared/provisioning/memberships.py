"""The memberships of a group at a vendor: what is to be looked at, and what was sent.

    member:<group>:<user>            a membership as it was sent: the account, and the group it was sent to
    change:<group>:<number>:<user>   a membership that is to be looked at

Whoever changes something that decides a membership writes its `change:` row after that, and raises the group's row
last: the puller for what the directory says, the consumer of a user before it saves the user's link (protocol T7).
The group's consumer reads `change:` rows first and what decides after that, so that what it saw is at least as new as
the rows it removes; and it removes exactly the rows it read, because a later change has a row of its own. A group
costs its changes, however many members it has. All of them are compared only when it is new at the vendor, or was not
written for a while.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.clock import Clock, write_instant
from shared.directory.mirror import Mirror
from shared.provisioning.account_rows import AccountRows, RowMoved
from shared.provisioning.accounts import (
    ACCOUNTS,
    FROM_START,
    Account,
    ResourceKind,
    change_key,
    member_key,
    write_columns,
)
from shared.provisioning.attempt import Attempt
from shared.provisioning.member_changes import Member, loses_many
from shared.provisioning.member_look import MemberLook, change_columns, instant_of, user_of
from shared.provisioning.planning import Plan, ProvisioningAction
from shared.provisioning.retrying import ESCROW_LADDER, escrow_until
from shared.scim.answers import Answer
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation, Row, StorageConflict, Tables, gather_all

LOOK_AT_ONCE = 1000
"""Memberships one attempt looks at, at most."""

REMOVAL_WINDOW = timedelta(days=1)
"""Removals are counted over this long for the deletion guard."""

IN_DOUBT = "member:"
"""Before the user's id in an intent: a request about this membership is on its way."""

_PARALLEL_READS = 16
_PAGES_DROPPED = 20


@dataclass(slots=True, kw_only=True)
class Memberships:
    """Reads, plans and notes memberships."""

    rows: AccountRows
    tables: Tables
    mirror: Mirror
    clock: Clock

    async def plan(self, attempt: Attempt, *, emptied: bool) -> Plan:
        """The next request about a linked group's memberships, or the plan there was; `attempt.batch` says the rest.

        `emptied`: the group should have none of those that were sent.
        """
        assert attempt.plan is not None
        look = MemberLook(
            limit=_limit(attempt),
            keeps_disabled=attempt.resource.disabled_members == "keep",
            now=attempt.now,
            fill="" if emptied else attempt.account.fill,
            asserted=attempt.asserted,
        )
        if doubtful := doubtful_members(attempt.account):
            look.is_last = False
            look.take(await self._read_members(attempt, look, doubtful, in_doubt=True), emptied=emptied)
        elif emptied:
            await self._look_at_sent(attempt, look)
        else:
            await self._look_at_changes(attempt, look)
        empties = False
        if look.removed and not attempt.account.permit and await self._loses_many(attempt, look, emptied=emptied):
            empties = not look.added
            if not empties:
                look.postpone_removals()
        attempt.batch = look.batch()
        if not attempt.batch.change.user_ids:
            return attempt.plan
        return Plan(
            action=ProvisioningAction.UPDATE,
            reason="members_changed",
            state=attempt.account.sent,
            members=attempt.batch.change,
            mapped=attempt.plan.mapped,
            empties=empties,
        )

    async def _look_at_changes(self, attempt: Attempt, look: MemberLook) -> None:
        """What changed, then the next part of a comparison of all, up to one request."""
        rows = await self._read_changes(attempt.account)
        look.note_changes(rows)
        waiting = list(look.changes)
        while waiting and look.room:
            taken, waiting = waiting[: look.room], waiting[look.room :]
            look.take(await self._read_members(attempt, look, taken))
        look.is_last = look.is_last and not waiting and len(rows) < LOOK_AT_ONCE
        while look.fill and look.room and look.looked_at < LOOK_AT_ONCE:
            await self._compare_next(attempt, look)

    async def _look_at_sent(self, attempt: Attempt, look: MemberLook) -> None:
        """Everything that was sent goes; what changed meanwhile does not matter."""
        account = attempt.account
        look.settled += [row.key for row in await self._read_changes(account)]
        prefix = member_key(account.source_id, "")
        rows = await self._read_page(account, prefix, count=look.limit)
        look.is_last = len(rows) < look.limit and len(look.settled) < LOOK_AT_ONCE
        look.note_sent(rows, account)
        accounts = await self.rows.read_users(account.application, [row.key.removeprefix(prefix) for row in rows])
        look.take([look.member(user_id, accounts[user_id], False) for user_id in accounts], emptied=True)

    async def _compare_next(self, attempt: Attempt, look: MemberLook) -> None:
        """The next memberships of the directory beside those that were sent, in order of the users' ids."""
        account = attempt.account
        after = "" if look.fill == FROM_START else look.fill
        found = await self.mirror.read_memberships(account.source_id, after=after, count=look.room)
        if not found:
            look.fill = ""
            return
        first, last = found[0][0], found[-1][0]
        sent_rows = await self.tables.read_range(
            ACCOUNTS,
            account.application,
            first=member_key(account.source_id, first),
            before=member_key(account.source_id, last) + "\x01",
        )
        look.note_sent(sent_rows, account)
        open_ids = [
            user_id
            for user_id, is_member in found
            if (is_member != (user_id in look.sent) or look.is_void(user_id) or user_id in look.distrusted)
            and user_id not in look.decided
        ]
        memberships = dict(found)
        accounts = await self.rows.read_users(account.application, open_ids)
        look.take([look.member(user_id, accounts[user_id], memberships[user_id]) for user_id in open_ids])
        look.looked_at += len(found) - len(open_ids)
        look.fill = last

    async def _read_changes(self, account: Account) -> list[Row]:
        return await self._read_page(account, change_key(account.source_id, "", "")[:-1], count=LOOK_AT_ONCE)

    async def _read_page(self, account: Account, prefix: str, *, count: int) -> list[Row]:
        """The first `count` rows; fewer only when there are no more (the service may end a page early)."""
        pages = self.tables.query(
            ACCOUNTS, account.application, first=prefix, before=prefix[:-1] + ";", page_size=count
        )
        rows: list[Row] = []
        async for page in pages:
            rows += page
            if len(rows) >= count:
                break
        return rows[:count]

    async def _read_members(
        self, attempt: Attempt, look: MemberLook, user_ids: Sequence[str], *, in_doubt: bool = False
    ) -> list[Member]:
        read = [self._read_member(attempt, look, user_id, in_doubt=in_doubt) for user_id in user_ids]
        return [member for batch in _batches(read) for member in await gather_all(batch)]

    async def _read_member(self, attempt: Attempt, look: MemberLook, user_id: str, *, in_doubt: bool) -> Member:
        """One membership. Its `change:` row was read before: what is read here is at least as new."""
        group = attempt.account
        is_member, account, sent = await gather_all(
            [
                self.mirror.read_membership(group.source_id, user_id),
                self.rows.read(group.application, ResourceKind.USER, user_id),
                self.tables.read(ACCOUNTS, group.application, member_key(group.source_id, user_id)),
            ]
        )
        if sent is not None:
            look.note_sent([sent], group)
        return look.member(user_id, account, is_member, in_doubt=in_doubt)

    async def _loses_many(self, attempt: Attempt, look: MemberLook, *, emptied: bool) -> bool:
        """Whether a person is asked before the group loses what it is about to lose, today's losses included."""
        account = attempt.account
        if emptied:
            look.leaving = account.members
        elif not look.is_last:
            look.leaving = await self._count_leaving(account)
        look.leaving = max(look.leaving, len(look.removed))
        lately = removed_lately(account, attempt.now)
        return loses_many(
            attempt.application.deletion_guard, removed=lately + look.leaving, population=account.members + lately
        )

    async def _count_leaving(self, account: Account) -> int:
        prefix = change_key(account.source_id, "", "")[:-1]
        pages = self.tables.query(
            ACCOUNTS, account.application, first=prefix, before=prefix[:-1] + ";", where="left eq true"
        )
        return len({user_of(row.key) async for page in pages for row in page})

    async def count_left(self, account: Account) -> int:
        """How many memberships of a group are still to be looked at: marked, and not yet compared. A few keys each."""
        prefix = change_key(account.source_id, "", "")[:-1]
        pages = self.tables.query(
            ACCOUNTS, account.application, first=prefix, before=prefix[:-1] + ";", select=("left",)
        )
        marked = len({user_of(row.key) async for page in pages for row in page})
        if not account.fill:
            return marked
        after = "" if account.fill == FROM_START else account.fill
        return marked + await self.mirror.count_members(account.source_id, after=after)

    async def note(self, attempt: Attempt) -> None:
        """Bring the rows of memberships up to date with what was sent, before the group's own row is saved.

        A crash in between repeats what the vendor takes twice. Raises RowMoved when another consumer was at it.
        """
        assert attempt.batch is not None
        batch, account = attempt.batch, attempt.account
        sent: dict[str, Any] = {"of": account.target_id}
        if attempt.asserted:
            sent["asserted"] = attempt.asserted
        operations = [
            *(
                Operation.replace(member_key(account.source_id, user_id), {**sent, "target": target_id})
                for user_id, target_id in batch.change.added.items()
            ),
            *(
                Operation.delete(member_key(account.source_id, user_id), etag=etag)
                for user_id, etag in batch.forgotten.items()
            ),
            *(Operation.delete(key) for key in batch.settled),
            *(
                Operation.merge(change_key(account.source_id, account.wanted, user_id), change_columns(left=left))
                for user_id, left in batch.postponed.items()
            ),
        ]
        try:
            await self.tables.commit_all(DurableWrite.MEMBERS, ACCOUNTS, account.application, operations)
        except StorageConflict:
            raise RowMoved from None

    async def drop_changes(self, account: Account) -> None:
        """Forget what was to be looked at: the group is not written, and all is compared when it is again."""
        rows = await self._read_changes(account)
        while rows:
            dropped = [Operation.delete(row.key) for row in rows]
            try:
                await self.tables.commit_all(DurableWrite.MEMBERS, ACCOUNTS, account.application, dropped)
            except StorageConflict:
                # Another consumer of the group is at it; what is left wakes the group again.
                return
            rows = await self._read_changes(account) if len(rows) >= LOOK_AT_ONCE else []

    async def drop_sent(self, account: Account) -> None:
        """Forget what was sent to a group that was deleted at the vendor.

        What is left, of a very large one or after a crash, is void: it names a group that is no more.
        """
        prefix = member_key(account.source_id, "")
        for _ in range(_PAGES_DROPPED):
            rows = await self._read_page(account, prefix, count=LOOK_AT_ONCE)
            gone = [Operation.delete(row.key) for row in rows if row.values.get("of") == account.target_id]
            if not gone:
                return
            try:
                await self.tables.commit_all(DurableWrite.MEMBERS, ACCOUNTS, account.application, gone)
            except StorageConflict:
                # Somebody else removed some; what is left is void.
                return

    async def note_doubtful(self, attempt: Attempt) -> None:
        """Keep in `change:` rows what an intent says that is about to be closed: these were sent, perhaps."""
        assert attempt.batch is not None
        account, removed = attempt.account, attempt.batch.change.removed
        columns = {
            user_id: {**change_columns(left=user_id in removed), "doubt": True} for user_id in doubtful_members(account)
        }
        await self.tables.commit_all(
            DurableWrite.MEMBERS,
            ACCOUNTS,
            account.application,
            [
                Operation.merge(change_key(account.source_id, account.wanted, user_id), values)
                for user_id, values in columns.items()
            ],
        )

    async def note_refused(self, attempt: Attempt, user_id: str, answer: Answer) -> None:
        """The vendor refuses this one: it waits on the ladder, alone. The others go on."""
        assert attempt.batch is not None
        account, now = attempt.account, self.clock.now()
        known = [row for row in await self._read_changes(account) if user_of(row.key) == user_id]
        failures = 1 + max((int(row.values.get("failures", 0)) for row in known), default=0)
        failed_at = min(filter(None, (instant_of(row, "failed_at") for row in known)), default=now)
        columns = {
            **change_columns(left=user_id in attempt.batch.change.removed),
            "refused": answer.error_code or answer.kind.value,
            "failures": failures,
            "doubt": any(row.values.get("doubt") for row in known),
            "failed_at": write_instant(failed_at),
            **write_columns(again_at=escrow_until(failures, failed_at=failed_at, now=now) or now + ESCROW_LADDER[-1]),
        }
        key = change_key(account.source_id, account.wanted, user_id)
        operations = [Operation.delete(row.key) for row in known if row.key != key]
        operations.append(Operation.replace(key, columns))
        try:
            await self.tables.commit_all(DurableWrite.MEMBERS, ACCOUNTS, account.application, operations)
        except StorageConflict:
            raise RowMoved from None


def doubtful_members(account: Account) -> list[str]:
    """The users whose memberships an open intent is about."""
    paths = account.intent.paths if account.intent is not None else ()
    return [path.removeprefix(IN_DOUBT) for path in paths if path.startswith(IN_DOUBT)]


def removed_lately(account: Account, now: datetime) -> int:
    """How many members the group lost in the last day."""
    since = account.removed_since
    return account.removed if since is not None and now - since < REMOVAL_WINDOW else 0


def removal_columns(account: Account, count: int, now: datetime) -> Mapping[str, Any]:
    """The columns that count `count` more removals."""
    if not count:
        return {}
    lately = removed_lately(account, now)
    return write_columns(removed=lately + count, removed_since=account.removed_since if lately else now)


def _limit(attempt: Attempt) -> int:
    most = attempt.resource.members_per_patch
    return min(most, attempt.account.chunk) if attempt.account.chunk else most


def _batches(work: Sequence[Any]) -> list[Sequence[Any]]:
    return [work[at : at + _PARALLEL_READS] for at in range(0, len(work), _PARALLEL_READS)]
