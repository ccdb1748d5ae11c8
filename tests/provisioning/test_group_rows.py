"""The row of a group between its two writers: a raise of the puller, and a save of the consumer."""

from __future__ import annotations

from shared.provisioning.account_rows import AccountRows, LeaseRequest
from shared.provisioning.accounts import (
    ACCOUNTS,
    FROM_START,
    Intent,
    IntentKind,
    ResourceKind,
    account_key,
    make_number,
    raise_columns,
)
from shared.provisioning.provisioning_log import LogEntry, LogStatus
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation
from tests.provisioning.memory_tables import MemoryTables, Store
from tests.provisioning.pulls import APP
from tests.world import START


async def test_a_raise_to_compare_all_outlives_the_save_of_what_was_compared_before() -> None:
    tables = MemoryTables(Store())
    rows = AccountRows(tables)
    key = account_key(ResourceKind.GROUP, "team")
    raised = [
        raise_columns(make_number(1, n), staged=False, queued_at=START, trace="") | {"fill": FROM_START} for n in (1, 2)
    ]
    await tables.commit(DurableWrite.RAISE, ACCOUNTS, APP, [Operation.merge(key, raised[0])])
    group = await rows.read(APP, ResourceKind.GROUP, "team")
    request = LeaseRequest(token="ours", until=START, intent=Intent(kind=IntentKind.PATCH), at=START)
    leased = await rows.take_lease(group, request)
    await tables.commit(DurableWrite.RAISE, ACCOUNTS, APP, [Operation.merge(key, raised[1])])

    entry = LogEntry(
        at=START,
        id="1",
        source_id="team",
        kind="group",
        target_id="",
        action="update",
        status=LogStatus.SUCCESS,
        reason="",
        number=group.wanted,
        config="",
        duration_ms=0,
    )
    saved = await rows.save_leased(DurableWrite.SAVE, leased, columns={"fill": "m"}, entry=entry, closes_intent=True)

    assert saved is not None
    assert (await rows.read(APP, ResourceKind.GROUP, "team")).fill == FROM_START
