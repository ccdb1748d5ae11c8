"""Who is stuck, and who only waits for a moment."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.provisioning.accounts import Account, AccountState, ResourceKind, make_number
from shared.provisioning.applications_state import ApplicationState, ApplicationStatus
from shared.provisioning.attempt import OwnCode
from shared.provisioning.notices.stuck import Stuck, StuckKind, count_stuck, judge_stuck

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
EARLY, SAMPLE, LATE = make_number(1, 1), make_number(1, 5), make_number(1, 9)
ESCROWED = {"state": AccountState.ESCROWED, "pending": True, "wanted": EARLY, "tried": EARLY, "error_code": "BadData"}


def account(**columns: Any) -> Account:
    return Account(application="acme", kind=ResourceKind.USER, source_id="u", **columns)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        pytest.param({"wanted": EARLY, "applied": EARLY, "state": AccountState.IN_SYNC}, None, id="in sync"),
        pytest.param({"wanted": EARLY, "pending": True}, StuckKind.PENDING, id="wanted for more than an hour"),
        pytest.param({"wanted": SAMPLE, "pending": True}, StuckKind.PENDING, id="wanted for an hour"),
        pytest.param({"wanted": LATE, "pending": True}, None, id="wanted since"),
        pytest.param(
            {"wanted": LATE, "pending": True, "failed_at": NOW - HOUR}, StuckKind.PENDING, id="failing for an hour"
        ),
        pytest.param({"wanted": LATE, "pending": True, "failed_at": NOW - HOUR / 2}, None, id="failing for a while"),
        pytest.param({**ESCROWED, "next_attempt_at": NOW + HOUR}, StuckKind.ESCROWED, id="escrowed"),
        pytest.param(ESCROWED, StuckKind.GIVEN_UP, id="given up"),
        pytest.param({**ESCROWED, "error_code": OwnCode.POISONED}, StuckKind.POISONED, id="poisoned"),
        pytest.param({**ESCROWED, "wanted": LATE}, None, id="escrowed, and changed since: tried at once"),
        pytest.param({"wanted": EARLY, "pending": True, "staged": EARLY}, None, id="waits for the guard"),
        pytest.param(
            {"wanted": EARLY, "pending": True, "state": AccountState.HELD, "rejected": EARLY}, None, id="rejected"
        ),
    ],
)
def test_an_account_is_stuck(columns: dict[str, Any], expected: StuckKind | None) -> None:
    assert judge_stuck(account(**columns), raised_before=SAMPLE, now=NOW) is expected


def test_before_the_first_round_nobody_is_late() -> None:
    assert judge_stuck(account(wanted=EARLY, pending=True), raised_before="", now=NOW) is None


def test_counts_by_reason_the_most_frequent_first() -> None:
    judged = [
        (StuckKind.ESCROWED, "Rare"),
        (StuckKind.ESCROWED, "Often"),
        (StuckKind.ESCROWED, "Often"),
        (StuckKind.GIVEN_UP, "Rare"),
        (StuckKind.POISONED, OwnCode.POISONED),
        (StuckKind.PENDING, ""),
    ]

    stuck = count_stuck(judged, held=3, state=ApplicationState(name="acme"), now=NOW)

    assert list(stuck.escrowed.items()) == [("Often", 2), ("Rare", 1)]
    assert (stuck.given_up, stuck.poisoned, stuck.held, stuck.pending) == ({"Rare": 1}, 1, 3, 1)
    assert (stuck.stopped, stuck.is_empty) == ("", False)


@pytest.mark.parametrize(("hours", "stopped"), [(23, ""), (24, "Quarantine")])
def test_a_quarantine_is_stuck_after_a_day(hours: int, stopped: str) -> None:
    state = ApplicationState(
        name="acme", status=ApplicationStatus.QUARANTINE, reason="Unauthorized", since=NOW - hours * HOUR
    )

    stuck = count_stuck([], held=0, state=state, now=NOW)

    assert (stuck.stopped, stuck.is_empty) == (stopped, not stopped)
    assert count_stuck([], held=0, state=replace(state, status=ApplicationStatus.ACTIVE), now=NOW) == Stuck()
