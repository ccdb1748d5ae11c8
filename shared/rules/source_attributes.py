"""Names of source attributes: Microsoft Graph's, Entra's older ones, and those computed here.

The list exists so that a typing mistake in a mapping or a filter is refused at start instead of flowing as an empty
value to every account. Case is ignored, except in `extension_<appId>_<name>`, where Graph does not ignore it.
"""

from __future__ import annotations

import difflib
import re
from functools import lru_cache
from typing import Final

APP_ROLES: Final = "appRoleAssignments"
IS_SOFT_DELETED: Final = "IsSoftDeleted"
ORIGINAL_UPN: Final = "originalUserPrincipalName"

USER_PROPERTIES: Final = frozenset(
    [
        "accountEnabled",
        "ageGroup",
        "businessPhones",
        "city",
        "companyName",
        "consentProvidedForMinor",
        "country",
        "createdDateTime",
        "creationType",
        "department",
        "displayName",
        "employeeHireDate",
        "employeeId",
        "employeeLeaveDateTime",
        "employeeOrgData",
        "employeeType",
        "externalUserState",
        "faxNumber",
        "givenName",
        "id",
        "imAddresses",
        "jobTitle",
        "legalAgeGroupClassification",
        "mail",
        "mailNickname",
        "manager",
        "mobilePhone",
        "officeLocation",
        "onPremisesDistinguishedName",
        "onPremisesDomainName",
        "onPremisesExtensionAttributes",
        "onPremisesImmutableId",
        "onPremisesLastSyncDateTime",
        "onPremisesSamAccountName",
        "onPremisesSecurityIdentifier",
        "onPremisesSyncEnabled",
        "onPremisesUserPrincipalName",
        "otherMails",
        "passwordPolicies",
        "postalCode",
        "preferredDataLocation",
        "preferredLanguage",
        "proxyAddresses",
        "securityIdentifier",
        "showInAddressList",
        "state",
        "streetAddress",
        "surname",
        "usageLocation",
        "userPrincipalName",
        "userType",
    ]
)
"""Properties of a Graph v1.0 user that delta queries track."""

GROUP_PROPERTIES: Final = frozenset(
    [
        "classification",
        "createdDateTime",
        "description",
        "displayName",
        "groupTypes",
        "id",
        "isAssignableToRole",
        "mail",
        "mailEnabled",
        "mailNickname",
        "members",
        "onPremisesDomainName",
        "onPremisesSamAccountName",
        "onPremisesSecurityIdentifier",
        "onPremisesSyncEnabled",
        "preferredDataLocation",
        "preferredLanguage",
        "proxyAddresses",
        "securityEnabled",
        "securityIdentifier",
        "theme",
        "visibility",
    ]
)
"""Properties of a Graph v1.0 group that delta queries track."""

LEGACY_NAMES: Final = {
    "objectId": "id",
    "telephoneNumber": "businessPhones",
    "mobile": "mobilePhone",
    "physicalDeliveryOfficeName": "officeLocation",
    "facsimileTelephoneNumber": "faxNumber",
    "dirSyncEnabled": "onPremisesSyncEnabled",
    "immutableId": "onPremisesImmutableId",
    "lastDirSyncTime": "onPremisesLastSyncDateTime",
    "samAccountName": "onPremisesSamAccountName",
    "onPremiseSecurityIdentifier": "onPremisesSecurityIdentifier",
    **{f"extensionAttribute{n}": f"onPremisesExtensionAttributes.extensionAttribute{n}" for n in range(1, 16)},
}
"""Entra's older name -> Graph property, with a dot where it is a part of a complex one."""

_PARTS: Final = frozenset(
    {"employeeOrgData.costCenter", "employeeOrgData.division"}
    | {f"onPremisesExtensionAttributes.extensionAttribute{n}" for n in range(1, 16)}
)
_COMPUTED: Final = {IS_SOFT_DELETED: "accountEnabled", ORIGINAL_UPN: "userPrincipalName", APP_ROLES: ""}
_USER_NAMES: Final = {name.casefold(): name for name in (*USER_PROPERTIES, *LEGACY_NAMES, *_PARTS, *_COMPUTED)}
_GROUP_NAMES: Final = {name.casefold(): name for name in (*GROUP_PROPERTIES, "objectId")}
_EXTENSION: Final = re.compile(r"extension_[0-9a-fA-F]{32}_[A-Za-z0-9_]+")
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_REFERENCE: Final = re.compile(r"\[([^\[\]]+)\]")


@lru_cache(maxsize=1024)
def canonical_user_attribute(name: str) -> str | None:
    """The spelling used here for a user attribute in any case, None when there is no such attribute."""
    if _EXTENSION.fullmatch(name):
        return name
    return _USER_NAMES.get(name.casefold())


def canonical_group_attribute(name: str) -> str | None:
    """The spelling used here for a group attribute in any case, None when there is no such attribute."""
    if _EXTENSION.fullmatch(name):
        return name
    return _GROUP_NAMES.get(name.casefold())


def is_user_attribute(name: str) -> bool:
    """Whether mappings and filters of users may read it."""
    return canonical_user_attribute(name) is not None


def is_group_attribute(name: str) -> bool:
    """Whether mappings and filters of groups may read it."""
    return canonical_group_attribute(name) is not None


def similar_attributes(name: str, *, group: bool = False) -> tuple[str, ...]:
    """Up to three known names that look like a mistyped one."""
    names = _GROUP_NAMES if group else _USER_NAMES
    return tuple(names[match] for match in difflib.get_close_matches(name.casefold(), names, n=3))


def graph_property(name: str) -> str:
    """The Graph property to select so that this attribute can be read; '' when it comes from elsewhere."""
    canonical = canonical_user_attribute(name) or name
    canonical = _COMPUTED.get(canonical, canonical)
    return LEGACY_NAMES.get(canonical, canonical).partition(".")[0]


def referenced_attributes(expression: str) -> tuple[str, ...]:
    """The attributes an expression reads, without compiling it: every `[name]` outside quotes."""
    return tuple(dict.fromkeys(_REFERENCE.findall(_STRING.sub('""', expression))))
