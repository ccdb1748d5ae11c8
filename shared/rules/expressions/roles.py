"""App roles. `[appRoleAssignments]` stands for the roles of the context; a user without any is no error.

The answers are markers: which shape `roles` takes in a request depends on the target path and the operation.
"""

from collections.abc import Sequence

from shared.rules.expressions.conversion import role_name
from shared.rules.expressions.registry import Argument, Evaluate, Options, Scope, built
from shared.rules.expressions.values import RoleAssignments, RoleFlow

_ROLES = Options(roles=True)


@built("SingleAppRoleAssignment", "appRoleAssignments", _ROLES)
def single_app_role_assignment(_arguments: Sequence[Argument]) -> Evaluate:
    """Answer one role, null without any; inside another function it reads as the role's value.

    Entra leaves open which one wins when a user has several; here the first of the context does.
    """

    def evaluate(scope: Scope) -> object:
        roles = scope.context.roles
        return RoleAssignments(RoleFlow.SINGLE, roles[:1]) if roles else None

    return evaluate


@built("AppRoleAssignmentsComplex", "appRoleAssignments", _ROLES)
def app_role_assignments_complex(_arguments: Sequence[Argument]) -> Evaluate:
    """Answer all roles, to be added at the target; one no longer assigned is never removed."""
    return lambda scope: RoleAssignments(RoleFlow.ADD, scope.context.roles) if scope.context.roles else None


@built("AssertiveAppRoleAssignmentsComplex", "appRoleAssignments", _ROLES)
def assertive_app_role_assignments_complex(_arguments: Sequence[Argument]) -> Evaluate:
    """Answer all roles, to replace those at the target; none assigned empties the attribute."""
    return lambda scope: RoleAssignments(RoleFlow.REPLACE, scope.context.roles)


@built("AppRoleAssignments", "source", _ROLES)
def app_role_assignments(_arguments: Sequence[Argument]) -> Evaluate:
    """Answer the values of all roles as a list of texts (named in Graph's function schema, otherwise undocumented)."""
    return lambda scope: [role_name(role) for role in scope.context.roles] or None
