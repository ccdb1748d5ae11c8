"""Who should have an active account, and why not: the rule the sync and the consumer share."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.config.applications import Application
from shared.directory.mirror import Assignment, MirrorUser, Presence, UserFacts
from shared.provisioning.standing import Reason, Standing, judge_standing, needs_groups
from shared.rules.expressions import AppRole
from shared.rules.failures import InvalidData
from tests.examples import example_application

USER = AppRole(id="10000000-0000-0000-0000-000000000001", value="User", displayName="User")
ADMIN = AppRole(id="10000000-0000-0000-0000-000000000002", value="Admin", displayName="Admin")
VALUELESS = AppRole(id="10000000-0000-0000-0000-000000000003", value=None, displayName="msiam_access")
DEFAULT = AppRole(id="00000000-0000-0000-0000-000000000000", value=None, displayName=None)
ENGINEERS = """
scoping_filters:
  - name: Engineers
    clauses:
      - {attribute: department, operator: EQUALS, value: Engineering}
"""


def user(presence: Presence = Presence.ACTIVE, **attributes: Any) -> MirrorUser:
    return MirrorUser(
        id="ann-0001",
        presence=presence,
        attributes={"displayName": "Ann", **attributes},
        content="c",
        number="1",
        round="",
        etag="e",
    )


def grant(*roles: AppRole, gone: bool = False) -> Assignment:
    return Assignment(roles=roles, gone=gone)


def facts(
    *,
    presence: Presence | None = Presence.ACTIVE,
    direct: Assignment | None = None,
    groups: dict[str, bool] | None = None,
    **attributes: Any,
) -> UserFacts:
    return UserFacts(
        user=None if presence is None else user(presence, **attributes),
        assignments={} if direct is None else {"acme": direct},
        groups=groups or {},
    )


def judged(tmp_path: Path, known: UserFacts, groups: dict[str, Assignment] | None = None, more: str = "") -> Standing:
    return judge_standing(example_application(tmp_path, more), known, groups or {})


TRUTHS: dict[str, tuple[UserFacts, dict[str, Assignment], str, Reason]] = {
    "assigned directly": (facts(direct=grant(USER)), {}, "", Reason.IN_SCOPE),
    "not assigned": (facts(), {}, "", Reason.NOT_ENTITLED),
    "assigned to another application": (
        UserFacts(user=user(), assignments={"other": grant(USER)}),
        {},
        "",
        Reason.NOT_ENTITLED,
    ),
    "assigned once": (facts(direct=grant(USER, gone=True)), {}, "", Reason.NOT_ENTITLED),
    "a member of an assigned group": (facts(groups={"team": True}), {"team": grant(USER)}, "", Reason.IN_SCOPE),
    "once a member of an assigned group": (
        facts(groups={"team": False}),
        {"team": grant(USER)},
        "",
        Reason.NOT_ENTITLED,
    ),
    "a member of a group that was assigned once": (
        facts(groups={"team": True}),
        {"team": grant(USER, gone=True)},
        "",
        Reason.NOT_ENTITLED,
    ),
    "a member of a group that is not assigned": (
        facts(groups={"crew": True}),
        {"team": grant(USER)},
        "",
        Reason.NOT_ENTITLED,
    ),
    "unassigned directly but still through a group": (
        facts(direct=grant(USER, gone=True), groups={"team": True}),
        {"team": grant(USER)},
        "",
        Reason.IN_SCOPE,
    ),
    "default access only": (facts(direct=grant(DEFAULT)), {}, "", Reason.NOT_ENTITLED),
    "default access only, where it counts": (
        facts(direct=grant(DEFAULT)),
        {},
        "exclude_default_access: false",
        Reason.IN_SCOPE,
    ),
    "default access through a group only": (
        facts(groups={"team": True}),
        {"team": grant(DEFAULT)},
        "",
        Reason.NOT_ENTITLED,
    ),
    "default access through a group, where it counts": (
        facts(groups={"team": True}),
        {"team": grant(DEFAULT)},
        "exclude_default_access: false",
        Reason.IN_SCOPE,
    ),
    "default access directly and a role through a group": (
        facts(direct=grant(DEFAULT), groups={"team": True}),
        {"team": grant(USER)},
        "",
        Reason.IN_SCOPE,
    ),
    "a role without a value": (facts(direct=grant(VALUELESS)), {}, "", Reason.IN_SCOPE),
    "assigned, in the filter": (
        facts(direct=grant(USER), department="Engineering"),
        {},
        ENGINEERS,
        Reason.IN_SCOPE,
    ),
    "assigned, out of the filter": (facts(direct=grant(USER), department="Sales"), {}, ENGINEERS, Reason.OUT_OF_SCOPE),
    "assigned, without the attribute the filter asks for": (
        facts(direct=grant(USER)),
        {},
        ENGINEERS,
        Reason.OUT_OF_SCOPE,
    ),
    "in the filter, not assigned": (facts(department="Engineering"), {}, ENGINEERS, Reason.NOT_ENTITLED),
    "everybody": (facts(), {}, "scope: all", Reason.IN_SCOPE),
    "everybody in the filter": (
        facts(department="Engineering"),
        {},
        f"scope: all{ENGINEERS}",
        Reason.IN_SCOPE,
    ),
    "everybody, out of the filter": (facts(department="Sales"), {}, f"scope: all{ENGINEERS}", Reason.OUT_OF_SCOPE),
    "everybody, with default access only": (facts(direct=grant(DEFAULT)), {}, "scope: all", Reason.IN_SCOPE),
}


@pytest.mark.parametrize(("known", "groups", "more", "reason"), TRUTHS.values(), ids=TRUTHS)
def test_somebody_who_is(
    tmp_path: Path, known: UserFacts, groups: dict[str, Assignment], more: str, reason: Reason
) -> None:
    standing = judged(tmp_path, known, groups, more)

    assert standing.reason is reason
    assert standing.is_active == (reason is Reason.IN_SCOPE)
    assert standing.is_known


ABSENCES = {
    "disabled": (Presence.DISABLED, Reason.SOURCE_DISABLED),
    "soft-deleted": (Presence.SOFT_DELETED, Reason.SOURCE_SOFT_DELETED),
    "hard-deleted": (Presence.HARD_DELETED, Reason.SOURCE_DELETED),
}


@pytest.mark.parametrize("scope", ["assigned", "all"])
@pytest.mark.parametrize(("presence", "reason"), ABSENCES.values(), ids=ABSENCES)
def test_absence_at_the_source_comes_before_everything_else(
    tmp_path: Path, presence: Presence, reason: Reason, scope: str
) -> None:
    standing = judged(tmp_path, facts(presence=presence, direct=grant(USER)), {}, f"scope: {scope}")

    assert standing.reason is reason
    assert standing.is_known
    assert not standing.is_active


@pytest.mark.parametrize("scope", ["assigned", "all"])
def test_nothing_is_decided_about_somebody_the_mirror_does_not_know(tmp_path: Path, scope: str) -> None:
    known = UserFacts(user=None, assignments={"acme": grant(USER, gone=True)}, groups={"team": False})

    standing = judged(tmp_path, known, {"team": grant(USER, gone=True)}, f"scope: {scope}")

    assert standing.reason is Reason.SOURCE_UNKNOWN
    assert not standing.is_known
    assert not standing.is_active


def test_roles_of_direct_and_group_assignments_are_united_each_once(tmp_path: Path) -> None:
    known = facts(direct=grant(USER, DEFAULT), groups={"team": True, "crew": True, "left": False, "other": True})
    groups = {
        "team": grant(ADMIN, USER),
        "crew": grant(VALUELESS),
        "left": grant(AppRole(id="x", value="Left", displayName="Left")),
        "gone": grant(AppRole(id="y", value="Gone", displayName="Gone"), gone=True),
    }

    standing = judged(tmp_path, known, groups)

    assert sorted(role.id for role in standing.roles) == sorted((USER.id, ADMIN.id, VALUELESS.id))


def test_a_filter_that_cannot_be_judged_raises_instead_of_shutting_out(tmp_path: Path) -> None:
    more = """
    scope: all
    scoping_filters:
      - name: Never ending
        clauses:
          - {attribute: department, operator: REGEX MATCH, value: "(a|aa)+$"}
    """

    with pytest.raises(InvalidData):
        judged(tmp_path, facts(department="a" * 5000 + "!"), {}, more)


def test_groups_need_not_be_read_for_those_who_are_in_none(tmp_path: Path) -> None:
    assigned, everybody = example_application(tmp_path), example_application(tmp_path, "scope: all")

    assert needs_groups(assigned, facts(groups={"team": True}))
    assert not needs_groups(assigned, facts(groups={"team": False}))
    assert not needs_groups(assigned, facts())
    assert not needs_groups(everybody, facts(groups={"team": True}))


ROLES = st.lists(st.sampled_from([USER, ADMIN, VALUELESS, DEFAULT]), max_size=3)
GRANTS = st.builds(lambda roles, gone: grant(*roles, gone=gone), ROLES, st.booleans())
GROUPS = st.dictionaries(st.sampled_from(["a", "b", "c"]), GRANTS)
MEMBERSHIPS = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.booleans())


@pytest.fixture(scope="module")
def applications(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Application]:
    folder = tmp_path_factory.mktemp("standing")
    return {
        excluded: example_application(folder, f"exclude_default_access: {str(excluded).lower()}")
        for excluded in (True, False)
    }


@given(st.one_of(st.none(), GRANTS), GROUPS, MEMBERSHIPS, st.booleans())
@settings(max_examples=200, deadline=None)
def test_entitled_is_who_has_a_role_that_counts_from_anywhere(
    applications: dict[bool, Application],
    direct: Assignment | None,
    groups: dict[str, Assignment],
    memberships: dict[str, bool],
    excluded: bool,
) -> None:
    held = set(direct.roles) if direct is not None and not direct.gone else set()
    for group_id, assignment in groups.items():
        if memberships.get(group_id) and not assignment.gone:
            held |= set(assignment.roles)
    counting = held - {DEFAULT} if excluded else held

    standing = judge_standing(applications[excluded], facts(direct=direct, groups=memberships), groups)

    assert standing.is_active == bool(counting)
    assert set(standing.roles) == (held - {DEFAULT} if counting else set())
