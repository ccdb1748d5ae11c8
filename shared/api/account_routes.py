"""Accounts of one application: their stories, what failed, and another try."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Body, Path, Query
from pydantic import BaseModel, Field

from shared.api.access import Acting, Chosen, Prepared
from shared.api.pages import Cursor, Limit
from shared.api.problems import conflict, not_found, unavailable
from shared.composition import Services
from shared.operations.account_lines import AccountLine, read_accounts_page
from shared.operations.account_story import AccountStory, find_source, tell_account
from shared.operations.failure_report import FailedAccount, read_failures_page
from shared.operations.mapping_preview import MappingPreview, preview_mapping, read_document
from shared.operations.outcomes import Counted
from shared.operations.pages import Page
from shared.provisioning.accounts import AccountState, ResourceKind
from shared.provisioning.on_demand_report import OnDemandReport
from shared.rules.source_user import select_properties

router = APIRouter(tags=["accounts"])

AccountId = Annotated[str, Path(alias="id", max_length=200, description="Directory object id, or the vendor's id.")]


class ProvisionRequest(BaseModel):
    """How an account is provisioned on demand."""

    refresh: bool = Field(default=False, description="Read the directory's newest changes first.")


class RetryRequest(BaseModel):
    """Whom to try again."""

    code: str = Field(default="", max_length=100, description="Only accounts with this error code; empty: all.")


@router.get("/applications/{app}/failures")
async def list_failed_accounts(
    application: Chosen,
    services: Prepared,
    code: Annotated[str, Query(max_length=100)] = "",
    limit: Limit = 100,
    cursor: Cursor = "",
) -> Page[FailedAccount]:
    """Every account whose last attempt failed, with the reason and what to do."""
    return await read_failures_page(services.tables, application.name, code=code, limit=limit, cursor=cursor)


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


@router.get("/applications/{app}/accounts")
async def list_accounts(
    application: Chosen,
    services: Prepared,
    state: AccountState | None = None,
    kind: ResourceKind | None = None,
    limit: Limit = 100,
    cursor: Cursor = "",
) -> Page[AccountLine]:
    """Accounts of a state and kind, by default all, people before groups."""
    return await read_accounts_page(
        application,
        tables=services.tables,
        held_deletions=services.held_deletions,
        state=state,
        kind=kind,
        limit=limit,
        cursor=cursor,
    )


@router.post("/applications/{app}/accounts/{id}/provision")
async def provision_account(
    application: Chosen, services: Prepared, act: Acting, given: AccountId, asked: Annotated[ProvisionRequest, Body()]
) -> OnDemandReport:
    """Provision one person, or one group of any size, now: the six steps, what was sent, what the vendor said."""
    kind, source_id = await find_source(services.rows, application.name, given)
    if not (await services.rows.read(application.name, kind, source_id)).etag:
        kind = await services.people.kind_of(source_id)
    report = await services.on_demand.provision(application, kind, source_id, refresh=asked.refresh)
    act.note(outcome=report.outcome, action=report.action)
    return report


@router.get("/applications/{app}/accounts/{id}/mapping")
async def map_account(application: Chosen, services: Prepared, given: AccountId) -> MappingPreview:
    """What one person maps to: each filter clause, each mapping with its source, the SCIM resource.

    Somebody whom the mirror does not hold yet is read from Microsoft Graph, without roles: those come with the sync.
    """
    _, user_id = await find_source(services.rows, application.name, given)
    facts = await services.mirror.read_user_facts(user_id)
    if facts.user is not None:
        groups = await services.mirror.read_assigned_groups(application.name)
        return preview_mapping(application, facts, assigned_groups=groups, mapper=services.mapper)
    found, roles = read_document(await _read_from_graph(services, user_id))
    return preview_mapping(application, found, assigned_groups={}, mapper=services.mapper, roles=roles)


async def _read_from_graph(services: Services, user_id: str) -> Mapping[str, Any]:
    from shared.directory.graph import GraphError, GraphNotFound

    properties = ",".join(select_properties(services.applications.values()))
    try:
        return await services.graph.read(f"/users/{quote(user_id, safe='')}?$select={properties}")
    except GraphNotFound as error:
        raise not_found(
            "unknown-account", f"neither the mirror nor Microsoft Graph knows a user {user_id}; use the object id"
        ) from error
    except GraphError as error:
        raise unavailable("directory-unavailable", f"Microsoft Graph could not be asked: {error}") from error


@router.post("/applications/{app}/accounts/{id}/retry")
async def retry_account(application: Chosen, services: Prepared, act: Acting, given: AccountId) -> Counted:
    """Try one account again now that is in escrow or was poisoned."""
    kind, source_id = await find_source(services.rows, application.name, given)
    if not await services.retries.retry_account(application, kind, source_id):
        raise conflict("nothing-to-retry", f"{given} does not wait for another attempt; its story says why")
    return Counted(accounts=1)
