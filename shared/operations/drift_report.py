"""What a verification found at one application, as a person wants to see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from shared.config.applications import Application
from shared.operations.pages import Page, Section, read_sections
from shared.provisioning.account_rows import AccountRows
from shared.provisioning.drift.comparing import DriftStatus
from shared.provisioning.drift.findings import DRIFT_PREFIX, UNOWNED_PREFIX, Finding, read_finding, read_unowned
from shared.provisioning.drift.rounds import DriftRound, DriftRounds
from shared.storage.tables import Row, Tables, gather_all

_REPAIRED = "repaired"
_PARALLEL_READS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftedAccount:
    """One account that differs from what was sent."""

    kind: str
    source_id: str
    target_id: str
    status: str
    """`suspected`, `reported`, `repairing`, `repaired` or `systematic`."""
    gone: bool
    """The vendor has the account no more."""
    found_at: datetime | None
    paths: Mapping[str, tuple[str, str]]
    """Path -> what was sent and what the vendor held; redacted where the mapping says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftReport:
    """The last round, or the one that is under way."""

    application: str
    mode: str
    phase: str
    started_at: datetime | None
    finished_at: datetime | None
    compared: int
    unowned: int
    problem: str
    """Why the vendor's accounts could not be listed; empty: they were."""
    accounts: tuple[DriftedAccount, ...]
    next: str | None = None
    """Cursor with which the accounts go on; None: these were the last ones."""

    @property
    def needs_a_person(self) -> bool:
        """Whether something differs that nobody repairs."""
        return any(account.status in (DriftStatus.REPORTED, DriftStatus.SYSTEMATIC) for account in self.accounts)


async def report_drift(
    application: Application,
    *,
    rounds: DriftRounds,
    tables: Tables,
    rows: AccountRows,
    limit: int = 100,
    cursor: str = "",
) -> DriftReport:
    """Read the report, with some of the accounts.

    Raises CursorRefused, StorageUnavailable, ValueError for a limit outside 1 to 1000.
    """
    app = application.name
    current: DriftRound = await rounds.read(app)
    sections = [Section(name="differs", prefix=DRIFT_PREFIX)]
    page = await read_sections(tables, app, sections, lambda _, row: read_finding(row), limit=limit, cursor=cursor)
    accounts: list[DriftedAccount] = []
    for at in range(0, len(page.items), _PARALLEL_READS):
        some = page.items[at : at + _PARALLEL_READS]
        accounts += await gather_all([_account(app, finding, rows) for finding in some])
    return DriftReport(
        application=app,
        mode=application.drift.mode,
        phase=current.phase.value,
        started_at=current.started_at,
        finished_at=current.finished_at,
        compared=current.sample.compared,
        unowned=current.unowned,
        problem=current.problem,
        accounts=tuple(accounts),
        next=page.next,
    )


async def _account(app: str, finding: Finding, rows: AccountRows) -> DriftedAccount:
    status: str = finding.status
    if finding.status is DriftStatus.REPAIRING:
        account = await rows.read(app, finding.kind, finding.source_id)
        status = status if account.pending else _REPAIRED
    return DriftedAccount(
        kind=finding.kind.value,
        source_id=finding.source_id,
        target_id=finding.target_id,
        status=str(status),
        gone=finding.is_gone,
        found_at=finding.found_at,
        paths={} if finding.is_gone else finding.paths,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class UnownedLine:
    """One account at the vendor that no row owns. It is never touched."""

    kind: str
    target_id: str
    name: str
    """The value it would be matched by, as the vendor shows it."""
    is_active: bool | None
    """None: the vendor does not say."""
    external_id: str
    found_at: datetime | None
    ownership: str
    """`unknown`, `adoptable`, `duplicate` or `foreign`."""
    source_id: str
    """Whose name it carries, empty for nobody's."""


async def read_unowned_page(tables: Tables, app: str, *, limit: int = 100, cursor: str = "") -> Page[UnownedLine]:
    """Read some of the accounts that the last round found without an owner.

    Raises CursorRefused, StorageUnavailable, ValueError for a limit outside 1 to 1000.
    """

    def decode(_: Section, row: Row) -> UnownedLine:
        unowned = read_unowned(row)
        return UnownedLine(
            kind=unowned.kind.value,
            target_id=unowned.target_id,
            name=unowned.name,
            is_active=unowned.is_active,
            external_id=unowned.external_id,
            found_at=unowned.found_at,
            ownership=unowned.ownership.value,
            source_id=unowned.source_id,
        )

    sections = [Section(name="unowned", prefix=UNOWNED_PREFIX)]
    return await read_sections(tables, app, sections, decode, limit=limit, cursor=cursor)
