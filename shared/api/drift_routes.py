"""What people changed at a vendor, and accounts there that nobody owns."""

from __future__ import annotations

from fastapi import APIRouter

from shared.api.access import Acting, Chosen, Prepared
from shared.api.pages import Cursor, Limit
from shared.operations.drift_report import DriftReport, UnownedLine, read_unowned_page, report_drift
from shared.operations.outcomes import Requested
from shared.operations.pages import Page

router = APIRouter(tags=["drift"])


@router.get("/applications/{app}/drift")
async def read_drift(application: Chosen, services: Prepared, limit: Limit = 100, cursor: Cursor = "") -> DriftReport:
    """Who differs at the vendor from what was sent, and what is done about it; `next` is where the accounts go on."""
    return await report_drift(
        application,
        rounds=services.drift_rounds,
        tables=services.tables,
        rows=services.rows,
        limit=limit,
        cursor=cursor,
    )


@router.post("/applications/{app}/drift/verify")
async def verify_application(application: Chosen, services: Prepared, act: Acting) -> Requested:
    """Begin a round of verification with the next housekeeping, also where `drift.mode` is off (then it reports)."""
    await services.drift_rounds.request(application.name)
    return Requested(requested=True)


@router.get("/applications/{app}/unowned")
async def list_unowned_accounts(
    application: Chosen, services: Prepared, limit: Limit = 100, cursor: Cursor = ""
) -> Page[UnownedLine]:
    """The accounts at the vendor that the last round found without an owner here. They are never touched."""
    return await read_unowned_page(services.tables, application.name, limit=limit, cursor=cursor)
