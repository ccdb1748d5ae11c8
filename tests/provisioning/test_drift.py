"""What counts as drift, and what is done about it, as tables."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.config.profile import AttributeType, Mutability, ResourceProfile, TargetAttribute
from shared.provisioning.accounts import Account, AccountState, Intent, IntentKind, ResourceKind
from shared.provisioning.drift.comparing import (
    VANISHED,
    DriftCause,
    DriftStatus,
    Sample,
    find_drift,
    is_settled,
    judge_drift,
    sent_as_observed,
)
from shared.scim.patching import build_resource, diff
from tests.world import START

CORE = "urn:ietf:params:scim:schemas:core:2.0:User"
MANAGER = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager"
GRANTED = [{"value": "User"}, {"value": "Admin"}]
LEFT = (DriftStatus.SYSTEMATIC, set())
PROFILE = ResourceProfile(
    endpoint="/Users",
    schema_urn=CORE,
    lookup_without=("photos",),
    attributes=(
        TargetAttribute(path="password", mutability=Mutability.WRITE_ONLY),
        TargetAttribute(path="active", type=AttributeType.BOOLEAN),
    ),
)


@pytest.mark.parametrize(
    ("path", "sent", "resource"),
    [
        ("title", "Pilot", {"title": "Pilot"}),
        ("title", "Pilot", {"Title": " pilot "}),
        ("active", True, {"active": "True"}),
        ("active", False, {}),
        ("password", "secret", {}),
        ("photos", [{"value": "a"}], {}),
        ("employeeNumber", "7", {"employeeNumber": 7}),
        ('emails[type eq "work"].value', "A@x.example", {"emails": [{"type": "Work", "value": "a@x.example"}]}),
        ("roles", ["User"], {"roles": [{"value": "User", "display": "A user", "primary": True}]}),
        ("roles", [{"value": "b"}, {"value": "a"}], {"roles": [{"value": "a"}, {"value": "b"}]}),
        (MANAGER, "42", {MANAGER.rpartition(":")[0]: {"manager": {"value": "42", "displayName": "Ann"}}}),
    ],
)
def test_what_a_vendor_may_show_of_what_was_sent(path: str, sent: object, resource: dict[str, object]) -> None:
    assert find_drift({path: sent}, resource, profile=PROFILE) == {}


@pytest.mark.parametrize(
    ("path", "sent", "resource", "observed"),
    [
        ("title", "Pilot", {"title": "Captain"}, "Captain"),
        ("title", "Pilot", {}, None),
        ("title", "Pilot", {"title": ""}, None),
        ("active", False, {"active": True}, True),
        ("active", False, {"active": "True"}, True),
        ('emails[type eq "work"].value', "a@x.example", {"emails": [{"type": "home", "value": "a@x.example"}]}, None),
        (
            "roles",
            ["User"],
            {"roles": [{"value": "User"}, {"value": "Admin"}]},
            [{"value": "User"}, {"value": "Admin"}],
        ),
        ("roles", ["User"], {"roles": []}, None),
        (MANAGER, "42", {MANAGER.rpartition(":")[0]: {"manager": {"value": "43"}}}, "43"),
    ],
)
def test_what_is_drift(path: str, sent: object, resource: dict[str, object], observed: object) -> None:
    assert find_drift({path: sent}, resource, profile=PROFILE) == {path: observed}


def test_values_that_others_added_are_no_drift_where_we_only_add() -> None:
    resource = {"roles": [{"value": "User"}, {"value": "Admin"}]}

    assert find_drift({"roles": ["User"]}, resource, profile=PROFILE, add_only={"roles"}) == {}
    assert find_drift({"roles": ["Owner"]}, resource, profile=PROFILE, add_only={"roles"}) != {}


VALUES = st.dictionaries(
    st.sampled_from(["title", "nickName", "name.givenName", 'emails[type eq "work"].value', "displayName"]),
    st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=12),
)


@given(sent=VALUES)
def test_what_was_sent_and_kept_never_drifts(sent: dict[str, str]) -> None:
    assert find_drift(sent, build_resource(sent, schema_urn=CORE), profile=PROFILE) == {}


@given(sent=VALUES, held=VALUES)
def test_the_next_plan_after_a_repair_writes_exactly_what_differs(sent: dict[str, str], held: dict[str, str]) -> None:
    drifted = find_drift(sent, build_resource(held, schema_urn=CORE), profile=PROFILE)

    change = diff(sent_as_observed(sent, drifted), sent, case_exact=lambda _path: True)

    assert set(change.set) == set(drifted)
    assert change.removed == ()


@pytest.mark.parametrize(
    ("mode", "cause", "state", "paths", "differing", "expected"),
    [
        ("report", DriftCause.CHANGED, AccountState.IN_SYNC, {"title"}, {}, (DriftStatus.REPORTED, set())),
        ("repair", DriftCause.CHANGED, AccountState.IN_SYNC, {"title"}, {}, (DriftStatus.REPAIRING, {"title"})),
        ("off", DriftCause.DOUBTED, AccountState.IN_SYNC, {"title"}, {}, (DriftStatus.REPAIRING, {"title"})),
        ("repair", DriftCause.CHANGED, AccountState.IN_SYNC, {"a", "b"}, {"a": 51}, (DriftStatus.REPAIRING, {"b"})),
        ("repair", DriftCause.CHANGED, AccountState.IN_SYNC, {"a"}, {"a": 51}, (DriftStatus.SYSTEMATIC, set())),
        ("repair", DriftCause.CHANGED, AccountState.IN_SYNC, {"a"}, {"a": 50}, (DriftStatus.REPAIRING, {"a"})),
        ("repair", DriftCause.CHANGED, AccountState.DISABLED, {"a"}, {"a": 99}, (DriftStatus.REPAIRING, {"a"})),
        ("repair", DriftCause.UNSEEN, AccountState.IN_SYNC, {VANISHED}, {}, (DriftStatus.REPAIRING, {VANISHED})),
        (
            "repair",
            DriftCause.UNSEEN,
            AccountState.IN_SYNC,
            {VANISHED},
            {VANISHED: 60},
            (DriftStatus.SYSTEMATIC, set()),
        ),
        ("repair", DriftCause.UNSEEN, AccountState.DISABLED, {VANISHED}, {}, (DriftStatus.REPORTED, set())),
    ],
)
def test_what_is_done_about_it(
    mode: str,
    cause: DriftCause,
    state: AccountState,
    paths: set[str],
    differing: dict[str, int],
    expected: tuple[DriftStatus, set[str]],
) -> None:
    sample = Sample(compared=100, differing=differing)

    assert judge_drift(paths, mode=mode, cause=cause, state=state, sample=sample) == expected


def test_few_accounts_are_never_systematic() -> None:
    assert not Sample(compared=19, differing={"a": 19}).is_systematic("a")
    assert Sample(compared=20, differing={"a": 20}).is_systematic("a")


SETTLED = Account(
    application="acme",
    kind=ResourceKind.USER,
    source_id="u",
    etag="1",
    target_id="t",
    wanted="1",
    sent={"title": "Pilot"},
    config="c",
    state=AccountState.IN_SYNC,
)


@pytest.mark.parametrize(
    "change",
    [
        {"pending": True},
        {"target_id": ""},
        {"sent": None},
        {"config": "older"},
        {"state": AccountState.ESCROWED},
        {"state": AccountState.HELD},
        {"intent": Intent(kind=IntentKind.PATCH)},
        {"lease_token": "x", "lease_until": START.replace(year=2027)},
        {"staged": "1"},
        {"permit": "1"},
        {"recheck": "1"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_row_that_something_is_wanted_of_has_not_drifted(change: dict[str, object]) -> None:
    assert is_settled(SETTLED, config="c", now=START)
    assert not is_settled(replace(SETTLED, **change), config="c", now=START)
