"""The soak's plan, its people, and that its judge does not let anything pass."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulation.demo.beforehand import prepare
from tests.simulation.demo.expectations import Expected, Wanted
from tests.simulation.demo.judging import Judge, as_found, compare
from tests.simulation.demo.spending import count_spending
from tests.simulation.demo.stage import principals_of
from tests.simulation.demo.verdict import Finding
from tests.simulation.graph.faults import Faults as GraphFaults
from tests.simulation.soak.plan import BEGINS_AT_S, Change, Plan, Strike, plan_soak
from tests.simulation.soak.play import OPEN_GUARD, with_own_accounts
from tests.simulation.soak.staff import Staff
from tests.simulation.soak.toll import Toll, count_toll
from tests.simulation.soak.verdict import Outcome, read_effort
from tests.simulation.soak.weather import AT_GRAPH, AT_VENDORS
from tests.simulation.tenant import Tenant
from tests.simulation.vendors.faults import Faults

VENDORS = ("fuze", "fortes", "purecloud", "clarizen")
SEEDS = st.integers(min_value=0, max_value=10_000)
LENGTHS = st.floats(min_value=30, max_value=900)


def _all(plan: Plan) -> list[Any]:
    return [plan.changes, plan.strikes, plan.faults]


@given(seed=SEEDS, seconds=LENGTHS)
def test_equal_seeds_give_equal_soaks(seed: int, seconds: float) -> None:
    assert plan_soak(seed, seconds, VENDORS) == plan_soak(seed, seconds, VENDORS)
    assert plan_soak(seed, seconds, VENDORS) != plan_soak(seed + 1, seconds, VENDORS)


@given(seed=SEEDS, seconds=LENGTHS)
def test_everything_is_due_in_order_and_before_the_end(seed: int, seconds: float) -> None:
    for planned in _all(plan_soak(seed, seconds, VENDORS)):
        instants = [each.at_s for each in planned]
        assert all(earlier <= later for earlier, later in pairwise(instants))
        assert instants[0] > BEGINS_AT_S
        assert instants[-1] < seconds


@given(seed=SEEDS)
def test_half_a_minute_kills_and_restarts_everything(seed: int) -> None:
    strikes = Counter(each.strike for each in plan_soak(seed, 40, VENDORS).strikes)

    assert all(strikes[strike] >= 1 for strike in Strike)


@given(seed=SEEDS)
def test_five_minutes_hold_every_fault_and_change_at_every_vendor(seed: int) -> None:
    plan = plan_soak(seed, 300, VENDORS)

    assert {each.fault.name for each in plan.faults if each.vendor} == {fault.name for fault in AT_VENDORS}
    assert {each.fault.name for each in plan.faults if not each.vendor} == {fault.name for fault in AT_GRAPH}
    assert {each.change for each in plan.changes} == set(Change)
    assert {each.vendor for each in plan.faults} == {*VENDORS, ""}
    assert {each.vendor for each in plan.strikes} == {*VENDORS, ""}


def test_the_simulators_know_every_fault() -> None:
    for fault in AT_VENDORS:
        Faults().add(fault.kind, called=fault.name, times=fault.times, **fault.options)
    graph = GraphFaults(None)  # type: ignore[arg-type] # nothing strikes here
    for fault in AT_GRAPH:
        graph.add(fault.kind, times=fault.times, **fault.options)

    assert all(len({fault.name for fault in faults}) == len(faults) for faults in (AT_VENDORS, AT_GRAPH))


def _worked(seed: int, *, users: int = 60, seconds: float = 300) -> tuple[Tenant, Judge, list[Change]]:
    """A tenant after all changes of a soak, judged as the soak does, and the changes that found somebody."""
    tenant = Tenant(seed, users)
    principals = principals_of(tenant)
    staff = Staff(tenant, principals, seed=seed)
    judge = Judge(tenant, principals, beforehand=with_own_accounts(prepare(tenant, principals)))
    judge.note()
    judge.note_passing()
    done = []
    for planned in plan_soak(seed, seconds, VENDORS).changes:
        if staff.change(planned.change):
            done.append(planned.change)
            judge.note_passing()
    return tenant, judge, done


def test_the_same_seed_changes_the_same_people() -> None:
    one, other = (_worked(3)[0] for _ in range(2))

    assert [(each.number, each.kind, each.id, each.event) for each in one.changes] == [
        (each.number, each.kind, each.id, each.event) for each in other.changes
    ]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("users", [20, 60])
def test_every_kind_of_change_finds_somebody(seed: int, users: int) -> None:
    _tenant, _judge, done = _worked(seed, users=users)

    assert set(done) == set(Change)


@pytest.mark.parametrize("seed", range(3))
def test_nobody_loses_the_role_that_a_vendor_takes_and_keeps_one_that_it_refuses(seed: int) -> None:
    _tenant, judge, _done = _worked(seed)

    assert judge.refused("clarizen").isdisjoint(
        each.user_id for each in judge.expected("clarizen").values() if each.wanted is Wanted.ACTIVE
    )
    left = {user_id for user_id, each in judge.expected("clarizen").items() if each.wanted is not Wanted.ACTIVE}
    assert judge.refused("clarizen").isdisjoint(left)


def test_the_leavers_of_a_long_soak_pass_the_deletion_guard() -> None:
    _tenant, _judge, done = _worked(1, seconds=900)

    leaving = sum(change in (Change.DISABLE, Change.UNASSIGN, Change.GROUP_LEAVE, Change.MOVE) for change in done)
    assert 50 < leaving * len(VENDORS) < OPEN_GUARD["max_count"]
    assert OPEN_GUARD["min_population"] > 60


ADA = Expected(user_id="1", user_name="ada@x", wanted=Wanted.ACTIVE, attributes={"title": "Engineer"})
BO = Expected(user_id="2", user_name="bo@x", wanted=Wanted.INACTIVE, former_names=frozenset({"bo@x", "bob@x"}))
CY = Expected(user_id="3", user_name="cy@x", wanted=Wanted.NOT_ACTIVE)
DESK = Expected(user_id="desk@x", user_name="desk@x", wanted=Wanted.ACTIVE)
EVERYBODY = (ADA, BO, CY, DESK)
NAMES = {"1": frozenset({"ada@x"}), "2": BO.former_names | {"bo@x"}, "3": frozenset({"cy@x"})}


def _held(user_name: str, *, active: bool = True, **more: Any) -> dict[str, Any]:
    return {"id": f"id of {user_name}", "userName": user_name, "active": active, "_deleted": False, **more}


RIGHT = (_held("ada@x", title="Engineer"), _held("bob@x", active=False), _held("desk@x"))


def _outcome(*resources: dict[str, Any], journal: Any = (), violations: Any = ()) -> Outcome:
    """What the soak finds where everybody's account should be as `EVERYBODY` says."""
    expected = as_found({each.user_id: each for each in EVERYBODY}, resources).values()
    finding = Finding(
        application="clarizen",
        title="Clarizen One",
        active=0,
        inactive=0,
        expected_active=0,
        expected_inactive=0,
        held=0,
        refused=0,
        spending=count_spending(()),
        violations=violations,
        peak=0,
        limit=None,
        window_s=1.0,
        differences=compare("clarizen", expected, resources),
        groups=None,
        by_hand=0,
        complaints=(),
    )
    own = frozenset({"desk@x"})
    toll = count_toll(expected, resources, names=NAMES, own=own, journal=journal, violations=violations)
    return Outcome(finding=finding, toll=toll)


