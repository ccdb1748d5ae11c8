"""App settings: read once from a mapping, checked at start, never printed when they are secret.

Secrets of vendors are not fields: they are looked up by the names provisioning.yaml gives (`Settings.secret`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from shared.config.ncrontab import schedule_problem
from shared.config.urls import AddressError, checked_url, is_loopback

_STORAGE: Final = "AzureWebJobsStorage"
_UNRESOLVED: Final = "@microsoft.keyvault("
_SEND_MARGIN_S: Final = 10
_GRAPH: Final = "https://graph.microsoft.com/v1.0"
_EVERY_MINUTE: Final = "0 * * * * *"
_EVERY_FIVE_MINUTES: Final = "30 */5 * * * *"
_CONFIGURATION: Final = "provisioning.yaml"
CLIENT_STATE: Final = "NOTIFICATION_CLIENT_STATE"
_NOTIFIED: Final = "/api/notified"
_SHORTEST_CLIENT_STATE: Final = 16
_LONGEST_CLIENT_STATE: Final = 128


class SettingsError(Exception):
    """The app cannot start. One line per setting: its name, what is wrong, what was expected. Never a value."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))


class MissingSecretError(LookupError):
    """A setting that holds a secret is absent or its Key Vault reference did not resolve."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSettings:
    """Where tables, queues and blobs are: a connection string (Azurite), or one URI each and a managed identity."""

    connection_string: str | None = field(default=None, repr=False)
    """`AzureWebJobsStorage`. None in Azure: identity is used."""
    queue_uri: str = ""
    """`AzureWebJobsStorage__queueServiceUri`. Empty with a connection string."""
    table_uri: str = ""
    """`AzureWebJobsStorage__tableServiceUri`. Empty with a connection string."""
    blob_uri: str = ""
    """`AzureWebJobsStorage__blobServiceUri`. Empty with a connection string."""
    client_id: str | None = None
    """`AzureWebJobsStorage__clientId`: the user-assigned identity. None: the system-assigned one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationSettings:
    """Where Microsoft Graph announces changes, and what it has to know for that. Off unless both are there."""

    url: str = ""
    """`NOTIFICATION_URL`, the app's own address, followed by the function's path. Default: from `WEBSITE_HOSTNAME`."""
    client_state: str = field(default="", repr=False)
    """`NOTIFICATION_CLIENT_STATE`: the secret that every notification has to carry, 16 to 128 printable characters."""
    problem: str = ""
    """Why a secret that is set cannot be used. The timer reads the directory all the same, so the app starts."""
    is_unresolved: bool = False
    """It is the text of a Key Vault reference that did not resolve."""

    @property
    def is_on(self) -> bool:
        """Whether changes are to be announced."""
        return bool(self.url and self.client_state)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the app reads from its environment."""

    graph_base_url: str = _GRAPH
    """`GRAPH_BASE_URL`, without a slash at the end. Default: the global cloud; national clouds have their own."""
    graph_static_token: str | None = field(default=None, repr=False)
    """`GRAPH_STATIC_TOKEN`: for a simulated tenant on loopback. None: DefaultAzureCredential."""
    azure_client_id: str | None = None
    """`AZURE_CLIENT_ID`: the user-assigned identity for Graph. None: the credential chain decides."""
    storage: StorageSettings = field(default_factory=StorageSettings)
    sync_schedule: str = _EVERY_MINUTE
    """`SYNC_SCHEDULE`. Default every minute: an empty tick costs one read per stream."""
    housekeeping_schedule: str = _EVERY_FIVE_MINUTES
    """`HOUSEKEEPING_SCHEDULE`. Default every five minutes, half a minute off the sync."""
    assignment_confirm_s: float = 300
    """`ASSIGNMENT_CONFIRM_SECONDS` between the two reads that make an assignment gone. Default 300: reads of
    assignments may lag, and a false leaver is worse than a late one. 1 to 86,400."""
    lease_s: float = 60
    """`LEASE_SECONDS`: how long a worker owns an account row. Default 60: one request with its time-out, twice.
    More than the vendor time-out by over 10 s; at most 600."""
    vendor_timeout_s: float = 30
    """`VENDOR_TIMEOUT_SECONDS` for one request to a vendor. Default 30: half a lease. 0.1 to 230, the platform's
    own limit for one HTTP exchange."""
    grace_margin_s: float = 60
    """`GRACE_MARGIN_SECONDS` on top of lease and time-out until a late packet is believed dead. Default 60: a guess on
    the safe side. 0 to 3,600."""
    sweep_after_s: float = 900
    """`SWEEP_AFTER_SECONDS`: a row queued longer ago than this is queued again. Default 900: longer than the
    platform needs to deliver. 1 to 86,400."""
    address: str = ""
    """`https://` and `WEBSITE_HOSTNAME`: where people reach the app. Empty where the platform does not say."""
    notifications: NotificationSettings = field(default_factory=NotificationSettings)
    insights_connection: str | None = field(default=None, repr=False)
    """`APPLICATIONINSIGHTS_CONNECTION_STRING`: where spans and metrics go. None: nowhere."""
    trace_sample_percent: float = 100
    """`TRACE_SAMPLE_PERCENT` of accounts whose traces are kept. Default 100. Events, metrics and failed spans are
    always kept. 0 to 100."""
    provisioning_config: Path = Path(_CONFIGURATION)
    """`PROVISIONING_CONFIG`: the tenant's file. Default: at the root of the app."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """All settings, for secrets by name."""

    @property
    def grace_s(self) -> float:
        """Seconds after which an open intent cannot land any more: lease + vendor time-out + margin."""
        return self.lease_s + self.vendor_timeout_s + self.grace_margin_s

    @classmethod
    def load(cls, environment: Mapping[str, str]) -> Settings:
        """The settings in a mapping such as `os.environ`. Raises `SettingsError` with every mistake."""
        reader = _Reader(environment)
        graph_base_url = reader.url("GRAPH_BASE_URL", _GRAPH)
        settings = cls(
            graph_base_url=graph_base_url,
            graph_static_token=reader.static_token("GRAPH_STATIC_TOKEN", graph_base_url),
            azure_client_id=reader.text("AZURE_CLIENT_ID"),
            storage=_read_storage(reader),
            sync_schedule=reader.schedule("SYNC_SCHEDULE", _EVERY_MINUTE),
            housekeeping_schedule=reader.schedule("HOUSEKEEPING_SCHEDULE", _EVERY_FIVE_MINUTES),
            assignment_confirm_s=reader.seconds("ASSIGNMENT_CONFIRM_SECONDS", 300, low=1, high=86_400),
            lease_s=reader.seconds("LEASE_SECONDS", 60, low=1, high=600),
            vendor_timeout_s=reader.seconds("VENDOR_TIMEOUT_SECONDS", 30, low=0.1, high=230),
            grace_margin_s=reader.seconds("GRACE_MARGIN_SECONDS", 60, low=0, high=3600),
            sweep_after_s=reader.seconds("SWEEP_AFTER_SECONDS", 900, low=1, high=86_400),
            address=_read_address(reader),
            notifications=_read_notifications(reader),
            insights_connection=reader.text("APPLICATIONINSIGHTS_CONNECTION_STRING"),
            trace_sample_percent=reader.number("TRACE_SAMPLE_PERCENT", 100, low=0, high=100, unit="percent"),
            provisioning_config=Path(reader.text("PROVISIONING_CONFIG") or _CONFIGURATION),
            environment=MappingProxyType(dict(environment)),
        )
        if settings.lease_s <= settings.vendor_timeout_s + _SEND_MARGIN_S:
            reader.problems.append(
                f"LEASE_SECONDS: too short; expected more than VENDOR_TIMEOUT_SECONDS + {_SEND_MARGIN_S}, "
                "or no request could be sent under a lease"
            )
        if reader.problems:
            raise SettingsError(reader.problems)
        return settings

    def secret(self, name: str) -> str:
        """The secret in the setting `name`. Raises `MissingSecretError` naming the setting; never logs the value."""
        value = self.environment.get(name, "")
        if not value.strip():
            raise MissingSecretError(name, "this app setting is absent; add it, as a Key Vault reference in Azure")
        if is_unresolved(value):
            reason = "the Key Vault reference did not resolve; check the secret's name and the identity's access"
            raise MissingSecretError(name, reason)
        return value


