"""One suspect of a verification: the row, then the vendor, then what follows under the row's ETag."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from shared import telemetry
from shared.clock import Clock
from shared.config.applications import Application
from shared.provisioning.account_rows import AccountRows
from shared.provisioning.accounts import Account, AccountState, ResourceKind
from shared.provisioning.drift.comparing import VANISHED, DriftCause, DriftStatus, find_drift, is_settled, judge_drift
from shared.provisioning.drift.findings import DriftFindings, Finding
from shared.provisioning.drift.members import MEMBERS, MOST_READ, DriftMembers
from shared.provisioning.drift.pace import AnswerHeed, Pace, SliceOver
from shared.provisioning.drift.rounds import DriftRound, DriftRounds, added
from shared.provisioning.exporting import ClientOf
from shared.provisioning.mapping_source import SourceMapper
from shared.provisioning.provisioning_log import LogEntry, LogStatus
from shared.rules.expressions import REDACTED
from shared.scim.addresses import ResourceType
from shared.scim.answers import Answer, AnswerKind
from shared.scim.client import RequestPriority
from shared.storage.limiter import RateLimited

_TRIES = 6
"""In so many slices an account is asked for that cannot be read, or that something is wanted of."""

TYPES: Mapping[ResourceKind, ResourceType] = {
    ResourceKind.USER: ResourceType.USER,
    ResourceKind.GROUP: ResourceType.GROUP,
}


@dataclass(slots=True, kw_only=True)
class DriftConfirmer:
    """Reads suspects one by one, and reports or repairs what differs."""

    rows: AccountRows
    rounds: DriftRounds
    findings: DriftFindings
    members: DriftMembers
    mapper: SourceMapper
    client_of: ClientOf
    heed: AnswerHeed
    clock: Clock
    new_id: Callable[[], str]

    async def confirm(
        self, application: Application, current: DriftRound, finding: Finding, pace: Pace
    ) -> tuple[DriftRound, bool]:
        """Answer the round with this suspect counted, and whether it is done.

        Raises SliceOver, or RateLimited, with the round saved.
        """
        account = await self.rows.read(application.name, finding.kind, finding.source_id)
        if not is_settled(account, config=application.config_hash, now=self.clock.now()):
            return current, await self._gives_up(application.name, finding)
        try:
            await pace.turn()
            answer = await self._read(application, account)
            if not answer.ok and answer.kind is not AnswerKind.NOT_FOUND:
                is_done = await self._gives_up(application.name, finding)
                await self.heed.heed(application, answer)
                return current, is_done
        except (SliceOver, RateLimited):
            await self.rounds.save(current)
            raise
        observed, missing = await self._compare(application, account, answer)
        current = _sampled(current, finding, observed)
        if not observed:
            await self.findings.drop_suspicion(application.name, finding)
            return current, True
        finding = replace(finding, round=current.id)
        return await self._conclude(application, current, finding, account, observed, missing)

    async def _read(self, application: Application, account: Account) -> Answer:
        return await self.client_of(application).read(
            TYPES[account.kind],
            account.target_id,
            with_members=self.reads_members(application, account),
            priority=RequestPriority.NORMAL,
        )

    async def _compare(
        self, application: Application, account: Account, answer: Answer
    ) -> tuple[dict[str, Any], list[str]]:
        """What the vendor holds that is not what was sent, and whose memberships it lost."""
        if answer.kind is AnswerKind.NOT_FOUND:
            return {VANISHED: None}, []
        resource = answer.resource or {}
        observed, missing = self.find(application, account, resource), list[str]()
        if self.reads_members(application, account):
            missing = await self.members.find_missing(account, resource)
        if missing:
            observed[MEMBERS] = f"{len(missing)} of {account.members} are missing"
        return observed, missing

    async def _gives_up(self, app: str, finding: Finding) -> bool:
        """One account that cannot be read, or is busy, is asked for a few slices more, and not for ever."""
        if finding.tries + 1 >= _TRIES:
            await self.findings.drop_suspicion(app, finding)
            return True
        await self.findings.note_try(app, finding)
        return False

    def reads_members(self, application: Application, account: Account) -> bool:
        """Whether an account is a group that is read with its members."""
        return account.kind is ResourceKind.GROUP and application.has_members and 0 < account.members <= MOST_READ

    def find(self, application: Application, account: Account, resource: Mapping[str, Any]) -> dict[str, Any]:
        """What the vendor holds that is not what was sent; of a leaver, only what would give access back."""
        compiled = self.mapper.mappings_of(application, account.kind)
        sent = account.sent or {}
        if account.state is AccountState.DISABLED:
            switches = {step.target for step in compiled.steps if step.follows_soft_delete}
            sent = {path: value for path, value in sent.items() if path in switches}
        return find_drift(sent, resource, profile=application.resource(account.kind), add_only=compiled.add_only)

    async def _conclude(
        self,
        application: Application,
        current: DriftRound,
        finding: Finding,
        account: Account,
        observed: Mapping[str, Any],
        missing: Sequence[str],
    ) -> tuple[DriftRound, bool]:
        """It differs: report it, or raise the row to be written again."""
        now = self.clock.now()
        status, repaired = judge_drift(
            observed, mode=application.drift.mode, cause=finding.cause, state=account.state, sample=current.sample
        )
        shown = self._shown(application, account, observed)
        if status is DriftStatus.REPAIRING:
            if missing:
                await self.members.mark(account, missing)
            if set(repaired) == {MEMBERS}:
                await self.members.wake(account)
                await self.findings.confirm(application.name, finding, status, shown, now)
            elif not await self._repair(application, account, finding, observed, shown, repaired - {MEMBERS}):
                return current, await self._gives_up(application.name, finding)
        else:
            await self.findings.confirm(application.name, finding, status, shown, now)
        telemetry.emit(
            telemetry.Event.ACCOUNT_DRIFTED,
            application=application.name,
            source_id=account.source_id,
            kind=account.kind,
            status=status,
            cause=finding.cause,
            paths=sorted(observed)[:20],
        )
        if current.only_doubted:
            return current, True
        counted = replace(
            current,
            drifted=current.drifted + (VANISHED not in observed),
            vanished=current.vanished + (VANISHED in observed),
            repaired=current.repaired + (status is DriftStatus.REPAIRING),
        )
        return counted, True

    async def _repair(
        self,
        application: Application,
        account: Account,
        finding: Finding,
        observed: Mapping[str, Any],
        shown: Mapping[str, tuple[str, str]],
        paths: frozenset[str],
    ) -> bool:
        """Raise the row; False when it moved since it was compared."""
        now = self.clock.now()
        believed = None if VANISHED in observed else {path: observed[path] for path in paths}
        entry = self._entry(application, account, shown, now)
        return await self.findings.repair(account, finding, shown, believed, entry=entry, now=now)

    def _shown(
        self, application: Application, account: Account, observed: Mapping[str, Any]
    ) -> dict[str, tuple[str, str]]:
        """What was sent and what the vendor holds, for a person to read; redacted where the mapping says so."""
        redacted = self.mapper.mappings_of(application, account.kind).redacted
        sent = account.sent or {}

        def text(path: str, value: Any) -> str:
            if path in redacted:
                return REDACTED
            return "" if value is None else str(value)

        return {path: (text(path, sent.get(path)), text(path, value)) for path, value in observed.items()}

    def _entry(
        self, application: Application, account: Account, shown: Mapping[str, tuple[str, str]], now: datetime
    ) -> LogEntry:
        return LogEntry(
            at=now,
            id=self.new_id(),
            source_id=account.source_id,
            kind=account.kind,
            target_id=account.target_id,
            action="other",
            status=LogStatus.WARNING,
            reason="changed_at_vendor",
            number=account.wanted,
            config=application.config_hash,
            duration_ms=0,
            modified=[
                {"displayName": path, "oldValue": sent, "newValue": observed}
                for path, (sent, observed) in shown.items()
            ],
        )


def _sampled(current: DriftRound, finding: Finding, observed: Mapping[str, Any]) -> DriftRound:
    """The round with this account among those compared, if it is not yet.

    Whom the list did not show was counted as gone from the start, so that the first of many who are is judged as the
    last.
    """
    if current.only_doubted or finding.cause in (DriftCause.CHANGED, DriftCause.MEMBERS):
        return current
    if not current.problem:
        found = {} if VANISHED in observed else {VANISHED: -1, **dict.fromkeys(observed, 1)}
        return replace(current, sample=added(current.sample, found, compared=0))
    return replace(current, sample=added(current.sample, dict.fromkeys(observed, 1), compared=1))
