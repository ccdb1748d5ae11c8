"""The whole product as it is deployed, on this machine: host process, storage of its own, a tenant and two vendors."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import anyio
import httpx
from azure.core.exceptions import ResourceExistsError
from azure.storage.queue import QueueClient

from shared.composition import Services, load_services
from shared.storage.tables import StorageUnavailable
from tests.simulation.azurite import Azurite
from tests.simulation.graph import GraphSimulator
from tests.simulation.host.process import HostProcess
from tests.simulation.tenant import Tenant
from tests.simulation.vendors import AcmeSimulator, FuzeSimulator, VendorSimulator

ROOT = Path(__file__).resolve().parents[2]
USER_ROLE = "User"
CLIENT_STATE = "the secret of this deployment"
NEVER = "0 0 0 1 1 *"
"""A schedule that is due once a year."""
KEY = "a-key-of-this-host"
OPEN_GUARD = "deletion_guard: {max_count: 1000, max_percent: 100, min_population: 0}"


@dataclass(slots=True, kw_only=True)
class Deployment:
    """What a test acts on, and where it looks."""

    folder: Path
    storage: str
    """Connection string; empty with an identity."""
    tenant: Tenant
    graph: GraphSimulator
    vendors: dict[str, VendorSimulator]
    principals: dict[str, str]
    guards: dict[str, str] = field(default_factory=dict)
    """Application -> its deletion guard as YAML, where it is not open."""
    hosts: list[HostProcess] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    """Over the settings: who the app is and how it reaches storage, with an identity."""

    @property
    def settings(self) -> dict[str, str]:
        """Answers with the app settings: everything is quick, within the bounds that settings allow."""
        return {
            "AzureWebJobsStorage": self.storage,
            "AzureFunctionsWebHost__hostid": "deployment",
            "AzureFunctionsJobHost__extensions__queues__visibilityTimeout": "00:00:00",
            "HOST_QUEUE_INVISIBILITY_SECONDS": "2",
            "PROVISIONING_CONFIG": str(self.folder / "provisioning.yaml"),
            "GRAPH_BASE_URL": self.graph.base_url,
            "GRAPH_STATIC_TOKEN": "simulated",
            "SYNC_SCHEDULE": "* * * * * *",
            "HOUSEKEEPING_SCHEDULE": "*/2 * * * * *",
            "ASSIGNMENT_CONFIRM_SECONDS": "1",
            "LEASE_SECONDS": "12",
            "VENDOR_TIMEOUT_SECONDS": "1.5",
            "GRACE_MARGIN_SECONDS": "0",
            "SWEEP_AFTER_SECONDS": "8",
            "ACME_TOKEN": self.vendors["acme"].token,
            "FUZE_TOKEN": self.vendors["fuze"].token,
            "HOST_FUNCTION_KEY": KEY,
            **self.environment,
        }

    def configure(self, more: str = "") -> None:
        """Writes provisioning.yaml; `more` is YAML of further applications, indented by two."""
        lines = ["version: 1", "applications:"]
        for name, profile in (("acme", "scim"), ("fuze", "fuze")):
            lines += [
                f"  {name}:",
                f"    profile: {profile}",
                f"    service_principal_id: {self.principals[name]}",
                f"    base_url: {self.vendors[name].base_url}",
                f"    auth: {{type: bearer, token: {name.upper()}_TOKEN}}",
                f"    {self.guards.get(name, OPEN_GUARD)}",
            ]
        (self.folder / "provisioning.yaml").write_text("\n".join(lines) + "\n" + more)

    def start(self, *, port: int = 0, **settings: str) -> HostProcess:
        """Starts a host on this deployment's storage; without a port on any that is free."""
        host = HostProcess.start(ROOT, {**self.settings, **settings}, log=self.folder / "host.log", port=port)
        self.hosts.append(host)
        return host

    def start_notified(self, **settings: str) -> HostProcess:
        """Starts a host that Graph notifies, and whose timers are never due."""
        port = free_port()
        notified = {
            "NOTIFICATION_URL": f"http://127.0.0.1:{port}",
            "NOTIFICATION_CLIENT_STATE": CLIENT_STATE,
            "SYNC_SCHEDULE": NEVER,
            "HOUSEKEEPING_SCHEDULE": NEVER,
        }
        return self.start(port=port, **{**notified, **settings})

    async def ask(self, path: str, *, post: bool = False) -> Any:
        """Answers with what the API of the last host says, a problem document included."""
        headers = {"x-functions-key": KEY, "X-Actor": "jo"}
        async with httpx.AsyncClient(base_url=self.hosts[-1].url, headers=headers, timeout=30) as client:
            return (await client.request("POST" if post else "GET", f"/api{path}")).json()

    def kill(self, host: HostProcess) -> None:
        """Ends the host process the way the platform loses a machine."""
        os.kill(host.pid, signal.SIGKILL)
        host.kill()

    def log(self) -> str:
        """Answers with what all hosts wrote so far."""
        return (self.folder / "host.log").read_text()

    def assign(self, user_id: str) -> None:
        """Assigns a user to both applications."""
        for principal in self.principals.values():
            self.tenant.assign(principal, user_id, self.role(principal))

    def assign_members(self) -> None:
        """Assigns everybody to both applications, but guests, whose user names vendors see in another form."""
        for user_id in self.tenant.user_ids():
            if self.tenant.user(user_id)["userType"] == "Member":
                self.assign(user_id)

    def unassign(self, user_id: str) -> None:
        """Takes the assignments to both applications away."""
        for principal in self.principals.values():
            self.tenant.unassign(principal, user_id, self.role(principal))

    def role(self, principal: str) -> str:
        """Answers with the id of an application's role User."""
        roles = self.tenant.service_principals[principal]["appRoles"]
        return str(next(role["id"] for role in roles if role["value"] == USER_ROLE))

    def entitled(self, app: str) -> list[str]:
        """Answers with the user names that should be active at a vendor, by the tenant's own judgement."""
        users = self.tenant.effective_users(self.principals[app], exclude_default_access=True)
        found = [self.tenant.user(user_id) for user_id in users]
        return sorted(str(user["userPrincipalName"]).casefold() for user in found if user.get("accountEnabled"))

    def held(self, app: str, *, active: bool = True) -> list[str]:
        """Answers with the user names of a vendor's accounts, doubles included."""
        accounts = self.vendors[app].resources("User")
        chosen = [each for each in accounts if each.get("active", True) is active and not each.get("_deleted")]
        return sorted(str(each["userName"]).casefold() for each in chosen)

    def differences(self) -> dict[str, list[str]]:
        """Answers with the user names that a vendor holds otherwise than it should; empty when all is settled."""
        found = {}
        for app in self.principals:
            held, wanted = Counter(self.held(app)), Counter(self.entitled(app))
            found[app] = sorted({*(held - wanted), *(wanted - held)})
        return {app: names for app, names in found.items() if names}

    def is_settled(self) -> bool:
        """Answers whether both vendors hold exactly whom they should."""
        return not self.differences()

    @contextmanager
    def queue(self, name: str) -> Iterator[QueueClient]:
        """Opens one of the real queues, as any other program could; makes it if the app has not yet."""
        with QueueClient.from_connection_string(self.storage, name) as client:
            with suppress(ResourceExistsError):
                client.create_queue()
            yield client

    def send(self, queue: str, *bodies: str) -> None:
        """Puts messages into a real queue, in base64."""
        self.send_raw(queue, *(base64.b64encode(body.encode()).decode() for body in bodies))

    def send_raw(self, queue: str, *texts: str) -> None:
        """Puts messages into a real queue as they are."""
        with self.queue(queue) as client:
            for text in texts:
                client.send_message(text)

    def waiting(self, queue: str) -> int:
        """Answers with how many messages a queue holds, hidden ones included."""
        with self.queue(queue) as client:
            return client.get_queue_properties().approximate_message_count or 0

    def services(self) -> Services:
        """Composes the product once more, to read its state; to be closed by the caller."""
        return load_services({**os.environ, **self.settings})


