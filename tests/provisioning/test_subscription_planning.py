"""What is to be done about a subscription: a table."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.directory.subscriptions import Subscription
from shared.provisioning.subscription_planning import (
    LIFE,
    LOOK_EVERY,
    RENEW_BEFORE,
    Plan,
    Remembered,
    Step,
    Wanted,
    is_due,
    plan_subscription,
    wait_after,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
URL = "https://app.example/api/notified"
WANTED = Wanted(url=URL, secret="digest")
KNOWN = Remembered(id="ours", url=URL, secret="digest", expires_at=NOW + LIFE, renewed_at=NOW - timedelta(days=1))


def shown(subscription_id: str = "ours", **changes: Any) -> Subscription:
    """Answers with a subscription as Graph shows it."""
    plain = Subscription(
        id=subscription_id,
        resource="users",
        url=URL,
        lifecycle_url=URL,
        changes=frozenset({"updated", "deleted"}),
        expires_at=NOW + LIFE,
    )
    return replace(plain, **changes)


ELSEWHERE = "https://other.example/api/notified"
SOON = NOW + RENEW_BEFORE - timedelta(seconds=1)


@pytest.mark.parametrize(
    ("known", "listed", "urgent", "plan"),
    [
        pytest.param(KNOWN, [shown()], False, Plan(step=Step.KEEP), id="as it should be"),
        pytest.param(Remembered(), [], False, Plan(step=Step.CREATE), id="nothing yet"),
        pytest.param(
            Remembered(), [shown("lost")], False, Plan(step=Step.CREATE, surplus=("lost",)), id="made, and forgotten"
        ),
        pytest.param(KNOWN, [], False, Plan(step=Step.RENEW), id="not listed: asked for by its id"),
        pytest.param(KNOWN, [shown(expires_at=SOON)], False, Plan(step=Step.RENEW), id="ends soon"),
        pytest.param(KNOWN, [shown()], True, Plan(step=Step.RENEW), id="to be authorized anew"),
        pytest.param(
            replace(KNOWN, renewed_at=NOW - timedelta(minutes=9)),
            [shown()],
            True,
            Plan(step=Step.KEEP),
            id="to be authorized anew, and it was a moment ago",
        ),
        pytest.param(KNOWN, [shown(), shown("2nd")], False, Plan(step=Step.KEEP, surplus=("2nd",)), id="a duplicate"),
        pytest.param(
            replace(KNOWN, secret="before"),
            [shown()],
            False,
            Plan(step=Step.CREATE, surplus=("ours",)),
            id="another secret",
        ),
        pytest.param(
            replace(KNOWN, url=ELSEWHERE),
            [shown(url=ELSEWHERE, lifecycle_url=ELSEWHERE)],
            False,
            Plan(step=Step.CREATE, surplus=("ours",)),
            id="another address",
        ),
        pytest.param(
            KNOWN,
            [shown(changes=frozenset({"updated"}))],
            False,
            Plan(step=Step.CREATE, surplus=("ours",)),
            id="somebody changed what it announces",
        ),
        pytest.param(
            KNOWN,
            [shown(), shown("theirs", url=ELSEWHERE), shown("group", resource="groups")],
            False,
            Plan(step=Step.KEEP),
            id="somebody else's, and that of groups",
        ),
    ],
)
def test_a_subscription(known: Remembered, listed: list[Subscription], urgent: bool, plan: Plan):
    wished = replace(known, reauthorize=urgent)

    assert plan_subscription("users", wished, WANTED, listed, NOW) == plan


@given(
    st.lists(
        st.builds(
            shown,
            st.sampled_from(["a", "b", "c", "ours"]),
            url=st.sampled_from([URL, ELSEWHERE]),
            resource=st.sampled_from(["users", "groups"]),
            expires_at=st.sampled_from([SOON, NOW + LIFE]),
        ),
        unique_by=lambda each: each.id,
    ),
    st.sampled_from([KNOWN, Remembered(), replace(KNOWN, secret="before")]),
    st.booleans(),
)
def test_somebody_elses_subscription_is_never_touched(listed: list[Subscription], known: Remembered, urgent: bool):
    plan = plan_subscription("users", replace(known, reauthorize=urgent), WANTED, listed, NOW)

    theirs = {each.id for each in listed if each.id != known.id and (each.url != URL or each.resource != "users")}
    assert theirs.isdisjoint(plan.surplus)
    assert not (plan.step is not Step.CREATE and known.id in plan.surplus)


LATER = NOW + timedelta(minutes=5)


@pytest.mark.parametrize(
    ("known", "wanted", "looked_at", "due"),
    [
        pytest.param(KNOWN, WANTED, NOW, False, id="as it should be"),
        pytest.param(Remembered(), WANTED, NOW, True, id="nothing yet"),
        pytest.param(KNOWN, WANTED, NOW - LOOK_EVERY, True, id="not looked at for a while"),
        pytest.param(KNOWN, WANTED, None, True, id="never looked at"),
        pytest.param(replace(KNOWN, expires_at=SOON), WANTED, NOW, True, id="ends soon"),
        pytest.param(replace(KNOWN, secret="before"), WANTED, NOW, True, id="another secret"),
        pytest.param(
            Remembered(next_attempt_at=LATER, tried=WANTED.mark), WANTED, NOW, False, id="failed a moment ago"
        ),
        pytest.param(Remembered(next_attempt_at=NOW, tried=WANTED.mark), WANTED, NOW, True, id="failed a while ago"),
        pytest.param(Remembered(next_attempt_at=LATER, tried="other"), WANTED, NOW, True, id="mended since it failed"),
        pytest.param(replace(KNOWN, reauthorize=True), WANTED, NOW, True, id="to be authorized anew"),
        pytest.param(
            replace(KNOWN, reauthorize=True, next_attempt_at=LATER, tried=WANTED.mark),
            WANTED,
            NOW,
            False,
            id="to be authorized anew, and failed a moment ago",
        ),
        pytest.param(KNOWN, None, NOW, True, id="switched off"),
        pytest.param(Remembered(), None, NOW, False, id="switched off and gone"),
    ],
)
def test_what_is_worth_a_look(known: Remembered, wanted: Wanted | None, looked_at: datetime | None, due: bool):
    assert is_due(known, wanted, NOW, looked_at=looked_at) is due


def test_failures_wait_longer_each_time_and_as_long_as_graph_asks():
    minutes = [wait_after(failures, 0.0).total_seconds() / 60 for failures in (1, 2, 3, 8, 10_000)]

    assert minutes == [5, 10, 20, 360, 360]
    assert wait_after(1, 3600.0) == timedelta(hours=1)
