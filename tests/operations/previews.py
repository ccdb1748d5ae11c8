"""Previews of a world, page by page, and what its vendors then really get."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from shared.operations.previewing.page import PreviewRequest
from shared.operations.previewing.report import ApplicationPreview, PreviewReport, RequestsPreview
from tests.provisioning.pulls import APP
from tests.world import World


async def preview(world: World, **asked: Any) -> PreviewReport:
    """The last page of a preview, with the accounts of all pages."""
    request = PreviewRequest(**asked)
    report = await world.services.previewer.preview(request)
    accounts = list(report.accounts)
    while report.next:
        report = await world.services.previewer.preview(replace(request, cursor=report.next))
        accounts += report.accounts
    return replace(report, accounts=tuple(accounts))


def only(report: PreviewReport, app: str = APP) -> ApplicationPreview:
    """What the report says of one application."""
    return next(each for each in report.applications if each.application == app)


def counted(report: PreviewReport, app: str = APP) -> dict[str, int]:
    """Action -> accounts, those to which nothing happens left out."""
    counts = only(report, app).counts
    return {action: sum(reasons.values()) for action, reasons in counts.items() if action != "skip"}


def sent(world: World, since: int, app: str = APP) -> Counter[str]:
    """Requests that the vendor got from the `since`-th on, by method; look-ups are GETs."""
    return Counter(entry.method for entry in list(world.vendors[app].journal)[since:])


def foretold(requests: RequestsPreview) -> Counter[str]:
    """The same, as a preview has it; a disable is an update."""
    return +Counter(
        GET=requests.look_ups + requests.reads,
        POST=requests.creates,
        PATCH=requests.updates + requests.disables + requests.members,
        DELETE=requests.deletes,
    )


async def provisioned(world: World, since: int, app: str = APP) -> Counter[str]:
    """What was really done from the `since`-th log record on: successes by action."""
    log = await world.log(app)
    done = log[: len(log) - since]
    return Counter(str(record["action"]) for record in done if record["status"] == "success")


def accounts_of(report: PreviewReport, *source_ids: str) -> dict[str, str]:
    """Source id -> action and reason of those that are listed."""
    shown = {each.source_id: f"{each.action}: {each.reason}" for each in report.accounts}
    return {source_id: shown.get(source_id, "") for source_id in source_ids} if source_ids else shown
