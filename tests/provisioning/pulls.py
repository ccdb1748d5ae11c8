"""Worlds for stories about reading the directory: a small tenant, one application that nobody is assigned to yet."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from shared.provisioning.checkpoint import Checkpoint
from shared.provisioning.pulling import PullReport
from shared.rules.source_user import visible_upn
from shared.storage.durable_writes import DurableWrite, Moment, Observer
from tests.simulation.tenant import Tenant
from tests.simulation.vendors import AcmeSimulator
from tests.world import HandClock, World, minimal_configuration, open_world

APP = "acme"
TICK_S = 60.0
CONFIRM_S = 300.0
LEASE_AND_SLACK_S = 151.0


class Killed(BaseException):
    """The process died here."""


def kill_at(
    write: DurableWrite,
    moment: Moment = Moment.AFTER,
    *,
    occurrence: int = 1,
    failure: type[BaseException] = Killed,
) -> Observer:
    """An observer that ends the process, or fails it otherwise, at the n-th time a durable write happens."""
    left = occurrence

    def observe(done: DurableWrite, at: Moment) -> None:
        nonlocal left
        if (done, at) == (write, moment):
            left -= 1
            if left == 0:
                raise failure

    return observe


@asynccontextmanager
async def pulling(
    azurite: str,
    prefix: str,
    *,
    users: int = 12,
    more: str = "",
    page_size: int = 100,
    prepare: Callable[[Tenant, str], None] | None = None,
    configure: Callable[[Mapping[str, Any], Tenant], str] | None = None,
    environment: Mapping[str, str] | None = None,
    apps: tuple[str, ...] = (APP,),
    in_memory: bool | None = None,
) -> AsyncIterator[World]:
    """A world whose applications have a service principal of their own; `prepare` acts before the first round."""
    tenant = Tenant(5, users)
    principals = {app: tenant.create_service_principal(f"{app} under test") for app in apps}
    if prepare is not None:
        prepare(tenant, principals[apps[0]])
    clock = HandClock()
    vendors = {app: AcmeSimulator(clock=lambda: clock.now().timestamp()) for app in apps}

    def written(running: Mapping[str, Any], known: Tenant) -> str:
        if configure is not None:
            return configure(running, known)
        return "".join(minimal_configuration(app, running[app], principals[app], more) for app in apps)

    with TemporaryDirectory() as folder:
        async with open_world(
            Path(folder),
            azurite=azurite,
            prefix=prefix,
            tenant=tenant,
            vendors=vendors,
            configure=written,
            clock=clock,
            environment=environment,
            page_size=page_size,
            in_memory=in_memory,
        ) as world:
            yield world


def principal_of(world: World, app: str = APP) -> str:
    """The id of an application's service principal."""
    return world.tenant.service_principal_id_of(f"{app} under test")


def role_of(world: World, name: str = "User", *, app: str = APP) -> str:
    """The id of a role of the application."""
    return world.tenant.role_id_of(principal_of(world, app), name)


def assign(world: World, principal_id: str, role: str = "User", *, app: str = APP) -> str:
    """Assign a user or group to the application."""
    return world.tenant.assign(principal_of(world, app), principal_id, role_of(world, role, app=app))


def unassign(world: World, principal_id: str, role: str = "User") -> None:
    """Take the assignment back."""
    world.tenant.unassign(principal_of(world), principal_id, role_of(world, role))


def name_of(world: World, user_id: str) -> str:
    """The user name as the vendor compares it."""
    tenant = world.tenant
    user = tenant.deleted_users.get(user_id) or tenant.user(user_id)
    return visible_upn(str(user["userPrincipalName"])).casefold()


def names_of(world: World, *user_ids: str) -> set[str]:
    """The user names as the vendor compares them."""
    return {name_of(world, user_id) for user_id in user_ids}


def expected(world: World, *, exclude_default_access: bool = True) -> set[str]:
    """Who should have an active account, as the tenant itself says."""
    entitled = world.tenant.effective_users(principal_of(world), exclude_default_access=exclude_default_access)
    return {name_of(world, user_id) for user_id in entitled if world.tenant.user(user_id).get("accountEnabled")}


def everybody(world: World) -> set[str]:
    """User names of all enabled people."""
    tenant = world.tenant
    return {name_of(world, user_id) for user_id in tenant.user_ids() if tenant.user(user_id).get("accountEnabled")}


def people(world: World, count: int, start: int = 0) -> list[str]:
    """The ids of some enabled members of the organisation, always the same."""
    enabled = [
        user_id
        for user_id in world.tenant.user_ids()
        if world.tenant.user(user_id).get("accountEnabled") and world.tenant.user(user_id).get("userType") == "Member"
    ]
    return enabled[start : start + count]


async def tick(world: World, *, times: int = 1) -> PullReport:
    """The sync and the consumers, as every minute; answers the last report."""
    report = PullReport(outcome="none")
    for _ in range(times):
        report = await world.sync()
        await world.deliver()
        world.clock.advance(TICK_S)
    return report


async def calm(world: World) -> None:
    """Ticks until departures are confirmed, then housekeeping until nothing moves."""
    await tick(world)
    world.clock.advance(CONFIRM_S)
    await tick(world, times=2)
    await world.settle()


async def killed_tick(world: World, observer: Observer, *, failure: type[BaseException] = Killed) -> None:
    """A sync whose process dies, or fails otherwise; another one takes over after the lease."""
    world.restart(observer)
    try:
        await world.sync()
    except failure:
        pass
    else:
        raise AssertionError("the process was meant to die")
    world.restart()
    world.clock.advance(LEASE_AND_SLACK_S)


async def checkpoint_of(world: World) -> Checkpoint:
    """The checkpoint as it is in storage."""
    return await world.services.puller.checkpoints.read()


def held_titles(world: World, app: str = APP) -> list[str]:
    """The titles of all accounts at the vendor."""
    return sorted(str(found.get("title")) for found in world.vendors[app].resources())
