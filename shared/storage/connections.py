"""How storage and Graph are reached: a connection string on this machine, a managed identity in Azure."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Self

from shared.config.settings import Settings
from shared.storage.service_clock import ServiceClock, read_headers

if TYPE_CHECKING:
    from azure.data.tables.aio import TableServiceClient
    from azure.storage.queue.aio import QueueServiceClient

_AZURITE = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
    # The emulator's published key; it protects nothing.
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;TableEndpoint=http://127.0.0.1:10002/devstoreaccount1;"
)

_PATIENCE: dict[str, Any] = {"retry_total": 2, "retry_backoff_factor": 0.2, "connection_timeout": 5, "read_timeout": 15}
"""Reads are tried three times within a second; writes once (`Tables.commit`), and the puller's lease outlasts both."""

_QUEUE_PATIENCE: dict[str, Any] = {"initial_backoff": 0, "increment_base": 1, "random_jitter_range": 1}
"""The queue SDK has a policy of its own that would wait 15 s before the first repetition: with these, two at most."""


_EMULATOR_KEEP_ALIVE_S = 1.0
"""Azurite ends a connection that was idle for five seconds. A request that is on its way then is lost, and writes are
not repeated, so ours must give up first, with room for the seconds in which a busy Azurite reads nothing."""


class StaticTokenCredential:
    """A fixed token, for a simulated tenant on loopback (settings refuse it elsewhere)."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def get_token(self, *_scopes: str, **_options: Any) -> Any:
        """Answer the fixed token."""
        from azure.core.credentials import AccessToken

        return AccessToken(self._token, 9_999_999_999)

    async def close(self) -> None:
        """Nothing to close."""


class _StorageCredential:
    """A credential whose failure storage's SDKs can bear: they look for an HTTP answer in a `ClientAuthenticationError`
    and end in an AttributeError when the identity gave no token at all."""

    def __init__(self, credential: Any) -> None:
        self._credential = credential

    async def get_token(self, *scopes: str, **options: Any) -> Any:
        """A token, as the credential gives it. Raises AzureError."""
        return await self._ask(self._credential.get_token(*scopes, **options))

    async def get_token_info(self, *scopes: str, **options: Any) -> Any:
        """A token and when to renew it. Raises AzureError."""
        return await self._ask(self._credential.get_token_info(*scopes, **options))

    async def close(self) -> None:
        """Nothing to close: `Identities` does."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def _ask(self, answer: Awaitable[Any]) -> Any:
        from azure.core.exceptions import AzureError, ClientAuthenticationError

        try:
            return await answer
        except ClientAuthenticationError as error:
            raise AzureError("the identity has no token", error=error) from error


class Identities:
    """The app's managed identities by client id, each with one chain of credentials and one store of tokens.

    One instance per process, shared by tables, queues and Graph, so that a token is asked for once.
    """

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def credential(self, client_id: str | None) -> Any:
        """The credential of a user-assigned identity; None: whatever `DefaultAzureCredential` finds."""
        from azure.identity.aio import DefaultAzureCredential

        if (client_id or "") not in self._known:
            self._known[client_id or ""] = (
                DefaultAzureCredential(managed_identity_client_id=client_id) if client_id else DefaultAzureCredential()
            )
        return self._known[client_id or ""]

    async def close(self) -> None:
        """Close what they opened; the clients do not. Safe to call twice."""
        while self._known:
            await self._known.popitem()[1].close()


def connect_tables(
    settings: Settings, identities: Identities | None = None, *, measures: ServiceClock | None = None
) -> TableServiceClient:
    """Connect to Table storage: with a connection string, else as one of `identities`, which the caller closes.

    `measures` gets what every answer says about the service's clock.
    """
    from azure.data.tables.aio import TableServiceClient

    storage, options = settings.storage, {**_PATIENCE, **_hooks(measures)}
    if storage.connection_string is not None:
        text = _expanded(storage.connection_string)
        return TableServiceClient.from_connection_string(text, **options, **_transport(text))
    credential = _StorageCredential((identities or Identities()).credential(storage.client_id))
    return TableServiceClient(storage.table_uri, credential=credential, **options)


def connect_tables_at(address: str, identities: Identities) -> TableServiceClient:
    """Connect to the tables of any storage account, as whoever is signed in on this machine."""
    from azure.data.tables.aio import TableServiceClient

    return TableServiceClient(address, credential=_StorageCredential(identities.credential(None)), **_PATIENCE)


def connect_queues(settings: Settings, identities: Identities | None = None) -> QueueServiceClient:
    """Connect to Queue storage, as `connect_tables` does to Table storage."""
    from azure.storage.queue.aio import QueueServiceClient

    storage = settings.storage
    options = {**_PATIENCE, **_QUEUE_PATIENCE}
    if storage.connection_string is not None:
        text = _expanded(storage.connection_string)
        return QueueServiceClient.from_connection_string(text, **options, **_transport(text))
    credential = _StorageCredential((identities or Identities()).credential(storage.client_id))
    return QueueServiceClient(storage.queue_uri, credential=credential, **options)


def graph_credential(settings: Settings, identities: Identities | None = None) -> Any:
    """The credential for Microsoft Graph."""
    if settings.graph_static_token is not None:
        return StaticTokenCredential(settings.graph_static_token)
    return (identities or Identities()).credential(settings.azure_client_id)


_ASKED_AT = "asked_at"
_WRITTEN = (201, 204)
"""An entity was written, or deleted, which has no ETag. What answers 200 was read, and its ETag may be of any age."""


def _hooks(measures: ServiceClock | None) -> dict[str, Any]:
    """Take the time of every request and read the clock in its answer; the SDK calls these once per try."""
    if measures is None:
        return {}

    def note_request(request: Any) -> None:
        request.context[_ASKED_AT] = measures.monotonic()

    def note_response(response: Any) -> None:
        answer = response.http_response
        readings = read_headers(
            {"date": answer.headers.get("Date", ""), "etag": answer.headers.get("ETag", "")},
            wrote=answer.status_code in _WRITTEN,
            asked_at=response.context[_ASKED_AT],
            answered_at=measures.monotonic(),
        )
        for reading in readings:
            measures.note(reading)

    return {"raw_request_hook": note_request, "raw_response_hook": note_response}


def _expanded(connection_string: str) -> str:
    return _AZURITE if "UseDevelopmentStorage=true" in connection_string else connection_string


def _transport(connection_string: str) -> dict[str, Any]:
    """The HTTP transport where the SDK's own does not fit."""
    if "Endpoint=http://" not in connection_string:
        return {}
    from aiohttp import ClientSession, DummyCookieJar, TCPConnector
    from azure.core.pipeline.transport import AioHttpTransport

    class EmulatorTransport(AioHttpTransport):  # type: ignore[misc]  # azure-core resolves the name at run time
        session: Any

        async def open(self) -> None:
            # A session belongs to an event loop, so it is made with the first request.
            if self.session is None:
                connector = TCPConnector(keepalive_timeout=_EMULATOR_KEEP_ALIVE_S)
                self.session = ClientSession(connector=connector, cookie_jar=DummyCookieJar(), auto_decompress=False)
            await super().open()

    return {"transport": EmulatorTransport()}
