"""A story about figures: whatever happened on the way, in the end they say what the rows and the log say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable

from shared.provisioning.accounts import ACCOUNTS, AccountState
from shared.provisioning.figures.activity import SETTLING
from tests.provisioning.stories import Scenery, Stage

Story = Callable[[Stage], Awaitable[None]]


async def figures(stage: Stage) -> None:
    """Somebody joins, somebody moves, somebody leaves; then census and hours are compared with a full count."""
    mover, leaver = await stage.provisioned(), await stage.provisioned()
    stage.begin()
    stage.hire()
    stage.tenant.update(mover, jobTitle="Astronaut")
    stage.tenant.disable(leaver)
    await stage.settle()
    await stage.pass_time(2 * SETTLING.total_seconds())
    for _ in range(3):
        await stage.sync()
        await stage.keep_house()
    await compare(stage)


async def compare(stage: Stage) -> None:
    """Raises AssertionError where figures and rows do not agree."""
    services, app = stage.world.services, stage.app
    tables = services.tables
    census = await services.census.read(app)
    rows = await tables.read_range(ACCOUNTS, app, first="user:", before="user;")
    states = Counter(str(row.values["state"]) for row in rows if row.values.get("wanted"))
    assert census.counts is not None
    assert census.counts.by_state(hold_stands=False) == {each.value: states[each.value] for each in AccountState}
    log = await tables.read_range(ACCOUNTS, app, first="log:", before="log;")
    logged = Counter(str(row.values["status"]) for row in log)
    activity = await services.activity.read_activity(app, 720, pages=0)
    counted: Counter[str] = Counter()
    for hour in activity.hours:
        counted.update(hour.results)
    assert +counted == logged
    last = (await services.cycles.read()).last
    assert last is not None
    assert last.outcome in ("pulled", "nothing new")


FIGURE_STORIES: dict[str, tuple[Story, Scenery]] = {"figures": (figures, Scenery())}
