"""One signed request to an application's webhook, and what came back: a status, never a body.

The address is a secret: those of chat services hold a token. It is read from its setting at every use, and is in no
text, log line or exception.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from shared.config.applications import Application
from shared.config.settings import MissingSecretError
from shared.config.urls import AddressError, checked_webhook_url
from shared.provisioning.notices.notice import Notice, render_body
from shared.provisioning.notices.signing import UnusableSecret, read_key, sign
from shared.scim.answers import Interruption
from shared.scim.classification import Exchange, read_retry_after
from shared.scim.transport import HttpRequest, exchange, new_http_client

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 10.0
LONGEST_BODY = 8 * 1024
"""Bytes of an answer that are read, so that its connection can be used again. Nobody looks at them."""


class WebhookProblem(StrEnum):
    """Why a delivery failed."""

    NOT_CONFIGURED = "not_configured"
    SETTING_MISSING = "setting_missing"
    """The setting of the address, or of the secret, is absent, or its Key Vault reference did not resolve."""
    ADDRESS_UNUSABLE = "address_unusable"
    KEY_UNUSABLE = "key_unusable"
    UNREACHABLE = "unreachable"
    """No connection, or TLS refused."""
    TIMED_OUT = "timed_out"
    BROKEN = "broken"
    """The connection ended before an answer."""
    THROTTLED = "throttled"
    """429, or 503 with a time to come back."""
    REDIRECTED = "redirected"
    """Redirects are not followed: the setting must hold the last address."""
    REFUSED = "refused"
    """Any other status than 2xx."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookAnswer:
    """What became of one delivery."""

    status: int | None = None
    """The receiver's HTTP status; None: there was none."""
    problem: WebhookProblem | None = None
    """None: the receiver took it."""
    detail: str = ""
    """Our own words, with the name of the setting it is about; never its content."""
    retry_after_s: float | None = None
    """How long the receiver asked us to wait."""

    @property
    def ok(self) -> bool:
        """Whether the receiver took it."""
        return self.problem is None


class Webhooks:
    """Sends notices. The network, and whatever the receiver does, raises nothing."""

    def __init__(
        self,
        *,
        secret: Callable[[str], str],
        now: Callable[[], datetime],
        link_of: Callable[[str], str] = lambda _app: "",
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._secret = secret
        self._now = now
        self._link_of = link_of
        self._timeout_s = timeout_s
        self._http: httpx.AsyncClient | None = None

    async def send(self, application: Application, notice: Notice) -> WebhookAnswer:
        """Send one notice once; at most ten seconds."""
        notify = application.notify
        if notify.webhook is None or notify.signing_setting is None:
            return _unsent(WebhookProblem.NOT_CONFIGURED, "notify.webhook names no setting")
        try:
            url = checked_webhook_url(self._secret(notify.webhook).strip(), key=notify.webhook)
            key = read_key(self._secret(notify.signing_setting).strip())
        except MissingSecretError as error:
            return _unsent(WebhookProblem.SETTING_MISSING, str(error))
        except AddressError as error:
            return _unsent(WebhookProblem.ADDRESS_UNUSABLE, f"{error.key}: expected {error.expected}")
        except UnusableSecret as error:
            return _unsent(WebhookProblem.KEY_UNUSABLE, f"{notify.signing_setting}: {error}")
        body = render_body(notice, link=self._link_of(application.name))
        signature = sign(key, message_id=notice.id, timestamp_s=int(self._now().timestamp()), body=body)
        headers = {"content-type": "application/json", "user-agent": "scim-provisioner", **signature}
        request = HttpRequest(method="POST", url=url, headers=headers, body=body)
        self._http = self._http or new_http_client(max_connections=8)
        received = await exchange(self._http, request, timeout_s=self._timeout_s, longest_body=LONGEST_BODY)
        return judge(received, now=self._now())

    async def aclose(self) -> None:
        """Close the connections. For commands and tests."""
        if self._http is not None:
            await self._http.aclose()


def judge(received: Exchange, *, now: datetime) -> WebhookAnswer:
    """What an exchange means. Pure. A status that arrived counts, whatever became of the body behind it."""
    status = received.status
    if status is None:
        match received.interruption:
            case Interruption.NOT_SENT:
                return _unsent(WebhookProblem.UNREACHABLE, "no connection, or its certificate was refused")
            case Interruption.TIMED_OUT:
                return _unsent(WebhookProblem.TIMED_OUT, "no answer in time")
            case _:
                return _unsent(WebhookProblem.BROKEN, "the connection ended before an answer")
    if 200 <= status < 300:
        return WebhookAnswer(status=status)
    wait_s = read_retry_after(received.headers.get("retry-after", ""), now=now)
    if status == 429 or (status == 503 and wait_s is not None):
        return WebhookAnswer(status=status, problem=WebhookProblem.THROTTLED, retry_after_s=wait_s)
    if 300 <= status < 400:
        detail = "the receiver redirects; the setting must hold the address it redirects to"
        return WebhookAnswer(status=status, problem=WebhookProblem.REDIRECTED, detail=detail)
    return WebhookAnswer(status=status, problem=WebhookProblem.REFUSED)


def _unsent(problem: WebhookProblem, detail: str) -> WebhookAnswer:
    return WebhookAnswer(problem=problem, detail=detail)
