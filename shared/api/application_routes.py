"""Applications: how they stand, and what moves them as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Body, Query
from pydantic import BaseModel, Field

from shared.api.access import Acting, Chosen, Composed, Prepared
from shared.composition import Services
from shared.config.applications import Application
from shared.operations.application_report import ApplicationReport
from shared.operations.connection_report import ConnectionReport, check_connection
from shared.operations.outcomes import Changed
from shared.operations.webhook_report import WebhookReport, send_test
from shared.provisioning.figures.activity import Activity
from shared.provisioning.figures.cycles import Cycle
from shared.provisioning.restarting import RestartReport, RestartScope
from shared.scim.connections import ScimConnections
from shared.storage.tables import StorageUnavailable

router = APIRouter(tags=["applications"])


class PauseRequest(BaseModel):
    """Why an application is paused."""

    reason: str = Field(default="", max_length=300, description="Shown in the status and the history.")


class RestartRequest(BaseModel):
    """What is begun anew."""

    reset: list[RestartScope] = Field(min_length=1, max_length=10)


@router.get("/applications")
async def list_applications(services: Prepared) -> list[ApplicationReport]:
    """Every application of provisioning.yaml with its state and its figures, in the order of the file."""
    return await services.application_reports.report_all()


@router.get("/applications/{app}")
async def read_application(application: Chosen, services: Prepared) -> ApplicationReport:
    """One application."""
    return await services.application_reports.report(application)


@router.get("/applications/{app}/figures")
async def read_figures(
    application: Chosen, services: Prepared, hours: Annotated[int, Query(ge=1, le=720)] = 24
) -> Activity:
    """What was done hour by hour, the present one last."""
    return await services.activity.read_activity(application.name, hours)


@router.get("/cycles")
async def list_cycles(services: Prepared) -> list[Cycle]:
    """The last runs of the sync that did something, newest first, with the configuration each of them used."""
    return list((await services.cycles.read()).recent)


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


@router.post("/applications/{app}/restart")
async def restart_application(
    application: Chosen, services: Prepared, act: Acting, asked: Annotated[RestartRequest, Body()]
) -> RestartReport:
    """Begin anew, with chosen scopes; the queue carries it out in the vendor's pace."""
    act.note(reset=[scope.value for scope in asked.reset])
    return await services.restarts.restart(application, asked.reset)


@router.post("/applications/{app}/test-webhook")
async def check_webhook(application: Chosen, services: Composed, act: Acting) -> WebhookReport:
    """Send a test notice to the application's webhook; answers what the receiver said."""
    return await send_test(application, notifier=services.notifier)


@router.post("/applications/{app}/test-connection")
async def check_application_connection(application: Chosen, services: Composed) -> ConnectionReport:
    """Ask the vendor for a user that does not exist: are address and credentials right?"""
    return (await _check_connections(services, [application]))[0]


@router.post("/test-connections")
async def check_connections(services: Composed) -> list[ConnectionReport]:
    """Ask every vendor of an enabled application."""
    return await _check_connections(services, services.applications.enabled)


async def _check_connections(services: Services, chosen: Sequence[Application]) -> list[ConnectionReport]:
    """Ask, in a slot of each vendor's rate.

    Where storage does not answer nobody else can send either, so a request may go without a slot: this way a new
    connection is tested before anything else runs.
    """
    try:
        await services.ensure_storage()
        gate = services.gate_of
    except StorageUnavailable:
        gate = None
    connections = ScimConnections(
        secret=services.settings.secret,
        gate_of=gate,
        timeout_s=services.settings.vendor_timeout_s,
        refused=services.refused_secrets,
    )
    try:
        return [await check_connection(each, connections, environment=services.settings.environment) for each in chosen]
    finally:
        await connections.aclose()
