"""One run of the puller: its lease, its numbers, and the steps every page goes through after the mirror was written.

4 number   5 mirror (in the stream)   6 touched accounts (in the stream)   7 raise   8 enqueue   9 checkpoint
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from shared.clock import Clock
from shared.config.applications import Application, Applications
from shared.config.provisioning_file import Deprovision, GroupDeprovision, ScopeMode
from shared.directory.assignments import GROUPS_BUCKET
from shared.directory.mirror import Assignment, GroupFacts, Mirror, UserFacts
from shared.provisioning.accounts import (
    ACCOUNTS,
    FROM_START,
    Number,
    ResourceKind,
    account_key,
    change_key,
    raise_columns,
)
from shared.provisioning.backlog import UNLIMITED_RATE
from shared.provisioning.checkpoint import Checkpoint, Checkpoints, Lease, LeaseLost, Numbers, StreamState
from shared.provisioning.guard import staged_key
from shared.provisioning.member_look import change_columns
from shared.provisioning.planning import deprovision_policy, group_policy
from shared.provisioning.raise_lists import RaiseLists
from shared.provisioning.standing import judge_standing, needs_groups
from shared.rules.failures import InvalidData
from shared.storage.durable_writes import DurableWrite
from shared.storage.queues import Message, Queues
from shared.storage.tables import Operation, StorageConflict, Tables, gather_all

HANDFUL = 100
"""Accounts of one application that a run enqueues at once; the others are listed, and raised and queued by the top-up.
(A queue call costs as much as raising eight rows, and the platform scales out by queue length.)"""

TICK_S = 60.0
"""A run comes every minute: what it queues beyond that much of the vendor's rate would pile up."""

Touched = dict[str, dict[str, bool]]
"""Application -> user id -> whether the pure rules now say that the account must be switched off."""


