"""Everything the demo runs on: started in order, ended in the opposite one, whatever happens in between."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from shared.composition import Services, load_services
from tests.simulation.azurite import Azurite
from tests.simulation.demo.beforehand import FORGOTTEN, Beforehand, put_there
from tests.simulation.demo.connected import CONNECTED, app_settings, write_configuration
from tests.simulation.demo.vendor_process import VendorProcess
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
    vendors: VendorProcess
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


@asynccontextmanager
async def open_stage(
    tenant: Tenant,
    folder: Path,
    *,
    seed: int,
    guards: Mapping[str, Mapping[str, Any]],
    beforehand: Mapping[str, Beforehand],
    say: Callable[[str], None],
) -> AsyncIterator[Stage]:
    """Starts storage, tenant, vendors and the function app, and ends them by their process ids."""
    principals = principals_of(tenant)
    async with AsyncExitStack() as stack:
        storage = await _start(stack, Azurite.in_memory, Azurite.stop)
        say(f"Azurite, in memory (process {storage.pid})")
        graph = GraphSimulator(tenant, seed=seed)
        graph.start()
        stack.callback(graph.stop)
        say(f"Microsoft Graph, simulated: {len(tenant.users)} people, {len(tenant.groups)} groups at {graph.base_url}")
        vendors = await _start(
            stack, lambda: VendorProcess.start(log=folder / "vendors.log", seed=seed), VendorProcess.stop
        )
        stack.push_async_callback(vendors.close)
        for connected in CONNECTED:
            say(f"{connected.title}, simulated: {connected.pace}, at {vendors.vendors[connected.name]['base_url']}")
        await put_there(vendors, beforehand)
        for application, held in beforehand.items():
            say(f"{_title(application)} has {len(held.groups)} groups that people made; {FORGOTTEN} was forgotten")
        configuration = folder / "provisioning.yaml"
        write_configuration(configuration, vendors=vendors.vendors, principals=principals, guards=guards)
        settings = app_settings(
            storage=storage.connection_string,
            graph=graph.base_url,
            configuration=configuration,
            vendors=vendors.vendors,
        )
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


def _title(application: str) -> str:
    return next(connected.title for connected in CONNECTED if connected.name == application)


async def _start(stack: AsyncExitStack, start: Callable[[], _Started], stop: Callable[[_Started], object]) -> _Started:
    """Starts a part in a thread, so that a Ctrl-C meanwhile cannot leave it behind; ends it with the stack."""
    starting = asyncio.get_running_loop().run_in_executor(None, start)
    try:
        part = await asyncio.shield(starting)
    except asyncio.CancelledError:
        stop(await starting)
        raise
    stack.callback(stop, part)
    return part
