"""Who is entitled, and how roles reach the target."""

import itertools

import pytest

from shared.config.profile import RoleRules
from shared.rules.attribute_paths import parse_path
from shared.rules.expressions import AppRole, RoleAssignments, RoleFlow
from shared.rules.roles import DEFAULT_ACCESS, SkipReason, effective_roles, is_role_allowed, pick_role, shape_roles

DEFAULT = AppRole(id=DEFAULT_ACCESS, value=None, displayName="Default Access")
USER = AppRole(id="r1", value="user", displayName="User")
ADMIN = AppRole(id="r2", value="admin", displayName="Administrator")
NAMELESS = AppRole(id="r3", value=None, displayName="Reader")


@pytest.mark.parametrize(
    ("direct", "groups", "exclude", "roles", "entitled"),
    [
        pytest.param([USER], [], True, (USER,), True, id="assigned with a role"),
        pytest.param([], [USER], True, (USER,), True, id="assigned through a group"),
        pytest.param([USER], [ADMIN, USER], True, (ADMIN, USER), True, id="the union, each role once"),
        pytest.param([DEFAULT], [], True, (), False, id="Default Access only does not entitle"),
        pytest.param([DEFAULT], [], False, (), True, id="Default Access entitles where it counts"),
        pytest.param([DEFAULT], [USER], True, (USER,), True, id="Default Access beside a role through a group"),
        pytest.param([], [], False, (), False, id="not assigned at all"),
    ],
)
def test_entitlement(direct, groups, exclude, roles, entitled):
    entitlement = effective_roles(direct, groups, exclude_default_access=exclude)

    assert entitlement.roles == roles
    assert entitlement.entitled is entitled
    assert entitlement.reason is (None if entitled else SkipReason.NOT_EFFECTIVELY_ENTITLED)


def test_the_picked_role_does_not_depend_on_the_order_of_assignments():
    picked = {pick_role(order) for order in itertools.permutations([USER, ADMIN, NAMELESS])}

    assert len(picked) == 1
    assert pick_role([]) is None


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param('roles[primary eq "True"].value', "admin", id="the value"),
        pytest.param('roles[primary eq "True"].display', "Administrator", id="the display name"),
        pytest.param('roles[primary eq "True"].type', "WindowsAzureActiveDirectoryRole", id="the type"),
        pytest.param("userType", [{"primary": True}], id="the whole list"),
    ],
)
def test_a_single_role_takes_the_shape_its_path_asks_for(path, value):
    shaped = shape_roles(RoleAssignments(RoleFlow.SINGLE, (USER, ADMIN)), parse_path(path))

    if isinstance(value, list):
        assert shaped[0]["primary"] is True
        assert shaped[0]["value"] == "admin"
    else:
        assert shaped == value


def test_added_and_asserted_roles_differ_in_the_name_of_the_display_attribute():
    added = shape_roles(RoleAssignments(RoleFlow.ADD, (USER,)), parse_path("roles"))
    asserted = shape_roles(RoleAssignments(RoleFlow.REPLACE, (USER,)), parse_path("roles"))

    assert added == [{"primary": False, "value": "user", "displayName": "User"}]
    assert asserted == [{"primary": False, "value": "user", "display": "User"}]


def test_no_asserted_role_empties_the_list_and_no_single_role_sends_nothing():
    assert shape_roles(RoleAssignments(RoleFlow.REPLACE, ()), parse_path("roles")) == []
    assert shape_roles(RoleAssignments(RoleFlow.SINGLE, ()), parse_path('roles[primary eq "True"].value')) is None


@pytest.mark.parametrize(
    ("display_name", "allowed"),
    [
        ("User", True),
        ("user", True),
        ("Super User", False),
        ("Superuser", False),
        ("External user", False),
        ("Time & Expense User", False),
        ("Planner", False),
    ],
)
def test_clarizens_role_rule_ignores_case_and_blanks(display_name, allowed):
    rules = RoleRules(allowed=("User",), forbidden=("Super User", "External User", "Time & Expense User"))

    assert is_role_allowed(AppRole(id="r", value=None, displayName=display_name), rules) is allowed


def test_without_rules_every_role_is_allowed():
    assert is_role_allowed(ADMIN, RoleRules())
