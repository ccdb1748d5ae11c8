"""Where the value of one mapping comes from: a source attribute, a constant, a role, an expression."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from shared.config.mapping import AttributeMapping, Computed
from shared.config.profile import RoleRules
from shared.rules.expressions import AppRole, EvaluationContext, RoleAssignments, RoleFlow, compile_expression
from shared.rules.failures import InvalidData
from shared.rules.roles import is_role_allowed
from shared.rules.source_attributes import is_group_attribute, is_user_attribute
from shared.rules.source_user import SourceUser
from shared.rules.target_values import is_empty

Evaluate: TypeAlias = Callable[[SourceUser, EvaluationContext], object]

_FLOWS: Final = {
    Computed.SINGLE_APP_ROLE: RoleFlow.SINGLE,
    Computed.APP_ROLES_ADDED: RoleFlow.ADD,
    Computed.APP_ROLES_ASSERTED: RoleFlow.REPLACE,
}


def evaluation_of(mapping: AttributeMapping, roles: RoleRules) -> tuple[Evaluate, str]:
    """How the value comes about, and the name of where it comes from. Raises `ExpressionError` for a bad expression."""
    computed = mapping.computed_here
    if computed is not None:
        return _computed(computed, mapping, roles), computed
    if mapping.expression is not None:
        expression = compile_expression(mapping.expression, known_attributes=_is_known)
        names = ", ".join(sorted(expression.attributes))
        return lambda user, context: expression.evaluate(user, context=context), names
    if mapping.source is not None:
        return _direct(mapping.source, mapping.fallback), mapping.source
    if mapping.join:
        names_to_join = mapping.join
        return lambda user, _: _joined(user, names_to_join), ", ".join(names_to_join)
    value = mapping.default if mapping.none else mapping.constant
    return lambda _user, _context: value, "a constant"


def _is_known(name: str) -> bool:
    return is_user_attribute(name) or is_group_attribute(name)


def _direct(name: str, fallback: str | None) -> Evaluate:
    if fallback is None:
        return lambda user, _: user.get(name)

    def first_present(user: SourceUser, _: EvaluationContext) -> object:
        value = user.get(name)
        return user.get(fallback) if is_empty(value) else value

    return first_present


def _computed(computed: Computed, mapping: AttributeMapping, roles: RoleRules) -> Evaluate:
    if computed is Computed.NOT_SOFT_DELETED:
        return lambda user, _: not user.soft_deleted
    if computed is Computed.OTHER_ADDRESS:
        return lambda user, _: _other_address(user)
    flow, target = _FLOWS[computed], mapping.target
    return lambda _, context: _role_assignments(context.roles, flow, rules=roles, target=target)


def _joined(user: SourceUser, names: tuple[str, ...]) -> str | None:
    present = (user.get(name) for name in names)
    return " ".join(str(value).strip() for value in present if not is_empty(value)) or None


def _other_address(user: SourceUser) -> str | None:
    addresses = user.get("proxyAddresses")
    known = addresses if isinstance(addresses, list) else []
    secondary = (str(address) for address in known if str(address).startswith("smtp:"))
    return next((address.removeprefix("smtp:") for address in secondary), None)


def _role_assignments(roles: tuple[AppRole, ...], flow: RoleFlow, *, rules: RoleRules, target: str) -> RoleAssignments:
    """The roles that the vendor accepts. Raises `InvalidData` when one that would be sent is not accepted."""
    allowed = tuple(role for role in roles if is_role_allowed(role, rules))
    enough = allowed or not roles if flow is RoleFlow.SINGLE else len(allowed) == len(roles)
    if not enough:
        refused = ", ".join(role.value or role.id for role in roles if role not in allowed)
        reason = f"the vendor does not accept the role {refused}; allowed: {', '.join(rules.allowed) or 'others'}"
        raise InvalidData(target=target, source="appRoleAssignments", reason=reason)
    return RoleAssignments(flow, allowed)
