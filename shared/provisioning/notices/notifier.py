"""Tells people: by webhook, and by telemetry what nothing else tells there. The service behind every look.

Called at the end of every sync that found something and of every housekeeping, and by a consumer that quarantined its
application. Nothing it meets stops anybody: storage that does not answer, or a receiver that takes nothing, is told and
tried again.

    a look    read what is and what was told; note what is due, and that we deliver it  (NOTICE_DUE)
              write the telemetry events of what was noted
              deliver the first; strike it off, or note when it is tried again            (NOTICE_TOLD)
              and so on, until all is delivered, one is not taken, or the time is up
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime

from shared import telemetry
from shared.clock import Clock
from shared.config.applications import Application, Applications
from shared.provisioning.applications_state import ApplicationStates
from shared.provisioning.attempt import Outcome, OutcomeKind
from shared.provisioning.guard import GuardKeeper
from shared.provisioning.notices.due import Facts, HeldList, find_due
from shared.provisioning.notices.notice import LOGGED, Notice, NoticeType, make_notice
from shared.provisioning.notices.stuck_accounts import StuckAccounts
from shared.provisioning.notices.told import DigestStep, Told
from shared.provisioning.notices.told_rows import ToldRows
from shared.provisioning.notices.webhook import WebhookAnswer, Webhooks
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import StorageConflict, StorageUnavailable, gather_all

DELIVERING_S = 10.0
"""A look begins no further delivery after this; the next look goes on."""


@dataclass(slots=True, kw_only=True)
class Notifier:
    """Compares what is with what was told, and tells the difference."""

    applications: Applications
    states: ApplicationStates
    guard: GuardKeeper
    stuck: StuckAccounts
    rows: ToldRows
    webhooks: Webhooks
    clock: Clock
    new_id: Callable[[], str]

    async def tell_news(self) -> None:
        """Every application that has a webhook, all at once: a dead receiver costs its time-out, however many."""
        await gather_all(
            [
                self._quietly(application, self._look)
                for application in self.applications.enabled
                if _has_webhook(application)
            ]
        )

    async def tell_everything(self) -> None:
        """Every application, with what is only told by telemetry, and the day's digest."""
        for application in self.applications.enabled:
            await self._quietly(application, self._make_digest)
        await gather_all([self._quietly(application, self._look) for application in self.applications.enabled])

    async def tell(self, app: str) -> None:
        """One application, right after something happened to it; one that is unknown or switched off has no news."""
        application = self.applications.get(app)
        if application is not None and application.enabled and _has_webhook(application):
            await self._quietly(application, self._look)

    async def heed(self, app: str, outcome: Outcome) -> None:
        """Tell at once of a quarantine that a message ended with."""
        if outcome.kind is OutcomeKind.QUARANTINED:
            await self.tell(app)

    async def send_test(self, application: Application) -> WebhookAnswer:
        """Send a test notice now, whatever waits; answers what the receiver said. Nothing is noted."""
        test = make_notice(NoticeType.TEST, application.name, self.new_id(), at=self.clock.now(), data={})
        return await self.webhooks.send(application, test)

    async def _quietly(self, application: Application, look: Callable[[Application], Awaitable[None]]) -> None:
        """Nothing that a look meets stops anybody."""
        try:
            await look(application)
        except StorageConflict:
            # Somebody else is telling; what they did not see yet the next look finds.
            return
        except StorageUnavailable:
            _complain(application)

    async def _look(self, application: Application) -> None:
        begun = self.clock.monotonic()
        now = self.clock.now()
        told = await self.rows.read(application.name)
        if told.is_claimed(now):
            return
        due, marks = find_due(await self._facts(application, now), told.marks)
        if not _has_webhook(application):
            due = tuple(each for each in due if each.type in LOGGED)
        noted = told.noted(due, marks)
        delivers, is_unlogged = noted.is_due(now), noted.is_unlogged()
        if delivers or is_unlogged:
            noted = noted.claimed(now)
        if noted != told:
            told = await self.rows.save(DurableWrite.NOTICE_DUE, noted)
        if is_unlogged:
            _log(told)
            told = told.logged()
        if delivers:
            await self._deliver(application, told, begun)
        elif is_unlogged:
            await self.rows.save(DurableWrite.NOTICE_TOLD, told.released())

    async def _deliver(self, application: Application, told: Told, begun: float) -> None:
        """Everything that waits, in order, each struck off before the next."""
        if not _has_webhook(application):
            await self.rows.save(DurableWrite.NOTICE_TOLD, told.emptied())
            return
        goes_on = True
        while told.waiting and goes_on:
            notice, attempt = told.waiting[0], told.attempts + 1
            answer = await self.webhooks.send(application, notice)
            now = self.clock.now()
            told = told.delivered() if answer.ok else _failed(told, answer, now)
            goes_on = answer.ok and self.clock.monotonic() - begun < DELIVERING_S
            if told.waiting and goes_on:
                told = told.claimed(now)
            told = await self.rows.save(DurableWrite.NOTICE_TOLD, told)
            _report(told, notice, answer, attempt=attempt, now=now)

    async def _facts(self, application: Application, now: datetime) -> Facts:
        state = await self.states.read_fresh(application.name)
        return Facts(
            application=application.name,
            now=now,
            history=state.history,
            held=await self._held(application) if _has_webhook(application) else None,
            expires_on=application.expires_on,
        )

    async def _held(self, application: Application) -> HeldList | None:
        numbers = [account.staged for account in await self.guard.read_asked(application)]
        return HeldList(list_number=max(numbers), lowest=min(numbers), count=len(numbers)) if numbers else None

    async def _make_digest(self, application: Application) -> None:
        """Once a day: note the last number, an hour later count what is stuck, and note the digest to be told."""
        now = self.clock.now()
        told = await self.rows.read(application.name)
        if told.marks is None or told.is_claimed(now):
            # The first look notes what stands; a row that somebody is about to save is left to them.
            return
        match told.digest_step(now):
            case DigestStep.SAMPLE:
                told = replace(told, sampled_at=now, sampled=await self.stuck.last_number())
            case DigestStep.COUNT:
                state = await self.states.read_fresh(application.name)
                stuck = await self.stuck.count(application, state, before=told.sampled, now=now)
                day = now.date().isoformat()
                digest = make_notice(NoticeType.DIGEST, application.name, day, at=now, data=stuck.as_data())
                told = replace(told.noted(() if stuck.is_empty else (digest,)), digest_day=day)
            case DigestStep.NOTHING:
                return
        await self.rows.save(DurableWrite.NOTICE_DIGEST, told)


