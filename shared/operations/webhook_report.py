"""Whether an application's webhook takes a notice: a test is sent, signed as every notice is."""

from __future__ import annotations

from dataclasses import dataclass

from shared.config.applications import Application
from shared.provisioning.notices.notifier import Notifier
from shared.provisioning.notices.webhook import WebhookProblem

_ADVICE = {
    WebhookProblem.NOT_CONFIGURED: "Name the setting of the address: notify: {webhook: NAME_WEBHOOK_URL}.",
    WebhookProblem.SETTING_MISSING: "Add the setting, in Azure as a Key Vault reference; then take it up as the README "
    "says (Take up a changed secret).",
    WebhookProblem.ADDRESS_UNUSABLE: "Correct the address in the setting.",
    WebhookProblem.KEY_UNUSABLE: "Correct the key in the setting: any text, or whsec_ and base64.",
    WebhookProblem.UNREACHABLE: "Check the address, and that this app may open connections to it (DNS, firewall, TLS).",
    WebhookProblem.TIMED_OUT: "The receiver must answer within ten seconds: let it take a notice first and work later.",
    WebhookProblem.BROKEN: "The receiver closed the connection: look into its log.",
    WebhookProblem.THROTTLED: "The address is right, the receiver is busy: try again later.",
    WebhookProblem.REDIRECTED: "Put the address it redirects to into the setting; redirects are not followed.",
    WebhookProblem.REFUSED: "Check the address and the key: look into the receiver's log.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookReport:
    """What one test notice came to."""

    application: str
    ok: bool
    """The receiver answered with a status of 200 to 299."""
    status: int | None
    """The receiver's HTTP status; None: there was none."""
    problem: str
    """A code; empty: none."""
    detail: str
    """Our own words, with the name of the setting it is about; never an address, a key or the receiver's words."""
    advice: str
    """What to do next; empty when all is well."""


async def send_test(application: Application, *, notifier: Notifier) -> WebhookReport:
    """Send a test notice now, at most ten seconds. Never raises for what the receiver or a setting is like."""
    answer = await notifier.send_test(application)
    return WebhookReport(
        application=application.name,
        ok=answer.ok,
        status=answer.status,
        problem=answer.problem or "",
        detail=answer.detail,
        advice=_ADVICE[answer.problem] if answer.problem else "",
    )
