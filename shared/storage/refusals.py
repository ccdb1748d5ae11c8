"""Why storage does not let the app in, in words that name the role or the setting to look at. Pure.

A role assignment that is missing, a network rule and a token that is not accepted all look like 403 from outside; only
the service's error code tells them apart.
"""

from __future__ import annotations

TABLE_ROLE = "Storage Table Data Contributor"
QUEUE_ROLE = "Storage Queue Data Contributor"

_NO_ROLE = "the app's identity needs the role {role} on the storage account"
_NO_NETWORK = "the app's identity needs the role {role} on the storage account, whose network rules must let the app in"
_NO_KEYS = "shared keys are switched off; use the identity form AzureWebJobsStorage__tableServiceUri and so on"
_NOT_ACCEPTED = "its token is not accepted; check AzureWebJobsStorage__clientId and the identities assigned to the app"
_NOBODY = (
    "no token could be had for the app's identity; check AzureWebJobsStorage__clientId and the identities assigned to "
    "the app"
)

_BY_CODE = {
    "AuthorizationPermissionMismatch": _NO_ROLE,
    "AuthorizationFailure": _NO_NETWORK,
    "KeyBasedAuthenticationNotPermitted": _NO_KEYS,
}
_CREDENTIAL_ERRORS = frozenset({"ClientAuthenticationError", "CredentialUnavailableError"})


def explain_refusal(error: Exception, *, role: str) -> str:
    """What a person has to mend, from an exception of the SDKs; empty for any other trouble.

    `role`: the one that is needed. Nothing of the service's own text is repeated.
    """
    status = getattr(error, "status_code", None)
    if status is None and {type(each).__name__ for each in (error, error.__cause__)} & _CREDENTIAL_ERRORS:
        return _NOBODY
    if status not in (401, 403):
        return ""
    code = getattr(error, "error_code", None)
    named = str(getattr(code, "value", code) or "")
    advice = _BY_CODE.get(named, _NOT_ACCEPTED).format(role=role)
    return f"storage answered {' '.join(part for part in (str(status), named[:60]) if part)}: {advice}"
