"""What people changed at a vendor, and accounts there that nobody owns."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from shared.api.access import Acting, Chosen, Prepared
from shared.operations.drift_report import DriftReport, report_drift

router = APIRouter(tags=["drift"])


class Requested(BaseModel):
    """The request was noted; it is carried out by the next housekeeping."""

    requested: bool


@router.get("/applications/{app}/drift")
async def read_drift(application: Chosen, services: Prepared) -> DriftReport:
    """Who differs at the vendor from what was sent, and what is done about it."""
    return await report_drift(
        application.name,
        application.drift.mode,
        rounds=services.drift_rounds,
        findings=services.drift_findings,
        rows=services.rows,
    )


@router.post("/applications/{app}/drift/verify")
async def verify_application(application: Chosen, services: Prepared, act: Acting) -> Requested:
    """Begin a round of verification with the next housekeeping, also where `drift.mode` is off (then it reports)."""
    await services.drift_rounds.request(application.name)
    return Requested(requested=True)
