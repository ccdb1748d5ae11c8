"""Reads host.json the way the platform does: its defaults, its units, its bounds, and overrides from settings."""

import json
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from tests.simulation.host.failures import HostNotStartedError

# The platform polls at least this often when it runs on a developer's machine, whatever host.json says.
LOCAL_MAX_POLLING_INTERVAL_S = 2.0
LARGEST_BATCH = 32
# The default of the Flex Consumption plan; "-1" in host.json means no limit.
DEFAULT_FUNCTION_TIMEOUT_S = 30 * 60.0
DEFAULT_INVISIBILITY_S = 600.0

_OVERRIDE = "AzureFunctionsJobHost__"
_TIME_SPAN = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d{1,7}))?")
_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "information": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "none": logging.CRITICAL + 10,
}


class MessageEncoding(StrEnum):
    """How a message's text stands for the body that a function sees."""

    BASE64 = "base64"
    """The text is the body in base64; text that is not is poison at once."""
    NONE = "none"
    """The text is the body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueOptions:
    """host.json `extensions.queues`, and how long a fetched message stays hidden (fixed on the platform)."""

    batch_size: int = 16
    new_batch_threshold: int = 8
    max_polling_interval_s: float = LOCAL_MAX_POLLING_INTERVAL_S
    visibility_timeout_s: float = 0.0
    max_dequeue_count: int = 5
    message_encoding: MessageEncoding = MessageEncoding.BASE64
    invisibility_s: float = DEFAULT_INVISIBILITY_S


@dataclass(frozen=True, slots=True, kw_only=True)
class HostOptions:
    """What host.json says, with the platform's default for everything it does not say."""

    queues: QueueOptions
    function_timeout_s: float | None
    """None means no limit."""
    route_prefix: str
    log_levels: Mapping[str, int]
    """Log category, or the start of one, to the lowest level shown; `default` for the rest."""


def read_host_options(app_directory: Path, settings: Mapping[str, str]) -> HostOptions:
    """Answers with the options of the app in a folder. Raises: HostNotStartedError naming the value that is wrong."""
    path = app_directory / "host.json"
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise HostNotStartedError(
            f"{path} is missing: a function app needs one, at least {{'version': '2.0'}}"
        ) from None
    except ValueError as error:
        raise HostNotStartedError(f"{path} is not JSON: {error}") from error
    if content.get("version") != "2.0":
        raise HostNotStartedError(f'{path}: version: expected "2.0"')
    _override(content, settings)
    extensions = content.get("extensions", {})
    timeout = content.get("functionTimeout")
    levels = content.get("logging", {}).get("logLevel", {})
    return HostOptions(
        queues=_queue_options(extensions.get("queues", {}), settings),
        function_timeout_s=_function_timeout(timeout),
        route_prefix=str(extensions.get("http", {}).get("routePrefix", "api")).strip("/"),
        log_levels={"default": logging.INFO} | {name: _level(name, text) for name, text in levels.items()},
    )


def seconds(name: str, text: object) -> float:
    """Answers with a .NET time span (`[d.]hh:mm:ss[.fff]`) in seconds. Raises: HostNotStartedError."""
    match = _TIME_SPAN.fullmatch(str(text))
    if match is None:
        raise HostNotStartedError(f'host.json: {name}: expected a time span such as "00:00:30", found {text!r}')
    days, hours, minutes, whole, fraction = match.groups(default="0")
    return ((int(days) * 24 + int(hours)) * 60 + int(minutes)) * 60 + int(whole) + float(f"0.{fraction}")


def _queue_options(content: Mapping[str, Any], settings: Mapping[str, str]) -> QueueOptions:
    batch_size = _integer("batchSize", content.get("batchSize", 16), lowest=1, highest=LARGEST_BATCH)
    threshold = content.get("newBatchThreshold", batch_size // 2)
    polling = seconds("extensions.queues.maxPollingInterval", content.get("maxPollingInterval", "00:01:00"))
    visibility = seconds("extensions.queues.visibilityTimeout", content.get("visibilityTimeout", "00:00:00"))
    try:
        encoding = MessageEncoding(content.get("messageEncoding", "base64"))
    except ValueError:
        raise HostNotStartedError('host.json: extensions.queues.messageEncoding: expected "base64" or "none"') from None
    try:
        invisibility_s = float(settings.get("HOST_QUEUE_INVISIBILITY_SECONDS", DEFAULT_INVISIBILITY_S))
    except ValueError:
        raise HostNotStartedError("HOST_QUEUE_INVISIBILITY_SECONDS: expected a number of seconds, at least 1") from None
    return QueueOptions(
        batch_size=batch_size,
        new_batch_threshold=_integer("newBatchThreshold", threshold, lowest=0, highest=1000),
        max_polling_interval_s=min(polling, LOCAL_MAX_POLLING_INTERVAL_S),
        visibility_timeout_s=visibility,
        max_dequeue_count=_integer("maxDequeueCount", content.get("maxDequeueCount", 5), lowest=1, highest=1000),
        message_encoding=encoding,
        invisibility_s=max(1.0, invisibility_s),
    )


def _integer(name: str, value: object, *, lowest: int, highest: int) -> int:
    try:
        number = int(str(value))
    except ValueError:
        number = lowest - 1
    if not lowest <= number <= highest:
        raise HostNotStartedError(
            f"host.json: extensions.queues.{name}: expected {lowest} to {highest}, found {value!r}"
        )
    return number


def _function_timeout(text: object) -> float | None:
    if text is None:
        return DEFAULT_FUNCTION_TIMEOUT_S
    return None if str(text) == "-1" else seconds("functionTimeout", text)


def _level(category: str, text: object) -> int:
    try:
        return _LEVELS[str(text).lower()]
    except KeyError:
        expected = ", ".join(name.capitalize() for name in _LEVELS)
        raise HostNotStartedError(f"host.json: logging.logLevel.{category}: expected one of {expected}") from None


def _override(content: dict[str, Any], settings: Mapping[str, str]) -> None:
    """Puts settings named `AzureFunctionsJobHost__a__b` over the value at `a.b`, as the platform does."""
    for name in sorted(settings):
        if not name.startswith(_OVERRIDE):
            continue
        *parents, last = name.removeprefix(_OVERRIDE).split("__")
        place = content
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = settings[name]


def read_settings(path: Path) -> dict[str, str]:
    """Answers with the values of a local settings file; the environment is laid over them by `apply_settings`.

    Raises: HostNotStartedError.
    """
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise HostNotStartedError(f"{path} is missing: copy local.settings.sample.json to it and fill it in") from None
    except ValueError as error:
        raise HostNotStartedError(f"{path} is not JSON: {error}") from error
    if content.get("IsEncrypted"):
        raise HostNotStartedError(f"{path} is encrypted: decrypt it with `func settings decrypt`")
    values = content.get("Values", {})
    for name, value in values.items():
        if not isinstance(value, str):
            raise HostNotStartedError(f"{path}: Values.{name}: expected text in quotes")
    return dict(values)


def apply_settings(values: Mapping[str, str]) -> dict[str, str]:
    """Puts values into this process's environment where it has none, and answers with the result."""
    for name, value in values.items():
        os.environ.setdefault(name, value)
    return dict(os.environ)
