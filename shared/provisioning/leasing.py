"""Slot, lease and intent: what has to be so before a request may leave (protocol steps 26 to 28)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.clock import Clock
from shared.provisioning.account_rows import AccountRows, LeaseRequest
from shared.provisioning.accounts import Intent, IntentKind
from shared.provisioning.attempt import Attempt
from shared.provisioning.memberships import IN_DOUBT
from shared.provisioning.planning import ProvisioningAction
from shared.storage.limiter import Limiter, RateLimited

SEND_MARGIN_S = 10.0
"""Step 28: a lease must last the request's time-out and this much longer."""

LEASE_LEAD_S = 0.1
"""What the lease write of step 27 usually takes: a slot that begins earlier would be lost."""

SLOT_WAIT_S = 5.0
"""What a short lease keeps of that margin for waiting for a slot: settings allow leases hardly longer than both, and
with such a one every request at a busy vendor would be taken back unsent."""


class NotDepartedError(Exception):
    """Step 28: there is no slot within two seconds, or the lease is nearly over. Nothing was sent."""


@dataclass(slots=True, kw_only=True)
class Leases:
    """Takes accounts' leases, in slots of the vendor's rate."""

    rows: AccountRows
    limiter: Limiter
    clock: Clock
    new_id: Callable[[], str]
    lease_s: float
    vendor_timeout_s: float

    async def reserve_slot(self, attempt: Attempt) -> datetime | None:
        """Step 26. Raises RateLimited when it would take more than two seconds: nothing was written yet."""
        application = attempt.application
        return await self.limiter.reserve(
            application.name,
            application.rate_limit.requests_per_second,
            first=attempt.first,
            begun=attempt.has_looked or attempt.asked,
            lead_s=LEASE_LEAD_S,
        )

    def give_back_slot(self, attempt: Attempt, slot: datetime | None) -> None:
        """Nothing will be sent in this slot."""
        self.limiter.give_back(attempt.application.name, slot)

    async def approach_slot(self, attempt: Attempt, slot: datetime | None) -> None:
        """Step 28: wait until the slot is near, then let `attempt.departs` do the rest when the connection stands.

        The lease was written while the slot was still to come. If that took longer, another slot is waited for, under
        the lease.
        """
        application = attempt.application
        await self.limiter.approach(slot)

        async def depart() -> None:
            rate = application.rate_limit.requests_per_second
            try:
                await self.limiter.depart(application.name, rate, slot, first=attempt.first)
            except RateLimited as limited:
                raise NotDepartedError from limited
            if not self._may_send(attempt):
                raise NotDepartedError

        attempt.departs = depart

    async def take(self, attempt: Attempt) -> None:
        """Step 27: one conditional write says who is at it and what is about to be sent.

        Raises RowMoved, and IndexTaken when the name, or the account that is adopted, belongs to another row.
        """
        before = self.clock.monotonic()
        now = self.clock.now()
        request = LeaseRequest(
            token=self.new_id(),
            until=now + timedelta(seconds=self.lease_s),
            intent=_intent(attempt),
            at=now,
            claim=str(attempt.hit["id"]) if attempt.hit is not None else "",
        )
        attempt.moved(await self.rows.take_lease(attempt.account, request))
        attempt.lease_ends = before + self.lease_s

    def _may_send(self, attempt: Attempt) -> bool:
        """Step 28: the lease outlasts the request's time-out with a margin."""
        left = attempt.lease_ends - self.clock.monotonic()
        spare = self.lease_s - self.vendor_timeout_s - SLOT_WAIT_S
        return left > self.vendor_timeout_s + min(SEND_MARGIN_S, spare)


def _intent(attempt: Attempt) -> Intent:
    """What is about to be sent: the kind, the value it is found under, and every path it may set or clear."""
    assert attempt.plan is not None
    plan, account = attempt.plan, attempt.account
    earlier = account.intent
    members = plan.members.user_ids if plan.members is not None else ()
    paths = {*plan.change.set, *plan.change.removed, *(f"{IN_DOUBT}{each}" for each in members)}
    paths |= set(earlier.paths if earlier else ())
    kind = {
        ProvisioningAction.CREATE: IntentKind.CREATE,
        ProvisioningAction.DELETE: IntentKind.DELETE,
    }.get(plan.action, IntentKind.PATCH)
    matching = ""
    if kind is IntentKind.CREATE or _renames(attempt):
        matching = plan.matching_value
    elif earlier is not None and attempt.reasserts_early:
        matching = earlier.matching
    external_id = ""
    if kind is IntentKind.CREATE:
        external_id = str({**plan.on_create, **plan.change.set}.get("externalId", ""))
    elif earlier is not None:
        external_id = earlier.external_id
    return Intent(kind=kind, matching=matching, paths=tuple(sorted(paths)), external_id=external_id)


def _renames(attempt: Attempt) -> bool:
    """Whether the write gives a linked account another matching value than it was sent last."""
    plan, sent = attempt.plan, attempt.account.sent
    if plan is None or plan.mapped is None or not plan.mapped.matching or attempt.hit is not None:
        return False
    path, value = plan.mapped.matching[0]
    return path in plan.change.set and (sent is None or sent.get(path) != value)
