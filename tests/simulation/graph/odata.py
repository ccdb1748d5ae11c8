"""The parts of OData that Graph speaks: requests, answers, error bodies, $select, $filter and property sets."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.graph.changes import Kind
from tests.simulation.graph.faults import Link
from tests.simulation.graph.people import JsonObject
from tests.simulation.graph.population import to_json

MAX_ID_FILTERS = 50


@dataclass(slots=True, kw_only=True)
class Request:
    """One call, free of HTTP: `path` is canonical, relative to the version; query names are lower-case, without $."""

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def link(self) -> Link:
        """Says whether the call follows a nextLink, a deltaLink or neither."""
        if "skiptoken" in self.query:
            return Link.NEXT
        if self.query.get("deltatoken", "latest").lower() not in ("", "latest"):
            return Link.DELTA
        return Link.INITIAL

    @property
    def prefers_minimal(self) -> bool:
        """Whether the caller asks for changed properties only."""
        return "return=minimal" in self.headers.get("prefer", "").replace(" ", "").lower()


@dataclass(slots=True)
class Response:
    """One answer; `headers` hold what is special about it."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class ODataError(Exception):
    """Ends a request with an error answer."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        """Keeps what the answer needs."""
        super().__init__(message)
        self.response = error_response(status, code, message, headers)


def error_response(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    """Builds an error answer in Graph's shape; the transport adds the request id."""
    error = {"code": code, "message": message, "innerError": {"date": "2026-01-05T08:00:00"}}
    return Response(status, to_json({"error": error}), dict(headers or {}))


def not_found(object_id: str) -> ODataError:
    """Says that an object does not exist, as Graph does."""
    message = f"Resource '{object_id}' does not exist or one of its queried reference-property objects are not present."
    return ODataError(404, "Request_ResourceNotFound", message)


USER_DEFAULTS = (
    "id", "businessPhones", "displayName", "givenName", "jobTitle", "mail", "mobilePhone", "officeLocation",
    "preferredLanguage", "surname", "userPrincipalName",
)  # fmt: skip
GROUP_DEFAULTS = (
    "id", "createdDateTime", "description", "displayName", "groupTypes", "mail", "mailEnabled", "mailNickname",
    "securityEnabled", "visibility",
)  # fmt: skip
PRINCIPAL_DEFAULTS = (
    "id", "accountEnabled", "appId", "appRoleAssignmentRequired", "appRoles", "displayName", "servicePrincipalType",
    "tags",
)  # fmt: skip
DEFAULTS: dict[Kind, tuple[str, ...]] = {
    Kind.USER: USER_DEFAULTS,
    Kind.GROUP: GROUP_DEFAULTS,
    Kind.DEVICE: ("id", "displayName", "accountEnabled"),
    Kind.SERVICE_PRINCIPAL: PRINCIPAL_DEFAULTS,
}
RELATIONSHIPS: dict[Kind, frozenset[str]] = {
    Kind.USER: frozenset({"manager"}),
    Kind.GROUP: frozenset({"members", "owners"}),
    Kind.SERVICE_PRINCIPAL: frozenset(),
    Kind.DEVICE: frozenset(),
}


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_KNOWN: dict[Kind, frozenset[str]] = {
    Kind.USER: _names(
        "aboutMe accountEnabled ageGroup assignedLicenses assignedPlans authorizationInfo birthday city companyName "
        "consentProvidedForMinor country createdDateTime creationType customSecurityAttributes deletedDateTime "
        "department employeeHireDate employeeId employeeLeaveDateTime employeeOrgData employeeType "
        "externalUserState externalUserStateChangeDateTime faxNumber hireDate identities imAddresses "
        "isResourceAccount lastPasswordChangeDateTime legalAgeGroupClassification licenseAssignmentStates "
        "mailNickname onPremisesDistinguishedName onPremisesDomainName onPremisesExtensionAttributes "
        "onPremisesImmutableId onPremisesLastSyncDateTime onPremisesProvisioningErrors onPremisesSamAccountName "
        "onPremisesSecurityIdentifier onPremisesSyncEnabled onPremisesUserPrincipalName otherMails passwordPolicies "
        "passwordProfile postalCode preferredDataLocation provisionedPlans proxyAddresses securityIdentifier "
        "serviceProvisioningErrors showInAddressList signInSessionsValidFromDateTime state streetAddress "
        "usageLocation userType"
    ),
    Kind.GROUP: _names(
        "assignedLabels assignedLicenses classification deletedDateTime expirationDateTime isAssignableToRole "
        "membershipRule membershipRuleProcessingState onPremisesSyncEnabled onPremisesSamAccountName proxyAddresses "
        "renewedDateTime securityIdentifier theme uniqueName"
    ),
    Kind.SERVICE_PRINCIPAL: _names(
        "alternativeNames appDescription appDisplayName applicationTemplateId appOwnerOrganizationId createdDateTime "
        "description homepage info keyCredentials loginUrl logoutUrl notes notificationEmailAddresses "
        "oauth2PermissionScopes passwordCredentials preferredSingleSignOnMode replyUrls servicePrincipalNames "
        "signInAudience verifiedPublisher"
    ),
    Kind.DEVICE: frozenset({"deviceId", "operatingSystem"}),
}


def parse_select(text: str | None, kind: Kind) -> tuple[str, ...] | None:
    """Reads $select into property names, always with the id; None when there is no $select.

    Raises ODataError for a property the type does not have.
    """
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    known = _KNOWN[kind] | set(DEFAULTS[kind]) | RELATIONSHIPS[kind]
    for name in names:
        if name not in known and not name.startswith("extension_"):
            message = f"Could not find a property named '{name}' on type 'microsoft.graph.{kind.value}'."
            raise ODataError(400, "BadRequest", message)
    return tuple(dict.fromkeys(["id", *names]))


def parse_id_filter(text: str | None) -> frozenset[str] | None:
    """Reads `id eq 'x' or id eq 'y'`; None when there is no filter. Raises ODataError for anything else."""
    if text is None:
        return None
    clauses = [re.fullmatch(r"\s*\(?\s*id\s+eq\s+'([^']*)'\s*\)?\s*", part) for part in re.split(r"\s+or\s+", text)]
    if any(clause is None for clause in clauses):
        raise ODataError(400, "Request_UnsupportedQuery", "Unsupported or invalid query filter clause specified.")
    if len(clauses) > MAX_ID_FILTERS:
        raise ODataError(
            400, "Request_UnsupportedQuery", f"Too many child clauses specified: at most {MAX_ID_FILTERS}."
        )
    return frozenset(clause.group(1) for clause in clauses if clause)


def project(held: JsonObject, select: tuple[str, ...] | None, kind: Kind) -> JsonObject:
    """Shows an object the way a plain GET does: every asked property, null when it was never set."""
    names = select or DEFAULTS[kind]
    return {name: held.get(name) for name in names if name not in RELATIONSHIPS[kind]}


def reference(kind: Kind, object_id: str) -> dict[str, Any]:
    """Names a related object, the way relationships do in a delta."""
    return {"@odata.type": kind.odata_type, "id": object_id}
