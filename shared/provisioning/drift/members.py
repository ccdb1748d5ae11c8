"""Memberships that a vendor no longer holds although they were sent: found, and given back.

Members that somebody else put into a group are nobody's drift: they are never touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.provisioning.accounts import ACCOUNTS, Account, change_key, member_key
from shared.provisioning.member_look import change_columns
from shared.provisioning.member_wakeups import MemberWakeups
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation, Tables

MEMBERS = "members"
"""The path under which missing memberships are shown."""

MOST_READ = 5000
"""Groups with more members are not read whole: their answer is longer than an answer may be."""


@dataclass(slots=True, kw_only=True)
class DriftMembers:
    """Compares a group's members with what was sent."""

    tables: Tables
    wakeups: MemberWakeups

    async def find_missing(self, group: Account, resource: Mapping[str, Any]) -> list[str]:
        """The users who were made members of this group and are none at the vendor now."""
        held = {str(each.get("value")) for each in resource.get(MEMBERS) or [] if isinstance(each, Mapping)}
        prefix = member_key(group.source_id, "")
        rows = await self.tables.read_range(ACCOUNTS, group.application, first=prefix, before=prefix[:-1] + ";")
        return [
            row.key.removeprefix(prefix)
            for row in rows
            if row.values.get("of") == group.target_id and str(row.values.get("target", "")) not in held
        ]

    async def mark(self, group: Account, user_ids: Sequence[str]) -> None:
        """Have the group look at these once more, as at members whom the vendor dropped with a disable (protocol T29).

        The group is raised after this, by `wake` or by a repair of its own; housekeeping finds marks that nobody saw.
        What the directory says by then decides: who left meanwhile is not given back.
        """
        columns = {**change_columns(left=False), "again": True}
        marks = [
            Operation.merge(change_key(group.source_id, f"{group.wanted}-drift", user_id), columns)
            for user_id in user_ids
        ]
        await self.tables.commit_all(DurableWrite.MARK_MEMBERS, ACCOUNTS, group.application, marks)

    async def wake(self, group: Account) -> None:
        """Raise the group, unless it is raised already."""
        await self.wakeups.wake(group.application, group.source_id)