def is_unresolved(value: str) -> bool:
    """Whether a setting is still the text of its Key Vault reference: the platform could not put the secret there."""
    return value.strip().casefold().startswith(_UNRESOLVED)


def holds_value(value: str | None) -> bool:
    """Whether a setting holds what it is for: neither nothing nor the text of a reference."""
    return bool(value and value.strip()) and not is_unresolved(value or "")


class _Reader:
    """Reads one setting after the other and collects what is wrong."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.problems: list[str] = []

    def text(self, name: str) -> str | None:
        return self.environment.get(name, "").strip() or None

    def seconds(self, name: str, default: float, *, low: float, high: float) -> float:
        return self.number(name, default, low=low, high=high, unit="seconds")

    def number(self, name: str, default: float, *, low: float, high: float, unit: str) -> float:
        written = self.text(name)
        if written is None:
            return default
        try:
            value = float(written)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            problem = "not a number" if math.isnan(value) else "out of bounds"
            self.problems.append(f"{name}: {problem}; expected {unit} from {low:g} to {high:g}")
            return default
        return value

    def url(self, name: str, default: str) -> str:
        written = self.text(name)
        if written is None:
            return default
        try:
            return checked_url(written, key=name)
        except AddressError as error:
            self.problems.append(f"{name}: not usable; expected {error.expected}")
            return default

    def schedule(self, name: str, default: str) -> str:
        written = self.text(name)
        if written is None:
            return default
        problem = schedule_problem(written)
        if problem is not None:
            self.problems.append(f"{name}: {problem}; expected six fields, seconds first, such as {default!r}")
            return default
        return written

    def static_token(self, name: str, graph_base_url: str) -> str | None:
        token = self.text(name)
        if token is not None and not is_loopback(urlsplit(graph_base_url).hostname):
            self.problems.append(f"{name}: refused; expected to be absent unless GRAPH_BASE_URL is on loopback")
            return None
        return token


def _read_address(reader: _Reader) -> str:
    host = reader.text("WEBSITE_HOSTNAME") or ""
    # Local tools name a host with a port, which nobody reaches from outside.
    return f"https://{host}" if host and ":" not in host else ""


def _read_notifications(reader: _Reader) -> NotificationSettings:
    base = reader.url("NOTIFICATION_URL", _read_address(reader))
    client_state = reader.text(CLIENT_STATE) or ""
    problem = _client_state_problem(client_state)
    return NotificationSettings(
        url=base and base + _NOTIFIED,
        client_state="" if problem else client_state,
        problem=problem,
        is_unresolved=is_unresolved(client_state),
    )


def _client_state_problem(client_state: str) -> str:
    if is_unresolved(client_state):
        return "the Key Vault reference did not resolve; check the secret's name and the identity's access"
    if client_state and not (
        _SHORTEST_CLIENT_STATE <= len(client_state) <= _LONGEST_CLIENT_STATE
        and client_state.isascii()
        and client_state.isprintable()
    ):
        return f"expected {_SHORTEST_CLIENT_STATE} to {_LONGEST_CLIENT_STATE} printable ASCII characters"
    return ""


def _read_storage(reader: _Reader) -> StorageSettings:
    connection_string = reader.text(_STORAGE)
    if connection_string is not None:
        if "UseDevelopmentStorage=true" not in connection_string and "AccountName=" not in connection_string:
            reader.problems.append(f"{_STORAGE}: not a connection string; expected one, or {_STORAGE}__queueServiceUri")
        return StorageSettings(connection_string=connection_string)
    account = reader.text(f"{_STORAGE}__accountName")
    uris: dict[str, str] = {}
    for service in ("queue", "table", "blob"):
        derived = f"https://{account}.{service}.core.windows.net" if account else ""
        name = f"{_STORAGE}__{service}ServiceUri"
        uris[service] = reader.url(name, derived)
        if not uris[service] and not any(problem.startswith(name) for problem in reader.problems):
            reader.problems.append(
                f"{name}: absent; expected an https URL, or {_STORAGE}=UseDevelopmentStorage=true on this machine"
            )
    return StorageSettings(
        queue_uri=uris["queue"],
        table_uri=uris["table"],
        blob_uri=uris["blob"],
        client_id=reader.text(f"{_STORAGE}__clientId"),
    )
