"""The parts of a profile about the vendor as a whole: where it is, how one signs in, how fast it may be called."""

from __future__ import annotations

from typing import Any, Final

from shared.config.protocol import AuthType
from shared.operations.tutorials.drafting import Draft
from shared.operations.tutorials.facts import FactKind

_LEAST_A_MINUTE: Final = 0.0001
_GALLERY_ONLY: Final = (
    "OAuth authorization code, which works in Entra's gallery only: ask the vendor for a token or an OAuth client"
)

_ENCODED: Final = (
    "the token is client id:client secret as Base64, which is what HTTP Basic sends: "
    "should bearer be refused, try basic"
)


def base_url_section(draft: Draft) -> dict[str, Any]:
    """`base_url`: choices, a template, a fixed URL, or nothing."""
    endpoint = draft.findings.endpoint
    for line, problem in endpoint.refused:
        draft.say(FactKind.ADDRESS, problem, line)
    for other in endpoint.others:
        draft.say(FactKind.ADDRESS, f"also printed: {other.url}", other.line)
    if endpoint.flagged:
        draft.say(FactKind.ADDRESS, "Entra's flag for RFC-conforming PATCH is left out; that is the default here")
    if endpoint.choices:
        choices = {address.label: address.url for address in endpoint.choices}
        draft.say(FactKind.ADDRESS, f"one of {len(choices)} URLs: {', '.join(choices)}", endpoint.choices[0].line)
        draft.prove("base_url.choices", endpoint.choices[0].line)
        return {"base_url": {"choices": choices}}
    if endpoint.template is not None:
        gaps = ", ".join(endpoint.template.gaps)
        draft.say(FactKind.ADDRESS, f"template {endpoint.template.url} (to fill in: {gaps})", endpoint.template.line)
        draft.prove("base_url.template", endpoint.template.line)
        return {"base_url": {"template": endpoint.template.url}}
    if endpoint.fixed is not None:
        draft.say(FactKind.ADDRESS, f"fixed: {endpoint.fixed.url}", endpoint.fixed.line)
        draft.prove("base_url.default", endpoint.fixed.line)
        return {"base_url": {"default": endpoint.fixed.url}}
    draft.say(FactKind.ADDRESS, "not printed; each tenant has its own: set base_url")
    return {}


def authentication_section(draft: Draft) -> dict[str, Any]:
    """`auth` and `credentials`."""
    found = draft.findings.authentication
    kinds = [kind.value for kind in found.kinds]
    draft.say(FactKind.AUTHENTICATION, " or ".join(kinds), found.line)
    draft.prove("auth", found.line)
    if found.authorization_code:
        draft.say(FactKind.AUTHENTICATION, _GALLERY_ONLY, found.authorization_code)
    if found.encoded_line:
        draft.say(FactKind.AUTHENTICATION, _ENCODED, found.encoded_line)
    credentials = _credentials(draft)
    return {"auth": kinds, "credentials": credentials} if credentials else {"auth": kinds}


def _credentials(draft: Draft) -> dict[str, Any]:
    findings = draft.findings
    credentials: dict[str, Any] = {}
    if findings.token_endpoint is not None and AuthType.OAUTH2_CLIENT_CREDENTIALS in findings.authentication.kinds:
        credentials["token_url"], line = findings.token_endpoint
        draft.say(FactKind.AUTHENTICATION, f"tokens come from {credentials['token_url']}", line)
        draft.prove("credentials.token_url", line)
    if findings.lifetime is not None:
        credentials["lifetime_days"], line = findings.lifetime
        draft.say(FactKind.SECRET_LIFETIME, f"{findings.lifetime[0]} days; say expires_on to be warned", line)
        draft.prove("credentials.lifetime_days", line)
    return credentials


def roles_section(draft: Draft) -> dict[str, Any]:
    """`roles`: which may be assigned, and whether Default Access entitles."""
    roles: dict[str, Any] = {}
    found = draft.findings.roles
    for key, names in (("allowed", found.allowed), ("forbidden", found.forbidden)):
        if names:
            roles[key] = list(names)
            draft.say(FactKind.ROLES, f"{key}: {', '.join(names)}", found.line)
            draft.prove(f"roles.{key}", found.line)
    line = draft.findings.default_access_line
    if line:
        roles["exclude_default_access"] = True
        draft.say(FactKind.DEFAULT_ACCESS, "Default Access does not entitle", line)
        draft.prove("roles.exclude_default_access", line)
    else:
        draft.say(FactKind.DEFAULT_ACCESS, "not mentioned; excluded unless exclude_default_access: false")
    return {"roles": roles} if roles else {}


def rate_limit_section(draft: Draft) -> dict[str, Any]:
    """`rate_limit`: the lowest rate that is named."""
    if not draft.findings.rates:
        draft.say(FactKind.RATE_LIMIT, "not mentioned; none is applied")
        return {}
    for rate in draft.findings.rates:
        draft.say(FactKind.RATE_LIMIT, f"{rate.per_second:g} requests a second", rate.line)
    lowest = min(draft.findings.rates, key=lambda rate: rate.per_second)
    key, value = "requests_per_second", lowest.per_second
    if value < 1:
        key, value = "requests_per_minute", max(round(value * 60, 4), _LEAST_A_MINUTE)
    draft.prove(f"rate_limit.{key}", lowest.line)
    return {"rate_limit": {key: int(value) if float(value).is_integer() else value}}


def protocol_section(draft: Draft) -> dict[str, Any]:
    """`protocol`: only what tutorials tell, which is little."""
    line = draft.findings.discovery_line
    if not line:
        return {}
    draft.say(FactKind.SCHEMA_DISCOVERY, "GET /Schemas lists the attributes", line)
    draft.prove("protocol.schema_discovery", line)
    return {"protocol": {"schema_discovery": True}}


def documentation_section(draft: Draft) -> dict[str, Any]:
    """`documentation`: the sentences below headings such as Connector limitations."""
    notes = []
    for sentence in draft.findings.limitations[:20]:
        draft.say(FactKind.LIMITATION, sentence.text, sentence.line)
        notes.append({"text": sentence.text, "confidence": "seed", "source": f"{draft.source}, line {sentence.line}"})
    return {"documentation": {"known_problems": notes}} if notes else {}
