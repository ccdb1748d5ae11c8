"""Where an account row stands, and how fast rows are done."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared.provisioning.accounts import ACCOUNTS, Account, AccountState, Intent, IntentKind, ResourceKind, change_key
from shared.provisioning.attempt import OwnCode
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation
from tests.provisioning.pulls import APP, assign, calm, people, pulling
from tests.simulation.demo.progress import Pace, read_progress, standing_of

NUMBER = "0000000001.00000001.000"
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def _row(**columns: object) -> Account:
    return Account(application="fuze", kind=ResourceKind.USER, source_id="1", wanted=NUMBER, **columns)  # type: ignore[arg-type]


def _missing(**columns: object) -> Account:
    """A group that a person has to make at the vendor."""
    given = {"tried": NUMBER, "next_attempt_at": NOW + timedelta(hours=6), **columns}
    return _row(pending=True, state=AccountState.SKIPPED, error_code=OwnCode.GROUP_MISSING, **given)


@pytest.mark.parametrize(
    ("row", "standing"),
    [
        pytest.param(_row(pending=True), "pending", id="raised and not applied"),
        pytest.param(
            _row(intent=Intent(kind=IntentKind.CREATE), intent_at=NOW),
            "pending",
            id="an open intent",
        ),
        pytest.param(_row(state=AccountState.IN_SYNC), "done", id="in sync"),
        pytest.param(
            _row(pending=True, state=AccountState.ESCROWED, tried=NUMBER), "failed", id="escrowed for what is wanted"
        ),
        pytest.param(
            _row(pending=True, state=AccountState.ESCROWED, tried="older"), "pending", id="escrowed, and changed since"
        ),
        pytest.param(_row(pending=True, staged=NUMBER, target_id="t"), "held", id="staged with an account"),
        pytest.param(_row(pending=True, staged=NUMBER), "done", id="staged with nothing to lose"),
        pytest.param(
            _row(pending=True, staged=NUMBER, permit=NUMBER, target_id="t"), "pending", id="staged and permitted"
        ),
        pytest.param(_missing(), "missing", id="a group that somebody has to make"),
        pytest.param(_missing(tried="older"), "pending", id="such a group, and changed since"),
        pytest.param(_missing(next_attempt_at=NOW), "pending", id="such a group, to be looked for now"),
    ],
)
def test_a_row_stands_in_one_of_five_ways(row: Account, standing: str) -> None:
    assert standing_of(row, NOW) == standing


def test_the_pace_is_that_of_the_last_ten_seconds() -> None:
    pace = Pace()
    for second in range(60):
        rate = pace.note(second * (1 if second < 30 else 5), now=float(second))

    assert rate == pytest.approx(5, rel=0.1)


def test_rows_that_are_raised_again_are_no_negative_pace() -> None:
    pace = Pace()
    pace.note(10, now=0.0)

    assert pace.note(4, now=1.0) == 0.0


async def test_groups_are_counted_too_and_so_are_memberships_that_nobody_looked_at(
    azurite: str, name_prefix: str
) -> None:
    async with pulling(azurite, name_prefix, more="groups: {enabled: true}\n") as world:
        team = world.tenant.create_group("Team", members=people(world, 3))
        assign(world, team)
        await calm(world)
        calm_progress = await read_progress(world.services, APP)

        changes = [
            Operation.insert(change_key(team, NUMBER, "1"), {"left": False, "refused": ""}),
            Operation.insert(change_key(team, NUMBER, "2"), {"left": False, "refused": "BadRequest"}),
        ]
        await world.services.tables.commit(DurableWrite.MARK_MEMBERS, ACCOUNTS, APP, changes)
        progress = await read_progress(world.services, APP)

        assert (calm_progress.done, calm_progress.pending) == (4, 0)
        assert (progress.done, progress.pending, progress.memberships) == (4, 1, 1)


async def test_what_is_marked_for_a_group_that_somebody_has_to_make_waits_with_it(
    azurite: str, name_prefix: str
) -> None:
    async with pulling(
        azurite, name_prefix, more="groups: {enabled: true}\nactions: {groups: {create: false}}\n"
    ) as world:
        team = world.tenant.create_group("Team", members=people(world, 3))
        assign(world, team)
        await calm(world)

        progress = await read_progress(world.services, APP)

        assert (progress.done, progress.pending, progress.missing_ids) == (4, 0, {team})
