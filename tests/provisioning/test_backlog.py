"""Which rows need a message that they do not have."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from shared.provisioning.accounts import AccountState, Intent, IntentKind
from shared.provisioning.backlog import Due, DueRules, judge_due
from tests.examples import NOW, WANTED, example_account

RULES = DueRules(config="c", grace=timedelta(seconds=150), sweep_after=timedelta(seconds=900))
CREATE = Intent(kind=IntentKind.CREATE, matching="ada@contoso.example")
AGO = NOW - timedelta(seconds=10)
LONG_AGO = NOW - timedelta(seconds=1000)
SOON = NOW + timedelta(seconds=300)


@pytest.mark.parametrize(
    ("columns", "due"),
    [
        pytest.param({}, Due.ORDINARY, id="raised and never queued"),
        pytest.param({"pending": False, "config": "c"}, Due.NOT, id="nothing pending"),
        pytest.param({"pending": False, "config": "older"}, Due.ORDINARY, id="applied with another configuration"),
        pytest.param({"pending": False, "wanted": "", "config": ""}, Due.NOT, id="never wanted"),
        pytest.param({"queued_at": AGO}, Due.NOT, id="queued a moment ago"),
        pytest.param({"queued_at": LONG_AGO}, Due.ORDINARY, id="queued so long ago that the message is lost"),
        pytest.param({"permit": WANTED}, Due.FIRST, id="a permit not used overtakes"),
        pytest.param({"staged": WANTED}, Due.NOT, id="staged for the guard"),
        pytest.param({"staged": WANTED, "state": AccountState.HELD}, Due.NOT, id="held by the guard"),
        pytest.param({"state": AccountState.HELD, "rejected": WANTED}, Due.NOT, id="rejected by a person"),
        pytest.param({"state": AccountState.HELD}, Due.ORDINARY, id="held once, active again"),
        pytest.param({"tried": WANTED, "next_attempt_at": SOON}, Due.NOT, id="waits for its next attempt"),
        pytest.param({"tried": WANTED, "next_attempt_at": AGO}, Due.ORDINARY, id="its next attempt has come"),
        pytest.param({"tried": "older", "next_attempt_at": SOON}, Due.ORDINARY, id="changed since it failed"),
        pytest.param(
            {"tried": WANTED, "state": AccountState.ESCROWED}, Due.NOT, id="escrowed and past the end of the ladder"
        ),
        pytest.param({"lease_token": "x", "lease_until": SOON}, Due.NOT, id="leased"),
        pytest.param({"lease_token": "x", "lease_until": LONG_AGO}, Due.ORDINARY, id="its holder died"),
        pytest.param({"pending": False, "config": "c", "intent": CREATE, "intent_at": AGO}, Due.NOT, id="before grace"),
        pytest.param(
            {"pending": False, "config": "c", "intent": CREATE, "intent_at": LONG_AGO}, Due.ORDINARY, id="after grace"
        ),
    ],
)
def test_a_row_is_queued_when_it_needs_it(columns: dict[str, Any], due: Due) -> None:
    assert judge_due(example_account(**columns), RULES, NOW) is due


def test_a_message_ended_by_a_pause_is_sent_again_at_once() -> None:
    resumed = DueRules(
        config="c", grace=RULES.grace, sweep_after=RULES.sweep_after, resumed_at=NOW - timedelta(seconds=1)
    )

    assert judge_due(example_account(queued_at=AGO), resumed, NOW) is Due.ORDINARY
