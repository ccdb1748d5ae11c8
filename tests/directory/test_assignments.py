"""Complete lists of assignments against what the mirror holds: who came, who is missing, who is gone."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.clock import write_instant
from shared.directory.assignments import (
    AssignmentChange,
    AssignmentCollector,
    AssignmentEvent,
    Listed,
    bucket_of,
    bucket_range,
    compare_assignments,
    digest_buckets,
    read_app_roles,
)
from shared.directory.mirror import Assignment, digest, encode_roles
from shared.rules.expressions import AppRole

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
CONFIRM = timedelta(seconds=300)
USER_ROLE = AppRole(id="role-a", value="User", displayName="User")
ADMIN_ROLE = AppRole(id="role-b", value="Admin", displayName="Admin")
ANN, BOB, TEAM = (
    "user:a0000000-0000-4000-8000-000000000001",
    "user:b0000000-0000-4000-8000-000000000002",
    "group:d0000000-0000-4000-8000-000000000001",
)


def grant(principal_id: Any, role_id: str = "role-a", *, kind: str = "User") -> dict[str, Any]:
    return {"principalId": principal_id, "principalType": kind, "appRoleId": role_id}


def collected(*objects: Any, roles: Mapping[str, AppRole] | None = None) -> Listed:
    collector = AssignmentCollector({"role-a": USER_ROLE, "role-b": ADMIN_ROLE} if roles is None else roles)
    collector.add(objects)
    return collector.listed()


def row(
    *roles: AppRole, gone: bool = False, number: str = "05", missing_since: datetime | None = None, read: str = "1"
) -> Assignment:
    return Assignment(
        roles=roles,
        gone=gone,
        content=digest(encode_roles(roles)),
        number=number,
        etag="e",
        absent_read=read if missing_since else "",
        absent_at=write_instant(missing_since) if missing_since else "",
    )


def compared(
    listed: Listed, stored: Mapping[str, Assignment], *, now: datetime = NOW, read_id: str = "2", saved: str = "09"
) -> dict[str, AssignmentEvent]:
    changes = compare_assignments(listed, stored, saved=saved, read_id=read_id, now=now, confirm_after=CONFIRM)
    assert len({change.key for change in changes}) == len(changes)
    return {change.key: change.event for change in changes}


def test_roles_are_read_from_the_service_principal_and_odd_ones_left_out() -> None:
    roles = read_app_roles(
        {"appRoles": [{"id": "role-a", "value": "User", "displayName": "User"}, {"id": 7}, None, "text"]}
    )

    assert roles == {"role-a": USER_ROLE}
    assert read_app_roles({"appRoles": None}) == {}


def test_several_roles_of_one_principal_are_united_in_a_fixed_order() -> None:
    one_way = collected(
        grant("a0000000-0000-4000-8000-000000000001", "role-b"),
        grant("a0000000-0000-4000-8000-000000000001", "role-a"),
        grant("a0000000-0000-4000-8000-000000000001", "role-b"),
    )
    other_way = collected(
        grant("a0000000-0000-4000-8000-000000000001", "role-a"), grant("a0000000-0000-4000-8000-000000000001", "role-b")
    )

    assert one_way == other_way == {ANN: (USER_ROLE, ADMIN_ROLE)}


def test_applications_as_principals_and_unusable_ids_do_not_count() -> None:
    listed = collected(
        grant("sp-1", kind="ServicePrincipal"),
        grant("../etc"),
        grant(7),
        grant(""),
        {"principalType": "User"},
        "text",
        None,
        grant("d0000000-0000-4000-8000-000000000001", kind="Group"),
    )

    assert listed == {TEAM: (USER_ROLE,)}


def test_a_role_that_is_not_defined_any_more_keeps_its_id_and_has_no_value() -> None:
    listed = collected(grant("a0000000-0000-4000-8000-000000000001", "role-z"))

    assert listed == {ANN: (AppRole(id="role-z", value=None, displayName=None),)}


COMPARISONS: dict[str, tuple[Listed, dict[str, Assignment], dict[str, AssignmentEvent]]] = {
    "a newcomer is assigned": ({ANN: (USER_ROLE,)}, {}, {ANN: AssignmentEvent.ASSIGNED}),
    "nothing new is nothing": ({ANN: (USER_ROLE,)}, {ANN: row(USER_ROLE)}, {}),
    "another role is an assignment": (
        {ANN: (ADMIN_ROLE,)},
        {ANN: row(USER_ROLE)},
        {ANN: AssignmentEvent.ASSIGNED},
    ),
    "one more role is an assignment": (
        {ANN: (USER_ROLE, ADMIN_ROLE)},
        {ANN: row(USER_ROLE)},
        {ANN: AssignmentEvent.ASSIGNED},
    ),
    "absent for the first time is only marked": ({}, {ANN: row(USER_ROLE)}, {ANN: AssignmentEvent.MISSING}),
    "absent again too soon stays marked": (
        {},
        {ANN: row(USER_ROLE, missing_since=NOW - CONFIRM + timedelta(seconds=1))},
        {},
    ),
    "absent again long enough after is gone": (
        {},
        {ANN: row(USER_ROLE, missing_since=NOW - CONFIRM)},
        {ANN: AssignmentEvent.GONE},
    ),
    "the same read does not count twice however late": (
        {},
        {ANN: row(USER_ROLE, missing_since=NOW - 10 * CONFIRM, read="2")},
        {},
    ),
    "seen again takes the mark back": (
        {ANN: (USER_ROLE,)},
        {ANN: row(USER_ROLE, missing_since=NOW - CONFIRM)},
        {ANN: AssignmentEvent.SEEN_AGAIN},
    ),
    "seen again with another role is an assignment": (
        {ANN: (ADMIN_ROLE,)},
        {ANN: row(USER_ROLE, missing_since=NOW - CONFIRM)},
        {ANN: AssignmentEvent.ASSIGNED},
    ),
    "back after it was gone is an assignment": (
        {ANN: (USER_ROLE,)},
        {ANN: row(USER_ROLE, gone=True)},
        {ANN: AssignmentEvent.ASSIGNED},
    ),
    "gone stays gone": ({}, {ANN: row(USER_ROLE, gone=True)}, {}),
    "an assignment that was not checkpointed is one again": (
        {ANN: (USER_ROLE,)},
        {ANN: row(USER_ROLE, number="10")},
        {ANN: AssignmentEvent.ASSIGNED},
    ),
    "a departure that was not checkpointed is one again": (
        {},
        {ANN: row(USER_ROLE, gone=True, number="10")},
        {ANN: AssignmentEvent.GONE},
    ),
    "groups go the same way": (
        {ANN: (USER_ROLE,)},
        {ANN: row(USER_ROLE), TEAM: row(USER_ROLE, missing_since=NOW - CONFIRM)},
        {TEAM: AssignmentEvent.GONE},
    ),
}


@pytest.mark.parametrize(("listed", "stored", "events"), COMPARISONS.values(), ids=COMPARISONS)
def test_a_complete_list_says(
    listed: Listed, stored: dict[str, Assignment], events: dict[str, AssignmentEvent]
) -> None:
    assert compared(listed, stored) == events


def test_an_assignment_is_known_by_name_and_roles() -> None:
    changes = compare_assignments(
        {ANN: (ADMIN_ROLE,)}, {ANN: row(USER_ROLE)}, saved="09", read_id="2", now=NOW, confirm_after=CONFIRM
    )

    assert changes == [
        AssignmentChange(key=ANN, event=AssignmentEvent.ASSIGNED, roles=(ADMIN_ROLE,), stored=row(USER_ROLE), acts=True)
    ]


USER_IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,5}", fullmatch=True)
KEYS = st.one_of(USER_IDS.map(lambda found: f"user:{found}"), USER_IDS.map(lambda found: f"group:{found}"))


@given(KEYS)
@settings(max_examples=200, deadline=None)
def test_every_principal_lies_in_the_range_of_its_bucket(key: str) -> None:
    first, before = bucket_range(bucket_of(key))

    assert first <= key < before


@given(st.dictionaries(KEYS, st.sampled_from([(USER_ROLE,), (ADMIN_ROLE,), (USER_ROLE, ADMIN_ROLE)]), max_size=8), KEYS)
@settings(max_examples=150, deadline=None)
def test_a_change_shows_in_the_digest_of_its_bucket_and_in_no_other(listed: dict[str, Any], key: str) -> None:
    before = digest_buckets(listed)
    changed = {**listed, key: (AppRole(id="new", value="New", displayName=None),)}

    after = digest_buckets(changed)

    assert {bucket for bucket in before | after if before.get(bucket) != after.get(bucket)} == {bucket_of(key)}
    assert digest_buckets(dict(reversed(listed.items()))) == before


READS = st.lists(
    st.tuples(st.sets(st.sampled_from([ANN, BOB, TEAM])), st.integers(min_value=1, max_value=400)), max_size=12
)


@given(READS)
@settings(max_examples=200, deadline=None)
def test_a_principal_is_gone_only_after_an_unbroken_absence_of_the_whole_waiting_time(
    reads: list[tuple[set[str], int]],
) -> None:
    stored: dict[str, Assignment] = {key: row(USER_ROLE) for key in (ANN, BOB, TEAM)}
    absent_since: dict[str, datetime] = {}
    now = NOW

    for at, (present, wait_s) in enumerate(reads):
        now += timedelta(seconds=wait_s)
        read_id = f"read-{at}"
        for key in (ANN, BOB, TEAM):
            if key in present:
                absent_since.pop(key, None)
            else:
                absent_since.setdefault(key, now)
        changes = compare_assignments(
            dict.fromkeys(present, (USER_ROLE,)), stored, saved="09", read_id=read_id, now=now, confirm_after=CONFIRM
        )
        for change in changes:
            stored[change.key] = {
                AssignmentEvent.ASSIGNED: row(USER_ROLE),
                AssignmentEvent.SEEN_AGAIN: row(USER_ROLE),
                AssignmentEvent.MISSING: row(USER_ROLE, missing_since=now, read=read_id),
                AssignmentEvent.GONE: row(USER_ROLE, gone=True),
            }[change.event]

        for key in (ANN, BOB, TEAM):
            waited = key in absent_since and now - absent_since[key] >= CONFIRM
            assert stored[key].gone == waited, key


def test_a_replayed_comparison_says_the_same() -> None:
    stored = {ANN: row(USER_ROLE), BOB: row(USER_ROLE, missing_since=NOW - CONFIRM)}

    first = compared({}, stored)
    again = compared({}, {**stored, ANN: replace(stored[ANN], absent_read="2", absent_at=write_instant(NOW))})

    assert first == {ANN: AssignmentEvent.MISSING, BOB: AssignmentEvent.GONE}
    assert again == {BOB: AssignmentEvent.GONE}