def _has_webhook(application: Application) -> bool:
    return application.notify.webhook is not None


def _failed(told: Told, answer: WebhookAnswer, now: datetime) -> Told:
    return told.failed(answer.problem or "", now, retry_after_s=answer.retry_after_s)


def _complain(application: Application) -> None:
    telemetry.emit(
        telemetry.Event.NOTICE_FAILED,
        application=application.name,
        id="",
        type="",
        problem="storage_unavailable",
        detail="what was told could not be read or written; the next look tries again",
        status=None,
        attempts=0,
        next_attempt_at=None,
    )


def _report(told: Told, notice: Notice, answer: WebhookAnswer, *, attempt: int, now: datetime) -> None:
    """What became of a delivery; one that keeps failing for an hour is a person's matter."""
    if answer.ok:
        telemetry.emit(
            telemetry.Event.NOTICE_DELIVERED,
            application=notice.application,
            id=notice.id,
            type=notice.type,
            status=answer.status,
            attempts=attempt,
        )
        return
    telemetry.emit(
        telemetry.Event.NOTICE_FAILED,
        application=notice.application,
        id=notice.id,
        type=notice.type,
        problem=answer.problem,
        detail=answer.detail,
        status=answer.status,
        attempts=attempt,
        next_attempt_at=told.next_attempt_at,
    )
    if told.is_overdue(now):
        telemetry.emit(
            telemetry.Event.NOTICE_OVERDUE,
            application=notice.application,
            problem=answer.problem,
            detail=answer.detail,
            status=answer.status,
            waiting=len(told.waiting),
            since=told.failing_since,
        )


def _log(told: Told) -> None:
    """The telemetry events of what waits and was not logged yet; a process that dies here does it again."""
    for notice in told.waiting:
        if notice.is_logged:
            continue
        data = notice.data
        match notice.type:
            case NoticeType.EXPIRING:
                telemetry.emit(
                    telemetry.Event.CREDENTIAL_EXPIRING,
                    application=notice.application,
                    days=data["days"],
                    expires_on=data["expires_on"],
                )
            case NoticeType.EXPIRED:
                telemetry.emit(
                    telemetry.Event.CREDENTIAL_EXPIRED,
                    application=notice.application,
                    days=data["days"],
                    expires_on=data["expires_on"],
                )
            case NoticeType.DIGEST:
                telemetry.emit(
                    telemetry.Event.DIGEST_STUCK,
                    application=notice.application,
                    escrowed=sum(data["escrowed"].values()),
                    given_up=sum(data["given_up"].values()),
                    poisoned=data["poisoned"],
                    held=data["held"],
                    pending=data["pending"],
                    stopped=data["stopped"],
                    codes={**data["escrowed"], **data["given_up"]},
                )
            case _:
                pass
