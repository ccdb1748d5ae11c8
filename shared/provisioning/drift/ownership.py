"""Whose could an account be that no row owns? The directory is asked once per round, person by person."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass

from shared.config.applications import Application
from shared.directory.mirror import GroupFacts, Mirror, UserFacts
from shared.provisioning.account_rows import AccountRows
from shared.provisioning.accounts import ResourceKind
from shared.provisioning.drift.findings import DriftFindings, Ownership, UnownedAccount, fold_matching
from shared.provisioning.mapping_source import SourceMapper
from shared.rules.failures import InvalidData

_MOST = 50_000
"""Accounts without an owner that are judged in a round; the others stay unknown."""

_DIGITS = "0123456789abcdef"


@dataclass(slots=True, kw_only=True)
class OwnershipJudge:
    """Compares accounts without an owner with the people and groups of the directory."""

    mirror: Mirror
    rows: AccountRows
    findings: DriftFindings
    mapper: SourceMapper

    async def judge(self, application: Application) -> None:
        """Decide about everything that this round listed. Idempotent; reads the mirror only when something is open."""
        for kind in ResourceKind:
            if kind is ResourceKind.GROUP and application.groups is None:
                continue
            open_ones = await self._read_open(application, kind)
            if not open_ones:
                continue
            persons = await self._find_persons(application, kind, open_ones)
            await self._decide(application, open_ones, persons)

    async def _read_open(self, application: Application, kind: ResourceKind) -> list[UnownedAccount]:
        """Accounts that are still to be judged; those that got an owner since they were listed are dropped."""
        open_ones: list[UnownedAccount] = []
        owned: list[UnownedAccount] = []
        async for page in self.findings.list_unowned(application.name, undecided=True):
            for unowned in page:
                if unowned.kind is not kind or len(open_ones) >= _MOST:
                    continue
                owner = await self.rows.find_owner(application.name, kind, unowned.target_id)
                (owned if owner else open_ones).append(unowned)
        await self.findings.drop_unowned(application.name, owned)
        return open_ones

    async def _find_persons(
        self, application: Application, kind: ResourceKind, open_ones: Collection[UnownedAccount]
    ) -> dict[str, str]:
        """Folded matching value -> who would be matched by it."""
        looked_for = {value for unowned in open_ones for value in unowned.values}
        persons: dict[str, str] = {}
        async for facts in self._list_sources(kind):
            try:
                mapped = self.mapper.map_source(application, facts, roles=(), soft_deleted=False)
            except InvalidData:
                continue
            source_id = facts.id if isinstance(facts, GroupFacts) else facts.user.id if facts.user else ""
            for path, value in mapped.matching:
                folded = fold_matching(path, value)
                if folded in looked_for:
                    persons.setdefault(folded, source_id)
        return persons

    async def _list_sources(self, kind: ResourceKind) -> AsyncIterator[UserFacts | GroupFacts]:
        if kind is ResourceKind.GROUP:
            async for group in self.mirror.list_groups():
                yield group
            return
        for digit in _DIGITS:
            async for page in self.mirror.list_users(digit, with_attributes=True):
                for user in page:
                    yield UserFacts(user=user)

    async def _decide(
        self, application: Application, open_ones: Collection[UnownedAccount], persons: dict[str, str]
    ) -> None:
        decided: list[tuple[UnownedAccount, Ownership, str]] = []
        for unowned in open_ones:
            source_id = next((persons[value] for value in sorted(unowned.values) if value in persons), "")
            if not source_id:
                decided.append((unowned, Ownership.UNKNOWN, ""))
                continue
            account = await self.rows.read(application.name, unowned.kind, source_id)
            ownership = Ownership.DUPLICATE if account.target_id else Ownership.ADOPTABLE
            if ownership is Ownership.ADOPTABLE and unowned.external_id not in ("", source_id):
                ownership = Ownership.FOREIGN
            decided.append((unowned, ownership, source_id))
        await self.findings.decide_ownership(application.name, decided)
