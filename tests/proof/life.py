"""A sequence lived through in a company of its own, and the calm after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from tests.proof import judging
from tests.proof.company import Company, open_company
from tests.proof.directory_events import CHANGES
from tests.proof.events import Event
from tests.proof.platform_events import HAPPENINGS
from tests.proof.trouble_events import TROUBLES

WEIGHTS: dict[str, float] = {
    kind: weight for each in (HAPPENINGS, CHANGES, TROUBLES) for kind, (weight, _) in each.items()
}

PEOPLE = 6
"""Who works there before the first event."""

CONFIRM_S = 301.0
"""Between the two looks that make an absent assignment a gone one."""

HOUSE_S = 1000.0
"""Between two runs of housekeeping: longer than a message may be missed before it is sent again."""

REST_ROUNDS = 40

CALM_STEP_S = 6.5 * 3600.0
CALM_STEPS = 12
"""Long enough for every rung of the escrow ladder, far too short for a link to grow old and a full round to repair."""


@dataclass(frozen=True, slots=True)
class Setting:
    """The company a sequence is lived in."""

    vendors: tuple[str, ...]
    guard: str = "open"


async def live(azurite: str, setting: Setting, events: Sequence[Event]) -> tuple[list[str], list[str]]:
    """Answer what is wrong in the end, and what was told on the way."""
    async with open_company(azurite, vendors=setting.vendors, guard=setting.guard) as company:
        _strangers_were_there(company)
        try:
            await _begin(company)
            wrong = await _live(company, events)
        except Exception as error:  # noqa: BLE001 - whatever escapes the product is a finding
            wrong = [f"{type(error).__name__}: {error}"]
        return wrong, company.told


async def _begin(company: Company) -> None:
    """Some people work there already, and have their accounts."""
    for person in range(PEOPLE):
        CHANGES["join"][1](company, Random(person))
    await company.main.sync()
    await company.main.settle()


def _strangers_were_there(company: Company) -> None:
    """Before the first round vendors have accounts that nobody here made."""
    for app, stage in company.stages.items():
        company.seed_stranger(app, f"nobody-{app}@contoso.example", "somebody-else")
        company.seed_stranger(app, "adopted@contoso.example", None)
        if "externalId" not in stage.unseen:
            company.seed_stranger(app, "taken@contoso.example", "somebody-else")


async def _live(company: Company, events: Sequence[Event]) -> list[str]:
    for event in events:
        await _happen(company, event)
        wrong = list(judging.momentary_findings(company))
        if wrong:
            return wrong
    return await _calm(company)


async def _happen(company: Company, event: Event) -> None:
    dice = Random(event.dice)
    if event.kind in CHANGES:
        CHANGES[event.kind][1](company, dice)
    elif event.kind in TROUBLES:
        TROUBLES[event.kind][1](company, dice)
    else:
        await HAPPENINGS[event.kind][1](company, dice)


async def _calm(company: Company) -> list[str]:
    """Troubles end, late writes land, time passes, timers run; a person approves what is held."""
    company.tell("calm")
    company.fate.relent()
    company.release_late_writes()
    for stage in company.stages.values():
        stage.acme.faults.clear()
    main = company.main
    main.world.graph.faults.clear()
    main.begin()
    await main.sync()
    await main.pass_time(CONFIRM_S)
    wrong = ["never calm"]
    for _ in range(CALM_STEPS):
        await main.sync()
        await _rest(company)
        wrong = await judging.findings(company)
        if not wrong:
            break
        await _approve_everything(company)
        await main.pass_time(CALM_STEP_S)
    return wrong


async def _rest(company: Company) -> None:
    """Messages and housekeeping, until nothing moves; who waits for a person's decision may keep others asking."""
    main, clock, quiet = company.main, company.clock, 0
    house_at = clock.elapsed
    for _ in range(REST_ROUNDS):
        await main.deliver()
        waiting = main.world.queues.waiting
        ahead = min((queued.due for queued in waiting), default=house_at) - clock.elapsed
        await main.pass_time(min(max(ahead, 0.01), HOUSE_S))
        if clock.elapsed >= house_at:
            house_at = clock.elapsed + HOUSE_S
            await main.keep_house()
            quiet = 0 if waiting else quiet + 1
        if quiet == 2:
            return


async def _approve_everything(company: Company) -> None:
    company.rejected = {each for each in sorted(company.rejected) if not _depart_again(company, each)}
    for app, stage in company.stages.items():
        held_deletions = stage.world.services.held_deletions
        held = await held_deletions.read(stage.application)
        if held.list_number:
            company.ledgers[app].approved += len(held.accounts)
            await held_deletions.approve(stage.application, held.list_number)


def _depart_again(company: Company, each: str) -> bool:
    """A rejected departure stands until the directory says something new, which of who is gone for good it never
    does."""
    tenant = company.tenant
    if each in tenant.users:
        tenant.update(each, jobTitle="Rejected once")
    elif each in tenant.deleted_users:
        tenant.restore(each)
        tenant.soft_delete(each)
    elif each in tenant.groups:
        tenant.update_group(each, displayName=f"Rejected once {each[:8]}")
    else:
        return False
    return True
