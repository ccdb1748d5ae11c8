"""What a person maps to at an application, without asking or touching the vendor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from shared.config.applications import Application
from shared.config.mapping import AttributeMapping
from shared.config.provisioning_file import ScopeMode
from shared.directory.mirror import Assignment, MirrorUser, Presence, UserFacts
from shared.provisioning.mapping_source import SourceMapper
from shared.provisioning.standing import judge_standing
from shared.rules.expressions import REDACTED, AppRole
from shared.rules.failures import InvalidData
from shared.rules.mapping import MappedAccount
from shared.scim.resources import build_resource

_ROLES = "appRoleAssignments"
_NOBODY = "00000000-0000-0000-0000-000000000000"


class UserRefused(ValueError):
    """The given JSON is no user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingTrace:
    """What one mapping did for one person."""

    target: str
    source: str
    """Where the value comes from, as written: an attribute, an expression, a constant."""
    outcome: str
    """`always`, `on create`, `reference`, `left out` (with a warning), or `empty`."""
    value: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingPreview:
    """One person at one application."""

    application: str
    user_id: str
    standing: str
    """`in_scope`, or why the person would have no active account."""
    scoping: Mapping[str, bool]
    """Scoping clause -> whether it passed."""
    attributes: Mapping[str, Any]
    """Target path -> value that is kept up to date; values the mapping redacts are not shown."""
    on_create: Mapping[str, Any]
    """Sent once, when the account is created."""
    references: Mapping[str, str]
    """Target path -> id of the directory object whose account is referred to."""
    matching: Mapping[str, Any]
    """By which an existing account would be looked for, in order."""
    warnings: tuple[str, ...]
    trace: tuple[MappingTrace, ...] = ()
    """Every mapping in force, also those without a value."""
    resource: Mapping[str, Any] = field(default_factory=dict)
    """The SCIM resource that a create would send."""
    refusal: str = ""
    """Why the person cannot be mapped; then there are no attributes."""


def read_document(document: Any) -> tuple[UserFacts, tuple[AppRole, ...]]:
    """A user given as Graph's JSON, and their roles: `appRoleAssignments` [{id, value, displayName}].

    Raises UserRefused.
    """
    if not isinstance(document, dict):
        raise UserRefused("a JSON object with a user's properties, as Microsoft Graph shows them, was expected")
    given = document.get(_ROLES, [])
    if not isinstance(given, list) or not all(isinstance(role, dict) for role in given):
        raise UserRefused(f"{_ROLES}: a list of objects with id, value and displayName was expected")
    roles = tuple(
        AppRole(id=str(role.get("id", "")), value=role.get("value"), displayName=role.get("displayName"))
        for role in given
    )
    properties = {name: value for name, value in document.items() if name != _ROLES and value is not None}
    user = MirrorUser(
        id=str(properties.get("id") or properties.get("objectId") or _NOBODY),
        presence=Presence.DISABLED if properties.get("accountEnabled") is False else Presence.ACTIVE,
        attributes=properties,
        content="",
        number="",
        round="",
        etag="",
    )
    return UserFacts(user=user), roles


def preview_mapping(
    application: Application,
    facts: UserFacts,
    *,
    assigned_groups: Mapping[str, Assignment],
    mapper: SourceMapper,
    roles: tuple[AppRole, ...] | None = None,
) -> MappingPreview:
    """Judge and map one person as the consumer would; with `roles` given, as somebody assigned with these."""
    user_id = facts.user.id if facts.user else ""
    judged = application if roles is None else replace(application, scope=ScopeMode.ALL)
    try:
        standing = judge_standing(judged, facts, assigned_groups)
        mapped = mapper.map_source(
            application,
            facts,
            roles=standing.roles if roles is None else roles,
            soft_deleted=standing.is_known and not standing.is_active,
        )
    except InvalidData as error:
        return _refused(application, user_id, str(error))

    def shown(values: Mapping[str, Any]) -> dict[str, Any]:
        return {path: REDACTED if path in mapped.redacted else value for path, value in values.items()}

    attributes, on_create = shown(mapped.attributes), shown(mapped.on_create)
    return MappingPreview(
        application=application.name,
        user_id=user_id,
        standing=standing.reason,
        scoping=dict(standing.explanation),
        attributes=attributes,
        on_create=on_create,
        trace=tuple(_trace(mapping, attributes, on_create, mapped=mapped) for mapping in application.users.mappings),
        resource=build_resource({**attributes, **on_create}, schema_urn=application.users.schema_urn),
        references=dict(mapped.references),
        matching=shown(dict(mapped.matching)),
        warnings=tuple(f"{warning.target}: {warning.reason}" for warning in mapped.warnings),
    )


def _trace(
    mapping: AttributeMapping, attributes: Mapping[str, Any], on_create: Mapping[str, Any], *, mapped: MappedAccount
) -> MappingTrace:
    target, source = mapping.target, _written_source(mapping)
    if target in attributes:
        return MappingTrace(target=target, source=source, outcome="always", value=attributes[target])
    if target in on_create:
        return MappingTrace(target=target, source=source, outcome="on create", value=on_create[target])
    if target in mapped.references:
        return MappingTrace(target=target, source=source, outcome="reference", value=mapped.references[target])
    warned = next((warning.reason for warning in mapped.warnings if warning.target == target), None)
    return MappingTrace(target=target, source=source, outcome="left out" if warned else "empty", value=warned)


def _written_source(mapping: AttributeMapping) -> str:
    if mapping.expression is not None:
        return mapping.expression
    if mapping.computed is not None:
        return mapping.computed
    if mapping.source is not None:
        return f"{mapping.source}, else {mapping.fallback}" if mapping.fallback else mapping.source
    if mapping.join:
        return " + ".join(mapping.join)
    return "default only" if mapping.none else "a constant"


def _refused(application: Application, user_id: str, refusal: str) -> MappingPreview:
    return MappingPreview(
        application=application.name,
        user_id=user_id,
        standing="invalid_data",
        scoping={},
        attributes={},
        on_create={},
        references={},
        matching={},
        warnings=(),
        refusal=refusal,
    )
