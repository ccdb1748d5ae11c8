"""How far the product has come, read from its own account rows and queues, never from the simulators."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from shared.composition import Services
from shared.provisioning.accounts import ACCOUNTS, Account, AccountState, ResourceKind, read_account
from shared.provisioning.attempt import OwnCode
from shared.provisioning.checkpoint import Checkpoint, Checkpoints
from shared.provisioning.guard import counts
from shared.provisioning.retrying import is_due
from tests.simulation.demo.stage import Stage

LOOK_EVERY_S = 0.5
RATE_WINDOW_S = 10.0
PULLS_AFTER_A_CHANGE = 2
"""One sync may have begun before the change; when the second one asks Graph, the one before it is over."""

_COLUMNS = (
    *("target_id", "wanted", "applied", "tried", "pending", "queued_at", "state", "next_attempt_at", "error_code"),
    *("intent", "intent_at", "lease_token", "lease_until", "staged", "permit", "rejected", "attempts"),
)
_INITIAL_STREAMS = ("users", "groups")


class StillPendingError(RuntimeError):
    """The time was up; the text names what is still pending."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One application's rows of people and groups, and who is listed to get one, counted."""

    application: str
    done: int
    pending: int
    failed: int
    held: int
    queued: int
    """Messages in its two queues, hidden ones included."""
    status: str
    """Active, Paused or Quarantine."""
    waiting: tuple[Account, ...] = ()
    """The pending rows; more may be listed."""
    memberships: int = 0
    """Memberships that are still to be looked at; among the pending."""
    held_ids: frozenset[str] = frozenset()
    """Rows whose deprovisioning waits for a permit."""
    failed_ids: frozenset[str] = frozenset()
    """Rows that are escrowed."""
    missing_ids: frozenset[str] = frozenset()
    """Groups that wait for a person to make them at the vendor; among the done."""

    @property
    def total(self) -> int:
        """All rows, and the memberships that are still to be looked at."""
        return self.done + self.pending + self.failed + self.held


@dataclass(slots=True)
class Pace:
    """How many rows of an application were done per second of late."""

    seen: deque[tuple[float, int]] = field(default_factory=deque)

    def note(self, done: int, *, now: float) -> float:
        """Notes a count and answers with the rate over the last ten seconds."""
        self.seen.append((now, done))
        while len(self.seen) > 2 and now - self.seen[0][0] > RATE_WINDOW_S:
            self.seen.popleft()
        (began, before), passed = self.seen[0], now - self.seen[0][0]
        return max(0, done - before) / passed if passed > 0 and began < now else 0.0


async def read_progress(services: Services, application: str) -> Progress:
    """Counts the rows, the memberships to be looked at and the messages of an application."""
    found: dict[str, list[Account]] = {"done": [], "pending": [], "failed": [], "held": [], "missing": []}
    # Before the rows: what is taken up in between is counted twice rather than not at all.
    listed = await services.lists.count(application)
    # And memberships after them, people first: whoever gets an account marks the memberships before the row says so.
    for kind in (ResourceKind.USER, ResourceKind.GROUP):
        async for account in _read_rows(services, application, kind):
            if account.wanted:
                found[standing_of(account, services.clock.now())].append(account)
    parked = {account.source_id for standing in ("failed", "held", "missing") for account in found[standing]}
    memberships = await _count_memberships(services, application, parked=parked)
    queued = [await services.queues.count(application, first=first) for first in (True, False)]
    state = await services.states.read_fresh(application)
    return Progress(
        application=application,
        queued=sum(queued),
        status=state.status,
        waiting=tuple(found["pending"]),
        memberships=memberships,
        held_ids=frozenset(account.source_id for account in found["held"]),
        failed_ids=frozenset(account.source_id for account in found["failed"]),
        missing_ids=frozenset(account.source_id for account in found["missing"]),
        done=len(found["done"]) + len(found["missing"]),
        pending=len(found["pending"]) + listed + memberships,
        failed=len(found["failed"]),
        held=len(found["held"]),
    )


async def _read_rows(services: Services, application: str, kind: ResourceKind) -> AsyncIterator[Account]:
    pages = services.tables.query(ACCOUNTS, application, first=f"{kind}:", before=f"{kind};", select=_COLUMNS)
    async for page in pages:
        for row in page:
            yield read_account(row, application=application, kind=kind, source_id=row.key.removeprefix(f"{kind}:"))


async def _count_memberships(services: Services, application: str, *, parked: set[str]) -> int:
    """How many are to be looked at now: those refused wait for the ladder, those of `parked` groups for the group."""
    pages = services.tables.query(
        ACCOUNTS, application, first="change:", before="change;", where="refused eq ''", select=("refused",)
    )
    return sum([row.key.split(":")[1] not in parked async for page in pages for row in page])


