"""The provisioning log as a file, in the two shapes that Entra's own log is downloaded in.

JSON holds one object per record in the shape of Graph's provisioningObjectSummary. CSV is a zip of three files joined
on `id`: ProvisioningLogs, ProvisioningLogs_ProvisioningSteps and ProvisioningLogs_ModifiedProperties; their columns are
the JSON's properties by the same names, nested ones with a dot. A spreadsheet takes a cell that begins like a formula
for one: such cells get an apostrophe in front.

What is written is bounded. A file that was cut says so, and holds the cursor with which the next file goes on.
"""

from __future__ import annotations

import csv
import io
import json
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import IO, Any, Protocol

from shared.config.applications import Application
from shared.operations.log_lines import LogFilter, LogLine, read_log_page
from shared.operations.pages import LARGEST_PAGE
from shared.storage.tables import Tables

MAX_RECORDS = 50_000
MAX_BYTES = 100_000_000
MAX_PAGES = 500
"""Pages of the log that one file may cost; a filter that finds little reads much."""

LOGS, STEPS, MODIFIED = (
    "ProvisioningLogs.csv",
    "ProvisioningLogs_ProvisioningSteps.csv",
    "ProvisioningLogs_ModifiedProperties.csv",
)
CUT = "Incomplete.txt"
"""The file in the zip that says that records are missing, and how to go on; absent when none are."""

_LOG_COLUMNS = (
    "id",
    "activityDateTime",
    "provisioningAction",
    "provisioningStatusInfo.status",
    "provisioningStatusInfo.errorInformation.errorCode",
    "provisioningStatusInfo.errorInformation.reason",
    "provisioningStatusInfo.errorInformation.recommendedAction",
    "resultDescription",
    "sourceIdentity.id",
    "sourceIdentity.identityType",
    "targetIdentity.id",
    "targetIdentity.identityType",
    "sourceSystem.displayName",
    "targetSystem.displayName",
    "servicePrincipal.id",
    "servicePrincipal.displayName",
    "jobId",
    "changeId",
    "correlationId",
    "durationInMilliseconds",
    "attempt",
    "configuration",
)
_STEP_COLUMNS = ("id", "provisioningStepType", "status", "description", "details")
_MODIFIED_COLUMNS = ("id", "displayName", "oldValue", "newValue")
_FORMULA_STARTS = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""The last four are the full-width forms of the first four: some spreadsheets take them for the same."""


class ExportFormat(StrEnum):
    """What the file is."""

    CSV = "csv"
    """A zip of three CSV files, UTF-8 with a byte order mark."""
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportBounds:
    """How much one file may hold."""

    records: int = MAX_RECORDS
    size: int = MAX_BYTES
    """Bytes of text; the last thousand records may go beyond. A zip is about a tenth of it."""
    pages: int = MAX_PAGES


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """What was written."""

    records: int
    next: str | None
    """Cursor with which the next file goes on; None: nothing is missing."""


STANDARD_BOUNDS = ExportBounds()


class _Writer(Protocol):
    """Writes records one after the other, then ends the file."""

    def write(self, record: Mapping[str, Any]) -> int:
        """Write a record; answers its bytes."""

    def end(self, next_cursor: str | None) -> None:
        """Finish the file."""


async def export_log(
    tables: Tables,
    applications: Mapping[str, Application],
    wanted: LogFilter,
    *,
    form: ExportFormat,
    into: IO[bytes],
    cursor: str = "",
    bounds: ExportBounds = STANDARD_BOUNDS,
) -> ExportReport:
    """Write the wanted records of these applications into a binary file, newest first, in bounded memory.

    Raises CursorRefused, StorageUnavailable; the file is worthless then.
    """
    writer: _Writer = _JsonWriter(into) if form is ExportFormat.JSON else _CsvWriter(into)
    records, size = 0, 0
    following: str | None = cursor
    try:
        for _ in range(bounds.pages):
            # A page that is read is written whole: its cursor is the only place where the next file can begin.
            limit = min(LARGEST_PAGE, bounds.records - records)
            page = await read_log_page(tables, list(applications), wanted, limit=limit, cursor=following or "")
            size += sum(writer.write(describe(line, applications[line.application])) for line in page.items)
            records, following = records + len(page.items), page.next
            if following is None or records >= bounds.records or size >= bounds.size:
                break
        writer.end(following)
    finally:
        if isinstance(writer, _CsvWriter):
            writer.close()
    return ExportReport(records=records, next=following)


def describe(line: LogLine, application: Application) -> dict[str, Any]:
    """A record in the shape of Graph's provisioningObjectSummary, with our attempt, reason and configuration. Pure."""
    identity_type = line.kind.capitalize()
    error = {"errorCode": line.error_code, "reason": line.error, "recommendedAction": line.remedy}
    return {
        "id": line.id,
        "activityDateTime": line.at,
        "provisioningAction": line.action,
        "provisioningStatusInfo": {
            "status": line.status,
            "errorInformation": error if line.error_code or line.error else None,
        },
        "resultDescription": line.reason,
        "provisioningSteps": [dict(step) for step in line.steps],
        "modifiedProperties": [dict(entry) for entry in line.modified],
        "sourceIdentity": {"id": line.source_id, "identityType": identity_type},
        "targetIdentity": {"id": line.target_id, "identityType": identity_type},
        "sourceSystem": {"displayName": "Microsoft Entra ID"},
        "targetSystem": {"displayName": line.application},
        "servicePrincipal": {"id": application.service_principal_id, "displayName": line.application},
        "jobId": line.application,
        "changeId": line.number,
        "correlationId": line.trace,
        "durationInMilliseconds": line.duration_ms,
        "attempt": line.attempt,
        "configuration": line.config,
    }


