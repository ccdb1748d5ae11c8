"""What a tutorial says about credentials and app roles: what is entered where, and which roles may be assigned."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from shared.config.protocol import AuthType
from shared.operations.tutorials.reading import Tutorial, listed_after

_CLIENT_CREDENTIALS: Final = re.compile(
    r"client[- ]credentials?\b|\bclient id\b.{0,80}\bclient secret\b|token endpoint", re.IGNORECASE
)
_OAUTH_CLIENT: Final = re.compile(
    r"\b(?:with|using) (?:your|the) oauth client\b|create an? oauth client", re.IGNORECASE
)
_AUTHORIZE: Final = re.compile(
    r"\b(?:select|click|press|choose)\s+(?:on\s+)?(?:the\s+)?authori[sz]e\b|authorization code|oauth (?:code )?grant"
    r"|\bauthori[sz]ation endpoint",
    re.IGNORECASE,
)
_TOKEN: Final = re.compile(r"secret token|bearer|api key|api token|scim token|access token", re.IGNORECASE)
_PASSWORD: Final = re.compile(r"\b(?:admin(?:istrator)?\s+)?user ?name\b.{0,60}\bpassword\b", re.IGNORECASE)
_ADMIN_SECTION: Final = re.compile(r"admin credentials|test connection", re.IGNORECASE)
_ONLY_ROLE: Final = re.compile(
    r"\b(?i:choose|select|assign|use|supports?)\s+only\s+(?:the\s+)?([A-Z][\w &()-]{0,40}?)\s+roles?\b"
    r"|\b(?i:only)\s+(?:the\s+)?([A-Z][\w &()-]{0,40}?)\s+roles?\s+(?:is|are|can be|may be)\s+"
    r"(?:supported|valid|assigned|allowed)"
    r"|\b(?i:only\s+available\s+role)\b(?:\s+(?:for|in|of)\s+[\w .&-]{1,60}?)?\s+is\s+"
    r"(?:the\s+)?([A-Z][\w &()-]{0,40}?)(?:\s+role)?\s*(?:[.,;]|$)"
)
_ROLES_REFUSED: Final = re.compile(
    r"\broles?\b.{0,30}\b(?:are|is)\s+(?:invalid|not valid|not supported|unsupported)", re.IGNORECASE
)
_ENCODED: Final = re.compile(r"\bclient id\b.*\bbase ?64\b|\bbase ?64\b.*\bclient id\b", re.IGNORECASE)
_RETIRED: Final = re.compile(r"\bno longer\b|\b(?:deprecat|retir)\w+", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authentication:
    """How the vendor is authenticated, as far as the text says."""

    kinds: tuple[AuthType, ...]
    line: int
    """0: not said."""
    encoded_line: int = 0
    """The line that says that the token is client id and secret as Base64; else 0."""
    authorization_code: int = 0
    """The line that speaks of an OAuth authorization code, which only Entra's gallery can get; else 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleLimits:
    """Which app roles may be assigned. Empty: nothing is said."""

    allowed: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    line: int = 0


def find_authentication(tutorial: Tutorial) -> Authentication:
    """What is entered as credentials. A Secret Token is a bearer token, whatever the vendor calls it."""
    token = client = password = code = encoded = 0
    for sentence in tutorial.sentences:
        entered = _TOKEN.search(sentence.text) and not _RETIRED.search(sentence.text)
        token = token or (sentence.line if entered else 0)
        encoded = encoded or (sentence.line if _ENCODED.search(sentence.text) else 0)
        granted = _CLIENT_CREDENTIALS.search(sentence.text) or _OAUTH_CLIENT.search(sentence.text)
        client = client or (sentence.line if granted else 0)
        code = code or (sentence.line if _AUTHORIZE.search(sentence.text) else 0)
        asked = _PASSWORD.search(sentence.text) and _ADMIN_SECTION.search(sentence.text)
        password = password or (sentence.line if asked else 0)
    if encoded:
        client = 0
    kinds: list[AuthType] = []
    if token or not (client or password):
        kinds.append(AuthType.BEARER)
    if client:
        kinds.append(AuthType.OAUTH2_CLIENT_CREDENTIALS)
    if password and not token:
        kinds.append(AuthType.BASIC)
    return Authentication(
        kinds=tuple(kinds), line=token or client or password, encoded_line=encoded, authorization_code=code
    )


def find_roles(tutorial: Tutorial) -> RoleLimits:
    """Which roles the text allows and forbids: a sentence about the only role, and a list of invalid ones."""
    allowed: dict[str, None] = {}
    line = 0
    for sentence in tutorial.sentences:
        for found in _ONLY_ROLE.finditer(sentence.text):
            role = next(filter(None, found.groups())).strip()
            if role.casefold() != "default access":
                allowed[role] = None
                line = line or sentence.line
    forbidden = list(listed_after(tutorial, _ROLES_REFUSED))
    return RoleLimits(
        allowed=tuple(allowed), forbidden=tuple(role for role, _ in forbidden), line=line or _line(forbidden)
    )


def _line(found: list[tuple[str, int]]) -> int:
    return found[0][1] if found else 0
