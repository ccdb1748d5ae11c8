"""What a round of verification found, as rows beside the accounts: who differs, whom the list showed, who has no owner.

drift:<kind>:<source id>      an account that differs from what was sent, or that is gone
seen:<kind>:<round>:<page>    whom a page of the vendor's list showed, until the round has looked for the others
unowned:<kind>:<target id>    an account at the vendor that no row owns
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.clock import read_instant
from shared.provisioning.accounts import (
    ACCOUNTS,
    Account,
    ResourceKind,
    SentTooLong,
    encode_sent,
    read_known,
    released_number,
    write_columns,
)
from shared.provisioning.drift.comparing import VANISHED, DriftCause, DriftStatus, sent_as_observed
from shared.provisioning.provisioning_log import LogEntry
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation, Row, StorageConflict, Tables

DRIFT_PREFIX = "drift:"
SEEN_PREFIX = "seen:"
UNOWNED_PREFIX = "unowned:"
_TEXT_SHOWN = 200
_NAME_SHOWN = 256


class Ownership(StrEnum):
    """Whose an account without an owner could be."""

    UNKNOWN = "unknown"
    """Nobody's in the directory: a local account, or one of somebody long gone."""
    ADOPTABLE = "adoptable"
    """Carries the name of a person without an account here: it is taken over when that person is provisioned."""
    DUPLICATE = "duplicate"
    """Carries the name of a person who has another account here."""
    FOREIGN = "foreign"
    """Carries a person's name and somebody else's externalId: it is never taken over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One account that differs, or is suspected to."""

    kind: ResourceKind
    source_id: str
    target_id: str
    status: DriftStatus
    cause: DriftCause
    found_at: datetime | None
    """When the difference was first confirmed; None: it is only suspected."""
    paths: Mapping[str, tuple[str, str]]
    """Path -> what was sent and what the vendor holds, cut and redacted; `(account)` for one that is gone."""
    round: str
    tries: int = 0
    """In how many slices it could not be read, or was busy."""

    @property
    def is_gone(self) -> bool:
        """Whether the vendor has the account no more."""
        return VANISHED in self.paths


@dataclass(frozen=True, slots=True, kw_only=True)
class UnownedAccount:
    """One account at the vendor that no row owns. It is listed, never touched."""

    kind: ResourceKind
    target_id: str
    name: str
    """The value it would be matched by, as the vendor shows it."""
    is_active: bool | None
    """None: the vendor does not say."""
    external_id: str
    found_at: datetime | None
    values: frozenset[str]
    """Folded matching values."""
    round: str
    ownership: Ownership = Ownership.UNKNOWN
    source_id: str = ""
    """Whose name it carries, empty for nobody's."""


def finding_key(kind: ResourceKind, source_id: str) -> str:
    """The row key of a finding."""
    return f"{DRIFT_PREFIX}{kind}:{source_id}"


def unowned_key(kind: ResourceKind, target_id: str) -> str:
    """The row key of an account without an owner."""
    return f"{UNOWNED_PREFIX}{kind}:{target_id}"


def suspect_operation(account: Account, cause: DriftCause, round_id: str) -> Operation:
    """Note that an account has to be read by itself; what was found about it before stays until then."""
    return Operation.merge(
        finding_key(account.kind, account.source_id),
        write_columns(target_id=account.target_id, status=DriftStatus.SUSPECTED, cause=cause, round=round_id, tries=0),
    )


def seen_operation(kind: ResourceKind, round_id: str, page: int, source_ids: Sequence[str]) -> Operation:
    """Note whom a page showed. A page that is read again after a crash is the same row."""
    return Operation.replace(f"{SEEN_PREFIX}{kind}:{round_id}:{page:06d}", {"ids": json.dumps(list(source_ids))})


def unowned_operation(unowned: UnownedAccount) -> Operation:
    """Note an account that no row owns; whose it could be is judged at the end of the round."""
    columns = write_columns(
        name=unowned.name[:_NAME_SHOWN],
        active="" if unowned.is_active is None else str(unowned.is_active),
        external_id=unowned.external_id[:_NAME_SHOWN],
        values=json.dumps(sorted(unowned.values)),
        ownership=None,
        round=unowned.round,
        seen_at=unowned.found_at,
    )
    return Operation.merge(unowned_key(unowned.kind, unowned.target_id), columns)


