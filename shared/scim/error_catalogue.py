"""Why a change failed, in the words of Entra's provisioning log, each with what a person should do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class ErrorCode(StrEnum):
    """Error codes of Entra's provisioning log, in Entra's spelling, so that existing alerts keep working."""

    NONE = ""
    """Nothing failed."""
    CONFLICT = "EntryConflict"
    """The vendor says that a unique value is taken."""
    TOO_MANY_REQUESTS = "TooManyRequests"
    """The vendor refused the request for its rate."""
    INTERNAL_SERVER_ERROR = "InternalServerError"
    """The vendor's server failed while it worked on the request."""
    INSUFFICIENT_RIGHTS = "InsufficientRights"
    """The credentials are known but not allowed to do this (403)."""
    METHOD_NOT_ALLOWED = "MethodNotAllowed"
    """The vendor does not offer this operation (405)."""
    UNAUTHORIZED = "Unauthorized"
    """The vendor does not accept the credentials, or they could not be fetched (401)."""
    UNPROCESSABLE = "UnprocessableEntity"
    """The vendor understood the request and refuses its content (422)."""
    WEB_EXCEPTION = "WebExceptionProtocolError"
    """The vendor could not be reached, or the connection broke."""
    INVALID_ANCHOR = "InvalidAnchor"
    """The linked account is gone at the vendor."""
    NOT_IMPLEMENTED = "NotImplemented"
    """The vendor says it cannot do this (501)."""
    MISSING_VALUES = "MissingValues"
    """A required attribute has no value."""
    SCHEMA_ATTRIBUTE_NOT_FOUND = "SchemaAttributeNotFound"
    """The vendor does not know an attribute or path that was sent."""
    INTERNAL_ERROR = "InternalError"
    """This service failed; a bug."""
    INVALID_DOMAIN = "InvalidDomain"
    """A name or address is in a domain the vendor does not accept."""
    TIMEOUT = "Timeout"
    """No complete answer came in time."""
    LICENSE_LIMIT = "LicenseLimitExceeded"
    """The vendor has no licence or seat left."""
    DUPLICATE_TARGETS = "DuplicateTargetEntries"
    """Several accounts at the vendor carry the matching value."""
    DUPLICATE_SOURCES = "DuplicateSourceEntries"
    """Several source users map to the same matching value."""
    IMPORT_SKIPPED = "ImportSkipped"
    """The source object was left out when it was read."""
    SYNCHRONIZATION_SKIPPED = "EntrySynchronizationSkipped"
    """The object was left out by the rules."""
    MULTIPLE_IN_RESPONSE = "SystemForCrossDomainIdentityManagementMultipleEntriesInResponse"
    """A look-up that must give one account gave several."""
    SERVICE_INCOMPATIBLE = "SystemForCrossDomainIdentityManagementServiceIncompatible"
    """What answered does not behave like a SCIM 2.0 service at this address."""
    SINGLE_VALUE_ONLY = "SchemaPropertyCanOnlyAcceptValue"
    """The vendor accepts only certain values for an attribute."""
    BAD_REQUEST = "SystemForCrossDomainIdentityManagementBadRequest"
    """The vendor refuses the request as malformed or invalid (400)."""
    VERSION_MISMATCH = "VersionMismatch"
    """The account changed at the vendor since its version was read (ours; Entra has no word for it)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorAdvice:
    """What an error code means for a person: what happened, and what to do next."""

    meaning: str
    action: str


def _advice(meaning: str, action: str) -> ErrorAdvice:
    return ErrorAdvice(meaning=meaning, action=action)


ERROR_CATALOGUE = MappingProxyType(
    {
        ErrorCode.CONFLICT: _advice(
            "Another account at the vendor already has a value that must be unique.",
            "Look for an account with this user name or e-mail at the vendor. Give one of the two another value, or "
            "remove the old account; the change is tried again by itself.",
        ),
        ErrorCode.TOO_MANY_REQUESTS: _advice(
            "The vendor asks for fewer requests.",
            "Nothing to do: the change is tried again when the vendor allows. If it stays, lower rate_limit in "
            "provisioning.yaml or ask the vendor for a higher limit.",
        ),
        ErrorCode.INTERNAL_SERVER_ERROR: _advice(
            "The vendor's server failed while it worked on the request.",
            "Nothing to do at first: the change is asserted again. If it stays, give the vendor the time and the "
            "target id.",
        ),
        ErrorCode.INSUFFICIENT_RIGHTS: _advice(
            "The vendor knows the credentials but does not let them do this.",
            "Give the integration's account the rights the vendor's documentation asks for, then restart the "
            "application.",
        ),
        ErrorCode.METHOD_NOT_ALLOWED: _advice(
            "The vendor does not offer this operation.",
            "Switch the operation off in the profile (create, update or delete of this resource type), or choose "
            "another PATCH dialect.",
        ),
        ErrorCode.UNAUTHORIZED: _advice(
            "The vendor does not accept the credentials.",
            "Make a new token or secret at the vendor, store it under the setting named in provisioning.yaml, and take "
            "it up as the README says (Take up a changed secret).",
        ),
        ErrorCode.UNPROCESSABLE: _advice(
            "The vendor understood the request and refuses its content.",
            "Compare the user's mapped values (preview) with what the vendor accepts; correct the source or the "
            "mapping.",
        ),
        ErrorCode.WEB_EXCEPTION: _advice(
            "The vendor could not be reached, or the connection broke.",
            "Nothing to do at first: it is tried again. If it stays, check base_url, DNS, firewall and the vendor's "
            "certificate.",
        ),
        ErrorCode.INVALID_ANCHOR: _advice(
            "The linked account does not exist at the vendor any more.",
            "Nothing to do: the absence is confirmed, then the link is dropped and the user is matched or created "
            "again.",
        ),
        ErrorCode.NOT_IMPLEMENTED: _advice(
            "The vendor says it cannot do this.",
            "Switch the operation or the filter off in the profile; for matching use by: list.",
        ),
        ErrorCode.MISSING_VALUES: _advice(
            "An attribute the vendor requires has no value.",
            "Fill the source attribute, or give the mapping a default value.",
        ),
        ErrorCode.SCHEMA_ATTRIBUTE_NOT_FOUND: _advice(
            "The vendor does not know an attribute that was sent.",
            "Remove that mapping, or correct its target path.",
        ),
        ErrorCode.INTERNAL_ERROR: _advice(
            "This service failed on the change.",
            "Report it with the log line's trace id; the row is kept and tried again.",
        ),
        ErrorCode.INVALID_DOMAIN: _advice(
            "The vendor does not accept the domain of a name or address.",
            "Verify the domain at the vendor, or map an attribute in a verified domain.",
        ),
        ErrorCode.TIMEOUT: _advice(
            "The vendor did not answer in time, so it is unknown whether the change was made.",
            "Nothing to do: the whole state is asserted again. If it stays, raise VENDOR_TIMEOUT_SECONDS or ask the "
            "vendor.",
        ),
        ErrorCode.LICENSE_LIMIT: _advice(
            "The vendor has no licence or seat left.",
            "Free or buy licences at the vendor; the change is tried again by itself.",
        ),
        ErrorCode.DUPLICATE_TARGETS: _advice(
            "Several accounts at the vendor carry the matching value.",
            "Merge or remove accounts at the vendor until one is left. None of them is touched before that.",
        ),
        ErrorCode.DUPLICATE_SOURCES: _advice(
            "Several users of the directory map to the same matching value.",
            "Correct the source attribute, or choose another matching attribute.",
        ),
        ErrorCode.IMPORT_SKIPPED: _advice(
            "The object was left out when the directory was read.", "Check its attributes in the directory."
        ),
        ErrorCode.SYNCHRONIZATION_SKIPPED: _advice(
            "The rules leave this object out.", "Check assignment, scoping filters and roles with a preview."
        ),
        ErrorCode.MULTIPLE_IN_RESPONSE: _advice(
            "A look-up that must give one account gave several.",
            "Choose a matching attribute that is unique at the vendor, or remove the duplicate.",
        ),
        ErrorCode.SERVICE_INCOMPATIBLE: _advice(
            "What answers at this address does not behave like a SCIM 2.0 service.",
            "Check base_url (and its ending), content_type and path_case in the profile, and whether the vendor's SCIM "
            "feature is switched on.",
        ),
        ErrorCode.SINGLE_VALUE_ONLY: _advice(
            "The vendor accepts only certain values for an attribute.",
            "Map one of the allowed values; the vendor's documentation lists them.",
        ),
        ErrorCode.BAD_REQUEST: _advice(
            "The vendor refuses the request as invalid.",
            "Read the vendor's text in the log, compare with a preview of the user, and correct the source, the "
            "mapping or the PATCH dialect.",
        ),
        ErrorCode.VERSION_MISMATCH: _advice(
            "The account was changed at the vendor between reading and writing.",
            "Nothing to do: it is read and written again.",
        ),
    }
)
"""Error code -> meaning and recommended action. Every code but NONE is here (a test says so)."""


def remedy_for(code: str) -> str:
    """Answers with what a person should do about an error code; empty for a code that is not of this catalogue."""
    advice = ERROR_CATALOGUE.get(code)  # type: ignore[call-overload]  # a StrEnum key is found by its text
    return advice.action if advice is not None else ""
