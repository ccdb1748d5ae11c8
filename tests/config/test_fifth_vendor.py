"""A fifth vendor is one YAML file and a section in provisioning.yaml: this test writes both, and nothing else."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import ClassVar

from scim2_models import URN, Extension

from shared.provisioning.accounts import AccountState
from tests.simulation.tenant import Tenant
from tests.simulation.vendors import VendorOptions, VendorSimulator
from tests.world import HandClock, open_world

CREW = "urn:harbour:scim:schemas:extension:crew:1.5:User:attributes"

PROFILE = """
version: 1
name: harbour
title: Harbour Crew
base_url: {}
auth: [bearer]
rate_limit: {requests_per_second: 4}
roles: {exclude_default_access: true}
protocol:
  patch: {verb: put}
users:
  endpoint: /Users
  schema_urn: urn:ietf:params:scim:schemas:core:2.0:User
  delete: false
  attributes:
    - {path: userName, required: true}
    - {path: externalId, required: true, filterable: true}
    - {path: active, type: Boolean}
    - {path: displayName}
    - {path: 'emails[type eq "work"].value'}
    - {path: 'urn:harbour:scim:schemas:extension:crew:1.5:User:attributes:berth', max_length: 10}
    - {path: 'urn:harbour:scim:schemas:extension:crew:1.5:User:attributes:ashore', type: Boolean}
  matching:
    - {target: externalId, by: filter}
  mappings:
    - {target: userName, source: userPrincipalName}
    - {target: externalId, source: employeeId}
    - {target: active, computed: not_soft_deleted}
    - {target: displayName, source: displayName}
    - {target: 'emails[type eq "work"].value', source: mail}
    - {target: 'urn:harbour:scim:schemas:extension:crew:1.5:User:attributes:berth', source: officeLocation}
    - target: 'urn:harbour:scim:schemas:extension:crew:1.5:User:attributes:ashore'
      expression: 'IIF([usageLocation]="DE", "True", "False")'
"""

SECTION = """
harbour:
  profile: harbour.yaml
  service_principal_id: {service_principal}
  base_url: {base_url}
  auth: {{type: bearer, token: HARBOUR_TOKEN}}
  deletion_guard: {{max_count: 100, max_percent: 100, min_population: 0}}
"""


class CrewUser(Extension):
    """What the vendor adds to User."""

    __schema__ = URN(CREW)

    berth: str | None = None
    ashore: bool | None = None


class HarbourSimulator(VendorSimulator):
    """A vendor nobody has heard of: PUT only, found by externalId, an extension whose URN has dots and colons."""

    name: ClassVar[str] = "harbour"
    groups: ClassVar[bool] = False

    def extensions(self) -> tuple[type[Extension], ...]:
        return (CrewUser,)


def crew(tenant: Tenant, service_principal: str, **properties: object) -> str:
    user_id = tenant.hire(**{"accountEnabled": True, **properties})
    tenant.assign(service_principal, user_id, tenant.role_id_of(service_principal, "User"))
    return user_id


async def test_a_fifth_vendor_is_one_file_and_a_section(tmp_path: Path, azurite: str, name_prefix: str) -> None:
    tenant, clock = Tenant(5, 2), HandClock()
    service_principal = tenant.create_service_principal("Harbour Crew")
    harbour = HarbourSimulator(
        options=VendorOptions(patch_supported=False, rate_limit=4, strict_schemas=True, etag=False),
        clock=lambda: clock.now().timestamp(),
    )
    [there_before] = harbour.seed([{"userName": "old.name", "externalId": "1000", "active": True}])
    people = [
        crew(
            tenant,
            service_principal,
            userPrincipalName=f"crew.{number}@contoso.example",
            employeeId=str(1000 + number),
            officeLocation=f"B{number}",
            usageLocation="DE" if number % 2 else "NL",
        )
        for number in range(12)
    ]
    (tmp_path / "harbour.yaml").write_text(PROFILE, encoding="utf-8")

    async with open_world(
        tmp_path,
        azurite=azurite,
        prefix=name_prefix,
        tenant=tenant,
        vendors={"harbour": harbour},
        configure=lambda vendors, _: SECTION.format(
            service_principal=service_principal, base_url=vendors["harbour"].base_url
        ),
        clock=clock,
    ) as world:
        await world.provision_all()
        tenant.update(people[3], officeLocation=None, usageLocation="NL")
        tenant.disable(people[4])
        await world.provision_all()

        held = {str(found["externalId"]): found for found in harbour.resources()}
        leaver = await world.account("harbour", people[4])

    assert len(harbour.resources()) == 12
    for number, user_id in enumerate(people):
        user, found = tenant.user(user_id), held[str(1000 + number)]
        assert found["userName"] == user["userPrincipalName"]
        assert found["displayName"] == user["displayName"]
        assert found["active"] is (number != 4)
        assert found[CREW]["ashore"] is (number % 2 == 1 and number != 3)
        assert found[CREW].get("berth") == (None if number == 3 else f"B{number}")
    assert held["1000"]["id"] == there_before
    assert leaver.state is AccountState.DISABLED
    methods = Counter(entry.method for entry in harbour.journal)
    assert (methods["PATCH"], methods["DELETE"]) == (0, 0)
    assert methods["POST"] == 11
    assert harbour.peak_rate <= 4
    assert harbour.violations == []