class DriftFindings:
    """Reads and writes the findings of all applications."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def note_page(self, app: str, operations: Sequence[Operation]) -> None:
        """Write what a page, or a stretch of account rows, showed. Idempotent."""
        await self._tables.commit_all(DurableWrite.DRIFT_PAGE, ACCOUNTS, app, operations)

    async def read_seen(self, app: str, kind: ResourceKind, round_id: str) -> set[str]:
        """Everybody whom the pages of a round showed."""
        first = f"{SEEN_PREFIX}{kind}:{round_id}:"
        rows = await self._tables.read_range(ACCOUNTS, app, first=first, before=f"{first}~")
        return {source_id for row in rows for source_id in json.loads(str(row.values.get("ids", "[]")))}

    async def list_suspects(self, app: str) -> AsyncIterator[list[Finding]]:
        """Accounts that are still to be read by themselves, page by page."""
        async for page in self._query(app, DRIFT_PREFIX, where=f"status eq '{DriftStatus.SUSPECTED}'", page_size=100):
            yield [read_finding(row) for row in page]

    async def list_unowned(self, app: str, *, undecided: bool = False) -> AsyncIterator[list[UnownedAccount]]:
        """Accounts without an owner, page by page; `undecided`: those whose ownership this round has not judged."""
        async for page in self._query(app, UNOWNED_PREFIX, where="ownership eq ''" if undecided else ""):
            yield [read_unowned(row) for row in page]

    async def drop_suspicion(self, app: str, finding: Finding) -> None:
        """The account is as it was sent, or a change of it is on its way: nothing is found."""
        await self._tables.commit_all(
            DurableWrite.DRIFT_NOTE, ACCOUNTS, app, [Operation.delete(finding_key(finding.kind, finding.source_id))]
        )

    async def note_try(self, app: str, finding: Finding) -> None:
        """The vendor did not answer for this account; the next slice asks again."""
        tried = Operation.merge(finding_key(finding.kind, finding.source_id), {"tries": finding.tries + 1})
        await self._tables.commit(DurableWrite.DRIFT_NOTE, ACCOUNTS, app, [tried])

    async def confirm(
        self, app: str, finding: Finding, status: DriftStatus, paths: Mapping[str, tuple[str, str]], now: datetime
    ) -> None:
        """Write down what differs and what is done about it."""
        await self._tables.commit(
            DurableWrite.DRIFT_NOTE, ACCOUNTS, app, [self._confirmed(finding, status, paths, now)]
        )

    async def repair(
        self,
        account: Account,
        finding: Finding,
        paths: Mapping[str, tuple[str, str]],
        observed: Mapping[str, Any] | None,
        *,
        entry: LogEntry,
        now: datetime,
    ) -> bool:
        """Raise a row so that what differs is written again; False when the row moved since it was compared.

        Under the ETag of the row as it was before the vendor was read: no write of ours came between, so what the
        vendor showed is what it holds, and the consumer's ordinary plan is the difference. `observed` None: nothing is
        known of what it holds, and everything is asserted. `queued_at` stays empty: the top-up queues it in the
        vendor's pace (step 37).
        """
        believed = _believed(account, observed)
        columns = write_columns(wanted=released_number(account.wanted), pending=True, queued_at=None, sent=believed)
        operations = [
            Operation.merge(account.key, columns, etag=account.etag),
            self._confirmed(finding, DriftStatus.REPAIRING, paths, now),
            *entry.operations(),
        ]
        try:
            await self._tables.commit(DurableWrite.DRIFT_REPAIR, ACCOUNTS, account.application, operations)
        except StorageConflict:
            return False
        return True

    async def decide_ownership(self, app: str, decided: Collection[tuple[UnownedAccount, Ownership, str]]) -> None:
        """Write down whose accounts could be."""
        await self._tables.commit_all(
            DurableWrite.DRIFT_NOTE,
            ACCOUNTS,
            app,
            [
                Operation.merge(
                    unowned_key(unowned.kind, unowned.target_id),
                    write_columns(ownership=ownership, source_id=source_id),
                )
                for unowned, ownership, source_id in decided
            ],
        )

    async def drop_unowned(self, app: str, owned: Collection[UnownedAccount]) -> None:
        """These have an owner by now."""
        keys = [unowned_key(unowned.kind, unowned.target_id) for unowned in owned]
        await self._tables.commit_all(DurableWrite.DRIFT_NOTE, ACCOUNTS, app, [Operation.delete(key) for key in keys])

    async def forget_earlier(self, app: str, round_id: str, *, listed: bool) -> None:
        """Remove what earlier rounds found and this one did not; `listed`: it saw all of the vendor's accounts."""
        gone: list[Operation] = []
        async for page in self._query(app, SEEN_PREFIX, select=("round",)):
            gone += [Operation.delete(row.key) for row in page]
        prefixes = (DRIFT_PREFIX, UNOWNED_PREFIX) if listed else (DRIFT_PREFIX,)
        for prefix in prefixes:
            async for page in self._query(app, prefix, where=f"round ne '{round_id}'", select=("round",)):
                gone += [Operation.delete(row.key) for row in page]
        await self._tables.commit_all(DurableWrite.DRIFT_NOTE, ACCOUNTS, app, gone)

    def _confirmed(
        self, finding: Finding, status: DriftStatus, paths: Mapping[str, tuple[str, str]], now: datetime
    ) -> Operation:
        shown = {path: [_cut(sent), _cut(observed)] for path, (sent, observed) in list(paths.items())[:60]}
        return Operation.merge(
            finding_key(finding.kind, finding.source_id),
            write_columns(
                status=status,
                paths=json.dumps(shown, ensure_ascii=False),
                found_at=finding.found_at or now,
                target_id=finding.target_id,
                cause=finding.cause,
                round=finding.round,
            ),
        )

    def _query(
        self, app: str, prefix: str, *, where: str = "", select: Sequence[str] = (), page_size: int = 1000
    ) -> AsyncIterator[list[Row]]:
        return self._tables.query(
            ACCOUNTS, app, first=prefix, before=f"{prefix[:-1]};", where=where, select=select, page_size=page_size
        )


