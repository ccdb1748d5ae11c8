"""The provisioning log as people read it: newest first, of an application or of one person."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.provisioning.accounts import ACCOUNTS
from shared.provisioning.provisioning_log import LOG_PREFIX
from shared.storage.tables import Row, Tables


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One attempt at one account."""

    at: str
    source_id: str
    target_id: str
    action: str
    status: str
    reason: str
    attempt: int
    duration_ms: int
    error_code: str
    error: str
    remedy: str
    """What a person does about the error, empty when there is none."""
    modified: Sequence[Mapping[str, Any]]
    """What changed; redacted where the mapping says so."""
    steps: Sequence[Mapping[str, Any]]
    trace: str


async def read_log(tables: Tables, app: str, *, source_id: str = "", last: int = 50) -> list[LogLine]:
    """Read the newest lines of an application, of one person if `source_id` is given. Raises StorageUnavailable."""
    found: list[LogLine] = []
    pages = tables.query(
        ACCOUNTS, app, first=LOG_PREFIX, before=f"{LOG_PREFIX[:-1]};", page_size=1000 if source_id else min(last, 1000)
    )
    async for page in pages:
        found += [_line(row) for row in page if not source_id or row.values.get("source_id") == source_id]
        if len(found) >= last:
            break
    return found[:last]


def _line(row: Row) -> LogLine:
    text = {name: str(row.values.get(name, "")) for name in ("at", "source_id", "target_id", "action", "status")}
    return LogLine(
        **text,
        reason=str(row.values.get("reason", "")),
        attempt=int(row.values.get("attempt", 1)),
        duration_ms=int(row.values.get("duration_ms", 0)),
        error_code=str(row.values.get("error_code", "")),
        error=str(row.values.get("error", "")),
        remedy=str(row.values.get("remedy", "")),
        modified=json.loads(str(row.values.get("modified", "")) or "[]"),
        steps=json.loads(str(row.values.get("steps", "")) or "[]"),
        trace=str(row.values.get("trace", "")),
    )