@pytest.mark.parametrize(
    "resources",
    [
        pytest.param(RIGHT, id="a leaver keeps the name of then"),
        pytest.param((*RIGHT, _held("cy@x", active=False)), id="who was entitled briefly may have got an account"),
        pytest.param((RIGHT[0], _held("bo@x", active=False), RIGHT[2]), id="a leaver has the last name"),
    ],
)
def test_the_judge_agrees_with_what_may_be(resources: tuple[dict[str, Any], ...]) -> None:
    outcome = _outcome(*resources)

    assert outcome.agrees, outcome.finding.differences


def _written(method: str, user_name: str) -> dict[str, Any]:
    return {"method": method, "path": f"/Users/id%20of%20{user_name}"}


TOO_FAST = {"rule": "F1", "name": "rate_exceeded", "at": 17.2}


@pytest.mark.parametrize(
    ("outcome", "toll"),
    [
        pytest.param(_outcome(_held("ada@x", title="Clerk"), *RIGHT[1:]), Toll(), id="a wrong attribute"),
        pytest.param(_outcome(_held("ada@x", active=False, title="Engineer"), *RIGHT[1:]), Toll(), id="switched off"),
        pytest.param(_outcome(*RIGHT[1:]), Toll(lost=1), id="no account"),
        pytest.param(_outcome(RIGHT[0], RIGHT[2]), Toll(lost=1), id="the account of a leaver is gone"),
        pytest.param(_outcome(*RIGHT, _held("ada@x", title="Engineer")), Toll(doubled=1), id="two of one name"),
        pytest.param(_outcome(*RIGHT, _held("bo@x", active=False)), Toll(doubled=1), id="two of one person"),
        pytest.param(
            _outcome(RIGHT[0], _held("bob@x"), RIGHT[2]), Toll(still_active=1), id="a leaver who can still get in"
        ),
        pytest.param(_outcome(*RIGHT, _held("cy@x")), Toll(still_active=1), id="one who was entitled briefly can"),
        pytest.param(_outcome(*RIGHT, _held("eve@x")), Toll(), id="an account nobody should have"),
        pytest.param(
            _outcome(*RIGHT, journal=[_written("PATCH", "desk@x"), _written("GET", "desk@x")]),
            Toll(touched=1),
            id="the vendor's own account was written",
        ),
        pytest.param(_outcome(*RIGHT[:2]), Toll(touched=1), id="the vendor's own account is gone"),
        pytest.param(
            _outcome(*RIGHT, violations=[TOO_FAST, {**TOO_FAST, "at": 17.9}]), Toll(over_limit_s=1), id="too fast"
        ),
    ],
)
def test_the_judge_lets_nothing_pass(outcome: Outcome, toll: Toll) -> None:
    assert not outcome.agrees
    assert outcome.toll == toll


def test_a_toll_alone_is_enough() -> None:
    outcome = _outcome(*RIGHT)

    assert not replace(outcome, toll=Toll(touched=1)).agrees


def test_the_effort_is_read_from_the_hosts_log() -> None:
    retried = '10:00:00.000Z WARNING provision-fuze: account.retried {"application":"fuze","attempt":1}'
    effort = read_effort(
        [
            *(retried, retried, "10:00:00.000Z INFO    provision-fuze: account.retried {not json}"),
            '10:00:00.000Z WARNING provision-fuze: account.escrowed {"application":"fuze","code":"Conflict"}',
            '10:00:00.000Z ERROR   quarantine: account.poisoned {"application":"fuze"}',
        ]
    )

    assert (effort.retries, effort.escrows, effort.poisoned) == ({"fuze": 2}, {"fuze": {"Conflict": 1}}, 1)
