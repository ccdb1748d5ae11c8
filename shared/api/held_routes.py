"""What the deletion guard holds, and a person's answer to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Path

from shared.api.access import Act, Acting, Chosen, Prepared
from shared.api.problems import conflict, refused
from shared.config.applications import Application
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
    return await _answer(application, list_number, services.held_deletions.approve, act)


@router.post("/applications/{app}/held/{list}/reject")
async def reject_held(application: Chosen, services: Prepared, act: Acting, list_number: ListNumber) -> Counted:
    """Let everybody on exactly this list keep access until the directory changes again for them."""
    return await _answer(application, list_number, services.held_deletions.reject, act)


async def _answer(
    application: Application, list_number: str, answer: Callable[[Application, str], Awaitable[int]], act: Act
) -> Counted:
    """Carry the answer out. One that comes too late reaches nobody, and is refused so that its giver learns it."""
    if not is_number(list_number):
        raise refused("list-number", "that is no list number; the list of held deletions shows it as list_number")
    count = await answer(application, list_number)
    act.note(accounts=count)
    if not count:
        raise conflict(
            "list-not-held",
            "nobody on that list is held any more: it was answered before, or everybody came back. Read the list again",
        )
    return Counted(accounts=count)
