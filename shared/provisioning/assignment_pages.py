"""The assignments of one application: a complete list compared with the mirror (protocol step 11, then 4 to 9).

The list is read in step 2 and only acted on when it was read to its end. Unchanged buckets cost no storage call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.clock import write_instant
from shared.config.applications import Application
from shared.directory.assignments import (
    GROUPS_BUCKET,
    AssignmentChange,
    AssignmentCollector,
    AssignmentEvent,
    Listed,
    bucket_range,
    compare_assignments,
    digest_buckets,
    read_app_roles,
    split_buckets,
)
from shared.directory.graph import Graph
from shared.directory.mirror import (
    DIRECTORY,
    Assignment,
    Mirror,
    assigned_partition,
    digest,
    encode_roles,
    user_partition,
)
from shared.provisioning.accounts import Number
from shared.provisioning.checkpoint import StreamState
from shared.provisioning.group_pages import GroupPages
from shared.provisioning.pull_run import PullRun, Touched
from shared.storage.tables import Operation, gather_all

_CHUNK = 1000
"""Changes of one attempt, collected over buckets: many small ones would make as many small transactions."""

_PARALLEL_READS = 16


def stream_name(app: str) -> str:
    """The name of an application's assignments in the checkpoint."""
    return f"assigned-{app}"


def changes_principal(state: StreamState, application: Application) -> bool:
    """Whether the assignments that were read last are those of another service principal (protocol T28)."""
    return bool(state.principal) and state.principal != application.service_principal_id


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignmentList:
    """One complete read."""

    listed: Listed
    digests: dict[str, str]
    read_at: datetime
    """When the read began: a mark is confirmed by a list that was asked for long enough after it was set."""


class AssignmentPages:
    """Takes an application's assignments into the mirror."""

    def __init__(self, *, graph: Graph, mirror: Mirror, groups: GroupPages, confirm_after: timedelta) -> None:
        self._graph = graph
        self._mirror = mirror
        self._groups = groups
        self._confirm_after = confirm_after

    async def read_list(self, application: Application, *, now: datetime) -> AssignmentList:
        """Read all assignments to the end (step 2). Raises GraphError; 403 and 404 are never an empty list (T9)."""
        service_principal = await self._graph.read_service_principal(application.service_principal_id)
        collector = AssignmentCollector(read_app_roles(service_principal))
        async for page in self._graph.list_assignments(application.service_principal_id):
            collector.add(page)
        listed = collector.listed()
        return AssignmentList(listed=listed, digests=digest_buckets(listed), read_at=now)

    def is_news(self, state: StreamState, application: Application, found: AssignmentList, now: str) -> bool:
        """Whether a complete read says anything not acted on yet: other content, or a mark that can be confirmed."""
        return (
            not state.principal
            or state.principal != application.service_principal_id
            or state.digests != found.digests
            or any(due <= now for due in state.marked.values())
        )

    def in_doubt(self, state: StreamState, application: Application, found: AssignmentList) -> StreamState:
        """The state that the lease is taken with: what the list will change in the mirror is not known from here on.

        A run that dies has written assignments that the digests do not show; if the list then goes back to what it was,
        only an empty digest makes the next run compare the mirror again.
        """
        changed = self._changed_buckets(state, application, found, "")
        return replace(state, digests={**state.digests, **dict.fromkeys(changed, "")})

    async def apply_list(self, run: PullRun, application: Application, found: AssignmentList, *, until: float) -> bool:
        """Steps 4 to 9 for everything the list changes; the round ends with it. False when the time was up first.

        Every chunk is checkpointed, which keeps the lease, with the digests of the buckets that are done: they are not
        looked at again when the run dies.
        """
        name = stream_name(application.name)
        state = run.checkpoint.stream(name)
        now = found.read_at
        read_id = f"{run.checkpoint.epoch}"
        marked = dict(state.marked)
        parts = split_buckets(found.listed)
        waiting: list[AssignmentChange] = []
        untold: set[str] = set()
        for bucket in self._changed_buckets(state, application, found, write_instant(now)):
            first, before = bucket_range(bucket)
            stored = await self._mirror.read_assigned(application.name, first=first, before=before)
            changes = compare_assignments(
                {key: found.listed[key] for key in parts.get(bucket, ())},
                stored,
                saved=run.checkpoint.saved,
                read_id=read_id,
                now=now,
                confirm_after=self._confirm_after,
            )
            marked.pop(bucket, None)
            if any(change.event is AssignmentEvent.MISSING for change in changes) or _still_marked(stored, changes):
                marked[bucket] = write_instant(run.clock.now() + self._confirm_after)
            waiting += changes
            untold.add(bucket)
            while len(waiting) >= _CHUNK:
                chunk, waiting = waiting[:_CHUNK], waiting[_CHUNK:]
                await self._apply_changes(run, application, chunk, read_id=read_id)
                # What is left over belongs to the last bucket.
                done = untold - ({bucket} if waiting else set())
                untold -= done
                state = replace(state, digests=_with_digests(state.digests, found.digests, done))
                await run.save_page(name, replace(state, marked=marked))
                if run.clock.monotonic() >= until:
                    return False
            await run.renew()
        if waiting:
            await self._apply_changes(run, application, waiting, read_id=read_id)
        run.finish_round(
            name,
            replace(
                state, digests=found.digests, marked=marked, principal=application.service_principal_id, saved_at=now
            ),
        )
        return True

    def _changed_buckets(
        self, state: StreamState, application: Application, found: AssignmentList, now: str
    ) -> list[str]:
        if changes_principal(state, application):
            return sorted({GROUPS_BUCKET, *found.digests, *state.digests, *state.marked})
        changed = {
            bucket
            for bucket in {*found.digests, *state.digests}
            if found.digests.get(bucket) != state.digests.get(bucket)
        }
        return sorted(changed | {bucket for bucket, due in state.marked.items() if due <= now})

    async def _apply_changes(
        self, run: PullRun, application: Application, changes: Sequence[AssignmentChange], *, read_id: str
    ) -> None:
        number = run.start_attempt()
        events = [change for change in changes if not await self._is_of_deleted_group(change)]
        operations = _mirror_operations(application.name, events, number=number, read_id=read_id, run=run)
        await run.write_mirror(DIRECTORY, operations)
        groups = await run.assigned_groups(application.name)
        for change in events:
            if change.key.startswith(GROUPS_BUCKET):
                gone = change.event is AssignmentEvent.GONE
                groups[change.key.removeprefix(GROUPS_BUCKET)] = Assignment(roles=change.roles, gone=gone)
        await run.raise_accounts(number, await self._touched(run, application, events))
        for change in events:
            if change.key.startswith(GROUPS_BUCKET) and change.acts:
                await self._groups.track(run, change.key.removeprefix(GROUPS_BUCKET), application.name)

    async def _is_of_deleted_group(self, change: AssignmentChange) -> bool:
        """Whether the list, lagging, still shows an assignment of a group that is gone."""
        if change.event is not AssignmentEvent.ASSIGNED or not change.key.startswith(GROUPS_BUCKET):
            return False
        row = await self._mirror.read_group(change.key.removeprefix(GROUPS_BUCKET))
        return row is not None and bool(row.values.get("removal"))

    async def _touched(self, run: PullRun, application: Application, changes: Sequence[AssignmentChange]) -> Touched:
        """Step 6: users whose own assignment came or went; members of groups follow in `GroupPages.track`."""
        users: dict[str, bool] = {}
        left: list[str] = []
        for change in changes:
            user_id = change.key.removeprefix("user:")
            if user_id == change.key:
                continue
            if change.event is AssignmentEvent.GONE:
                left.append(user_id)
            elif change.acts:
                users[user_id] = False
        for at in range(0, len(left), _PARALLEL_READS):
            batch = left[at : at + _PARALLEL_READS]
            facts = await gather_all([self._mirror.read_user_facts(user_id) for user_id in batch])
            for user_id, known in zip(batch, facts, strict=True):
                users[user_id] = await run.must_leave(application, known)
        return {application.name: users}


