"""What is wrong with a stage's groups once all is quiet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shared.provisioning.accounts import ACCOUNTS, Account, AccountState, ResourceKind, member_key
from tests.simulation.graph.changes import Kind

if TYPE_CHECKING:
    from tests.provisioning.stories import Stage


class GroupFindings:
    """Compares the vendor's groups, and our rows about them, with the tenant."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._groups = {str(each["id"]): each for each in stage.acme.resources("Group")}

    async def all(self, accounts: Mapping[str, Account]) -> list[str]:
        """Everything that is not as it must be. `accounts`: the rows of people by their ids."""
        stage = self._stage
        if not stage.groups or stage.application.groups is None:
            return []
        rows = stage.world.services.rows
        found: list[str] = []
        for group_id in stage.groups:
            row = await rows.read(stage.app, ResourceKind.GROUP, group_id)
            sent = await self._sent(group_id)
            found += [f"group {group_id[:8]}: {text}" for text in self._of_one(group_id, row, accounts, sent)]
        changes = await self._keys("change:")
        return [*found, *(f"left over: {key}" for key in changes)]

    def _of_one(
        self, group_id: str, row: Account, accounts: Mapping[str, Account], sent: Mapping[str, str]
    ) -> list[str]:
        from tests.provisioning.stories import row_findings

        stage = self._stage
        is_wanted = group_id in stage.tenant.groups and self._is_assigned(group_id)
        if not row.wanted:
            return ["no row"] if is_wanted else []
        found = row_findings(row)
        there = self._groups.get(row.target_id)
        if row.target_id and there is None:
            return [*found, "linked to a group that is not there"]
        members = {str(each["value"]) for each in (there or {}).get("members") or []}
        if set(sent.values()) != members and row.state is not AccountState.DELETED:
            found.append(f"sent {sorted(sent.values())}, there are {sorted(members)}")
        if not is_wanted:
            expected = (AccountState.SKIPPED, AccountState.DELETED)
            found += [] if row.state in expected else [f"gone, and state {row.state}"]
            return [*found, *([f"gone, and has {len(members)} members"] if members else [])]
        found += [] if row.state is AccountState.IN_SYNC else [f"state {row.state} {row.error_code}"]
        if there is None:
            return [*found, "no group"]
        name = stage.tenant.groups[group_id]["displayName"]
        found += [] if there["displayName"] == name else [f"is called {there['displayName']!r}, should be {name!r}"]
        wanted = {
            accounts[user_id].target_id
            for user_id, kind in stage.tenant.members[group_id].items()
            if kind is Kind.USER and user_id in accounts and accounts[user_id].target_id
        }
        if members != wanted:
            found.append(f"members should be {sorted(wanted)}, are {sorted(members)}")
        return found

    def _is_assigned(self, group_id: str) -> bool:
        grants = self._stage.tenant.grants(self._stage.service_principal)
        return any(grant.principal_id == group_id for grant in grants)

    async def _sent(self, group_id: str) -> dict[str, str]:
        rows = await self._stage.world.services.tables.read_range(
            ACCOUNTS, self._stage.app, first=member_key(group_id, ""), before=member_key(group_id, "")[:-1] + ";"
        )
        return {row.key: str(row.values["target"]) for row in rows}

    async def _keys(self, prefix: str) -> list[Any]:
        rows = await self._stage.world.services.tables.read_range(
            ACCOUNTS, self._stage.app, first=prefix, before=prefix[:-1] + ";"
        )
        return [row.key for row in rows]
