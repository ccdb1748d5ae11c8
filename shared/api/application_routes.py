"""Applications: how they stand, and what moves them as a whole."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body
from pydantic import BaseModel, Field

from shared.api.access import Acting, Chosen, Composed, Prepared
from shared.operations.application_report import ApplicationReport
from shared.operations.connection_report import ConnectionReport, check_connection
from shared.scim.connections import ScimConnections
from shared.storage.tables import StorageUnavailable

router = APIRouter(tags=["applications"])


class Changed(BaseModel):
    """Whether this request changed anything; asking twice is no mistake."""

    changed: bool


class PauseRequest(BaseModel):
    """Why an application is paused."""

    reason: str = Field(default="", max_length=300, description="Shown in the status and the history.")


@router.get("/applications")
async def list_applications(services: Prepared) -> list[ApplicationReport]:
    """Every application of provisioning.yaml with its state and its figures, in the order of the file."""
    return await services.application_reports.report_all()


@router.get("/applications/{app}")
async def read_application(application: Chosen, services: Prepared) -> ApplicationReport:
    """One application."""
    return await services.application_reports.report(application)


@router.post("/applications/{app}/pause")
async def pause_application(
    application: Chosen, services: Prepared, act: Acting, asked: Annotated[PauseRequest, Body()]
) -> Changed:
    """Stop writing to the vendor until `resume`; every worker notices within five seconds. Changes go on being read."""
    act.note(reason=asked.reason)
    return Changed(changed=await services.states.pause(application.name, asked.reason))


@router.post("/applications/{app}/resume")
async def resume_application(application: Chosen, services: Prepared, act: Acting) -> Changed:
    """End a pause, or a quarantine, at once; what waited is queued by the next housekeeping, leavers first."""
    return Changed(changed=await services.states.resume(application.name))


@router.post("/applications/{app}/test-connection")
async def check_application_connection(application: Chosen, services: Composed) -> ConnectionReport:
    """Ask the vendor for a user that does not exist: are address and credentials right?"""
    # Where storage does not answer nobody else can send either, so the request may go without a slot: this way a new
    # connection is tested before anything else runs.
    try:
        await services.ensure_storage()
        gate = services.gate_of
    except StorageUnavailable:
        gate = None
    connections = ScimConnections(
        secret=services.settings.secret, gate_of=gate, timeout_s=services.settings.vendor_timeout_s
    )
    try:
        client = connections.client_of(application) if application.enabled else None
        return await check_connection(application, client, environment=services.settings.environment)
    finally:
        await connections.aclose()
