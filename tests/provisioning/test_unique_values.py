"""`SelectUniqueValue`: the first candidate that nobody at the vendor has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.provisioning.accounts import AccountState
from tests.simulation.tenant import Tenant
from tests.simulation.vendors import AcmeSimulator
from tests.world import HandClock, World, minimal_configuration, open_world

MAPPING = """
mappings:
  users:
    - target: nickName
      expression: 'SelectUniqueValue([givenName], Append([givenName], "2"), Append([givenName], "3"))'
      apply: on_create
"""


@pytest.fixture
async def world(tmp_path: Path, azurite: str, name_prefix: str) -> AsyncIterator[World]:
    tenant = Tenant(5, 4)
    clock = HandClock()
    acme = AcmeSimulator(clock=lambda: clock.now().timestamp())
    principal = tenant.create_service_principal("Empty")
    async with open_world(
        tmp_path,
        azurite=azurite,
        prefix=name_prefix,
        tenant=tenant,
        vendors={"acme": acme},
        clock=clock,
        configure=lambda vendors, _tenant: minimal_configuration("acme", vendors["acme"], principal, MAPPING),
    ) as opened:
        yield opened


async def hire_namesakes(world: World, count: int) -> list[str]:
    principal = world.tenant.service_principal_id_of("Empty")
    people = []
    for n in range(count):
        person = world.tenant.hire(
            givenName="Kim", userPrincipalName=f"kim{n}@contoso.example", mailNickname=f"k{n}", accountEnabled=True
        )
        world.tenant.assign(principal, person, world.tenant.role_id_of(principal, "User"))
        people.append(person)
    await world.provision_all()
    return people


async def test_namesakes_get_different_values(world: World) -> None:
    await hire_namesakes(world, 3)

    assert {found["nickName"] for found in world.vendors["acme"].resources("User")} == {"Kim", "Kim2", "Kim3"}


async def test_when_every_candidate_is_taken_the_account_says_so_and_nothing_is_created(world: World) -> None:
    people = await hire_namesakes(world, 4)

    rows = [await world.account("acme", person) for person in people]
    assert len(world.vendors["acme"].resources("User")) == 3
    assert [row.state for row in rows].count(AccountState.ESCROWED) == 1
    assert any("nickName" in row.error for row in rows)


async def test_a_chosen_value_stays_when_the_person_changes(world: World) -> None:
    people = await hire_namesakes(world, 2)
    before = {found["userName"]: found["nickName"] for found in world.vendors["acme"].resources("User")}

    world.tenant.update(people[1], displayName="Kim Renamed")
    await world.provision_all()

    after = {found["userName"]: found["nickName"] for found in world.vendors["acme"].resources("User")}
    assert after == before
