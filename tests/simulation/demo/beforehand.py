"""What is at the vendors before the first cycle: groups that only people can make, and an account of the vendor's own.

At PureCloud a group is filled, never made. So every assigned group is there under its name, but one that somebody
forgot, and one of them has a member of whom the directory knows nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.simulation.graph.changes import Kind
from tests.simulation.tenant import Tenant

if TYPE_CHECKING:
    from tests.simulation.demo.vendors import Vendors

BY_HAND = "purecloud"
"""The vendor whose groups people make."""

FORGOTTEN = "Sales"
"""The assigned group that nobody has made there."""

FRONT_DESK = "front.desk@purecloud.example"
_GROUP_OF_FRONT_DESK = "Support"


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeByHand:
    """A group that was at a vendor before us."""

    name: str
    members: frozenset[str] = frozenset()
    """User names of the vendor's own accounts in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beforehand:
    """What one vendor holds before the first cycle."""

    accounts: Mapping[str, str] = field(default_factory=dict)
    """The vendor's own: user name -> display name."""
    groups: Mapping[str, MadeByHand] = field(default_factory=dict)
    """Id of the directory's group of the same name -> the group."""


def prepare(tenant: Tenant, principals: Mapping[str, str]) -> dict[str, Beforehand]:
    """Answers with what has to be there for the groups that are assigned now: application -> what."""
    groups = {
        grant.principal_id: str(tenant.groups[grant.principal_id]["displayName"])
        for grant in tenant.grants(principals[BY_HAND])
        if grant.principal_kind is Kind.GROUP
    }
    made = {
        group_id: MadeByHand(name=name, members=frozenset({FRONT_DESK} if name == _GROUP_OF_FRONT_DESK else ()))
        for group_id, name in groups.items()
        if name != FORGOTTEN
    }
    return {BY_HAND: Beforehand(accounts={FRONT_DESK: "Front desk"}, groups=made)}


async def put_there(vendors: Vendors, beforehand: Mapping[str, Beforehand]) -> None:
    """Puts it there, past every rule of the vendors."""
    for application, held in beforehand.items():
        accounts = [
            {"userName": user_name, "displayName": display_name, "active": True}
            for user_name, display_name in held.accounts.items()
        ]
        ids = dict(zip(held.accounts, await vendors.put(application, "User", accounts), strict=True))
        groups = [
            {"displayName": group.name, "members": [{"value": ids[user_name]} for user_name in sorted(group.members)]}
            for group in held.groups.values()
        ]
        if groups:
            await vendors.put(application, "Group", groups)
