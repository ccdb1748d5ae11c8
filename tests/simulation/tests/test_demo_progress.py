"""Where an account row stands, and how fast rows are done."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shared.provisioning.accounts import Account, AccountState, Intent, IntentKind, ResourceKind
from tests.simulation.demo.progress import Pace, standing_of

NUMBER = "0000000001.00000001.000"


def _row(**columns: object) -> Account:
    return Account(application="fuze", kind=ResourceKind.USER, source_id="1", wanted=NUMBER, **columns)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("row", "standing"),
    [
        pytest.param(_row(pending=True), "pending", id="raised and not applied"),
        pytest.param(
            _row(intent=Intent(kind=IntentKind.CREATE), intent_at=datetime(2026, 11, 21, tzinfo=UTC)),
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
    ],
)
def test_a_row_stands_in_one_of_four_ways(row: Account, standing: str) -> None:
    assert standing_of(row) == standing


def test_the_pace_is_that_of_the_last_ten_seconds() -> None:
    pace = Pace()
    for second in range(60):
        rate = pace.note(second * (1 if second < 30 else 5), now=float(second))

    assert rate == pytest.approx(5, rel=0.1)


def test_rows_that_are_raised_again_are_no_negative_pace() -> None:
    pace = Pace()
    pace.note(10, now=0.0)

    assert pace.note(4, now=1.0) == 0.0
