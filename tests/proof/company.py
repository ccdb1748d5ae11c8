"""A company with one directory and several vendors, each seen through a stage of its own, and what befalls them.

The stages share the people, the groups, the clock and the product's one process; each has an application and a vendor.
"""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.proof.fate import Fate
from tests.proof.ledger import Ledger
from tests.provisioning.stories import Scenery, Stage
from tests.simulation.tenant import Tenant
from tests.simulation.vendors import AcmeSimulator
from tests.simulation.vendors.options import ExternalId, FilterMode, VendorOptions
from tests.world import HandClock, minimal_configuration, open_world

GROUPS = "groups: {enabled: true}"

VENDORS: dict[str, Scenery] = {
    "plain": Scenery(more=GROUPS),
    "forgetful": Scenery(options=VendorOptions(external_id=ExternalId.dropped, etag=False)),
    "loose": Scenery(options=VendorOptions(user_name_unique=False, etag=False), more=GROUPS),
    "strict": Scenery(
        options=VendorOptions(check_members=True, version_mismatch_status=400),
        more="groups: {enabled: true, members_per_patch: 2}",
    ),
    "unsearchable": Scenery(
        options=VendorOptions(user_filter=FilterMode.reject, etag=False),
        more="matching: {users: [{target: userName, by: list}]}",
    ),
}
"""What sort of vendors there are: by what a vendor in the field does that another does not."""

GUARDS = {
    "open": "{max_count: 1000, max_percent: 100, min_population: 100000}",
    "narrow": "{max_count: 1, max_percent: 100, min_population: 100000}",
}
LIMITS = {"open": 1000, "narrow": 1}
"""How many may lose access a day."""


@dataclass(frozen=True, slots=True)
class Stranger:
    """An account that was at a vendor before us."""

    app: str
    target_id: str
    user_name: str
    text: str
    """The whole resource, as it was."""
    is_adoptable: bool
    """It carries nobody's externalId: who is hired under its name gets it."""


@dataclass(slots=True, kw_only=True)
class Company:
    """Everything there is; `told` is what happened so far."""

    stages: Mapping[str, Stage]
    fate: Fate
    ledgers: Mapping[str, Ledger]
    told: list[str] = field(default_factory=list)
    strangers: list[Stranger] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    """User names that somebody has or had."""
    rejected: set[str] = field(default_factory=set)
    """Who, and which group, keeps the account because a person said so."""
    late_since: float | None = None

    @property
    def main(self) -> Stage:
        """The stage through which the process is driven: there is one process, whichever the stage."""
        return next(iter(self.stages.values()))

    @property
    def tenant(self) -> Tenant:
        """The directory."""
        return self.main.tenant

    @property
    def clock(self) -> HandClock:
        """The time."""
        return self.main.world.clock

    def tell(self, text: str) -> None:
        """Write down what happens."""
        self.told.append(f"{self.clock.elapsed:8.0f}s  {text}")

    def living(self) -> list[str]:
        """People who are in the directory."""
        return [person for person in self.main.people if person in self.tenant.users]

    def living_groups(self) -> list[str]:
        """Groups that are in the directory."""
        return [group for group in self.main.groups if group in self.tenant.groups]

    def seed_stranger(self, app: str, user_name: str, external_id: str | None) -> None:
        """Somebody made an account at a vendor, by hand, before anything else."""
        resource = {"userName": user_name, "active": True, "title": "Here before you"}
        stage = self.stages[app]
        [target_id] = stage.acme.seed([{**resource, **({"externalId": external_id} if external_id else {})}])
        self.strangers.append(
            Stranger(app, target_id, user_name, text_of(stage, target_id), is_adoptable=external_id is None)
        )

    def release_late_writes(self) -> None:
        """What was on its way arrives."""
        self.late_since = None
        for app, stage in self.stages.items():
            landed = stage.acme.release_late_writes()
            if landed:
                self.tell(f"{app}: {landed} late writes land")


def text_of(stage: Stage, target_id: str) -> str:
    """A resource at a vendor, byte by byte; empty when it is not there."""
    found: dict[str, Any] | None = stage.resource(target_id)
    return json.dumps(found, sort_keys=True, default=str) if found is not None else ""


@asynccontextmanager
async def open_company(azurite: str, *, vendors: tuple[str, ...], guard: str = "open") -> AsyncIterator[Company]:
    """A company that nobody works for yet, whose vendors know strangers."""
    tenant = Tenant(1, 2)
    principals = {name: tenant.create_service_principal(f"Connected {name}") for name in vendors}
    clock = HandClock()
    running = {
        name: AcmeSimulator(options=VENDORS[name].options, clock=lambda: clock.now().timestamp()) for name in vendors
    }

    def configure(started: Mapping[str, Any], _: Tenant) -> str:
        return "".join(_section(name, started[name], principals[name], guard) for name in vendors)

    with tempfile.TemporaryDirectory() as folder:
        async with open_world(
            Path(folder),
            azurite=azurite,
            prefix=f"t{secrets.token_hex(5)}",
            tenant=tenant,
            vendors=running,
            configure=configure,
            clock=clock,
        ) as world:
            people, groups = [], []
            fate = Fate()
            stages = {
                name: Stage(
                    world=world,
                    tenant=tenant,
                    acme=running[name],
                    app=name,
                    service_principal=principals[name],
                    role=tenant.role_id_of(principals[name], "User"),
                    observer=fate,
                    respawn=lambda: fate,
                    unseen=frozenset(
                        {"externalId"} if VENDORS[name].options.external_id is not ExternalId.kept else ()
                    ),
                    people=people,
                    groups=groups,
                )
                for name in vendors
            }
            company = Company(
                stages=stages,
                fate=fate,
                ledgers={name: Ledger(running[name], clock, limit=LIMITS[guard]) for name in vendors},
            )
            for stage in stages.values():
                stage.prepare = fate.take_charge
            company.main.begin()
            await company.main.settle()
            yield company


def _section(name: str, vendor: Any, principal: str, guard: str) -> str:
    text = minimal_configuration(name, vendor, principal, more=f"{VENDORS[name].more}\nadoption: {{clears: true}}")
    return text.replace("{max_count: 1000, max_percent: 100, min_population: 0}", GUARDS[guard])
