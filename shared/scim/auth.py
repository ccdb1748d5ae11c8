"""Credentials for a vendor: where they come from, when they are renewed, and what is tried after a 401.

Secrets are looked up by the name of their setting at every use, so that a rotated secret is taken up without a restart.
They are in headers only: never in a message, a log, an exception text or a `repr`.
"""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Protocol
from urllib.parse import urlencode

import httpx

from shared.config.urls import is_loopback
from shared.scim.answers import Answer, AnswerKind
from shared.scim.classification import Exchange, RefusalRules, classify
from shared.scim.error_bodies import UnreadableBodyError, read_json
from shared.scim.error_catalogue import ErrorCode
from shared.scim.transport import HttpRequest, exchange

_SENDABLE = re.compile(r"[\x21-\x7e]+")
_SENDABLE_TEXT = re.compile(r"[\x20-\x7e]+")
_UNRESOLVED = "@microsoft.keyvault("
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
class Authorization:
    """Headers that identify us to the vendor, for one request."""

    headers: Mapping[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    """What must not appear in any text."""


class Credentials(Protocol):
    """Gives the headers for a request, and others after the vendor refused some."""

    async def authorize(
        self, refused: Sequence[Authorization] = (), *, timeout_s: float
    ) -> Authorization | Answer | None:
        """Answers with headers that are not among `refused`, None when there are no others.

        An `Answer` says why there are none at all. Takes at most `timeout_s` seconds.
        """


class SecretProblemError(ValueError):
    """A setting cannot be used as a secret; the text names the setting and never its content."""


SecretLookup = Callable[[str], str]
"""Name of a setting -> its content; a LookupError or an empty text means that it is absent."""


def secret_of(setting: str, *, secret: SecretLookup, pattern: re.Pattern[str] = _SENDABLE) -> str:
    """Answers with the content of a setting, without blanks around it. Raises `SecretProblemError`."""
    try:
        value = secret(setting).strip()
    except LookupError:
        value = ""
    if not value:
        raise SecretProblemError(f"the setting {setting} is empty or absent")
    if value.lower().startswith(_UNRESOLVED):
        raise SecretProblemError(f"the setting {setting} is a Key Vault reference that could not be resolved")
    if not pattern.fullmatch(value):
        raise SecretProblemError(f"the setting {setting} holds characters that cannot be sent in a header")
    return value


def _no_credentials(detail: str) -> Answer:
    return Answer(kind=AnswerKind.UNAUTHORIZED, error_code=ErrorCode.UNAUTHORIZED, detail=detail)


class SecretCredentials:
    """A static secret in a header, or several of them, of which the next is tried when one is refused.

    The one that worked last is used first, so that a rotation costs one refused request.
    """

    def __init__(self, settings: Sequence[str], *, secret: SecretLookup, header: str, prefix: str) -> None:
        self._settings = tuple(settings)
        self._secret = secret
        self._header = header
        self._prefix = prefix
        self._current = 0

    async def authorize(
        self, refused: Sequence[Authorization] = (), *, timeout_s: float
    ) -> Authorization | Answer | None:
        """Answers as `Credentials.authorize`; never waits."""
        problem: str = ""
        used = {dict(authorization.headers)[self._header] for authorization in refused}
        for turn in range(len(self._settings)):
            index = (self._current + turn) % len(self._settings)
            try:
                value = secret_of(self._settings[index], secret=self._secret)
            except SecretProblemError as error:
                problem = problem or str(error)
                continue
            if self._prefix + value not in used:
                self._current = index
                return Authorization(headers={self._header: self._prefix + value}, secrets=(value,))
        return None if refused else _no_credentials(problem)


class BasicCredentials:
    """User name and password (RFC 7617)."""

    def __init__(self, *, username: str, password: str, secret: SecretLookup) -> None:
        self._username = username
        self._password = password
        self._secret = secret

    async def authorize(
        self, refused: Sequence[Authorization] = (), *, timeout_s: float
    ) -> Authorization | Answer | None:
        """Answers as `Credentials.authorize`; never waits."""
        if refused:
            return None
        try:
            name = secret_of(self._username, secret=self._secret, pattern=_SENDABLE_TEXT)
            password = secret_of(self._password, secret=self._secret, pattern=_SENDABLE_TEXT)
        except SecretProblemError as error:
            return _no_credentials(str(error))
        encoded = base64.b64encode(f"{name}:{password}".encode()).decode()
        return Authorization(headers={"Authorization": f"Basic {encoded}"}, secrets=(encoded, password))


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
        client_id: str,
        client_secrets: Sequence[str],
        token_url: str,
        secret: SecretLookup,
        http: httpx.AsyncClient,
        scopes: Sequence[str] = (),
        client_authentication: Literal["basic", "body"] = "basic",
        gate: Callable[[], Awaitable[None]] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        address = httpx.URL(token_url)
        if address.scheme != "https" and not (address.scheme == "http" and is_loopback(address.host)):
            raise ValueError("token_url must be https; plain http is for loopback only")
        self._client_id = client_id
        self._client_secrets = tuple(client_secrets)
        self._token_url = token_url
        self._secret = secret
        self._http = http
        self._scopes = tuple(scopes)
        self._client_authentication = client_authentication
        self._gate = gate
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
        for setting in self._client_secrets:
            outcome = await self._fetch(setting, timeout_s=timeout_s)
            if isinstance(outcome, _Token):
                self._token, self._failure = outcome, None
                break
            self._failure = outcome
            if outcome.kind is not AnswerKind.UNAUTHORIZED:
                break
        self._failed_at = self._monotonic()
        self._rounds += 1

    def _failed_just_now(self) -> bool:
        return self._failure is not None and self._monotonic() - self._failed_at < _FAILURE_SHARED_S

    async def _fetch(self, secret_setting: str, *, timeout_s: float) -> _Token | Answer:
        try:
            client_id = secret_of(self._client_id, secret=self._secret, pattern=_SENDABLE_TEXT)
            client_secret = secret_of(secret_setting, secret=self._secret, pattern=_SENDABLE_TEXT)
        except SecretProblemError as error:
            return _no_credentials(str(error))
        if self._gate is not None:
            await self._gate()
        asked_at = self._monotonic()
        request = self._request(client_id, client_secret)
        return self._read(await exchange(self._http, request, timeout_s=timeout_s), asked_at=asked_at)

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
        if received.status == 200 and isinstance(text, str) and _SENDABLE.fullmatch(text):
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


def new_credentials(
    auth: Any,
    *,
    secret: SecretLookup,
    http: httpx.AsyncClient,
    gate: Callable[[], Awaitable[None]] | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Credentials:
    """Answers with the credentials an application's `auth` describes. Raises ValueError for a type it does not know."""
    if auth.type == "bearer":
        names = [auth.token, *([auth.secondary_token] if auth.secondary_token else [])]
        return SecretCredentials(names, secret=secret, header="Authorization", prefix="Bearer ")
    if auth.type == "api_key":
        names = [auth.key, *([second] if (second := getattr(auth, "secondary_key", None)) else [])]
        return SecretCredentials(names, secret=secret, header=auth.header or "Authorization", prefix="")
    if auth.type == "basic":
        return BasicCredentials(username=auth.username, password=auth.password, secret=secret)
    if auth.type == "oauth2_client_credentials":
        second = getattr(auth, "secondary_client_secret", None)
        return ClientCredentials(
            client_id=auth.client_id,
            client_secrets=[auth.client_secret, *([second] if second else [])],
            token_url=auth.token_url or "",
            secret=secret,
            http=http,
            scopes=auth.scopes,
            client_authentication=auth.client_authentication or "basic",
            gate=gate,
            monotonic=monotonic,
        )
    raise ValueError(f"auth type {auth.type} is not known")
