"""Managers: sent as the vendor's ids, awaited when they come later, and healed by themselves."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.storage.durable_writes import DurableWrite, Moment
from tests.simulation.tenant import Tenant
from tests.simulation.vendors import AcmeSimulator
from tests.world import HandClock, World, minimal_configuration, open_world

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


@pytest.fixture
async def world(tmp_path: Path, azurite: str, name_prefix: str) -> AsyncIterator[World]:
    tenant = Tenant(5, 12)
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
        configure=lambda vendors, _tenant: minimal_configuration("acme", vendors["acme"], principal),
    ) as opened:
        yield opened


def hire(world: World, name: str, *, manager: str | None = None) -> str:
    user_id = world.tenant.hire(
        displayName=name, userPrincipalName=f"{name}@contoso.example", mailNickname=name, mail=f"{name}@contoso.example"
    )
    world.tenant.set_manager(user_id, manager)
    return user_id


def assign(world: World, *user_ids: str) -> None:
    principal = world.tenant.service_principal_id_of("Empty")
    role = world.tenant.role_id_of(principal, "User")
    for user_id in user_ids:
        world.tenant.assign(principal, user_id, role)


def managers(world: World) -> dict[str, str | None]:
    """Display name -> display name of the manager, as the vendor has them."""
    people = world.vendors["acme"].resources("User")
    names = {person["id"]: person["displayName"] for person in people}
    found = {}
    for person in people:
        manager = person.get(ENTERPRISE, {}).get("manager")
        found[person["displayName"]] = names[manager["value"]] if manager else None
    return found


def writes_of(world: World) -> int:
    return sum(entry.method in ("POST", "PATCH", "PUT", "DELETE") for entry in world.vendors["acme"].journal)


async def test_a_manager_who_exists_is_sent_with_the_create(world: World) -> None:
    boss = hire(world, "boss")
    assign(world, boss)
    await world.provision_all()

    assign(world, hire(world, "report", manager=boss))
    await world.provision_all()

    assert managers(world) == {"boss": None, "report": "boss"}
    assert writes_of(world) == 2


async def test_a_manager_who_comes_later_is_linked_in_one_further_write_per_report(world: World) -> None:
    boss = hire(world, "boss")
    reports = [hire(world, f"report{n}", manager=boss) for n in range(3)]
    assign(world, *reports)
    await world.provision_all()
    before = writes_of(world)

    assign(world, boss)
    await world.provision_all()

    assert managers(world) == {"boss": None, "report0": "boss", "report1": "boss", "report2": "boss"}
    assert writes_of(world) == before + 1 + 3


async def test_a_new_manager_replaces_the_old_one(world: World) -> None:
    first, second = hire(world, "first"), hire(world, "second")
    report = hire(world, "report", manager=first)
    assign(world, first, second, report)
    await world.provision_all()

    world.tenant.set_manager(report, second)
    await world.provision_all()

    assert managers(world)["report"] == "second"


async def test_a_manager_taken_away_is_removed(world: World) -> None:
    boss = hire(world, "boss")
    report = hire(world, "report", manager=boss)
    assign(world, boss, report)
    await world.provision_all()

    world.tenant.set_manager(report, None)
    await world.provision_all()

    assert managers(world)["report"] is None


async def test_managing_oneself_and_each_other_does_not_loop(world: World) -> None:
    own = hire(world, "own")
    left, right = hire(world, "left"), hire(world, "right")
    world.tenant.set_manager(own, own)
    world.tenant.set_manager(left, right)
    world.tenant.set_manager(right, left)
    assign(world, own, left, right)

    await world.provision_all()

    assert managers(world) == {"own": "own", "left": "right", "right": "left"}


async def test_an_unchanged_report_costs_no_request_and_no_look_at_the_manager(world: World) -> None:
    boss = hire(world, "boss")
    report = hire(world, "report", manager=boss)
    assign(world, boss, report)
    await world.provision_all()
    world.tenant.update(report, accountEnabled=True)
    await world.sync()
    await world.deliver()
    before, calls = writes_of(world), dict(world.services.tables.calls)

    world.tenant.update(report, employeeHireDate="2026-01-01T00:00:00Z")
    world.tenant.update(report, displayName="report")
    await world.sync()
    await world.deliver()

    assert writes_of(world) == before
    assert world.services.tables.calls["accounts read"] - calls["accounts read"] <= 1


async def test_a_manager_who_vanished_and_was_made_again_is_linked_again(world: World) -> None:
    boss = hire(world, "boss")
    report = hire(world, "report", manager=boss)
    assign(world, boss, report)
    await world.provision_all()
    world.tenant.soft_delete(boss)
    await world.provision_all()
    world.tenant.purge(boss)
    await world.provision_all()
    successor = hire(world, "boss")
    world.tenant.set_manager(report, successor)

    assign(world, successor)
    await world.provision_all()

    assert managers(world)["report"] == "boss"


async def test_who_comes_back_refers_to_the_account_their_manager_has_by_then(world: World) -> None:
    boss = hire(world, "boss")
    report = hire(world, "report", manager=boss)
    assign(world, boss, report)
    await world.provision_all()
    world.tenant.disable(report)
    await world.provision_all()
    world.clock.advance(1000)
    old = (await world.account("acme", boss)).target_id
    acme = world.vendors["acme"]
    acme.core.answer("DELETE", f"/Users/{old}", base_url=acme.base_url, query={}, headers=[], body=b"")
    world.tenant.update(boss, jobTitle="Astronaut")
    await world.provision_all()
    await world.settle()

    world.tenant.enable(report)
    await world.provision_all()
    await world.settle()

    assert (await world.account("acme", boss)).target_id != old
    assert managers(world) == {"boss": None, "report": "boss"}


class Died(BaseException):
    """The process was killed."""


@pytest.mark.parametrize("seed", range(12))
async def test_every_order_and_every_death_ends_with_every_manager_linked(world: World, seed: int) -> None:
    rolls = random.Random(seed)
    people: list[str] = []
    for n in range(6):
        people.append(hire(world, f"p{n}", manager=rolls.choice(people) if people else None))
    expected = {
        f"p{n}": (f"p{people.index(manager)}" if (manager := world.tenant.manager_of(person)) in people else None)
        for n, person in enumerate(people)
    }
    deaths = {rolls.randrange(60) for _ in range(3)}
    count = 0

    def observe(_write: DurableWrite, _moment: Moment) -> None:
        nonlocal count
        count += 1
        if count in deaths:
            raise Died

    order = rolls.sample(people, len(people))
    for person in order:
        assign(world, person)
        world.restart(observe)
        try:
            await world.sync()
            rolls.shuffle(world.queues.waiting)
            await world.deliver()
        except Died:
            world.restart()
        world.clock.advance(200.0)

    world.restart()
    await world.sync()
    await world.settle()

    assert managers(world) == expected
