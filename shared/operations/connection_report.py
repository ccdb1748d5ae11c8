"""Whether a vendor can be reached with an application's address and credentials, and what to do when not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.config.applications import Application, missing_settings
from shared.config.settings import holds_value
from shared.scim.answers import Answer, AnswerKind
from shared.scim.error_catalogue import remedy_for

if TYPE_CHECKING:
    from shared.scim.connections import ScimConnections

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
class SecretReport:
    """What the vendor said to one of several secrets, alone."""

    setting: str
    """The name of its setting."""
    ok: bool
    answer: str
    """The kind of answer, and the vendor's status and words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionReport:
    """One application's connection."""

    application: str
    address: str
    settings: Mapping[str, bool]
    """Name of every setting of its address and credentials -> whether it has a value, and one that can be used."""
    ok: bool
    """It works with the credentials that the app would use now."""
    answer: str
    """The kind of answer, and the vendor's status and words; never a credential."""
    secrets: Sequence[SecretReport] = ()
    """Each secret by itself, where more than one is there; empty otherwise."""
    advice: str
    """What to do next, empty when all is well."""

    @property
    def needs_a_person(self) -> bool:
        """Whether it does not work, or will not when one of its secrets is revoked."""
        return not (self.ok and all(each.ok for each in self.secrets))


async def check_connection(
    application: Application, connections: ScimConnections, *, environment: Mapping[str, str]
) -> ConnectionReport:
    """Ask the vendor for a user that does not exist, and once more with each secret where there are several.

    With a setting missing, or a disabled application, nothing is asked.
    """
    unfilled = {each.setting for each in application.unfilled}
    settings = {
        setting: holds_value(environment.get(setting)) and setting not in unfilled
        for _, setting in application.connection_settings
    }
    if not application.enabled:
        return _report(application, settings, answer="not asked", advice="Set enabled: true to connect it.")
    missing = [
        str(each)
        for each in missing_settings({application.name: application}, environment)
        if each.setting in settings and not each.instead
    ]
    if missing:
        return _report(application, settings, answer="not asked", advice="; ".join(missing))
    answer = await connections.client_of(application).test_connection()
    several = [setting for _, setting in application.secret_settings if settings[setting]]
    answers = await connections.test_each_secret(application, several) if len(several) > 1 else ()
    return _judge(application, settings, answer, dict(zip(several, answers, strict=False)))


def _judge(
    application: Application, settings: Mapping[str, bool], answer: Answer, secrets: Mapping[str, Answer]
) -> ConnectionReport:
    advice = ""
    if not answer.ok:
        advice = _ADVICE.get(answer.kind) or remedy_for(answer.error_code) or "Read the vendor's words and try again."
    elif refused := [setting for setting, each in secrets.items() if each.kind is AnswerKind.UNAUTHORIZED]:
        advice = f"The vendor refuses the secret in {', '.join(refused)}: correct it before the other one is revoked."
    return _report(
        application,
        settings,
        ok=answer.ok,
        answer=_said(answer),
        secrets=tuple(
            SecretReport(setting=setting, ok=each.ok, answer=_said(each)) for setting, each in secrets.items()
        ),
        advice=advice,
    )


def _said(answer: Answer) -> str:
    return " ".join(part for part in (answer.kind.value, str(answer.status or ""), answer.detail) if part)


def _report(
    application: Application,
    settings: Mapping[str, bool],
    *,
    answer: str,
    advice: str,
    secrets: tuple[SecretReport, ...] = (),
    ok: bool = False,
) -> ConnectionReport:
    return ConnectionReport(
        application=application.name,
        address=application.base_url,
        settings=settings,
        ok=ok,
        answer=answer,
        secrets=secrets,
        advice=advice,
    )
