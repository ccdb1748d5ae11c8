"""The demo's day of changes."""

from __future__ import annotations

import pytest

from tests.simulation.demo.beforehand import FORGOTTEN, FRONT_DESK, prepare
from tests.simulation.demo.day import COMMITTEE, FOR_THE_GROUP_ALONE, FORTES_GUARD, NIGHT_SHIFT, RENAMED, Day
from tests.simulation.demo.expectations import ExpectedGroup, Wanted
from tests.simulation.demo.judging import Judge
from tests.simulation.demo.stage import principals_of
from tests.simulation.tenant import Tenant

SIZES = (20, 60, 200)


def _day(users: int, seed: int = 1) -> tuple[Tenant, Judge, Day]:
    tenant = Tenant(seed, users)
    principals = principals_of(tenant)
    day = Day(tenant, principals, seed=seed)
    return tenant, Judge(tenant, principals, beforehand=prepare(tenant, principals)), day


def _groups(judge: Judge, application: str) -> dict[str, ExpectedGroup]:
    return {group.name: group for group in judge.expected_groups(application)}


def _leavers(judge: Judge, application: str) -> int:
    return sum(each.wanted is not Wanted.ACTIVE for each in judge.expected(application).values())


def test_the_same_seed_gives_the_same_day() -> None:
    ends = []
    for _ in range(2):
        tenant, _judge, day = _day(60)
        words = [*day.morning(), *day.noon(), *day.afternoon(), *day.evening()]
        ends.append((words, tenant.number, {user_id: tenant.user(user_id) for user_id in tenant.user_ids()}))

    assert ends[0] == ends[1]


@pytest.mark.parametrize("users", SIZES)
@pytest.mark.parametrize("seed", range(4))
def test_the_ordinary_leavers_of_the_day_pass_every_deletion_guard(users: int, seed: int) -> None:
    _tenant, judge, day = _day(users, seed)
    judge.note()
    populations = {name: len(judge.entitled(name)) for name in ("fuze", "purecloud", "clarizen")}

    for scene in (day.morning, day.noon, day.afternoon):
        list(scene())
        judge.note()

    assert _leavers(judge, "fortes") <= FORTES_GUARD["max_count"]
    for name, population in populations.items():
        assert population < 50 or _leavers(judge, name) + 3 <= population * 0.2


@pytest.mark.parametrize("users", SIZES)
def test_the_mistake_of_the_evening_is_more_than_fortes_lets_pass(users: int) -> None:
    _tenant, judge, day = _day(users)
    for scene in (day.morning, day.noon, day.afternoon):
        list(scene())
    judge.note()

    assert len(judge.entitled("fortes")) > FORTES_GUARD["max_count"]
    list(day.evening())
    assert judge.entitled("fortes") == {}


@pytest.mark.parametrize("users", SIZES)
def test_people_join_move_leave_and_come_back(users: int) -> None:
    _tenant, judge, day = _day(users)
    judge.note()
    first = {name: set(judge.entitled(name)) for name in ("fuze", "purecloud", "clarizen")}

    list(day.morning())
    judge.note()
    list(day.noon())
    gone_at_noon = _leavers(judge, "fuze")
    list(day.afternoon())

    assert all(set(judge.entitled(name)) - first[name] for name in first)
    assert gone_at_noon > _leavers(judge, "fuze") > 0
    assert _leavers(judge, "purecloud") >= 3
    assert any(each.wanted is Wanted.GONE for each in judge.expected("clarizen").values())


@pytest.mark.parametrize("users", SIZES)
@pytest.mark.parametrize("seed", range(4))
def test_groups_are_renamed_filled_emptied_and_deleted(users: int, seed: int) -> None:
    tenant, judge, day = _day(users, seed)
    judge.note()
    list(day.morning())
    judge.note()
    morning = _groups(judge, "clarizen")
    list(day.noon())
    judge.note()
    noon = _groups(judge, "clarizen")
    list(day.afternoon())
    evening = _groups(judge, "clarizen")

    assert morning[RENAMED].group_id == noon[RENAMED].group_id == evening[RENAMED].group_id
    assert morning[RENAMED].members - noon[RENAMED].members
    assert evening[RENAMED].members - noon[RENAMED].members
    assert morning[COMMITTEE].members
    assert not evening[COMMITTEE].exists
    assert noon[FOR_THE_GROUP_ALONE].members
    assert evening[FOR_THE_GROUP_ALONE].exists
    assert not evening[FOR_THE_GROUP_ALONE].members
    assert tenant.group_id_of(RENAMED)


@pytest.mark.parametrize("users", SIZES)
def test_at_purecloud_one_group_was_forgotten_and_the_others_are_filled(users: int) -> None:
    tenant, judge, day = _day(users)
    judge.note()
    first = _groups(judge, "purecloud")
    for scene in (day.morning, day.noon, day.afternoon):
        list(scene())
        judge.note()
    last = _groups(judge, "purecloud")

    assert judge.missing_groups("purecloud") == {tenant.group_id_of(FORGOTTEN)}
    assert FORGOTTEN not in last
    assert FRONT_DESK in last["Support"].members
    assert first[NIGHT_SHIFT].members
    assert last[NIGHT_SHIFT].exists
    assert not last[NIGHT_SHIFT].members
