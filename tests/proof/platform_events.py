"""What the platform does: timers run, messages come, in any order, twice or never, and time passes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random

from shared.storage.durable_writes import Moment
from shared.storage.tables import StorageConflict
from tests.proof.company import Company
from tests.proof.directory_events import CHANGES
from tests.world import Queued

Happening = Callable[[Company, Random], Awaitable[None]]

LATE_S = 90.0
"""A write that outlives its connection has landed by then, or never will; grace is longer."""


async def sync(company: Company, _dice: Random) -> None:
    """The timer of the sync."""
    company.tell(f"sync: {await company.main.tick()}{_death(company)}")


async def keep_house(company: Company, _dice: Random) -> None:
    """The timer of housekeeping."""
    ended = await company.main.keep_house()
    company.tell(f"housekeeping{'' if ended else ' died'}")


async def deliver(company: Company, dice: Random) -> None:
    """Some messages are delivered, in any order."""
    for _ in range(dice.randint(2, 14)):
        visible = _visible(company)
        if not visible:
            return
        queued = dice.choice(visible) if dice.random() < 0.5 else visible[0]
        company.main.world.queues.waiting.remove(queued)
        await company.main.handle(queued)
        came_to = company.main.outcomes[-1] if company.main.outcomes else None
        company.tell(
            f"message of {queued.message.kind} {queued.message.id[:8]} at {queued.message.app}: "
            f"{came_to and came_to.kind} {came_to and came_to.reason}"
        )


def _visible(company: Company) -> list[Queued]:
    return [queued for queued in company.main.world.queues.waiting if queued.due <= company.clock.elapsed]


def _death(company: Company) -> str:
    return f" ({company.main.deaths} deaths so far)" if company.main.deaths else ""


async def drop(company: Company, dice: Random) -> None:
    """A message is lost."""
    if waiting := company.main.world.queues.waiting:
        queued = dice.choice(waiting)
        waiting.remove(queued)
        company.tell(f"the message of {queued.message.id[:8]} at {queued.message.app} is lost")


async def double(company: Company, dice: Random) -> None:
    """A message comes twice."""
    if waiting := company.main.world.queues.waiting:
        queued = dice.choice(waiting)
        waiting.append(Queued(queued.due + dice.choice([0, 5, 300]), queued.first, queued.message))
        company.tell(f"the message of {queued.message.id[:8]} at {queued.message.app} comes twice")


async def delay(company: Company, dice: Random) -> None:
    """A message comes an hour later."""
    if waiting := company.main.world.queues.waiting:
        queued = dice.choice(waiting)
        queued.due += dice.choice([30, 600, 3600])
        company.tell(f"the message of {queued.message.id[:8]} at {queued.message.app} is delayed")


async def pass_time(company: Company, dice: Random) -> None:
    """The clock moves, sometimes far; what is still on its way to a vendor arrives first."""
    seconds = dice.choice([1, 5, 20, 60, 60, 60, 200, 400, 1000, 4000, 20_000])
    if any(stage.acme._late for stage in company.stages.values()):
        if company.late_since is None:
            company.late_since = company.clock.elapsed
        if company.clock.elapsed + seconds - company.late_since > LATE_S or dice.random() < 0.2:
            company.release_late_writes()
    company.clock.advance(seconds)
    company.tell(f"{seconds} seconds pass")


async def meanwhile(company: Company, dice: Random) -> None:
    """While a write is at the vendor the directory changes, the sync sees it, and copies of messages come."""
    change = dice.choices(list(CHANGES), [weight for weight, _ in CHANGES.values()])[0]
    later = Random(dice.randrange(1_000_000))

    async def happen() -> None:
        CHANGES[change][1](company, later)
        await company.main.world.services.puller.pull()
        for queued in list(_visible(company))[:2]:
            await company.main.world.services.reconciler.provision(queued.message, first=queued.first)

    company.fate.meanwhile.append(happen)
    company.tell(f"while the next write is under way: {change}, sync, and copies of messages")


async def change_of_mind(company: Company, dice: Random) -> None:
    """A change reaches the vendor, its answer reaches nobody, and the directory takes the change back."""
    living = company.living()
    if not living:
        return
    person, tenant = dice.choice(living), company.tenant
    before = {name: tenant.user(person).get(name) for name in ("accountEnabled", "jobTitle")}
    company.tell(f"{person[:8]} changes, nobody hears the answer, and it is taken back")
    if dice.random() < 0.6:
        tenant.update(person, accountEnabled=not before["accountEnabled"])
    else:
        tenant.update(person, jobTitle="For a moment")
    await sync(company, dice)
    company.fate.times_out = Moment.AFTER
    await deliver(company, dice)
    if person in tenant.users:
        tenant.update(person, **before)
    await sync(company, dice)


async def answer_held(company: Company, dice: Random) -> None:
    """A person looks at what is held and approves or rejects it."""
    app, stage = dice.choice(list(company.stages.items()))
    approves = dice.random() < 0.7

    async def answer() -> int:
        held_deletions = stage.world.services.held_deletions
        held = await held_deletions.read(stage.application)
        if not held.list_number:
            return 0
        if approves:
            company.ledgers[app].approved += len(held.accounts)
            return await held_deletions.approve(stage.application, held.list_number)
        company.rejected |= {account.source_id for account in held.accounts}
        return await held_deletions.reject(stage.application, held.list_number)

    try:
        answered = await company.main.attempt(answer)
    except StorageConflict:
        answered = None
    if answered != 0:
        company.tell(f"{app}: a person {'approves' if approves else 'rejects'} {answered}")


HAPPENINGS: dict[str, tuple[float, Happening]] = {
    "sync": (14, sync),
    "deliver": (20, deliver),
    "housekeeping": (5, keep_house),
    "time": (10, pass_time),
    "drop": (1, drop),
    "double": (2, double),
    "delay": (1, delay),
    "meanwhile": (2, meanwhile),
    "change of mind": (3, change_of_mind),
    "answer": (1.5, answer_held),
}
"""Everything else, and how often it happens."""