@dataclass(slots=True, kw_only=True)
class PullRun:
    """The state of one run. Everything durable is in `checkpoint` and in storage."""

    checkpoint: Checkpoint
    lease: Lease
    numbers: Numbers
    applications: Applications
    tables: Tables
    lists: RaiseLists
    queues: Queues
    mirror: Mirror
    checkpoints: Checkpoints
    clock: Clock
    trace: str = ""
    queued: Counter[str] = field(default_factory=Counter)
    raised: Counter[str] = field(default_factory=Counter)
    pages: int = 0
    changes: int = 0
    """Users and groups on the pages that were read; for people."""
    error: str = ""
    """What Graph said when the run ended early; for people."""
    staged: set[str] = field(default_factory=set)
    """Applications in which this run staged somebody."""
    raised_at: float = 0.0
    """Monotonic: when the last row of the run was raised."""
    finished: dict[str, StreamState] = field(default_factory=dict)
    """Streams whose round ended: saved together, last, after the guard's release."""
    memberships: dict[tuple[str, str], bool] = field(default_factory=dict)
    """Group and user -> what this run read last about the membership: pages promise no order among each other."""
    new_groups: set[str] = field(default_factory=set)
    """Groups that this run saw first, with all of their members, and their members may come on several pages."""
    _groups: dict[str, dict[str, Assignment]] = field(default_factory=dict)

    async def group_applications(self, group_id: str) -> list[Application]:
        """The applications that have groups, and that this one is, or was, assigned to, or that take all groups."""
        return [
            application
            for application in self.applications.enabled
            if application.groups is not None
            and (application.scope is ScopeMode.ALL or group_id in await self.assigned_groups(application.name))
        ]

    def start_attempt(self) -> Number:
        """Step 4: a number that was never used before. Raises LeaseLost when the lease is nearly over."""
        self.lease.require(self.clock.monotonic())
        return self.numbers.next()

    async def write_mirror(self, table: str, operations: Mapping[str, list[Operation]]) -> None:
        """Step 5: write mirror rows by partition. Raises LeaseLost when somebody else wrote one of them."""
        self.lease.require(self.clock.monotonic())
        try:
            await gather_all(
                [
                    self.tables.commit_all(DurableWrite.MIRROR, table, partition, batch)
                    for partition, batch in operations.items()
                    if batch
                ]
            )
        except StorageConflict as error:
            raise LeaseLost("another puller wrote the mirror; this one stops") from error

    async def assigned_groups(self, app: str) -> dict[str, Assignment]:
        """The groups assigned to an application, read once: only this run writes them, and it keeps them current."""
        if app not in self._groups:
            self._groups[app] = await self.mirror.read_assigned_groups(app)
        return self._groups[app]

    async def must_leave(self, application: Application, facts: UserFacts | GroupFacts) -> bool:
        """Whether the person, or the group, should not be there: a candidate for staging (step 6)."""
        groups = await self.assigned_groups(application.name) if needs_groups(application, facts) else {}
        try:
            standing = judge_standing(application, facts, groups)
        except InvalidData:
            # Who cannot be judged is neither in nor out; the consumer says so on the account row.
            return False
        if not standing.is_known or standing.is_active:
            return False
        if isinstance(facts, GroupFacts):
            return group_policy(application, standing) is not GroupDeprovision.SKIP
        return deprovision_policy(application, standing) is not Deprovision.SKIP

    async def raise_accounts(self, number: Number, touched: Touched) -> None:
        """Steps 7 and 8: raise the rows, stage who must leave, enqueue a handful.

        The row is raised before its message is sent; a message that is lost, or was left out, is found by the sweep.
        Of more than a handful only who must leave is raised now: the others are listed (`raise_lists`).
        """
        self.lease.require(self.clock.monotonic())
        for app, users in touched.items():
            if not users:
                continue
            enqueue = self._may_enqueue(app, len(users))
            now: dict[str, bool] = {user_id: leaves for user_id, leaves in users.items() if leaves or enqueue}
            rows = self._raise_operations(number, now, enqueue=enqueue)
            await self.tables.commit_all(DurableWrite.RAISE, ACCOUNTS, app, rows)
            if not enqueue:
                listed = [user_id for user_id, leaves in users.items() if not leaves]
                await self.lists.write(app, number, listed, trace=self.trace)
            self.raised[app] += len(users)
            if any(users.values()):
                self.staged.add(app)
            if enqueue:
                await self._enqueue(app, [user_id for user_id, leaves in users.items() if not leaves])
            elif app not in self.checkpoint.backlog:
                self.checkpoint = self.checkpoint.with_backlog(app, "")

    async def raise_group(
        self,
        number: Number,
        application: Application,
        group_id: str,
        *,
        leaves: bool = False,
        members: Mapping[str, bool] | None = None,
        compare_all: bool = False,
    ) -> None:
        """Steps 7 and 8 for a group, after what decides it was written: first the memberships to look at, then the row.

        `members`: user id -> whether they joined; `compare_all`: look at all of them.
        """
        self.lease.require(self.clock.monotonic())
        app = application.name
        if members and application.has_members:
            marks = [
                Operation.replace(change_key(group_id, number, user_id), change_columns(left=not joined))
                for user_id, joined in members.items()
            ]
            await self.tables.commit_all(DurableWrite.MARK_MEMBERS, ACCOUNTS, app, marks)
        enqueue = not leaves and self._may_enqueue(app, 1)
        key = account_key(ResourceKind.GROUP, group_id)
        queued_at = self.clock.now() if enqueue else None
        columns = raise_columns(number, staged=leaves, queued_at=queued_at, trace=self.trace)
        if compare_all:
            columns["fill"] = FROM_START
        operations = [Operation.merge(key, columns)]
        if leaves:
            operations.append(Operation.merge(staged_key(key), {"number": number}))
            self.staged.add(app)
        await self.tables.commit(DurableWrite.RAISE, ACCOUNTS, app, operations)
        self.raised[app] += 1
        if enqueue:
            await self._enqueue(app, [group_id], kind=ResourceKind.GROUP)
        elif not leaves and app not in self.checkpoint.backlog:
            self.checkpoint = self.checkpoint.with_backlog(app, "")

    def _may_enqueue(self, app: str, count: int) -> bool:
        """Whether a run may queue so many at once: no more than the vendor takes until the next one."""
        rate = self.applications[app].rate_limit.requests_per_second or UNLIMITED_RATE
        allowed = min(HANDFUL, int(rate * TICK_S))
        return app not in self.checkpoint.backlog and self.queued[app] + count <= allowed

    def _raise_operations(self, number: Number, users: dict[str, bool], *, enqueue: bool) -> list[Operation]:
        """Rows and, beside each staged row and in its transaction, the marker by which the guard finds it."""
        queued_at = self.clock.now() if enqueue else None
        leaving: list[Operation] = []
        staying: list[Operation] = []
        leave = raise_columns(number, staged=True, queued_at=None, trace=self.trace)
        stay = raise_columns(number, staged=False, queued_at=queued_at, trace=self.trace)
        for user_id, leaves in users.items():
            key = account_key(ResourceKind.USER, user_id)
            if leaves:
                leaving.append(Operation.merge(key, leave))
                leaving.append(Operation.merge(staged_key(key), {"number": number}))
            else:
                staying.append(Operation.merge(key, stay))
        return leaving + staying

    async def _enqueue(self, app: str, ids: list[str], *, kind: ResourceKind = ResourceKind.USER) -> None:
        self.queued[app] += len(ids)
        messages = [Message(app=app, kind=kind, id=source_id, trace=self.trace) for source_id in ids]
        for at in range(0, len(messages), 8):
            await gather_all([self.queues.send(DurableWrite.ENQUEUE, message) for message in messages[at : at + 8]])

    def forget_group_digests(self) -> None:
        """Make the next look at the assignments compare the groups again, although the list is unchanged."""
        for name, state in self.checkpoint.streams.items():
            if state.principal or state.digests:
                # Empty, not absent: a list without groups must differ from it, too.
                digests = {**state.digests, GROUPS_BUCKET: ""}
                self.checkpoint = self.checkpoint.with_stream(name, replace(state, digests=digests))

    def is_settled(self, number: str) -> bool:
        """Whether whatever was written under this number was also raised: by a complete run, or in this one."""
        return number <= self.checkpoint.saved or number > self.numbers.before_first()

    async def save_page(self, stream: str, state: StreamState) -> None:
        """Step 9: everything of this page is durable; move the stream and renew the lease. Raises LeaseLost."""
        moved = self.checkpoint.with_stream(stream, replace(state, saved_at=self.clock.now()))
        await self._write(DurableWrite.CHECKPOINT, moved)

    def finish_round(self, stream: str, state: StreamState) -> None:
        """Remember a stream whose round ended; its delta link is saved by `save_watermarks`, last of all."""
        self.finished[stream] = replace(state, saved_at=self.clock.now())

    async def save_watermarks(self, *, complete: bool) -> None:
        """Step 10: move the watermarks of all rounds that ended, and give the lease back.

        The saved number moves only when the run was `complete`: it speaks for every stream, and a stream that was
        interrupted, now or in an earlier run, may still have rows in the mirror that were never raised (H10b).
        """
        moved = self.checkpoint
        for stream, state in self.finished.items():
            moved = moved.with_stream(stream, state)
        saved = self.numbers.last() if complete else moved.saved
        released = replace(moved, saved=saved, lease_token="", lease_until=None)
        self.checkpoint = await self._conditional(DurableWrite.WATERMARK, released)

    async def renew(self) -> None:
        """Renew the lease when a quarter of it is over."""
        if self.lease.is_worn(self.clock.monotonic()):
            await self._write(DurableWrite.CHECKPOINT, self.checkpoint)

    async def _write(self, write: DurableWrite, checkpoint: Checkpoint) -> None:
        started = self.clock.monotonic()
        renewed = replace(checkpoint, lease_until=self.clock.now() + self.lease.length)
        self.checkpoint = await self._conditional(write, renewed)
        self.lease.ends_at = started + self.lease.length.total_seconds()

    async def _conditional(self, write: DurableWrite, checkpoint: Checkpoint) -> Checkpoint:
        self.lease.require(self.clock.monotonic())
        try:
            return await self.checkpoints.write(write, checkpoint)
        except StorageConflict as error:
            raise LeaseLost("another puller moved the checkpoint; this one stops") from error
