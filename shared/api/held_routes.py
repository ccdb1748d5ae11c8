"""What the deletion guard holds, and a person's answer to it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from shared.api.access import Acting, Chosen, Prepared
from shared.api.problems import refused
from shared.operations.held_report import HeldReport, report_held
from shared.operations.outcomes import Counted
from shared.provisioning.accounts import is_number

router = APIRouter(tags=["held deletions"])

ListNumber = Annotated[
    str, Path(alias="list", max_length=60, description="`list_number` of the list that the answer is about.")
]


@router.get("/applications/{app}/held")
async def read_held(application: Chosen, services: Prepared) -> HeldReport:
    """Whose deprovisioning is held, and the number of the list."""
    return report_held(await services.held_deletions.read(application))


@router.post("/applications/{app}/held/{list}/approve")
async def approve_held(application: Chosen, services: Prepared, act: Acting, list_number: ListNumber) -> Counted:
    """Let everybody on exactly this list lose access. Who was staged since waits for an answer of their own."""
    _check(list_number)
    count = await services.held_deletions.approve(application, list_number)
    act.note(accounts=count)
    return Counted(accounts=count)


@router.post("/applications/{app}/held/{list}/reject")
async def reject_held(application: Chosen, services: Prepared, act: Acting, list_number: ListNumber) -> Counted:
    """Let everybody on exactly this list keep access until the directory changes again for them."""
    _check(list_number)
    count = await services.held_deletions.reject(application, list_number)
    act.note(accounts=count)
    return Counted(accounts=count)


def _check(list_number: str) -> None:
    if not is_number(list_number):
        raise refused("list-number", "that is no list number; the list of held deletions shows it as list_number")
