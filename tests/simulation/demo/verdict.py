"""The end of the demo: what each vendor holds against what it should hold, and what that cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.provisioning.accounts import ACCOUNTS
from tests.simulation.demo.connected import CONNECTED
from tests.simulation.demo.expectations import Difference, Wanted
from tests.simulation.demo.judging import Judge, as_found, compare
from tests.simulation.demo.judging_groups import HAVE_GROUPS, GroupsCompared, compare_groups
from tests.simulation.demo.progress import Progress
from tests.simulation.demo.spending import Spending, count_spending
from tests.simulation.demo.stage import Stage

LOG_LINES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Everything about one vendor at the end."""

    application: str
    title: str
    active: int
    inactive: int
    expected_active: int
    expected_inactive: int
    held: int
    """People whose deprovisioning waits for a person's word, as it should."""
    refused: int
    """People without an account because the vendor does not take their roles, as it should be."""
    spending: Spending
    violations: Sequence[Mapping[str, Any]]
    peak: int
    """Most requests in one window of the vendor's."""
    limit: int | None
    """Requests the vendor serves per window; None: as many as come."""
    window_s: float
    differences: Sequence[Difference]
    """Those of accounts."""
    groups: GroupsCompared | None
    """None where the vendor has no groups."""
    by_hand: int
    """Groups that wait for a person to make them at the vendor, as they should."""
    complaints: Sequence[str]
    """What else is not as it should be."""

    @property
    def agrees(self) -> bool:
        """Whether nothing at all is wrong."""
        return not (self.all_differences or self.violations or self.complaints)

    @property
    def all_differences(self) -> Sequence[Difference]:
        """Those of accounts, then those of groups."""
        return [*self.differences, *(self.groups.differences if self.groups else ())]

    def count(self, kind: str) -> int:
        """How many differences of accounts are of a kind."""
        return sum(difference.kind == kind for difference in self.differences)

    @property
    def per_account(self) -> float:
        """Requests for each account that was ever held, those about groups left out."""
        return (self.spending.total - self.spending.groups) / max(
            1, self.active + self.inactive + self.spending.deletes
        )


LIMITS: Mapping[str, int | None] = {"fuze": 10, "fortes": None, "purecloud": 300, "clarizen": None}


async def find_out(
    stage: Stage, judge: Judge, progress: Sequence[Progress], *, held: Mapping[str, frozenset[str]]
) -> list[Finding]:
    """Asks every vendor what it holds and compares."""
    by_name = {each.application: each for each in progress}
    titles = {connected.name: connected.title for connected in CONNECTED}
    return [
        await _find_out_one(stage, judge, by_name[name], title=title, held=held.get(name, frozenset()))
        for name, title in titles.items()
    ]


async def _find_out_one(stage: Stage, judge: Judge, progress: Progress, *, title: str, held: frozenset[str]) -> Finding:
    name = progress.application
    resources, journal, violations, state = [
        await stage.vendors.read(name, what) for what in ("resources", "journal", "violations", "state")
    ]
    accounts = as_found(judge.expected(name, held=held), resources)
    expected = accounts.values()
    groups = None
    if name in HAVE_GROUPS:
        held_groups = await stage.vendors.read_groups(name)
        groups = compare_groups(name, judge.expected_groups(name, accounts), held_groups, resources)
    present = [resource for resource in resources if not resource["_deleted"]]
    active = sum(bool(resource.get("active")) for resource in present)
    wanted = Counter(each.wanted for each in expected)
    limit = LIMITS[name]
    peak = state["peak_in_window"]
    return Finding(
        application=name,
        title=title,
        active=active,
        inactive=len(present) - active,
        expected_active=wanted[Wanted.ACTIVE],
        expected_inactive=wanted[Wanted.INACTIVE],
        held=progress.held,
        refused=progress.failed,
        spending=count_spending(journal),
        violations=violations,
        peak=peak,
        limit=limit,
        window_s=state["window_s"],
        differences=compare(name, expected, resources),
        groups=groups,
        by_hand=len(progress.missing_ids),
        complaints=[
            *_misplaced(progress, held=held, refused=judge.refused(name), missing=judge.missing_groups(name)),
            *_complaints(progress, peak=peak, limit=limit),
        ],
    )


def _misplaced(
    progress: Progress, *, held: frozenset[str], refused: frozenset[str], missing: frozenset[str]
) -> list[str]:
    """Who waits for a person and should not, and the other way round."""
    return [
        f"{words}: {_named(there - expected)}; not {words}: {_named(expected - there)}"
        for words, there, expected in (
            ("failed", progress.failed_ids, refused),
            ("held", progress.held_ids, held),
            ("to be made by hand", progress.missing_ids, missing),
        )
        if there != expected
    ]


def _complaints(progress: Progress, *, peak: int, limit: int | None) -> list[str]:
    found = []
    if progress.status != "Active":
        found.append(f"its status is {progress.status}")
    if limit is not None and peak > limit:
        found.append(f"{peak} requests in one window of the vendor's, {limit} are allowed")
    return found


def _named(ids: frozenset[str]) -> str:
    return ", ".join(sorted(ids)) or "nobody"


async def read_log_tail(stage: Stage, *, lines: int = LOG_LINES) -> list[tuple[str, Mapping[str, Any]]]:
    """Answers with the last lines of all applications' provisioning logs that say more than a skip, oldest first."""
    found: list[tuple[str, Mapping[str, Any]]] = []
    for connected in CONNECTED:
        pages = stage.services.tables.query(
            ACCOUNTS, connected.name, first="log:", before="log;", where="status ne 'skipped'", page_size=lines
        )
        async for page in pages:
            found += [(connected.title, row.values) for row in page]
            break
    found.sort(key=lambda entry: str(entry[1]["at"]))
    return found[-lines:]
