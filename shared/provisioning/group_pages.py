"""The groups stream: groups into the mirror, memberships of tracked groups, and which accounts they touch.

Only groups that are, or were, assigned to an application have their members mirrored: they are *tracked* from the
moment the assignment is seen, when the whole membership is read once (`track`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from shared.directory.delta import (
    GroupChange,
    Removal,
    read_group_changes,
    read_member_ids,
)
from shared.directory.graph import Graph, GraphNotFound, GraphUnavailable
from shared.directory.mirror import (
    DIRECTORY,
    Mirror,
    assigned_partition,
    digest,
    members_partition,
    user_partition,
)
from shared.provisioning.accounts import Number
from shared.provisioning.checkpoint import StreamState
from shared.provisioning.pull_run import PullRun, Touched
from shared.storage.tables import Operation, Row, gather_all

STREAM = "groups"
_PARALLEL_READS = 16
_UNSEEN_BATCH = 50
_MEMBER_BATCH = 500


class GroupPages:
    """Takes pages of groups/delta into the mirror."""

    def __init__(self, *, graph: Graph, mirror: Mirror) -> None:
        self._graph = graph
        self._mirror = mirror

    async def apply_page(self, run: PullRun, page: Mapping[str, Any]) -> None:
        """Carry one page through steps 4 to 8; the caller follows its link and checkpoints."""
        await self.apply_changes(run, read_group_changes(page))

    async def apply_changes(self, run: PullRun, changes: Sequence[GroupChange]) -> None:
        """Steps 4 to 8 for these groups."""
        if not changes:
            return
        rows = await self._read_groups(changes)
        tracked = [
            change for change, row in zip(changes, rows, strict=True) if row is not None and row.values.get("tracked")
        ]
        unsettled = {row.key for row in rows if row is not None and not run.is_settled(_number(row))}
        for change in tracked:
            # Memberships come before the group's own row: that row's content hides a replayed page.
            await self._apply_members(run, change)
        number = run.start_attempt()
        operations = [
            operation
            for change, row in zip(changes, rows, strict=True)
            if (operation := _group_operation(change, row, number=number, state=_state(run))) is not None
        ]
        await run.write_mirror(DIRECTORY, {"group": operations})
        for change, row in zip(changes, rows, strict=True):
            if change in tracked and change.removal is not None:
                await self._end_assignments(run, change.id, number)
                await self._raise_members(run, change.id)
            elif change in tracked and row is not None and (row.values.get("removal") or change.id in unsettled):
                # Back, or brought back by a run that died before it could say so.
                run.forget_group_digests()

    async def track(self, run: PullRun, group_id: str, app: str) -> None:
        """Read the whole membership of a group that was just assigned to `app`, write it and raise its members there.

        Idempotent; a run that died in the middle is repeated, because the assignment is not checkpointed before. A
        group that nobody has shown us yet has no members; it is tracked, so that they come with it.
        """
        row = await self._mirror.read_group(group_id)
        if row is not None and row.values.get("tracked"):
            await self._raise_members(run, group_id, only=app)
            return
        try:
            async for objects in self._graph.list_members(group_id):
                await self._write_members(run, group_id, dict.fromkeys(read_member_ids(objects), True))
                await run.renew()
        except GraphNotFound as error:
            if row is not None and not row.values.get("removal"):
                raise GraphUnavailable("the members of a group that exists cannot be read yet") from error
        await run.write_mirror(DIRECTORY, {"group": [Operation.merge(group_id, {"tracked": True})]})

    async def sweep_unseen(self, run: PullRun) -> None:
        """End of a full round: tracked groups are read again, since removals during the gap were never delivered."""
        round_id = _state(run).round
        if not round_id or _state(run).first:
            return
        async for rows in run.tables.query(DIRECTORY, "group", where="tracked eq true", select=("round", "removal")):
            for row in rows:
                await self._reread_members(run, row.key)
                if row.values.get("round") == round_id or row.values.get("removal"):
                    continue
                if not await self._graph.exists(f"/groups/{row.key}"):
                    await self.apply_changes(run, [GroupChange(id=row.key, removal=Removal.HARD)])
                await run.renew()

    async def _end_assignments(self, run: PullRun, group_id: str, number: Number) -> None:
        """A deleted group confers nothing, whatever a lagging list of assignments still says."""
        for application in run.applications.enabled:
            groups = await run.assigned_groups(application.name)
            if group_id in groups and not groups[group_id].gone:
                ended = Operation.merge(f"group:{group_id}", {"gone": True, "number": number})
                await run.write_mirror(DIRECTORY, {assigned_partition(application.name): [ended]})
                groups[group_id] = replace(groups[group_id], gone=True)

    async def _apply_members(self, run: PullRun, change: GroupChange) -> None:
        pairs = {(change.id, user_id): member for user_id, member in change.members.items()}
        contradictory = change.contradictory or any(
            run.memberships.get(pair, now) != now for pair, now in pairs.items()
        )
        run.memberships.update(pairs)
        if contradictory:
            await self._reread_members(run, change.id)
        elif change.members:
            members = list(change.members.items())
            for at in range(0, len(members), _MEMBER_BATCH):
                await self._write_members(run, change.id, dict(members[at : at + _MEMBER_BATCH]))

    async def _reread_members(self, run: PullRun, group_id: str) -> None:
        """Replace what we think of a membership by a complete read; a read that fails changes nothing."""
        present: set[str] = set()
        try:
            async for objects in self._graph.list_members(group_id):
                present.update(read_member_ids(objects))
                await run.renew()
        except GraphNotFound:
            return
        known: dict[str, bool] = {}
        unsettled: set[str] = set()
        async for rows in self._mirror.list_members(group_id):
            known.update({user_id: not row.values.get("gone", False) for user_id, row in rows})
            unsettled.update(user_id for user_id, row in rows if not run.is_settled(_number(row)))
            await run.renew()
        difference = {user_id: True for user_id in present if not known.get(user_id, False)}
        difference |= {user_id: False for user_id, member in known.items() if member and user_id not in present}
        # Written by a run that may have died before it raised them (protocol H10b).
        difference |= {user_id: user_id in present for user_id in unsettled}
        members = list(difference.items())
        for at in range(0, len(members), _MEMBER_BATCH):
            await self._write_members(run, group_id, dict(members[at : at + _MEMBER_BATCH]))
            await run.renew()

    async def _write_members(self, run: PullRun, group_id: str, members: Mapping[str, bool]) -> None:
        """Steps 4 to 8 for memberships of one group: user id -> member or not."""
        if not members:
            return
        number = run.start_attempt()
        operations: dict[str, list[Operation]] = {}
        for user_id, member in members.items():
            values = {"gone": not member, "number": number}
            operations.setdefault(user_partition(user_id), []).append(
                Operation.replace(f"{user_id}:group:{group_id}", values)
            )
            operations.setdefault(members_partition(group_id), []).append(Operation.replace(user_id, values))
        await run.write_mirror(DIRECTORY, operations)
        await run.raise_accounts(number, await self._touched_by_members(run, group_id, members))

    async def _raise_members(self, run: PullRun, group_id: str, *, only: str = "") -> None:
        """Raise everybody who is or was a member: what the group confers has changed, at one application or at all."""
        async for rows in self._mirror.list_members(group_id):
            number = run.start_attempt()
            members = {user_id: False for user_id, _ in rows}
            touched = await self._touched_by_members(run, group_id, members)
            await run.raise_accounts(number, {app: users for app, users in touched.items() if only in ("", app)})
            await run.renew()

    async def _touched_by_members(self, run: PullRun, group_id: str, members: Mapping[str, bool]) -> Touched:
        """Step 6: the accounts at every application the group is, or was, assigned to.

        Who joined needs no second look (the consumer judges); who left is read, so that leavers are staged together.
        """
        applications = [
            application
            for application in run.applications.enabled
            if group_id in await run.assigned_groups(application.name)
        ]
        if not applications:
            return {}
        touched: Touched = {application.name: {} for application in applications}
        for user_id, joined in members.items():
            if joined:
                for application in applications:
                    touched[application.name][user_id] = False
        left = [user_id for user_id, joined in members.items() if not joined]
        for at in range(0, len(left), _PARALLEL_READS):
            batch = left[at : at + _PARALLEL_READS]
            for user_id, facts in zip(
                batch, await gather_all([self._mirror.read_user_facts(user_id) for user_id in batch]), strict=True
            ):
                for application in applications:
                    touched[application.name][user_id] = await run.must_leave(application, facts)
        return touched

    async def _read_groups(self, changes: Iterable[GroupChange]) -> list[Row | None]:
        ids = [change.id for change in changes]
        rows: list[Row | None] = []
        for at in range(0, len(ids), _PARALLEL_READS):
            rows += await gather_all([self._mirror.read_group(group_id) for group_id in ids[at : at + _PARALLEL_READS]])
        return rows


def _state(run: PullRun) -> StreamState:
    return run.checkpoint.stream(STREAM)


def _number(row: Row) -> str:
    return str(row.values.get("number", ""))


def _group_operation(change: GroupChange, row: Row | None, *, number: Number, state: StreamState) -> Operation | None:
    """The merge that brings a group's row up to date, None when it says the same already."""
    if change.removal is not None and row is None:
        return None
    values: dict[str, Any] = {"removal": change.removal or "", "round": state.round, "number": number}
    if change.removal is None:
        known = {} if row is None or state.round else _read_properties(row)
        properties = {name: value for name, value in {**known, **change.properties}.items() if value is not None}
        values["attributes"] = _write_properties(properties)
    values["content"] = digest([values.get("attributes", ""), values["removal"]])
    unchanged = row is not None and row.values.get("content") == values["content"]
    if unchanged and row is not None and row.values.get("round", "") == state.round:
        return None
    return Operation.merge(change.id, values)


def _read_properties(row: Row) -> dict[str, Any]:
    properties: dict[str, Any] = json.loads(str(row.values.get("attributes", "")) or "{}")
    return properties


def _write_properties(properties: Mapping[str, Any]) -> str:
    return json.dumps(properties, ensure_ascii=False, sort_keys=True)
