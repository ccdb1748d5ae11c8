"""Groups among many processes at once, in random order, with deaths and faults: every membership ends right (T7).

A failure prints its seed and what led to it. `INTERLEAVINGS=2000 pytest ...` looks longer.
"""

from __future__ import annotations

import pytest

from tests.provisioning.stories import Scenery, open_stage
from tests.provisioning.test_interleavings import RUNS, STEPS, Chaos, excused
from tests.simulation.tenant import DEFAULT_ACCESS
from tests.simulation.vendors.options import VendorOptions


class GroupChaos(Chaos):
    """A random life in which people join and leave groups, and groups come and go."""

    async def change(self) -> None:
        """Something happens in the directory; half of the time to a group."""
        stage, dice = self.stage, self.dice
        if dice.random() < 0.5:
            return await super().change()
        living = [group_id for group_id in stage.groups if group_id in stage.tenant.groups]
        present = [person for person in stage.people if person in stage.tenant.users]
        if not living or not present:
            return None
        group, person = dice.choice(living), dice.choice(present)
        kind = dice.choice(["join", "join", "join", "leave", "leave", "rename", "toggle"])
        self.told.append(f"directory: {kind} {group[:8]} {person[:8]}")
        match kind:
            case "join":
                stage.tenant.add_member(group, person)
            case "leave":
                stage.tenant.remove_member(group, person)
            case "rename":
                stage.tenant.update_group(group, displayName=f"Team {dice.randrange(1000)} of {group[:8]}")
            case "toggle" if self.is_assigned(group):
                stage.tenant.unassign(stage.service_principal, group, DEFAULT_ACCESS)
            case "toggle":
                self.assign(group)
        return None

    def is_assigned(self, group_id: str) -> bool:
        """Whether the group is assigned."""
        return any(grant.principal_id == group_id for grant in self.stage.tenant.grants(self.stage.service_principal))

    def assign(self, group_id: str) -> None:
        """Assign a group by the role that entitles nobody: its members come and go by themselves."""
        self.stage.tenant.assign(self.stage.service_principal, group_id, DEFAULT_ACCESS)


GROUPS = "groups: {enabled: true}"
WORLDS = {
    "plain vendor": Scenery(more=GROUPS),
    "two members a request": Scenery(more="groups: {enabled: true, members_per_patch: 2}"),
    "vendor without versions": Scenery(more=GROUPS, options=VendorOptions(etag=False)),
    "vendor that checks members": Scenery(more=GROUPS, options=VendorOptions(check_members=True)),
}


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("seed", range(RUNS))
async def test_every_interleaving_ends_with_every_member_where_they_belong(seed: int, world: str, azurite: str) -> None:
    async with open_stage(azurite, WORLDS[world]) as stage:
        for name in ("gil", "hal"):
            await stage.provisioned(userPrincipalName=f"{name}@contoso.example")
        for name in ("ida", "joe"):
            stage.hire(userPrincipalName=f"{name}@contoso.example")
        chaos = GroupChaos(stage, seed=seed, renames=False)
        for members in (stage.people[:3], stage.people[2:]):
            chaos.assign(stage.form(*members, assigned=False))

        await chaos.live(STEPS)
        await chaos.heal()

        waiting = await excused(stage)
        findings = [text for text in await stage.findings(excused=waiting) if not (waiting and "match:" in text)]
        assert findings == [], "\n".join([f"seed {seed}, {world}", *findings, *chaos.told])
