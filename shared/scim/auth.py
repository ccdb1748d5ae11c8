"""Credentials for a vendor: where they come from, when they are renewed, and what is tried after a 401.

Secrets are looked up by the name of their setting at every use, and kept nowhere else. The app's settings are those of
its start: another secret is taken up by a new process.
They are in headers only: never in a message, a log, an exception text or a `repr`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from shared.config.settings import MissingSecretError, is_unresolved
from shared.scim.answers import Answer, AnswerKind
from shared.scim.error_catalogue import ErrorCode

SENDABLE = re.compile(r"[\x21-\x7e]+")
SENDABLE_TEXT = re.compile(r"[\x20-\x7e]+")


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


RefusalNoted = Callable[[str, str], None]
"""Is told the setting whose secret was refused, and the one that is tried in its place."""


def nobody_is_told(refused: str, instead: str) -> None:
    """What is told of a refusal where nobody asks."""


SecretLookup = Callable[[str], str]
"""Name of a setting -> its content; a LookupError or an empty text means that it is absent."""


def secret_of(setting: str, *, secret: SecretLookup, pattern: re.Pattern[str] = SENDABLE) -> str:
    """Answers with the content of a setting, without blanks around it. Raises `SecretProblemError`."""
    try:
        value = secret(setting).strip()
    except MissingSecretError as error:
        raise SecretProblemError(str(error)) from error
    except LookupError:
        value = ""
    if not value:
        raise SecretProblemError(f"the setting {setting} is empty or absent")
    if is_unresolved(value):
        raise SecretProblemError(f"the setting {setting} is a Key Vault reference that could not be resolved")
    if not pattern.fullmatch(value):
        raise SecretProblemError(f"the setting {setting} holds characters that cannot be sent in a header")
    return value


def no_credentials(detail: str) -> Answer:
    """Answers with why there are no credentials to send."""
    return Answer(kind=AnswerKind.UNAUTHORIZED, error_code=ErrorCode.UNAUTHORIZED, detail=detail)


class NoCredentials:
    """Nothing can be sent: an address, or what it needs, is not known."""

    def __init__(self, detail: str) -> None:
        self._detail = detail

    async def authorize(
        self, refused: Sequence[Authorization] = (), *, timeout_s: float
    ) -> Authorization | Answer | None:
        """Answers with why there are none."""
        return no_credentials(self._detail)


class SecretCredentials:
    """A static secret in a header, or several of them, of which the next is tried when one is refused.

    The one that worked last is used first, so that a rotation costs one refused request.
    """

    def __init__(
        self,
        settings: Sequence[str],
        *,
        secret: SecretLookup,
        header: str,
        prefix: str,
        tell_refused: RefusalNoted = nobody_is_told,
    ) -> None:
        self._settings = tuple(settings)
        self._secret = secret
        self._header = header
        self._prefix = prefix
        self._tell_refused = tell_refused
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
                if refused and index != self._current:
                    self._tell_refused(self._settings[self._current], self._settings[index])
                self._current = index
                return Authorization(headers={self._header: self._prefix + value}, secrets=(value,))
        self._current = 0
        return None if refused else no_credentials(problem)


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
            name = secret_of(self._username, secret=self._secret, pattern=SENDABLE_TEXT)
            password = secret_of(self._password, secret=self._secret, pattern=SENDABLE_TEXT)
        except SecretProblemError as error:
            return no_credentials(str(error))
        encoded = base64.b64encode(f"{name}:{password}".encode()).decode()
        return Authorization(headers={"Authorization": f"Basic {encoded}"}, secrets=(encoded, password))
