"""Subscriptions: created after a handshake, renewed, expired, and matched with what changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

from tests.simulation.graph.changes import Change, Event, Kind
from tests.simulation.graph.directory import Directory
from tests.simulation.graph.faults import FaultKind, Faults
from tests.simulation.graph.notifications import Delivery, Notifications, shake_hands
from tests.simulation.graph.odata import ODataError, Request, Response
from tests.simulation.graph.people import JsonObject, guid
from tests.simulation.graph.population import to_json

LONGEST = timedelta(minutes=41_760)
SHORTEST = timedelta(minutes=45)
QUOTA = 100
MAX_CLIENT_STATE = 128
_COLLECTIONS = {"users": Kind.USER, "groups": Kind.GROUP}


@dataclass(slots=True, kw_only=True)
class Subscription:
    """One subscription as its owner made it."""

    id: str
    resource: str
    change_types: frozenset[str]
    notification_url: str
    lifecycle_url: str | None
    client_state: str | None
    expires_at: datetime

    def shown(self) -> JsonObject:
        """Shows it as Graph answers; the clientState is kept back."""
        return {
            "id": self.id,
            "resource": self.resource,
            "changeType": ",".join(sorted(self.change_types)),
            "clientState": None,
            "notificationUrl": self.notification_url,
            "lifecycleNotificationUrl": self.lifecycle_url,
            "expirationDateTime": _stamp(self.expires_at),
        }

    def wants(self, change: Change) -> bool:
        """Whether this change is announced to the subscriber: `updated` covers creation, soft deletion and restore."""
        collection, _, object_id = self.resource.strip("/").partition("/")
        object_id, _, relationship = object_id.partition("/")
        if _COLLECTIONS.get(collection) is not change.kind or object_id not in ("", change.id):
            return False
        if relationship and (relationship != "members" or change.event not in _MEMBERSHIP):
            return False
        return ("deleted" if change.event is Event.DELETED else "updated") in self.change_types


_MEMBERSHIP = (Event.MEMBER_ADDED, Event.MEMBER_REMOVED)


class Subscriptions:
    """Answers under `/subscriptions` and announces the tenant's changes."""

    def __init__(self, tenant: Directory, faults: Faults, *, now: Callable[[], datetime]) -> None:
        """Listens to `tenant`; nothing is sent before there is a subscription."""
        self._tenant = tenant
        self._faults = faults
        self._now = now
        self._lock = Lock()
        self._subscriptions: dict[str, Subscription] = {}
        self._count = 0
        self.notifications = Notifications(now=now)
        tenant.listen(self._announce)

    # What a client may ask

    def answer(self, request: Request, *, link_to: Callable[[str], str]) -> Response:
        """Serves creation, reading, renewal, reauthorization and deletion."""
        match request.method, request.path.split("/"):
            case "POST", ["subscriptions"]:
                return Response(201, to_json(self._create(_payload(request)).shown()))
            case "GET", ["subscriptions"]:
                return Response(
                    200, to_json({"@odata.context": link_to("$metadata#subscriptions"), "value": self.shown()})
                )
            case "GET", ["subscriptions", subscription_id]:
                return Response(200, to_json(self._find(subscription_id).shown()))
            case "PATCH", ["subscriptions", subscription_id]:
                subscription = self._find(subscription_id)
                subscription.expires_at = self._expiry(_payload(request))
                return Response(200, to_json(subscription.shown()))
            case "POST", ["subscriptions", subscription_id, "reauthorize"]:
                self._find(subscription_id)
                return Response(204)
            case "DELETE", ["subscriptions", subscription_id]:
                self._forget(self._find(subscription_id))
                return Response(204)
        raise ODataError(405, "Request_BadRequest", "Specified HTTP method is not allowed for the request target.")

    def shown(self) -> list[JsonObject]:
        """Shows every subscription that has not expired."""
        return [subscription.shown() for subscription in self._living()]

    # What a test may do

    def deliveries(self) -> list[JsonObject]:
        """Lists the POSTs made so far, with the status each got (0: no answer in time)."""
        return self.notifications.made()

    def require_reauthorization(self, subscription_id: str) -> None:
        """Sends the lifecycle notification `reauthorizationRequired`."""
        subscription = self._find(subscription_id)
        notice = {
            "subscriptionId": subscription.id,
            "subscriptionExpirationDateTime": _stamp(subscription.expires_at),
            "tenantId": self._tenant.tenant_id,
            "clientState": subscription.client_state,
            "lifecycleEvent": "reauthorizationRequired",
        }
        if subscription.lifecycle_url:
            self.notifications.send(Delivery(url=subscription.lifecycle_url, notice=notice, since=self._now()))

    def hold(self) -> None:
        """Keeps notifications back, so that several changes go out in one POST."""
        self.notifications.hold()

    def release(self) -> None:
        """Sends what was held back."""
        self.notifications.release()

    def settle(self, timeout_s: float = 10.0) -> bool:
        """Waits until nothing is left to send; False when the time runs out first."""
        return self.notifications.settle(timeout_s)

    def stop(self) -> None:
        """Ends delivery; what was not sent is lost."""
        self.notifications.stop()

    # Within

    def _living(self) -> list[Subscription]:
        with self._lock:
            now = self._now()
            self._subscriptions = {held: one for held, one in self._subscriptions.items() if one.expires_at > now}
            return [*self._subscriptions.values()]

    def _find(self, subscription_id: str) -> Subscription:
        for subscription in self._living():
            if subscription.id == subscription_id:
                return subscription
        raise ODataError(404, "ResourceNotFound", "The object was not found.")

    def _forget(self, subscription: Subscription) -> None:
        with self._lock:
            self._subscriptions.pop(subscription.id, None)

    def _create(self, payload: JsonObject) -> Subscription:
        for name in ("changeType", "notificationUrl", "resource", "expirationDateTime"):
            if not isinstance(payload.get(name), str) or not payload[name]:
                raise _invalid(f"Subscription validation request failed: {name} is required.")
        if len(payload.get("clientState") or "") > MAX_CLIENT_STATE:
            raise _invalid(f"clientState must have at most {MAX_CLIENT_STATE} characters.")
        change_types = frozenset(name.strip() for name in payload["changeType"].split(","))
        if not change_types <= {"created", "updated", "deleted"}:
            raise _invalid("changeType holds an unknown value.")
        expires_at = self._expiry(payload)
        if len(self._living()) >= QUOTA:
            raise ODataError(403, "ExtensionError", "Operation: Create; the subscription quota is used up.")
        with self._lock:
            self._count += 1
            subscription_id = guid(self._tenant.seed, "subscription", self._count)
        subscription = Subscription(
            id=subscription_id,
            resource=payload["resource"],
            change_types=change_types,
            notification_url=payload["notificationUrl"],
            lifecycle_url=payload.get("lifecycleNotificationUrl"),
            client_state=payload.get("clientState"),
            expires_at=expires_at,
        )
        for url in filter(None, (subscription.notification_url, subscription.lifecycle_url)):
            if problem := shake_hands(url, subscription_id):
                raise _invalid(f"Subscription validation request failed. {problem}")
        with self._lock:
            self._subscriptions[subscription.id] = subscription
        self.notifications.start()
        return subscription

    def _expiry(self, payload: JsonObject) -> datetime:
        try:
            wanted = datetime.fromisoformat(payload["expirationDateTime"])
        except (KeyError, ValueError, TypeError):
            raise _invalid("expirationDateTime must be an ISO 8601 instant.") from None
        if wanted.tzinfo is None or wanted <= self._now():
            raise _invalid("expirationDateTime must be a UTC instant in the future.")
        if wanted > self._now() + LONGEST:
            raise _invalid("Subscription expiration can only be 41760 minutes in the future.")
        return max(wanted, self._now() + SHORTEST)

    def _announce(self, change: Change) -> None:
        if not self._subscriptions:
            return
        for subscription in self._living():
            if subscription.wants(change):
                for notice in self._notices(subscription, change):
                    delivery = Delivery(url=subscription.notification_url, notice=notice, since=self._now())
                    self.notifications.send(delivery)

    def _notices(self, subscription: Subscription, change: Change) -> list[JsonObject]:
        collection = f"{change.kind.value.capitalize()}s"
        notice = {
            "changeType": "deleted" if change.event is Event.DELETED else "updated",
            "clientState": subscription.client_state,
            "resource": f"{collection}/{change.id}",
            "resourceData": {
                "@odata.type": f"#Microsoft.Graph.{change.kind.value.capitalize()}",
                "@odata.id": f"{collection}/{change.id}",
                "id": change.id,
            },
            "subscriptionExpirationDateTime": _stamp(subscription.expires_at),
            "subscriptionId": subscription.id,
            "tenantId": self._tenant.tenant_id,
        }

        def strikes(kind: FaultKind) -> bool:
            return self._faults.take(kind, subscription.resource.strip("/")) is not None

        if strikes(FaultKind.NOTIFICATION_LOST):
            return []
        if strikes(FaultKind.NOTIFICATION_WRONG_CLIENT_STATE):
            notice["clientState"] = "forged"
        if strikes(FaultKind.NOTIFICATION_UNKNOWN_SUBSCRIPTION):
            notice["subscriptionId"] = guid("unknown subscription", change.number)
        return [notice, notice] if strikes(FaultKind.NOTIFICATION_DUPLICATE) else [notice]


def _payload(request: Request) -> dict[str, Any]:
    try:
        payload = json.loads(request.body)
    except ValueError:
        raise _invalid("The request body is not JSON.") from None
    if not isinstance(payload, dict):
        raise _invalid("The request body is not a JSON object.")
    return payload


def _invalid(message: str) -> ODataError:
    return ODataError(400, "ValidationError", message)


def _stamp(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}Z"
