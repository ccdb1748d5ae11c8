"""Storage queues: transport only. The account row is the truth; a lost message is found by the sweep.

Messages are base64 (host.json `messageEncoding`), at most 48 KiB before encoding, and carry keys, never payloads.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from shared.config.object_ids import OBJECT_ID
from shared.config.queue_names import DIRECTORY_CHANGED
from shared.storage.durable_writes import DurableWrite, Moment, Observer, unobserved
from shared.storage.queue_names import queue_name
from shared.storage.refusals import QUEUE_ROLE
from shared.storage.tables import storage_failure
from shared.tracing import read_trace

if TYPE_CHECKING:
    from azure.storage.queue.aio import QueueClient, QueueServiceClient

    from shared.storage.change_message import DirectoryChanged

MESSAGE_VERSION = 1
MAX_HIDDEN_S = 7 * 24 * 3600 - 60
"""The service hides a message for at most seven days."""


class MessageRefused(ValueError):
    """The text is no provisioning message of ours. Sending it again changes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Look at this account. Keys only: late, doubled or reordered copies do no harm."""

    app: str
    kind: str
    id: str
    attempt: int = 1
    """1-based, for reading only; the row counts attempts."""
    trace: str = ""
    """W3C traceparent of the run that asked."""

    def encode(self) -> str:
        """Write the message as JSON."""
        return json.dumps({"v": MESSAGE_VERSION, **asdict(self)}, separators=(",", ":"))

    @classmethod
    def decode(cls, text: str) -> Message:
        """Read a message. Raises MessageRefused with the reason, without the text."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            raise MessageRefused("the message is not JSON") from None
        if not isinstance(value, dict):
            raise MessageRefused("the message is not a JSON object")
        if value.get("v") != MESSAGE_VERSION:
            raise MessageRefused(f"the message is not of version {MESSAGE_VERSION}")
        app, kind, source_id = value.get("app"), value.get("kind"), value.get("id")
        if not (isinstance(app, str) and app and isinstance(source_id, str) and OBJECT_ID.fullmatch(source_id)):
            raise MessageRefused("the message names no application, or what is no object of the directory")
        if kind not in ("user", "group"):
            raise MessageRefused("the message is about neither a user nor a group")
        attempt = value.get("attempt", 1)
        return cls(
            app=app,
            kind=kind,
            id=source_id,
            attempt=attempt if isinstance(attempt, int) and attempt > 0 else 1,
            trace=read_trace(value.get("trace")),
        )


class Queues:
    """All queues of the product. One instance per process."""

    def __init__(self, service: QueueServiceClient, *, observer: Observer = unobserved) -> None:
        self._service = service
        self._observer = observer
        self._clients: dict[str, QueueClient] = {}
        self.calls: Counter[str] = Counter()

    async def create_missing(self, apps: list[str]) -> None:
        """Create both queues of every application, that of the directory, and their poison queues. Idempotent.

        Raises StorageUnavailable.
        """
        from azure.core.exceptions import AzureError, ResourceExistsError

        names = [queue_name(app, first=first) for app in apps for first in (True, False)]
        for name in (*names, DIRECTORY_CHANGED):
            for suffix in ("", "-poison"):
                try:
                    await self._client(name + suffix).create_queue()
                except ResourceExistsError:
                    continue
                except AzureError as error:
                    raise storage_failure(f"creating the queue {name}{suffix}", error, role=QUEUE_ROLE) from error

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            await client.close()
        await self._service.close()

    async def send(self, write: DurableWrite, message: Message, *, first: bool = False, hidden_s: float = 0.0) -> None:
        """Send a message, visible after `hidden_s` seconds. Raises StorageUnavailable."""
        await self._send(write, queue_name(message.app, first=first), message.encode(), hidden_s)

    async def send_change(self, write: DurableWrite, message: DirectoryChanged, *, hidden_s: float = 0.0) -> None:
        """Send a message that the directory changed, visible after `hidden_s` seconds. Raises StorageUnavailable."""
        await self._send(write, DIRECTORY_CHANGED, message.encode(), hidden_s)

    async def _send(self, write: DurableWrite, queue: str, text: str, hidden_s: float) -> None:
        from azure.core.exceptions import AzureError

        self._observer(write, Moment.BEFORE)
        self.calls["send"] += 1
        try:
            await self._client(queue).send_message(
                text, visibility_timeout=min(MAX_HIDDEN_S, round(hidden_s + 0.499)), time_to_live=-1
            )
        except AzureError as error:
            raise storage_failure(f"sending to the queue {queue}", error, role=QUEUE_ROLE) from error
        self._observer(write, Moment.AFTER)

    async def count(self, app: str, *, first: bool) -> int:
        """Answer about how many messages are in a queue, hidden ones included. Raises StorageUnavailable."""
        from azure.core.exceptions import AzureError

        self.calls["count"] += 1
        try:
            properties: Any = await self._client(queue_name(app, first=first)).get_queue_properties()
        except AzureError as error:
            raise storage_failure(f"counting a queue of {app}", error, role=QUEUE_ROLE) from error
        return int(properties.approximate_message_count or 0)

    def _client(self, name: str) -> QueueClient:
        if name not in self._clients:
            from azure.storage.queue import TextBase64EncodePolicy

            self._clients[name] = self._service.get_queue_client(name, message_encode_policy=TextBase64EncodePolicy())
        return self._clients[name]
