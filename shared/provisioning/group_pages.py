"""The groups stream: groups into the mirror, memberships of tracked groups, and which accounts they touch.

Only groups that are, or were, assigned to an application have their members mirrored: they are *tracked* from the
moment the assignment is seen, when the whole membership is read once (`track`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from shared.config.applications import Application
from shared.config.provisioning_file import ScopeMode
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
    Presence,
    assigned_partition,
    digest,
    members_partition,
    user_partition,
)
from shared.provisioning.accounts import Number, ResourceKind, account_key
from shared.provisioning.checkpoint import StreamState
from shared.provisioning.pull_run import PullRun, Touched
from shared.storage.tables import Operation, Row, gather_all

STREAM = "groups"
_PARALLEL_READS = 16
_MEMBER_BATCH = 1000
"""Memberships written together: they are spread over 16 partitions, and a transaction holds 100 rows of one."""


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
        tracks_new = _takes_all_groups(run)
        tracked = [
            change
            for change, row in zip(changes, rows, strict=True)
            if (row is not None and row.values.get("tracked"))
            # A group that is seen for the first time comes with all of its members.
            or (row is None and tracks_new and change.removal is None)
        ]
        run.new_groups |= {change.id for change, row in zip(changes, rows, strict=True) if row is None}
        unsettled = {row.key for row in rows if row is not None and not run.is_settled(_number(row))}
        for change in tracked:
            # Memberships come before the group's own row: that row's content hides a replayed page.
            await self._apply_members(run, change, marks=change.id not in run.new_groups)
        number = run.start_attempt()
        operations = [
            operation
            for change, row in zip(changes, rows, strict=True)
            if (operation := _group_operation(change, row, number=number, state=_state(run), tracks_new=tracks_new))
            is not None
        ]
        await run.write_mirror(DIRECTORY, {"group": operations})
        written = {operation.key for operation in operations}
        for change, row in zip(changes, rows, strict=True):
            if change in tracked and change.removal is not None:
                await self._end_assignments(run, change.id, number)
                await self._raise_members(run, change.id)
            elif change in tracked and row is not None and (row.values.get("removal") or change.id in unsettled):
                # Back, or brought back by a run that died before it could say so.
                run.forget_group_digests()
            is_new = change.id in run.new_groups
            if change in tracked and (change.id in written | unsettled or (is_new and change.members)):
                await self._raise_group(run, change.id, compare_all=is_new)

    async def track(self, run: PullRun, group_id: str, app: str) -> None:
        """Read the whole membership of a group that was just assigned to `app`, write it and raise its members there.

        Idempotent; a run that died in the middle is repeated, because the assignment is not checkpointed before. A
        group that nobody has shown us yet has no members; it is tracked, so that they come with it.
        """
        row = await self._mirror.read_group(group_id)
        if row is not None and row.values.get("tracked"):
            await self._raise_members(run, group_id, only=app)
            await self._raise_group(run, group_id, only=app)
            return
        present: set[str] = set()
        try:
            async for objects in self._graph.list_members(group_id):
                user_ids = read_member_ids(objects)
                present.update(user_ids)
                await self._write_members(run, group_id, dict.fromkeys(user_ids, True), marks=False)
                await run.renew()
        except GraphNotFound as error:
            if row is not None and not row.values.get("removal"):
                raise GraphUnavailable("the members of a group that exists cannot be read yet") from error
        # A run that died in here may have written members who have left since; pages about them were not for us then.
        async for rows in self._mirror.list_members(group_id):
            left = [user_id for user_id, known in rows if not known.values.get("gone") and user_id not in present]
            await self._write_members(run, group_id, dict.fromkeys(left, False), marks=False)
            await run.renew()
        await run.write_mirror(DIRECTORY, {"group": [Operation.merge(group_id, {"tracked": True})]})
        await self._raise_group(run, group_id, only=app, compare_all=True)

    async def compare_all(self, run: PullRun, application: Application) -> None:
        """Raise every group of an application, to look at all memberships: it missed what happened meanwhile."""
        if application.groups is None:
            return
        if application.scope is ScopeMode.ASSIGNED:
            for group_id in list(await run.assigned_groups(application.name)):
                await self._raise_group(run, group_id, only=application.name, compare_all=True)
                await run.renew()
            return
        async for rows in run.tables.query(DIRECTORY, "group", select=("tracked",)):
            for row in rows:
                if row.values.get("tracked"):
                    await self._raise_group(run, row.key, only=application.name, compare_all=True)
                else:
                    await self.track(run, row.key, application.name)
                await run.renew()

    async def raise_missing(self, run: PullRun, application: Application, known: Collection[str]) -> None:
        """Raise the groups of an application that have no row; `known`: the keys of the rows there are."""
        if application.scope is ScopeMode.ASSIGNED:
            assigned = await run.assigned_groups(application.name)
            group_ids = [group_id for group_id, assignment in assigned.items() if not assignment.gone]
        else:
            group_ids = [facts.id async for facts in self._mirror.list_groups() if facts.presence is Presence.ACTIVE]
        for group_id in group_ids:
            if account_key(ResourceKind.GROUP, group_id) not in known:
                await self._raise_group(run, group_id, only=application.name, compare_all=True)
                await run.renew()

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

    async def _raise_group(self, run: PullRun, group_id: str, *, only: str = "", compare_all: bool = False) -> None:
        """Steps 4, 6 and 7 for the group itself: it, or what it stands for, has changed in the mirror."""
        applications = [each for each in await run.group_applications(group_id) if only in ("", each.name)]
        if not applications:
            return
        facts = await self._mirror.read_group_facts(group_id)
        number = run.start_attempt()
        for application in applications:
            leaves = await run.must_leave(application, facts)
            await run.raise_group(number, application, group_id, leaves=leaves, compare_all=compare_all)

    async def _apply_members(self, run: PullRun, change: GroupChange, *, marks: bool) -> None:
        pairs = {(change.id, user_id): member for user_id, member in change.members.items()}
        contradictory = change.contradictory or any(
            run.memberships.get(pair, now) != now for pair, now in pairs.items()
        )
        run.memberships.update(pairs)
        if contradictory or await self._contradicts_earlier_run(run, change):
            await self._reread_members(run, change.id)
        elif change.members:
            members = list(change.members.items())
            for at in range(0, len(members), _MEMBER_BATCH):
                await self._write_members(run, change.id, dict(members[at : at + _MEMBER_BATCH]), marks=marks)

    async def _contradicts_earlier_run(self, run: PullRun, change: GroupChange) -> bool:
        """Whether a page that an earlier run read of the same round says the opposite about a member."""
        began = _state(run).began
        if not began or began >= run.numbers.before_first():
            return False
        members = list(change.members.items())
        for at in range(0, len(members), _PARALLEL_READS):
            batch = members[at : at + _PARALLEL_READS]
            rows = await gather_all([self._mirror.read_member(change.id, user_id) for user_id, _ in batch])
            for (_, joined), row in zip(batch, rows, strict=True):
                if row is not None and _number(row) > began and bool(row.values.get("gone")) == joined:
                    return True
        return False

    async def _reread_members(self, run: PullRun, group_id: str) -> None:
        """Replace what we think of a membership by a complete read; a read that fails changes nothing.

        Raises GraphUnavailable when the members of a group that exists are not found: the page is read again.
        """
        present: set[str] = set()
        try:
            async for objects in self._graph.list_members(group_id):
                present.update(read_member_ids(objects))
                await run.renew()
        except GraphNotFound as error:
            if await self._graph.exists(f"/groups/{group_id}"):
                raise GraphUnavailable("the members of a group that exists cannot be read yet") from error
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

    async def _write_members(
        self, run: PullRun, group_id: str, members: Mapping[str, bool], *, marks: bool = True
    ) -> None:
        """Steps 4 to 8 for memberships of one group: user id -> member or not.

        Without `marks` the group is new, and all of its memberships are looked at when it is raised.
        """
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
        for application in await run.group_applications(group_id) if marks else ():
            if application.has_members:
                await run.raise_group(number, application, group_id, members=members)

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


def _takes_all_groups(run: PullRun) -> bool:
    """Whether some application provisions every group of the directory."""
    return any(each.groups is not None and each.scope is ScopeMode.ALL for each in run.applications.enabled)


def _group_operation(
    change: GroupChange, row: Row | None, *, number: Number, state: StreamState, tracks_new: bool
) -> Operation | None:
    """The merge that brings a group's row up to date, None when it says the same already."""
    if change.removal is not None and row is None:
        return None
    values: dict[str, Any] = {"removal": change.removal or "", "round": state.round, "number": number}
    if change.removal is None:
        known = {} if row is None or state.round else _read_properties(row)
        properties = {name: value for name, value in {**known, **change.properties}.items() if value is not None}
        values["attributes"] = _write_properties(properties)
    values["content"] = digest([values.get("attributes", ""), values["removal"]])
    if row is None and tracks_new:
        values["tracked"] = True
    unchanged = row is not None and row.values.get("content") == values["content"]
    if unchanged and row is not None and row.values.get("round", "") == state.round:
        return None
    return Operation.merge(change.id, values)


def _read_properties(row: Row) -> dict[str, Any]:
    properties: dict[str, Any] = json.loads(str(row.values.get("attributes", "")) or "{}")
    return properties


def _write_properties(properties: Mapping[str, Any]) -> str:
    return json.dumps(properties, ensure_ascii=False, sort_keys=True)
