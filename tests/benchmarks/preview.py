"""A preview of a whole tenant: everybody's account planned from the mirror and the rows, and only counted.

Measured: accounts a second of wall time in one process, its CPU time, storage requests per thousand accounts, how many
pages of ten seconds it takes, and how far memory rises. Everybody is assigned and in a group of a hundred. Twice:
before anybody has an account, and when everybody's is in sync. Tables in memory show what the product itself costs;
Azurite, which searches a whole table for a range of keys and shares the cores, is shown with a tenth of the people.
"""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from shared.composition import Services
from shared.directory.mirror import DIRECTORY, encode_roles, members_partition, user_partition, user_row
from shared.operations.previewing.page import PreviewRequest
from shared.provisioning.accounts import (
    ACCOUNTS,
    Account,
    AccountState,
    ResourceKind,
    account_key,
    member_key,
    write_columns,
)
from shared.provisioning.standing import judge_standing
from shared.rules.expressions import AppRole
from shared.rules.source_user import select_properties
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation
from tests.benchmarks.machine import Usage
from tests.benchmarks.separate import run_apart
from tests.benchmarks.tables import Table, number
from tests.benchmarks.tenants import APPLICATION, NO_PRINCIPAL, new_services
from tests.provisioning.memory_tables import MemoryTables, Store
from tests.simulation.azurite import Azurite
from tests.simulation.graph.people import draw_user

USERS = 100_000
GROUP_OF = 100
NUMBER = "0000000001.00000001.000"
ROLES = encode_roles((AppRole(id=NO_PRINCIPAL, value="User", displayName="User"),))


def measure(users: int | None) -> list[Table]:
    """Answers with the table of this benchmark."""
    count = users or USERS
    seen = [("in memory", count, run_apart(run_previews, "", count))]
    with Azurite.in_memory() as azurite:
        seen.append(
            ("Azurite", count // 10, run_apart(run_previews, azurite.connection_string, count // 10)),
        )
    return [
        Table(
            title=f"Preview of {count:,} people",
            columns=(
                "tables",
                "people",
                "when",
                "accounts/s",
                "CPU µs/account",
                "requests/1,000",
                "pages",
                "memory +MB",
            ),
            rows=[
                (storage, f"{size:,}", when, *_cells(figures, size))
                for storage, size, runs in seen
                for when, figures in runs.items()
            ],
            note=f"Everybody assigned, and in a group of {GROUP_OF}; pages of ten seconds.",
        )
    ]


def _cells(figures: dict[str, Any], users: int) -> tuple[str, ...]:
    return (
        number(users / figures["wall_s"]),
        number(figures["cpu_s"] / users * 1e6),
        number(figures["calls"] / users * 1000),
        str(figures["pages"]),
        f"{figures['growth_mb']:.0f}",
    )


def run_previews(storage: str, users: int) -> dict[str, Any]:
    """Previews the same tenant twice; runs in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_run_previews(Path(folder), storage, users))


async def _run_previews(folder: Path, storage: str, users: int) -> dict[str, Any]:
    services = new_services(
        folder,
        storage=storage or "UseDevelopmentStorage=true",
        graph=f"http://127.0.0.1:9/v1.0 {NO_PRINCIPAL}",
        scope="assigned",
        more="groups: {enabled: true}",
    )
    if not storage:
        services.__dict__["tables"] = MemoryTables(Store())
    await services.tables.create_missing()
    await _mirror(services, users)
    seen = {"nobody has an account": await _preview(services, "create", users)}
    await _provision(services)
    seen["all in sync"] = await _preview(services, "skip", users)
    await services.close()
    return seen


async def _preview(services: Services, action: str, users: int) -> dict[str, Any]:
    services.tables.calls.clear()
    usage, pages, request = Usage(), 0, PreviewRequest()
    while True:
        report = await services.previewer.preview(request)
        pages += 1
        if report.next is None:
            break
        request = replace(request, cursor=report.next)
    usage.stop()
    planned = sum(report.applications[0].counts[action].values())
    if planned != users + users // GROUP_OF:
        raise RuntimeError(f"{planned} of {users} accounts were {action}: {report.applications[0].counts}")
    return {**usage.figures(), "pages": pages, "calls": services.tables.calls.total()}


async def _mirror(services: Services, users: int) -> None:
    """What the puller would have written."""
    selected = {"id", *select_properties(services.applications.values())}
    partitions: dict[str, list[Operation]] = {"group": [], f"assigned-{APPLICATION}": []}
    for index in range(users):
        drawn = draw_user(1, index)
        user_id, group_id = drawn["id"], f"00000000-0000-0000-0000-{index // GROUP_OF:012d}"
        # A person as mappings see most of them; the oddities of the simulated tenant are other tests' business.
        attributes = {name: value for name, value in drawn.items() if name in selected and value is not None}
        attributes |= {"accountEnabled": True}
        _, columns = user_row(attributes, removal=None, number=NUMBER, round_id="")
        partitions.setdefault(user_partition(user_id), []).extend(
            [
                Operation.insert(f"{user_id}:user", columns),
                Operation.insert(f"{user_id}:app:{APPLICATION}", {"roles": ROLES, "gone": False}),
                Operation.insert(f"{user_id}:group:{group_id}", {"gone": False}),
            ]
        )
        partitions.setdefault(members_partition(group_id), []).append(Operation.insert(user_id, {"gone": False}))
        if index % GROUP_OF == 0:
            group = {"attributes": f'{{"displayName":"{group_id}","securityEnabled":true}}', "tracked": True}
            partitions["group"].append(Operation.insert(group_id, group))
            partitions[f"assigned-{APPLICATION}"].append(
                Operation.insert(f"group:{group_id}", {"roles": ROLES, "gone": False})
            )
    for partition, operations in partitions.items():
        await services.tables.commit_all(DurableWrite.MIRROR, DIRECTORY, partition, operations)


async def _provision(services: Services) -> None:
    """What consumers would have written."""
    application = services.applications[APPLICATION]
    groups = await services.mirror.read_assigned_groups(APPLICATION)
    done = {"wanted": NUMBER, "applied": NUMBER, "tried": NUMBER, "config": application.config_hash}
    operations: list[Operation] = []

    def provision(kind: ResourceKind, source_id: str, facts: Any) -> None:
        standing = judge_standing(application, facts, groups)
        account = Account(application=APPLICATION, kind=kind, source_id=source_id)
        plan = services.decider.decide(application, account, facts, standing, mapped=None, references={})
        columns = write_columns(**done, target_id=f"at-{source_id}", sent=plan.state, state=AccountState.IN_SYNC)
        if kind is ResourceKind.GROUP:
            columns["members"] = GROUP_OF
        operations.append(Operation.insert(account_key(kind, source_id), columns))

    for digit in "0123456789abcdef":
        async for page in services.mirror.list_user_facts(digit):
            for user_id, facts in page:
                provision(ResourceKind.USER, user_id, facts)
                sent = {"of": f"at-{next(iter(facts.groups))}", "target": f"at-{user_id}"}
                operations.append(Operation.insert(member_key(next(iter(facts.groups)), user_id), sent))
    async for listed in services.mirror.list_group_facts():
        for group_id, group in listed:
            provision(ResourceKind.GROUP, group_id, group)
    await services.tables.commit_all(DurableWrite.SAVE, ACCOUNTS, APPLICATION, operations)
