"""OAuth 2.0 client credentials (RFC 6749 4.4): tokens fetched when needed, shared, and renewed in time."""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlencode

import httpx

from shared import tracing
from shared.config.urls import is_loopback
from shared.scim.answers import Answer, AnswerKind
from shared.scim.auth import (
    SENDABLE,
    SENDABLE_TEXT,
    Authorization,
    RefusalNoted,
    SecretLookup,
    SecretProblemError,
    no_credentials,
    nobody_is_told,
    secret_of,
)
from shared.scim.classification import Exchange, RefusalRules, classify
from shared.scim.error_bodies import UnreadableBodyError, read_json
from shared.scim.error_catalogue import ErrorCode
from shared.scim.observed_exchange import exchange_in_span
from shared.scim.sending import Departure
from shared.scim.transport import HttpRequest

_EXPIRY_MARGIN_S = 60.0
_DEFAULT_LIFETIME_S = 600.0
_FAILURE_SHARED_S = 1.0
_OAUTH_ERRORS = frozenset(
    {
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    authorization: Authorization
    expires_at: float


class ClientCredentials:
    """OAuth 2.0 client credentials (RFC 6749 4.4): a token is kept until a minute before its end and renewed on a 401.

    Requests that need a token within the same second share one request for it, and its failure.
    """

    def __init__(  # noqa: PLR0913 - each is a setting of the grant
        self,
        *,
        application: str,
        client_id: str,
        client_secrets: Sequence[str],
        token_url: str,
        secret: SecretLookup,
        http: httpx.AsyncClient,
        scopes: Sequence[str] = (),
        client_authentication: Literal["basic", "body"] = "basic",
        gate: Callable[[], Awaitable[Departure | None]] | None = None,
        tell_refused: RefusalNoted = nobody_is_told,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        address = httpx.URL(token_url)
        if address.scheme != "https" and not (address.scheme == "http" and is_loopback(address.host)):
            raise ValueError("token_url must be https; plain http is for loopback only")
        self._application = application
        self._client_id = client_id
        self._client_secrets = tuple(client_secrets)
        self._token_url = token_url
        self._secret = secret
        self._http = http
        self._scopes = tuple(scopes)
        self._client_authentication = client_authentication
        self._gate = gate
        self._tell_refused = tell_refused
        self._monotonic = monotonic
        self._token: _Token | None = None
        self._failure: Answer | None = None
        self._failed_at = 0.0
        self._rounds = 0
        self._lock = asyncio.Lock()

    async def authorize(
        self, refused: Sequence[Authorization] = (), *, timeout_s: float
    ) -> Authorization | Answer | None:
        """Answers as `Credentials.authorize`: after one renewed token was refused too there is nothing else to try."""
        if len(refused) > 1:
            return None
        cached = self._usable(refused)
        if cached is not None:
            return cached
        rounds = self._rounds
        try:
            async with asyncio.timeout(timeout_s):
                async with self._lock:
                    if self._rounds == rounds and not self._failed_just_now():
                        await self._renew(timeout_s=timeout_s)
        except TimeoutError:
            return Answer(
                kind=AnswerKind.UNREACHABLE,
                error_code=ErrorCode.TIMEOUT,
                detail="the token endpoint did not answer in time",
            )
        return self._usable(refused) or self._failure

    def _usable(self, refused: Sequence[Authorization]) -> Authorization | None:
        token = self._token
        if token is None or self._monotonic() >= token.expires_at:
            return None
        return None if token.authorization in refused else token.authorization

    async def _renew(self, *, timeout_s: float) -> None:
        """Fetches a token with the first client secret that is not refused; keeps token and failure for who waits."""
        self._token, self._failure = None, None
        refused = ""
        for setting in self._client_secrets:
            outcome = await self._fetch(setting, timeout_s=timeout_s)
            if isinstance(outcome, _Token):
                self._token, self._failure = outcome, None
                if refused:
                    self._tell_refused(refused, setting)
                break
            self._failure = outcome
            # Without a status nobody was asked: the setting holds no secret.
            refused = refused or (setting if outcome.status is not None else "")
            if outcome.kind is not AnswerKind.UNAUTHORIZED:
                break
        self._failed_at = self._monotonic()
        self._rounds += 1

    def _failed_just_now(self) -> bool:
        return self._failure is not None and self._monotonic() - self._failed_at < _FAILURE_SHARED_S

    async def _fetch(self, secret_setting: str, *, timeout_s: float) -> _Token | Answer:
        try:
            client_id = secret_of(self._client_id, secret=self._secret, pattern=SENDABLE_TEXT)
            client_secret = secret_of(secret_setting, secret=self._secret, pattern=SENDABLE_TEXT)
        except SecretProblemError as error:
            return no_credentials(str(error))
        departs = None if self._gate is None else await self._gate()
        asked_at = self._monotonic()
        request = self._request(client_id, client_secret)
        received = await exchange_in_span(
            tracing.SpanName.OAUTH_REQUEST,
            self._http,
            request,
            application=self._application,
            timeout_s=timeout_s,
            departs=departs,
            monotonic=self._monotonic,
        )
        return self._read(received, asked_at=asked_at)

    def _request(self, client_id: str, client_secret: str) -> HttpRequest:
        """Id and secret are joined as they are, not percent-encoded first: what token endpoints accept in practice."""
        form = {"grant_type": "client_credentials"}
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        if self._scopes:
            form["scope"] = " ".join(self._scopes)
        if self._client_authentication == "basic":
            headers["authorization"] = f"Basic {base64.b64encode(f'{client_id}:{client_secret}'.encode()).decode()}"
        else:
            form |= {"client_id": client_id, "client_secret": client_secret}
        return HttpRequest(method="POST", url=self._token_url, headers=headers, body=urlencode(form).encode())

    def _read(self, received: Exchange, *, asked_at: float) -> _Token | Answer:
        value = _object_of(received)
        text = value.get("access_token")
        if received.status == 200 and isinstance(text, str) and SENDABLE.fullmatch(text):
            lifetime = _seconds_of(value.get("expires_in"))
            margin = min(_EXPIRY_MARGIN_S, lifetime / 5)
            authorization = Authorization(headers={"Authorization": f"Bearer {text}"}, secrets=(text,))
            return _Token(authorization=authorization, expires_at=asked_at + lifetime - margin)
        return _token_failure(received, code=value.get("error"))


def _object_of(received: Exchange) -> Mapping[str, Any]:
    try:
        value = read_json(received.body)
    except UnreadableBodyError:
        return {}
    return value if isinstance(value, dict) else {}


def _seconds_of(value: Any) -> float:
    """`expires_in`, which some endpoints send as text; ten minutes when it is absent."""
    text = str(value)
    is_number = not isinstance(value, bool) and re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", text)
    return float(text) if is_number else _DEFAULT_LIFETIME_S


def _token_failure(received: Exchange, *, code: Any) -> Answer:
    """Nothing went to the SCIM service, so that no failure here is ambiguous. The endpoint's text is not quoted."""
    known = classify(received, now=datetime.now(UTC), rules=RefusalRules())
    said = f"the token endpoint answered {received.status}" if received.status else "the token endpoint did not answer"
    if isinstance(code, str) and code in _OAUTH_ERRORS:
        said = f"{said}: {code}"
    if known.kind is AnswerKind.WRONG_ENDPOINT:
        said = f"{said}, not as an OAuth token endpoint does; check token_url"
        return Answer(kind=known.kind, status=received.status, error_code=ErrorCode.SERVICE_INCOMPATIBLE, detail=said)
    if received.status == 200 or known.kind in {AnswerKind.REJECTED, AnswerKind.UNAUTHORIZED, AnswerKind.CONFLICT}:
        return Answer(
            kind=AnswerKind.UNAUTHORIZED, status=received.status, error_code=ErrorCode.UNAUTHORIZED, detail=said
        )
    kind = known.kind if known.kind is AnswerKind.THROTTLED else AnswerKind.UNREACHABLE
    return Answer(
        kind=kind,
        status=received.status,
        retry_after_s=known.retry_after_s,
        error_code=known.error_code or ErrorCode.WEB_EXCEPTION,
        detail=said,
    )
