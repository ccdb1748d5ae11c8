"""The message that the directory changed: that it did, never what did."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime

from shared.clock import read_instant, write_instant
from shared.storage.queues import MESSAGE_VERSION, MessageRefused
from shared.tracing import read_trace


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryChanged:
    """Somebody rang: read the directory, or look after the subscriptions. Late and doubled copies do no harm."""

    received_at: datetime
    """When the notification came. For reading only: the clocks of two machines are never compared."""
    sync: bool
    """The directory is to be read."""
    subscriptions: bool = False
    """The subscriptions are to be renewed or made again, now."""
    attempt: int = 1
    """1-based: how often the message was on the queue."""
    trace: str = ""
    """W3C traceparent of the notification."""

    def again(self) -> DirectoryChanged:
        """The same message for another try to read the directory."""
        return replace(self, sync=True, subscriptions=False, attempt=self.attempt + 1)

    def wish(self) -> DirectoryChanged:
        """What it says about subscriptions, and nothing else, once more."""
        return replace(self, sync=False, subscriptions=True, attempt=self.attempt + 1)

    def encode(self) -> str:
        """Write the message as JSON."""
        values = {
            "v": MESSAGE_VERSION,
            "received_at": write_instant(self.received_at),
            "sync": self.sync,
            "subscriptions": self.subscriptions,
            "attempt": self.attempt,
            "trace": self.trace,
        }
        return json.dumps(values, separators=(",", ":"))

    @classmethod
    def decode(cls, text: str) -> DirectoryChanged:
        """Read a message. Raises MessageRefused with the reason, without the text."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            raise MessageRefused("the message is not JSON") from None
        if not isinstance(value, dict) or value.get("v") != MESSAGE_VERSION:
            raise MessageRefused(f"the message is no JSON object of version {MESSAGE_VERSION}")
        try:
            received_at = read_instant(str(value.get("received_at", "")))
        except ValueError:
            received_at = None
        if received_at is None:
            raise MessageRefused("the message does not say when it was received")
        attempt = value.get("attempt", 1)
        return cls(
            received_at=received_at,
            sync=value.get("sync") is True,
            subscriptions=value.get("subscriptions") is True,
            attempt=attempt if type(attempt) is int and attempt > 0 else 1,
            trace=read_trace(value.get("trace")),
        )
