"""Account rows and log records in every state that figures tell apart, and what a full look at them counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from shared.clock import write_instant
from shared.config.applications import Application, load_applications
from shared.provisioning.accounts import ACCOUNTS, AccountState, make_number
from shared.provisioning.provisioning_log import LogEntry, LogStatus
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation, Tables
from tests.provisioning.memory_tables import MemoryTables, Store
from tests.world import START

APP = "acme"
CODES = ("InvalidValue", "ForeignAccount", "Poisoned")
_CONFIGURATION = """
version: 1
applications:
  acme:
    profile: scim
    service_principal_id: 33333333-3333-3333-3333-333333333333
    base_url: http://127.0.0.1:9/scim/v2
    auth: {type: bearer, token: ACME_TOKEN}
    rate_limit: {requests_per_second: 10}
"""


def load_application() -> Application:
    """An application that nobody connects to."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "provisioning.yaml"
        path.write_text(_CONFIGURATION, encoding="utf-8")
        return load_applications(path, {"ACME_TOKEN": "t"})[APP]


APPLICATION = load_application()
CONFIG = APPLICATION.config_hash


@dataclass(frozen=True, slots=True)
class Person:
    """What one account row says, as a test wants it."""

    state: AccountState
    pending: bool = False
    staged: bool = False
    code: str = ""
    epoch: int = 1
    config: str = CONFIG

    def columns(self) -> dict[str, Any]:
        """The columns of the row."""
        wanted = make_number(self.epoch, 1)
        return {
            "wanted": wanted,
            "tried": wanted,
            "pending": self.pending,
            "config": self.config,
            "state": self.state.value,
            "staged": wanted if self.staged else "",
            "target_id": "there",
            "error_code": self.code,
            "failed_at": write_instant(START - timedelta(hours=self.epoch)) if self.code else "",
        }


def person(at: int) -> Person:
    """One of a mixed population; every state, and everything that makes a row count differently, is among any 40."""
    if at % 40 == 39:
        return Person(AccountState.IN_SYNC, pending=True, staged=True)
    if at % 10 == 9:
        return Person(AccountState.ESCROWED, pending=True, code=CODES[at % 3], epoch=2)
    if at % 10 == 8:
        return Person(AccountState.HELD, pending=True, staged=True)
    if at % 5 == 0:
        return Person(AccountState.PENDING, pending=True, epoch=3 + at % 4)
    return Person((AccountState.IN_SYNC, AccountState.DISABLED, AccountState.SKIPPED)[at % 3])


async def write_people(tables: Tables, people: Sequence[Person], *, groups: int = 0, config: str = "") -> None:
    """Write their rows, some of them as groups, and a row that was never raised; `config`: of all of them."""
    same = {"config": config} if config else {}
    rows = [
        Operation.insert(f"{'group' if at < groups else 'user'}:{at:06d}", each.columns() | same)
        for at, each in enumerate(people)
    ]
    await tables.commit_all(DurableWrite.SAVE, ACCOUNTS, APP, [*rows, Operation.insert("user:x", {"referred": True})])


async def write_list(tables: Tables, ids: int, *, epoch: int = 9) -> None:
    """Write a list of people who are raised when there is room."""
    row = Operation.insert(f"raise:{make_number(epoch, 1)}:0000", {"ids": "[]", "count": ids})
    await tables.commit(DurableWrite.RAISE_LIST, ACCOUNTS, APP, [row])


def states_of(people: Sequence[Person], *, hold_stands: bool) -> dict[str, int]:
    """How many are in which state, by the plainest count there is."""
    found = Counter(AccountState.HELD.value if each.staged and hold_stands else each.state.value for each in people)
    return {state.value: found[state.value] for state in AccountState}


def record(at: datetime, number: int, *, status: LogStatus = LogStatus.SUCCESS, action: str = "create") -> Operation:
    """The write of a record of the provisioning log."""
    return LogEntry(
        at=at,
        id=f"{number:012d}",
        source_id=f"{number}",
        kind="user",
        target_id="",
        action=action,
        status=status,
        reason="",
        number="",
        config="",
        duration_ms=1,
    ).operations()[0]


async def write_log(tables: Tables, records: Sequence[Operation]) -> None:
    """Write records."""
    if records:
        await tables.commit_all(DurableWrite.LOG, ACCOUNTS, APP, records)


def instants(count: int, *, since: datetime = START, step_s: float = 7.0) -> list[datetime]:
    """So many instants, one after the other."""
    return [since + timedelta(seconds=step_s * at) for at in range(count)]


class Overtaken(MemoryTables):
    """Tables of a process that is overtaken by another one just before its first write to figures."""

    def __init__(self, store: Store, overtake: Callable[[], Awaitable[Any]]) -> None:
        super().__init__(store)
        self._overtake: Callable[[], Awaitable[Any]] | None = overtake

    async def _commit(self, table: str, partition: str, operations: Sequence[Operation]) -> list[str]:
        overtake, self._overtake = self._overtake, None
        if overtake is not None:
            await overtake()
        return await super()._commit(table, partition, operations)
