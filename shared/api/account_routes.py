"""Accounts of one application: their stories, what failed, and another try."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Path, Query
from pydantic import BaseModel, Field

from shared.api.access import Acting, Chosen, Prepared
from shared.api.problems import conflict, not_found
from shared.operations.account_story import AccountStory, find_source, tell_account
from shared.operations.failure_report import FailedAccount, list_failures

router = APIRouter(tags=["accounts"])

AccountId = Annotated[str, Path(alias="id", max_length=200, description="Directory object id, or the vendor's id.")]


class Counted(BaseModel):
    """How many accounts a request reached."""

    accounts: int


class RetryRequest(BaseModel):
    """Whom to try again."""

    code: str = Field(default="", max_length=100, description="Only accounts with this error code; empty: all.")


@router.get("/applications/{app}/failures")
async def list_failed_accounts(
    application: Chosen, services: Prepared, code: Annotated[str, Query(max_length=100)] = ""
) -> list[FailedAccount]:
    """Every account whose last attempt failed, with the reason and what to do."""
    return await list_failures(services.tables, application.name, code=code)


@router.post("/applications/{app}/retry")
async def retry_accounts(
    application: Chosen, services: Prepared, act: Acting, asked: Annotated[RetryRequest, Body()]
) -> Counted:
    """Let everybody whose last attempt failed be tried again, in the vendor's pace."""
    count = await services.retries.retry_all(application, code=asked.code)
    act.note(code=asked.code, accounts=count)
    return Counted(accounts=count)


@router.get("/applications/{app}/accounts/{id}")
async def read_account(application: Chosen, services: Prepared, given: AccountId) -> AccountStory:
    """One account's, or one group's, whole story: directory, row, what comes next, what was done."""
    story = await tell_account(
        application,
        await find_source(services.rows, application.name, given),
        rows=services.rows,
        mirror=services.mirror,
        tables=services.tables,
        now=services.clock.now(),
    )
    if not story.is_known:
        raise not_found(
            "unknown-account",
            f"nobody, and no group, with the id {given} is known at {application.name}; use the directory's object id "
            "or the vendor's id, not a user name",
        )
    return story


@router.post("/applications/{app}/accounts/{id}/retry")
async def retry_account(application: Chosen, services: Prepared, act: Acting, given: AccountId) -> Counted:
    """Try one account again now that is in escrow or was poisoned."""
    kind, source_id = await find_source(services.rows, application.name, given)
    if not await services.retries.retry_account(application, kind, source_id):
        raise conflict("nothing-to-retry", f"{given} does not wait for another attempt; its story says why")
    return Counted(accounts=1)
