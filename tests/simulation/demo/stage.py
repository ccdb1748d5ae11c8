"""Everything the demo runs on: started in order, ended in the opposite one, whatever happens in between."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from shared.composition import Services, load_services
from tests.simulation.azurite import Azurite, Ports
from tests.simulation.demo.beforehand import FORGOTTEN, Beforehand, put_there
from tests.simulation.demo.connected import CONNECTED, app_settings, write_configuration
from tests.simulation.demo.vendor_process import VendorProcess
from tests.simulation.demo.vendors import Vendors
from tests.simulation.graph import GraphSimulator
from tests.simulation.host.process import HostProcess
from tests.simulation.tenant import Tenant

ROOT = Path(__file__).resolve().parents[3]

_Started = TypeVar("_Started")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The running parts."""

    tenant: Tenant
    graph: GraphSimulator
    vendors: Vendors
    host: HostProcess
    storage: Azurite
    services: Services
    """The product's own services on the same storage: the demo only reads through them."""
    principals: Mapping[str, str]
    """Application -> object id of its service principal."""
    folder: Path

    def host_has_ended(self) -> bool:
        """Whether the function app's process is gone, without taking its exit code from whoever waits for it."""
        return os.waitid(os.P_PID, self.host.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def principals_of(tenant: Tenant) -> dict[str, str]:
    """Answers with the service principal of each application, found by its display name."""
    by_title = {str(held["displayName"]): held_id for held_id, held in tenant.service_principals.items()}
    return {connected.name: by_title[connected.title] for connected in CONNECTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """How the parts are to be started."""

    seed: int
    guards: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Application -> its deletion guard, where it is not the default."""
    beforehand: Mapping[str, Beforehand] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    """App settings that differ from `connected.app_settings`."""
    survives_restarts: bool = False
    """Whether storage and vendors may be restarted: they keep what they hold in the folder, each vendor in a process
    of its own. Otherwise everything is in memory."""


@asynccontextmanager
async def open_stage(
    tenant: Tenant, folder: Path, staging: Staging, *, say: Callable[[str], None]
) -> AsyncIterator[Stage]:
    """Starts storage, tenant, vendors and the function app, and ends them by their process ids."""
    principals = principals_of(tenant)
    async with AsyncExitStack() as stack:
        storage = await _start_storage(stack, folder, staging, say=say)
        graph = GraphSimulator(tenant, seed=staging.seed)
        graph.start()
        stack.callback(graph.stop)
        say(f"Microsoft Graph, simulated: {len(tenant.users)} people, {len(tenant.groups)} groups at {graph.base_url}")
        vendors = await _start_vendors(stack, folder, staging)
        for connected in CONNECTED:
            say(f"{connected.title}, simulated: {connected.pace}, at {vendors.described[connected.name]['base_url']}")
        await put_there(vendors, staging.beforehand)
        for application, held in staging.beforehand.items():
            if held.groups:
                words = f"{len(held.groups)} groups that people made; {FORGOTTEN} was forgotten"
                say(f"{_title(application)} has {words}")
        configuration = folder / "provisioning.yaml"
        write_configuration(configuration, vendors=vendors.described, principals=principals, guards=staging.guards)
        settings = app_settings(
            storage=storage.connection_string,
            graph=graph.base_url,
            configuration=configuration,
            vendors=vendors.described,
        )
        settings |= staging.settings
        services = load_services(settings)
        stack.push_async_callback(services.close)
        # The host creates them too; here so that the first look at the progress finds them.
        await services.ensure_storage()
        host = await _start(stack, lambda: HostProcess.start(ROOT, settings, log=folder / "host.log"), HostProcess.stop)
        say(f"the function app, the real one, on the local function host at {host.url} (process {host.pid})")
        yield Stage(
            tenant=tenant,
            graph=graph,
            vendors=vendors,
            host=host,
            storage=storage,
            services=services,
            principals=principals,
            folder=folder,
        )


async def _start_storage(
    stack: AsyncExitStack, folder: Path, staging: Staging, *, say: Callable[[str], None]
) -> Azurite:
    if not staging.survives_restarts:
        storage = await _start(stack, Azurite.in_memory, Azurite.stop)
        say(f"Azurite, in memory (process {storage.pid})")
        return storage
    storage = await _start(stack, lambda: Azurite.in_folder(folder / "azurite", Ports.free()), Azurite.stop)
    say(f"Azurite, in a folder (process {storage.pid})")
    return storage


async def _start_vendors(stack: AsyncExitStack, folder: Path, staging: Staging) -> Vendors:
    names = [connected.name for connected in CONNECTED]
    processes = []
    for which in [[name] for name in names] if staging.survives_restarts else [names]:
        starting = partial(
            VendorProcess.start,
            which,
            log=folder / "vendors.log",
            seed=staging.seed,
            kept_in=folder / "vendors" if staging.survives_restarts else None,
        )
        processes.append(await _start(stack, starting, VendorProcess.stop))
    vendors = Vendors(processes)
    stack.push_async_callback(vendors.close)
    return vendors


def _title(application: str) -> str:
    return next(connected.title for connected in CONNECTED if connected.name == application)


async def _start(stack: AsyncExitStack, start: Callable[[], _Started], stop: Callable[[_Started], object]) -> _Started:
    """Starts a part in a thread, so that a Ctrl-C meanwhile cannot leave it behind; ends it with the stack."""
    return await in_thread(start, then=lambda part: stack.callback(stop, part))


async def in_thread(call: Callable[[], _Started], *, then: Callable[[_Started], object] = lambda _: None) -> _Started:
    """Calls something that blocks in a thread. It ends, and `then` is called, also when the caller is cancelled."""
    running = asyncio.get_running_loop().run_in_executor(None, call)
    try:
        result = await asyncio.shield(running)
    except asyncio.CancelledError:
        then(await running)
        raise
    then(result)
    return result
