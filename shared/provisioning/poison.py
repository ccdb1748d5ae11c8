"""What nobody foresaw: a message that made its function fail again and again ends on the account row.

The function on a poison queue never raises: such a queue has no poison queue of its own, so a failure would loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from shared import telemetry
from shared.clock import Clock
from shared.config.applications import Applications
from shared.provisioning.account_rows import AccountRows, RowMoved, failure_columns
from shared.provisioning.accounts import AccountState, ResourceKind, write_columns
from shared.provisioning.attempt import Attempt, OwnCode
from shared.provisioning.provisioning_log import LogStatus
from shared.provisioning.retrying import escrow_until
from shared.storage.durable_writes import DurableWrite
from shared.storage.queues import Message, MessageRefused
from shared.storage.tables import StorageUnavailable

_TRIES = 3


@dataclass(slots=True, kw_only=True)
class PoisonKeeper:
    """Records poison messages."""

    applications: Applications
    rows: AccountRows
    clock: Clock
    new_id: Callable[[], str]

    async def record(self, text: str) -> str:
        """Escrow the account a poison message is about; answers what became of it. Never raises.

        A row that succeeded meanwhile, or that somebody works on, is left alone: the message is older than the row.
        """
        try:
            message = Message.decode(text)
        except MessageRefused as error:
            telemetry.emit(telemetry.Event.MESSAGE_REFUSED, reason=str(error))
            return "refused"
        application = self.applications.get(message.app)
        if application is None or not application.enabled:
            telemetry.emit(telemetry.Event.MESSAGE_REFUSED, reason="unknown application", application=message.app[:64])
            return "refused"
        for _ in range(_TRIES):
            try:
                return await self._escrow(message)
            except RowMoved:
                continue
            except StorageUnavailable as error:
                telemetry.emit(
                    telemetry.Event.ACCOUNT_POISONED, application=message.app, source_id=message.id, reason=str(error)
                )
                return "storage unavailable"
            except Exception as error:  # noqa: BLE001 - this queue has no poison queue: raising would begin a circle
                telemetry.emit(
                    telemetry.Event.ACCOUNT_POISONED,
                    application=message.app,
                    source_id=message.id,
                    reason=f"not recorded: {type(error).__name__}",
                )
                return "not recorded"
        return "row moved"

    async def _escrow(self, message: Message) -> str:
        application = self.applications[message.app]
        account = await self.rows.read(message.app, ResourceKind(message.kind), message.id)
        now = self.clock.now()
        if not account.pending or account.is_leased(now):
            return "nothing pending"
        failures = account.attempts + 1 if account.tried == account.wanted else 1
        last = f", the last time with {account.crash}" if account.crash else ""
        text = f"the function failed again and again on this account{last}"
        attempt = Attempt(
            application=application,
            account=account,
            before=account,
            now=now,
            started=0.0,
            first=False,
            number=message.attempt,
            trace=message.trace,
        )
        await self.rows.save_unleased(
            DurableWrite.POISON_ESCROW,
            account,
            columns={
                **failure_columns(
                    account,
                    code=OwnCode.POISONED,
                    text=text,
                    next_attempt_at=escrow_until(failures, failed_at=account.failed_at or now, now=now),
                    now=now,
                ),
                **write_columns(state=AccountState.ESCROWED),
            },
            entry=attempt.log(
                self.new_id(),
                status=LogStatus.FAILURE,
                reason=OwnCode.POISONED,
                duration_ms=0,
                code=OwnCode.POISONED,
                error=text,
            ),
        )
        telemetry.emit(
            telemetry.Event.ACCOUNT_POISONED, application=message.app, source_id=message.id, reason=OwnCode.POISONED
        )
        return "escrowed"
