"""Endpoints: which URLs are accepted, and how templates are filled."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from shared.config.profile import BaseUrl

_PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)\}")
_SETTING: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SAFE_VALUE: Final = re.compile(r"[A-Za-z0-9._~-]+")


class AddressError(ValueError):
    """A URL or a part of one is missing or unsafe; the text says what was expected. `key` is the key to change."""

    def __init__(self, key: str, expected: str) -> None:
        super().__init__(expected)
        self.key = key
        self.expected = expected


def is_loopback(host: str | None) -> bool:
    """Whether a host name is this machine."""
    if host is None:
        return False
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def checked_url(url: str, *, key: str) -> str:
    """The URL without a slash at the end. Raises `AddressError` unless it is https, or http to loopback."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise AddressError(key, "a URL such as https://host/scim/v2") from error
    if not host or parts.scheme not in {"https", "http"} or any(character.isspace() for character in url):
        raise AddressError(key, "a URL such as https://host/scim/v2")
    if parts.scheme == "http" and not is_loopback(host):
        raise AddressError(key, "https; plain http is for loopback only")
    if parts.username is not None or parts.password is not None:
        raise AddressError(key, "a URL without a user name or password; name a setting under auth")
    if "aadoptscim" in url.lower():
        raise AddressError(key, "the URL without Entra's flag; say protocol: {patch: ...} instead")
    if parts.query or parts.fragment:
        raise AddressError(key, "a URL without a query or fragment")
    return url.rstrip("/")


def checked_webhook_url(url: str, *, key: str) -> str:
    """The URL as it is. Raises `AddressError` unless it is https, or http to loopback.

    Unlike an endpoint's it may have a query: chat services keep their token there. No text repeats any of it.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise AddressError(key, "a URL such as https://host/path") from None
    sendable = url.isascii() and url.isprintable() and " " not in url
    if not host or parts.scheme not in {"https", "http"} or not sendable:
        raise AddressError(key, "a URL such as https://host/path")
    if parts.scheme == "http" and not is_loopback(host):
        raise AddressError(key, "https; plain http is for loopback only")
    if parts.username is not None or parts.password is not None:
        raise AddressError(key, "a URL without a user name or password")
    return url


def settings_in(text: str) -> tuple[str, ...]:
    """The names of the settings that a text has as `${NAME}`, each once."""
    return tuple(dict.fromkeys(_SETTING.findall(text)))


def fill_settings(text: str, environment: Mapping[str, str]) -> str:
    """The text with each `${NAME}` replaced by that setting, which is there."""
    return _SETTING.sub(lambda match: environment[match.group(1)].strip(), text)


def fill_template(template: str, values: Mapping[str, str]) -> str:
    """The template with its placeholders replaced. Raises `AddressError` naming the first one without a value."""

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        key = "region" if name == "region" else f"placeholders.{name}"
        if name not in values:
            raise AddressError(key, f"a value for {{{name}}} of {template}")
        if not _SAFE_VALUE.fullmatch(values[name]):
            raise AddressError(key, "letters, digits, '.', '-', '_' and '~' only")
        return values[name]

    return _PLACEHOLDER.sub(value, template)


def resolve_base_url(known: BaseUrl, *, override: str | None, values: Mapping[str, str]) -> str:
    """The SCIM endpoint of an application; `values` hold `region` and the placeholders. Raises `AddressError`."""
    if override is not None:
        return checked_url(override, key="base_url")
    region = values.get("region")
    allowed = known.regions or known.choices
    if region is not None and allowed and region not in allowed:
        raise AddressError("region", f"one of {', '.join(allowed)}")
    if region is not None and not allowed and not known.template:
        raise AddressError("region", "no region; this profile has one endpoint, say base_url")
    if region is not None and region in known.choices:
        return checked_url(known.choices[region], key="region")
    if known.template is not None:
        return checked_url(fill_template(known.template, values), key="base_url")
    if known.choices:
        raise AddressError("region", f"one of {', '.join(known.choices)}, or base_url")
    if known.default is not None:
        return checked_url(known.default, key="base_url")
    raise AddressError("base_url", "the SCIM endpoint of your tenant; this profile knows none")
