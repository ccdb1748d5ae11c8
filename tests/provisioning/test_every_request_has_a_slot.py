"""Nothing reaches a vendor outside its rate: as many slots were used as requests arrived, whatever they were for.

Counted at the vendor's side: look-ups, writes, reads after a 404, replays after a 401, tokens, list pages, probes.
"""

from __future__ import annotations

from pathlib import Path

from tests.simulation.tenant import Tenant
from tests.simulation.vendors import AcmeSimulator, PureCloudSimulator, VendorOptions, VendorSimulator
from tests.simulation.vendors.options import FilterMode
from tests.world import HandClock, World, minimal_configuration, open_world

LIMIT = "rate_limit: {requests_per_second: 10}"
PEOPLE = 3


def _tenant() -> tuple[Tenant, str, list[str]]:
    tenant = Tenant(1, 24)
    principal = tenant.create_service_principal("Slots")
    role = tenant.service_principals[principal]["appRoles"][0]["id"]
    people = [each for each in tenant.user_ids() if tenant.user(each)["accountEnabled"]][:PEOPLE]
    for user_id in people:
        tenant.assign(principal, user_id, role)
    return tenant, principal, people


def _entered(world: World) -> int:
    return world.services.limiter.slots["entered"]


async def test_with_tokens_refusals_and_probes(azurite: str, name_prefix: str, tmp_path: Path) -> None:
    tenant, principal, people = _tenant()
    clock = HandClock()
    vendor = PureCloudSimulator(clock=lambda: clock.now().timestamp())

    def configure(_vendors: object, _tenant: Tenant) -> str:
        return (
            f"app:\n  profile: purecloud\n  service_principal_id: {principal}\n  base_url: {vendor.base_url}\n"
            f"  auth: {{type: oauth2_client_credentials, client_id: CLIENT, client_secret: SECRET,"
            f" token_url: '{vendor.login.token_url}'}}\n  {LIMIT}\n"
            "  deletion_guard: {max_count: 1000, max_percent: 100, min_population: 0}\n"
        )

    async with open_world(
        tmp_path,
        azurite=azurite,
        prefix=name_prefix,
        tenant=tenant,
        vendors={"app": vendor},
        configure=configure,
        clock=clock,
        environment={"CLIENT": vendor.client_id, "SECRET": vendor.client_secret},
    ) as world:
        await world.provision_all()
        vendor.tokens.revoke(vendor.client_id)
        tenant.update(people[0], jobTitle="One")
        await world.provision_all()
        vendor.faults.add("throttle", method="PATCH", retry_after=3)
        vendor.faults.add("error", method="PATCH", status=500, applied=True)
        tenant.update(people[1], jobTitle="Two")
        tenant.update(people[2], accountEnabled=False)
        await world.provision_all()
        vendor.faults.add("html", method="PATCH", status=404)
        tenant.update(people[0], jobTitle="Three")
        await world.provision_all()
        assert (await world.services.client_of(world.services.applications["app"]).test_connection()).ok

        assert {"GET", "POST", "PATCH"} <= {entry.method for entry in vendor.journal}
        assert len(vendor.login.journal) >= 2
        assert {401, 404, 429, 500} <= {entry.status for entry in vendor.journal}
        assert _entered(world) == len(vendor.journal) + len(vendor.login.journal)


async def test_with_a_vendor_whose_accounts_are_listed(azurite: str, name_prefix: str, tmp_path: Path) -> None:
    tenant, principal, people = _tenant()
    clock = HandClock()
    vendor: VendorSimulator = AcmeSimulator(
        clock=lambda: clock.now().timestamp(), options=VendorOptions(user_filter=FilterMode.reject)
    )
    async with open_world(
        tmp_path,
        azurite=azurite,
        prefix=name_prefix,
        tenant=tenant,
        vendors={"app": vendor},
        configure=lambda vendors, _: minimal_configuration(
            "app",
            vendors["app"],
            principal,
            more=f"matching: {{users: [{{target: userName, by: list}}]}}\n{LIMIT}",
        ),
        clock=clock,
    ) as world:
        await world.provision_all()
        tenant.update(people[0], jobTitle="One")
        await world.provision_all()

        assert any(entry.method == "GET" for entry in vendor.journal)
        assert _entered(world) == len(vendor.journal)
