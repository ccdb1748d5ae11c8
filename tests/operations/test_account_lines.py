"""Lists of accounts, of failures and of accounts without an owner: what they hold, page by page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from shared.operations.account_lines import AccountLine, read_accounts_page
from shared.operations.cursors import CursorRefused, encode_cursor
from shared.operations.drift_report import read_unowned_page
from shared.operations.failure_report import read_failures_page
from shared.operations.pages import FilterRefused, Page
from shared.provisioning.accounts import ACCOUNTS, AccountState, ResourceKind, account_key, make_number, raise_columns
from shared.provisioning.drift.findings import UnownedAccount, unowned_operation
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation
from tests.provisioning.pulls import APP, assign, calm, people, pulling
from tests.world import World


async def collect(read: Callable[[str], Awaitable[Page[Any]]]) -> list[Any]:
    """All items of all pages."""
    items: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await read(cursor)
        items += page.items
        cursor = page.next
    return items


async def accounts_of(world: World, *, limit: int = 1000, **wanted: Any) -> list[AccountLine]:
    async def read(cursor: str) -> Page[AccountLine]:
        page = await read_accounts_page(
            world.services.applications[APP],
            tables=world.services.tables,
            held_deletions=world.services.held_deletions,
            limit=limit,
            cursor=cursor,
            **wanted,
        )
        assert len(page.items) <= limit
        return page

    return await collect(read)


async def mixed(world: World) -> tuple[str, str]:
    """Accounts in many states: settled, failed, held by the guard in two ways, raised and never tried, a group."""
    object.__setattr__(world.services.applications[APP].deletion_guard, "max_count", 1)
    world.vendors[APP].seed(
        [{"userName": world.tenant.user(people(world, 1)[0])["userPrincipalName"], "externalId": "another's"}]
    )
    team = world.tenant.create_group("Team", members=people(world, 4))
    assign(world, team)
    await calm(world)
    leavers = people(world, 3, start=3)
    for user_id in leavers:
        world.tenant.disable(user_id)
    await calm(world)
    raised = raise_columns(make_number(9, 9), staged=False, queued_at=None, trace="")
    referred = Operation.merge(account_key(ResourceKind.USER, "only referred to"), {"referred": True})
    await world.services.tables.commit(DurableWrite.RAISE, ACCOUNTS, APP, [referred])
    new = Operation.merge(account_key(ResourceKind.USER, "not tried yet"), raised)
    await world.services.tables.commit(DurableWrite.RAISE, ACCOUNTS, APP, [new])
    return team, leavers[0]


async def test_each_state_lists_as_many_as_the_report_counts(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more="scope: all\ngroups: {enabled: true}") as world:
        team, leaver = await mixed(world)
        report = await world.services.application_reports.report(world.services.applications[APP])

        everybody = await accounts_of(world)
        by_state = {state: await accounts_of(world, state=state) for state in AccountState}
        by_one = {state: await accounts_of(world, state=state, limit=1) for state in AccountState}
        by_kind = {kind: await accounts_of(world, kind=kind, limit=2) for kind in ResourceKind}

        counts = {state.value: len(lines) for state, lines in by_state.items()}
        assert counts == dict(report.states)
        assert counts["held"] == 3
        assert min(counts[state] for state in ("held", "escrowed", "in_sync", "pending")) > 0
        assert Counter(line.state for line in everybody) == {state: n for state, n in counts.items() if n}
        assert by_one == by_state
        assert by_kind[ResourceKind.USER] + by_kind[ResourceKind.GROUP] == everybody
        assert leaver in {line.source_id for line in by_state[AccountState.HELD]}
        assert team in {line.source_id for line in by_kind[ResourceKind.GROUP]}
        [failed] = by_state[AccountState.ESCROWED]
        assert (failed.error_code, failed.pending, failed.attempts) == ("ForeignAccount", True, 1)


async def test_failures_come_in_pages_too(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix, more="scope: all\ngroups: {enabled: true}") as world:
        await mixed(world)
        tables = world.services.tables
        columns = {"wanted": "1", "state": "escrowed", "error_code": "Rare", "attempts": 2}
        rows = [Operation.merge(f"{kind}:failed {at}", columns) for kind in ResourceKind for at in range(5)]
        await tables.commit(DurableWrite.ESCROW, ACCOUNTS, APP, rows)

        for code, many in {"": 11, "Rare": 10, "ForeignAccount": 1, "Never": 0}.items():
            listed = (await read_failures_page(tables, APP, code=code, limit=1000)).items
            assert len(listed) == many
            for limit in (1, 4):
                paged = await collect(
                    lambda cursor, code=code, limit=limit: read_failures_page(
                        tables, APP, code=code, limit=limit, cursor=cursor
                    )
                )
                assert tuple(paged) == listed
        with pytest.raises(FilterRefused):
            await read_failures_page(tables, APP, code="' or ''='")


async def test_accounts_without_an_owner_come_in_pages(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix) as world:
        tables = world.services.tables
        unowned = [
            UnownedAccount(
                kind=kind,
                target_id=f"t/{at} 😀",
                name=f"name {at}",
                is_active=None,
                external_id="",
                found_at=world.clock.now(),
                values=frozenset({"x"}),
                round="1",
            )
            for kind in ResourceKind
            for at in range(5)
        ]
        await world.services.drift_findings.note_page(APP, [unowned_operation(each) for each in unowned])

        for limit in (1, 3, 10, 1000):
            lines = await collect(
                lambda cursor, limit=limit: read_unowned_page(tables, APP, limit=limit, cursor=cursor)
            )
            assert sorted((line.kind, line.target_id) for line in lines) == sorted(
                (each.kind, each.target_id) for each in unowned
            )


@pytest.mark.parametrize(
    "place",
    [{"in": "elsewhere"}, {"in": 7}, {"in": "user", "on": 7}, {"in": "user", "on": "[]"}, {"in": "staged", "on": []}],
    ids=str,
)
async def test_a_cursor_that_somebody_made_is_refused(azurite: str, name_prefix: str, place: dict[str, Any]) -> None:
    async with pulling(azurite, name_prefix, in_memory=False) as world:
        for state in (None, AccountState.HELD):
            with pytest.raises(CursorRefused):
                await read_accounts_page(
                    world.services.applications[APP],
                    tables=world.services.tables,
                    held_deletions=world.services.held_deletions,
                    state=state,
                    cursor=encode_cursor(place),
                )


async def test_a_page_of_accounts_costs_few_requests(azurite: str, name_prefix: str) -> None:
    async with pulling(azurite, name_prefix) as world:
        tables = world.services.tables
        numbers = raise_columns(make_number(1, 1), staged=False, queued_at=None, trace="")
        rows = [Operation.merge(f"user:{at:05d}", {**numbers, "state": "in_sync"}) for at in range(1500)]
        await tables.commit_all(DurableWrite.RAISE, ACCOUNTS, APP, rows)
        before = tables.calls.total()

        lines = await accounts_of(world, state=AccountState.IN_SYNC)

        assert len(lines) == 1500
        assert tables.calls.total() - before <= 9
