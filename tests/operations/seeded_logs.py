"""Records of the provisioning log, written as the consumer writes them but without a consumer, and a naive reading."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from shared.composition import Services
from shared.config.applications import Applications
from shared.config.settings import Settings
from shared.operations.log_lines import LogFilter, LogLine, read_log_page
from shared.provisioning.accounts import ACCOUNTS
from shared.provisioning.provisioning_log import LogEntry, LogStatus, Step, StepType
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Tables
from tests.world import START

STEP = timedelta(seconds=7)


def storage_of(azurite: str, prefix: str) -> Services:
    """Services of which only storage is used."""
    return Services(Settings.load({"AzureWebJobsStorage": azurite}), Applications({}), table_prefix=prefix)


def entry(at: int, **given: Any) -> LogEntry:
    """A record of the moment `at`; moments are seven seconds apart."""
    source_id = given.pop("source_id", "jo")
    fields: dict[str, Any] = {
        "at": START + at * STEP,
        "id": f"{at:06d}{source_id}",
        "source_id": source_id,
        "kind": "user",
        "target_id": f"target of {source_id}",
        "action": "update",
        "status": LogStatus.SUCCESS,
        "reason": "attributes_changed",
        "number": f"0000000001.{at:08d}.000",
        "config": "c0ffee",
        "duration_ms": 12,
        "steps": [Step(type=StepType.EXPORT, status=LogStatus.SUCCESS, description="update", details={"n": at})],
        "modified": [{"displayName": "title", "oldValue": "old", "newValue": f"new {at}"}],
        "trace": "t",
    }
    return LogEntry(**fields | given)


async def write_log(tables: Tables, app: str, entries: Iterable[LogEntry]) -> None:
    """Write records of an application."""
    operations = [operation for each in entries for operation in each.operations()]
    await tables.commit_all(DurableWrite.LOG, ACCOUNTS, app, operations)


async def read_all(
    tables: Tables, apps: Sequence[str], wanted: LogFilter, *, limit: int, most_pages: int = 1000
) -> list[LogLine]:
    """Everything, page by page."""
    lines: list[LogLine] = []
    cursor = ""
    for _ in range(most_pages):
        page = await read_log_page(tables, apps, wanted, limit=limit, cursor=cursor)
        assert len(page.items) <= limit
        lines += page.items
        if page.next is None:
            return lines
        cursor = page.next
    raise AssertionError("the pages never end")


def expected(written: Iterable[tuple[str, LogEntry]], wanted: LogFilter) -> list[tuple[str, str]]:
    """What a reader who looks at every record finds: application and trace of each, newest first."""

    def is_wanted(each: LogEntry) -> bool:
        return (
            wanted.source_id in ("", each.source_id)
            and wanted.action in ("", each.action)
            and wanted.status in ("", each.status)
            and wanted.code in ("", each.error_code)
            and (wanted.since is None or each.at >= wanted.since)
            and (wanted.until is None or each.at < wanted.until)
        )

    found = [(app, each) for app, each in written if is_wanted(each)]
    found.sort(key=lambda pair: (-_microseconds(pair[1].at), pair[1].id, pair[0]))
    return [(app, each.trace) for app, each in found]


def _microseconds(at: datetime) -> int:
    return (at - START) // timedelta(microseconds=1)