def run_now(host: HostProcess, function: str) -> None:
    """Runs a timer or queue function of a host at once, to its end. Raises RuntimeError with what it said."""
    request = Request(f"{host.url}/admin/functions/{function}", data=b"{}", method="POST")
    with urlopen(request, timeout=60) as answer:
        outcome = json.load(answer)
    if not outcome["succeeded"]:
        raise RuntimeError(outcome["error"])


def free_port() -> int:
    """Answers with a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


async def eventually(
    claim: Callable[[], object] | Callable[[], Awaitable[object]], *, within_s: float = 30.0, every_s: float = 0.1
) -> bool:
    """Answers whether a claim about other processes becomes true in time; about tables that they make, too."""
    with anyio.move_on_after(within_s):
        while True:
            with suppress(StorageUnavailable):
                answer = claim()
                if await answer if isinstance(answer, Awaitable) else answer:
                    return True
            await anyio.sleep(every_s)
    return False


@contextmanager
def open_deployment(
    folder: Path,
    *,
    users: int,
    vendors: dict[str, VendorSimulator] | None = None,
    storage: dict[str, str] | None = None,
) -> Iterator[Deployment]:
    """Starts storage, tenant and vendors (acme and fuze); every host that was started is ended at the end.

    `storage`: the environment of an app that has an identity, for which nothing is started here.
    """
    with ExitStack() as stack:
        azurite = stack.enter_context(Azurite.in_memory()) if storage is None else None
        tenant = Tenant(7, users)
        graph = stack.enter_context(GraphSimulator(tenant, page_size=10))
        vendors = vendors or {"acme": AcmeSimulator(), "fuze": FuzeSimulator()}
        for vendor in vendors.values():
            stack.enter_context(vendor)
        principals = {name: tenant.create_service_principal(f"Deployed {name}") for name in vendors}
        deployment = Deployment(
            folder=folder,
            storage=azurite.connection_string if azurite else "",
            environment={**storage, "GRAPH_STATIC_TOKEN": ""} if storage else {},
            tenant=tenant,
            graph=graph,
            vendors=vendors,
            principals=principals,
        )
        deployment.configure()
        stack.callback(lambda: [host.stop() for host in deployment.hosts])
        yield deployment
