"""The files of the dashboard: which there are, and how each is answered. Pure, but for reading them once.

Nothing is ever looked up by a path from a request: a name is one of `FILES`, or there is no such page. The headers say
what the page may do, which is little: its own scripts and styles, requests to its own service, and nothing in a frame.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

FOLDER = Path(__file__).resolve().parent / "static"
START = "index.html"

_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

FILES = (
    START,
    "dashboard.css",
    "icon.svg",
    "accounts.js",
    "api.js",
    "application.js",
    "applications.js",
    "audit.js",
    "charts.js",
    "dashboard.js",
    "drift.js",
    "elements.js",
    "failures.js",
    "held.js",
    "log.js",
    "names.js",
    "people.js",
    "questions.js",
    "stage.js",
    "words.js",
)

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)

HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        # Asked again each time, so that a page and its scripts are of the same deployment; unchanged ones are a 304.
        "Cache-Control": "no-cache",
    }
)
"""With every answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a browser gets."""

    status: HTTPStatus
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    body: bytes
    media_type: str
    etag: str


def answer_file(name: str, *, url: str, if_none_match: str = "") -> Answer:
    """Answer a request for one file; `name` is what follows `dashboard/`, `url` the address as it was asked for."""
    if not name and not urlsplit(url).path.endswith("/"):
        # The page names its files relative to its own address, which needs the slash.
        location = f"{urlsplit(url).path.rpartition('/')[2]}/"
        return Answer(status=HTTPStatus.TEMPORARY_REDIRECT, headers={**HEADERS, "Location": location})
    file = _read_files().get(name or START)
    if file is None:
        headers = {**HEADERS, "Content-Type": "text/plain; charset=utf-8"}
        return Answer(status=HTTPStatus.NOT_FOUND, headers=headers, body=b"There is no such page.\n")
    headers = {**HEADERS, "ETag": file.etag, "Content-Type": file.media_type}
    if _names(if_none_match, file.etag):
        return Answer(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Answer(status=HTTPStatus.OK, headers=headers, body=file.body)


@cache
def _read_files() -> Mapping[str, _File]:
    return {name: _read(FOLDER / name) for name in FILES}


def _read(path: Path) -> _File:
    body = path.read_bytes()
    return _File(
        body=body,
        media_type=_MEDIA_TYPES[path.suffix],
        etag=f'"{hashlib.sha256(body).hexdigest()[:32]}"',
    )


def _names(if_none_match: str, etag: str) -> bool:
    """Whether If-None-Match names a version; compared weakly (RFC 9110 13.1.2): whoever compresses marks it `W/`."""
    named = {each.strip().removeprefix("W/") for each in if_none_match.split(",")}
    return etag in named or "*" in named
