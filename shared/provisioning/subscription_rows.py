"""The row that remembers our subscriptions, and who looks after them at the moment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from shared.clock import read_instant, write_instant
from shared.provisioning.checkpoint import CHECKPOINT
from shared.provisioning.subscription_planning import Remembered
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation, Tables

_PARTITION = "notifications"
_KEY = "subscriptions"
_INSTANTS = ("expires_at", "renewed_at", "next_attempt_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribed:
    """The row as read."""

    etag: str = ""
    claimed_until: datetime | None = None
    """Until then one process looks after the subscriptions; None: nobody does."""
    looked_at: datetime | None = None
    """When Graph was last asked which subscriptions there are."""
    blocked_until: datetime | None = None
    """Until then Graph wants to be asked nothing about subscriptions."""
    resources: Mapping[str, Remembered] = field(default_factory=dict)

    def of(self, resource: str) -> Remembered:
        """What is known of a resource."""
        return self.resources.get(resource, Remembered())


class SubscriptionRows:
    """Reads and writes the row."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def read(self) -> Subscribed:
        """What is remembered; an absent row remembers nothing. Raises StorageUnavailable."""
        row = await self._tables.read(CHECKPOINT, _PARTITION, _KEY)
        if row is None:
            return Subscribed()
        return Subscribed(
            etag=row.etag,
            claimed_until=read_instant(row.text("claimed_until")),
            looked_at=read_instant(row.text("looked_at")),
            blocked_until=read_instant(row.text("blocked_until")),
            resources={name: _read(columns) for name, columns in json.loads(row.text("resources") or "{}").items()},
        )

    async def write(self, write: DurableWrite, subscribed: Subscribed) -> Subscribed:
        """Save over the version it was made from. Raises StorageConflict when somebody was faster."""
        values = {
            "claimed_until": _instant(subscribed.claimed_until),
            "looked_at": _instant(subscribed.looked_at),
            "blocked_until": _instant(subscribed.blocked_until),
            "resources": json.dumps({name: _write(known) for name, known in subscribed.resources.items()}),
        }
        if subscribed.etag:
            operation = Operation.replace(_KEY, values, etag=subscribed.etag)
        else:
            operation = Operation.insert(_KEY, values)
        etags = await self._tables.commit(write, CHECKPOINT, _PARTITION, [operation])
        return replace(subscribed, etag=etags[_KEY])


def _read(columns: Mapping[str, Any]) -> Remembered:
    instants = {name: read_instant(columns.get(name, "")) for name in _INSTANTS}
    return Remembered(
        id=columns.get("id", ""),
        url=columns.get("url", ""),
        secret=columns.get("secret", ""),
        tried=columns.get("tried", ""),
        failures=int(columns.get("failures", 0)),
        reauthorize=bool(columns.get("reauthorize", False)),
        **instants,
    )


def _write(known: Remembered) -> dict[str, Any]:
    instants = {name: _instant(getattr(known, name)) for name in _INSTANTS}
    texts = {"id": known.id, "url": known.url, "secret": known.secret, "tried": known.tried}
    return {**texts, "failures": known.failures, "reauthorize": known.reauthorize, **instants}


def _instant(at: datetime | None) -> str:
    return "" if at is None else write_instant(at)
