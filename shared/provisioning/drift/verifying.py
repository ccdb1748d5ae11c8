"""Does each vendor still hold what was sent? Read in the background, reported or repaired (protocol step 39).

The vendor's list is read page by page and compared with the rows: one request tells about a hundred accounts. Whoever
looks different, or is not in the list, is read alone before anything is concluded, and only a settled row can have
drifted: with a change on its way the next round looks again. Accounts that no row owns are listed and never touched.

A round takes as long as it takes: each housekeeping does a slice of it, at a fifth of the vendor's rate. What a slice
has done is saved with every page and every account, so that a process that dies repeats at most one of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from shared import telemetry
from shared.clock import Clock
from shared.config.applications import Application
from shared.config.provisioning_file import duration_s
from shared.provisioning.account_lists import list_accounts
from shared.provisioning.account_rows import AccountRows
from shared.provisioning.accounts import Account, ResourceKind, write_columns
from shared.provisioning.applications_state import ApplicationStates
from shared.provisioning.drift.comparing import VANISHED, DriftCause, is_settled
from shared.provisioning.drift.confirming import TYPES, DriftConfirmer
from shared.provisioning.drift.findings import (
    DriftFindings,
    UnownedAccount,
    fold_matching,
    seen_operation,
    suspect_operation,
    unowned_operation,
)
from shared.provisioning.drift.ownership import OwnershipJudge
from shared.provisioning.drift.pace import AnswerHeed, Pace, SliceOver
from shared.provisioning.drift.rounds import DriftPhase, DriftRound, DriftRounds, RoundMoved, added
from shared.provisioning.exporting import ClientOf
from shared.scim.answers import Answer
from shared.scim.client import RequestPriority
from shared.scim.listing import ListPosition, Page
from shared.scim.patching import read_attribute
from shared.storage.limiter import RateLimited
from shared.storage.tables import Operation, StorageConflict, Tables, gather_all

DOUBT_AGE = timedelta(minutes=15)
"""After this no write of an account that was in doubt is on its way any more."""

DOUBT_EVERY_S = 3600.0
_LIST_TRIES = 12
"""An hour of housekeepings."""

_DOUBT_LIFE = timedelta(days=1)
"""Who was busy for so long since is settled by what was done then."""
_PARALLEL_READS = 16
_COLUMNS = ("target_id", "linked_at", "pending", "staged", "permit", "state", "config", "sent", "intent", "doubted_at")


@dataclass(slots=True, kw_only=True)
class Verifier:
    """Compares vendors with rows. One instance per process."""

    rows: AccountRows
    tables: Tables
    states: ApplicationStates
    rounds: DriftRounds
    findings: DriftFindings
    confirmer: DriftConfirmer
    ownership: OwnershipJudge
    client_of: ClientOf
    heed: AnswerHeed
    clock: Clock
    looked_at: dict[str, float] = field(default_factory=dict)
    """When this process last looked for accounts that had been in doubt; monotonic."""

    async def verify(self, application: Application) -> None:
        """One slice: begin a round that is due, or go on with one. Raises StorageUnavailable."""
        state = await self.states.read(application.name)
        if state.is_stopped or state.config != application.config_hash:
            return
        pace = Pace.begin(application, self.clock)
        try:
            current = await self._begin_or_go_on(application, await self.rounds.read(application.name))
            while current.phase is not DriftPhase.DONE:
                current = await self._go_on(application, current, pace)
        except (SliceOver, RateLimited, RoundMoved, StorageConflict):
            # It goes on with the next housekeeping; a process that is at the same round goes on with it now.
            return

    async def _begin_or_go_on(self, application: Application, current: DriftRound) -> DriftRound:
        now = self.clock.now()
        due = application.drift.mode != "off" and (
            current.started_at is None
            or now >= current.started_at + timedelta(seconds=duration_s(application.drift.every))
        )
        if current.requested or (due and current.phase is DriftPhase.DONE):
            return await self.rounds.save(current.begun(now))
        if current.phase is DriftPhase.DONE and self._may_look(application.name):
            return await self._look_for_doubted(application, current)
        return current

    def _may_look(self, app: str) -> bool:
        """Whether accounts that had been in doubt are looked for again, which reads every row of the application."""
        return self.clock.monotonic() >= self.looked_at.get(app, float("-inf")) + DOUBT_EVERY_S

    async def _go_on(self, application: Application, current: DriftRound, pace: Pace) -> DriftRound:
        match current.phase:
            case DriftPhase.LISTING:
                return await self._list_page(application, current, pace)
            case DriftPhase.MISSING:
                return await self._look_for_missing(application, current)
            case DriftPhase.CONFIRMING:
                return await self._confirm_suspects(application, current, pace)
            case _:
                return await self._finish(application, current)

    async def _list_page(self, application: Application, current: DriftRound, pace: Pace) -> DriftRound:
        """Compare one page of the vendor's list with the rows of whom it shows."""
        await pace.turn()
        page = await self.client_of(application).list_page(
            TYPES[current.kind], position=current.position, priority=RequestPriority.NORMAL
        )
        if not page.answer.ok:
            return await self._do_without_list(application, current, page.answer)
        operations, compared, differing, unowned = await self._compare_page(application, current, page)
        await self.findings.note_page(application.name, operations)
        moved = replace(
            current,
            pages=current.pages + 1,
            failures=0,
            sample=added(current.sample, differing, compared=compared),
            unowned=current.unowned + unowned,
        )
        if page.next is not None:
            return await self.rounds.save(replace(moved, position=page.next))
        return await self.rounds.save(replace(moved, phase=DriftPhase.MISSING, cursor=""))

    async def _do_without_list(self, application: Application, current: DriftRound, answer: Answer) -> DriftRound:
        """Read everybody by themselves where the vendor cannot list, or failed at it again and again."""
        if current.failures + 1 < _LIST_TRIES:
            failed = await self.rounds.save(replace(current, failures=current.failures + 1))
            await self.heed.heed(application, answer)
            current = failed
        problem = answer.detail[:200] or str(answer.kind)
        return await self.rounds.save(replace(current, phase=DriftPhase.MISSING, cursor="", problem=problem))

    async def _compare_page(
        self, application: Application, current: DriftRound, page: Page
    ) -> tuple[list[Operation], int, Mapping[str, int], int]:
        """The rows to write for a page, how many accounts were compared, which paths differ, and who has no owner."""
        shown = {str(resource["id"]): resource for resource in page.resources if resource.get("id")}
        owners = await self._owners(application.name, current.kind, list(shown))
        now, seen, compared = self.clock.now(), [], 0
        operations: list[Operation] = []
        differing: Counter[str] = Counter()
        for target_id, resource in shown.items():
            account = owners.get(target_id)
            if account is None:
                operations.append(self._unowned(application, current, resource, now))
                continue
            seen.append(account.source_id)
            if not self._is_settled(application, account):
                continue
            compared += 1
            drifted = self.confirmer.find(application, account, resource)
            if drifted:
                differing.update(drifted.keys())
                operations.append(suspect_operation(account, DriftCause.CHANGED, current.id))
            elif self.confirmer.reads_members(application, account):
                operations.append(suspect_operation(account, DriftCause.MEMBERS, current.id))
        operations.append(seen_operation(current.kind, current.id, current.pages, seen))
        return operations, compared, differing, len(shown) - len(seen)

    async def _owners(self, app: str, kind: ResourceKind, target_ids: Sequence[str]) -> dict[str, Account]:
        """The rows that own these accounts, by the vendor's id."""
        owned: dict[str, Account] = {}
        for at in range(0, len(target_ids), _PARALLEL_READS):
            batch = target_ids[at : at + _PARALLEL_READS]
            holders = await gather_all([self.rows.find_owner(app, kind, target_id) for target_id in batch])
            known = [(target_id, holder) for target_id, holder in zip(batch, holders, strict=True) if holder]
            accounts = await gather_all(
                [self.rows.read(app, kind, holder.removeprefix(f"{kind}:")) for _, holder in known]
            )
            owned |= {target_id: account for (target_id, _), account in zip(known, accounts, strict=True)}
        return owned

    def _unowned(
        self, application: Application, current: DriftRound, resource: Mapping[str, Any], now: datetime
    ) -> Operation:
        profile = application.resource(current.kind)
        values = [(entry.target, read_attribute(resource, entry.target)) for entry in profile.matching]
        carried = [(path, value) for path, value in values if isinstance(value, str) and value.strip()]
        active = read_attribute(resource, "active")
        return unowned_operation(
            UnownedAccount(
                kind=current.kind,
                target_id=str(resource["id"]),
                name=str(carried[0][1]) if carried else "",
                is_active=active if isinstance(active, bool) else None,
                external_id=str(read_attribute(resource, "externalId") or ""),
                found_at=now,
                values=frozenset(fold_matching(path, value) for path, value in carried),
                round=current.id,
            )
        )

    async def _look_for_missing(self, application: Application, current: DriftRound) -> DriftRound:
        """Suspect the linked accounts that the list did not show; then list the groups, or read the suspects."""
        seen = await self.findings.read_seen(application.name, current.kind, current.id)
        async for page in list_accounts(
            self.tables,
            application.name,
            current.kind,
            where="target_id ne ''",
            select=_COLUMNS,
            after=current.cursor,
        ):
            unseen = [account for account in page if account.source_id not in seen and not _is_new(account, current)]
            suspects = [account for account in unseen if self._is_settled(application, account)]
            await self._suspect(application, suspects, DriftCause.UNSEEN, current)
            counted = {} if current.problem else {VANISHED: len(suspects)}
            sample = added(current.sample, counted, compared=sum(counted.values()))
            current = await self.rounds.save(replace(current, cursor=page[-1].key, sample=sample))
        if current.kind is ResourceKind.USER and application.groups is not None:
            groups = replace(current, phase=DriftPhase.LISTING, kind=ResourceKind.GROUP, cursor="")
            return await self.rounds.save(replace(groups, position=ListPosition()))
        return await self.rounds.save(replace(current, phase=DriftPhase.CONFIRMING, cursor=""))

    async def _look_for_doubted(self, application: Application, current: DriftRound) -> DriftRound:
        """Suspect the accounts whose last writes were in doubt, whatever the mode (protocol step 39)."""
        now = self.clock.now()
        suspects: list[Account] = []
        done: list[Account] = []
        for kind in ResourceKind:
            async for page in list_accounts(
                self.tables, application.name, kind, where="doubted_at ne ''", select=_COLUMNS
            ):
                for account in page:
                    assert account.doubted_at is not None
                    age = now - account.doubted_at
                    if age >= DOUBT_AGE and self._is_settled(application, account):
                        suspects.append(account)
                    elif age < _DOUBT_LIFE:
                        continue
                    done.append(account)
        await self._suspect(application, suspects, DriftCause.DOUBTED, current)
        moved = current
        if suspects:
            moved = await self.rounds.save(replace(current, phase=DriftPhase.CONFIRMING, only_doubted=True))
        # The marks go last: a crash before it finds the same accounts again.
        marks = [Operation.merge(each.key, write_columns(doubted_at=None), etag=each.etag) for each in done]
        await self.findings.note_page(application.name, marks)
        self.looked_at[application.name] = self.clock.monotonic()
        return moved

    async def _suspect(
        self, application: Application, accounts: Sequence[Account], cause: DriftCause, current: DriftRound
    ) -> None:
        operations = [suspect_operation(account, cause, current.id) for account in accounts]
        await self.findings.note_page(application.name, operations)

    def _is_settled(self, application: Application, account: Account) -> bool:
        return is_settled(account, config=application.config_hash, now=self.clock.now())

    async def _confirm_suspects(self, application: Application, current: DriftRound, pace: Pace) -> DriftRound:
        """Read each suspect by itself, once a slice; what is still open then waits for the next one.

        Without any left, the round goes on to the accounts without an owner.
        """
        is_open = False
        async for page in self.findings.list_suspects(application.name):
            for finding in page:
                current, is_done = await self.confirmer.confirm(application, current, finding, pace)
                is_open = is_open or not is_done
        if is_open:
            await self.rounds.save(current)
            raise SliceOver
        return await self.rounds.save(replace(current, phase=DriftPhase.OWNING))

    async def _finish(self, application: Application, current: DriftRound) -> DriftRound:
        """Say whose the accounts without an owner are, forget what earlier rounds found, and be done."""
        now = self.clock.now()
        if current.only_doubted:
            return await self.rounds.save(replace(current, phase=DriftPhase.DONE, only_doubted=False))
        await self.ownership.judge(application)
        await self.findings.forget_earlier(application.name, current.id, listed=not current.problem)
        done = await self.rounds.save(replace(current, phase=DriftPhase.DONE, finished_at=now))
        telemetry.emit(
            telemetry.Event.DRIFT_VERIFIED,
            application=application.name,
            compared=done.sample.compared,
            drifted=done.drifted,
            vanished=done.vanished,
            repaired=done.repaired,
            unowned=done.unowned,
        )
        return done


def _is_new(account: Account, current: DriftRound) -> bool:
    """Whether the account was linked since the list was begun, so that it need not be in it."""
    return account.linked_at is not None and current.started_at is not None and account.linked_at >= current.started_at