def read_finding(row: Row) -> Finding:
    """Decode a finding."""
    kind, _, source_id = row.key.removeprefix(DRIFT_PREFIX).partition(":")
    paths = json.loads(str(row.values.get("paths", "")) or "{}")
    return Finding(
        kind=ResourceKind(kind),
        source_id=source_id,
        target_id=str(row.values.get("target_id", "")),
        status=read_known(str(row.values.get("status", "")), DriftStatus.SUSPECTED),
        cause=read_known(str(row.values.get("cause", "")), DriftCause.CHANGED),
        found_at=read_instant(str(row.values.get("found_at", ""))),
        paths={path: (str(sent), str(observed)) for path, (sent, observed) in paths.items()},
        round=str(row.values.get("round", "")),
        tries=int(row.values.get("tries", 0)),
    )


def read_unowned(row: Row) -> UnownedAccount:
    """Decode an account without an owner."""
    kind, _, target_id = row.key.removeprefix(UNOWNED_PREFIX).partition(":")
    values = row.values
    active = str(values.get("active", ""))
    return UnownedAccount(
        kind=ResourceKind(kind),
        target_id=target_id,
        name=str(values.get("name", "")),
        is_active=None if not active else active == "True",
        external_id=str(values.get("external_id", "")),
        ownership=read_known(str(values.get("ownership", "")), Ownership.UNKNOWN),
        source_id=str(values.get("source_id", "")),
        found_at=read_instant(str(values.get("seen_at", ""))),
        values=frozenset(map(str, json.loads(str(values.get("values", "")) or "[]"))),
        round=str(values.get("round", "")),
    )


def fold_matching(path: str, value: Any) -> str:
    """A matching value as it is compared, short whatever its length."""
    return hashlib.sha256(
        f"{path.casefold()}\n{str(value).strip().casefold()}".encode("utf-8", "surrogatepass")
    ).hexdigest()[:32]


def _believed(account: Account, observed: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """What the row believes to be at the vendor from now on; unknown when that does not fit its column."""
    if observed is None:
        return None
    believed = sent_as_observed(account.sent or {}, observed)
    try:
        encode_sent(believed)
    except SentTooLong:
        return None
    return believed


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT_SHOWN else text[:_TEXT_SHOWN] + "…"
