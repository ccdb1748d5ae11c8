"""What a vendor's groups hold, and what they should: for tests and stories about groups."""

from __future__ import annotations

from collections import Counter
from typing import Any

from shared.provisioning.accounts import Account, ResourceKind
from tests.provisioning.pulls import APP, name_of, principal_of
from tests.simulation.graph.changes import Kind
from tests.world import World


def groups_of(world: World, app: str = APP) -> dict[str, set[str]]:
    """Display name -> user names of the members, as the vendor has them."""
    names = {each["id"]: str(each["userName"]).casefold() for each in world.vendors[app].resources("User")}
    return {
        group["displayName"]: {names.get(member["value"], member["value"]) for member in group.get("members") or []}
        for group in world.vendors[app].resources("Group")
        if not group.get("_deleted")
    }


def expected_groups(world: World, app: str = APP) -> dict[str, set[str]]:
    """Display name -> user names of the members who have an account, as the tenant and the vendor's accounts say."""
    tenant = world.tenant
    accounts = {
        str(each["userName"]).casefold() for each in world.vendors[app].resources("User") if not each.get("_deleted")
    }
    assigned = {
        grant.principal_id
        for grant in tenant.grants(principal_of(world, app))
        if grant.principal_kind is Kind.GROUP and grant.principal_id in tenant.groups
    }
    return {
        tenant.groups[group_id]["displayName"]: {
            name_of(world, member)
            for member, kind in tenant.members[group_id].items()
            if kind is Kind.USER and name_of(world, member) in accounts
        }
        for group_id in assigned
    }


async def group_row(world: World, group_id: str, app: str = APP) -> Account:
    """The row of a group."""
    return await world.services.rows.read(app, ResourceKind.GROUP, group_id)


async def rows_of(world: World, prefix: str, app: str = APP) -> dict[str, Any]:
    """Rows of a kind: key -> columns."""
    rows = await world.services.tables.read_range("accounts", app, first=f"{prefix}:", before=f"{prefix};")
    return {row.key: row.values for row in rows}


def requests_about_groups(world: World, since: int = 0, app: str = APP) -> Counter[str]:
    """Requests to /Groups by method, from the `since`-th request of the vendor on."""
    journal = list(world.vendors[app].journal)[since:]
    return Counter(entry.method for entry in journal if "/groups" in entry.path.casefold())