def standing_of(account: Account, now: datetime) -> str:
    """Answers with `done`, `pending`, `failed`, `missing` (a group that a person has to make at the vendor) or `held`.

    Held is where somebody would lose access, and a permit is missing.
    """
    if account.is_held() or (account.staged and not account.permit):
        # While a hold stands, rows with nothing to lose wait with the others; nobody is asked about them.
        return "held" if counts(account) else "done"
    was_tried = account.tried == account.wanted
    if account.state is AccountState.ESCROWED and was_tried:
        return "failed"
    is_missing = account.state is AccountState.SKIPPED and account.error_code == OwnCode.GROUP_MISSING
    if is_missing and was_tried and not is_due(account.next_attempt_at, now):
        return "missing"
    return "pending" if account.pending or account.intent is not None else "done"


class Settling:
    """Waits until the product has read the directory's last change and nothing is left to do."""

    def __init__(
        self,
        stage: Stage,
        *,
        show: Callable[[Sequence[Progress]], None],
        held: Mapping[str, frozenset[str]] | None = None,
        pulls: int = PULLS_AFTER_A_CHANGE,
    ) -> None:
        """`held` names those who are to stay held; anybody else's permit is waited for. `pulls` syncs have to pass."""
        self._pulls_needed = pulls
        self._held = held or {}
        self._stage = stage
        self._show = show
        self._read_up_to = stage.graph.requests.total
        self._checkpoints = Checkpoints(stage.services.tables)

    async def look(self) -> bool:
        """Shows where everything stands and answers whether all is quiet."""
        # In this order: rows read after the checkpoint hold everything it covers.
        pulls = self._pulls()
        checkpoint = await self._checkpoints.read()
        names = [application.name for application in self._stage.services.applications.enabled]
        found = await asyncio.gather(*(read_progress(self._stage.services, name) for name in names))
        self._show(found)
        self.found = found
        if self._stage.host_has_ended():
            raise StillPendingError(f"the function host ended by itself; its last words:\n{self._last_words()}")
        return (
            pulls >= self._pulls_needed
            and _has_caught_up(checkpoint)
            and all(progress.pending == 0 and not self._waits_for_permit(progress) for progress in found)
        )

    def _waits_for_permit(self, progress: Progress) -> frozenset[str]:
        return progress.held_ids - self._held.get(progress.application, frozenset())

    async def wait(self, *, within_s: float) -> None:
        """Looks until all is quiet. Raises: StillPendingError naming what is left."""
        until = time.monotonic() + within_s
        while not await self.look():
            if time.monotonic() > until:
                raise StillPendingError(self._what_is_left(within_s))
            await asyncio.sleep(LOOK_EVERY_S)

    async def watch(self, *, for_s: float) -> None:
        """Looks for some seconds, quiet or not."""
        until = time.monotonic() + for_s
        while time.monotonic() < until:
            await self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    def _pulls(self) -> int:
        """How many syncs began to read the directory since the last change."""
        entries = self._stage.graph.requests.after(self._read_up_to)
        return sum(entry.path.strip("/") == "users/delta" and entry.link != "next" for entry in entries)

    def _what_is_left(self, within_s: float) -> str:
        lines = [f"not settled within {within_s:.0f} s"]
        if self._pulls() < self._pulls_needed:
            lines.append("the directory was not read again: look at sync_directory in the host's log")
        for progress in self.found:
            lines += [_described(progress, account) for account in progress.waiting[:5]]
            if waiting := self._waits_for_permit(progress):
                lines.append(f"  {progress.application}: {len(waiting)} wait for the deletion guard's permit")
            if (others := progress.pending - progress.memberships - 5) > 0:
                lines.append(f"  {progress.application}: and {others} more")
            if progress.memberships:
                lines.append(f"  {progress.application}: {progress.memberships} memberships are to be looked at")
            if progress.status != "Active":
                lines.append(f"  {progress.application}: its status is {progress.status}")
        return "\n".join([*lines, f"the host's last words:\n{self._last_words()}"])

    def _last_words(self) -> str:
        return "\n".join(self._stage.host.log.read_text(errors="replace").splitlines()[-8:])


def _has_caught_up(checkpoint: Checkpoint) -> bool:
    """Whether both streams were read once, nothing waits for the top-up and no assignment for its second read."""
    read = all(checkpoint.stream(name).saved_at and not checkpoint.stream(name).round for name in _INITIAL_STREAMS)
    return read and not checkpoint.backlog and not any(stream.marked for stream in checkpoint.streams.values())


def _described(progress: Progress, account: Account) -> str:
    parts = [f"  {progress.application}: {account.key} is {account.state}", f"attempt {account.attempts}"]
    if account.error_code:
        parts.append(account.error_code)
    if account.intent is not None:
        parts.append(f"open intent: {account.intent.kind}")
    if account.next_attempt_at is not None:
        parts.append(f"next at {account.next_attempt_at:%H:%M:%S}")
    return ", ".join(parts)
