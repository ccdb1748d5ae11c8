"""Opens the storage accounts that bindings name, from a connection string or in the identity form."""

import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, Self

from azure.storage.blob.aio import BlobServiceClient, ContainerClient
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from tests.simulation.host.failures import HostNotStartedError

HOST_CONNECTION = "AzureWebJobsStorage"
HOST_CONTAINER = "azure-webjobs-hosts"

# The SDK writes an INFO line for each call. The host's own calls are not the app's, and the line is a tenth of a call.
_QUIET = logging.getLogger("host.storage")
_QUIET.setLevel(logging.WARNING)


class Storage:
    """The clients of one host. Each account is opened once, on first use, and closed with the host."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = settings
        self._queue_services: dict[str, QueueServiceClient] = {}
        self._stack = AsyncExitStack()

    async def queue(self, connection: str, name: str) -> QueueClient:
        """Answers with a queue of the account that a binding's `connection` names. Raises: HostNotStartedError."""
        connection = connection or HOST_CONNECTION
        if connection not in self._queue_services:
            service: QueueServiceClient = await self._open(QueueServiceClient, connection, "queue")
            self._queue_services[connection] = service
        return self._queue_services[connection].get_queue_client(name)

    async def host_container(self) -> ContainerClient:
        """Answers with the container of the host's own leases and timer status, made if it is missing."""
        service: BlobServiceClient = await self._open(BlobServiceClient, HOST_CONNECTION, "blob")
        container = service.get_container_client(HOST_CONTAINER)
        if not await container.exists():
            await container.create_container()
        return container

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes every connection."""
        await self._stack.aclose()

    async def _open(self, kind: Any, connection: str, service: str) -> Any:
        text = self._settings.get(f"AzureWebJobs{connection}") or self._settings.get(connection)
        if text:
            try:
                client = kind.from_connection_string(text, logger=_QUIET)
            except ValueError as error:
                raise HostNotStartedError(f"the setting {connection} is no storage connection string") from error
            return await self._stack.enter_async_context(client)
        prefix = f"{connection}__"
        url = self._settings.get(f"{prefix}{service}ServiceUri")
        account = self._settings.get(f"{prefix}accountName")
        if not url and not account:
            raise HostNotStartedError(
                f"the setting {connection} is missing: set a connection string (UseDevelopmentStorage=true is Azurite) "
                f"or {prefix}{service}ServiceUri"
            )
        credential = await self._stack.enter_async_context(self._credential(prefix))
        url = url or f"https://{account}.{service}.core.windows.net"
        return await self._stack.enter_async_context(kind(url, credential=credential, logger=_QUIET))

    def _credential(self, prefix: str) -> Any:
        # Imported here: it is slow, and Azurite needs none.
        from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential

        client_id = self._settings.get(f"{prefix}clientId")
        if self._settings.get(f"{prefix}credential") == "managedidentity":
            return ManagedIdentityCredential(client_id=client_id)
        return DefaultAzureCredential(managed_identity_client_id=client_id)
