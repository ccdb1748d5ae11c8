"""References between accounts (managers) that heal themselves (protocol T7).

The vendor knows people by its own ids, so a reference can only be sent when the account it points at exists. Who refers
to whom is noted first, in rows `refers:<source>:<row>`; the target is read after that. An account that gets its link,
also a new one after it had vanished, raises every row that refers to it. Whatever the order, and wherever a process
dies, either the reader sees the link or the linker sees the note.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from shared.clock import Clock
from shared.provisioning.account_rows import AccountRows, RowMoved
from shared.provisioning.accounts import (
    ACCOUNTS,
    Account,
    AccountState,
    Reference,
    ResourceKind,
    account_key,
    refers_key,
)
from shared.provisioning.attempt import Attempt
from shared.rules.mapping import MappedAccount
from shared.storage.durable_writes import DurableWrite
from shared.storage.queues import Message, Queues
from shared.storage.tables import Operation, Row, StorageConflict, Tables, gather_all

_PARALLEL = 8
_TRIES = 5
_LOOKS_AGAIN = frozenset({AccountState.HELD, AccountState.DISABLED, AccountState.SKIPPED, AccountState.DELETED})
"""Who comes back from here was not kept up to date about whom they refer to: everything is read again."""


@dataclass(slots=True, kw_only=True)
class References:
    """Resolves references, notes them, and wakes who waits."""

    rows: AccountRows
    tables: Tables
    queues: Queues
    clock: Clock

    async def resolve(self, account: Account, wanted: Mapping[str, str]) -> dict[str, Reference]:
        """Who is referred to, with the ids of their accounts as far as they exist.

        `wanted`: target path -> source id. What was resolved before costs nothing: a new link of that account raises
        this row and says so. Everything else is noted, unless it was for an earlier attempt, then read.
        """
        known = known_references(account, wanted)
        open_ids = {path: source_id for path, source_id in wanted.items() if path not in known}
        if open_ids:
            others = sorted({source_id for source_id in open_ids.values() if source_id != account.source_id})
            noted = {reference.source_id for reference in account.references.values()}
            rows = {account.source_id: account}
            if not noted.issuperset(others):
                await self._note(account, [source_id for source_id in others if source_id not in noted])
            if others:
                read = [self.rows.read(account.application, ResourceKind.USER, source_id) for source_id in others]
                rows |= dict(zip(others, await gather_all(read), strict=True))
            for path, source_id in open_ids.items():
                known[path] = Reference(source_id=source_id, target_id=linked_id(rows[source_id]))
        return known

    def awaits_itself(self, attempt: Attempt) -> bool:
        """Whether somebody manages themselves, and their account had no id before it was created or adopted."""
        return any(reference.source_id == attempt.account.source_id for reference in attempt.references.values())

    async def _note(self, account: Account, source_ids: Sequence[str]) -> None:
        """Before the target is read: whoever links it from now on finds its row changed, and this one noted."""
        operations = [
            operation
            for source_id in source_ids
            for operation in (
                Operation.merge(refers_key(source_id, account.key), {"at": account.wanted}),
                Operation.merge(account_key(ResourceKind.USER, source_id), {"referred": True}),
            )
        ]
        await self.tables.commit(DurableWrite.NOTE_REFERENCES, ACCOUNTS, account.application, operations)

    async def forget_notes(self, account: Account, references: Mapping[str, Reference]) -> None:
        """Remove the notes about whom this row no longer refers to. One that stays only costs a needless look later."""
        still = {reference.source_id for reference in references.values()}
        for source_id in {reference.source_id for reference in account.references.values()} - still:
            gone = Operation.delete(refers_key(source_id, account.key))
            try:
                await self.tables.commit(DurableWrite.NOTE_REFERENCES, ACCOUNTS, account.application, [gone])
            except StorageConflict:
                continue

    async def wake(self, account: Account) -> bool:
        """Raise every row that refers to this account under another id than it has now. Idempotent.

        False: a row moved too often to be told; the account stays `waking`, and they are told at the next look.
        """
        first = refers_key(account.source_id, "")
        notes = await self.tables.read_range(ACCOUNTS, account.application, first=first, before=first[:-1] + ";")
        told = [
            each
            for at in range(0, len(notes), _PARALLEL)
            for each in await gather_all([self._wake_one(account, note) for note in notes[at : at + _PARALLEL]])
        ]
        return all(told)

    async def _wake_one(self, linked: Account, note: Row) -> bool:
        kind, _, source_id = note.key.removeprefix(refers_key(linked.source_id, "")).partition(":")
        for _ in range(_TRIES):
            waiting = await self.rows.read(linked.application, ResourceKind(kind), source_id)
            meant = [entry for entry in waiting.references.values() if entry.source_id == linked.source_id]
            is_told = bool(meant) and all(entry.target_id == linked.target_id for entry in meant)
            if not waiting.etag or not waiting.wanted or waiting.is_held() or is_told:
                # Who is held looks again anyway, should they come back.
                return True
            try:
                await self.rows.wake(waiting, now=self.clock.now(), trace=linked.trace, rechecks=True)
            except RowMoved:
                continue
            message = Message(app=linked.application, kind=waiting.kind, id=waiting.source_id, trace=linked.trace)
            await self.queues.send(DurableWrite.WAKE_ENQUEUE, message)
            return True
        return False

    async def forget_waking(self, account: Account) -> None:
        """Everybody was told. Nobody minds when the row moved: the next attempt tells them again."""
        told = Operation.merge(account.key, {"waking": False}, etag=account.etag)
        try:
            await self.tables.commit(DurableWrite.SAVE_WOKEN, ACCOUNTS, account.application, [told])
        except StorageConflict:
            return


def apply_references(
    mapped: MappedAccount, references: Mapping[str, Reference], *, soft_deleted: bool
) -> MappedAccount:
    """The mapped account with its references as ids of the vendor. Pure.

    One that is awaited is left out, and so taken away when another was sent before. Who leaves keeps what was sent.
    """
    if soft_deleted:
        return replace(mapped, kept=mapped.kept | set(mapped.references))
    resolved = {path: entry.target_id for path, entry in references.items() if entry.target_id}
    return replace(mapped, attributes={**mapped.attributes, **resolved})


def known_references(account: Account, wanted: Mapping[str, str]) -> dict[str, Reference]:
    """Those of the wanted references (target path -> source id) that need no look: they were resolved before. Pure."""
    return {
        path: reference
        for path, reference in account.references.items()
        if wanted.get(path) == reference.source_id != account.source_id
        and reference.target_id
        and not account.recheck
        and account.state not in _LOOKS_AGAIN
    }


def linked_id(account: Account) -> str:
    """The id by which others refer to this account at the vendor, empty while there is none. Pure."""
    return "" if account.state is AccountState.DELETED else account.target_id
