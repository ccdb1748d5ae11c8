"""What flows into an attribute by default: Entra's own default mapping, with externalId from the object id.

Entra takes externalId from mailNickname, which changes when people marry; the object id never does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from shared.config.profile import AttributeType, Mutability
from shared.operations.tutorials.rows import Attributes, TableAttribute
from shared.rules.attribute_paths import parse_path
from shared.rules.source_attributes import canonical_user_attribute, is_user_attribute

_USERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "userName": {"source": "userPrincipalName"},
    "active": {"computed": "not_soft_deleted"},
    "displayName": {"source": "displayName"},
    "title": {"source": "jobTitle"},
    'emails[type eq "work"].value': {"source": "mail"},
    "preferredLanguage": {"source": "preferredLanguage"},
    "name.givenName": {"source": "givenName"},
    "name.familyName": {"source": "surname"},
    "name.formatted": {"join": ["givenName", "surname"]},
    'addresses[type eq "other"].formatted': {"source": "physicalDeliveryOfficeName"},
    'addresses[type eq "work"].formatted': {"source": "physicalDeliveryOfficeName"},
    'addresses[type eq "work"].streetAddress': {"source": "streetAddress"},
    'addresses[type eq "work"].locality': {"source": "city"},
    'addresses[type eq "work"].region': {"source": "state"},
    'addresses[type eq "work"].postalCode': {"source": "postalCode"},
    'addresses[type eq "work"].country': {"source": "country"},
    'phoneNumbers[type eq "work"].value': {"source": "telephoneNumber"},
    'phoneNumbers[type eq "mobile"].value': {"source": "mobile"},
    'phoneNumbers[type eq "fax"].value': {"source": "facsimileTelephoneNumber"},
    "externalId": {"source": "objectId"},
    'roles[primary eq "True"].value': {"computed": "single_app_role"},
}
_ENTERPRISE: Final[Mapping[str, Mapping[str, Any]]] = {
    "department": {"source": "department"},
    "employeeNumber": {"source": "employeeId"},
    "manager": {"source": "manager"},
}
_OFFICE: Final = ('addresses[type eq "other"].formatted', 'addresses[type eq "work"].formatted')
_OPT_IN: Final[Mapping[str, str]] = {
    "costcenter": "employeeOrgData.costCenter",
    "division": "employeeOrgData.division",
    "organization": "companyName",
    "employeenumber": "employeeId",
    "nickname": "mailNickname",
    "locale": "preferredLanguage",
    "usertype": "employeeType",
}
"""Used only where the vendor requires the attribute and Entra's defaults leave it alone."""
_GROUPS: Final[Mapping[str, Mapping[str, Any]]] = {
    "displayName": {"source": "displayName"},
    "externalId": {"source": "objectId"},
    "members": {"source": "members"},
}


def user_mappings(table: Attributes, *, required: frozenset[str]) -> tuple[tuple[dict[str, Any], ...], tuple[str, ...]]:
    """The default mappings of users, and the required attributes for which nobody can say where they come from.

    `required` holds paths in lower case. Those unknown ones get a mapping without a source, which lets the profile load
    and each account fail with the attribute's name until a person maps it.
    """
    mappings: list[dict[str, Any]] = []
    unknown: list[str] = []
    for attribute in table.attributes:
        if attribute.mutability is Mutability.READ_ONLY:
            continue
        mapping = _user_mapping(attribute, table)
        if mapping is None and attribute.path.casefold() in required:
            mapping = _required_mapping(attribute)
            if "none" in mapping:
                unknown.append(attribute.path)
        if mapping is not None:
            mappings.append({"target": attribute.path, **mapping})
    return tuple(mappings), tuple(unknown)


def group_mappings(table: Attributes) -> tuple[dict[str, Any], ...]:
    """The default mappings of groups."""
    found = ((attribute.path, _GROUPS.get(attribute.path)) for attribute in table.attributes)
    return tuple({"target": path, **mapping} for path, mapping in found if mapping is not None)


def _user_mapping(attribute: TableAttribute, table: Attributes) -> dict[str, Any] | None:
    path = parse_path(attribute.path)
    if not attribute.mapped:
        return None
    if attribute.path == _OFFICE[1] and table.find(_OFFICE[0]):
        return None
    found: Mapping[str, Any] | None
    if attribute.source and attribute.type is AttributeType.STRING and is_user_attribute(attribute.source):
        found = {"source": attribute.source}
    elif path.urn is not None and "enterprise" in path.urn.casefold() and path.sub is None and not path.filters:
        found = _ENTERPRISE.get(path.name)
    else:
        found = _USERS.get(attribute.path)
    if found is None or (attribute.type is AttributeType.BOOLEAN and "source" in found):
        return None
    mapping = dict(found)
    if attribute.mutability is Mutability.CREATE_ONLY:
        mapping["apply"] = "on_create"
    return mapping


def _required_mapping(attribute: TableAttribute) -> dict[str, Any]:
    """A source of the same name, else none at all: a guess about rights would be worse than a failure."""
    path = parse_path(attribute.path)
    if attribute.type is not AttributeType.STRING or path.filters:
        return {"none": True}
    source = _OPT_IN.get(path.name.casefold()) or canonical_user_attribute(path.name)
    if source is None or path.sub is not None or source in {"id", "manager", "appRoleAssignments"}:
        return {"none": True}
    return {"source": source}
