"""The users stream: delta pages into the mirror, and which accounts they touch (protocol steps 4 to 6 and 10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from shared.config.applications import Application
from shared.directory.delta import Removal, UserChange, read_user_changes
from shared.directory.graph import Graph, GraphNotFound, GraphRefused
from shared.directory.mirror import (
    DIRECTORY,
    Mirror,
    MirrorUser,
    Presence,
    UserFacts,
    merge_user,
    user_partition,
    user_row,
)
from shared.provisioning.accounts import Number
from shared.provisioning.checkpoint import LeaseLost, StreamState
from shared.provisioning.pull_run import PullRun, Touched
from shared.provisioning.standing import concerns
from shared.storage.tables import Operation, gather_all

STREAM = "users"
_PARALLEL_READS = 16
_UNSEEN_BATCH = 100


class UserPages:
    """Takes pages of users/delta into the mirror."""

    def __init__(self, *, graph: Graph, mirror: Mirror) -> None:
        self._graph = graph
        self._mirror = mirror

    async def apply_page(self, run: PullRun, page: Mapping[str, Any]) -> None:
        """Carry one page through steps 4 to 8; the caller follows its link and checkpoints."""
        await self.apply_changes(run, read_user_changes(page))

    async def apply_changes(self, run: PullRun, changes: Sequence[UserChange]) -> None:
        """Steps 4 to 8 for these users."""
        if not changes:
            return
        number = run.start_attempt()
        if run.checkpoint.stream(STREAM).first:
            try:
                touched = await self._write_unread(run, changes, number)
            except LeaseLost:
                # Not necessarily lost: an interrupted run wrote part of this page. Reading tells.
                touched = await self._write_compared(run, changes, number)
        else:
            touched = await self._write_compared(run, changes, number)
        await run.raise_accounts(number, touched)

    async def sweep_unseen(self, run: PullRun) -> None:
        """End of a full round: users that it did not show are confirmed one by one, then tombstoned (T21).

        A read that fails leaves the user alone; only Graph's own 404 counts.
        """
        round_id = run.checkpoint.stream(STREAM).round
        if not round_id or run.checkpoint.stream(STREAM).first:
            return
        removed: list[UserChange] = []
        for digit in "0123456789abcdef":
            async for users in self._mirror.list_users(digit):
                for user in users:
                    if user.round == round_id or user.presence is Presence.HARD_DELETED:
                        continue
                    change = await self._confirm_removed(user)
                    if change is not None:
                        removed.append(change)
                    await run.renew()
        for at in range(0, len(removed), _UNSEEN_BATCH):
            await self.apply_changes(run, removed[at : at + _UNSEEN_BATCH])

    async def _confirm_removed(self, user: MirrorUser) -> UserChange | None:
        if await self._graph.exists(f"/users/{user.id}"):
            return None
        try:
            restorable = await self._graph.exists(f"/directory/deletedItems/{user.id}")
        except GraphRefused:
            restorable = True
        removal = Removal.SOFT if restorable else Removal.HARD
        if removal is Removal.SOFT and user.presence is Presence.SOFT_DELETED:
            return None
        return UserChange(id=user.id, removal=removal)

    async def _write_unread(self, run: PullRun, changes: Sequence[UserChange], number: Number) -> Touched:
        """Insert the page without reading first: in the very first round the mirror cannot hold these users."""
        facts: dict[str, UserFacts] = {}
        operations: dict[str, list[Operation]] = {}
        for change in changes:
            if change.removal is not None:
                continue
            user, values = _changed_user(None, change, number=number, round_id=_round(run), whole=True)
            operations.setdefault(user_partition(user.id), []).append(Operation.insert(f"{user.id}:user", values))
            facts[user.id] = UserFacts(user=user)
        await run.write_mirror(DIRECTORY, operations)
        return await touched_by_users(run, facts)

    async def _write_compared(self, run: PullRun, changes: Sequence[UserChange], number: Number) -> Touched:
        """Step 5: read the rows of the page, skip what is equal and checkpointed, write the others with their ETags."""
        round_id = _round(run)
        facts: dict[str, UserFacts] = {}
        operations: dict[str, list[Operation]] = {}
        for change, found in zip(changes, await self._read_facts(changes), strict=True):
            earlier = found.user
            if change.removal is not None and earlier is None:
                continue
            if await self._is_stale_return(earlier, change):
                continue
            # Seen already in this round: the second sight says what changed since, and may leave relationships out.
            whole = bool(round_id) and (earlier is None or earlier.round != round_id)
            user, values = _changed_user(earlier, change, number=number, round_id=round_id, whole=whole)
            is_equal = earlier is not None and earlier.content == user.content
            if is_equal and earlier is not None and earlier.number <= run.checkpoint.saved:
                if earlier.round == round_id:
                    continue
                values = {**values, "number": earlier.number}
            else:
                facts[user.id] = replace(found, user=user)
            key = f"{user.id}:user"
            operations.setdefault(user_partition(user.id), []).append(
                Operation.replace(key, values, etag=earlier.etag) if earlier else Operation.insert(key, values)
            )
        await run.write_mirror(DIRECTORY, operations)
        return await touched_by_users(run, facts)

    async def _read_facts(self, changes: Sequence[UserChange]) -> list[UserFacts]:
        facts: list[UserFacts] = []
        for at in range(0, len(changes), _PARALLEL_READS):
            batch = changes[at : at + _PARALLEL_READS]
            facts += await gather_all([self._mirror.read_user_facts(change.id) for change in batch])
        return facts

    async def _is_stale_return(self, earlier: MirrorUser | None, change: UserChange) -> bool:
        """Whether a page shows a user that was deleted for ever: a replay of an older change, unless Graph has it.

        Ids are never given out twice, so the change is believed only when the user can be read.
        """
        if earlier is None or earlier.presence is not Presence.HARD_DELETED or change.removal is not None:
            return False
        try:
            return not await self._graph.exists(f"/users/{change.id}")
        except GraphNotFound:
            return True


async def touched_by_users(run: PullRun, facts: Mapping[str, UserFacts]) -> Touched:
    """Step 6: the accounts that changed users touch, and which of them must be switched off.

    An application concerns a user when everybody is in its scope, or when the user is, or once was, assigned, directly
    or through a group: traces stay so that a leaver's account is found. In the very first round nobody has an account
    that could be switched off, so nobody is staged: the guard would read half a directory for nothing.
    """
    touched: Touched = {}
    is_first = run.checkpoint.stream(STREAM).first
    for application in run.applications.enabled:
        for user_id, known in facts.items():
            if await _concerns(run, application, known):
                leaves = not is_first and await run.must_leave(application, known)
                touched.setdefault(application.name, {})[user_id] = leaves
    return touched


async def _concerns(run: PullRun, application: Application, facts: UserFacts) -> bool:
    # Most people are known without the groups, which then need not be read.
    return concerns(application, facts, ()) or (
        bool(facts.groups) and concerns(application, facts, await run.assigned_groups(application.name))
    )


def _round(run: PullRun) -> str:
    return run.checkpoint.stream(STREAM).round


def _changed_user(
    earlier: MirrorUser | None, change: UserChange, *, number: Number, round_id: str, whole: bool
) -> tuple[MirrorUser, dict[str, Any]]:
    """The user after the change, and the columns to write."""
    attributes, removal = merge_user(earlier, removal=change.removal, properties=change.properties, whole=whole)
    content, values = user_row(attributes, removal=removal, number=number, round_id=round_id)
    if removal is not None:
        presence = Presence.HARD_DELETED if removal is Removal.HARD else Presence.SOFT_DELETED
    else:
        presence = Presence.DISABLED if attributes.get("accountEnabled") is False else Presence.ACTIVE
    user = MirrorUser(
        id=change.id,
        presence=presence,
        attributes=attributes,
        content=content,
        number=number,
        round=round_id,
        etag="",
    )
    return user, values


def start_round(state: StreamState, *, round_id: str, select: str) -> StreamState:
    """A full round of a delta stream: the old link is void, its stamp is new.

    It is the first one only if none was ever begun: one that died may have left users in the mirror who are gone since.
    """
    is_first = state.saved_at is None and not state.round
    return replace(state, link="", round=round_id, first=is_first, select=select, began="")