class _JsonWriter:
    """`{"value": [...], "complete": ..., "next": ...}`, a record a line."""

    def __init__(self, into: IO[bytes]) -> None:
        self._into = into
        self._separator = "\n"
        into.write(b'{"value": [')

    def write(self, record: Mapping[str, Any]) -> int:
        """Write a record."""
        text = self._separator + json.dumps(record, ensure_ascii=False)
        self._separator = ",\n"
        # Half an emoji, which only a damaged record can hold, must not end the file.
        return self._into.write(text.encode("utf-8", "replace"))

    def end(self, next_cursor: str | None) -> None:
        """Say whether anything is missing."""
        said = json.dumps({"complete": next_cursor is None, "next": next_cursor})
        self._into.write(b"\n], " + said[1:].encode() + b"\n")


class _CsvWriter:
    """Three sheets, written side by side into files of their own and put into the zip at the end."""

    def __init__(self, into: IO[bytes]) -> None:
        self._into = into
        columns = {LOGS: _LOG_COLUMNS, STEPS: _STEP_COLUMNS, MODIFIED: _MODIFIED_COLUMNS}
        self._sheets = {name: _Sheet(header) for name, header in columns.items()}

    def write(self, record: Mapping[str, Any]) -> int:
        """Write a record, its steps and what it changed."""
        name = record["id"]
        size = self._sheets[LOGS].write([_at(record, path) for path in _LOG_COLUMNS])
        for sheet, columns, part in (
            (STEPS, _STEP_COLUMNS, "provisioningSteps"),
            (MODIFIED, _MODIFIED_COLUMNS, "modifiedProperties"),
        ):
            for entry in record[part]:
                size += self._sheets[sheet].write([name, *(entry.get(column) for column in columns[1:])])
        return size

    def end(self, next_cursor: str | None) -> None:
        """Put the sheets into the zip, and a word where something is missing."""
        with zipfile.ZipFile(self._into, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, sheet in self._sheets.items():
                with archive.open(name, "w") as member:
                    sheet.copy(member)
            if next_cursor is not None:
                archive.writestr(
                    CUT, f"Older records are missing here. Export again with this cursor for them:\n{next_cursor}\n"
                )

    def close(self) -> None:
        """Forget the sheets."""
        for sheet in self._sheets.values():
            sheet.close()


class _Sheet:
    """One CSV file in the making; beyond a megabyte it lies on disk."""

    def __init__(self, header: Sequence[str]) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=1_000_000)  # noqa: SIM115 - closed with the writer
        self._file.write(b"\xef\xbb\xbf")
        self.write(header)

    def write(self, values: Sequence[Any]) -> int:
        """Write a row."""
        row = io.StringIO(newline="")
        csv.writer(row).writerow([_cell(value) for value in values])
        return self._file.write(row.getvalue().encode("utf-8", "replace"))

    def copy(self, into: IO[bytes]) -> None:
        """Write all rows into another file."""
        self._file.seek(0)
        while part := self._file.read(1_000_000):
            into.write(part)

    def close(self) -> None:
        """Forget the rows."""
        self._file.close()


def _at(record: Mapping[str, Any], path: str) -> Any:
    value: Any = record
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _cell(value: Any) -> str:
    """A value as a cell: text as it is, anything else as JSON, nothing as an empty cell; never a formula."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text[:1] in _FORMULA_STARTS and text else text
