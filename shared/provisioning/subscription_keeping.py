"""Keeps one subscription to users and one to groups: made, renewed, repaired, and removed when switched off.

Its trouble is nobody else's: without subscriptions the timer reads the directory as ever. One process at a time acts,
by a claim on the row. The row is saved after Graph has answered, so a process that dies between the two leaves a
subscription that nobody remembers; it leads to our address, and the next look replaces it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared import telemetry
from shared.clock import Clock
from shared.config.settings import CLIENT_STATE, NotificationSettings
from shared.directory.graph import GraphError, GraphNotFound, GraphRefused, GraphThrottled
from shared.directory.subscriptions import PERMISSIONS, RESOURCES, Subscription, Subscriptions
from shared.provisioning.subscription_planning import (
    LIFE,
    Remembered,
    Step,
    Wanted,
    is_due,
    plan_subscription,
    wait_after,
)
from shared.provisioning.subscription_rows import Subscribed, SubscriptionRows
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import StorageConflict, StorageUnavailable

CLAIM = timedelta(minutes=5)
"""Longer than a pass takes, with Graph's own time-outs; a pass is a few requests."""


@dataclass(slots=True, kw_only=True)
class SubscriptionKeeper:
    """Looks after the subscriptions. One instance per process."""

    settings: NotificationSettings
    subscriptions: Subscriptions
    rows: SubscriptionRows
    clock: Clock
    _told: str = ""
    """The trouble with the settings that this process told last."""

    async def keep(self, *, urgent: bool = False) -> None:
        """Do what is due; without anything due, one read. Never raises for what Graph or storage do.

        `urgent`: Graph says that a subscription needs to be authorized anew, or is gone.
        """
        self._tell_settings()
        try:
            await self._keep(urgent=urgent)
        except StorageConflict:
            # Somebody else is at it, or was: the next look sees what came of it.
            return
        except StorageUnavailable as error:
            telemetry.emit(telemetry.Event.SUBSCRIPTION_FAILED, resource="", reason=str(error))

    def _tell_settings(self) -> None:
        if self.settings.problem != self._told:
            telemetry.emit(
                telemetry.Event.SETTING_MISSING,
                application="",
                key="",
                setting=CLIENT_STATE,
                unresolved=self.settings.is_unresolved,
            )
            self._told = self.settings.problem

    async def _keep(self, *, urgent: bool) -> None:
        if self.settings.problem:
            # Not switched off: what there is stays until the secret can be read again.
            return
        known, now, wanted = await self.rows.read(), self.clock.now(), self._wanted()
        urgent = urgent and wanted is not None
        if known.claimed_until is not None and now < known.claimed_until:
            return
        due = [
            resource
            for resource in RESOURCES
            if urgent or is_due(known.of(resource), wanted, now, looked_at=known.looked_at)
        ]
        if not due:
            return
        claimed = await self.rows.write(DurableWrite.SUBSCRIPTION_CLAIM, replace(known, claimed_until=now + CLAIM))
        after = await self._look_after(claimed, due, wanted, urgent=urgent)
        await self.rows.write(DurableWrite.SUBSCRIPTION_SAVE, replace(after, claimed_until=None))

    def _wanted(self) -> Wanted | None:
        if not self.settings.is_on:
            return None
        digest = hashlib.sha256(self.settings.client_state.encode()).hexdigest()[:16]
        return Wanted(url=self.settings.url, secret=digest)

    async def _look_after(
        self, known: Subscribed, due: Sequence[str], wanted: Wanted | None, *, urgent: bool
    ) -> Subscribed:
        """Do what is due, one resource after the other; the trouble of one is not the other's."""
        now, resources = self.clock.now(), dict(known.resources)
        try:
            listed = [] if wanted is None else await self.subscriptions.list_all()
        except GraphError as error:
            for resource in due:
                resources[resource] = self._failed(resource, known.of(resource), error, wanted)
            return replace(known, resources=resources)
        for resource in due:
            before = known.of(resource)
            try:
                if wanted is None:
                    resources[resource] = await self._drop(resource, before)
                else:
                    resources[resource] = await self._repair(resource, before, wanted, listed, urgent=urgent)
            except _Failed as failed:
                resources[resource] = self._failed(resource, failed.known, failed.error, wanted)
        return replace(known, resources=resources, looked_at=now)

    async def _repair(
        self, resource: str, known: Remembered, wanted: Wanted, listed: Sequence[Subscription], *, urgent: bool
    ) -> Remembered:
        """One subscription that is as wanted, and then no other. Raises _Failed with what is certain by then."""
        now = self.clock.now()
        plan = plan_subscription(resource, known, wanted, listed, now, urgent=urgent)
        kept = replace(known, failures=0, next_attempt_at=None)
        try:
            match plan.step:
                case Step.RENEW:
                    kept = await self._renew(resource, kept, wanted, now)
                case Step.CREATE:
                    kept = await self._create(resource, wanted, now)
            for subscription_id in plan.surplus:
                await self.subscriptions.remove(subscription_id)
                self._tell(resource, subscription_id, "removed")
        except GraphError as error:
            raise _Failed(replace(kept, failures=known.failures), error) from error
        return kept

    async def _renew(self, resource: str, known: Remembered, wanted: Wanted, now: datetime) -> Remembered:
        try:
            renewed = await self.subscriptions.renew(known.id, until=now + LIFE)
        except GraphNotFound:
            return await self._create(resource, wanted, now)
        self._tell(resource, renewed.id, "renewed")
        return replace(known, expires_at=renewed.expires_at, renewed_at=now)

    async def _create(self, resource: str, wanted: Wanted, now: datetime) -> Remembered:
        made = await self.subscriptions.create(
            resource, url=wanted.url, client_state=self.settings.client_state, until=now + LIFE
        )
        self._tell(resource, made.id, "created")
        return Remembered(id=made.id, url=wanted.url, secret=wanted.secret, expires_at=made.expires_at, renewed_at=now)

    async def _drop(self, resource: str, known: Remembered) -> Remembered:
        """Switched off: take back what we remember, and nothing else."""
        if known.id:
            try:
                await self.subscriptions.remove(known.id)
            except GraphError as error:
                raise _Failed(known, error) from error
            self._tell(resource, known.id, "removed")
        return Remembered()

    def _failed(self, resource: str, known: Remembered, error: GraphError, wanted: Wanted | None) -> Remembered:
        retry_after_s = error.retry_after_s if isinstance(error, GraphThrottled) else 0.0
        wait = wait_after(known.failures + 1, retry_after_s)
        telemetry.emit(
            telemetry.Event.SUBSCRIPTION_FAILED,
            resource=resource,
            reason=_reason(resource, error),
            next_attempt_in_s=wait.total_seconds(),
        )
        return replace(
            known,
            failures=known.failures + 1,
            next_attempt_at=self.clock.now() + wait,
            tried="" if wanted is None else wanted.mark,
        )

    def _tell(self, resource: str, subscription_id: str, action: str) -> None:
        telemetry.emit(
            telemetry.Event.SUBSCRIPTION_KEPT, resource=resource, subscription_id=subscription_id, action=action
        )


class _Failed(Exception):
    """Graph did not do what was asked; `known` is what is certain all the same."""

    def __init__(self, known: Remembered, error: GraphError) -> None:
        super().__init__(str(error))
        self.known = known
        self.error = error


def _reason(resource: str, error: GraphError) -> str:
    """Graph's answer in a person's words; a refusal may also mean that the quota of subscriptions is used up."""
    if isinstance(error, GraphRefused) and error.status == 403:
        needed = PERMISSIONS[resource]
        return f"Microsoft Graph answered 403: the app's identity needs the application permission {needed}"
    return str(error)
