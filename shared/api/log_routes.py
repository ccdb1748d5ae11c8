"""The provisioning log: searched, and taken away as a file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from io import BytesIO
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from shared.api.access import Composed, pick_application
from shared.composition import Services
from shared.operations.log_export import ExportBounds, ExportFormat, export_log
from shared.operations.log_lines import LogFilter, LogLine, read_log_page
from shared.operations.pages import Page

router = APIRouter(tags=["log"])

_BOUNDS = ExportBounds(records=20_000, size=20_000_000, pages=40)
"""The platform keeps an answer in memory whole, and a search that finds little must end before it does."""

_Word = Annotated[str, Field(max_length=300)]
_Instant = Annotated[datetime | None, Field(description="ISO 8601; without an offset it is UTC.")]


class LogQuery(BaseModel):
    """Which records are wanted; what is left out wants all."""

    model_config = ConfigDict(extra="forbid")

    application: _Word = Field(default="", description="Empty: all enabled applications.")
    source_id: _Word = Field(default="", description="The directory's id of a person or a group.")
    action: _Word = Field(default="", description="create, update, disable, delete, stageddelete or other.")
    status: _Word = Field(default="", description="success, failure, skipped or warning.")
    code: _Word = Field(default="", description="An error code.")
    since: _Instant = None
    until: _Instant = None

    def filter(self) -> LogFilter:
        """The filter. Raises FilterRefused."""
        return LogFilter(
            source_id=self.source_id,
            action=self.action,
            status=self.status,
            code=self.code,
            since=_aware(self.since),
            until=_aware(self.until),
        )


class LogPageQuery(LogQuery):
    """Which records, and which page of them."""

    limit: int = Field(default=100, ge=1, le=1000)
    cursor: str = Field(default="", max_length=8_000)


@router.get("/log")
async def list_log(services: Composed, asked: Annotated[LogPageQuery, Query()]) -> Page[LogLine]:
    """The provisioning log, newest first. A page may hold fewer than asked for, and yet not be the last."""
    applications = await _chosen(services, asked.application)
    return await read_log_page(services.tables, applications, asked.filter(), limit=asked.limit, cursor=asked.cursor)


class ExportQuery(LogQuery):
    """Which records, and how they are written."""

    format: ExportFormat = ExportFormat.CSV
    cursor: str = Field(default="", max_length=8_000)


@router.get("/log/export", response_class=Response)
async def export(services: Composed, asked: Annotated[ExportQuery, Query()]) -> Response:
    """The provisioning log as a file: three joined CSV files in a zip, or JSON.

    A file that was cut says so, and `X-Next-Cursor` is where the next one begins.
    """
    applications = {name: services.applications[name] for name in await _chosen(services, asked.application)}
    into = BytesIO()
    report = await export_log(
        services.tables,
        applications,
        asked.filter(),
        form=asked.format,
        into=into,
        cursor=asked.cursor,
        bounds=_BOUNDS,
    )
    is_csv = asked.format is ExportFormat.CSV
    headers = {"Content-Disposition": f'attachment; filename="provisioning-log.{"zip" if is_csv else "json"}"'}
    if report.next is not None:
        headers["X-Next-Cursor"] = report.next
    return Response(into.getvalue(), media_type="application/zip" if is_csv else "application/json", headers=headers)


async def _chosen(services: Services, application: str) -> Sequence[str]:
    """The applications that are meant, with storage prepared after that: one that does not exist is told first."""
    chosen = [pick_application(services, application).name] if application else []
    await services.ensure_storage()
    return chosen or [each.name for each in services.applications.enabled]


def _aware(instant: datetime | None) -> datetime | None:
    return instant.replace(tzinfo=UTC) if instant is not None and instant.tzinfo is None else instant
