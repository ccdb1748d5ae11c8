"""What would happen, before anything does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field

from shared.api.access import Chosen, Prepared, pick_application
from shared.api.account_routes import AccountId
from shared.operations.account_story import find_source
from shared.operations.previewing.page import PreviewRequest
from shared.operations.previewing.report import AccountPreview, PreviewReport

router = APIRouter(tags=["preview"])


class PreviewQuestion(BaseModel):
    """What is to be previewed."""

    model_config = ConfigDict(extra="forbid")

    application: str | None = Field(default=None, max_length=100, description="None: all enabled applications.")
    configuration: str | None = Field(
        default=None, max_length=1_000_000, description="Text of another provisioning.yaml; None: the one in force."
    )
    profiles: Mapping[str, str] = Field(
        default={}, max_length=50, description="Own profiles of that text: name as written in it -> YAML text."
    )
    with_skipped: bool = Field(default=False, description="List accounts, too, to which nothing would happen.")
    cursor: str | None = Field(default=None, max_length=200_000, description="`next` of the page before.")


@router.post("/preview")
async def preview(services: Prepared, asked: Annotated[PreviewQuestion, Body()]) -> PreviewReport:
    """What would happen at one application or all, with this configuration or another. Nothing is written or asked.

    Counts are cumulative: ask with `next` until it is null; only then the deletion guard's verdict is there.
    """
    if asked.application is not None and asked.configuration is None:
        pick_application(services, asked.application)
    return await services.previewer.preview(
        PreviewRequest(
            application=asked.application,
            configuration=asked.configuration,
            profiles=asked.profiles,
            cursor=asked.cursor,
            with_skipped=asked.with_skipped,
        )
    )


@router.get("/applications/{app}/accounts/{id}/preview")
async def preview_account(application: Chosen, services: Prepared, given: AccountId) -> AccountPreview:
    """What would happen to one account."""
    kind, source_id = await find_source(services.rows, application.name, given)
    return await services.previewer.preview_account(application.name, kind, source_id)
