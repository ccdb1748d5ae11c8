"""Whether a vendor can be reached with an application's address and credentials, and what to do when not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shared.config.applications import Application, missing_settings
from shared.scim.answers import Answer, AnswerKind
from shared.scim.client import ScimClient
from shared.scim.error_catalogue import remedy_for

_ADVICE = {
    AnswerKind.THROTTLED: "The address and the credentials are right, the vendor is busy: try again later.",
    AnswerKind.UNREACHABLE: "Check base_url, the vendor's status page, and that this machine may open connections "
    "to it (DNS, firewall, proxy, TLS).",
    AnswerKind.WRONG_ENDPOINT: "Check base_url: what answers there is not the SCIM service. It usually ends in "
    "/scim or /scim/v2, without /Users.",
    AnswerKind.UNAUTHORIZED: "Check the settings named here: a token that ended, another tenant's, or one without "
    "the right to read users.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionReport:
    """One application's connection."""

    application: str
    address: str
    settings: Mapping[str, bool]
    """Name of every setting its address and credentials need -> whether it has a value, and one that can be used."""
    ok: bool
    answer: str
    """The kind of answer, and the vendor's status and words; never a credential."""
    advice: str
    """What to do next, empty when all is well."""


async def check_connection(
    application: Application, client: ScimClient | None, *, environment: Mapping[str, str]
) -> ConnectionReport:
    """Ask the vendor for a user that does not exist; with a setting missing, or without a client, ask nothing."""
    needed = application.connection_settings
    absent = missing_settings({application.name: application}, environment)
    missing = [str(entry) for entry in absent if (entry.key, entry.setting) in needed]
    without = {entry.setting for entry in absent}
    settings = {
        setting: bool(environment.get(setting)) if not application.enabled else setting not in without
        for _, setting in needed
    }
    if not application.enabled or client is None:
        return _report(application, settings, answer="not asked", advice="Set enabled: true to connect it.")
    if missing:
        return _report(application, settings, answer="not asked", advice="; ".join(missing))
    return _judge(application, settings, await client.test_connection())


def _judge(application: Application, settings: Mapping[str, bool], answer: Answer) -> ConnectionReport:
    said = " ".join(part for part in (answer.kind.value, str(answer.status or ""), answer.detail) if part)
    if answer.ok:
        return _report(application, settings, ok=True, answer=said, advice="")
    advice = _ADVICE.get(answer.kind) or remedy_for(answer.error_code) or "Read the vendor's words and try again."
    return _report(application, settings, answer=said, advice=advice)


def _report(
    application: Application, settings: Mapping[str, bool], *, answer: str, advice: str, ok: bool = False
) -> ConnectionReport:
    return ConnectionReport(
        application=application.name,
        address=application.base_url,
        settings=settings,
        ok=ok,
        answer=answer,
        advice=advice,
    )
