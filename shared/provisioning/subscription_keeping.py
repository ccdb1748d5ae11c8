"""Keeps one subscription to users and one to groups: made, renewed, repaired, and removed when switched off.

Its trouble is nobody else's: without subscriptions the timer reads the directory as ever. One process at a time acts,
by a claim on the row. What Graph wishes is on the row before Graph is asked for anything, and stays there until it was
done. The row is saved after Graph has answered, so a process that dies between the two leaves a subscription that
nobody remembers; it leads to our address, and the next look replaces it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared import telemetry
from shared.clock import Clock
from shared.config.settings import NotificationSettings
from shared.directory.graph import GraphError, GraphNotFound, GraphRefused, GraphThrottled, GraphUnavailable
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
PASS_S = 240.0
"""A pass ends after this, whatever Graph does: what is left of the claim is for the save."""


@dataclass(slots=True, kw_only=True)
class SubscriptionKeeper:
    """Looks after the subscriptions. One instance per process."""

    settings: NotificationSettings
    subscriptions: Subscriptions
    rows: SubscriptionRows
    clock: Clock
    pass_s: float = PASS_S

    async def keep(self, *, urgent: bool = False) -> bool:
        """Do what is due; without anything due, one read. Never raises for what Graph or storage do.

        `urgent`: Graph says that a subscription needs to be authorized anew, or is gone. False: that could not be
        written down, so it has to be said again.
        """
        # Switched off there is nothing to authorize; with a secret that cannot be read there is.
        urgent = urgent and bool(self.settings.is_on or self.settings.problem)
        try:
            claimed = await self._claim(urgent=urgent)
        except StorageConflict:
            # Somebody else is at it, and read the row before this was said.
            return not urgent
        except StorageUnavailable as error:
            self._tell_storage(error)
            return not urgent
        if claimed is not None:
            await self._carry_out(claimed)
        return True

    def _tell_storage(self, error: StorageUnavailable) -> None:
        telemetry.emit(telemetry.Event.SUBSCRIPTION_FAILED, resource="", reason=str(error))

    async def _claim(self, *, urgent: bool) -> Subscribed | None:
        """Write down what Graph wishes and, where something is due, that we are at it; None: nothing is due.

        Raises StorageConflict when somebody else is at it.
        """
        if self.settings.problem and not urgent:
            return None
        read, now = await self.rows.read(), self.clock.now()
        if read.claimed_until is not None and now < read.claimed_until:
            raise StorageConflict
        known = _wished(read) if urgent else read
        if self._due(known, now):
            return await self.rows.write(DurableWrite.SUBSCRIPTION_CLAIM, replace(known, claimed_until=now + CLAIM))
        if known != read:
            await self.rows.write(DurableWrite.SUBSCRIPTION_CLAIM, known)
        return None

    def _due(self, known: Subscribed, now: datetime) -> list[str]:
        if self.settings.problem or (known.blocked_until is not None and now < known.blocked_until):
            # With a problem it is not switched off: what there is stays until the secret can be read again.
            return []
        wanted = self._wanted()
        return [each for each in RESOURCES if is_due(known.of(each), wanted, now, looked_at=known.looked_at)]

    async def _carry_out(self, claimed: Subscribed) -> None:
        after = await self._look_after(claimed, self._due(claimed, self.clock.now()), self._wanted())
        try:
            await self.rows.write(DurableWrite.SUBSCRIPTION_SAVE, replace(after, claimed_until=None))
        except StorageConflict:
            # The claim was over: the next look sees what came of it.
            return
        except StorageUnavailable as error:
            self._tell_storage(error)

    def _wanted(self) -> Wanted | None:
        if not self.settings.is_on:
            return None
        digest = hashlib.sha256(self.settings.client_state.encode()).hexdigest()[:16]
        return Wanted(url=self.settings.url, secret=digest)

    async def _look_after(self, known: Subscribed, due: Sequence[str], wanted: Wanted | None) -> Subscribed:
        """Do what is due, one resource after the other; the trouble of one is not the other's, but Graph's pause is."""
        now, resources = self.clock.now(), dict(known.resources)
        looked_at, blocked_until, left = known.looked_at, None, list(due)
        try:
            async with asyncio.timeout(self.pass_s):
                listed = [] if wanted is None else await self.subscriptions.list_all()
                looked_at = now
                while left and blocked_until is None:
                    resource = left[0]
                    try:
                        resources[resource] = await self._keep_one(resource, known.of(resource), wanted, listed)
                    except _Failed as failed:
                        resources[resource] = self._failed(resource, failed.known, failed.error, wanted)
                        blocked_until = self._pause_after(failed.error)
                    left.pop(0)
        except (TimeoutError, GraphError) as error:
            failure = error if isinstance(error, GraphError) else GraphUnavailable("Microsoft Graph took too long")
            blocked_until = self._pause_after(failure)
            for resource in left:
                resources[resource] = self._failed(resource, known.of(resource), failure, wanted)
        return replace(known, resources=resources, looked_at=looked_at, blocked_until=blocked_until)

    def _pause_after(self, error: GraphError) -> datetime | None:
        """Until when Graph wants to be left alone."""
        return self.clock.now() + timedelta(seconds=error.retry_after_s) if isinstance(error, GraphThrottled) else None

    async def _keep_one(
        self, resource: str, known: Remembered, wanted: Wanted | None, listed: Sequence[Subscription]
    ) -> Remembered:
        if wanted is None:
            return await self._drop(resource, known)
        return await self._repair(resource, known, wanted, listed)

    async def _repair(
        self, resource: str, known: Remembered, wanted: Wanted, listed: Sequence[Subscription]
    ) -> Remembered:
        """One subscription that is as wanted, and then no other. Raises _Failed with what is certain by then."""
        now = self.clock.now()
        plan = plan_subscription(resource, known, wanted, listed, now)
        kept = replace(known, failures=0, next_attempt_at=None)
        try:
            match plan.step:
                case Step.RENEW:
                    kept = await self._renew(resource, kept, wanted, now)
                case Step.CREATE:
                    kept = await self._create(resource, wanted, now)
                case Step.KEEP:
                    kept = replace(kept, reauthorize=False)
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
        return replace(known, expires_at=renewed.expires_at, renewed_at=now, reauthorize=False)

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


def _wished(known: Subscribed) -> Subscribed:
    """Graph's wish for whatever there is: a message does not say which subscription is meant."""
    return replace(known, resources={each: replace(known.of(each), reauthorize=True) for each in RESOURCES})


def _reason(resource: str, error: GraphError) -> str:
    """Graph's answer in a person's words: only one code of a 403 is certainly about permissions."""
    if not isinstance(error, GraphRefused) or error.status != 403:
        return str(error)
    lacks = f"the app's identity needs the application permission {PERMISSIONS[resource]}"
    if error.code == "Authorization_RequestDenied":
        return f"Microsoft Graph answered 403: {lacks}"
    quota = "the quota of subscriptions is used up (100 for an app in a tenant)"
    return f"Microsoft Graph answered 403 ({error.code or 'without a code'}): {quota}, or {lacks}"
