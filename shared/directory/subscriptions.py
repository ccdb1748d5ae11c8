"""Subscriptions of Microsoft Graph to changes of users and of groups (graph.md section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.directory.graph import Graph, GraphUnavailable

RESOURCES = ("users", "groups")
"""What changes are announced of. Assignments cannot be subscribed to."""

PERMISSIONS: Mapping[str, str] = {"users": "User.Read.All", "groups": "Group.Read.All"}
"""The application permission that a subscription needs. That of groups is more than reading groups asks for."""

CHANGES = "updated,deleted"
"""`updated` covers creation, soft deletion and restore."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A subscription as Graph shows it. Its clientState is never shown."""

    id: str
    resource: str
    """Without slashes, in lower case."""
    url: str
    lifecycle_url: str
    """Empty: none."""
    changes: frozenset[str]
    expires_at: datetime


class Subscriptions:
    """The subscriptions of the app's identity, somebody else's with the same identity included."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    async def list_all(self) -> list[Subscription]:
        """Every subscription that can be read; one of a shape we do not know is nobody's. Raises GraphError."""
        pages = self._graph.list_pages("/subscriptions")
        return [known for page in [each async for each in pages] for entry in page if (known := _read(entry))]

    async def create(self, resource: str, *, url: str, client_state: str, until: datetime) -> Subscription:
        """Subscribe; Graph asks the address first whether it is ours. Raises GraphError, also when it is not."""
        document = {
            "changeType": CHANGES,
            "notificationUrl": url,
            "lifecycleNotificationUrl": url,
            "resource": f"/{resource}",
            "expirationDateTime": _stamp(until),
            "clientState": client_state,
        }
        return _required(await self._graph.create("/subscriptions", document))

    async def renew(self, subscription_id: str, *, until: datetime) -> Subscription:
        """Move the end, which also authorizes anew. Raises GraphNotFound when there is no such subscription."""
        document = {"expirationDateTime": _stamp(until)}
        return _required(await self._graph.update(f"/subscriptions/{subscription_id}", document))

    async def remove(self, subscription_id: str) -> None:
        """Unsubscribe; one that is gone is no error. Raises GraphError."""
        await self._graph.remove(f"/subscriptions/{subscription_id}")


def _required(document: Any) -> Subscription:
    found = _read(document)
    if found is None:
        raise GraphUnavailable("an answer of Microsoft Graph is no subscription")
    return found


def _read(document: Any) -> Subscription | None:
    if not isinstance(document, dict):
        return None
    texts = [document.get(name) for name in ("id", "resource", "notificationUrl", "changeType", "expirationDateTime")]
    if not all(isinstance(each, str) and each for each in texts):
        return None
    subscription_id, resource, url, changes, expires = map(str, texts)
    # The id becomes a part of an address: nothing but what Graph's ids are made of.
    if not (subscription_id.isascii() and subscription_id.replace("-", "").replace("_", "").isalnum()):
        return None
    try:
        expires_at = datetime.fromisoformat(expires)
    except ValueError:
        return None
    if expires_at.tzinfo is None:
        return None
    return Subscription(
        id=subscription_id,
        resource=resource.strip("/").lower(),
        url=url,
        lifecycle_url=str(document.get("lifecycleNotificationUrl") or ""),
        changes=frozenset(change.strip() for change in changes.split(",")),
        expires_at=expires_at,
    )


def _stamp(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}Z"
