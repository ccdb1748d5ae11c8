"""Sending notifications: the validation handshake, grouped POSTs, the time limit, retries for four hours."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from http.client import HTTPException
from threading import Condition, Thread
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import ProxyHandler, Request, build_opener

from tests.simulation.graph.people import JsonObject
from tests.simulation.graph.population import to_json

HANDSHAKE_TIMEOUT_S = 10.0
DELIVERY_TIMEOUT_S = 3.0
GIVE_UP_AFTER = timedelta(hours=4)
RETRY_PAUSE_S = 0.5

_opener = build_opener(ProxyHandler({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One notice on its way to one URL; `since` is when it was first due."""

    url: str
    notice: JsonObject
    since: datetime


def shake_hands(url: str, subscription_id: str) -> str | None:
    """Asks an endpoint to repeat a token within ten seconds; returns what was wrong, None when it did."""
    token = f"Validation: Testing client application reachability for subscription Request-Id: {subscription_id} <+&%>"
    separator = "&" if "?" in url else "?"
    target = f"{url}{separator}validationToken={quote(f'{token}{secrets.token_hex(4)}', safe='')}"
    expected = target.rpartition("=")[2]
    try:
        with _opener.open(Request(target, data=b"", method="POST"), timeout=HANDSHAKE_TIMEOUT_S) as answer:
            kind = answer.headers.get_content_type()
            body = answer.read(8192).decode("utf-8", "replace")
            status = answer.status
    except HTTPError as refusal:
        refusal.close()
        return f"Notification endpoint must respond with 200 OK to validation request, not {refusal.code}."
    except (OSError, HTTPException, ValueError) as error:
        return f"The validation request to the endpoint failed: {type(error).__name__}."
    if status != 200:
        return f"Notification endpoint must respond with 200 OK to validation request, not {status}."
    if kind != "text/plain":
        return f"Notification endpoint must answer text/plain, not {kind}."
    return None if quote(body, safe="") == expected else "The validation token does not match."


class Notifications:
    """Sends from one thread of its own, several notices for one URL together."""

    def __init__(self, *, now: Callable[[], datetime]) -> None:
        """Is idle until started; `timeout_s` may be shortened by a test."""
        self.timeout_s = DELIVERY_TIMEOUT_S
        self._now = now
        self._changed = Condition()
        self._waiting: list[Delivery] = []
        self._made: list[JsonObject] = []
        self._busy = False
        self._held = False
        self._stopping = False
        self._pause_until = 0.0
        self._thread: Thread | None = None

    def start(self) -> None:
        """Begins to send; does nothing when already sending."""
        with self._changed:
            if self._thread is None:
                self._stopping = False
                self._thread = Thread(target=self._run, name="graph-notifications", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()

    def send(self, delivery: Delivery) -> None:
        """Puts a notice in line."""
        with self._changed:
            if not self._stopping:
                self._waiting.append(delivery)
            self._changed.notify_all()

    def hold(self) -> None:
        """Sends nothing until released."""
        with self._changed:
            self._held = True

    def release(self) -> None:
        """Sends again."""
        with self._changed:
            self._held = False
            self._changed.notify_all()

    def settle(self, timeout_s: float) -> bool:
        """Waits until the line is empty and nothing is being sent."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._busy, timeout_s)

    def made(self) -> list[JsonObject]:
        """Lists the POSTs made: url, status (0: no answer in time), number of notices."""
        with self._changed:
            return list(self._made)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._stopping and not self._due():
                    self._changed.wait(0.1 if self._waiting else None)
                if self._stopping:
                    return
                batch, self._waiting = self._waiting, []
                self._busy = True
            failed = self._deliver(batch)
            with self._changed:
                oldest = self._now() - GIVE_UP_AFTER
                self._waiting = [delivery for delivery in failed if delivery.since > oldest] + self._waiting
                self._pause_until = time.monotonic() + RETRY_PAUSE_S if failed else 0.0
                self._busy = False
                self._changed.notify_all()

    def _due(self) -> bool:
        return bool(self._waiting) and not self._held and time.monotonic() >= self._pause_until

    def _deliver(self, batch: list[Delivery]) -> list[Delivery]:
        by_url: dict[str, list[Delivery]] = {}
        for delivery in batch:
            by_url.setdefault(delivery.url, []).append(delivery)
        failed: list[Delivery] = []
        for url, deliveries in by_url.items():
            status = _post(url, {"value": [delivery.notice for delivery in deliveries]}, timeout_s=self.timeout_s)
            with self._changed:
                self._made.append({"url": url, "status": status, "notices": len(deliveries)})
            if not 200 <= status < 300:
                failed += deliveries
        return failed


def _post(url: str, body: JsonObject, *, timeout_s: float) -> int:
    request = Request(url, data=to_json(body), headers={"Content-Type": "application/json"}, method="POST")
    try:
        with _opener.open(request, timeout=timeout_s) as answer:
            return int(answer.status)
    except HTTPError as refusal:
        refusal.close()
        return refusal.code
    except (OSError, HTTPException):
        return 0