def _with_digests(known: Mapping[str, str], found: Mapping[str, str], done: Iterable[str]) -> dict[str, str]:
    """The digests with those of the buckets that are done taken over; a bucket that is empty now has none."""
    settled = set(done)
    kept = {bucket: value for bucket, value in known.items() if bucket not in settled}
    return kept | {bucket: found[bucket] for bucket in settled if bucket in found}


def _still_marked(stored: Mapping[str, Assignment], changes: Sequence[AssignmentChange]) -> bool:
    settled = {change.key for change in changes}
    return any(row.absent_read and not row.gone and key not in settled for key, row in stored.items())


def _mirror_operations(
    app: str, changes: Sequence[AssignmentChange], *, number: Number, read_id: str, run: PullRun
) -> dict[str, list[Operation]]:
    """Step 5: each principal's row, and beside the user's other facts the assignment that the consumer reads."""
    operations: dict[str, list[Operation]] = {}
    now = write_instant(run.clock.now())
    for change in changes:
        roles = encode_roles(change.roles)
        gone = change.event is AssignmentEvent.GONE
        missing, known = change.event is AssignmentEvent.MISSING, change.stored
        values = {
            "roles": roles,
            "content": digest(roles),
            "gone": gone,
            # A mark is no change: it keeps the number, so that a replay does not take it for one.
            "number": change.stored.number if missing and change.stored and not change.acts else number,
            "absent_read": (known.absent_read if known else "") or read_id if missing else "",
            "absent_at": (known.absent_at if known else "") or now if missing else "",
        }
        etag = change.stored.etag if change.stored else None
        operations.setdefault(assigned_partition(app, change.key), []).append(
            Operation.replace(change.key, values, etag=etag) if etag else Operation.insert(change.key, values)
        )
        user_id = change.key.removeprefix("user:")
        if user_id != change.key and change.acts:
            operations.setdefault(user_partition(user_id), []).append(
                Operation.replace(f"{user_id}:app:{app}", {"roles": roles, "gone": gone, "number": number})
            )
    return operations
