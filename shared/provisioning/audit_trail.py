"""Who did what to the service, when and from where: approvals, retries, restarts, pauses, new configurations.

A record is written before the action, so that nothing is done without one, and completed with its result after it; a
record without a result belongs to a request that died. Records are never changed otherwise and live 400 days.

Rows: table `audit`, partition `audit`, key `<inverted time>:<id>`, newest first.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from shared import telemetry
from shared.clock import Clock, read_instant, write_instant
from shared.provisioning.provisioning_log import invert_instant
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation, Row, StorageConflict, Tables

AUDIT = "audit"
DEPLOYMENT = "deployment"
"""Actor of a configuration that came into force."""

_LIFE = timedelta(days=400)
_LATEST = datetime(9999, 1, 1, tzinfo=UTC)
_LONGEST = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One action of a person, or of a deployment."""

    id: str
    """Also the record's place: newer ones come first."""
    at: datetime
    actor: str
    """Who says they did it; `deployment` for a configuration."""
    is_verified: bool
    """Whether the platform signed the actor in; otherwise the name is what the holder of the key gave."""
    address: str
    """Where the request came from."""
    via: str
    """`api`, `command line`, `dashboard`, or `deployment`."""
    action: str
    application: str
    """Empty: the action was about the whole service."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """What was asked: ids, list numbers, reasons given, scopes."""
    result: str = ""
    """The HTTP status; empty: it was never finished."""
    config: str = ""
    """Hash of the application's configuration at the time."""


@dataclass(slots=True, kw_only=True)
class AuditTrail:
    """Writes and reads the records."""

    tables: Tables
    clock: Clock

    async def begin(
        self,
        action: str,
        *,
        actor: str,
        address: str,
        via: str,
        application: str = "",
        config: str = "",
        detail: Mapping[str, Any] | None = None,
        is_verified: bool = False,
    ) -> AuditRecord:
        """Note that somebody is about to act. Raises StorageUnavailable, and then nothing may be done."""
        now = self.clock.now()
        record = AuditRecord(
            id=f"{invert_instant(now)}:{uuid.uuid4().hex[:12]}",
            at=now,
            actor=actor,
            is_verified=is_verified,
            address=address,
            via=via,
            action=action,
            application=application,
            detail=detail or {},
            config=config,
        )
        await self.tables.commit(DurableWrite.AUDIT, AUDIT, AUDIT, [Operation.insert(record.id, _columns(record))])
        telemetry.emit(telemetry.Event.OPERATOR_ACTED, action=action, application=application, via=via, audit=record.id)
        return record

    async def conclude(self, record: AuditRecord, result: str, *, detail: Mapping[str, Any] | None = None) -> None:
        """Note how the action ended, and what was learned of it meanwhile. Raises StorageUnavailable."""
        columns = {"result": result[:_LONGEST], "detail": _encode({**record.detail, **(detail or {})})}
        await self.tables.commit(DurableWrite.AUDIT, AUDIT, AUDIT, [Operation.merge(record.id, columns)])

    async def read(self, *, limit: int, after: str = "") -> list[AuditRecord]:
        """The newest records, or those older than the record `after`, at most `limit`. Raises StorageUnavailable."""
        found: list[AuditRecord] = []
        first = f"{after}\x01" if after else ""
        async for page in self.tables.query(AUDIT, AUDIT, first=first, page_size=min(limit, 1000)):
            found += [_record(row) for row in page]
            if len(found) >= limit:
                break
        return found[:limit]

    async def trim(self) -> None:
        """Remove records that are older than 400 days."""
        first = invert_instant(self.clock.now() - _LIFE)
        async for page in self.tables.query(AUDIT, AUDIT, first=first, select=("at",)):
            try:
                expired = [Operation.delete(row.key, etag=row.etag) for row in page]
                await self.tables.commit_all(DurableWrite.AUDIT, AUDIT, AUDIT, expired)
            except StorageConflict:
                # Another run removed them.
                return


def _columns(record: AuditRecord) -> dict[str, Any]:
    return {
        "at": write_instant(record.at),
        "actor": record.actor,
        "is_verified": record.is_verified,
        "address": record.address,
        "via": record.via,
        "action": record.action,
        "application": record.application,
        "detail": _encode(record.detail),
        "result": record.result,
        "config": record.config,
    }


def _encode(detail: Mapping[str, Any]) -> str:
    """The detail as JSON; what is too long for a record is named and left out."""
    short = {
        name: value if len(json.dumps(value)) <= _LONGEST else "(too long)" for name, value in list(detail.items())[:20]
    }
    return json.dumps(short, ensure_ascii=False)


def _record(row: Row) -> AuditRecord:
    text = {name: str(row.values.get(name, "")) for name in ("actor", "address", "via", "action", "application")}
    return AuditRecord(
        **text,
        id=row.key,
        at=read_instant(str(row.values.get("at", ""))) or _LATEST,
        is_verified=bool(row.values.get("is_verified", False)),
        detail=json.loads(str(row.values.get("detail", "")) or "{}"),
        result=str(row.values.get("result", "")),
        config=str(row.values.get("config", "")),
    )
