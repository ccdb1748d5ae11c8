"""A simulated Graph in its own process, and the product's services configured against it."""

from __future__ import annotations

import json
import textwrap
import urllib.request
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from shared.composition import Services, load_services
from tests.benchmarks.separate import wait_for_end
from tests.simulation.graph import GraphSimulator
from tests.simulation.graph.changes import AppRoleAssignment, Kind
from tests.simulation.graph.people import opaque_id
from tests.simulation.graph.population import CREATED_AT
from tests.simulation.tenant import Tenant

APPLICATION = "acme"
PRINCIPAL = "Unassigned App"
"""The application of the simulated tenant to which nobody is assigned from the start."""

NO_PRINCIPAL = "11111111-1111-1111-1111-111111111111"
"""For benchmarks that read no assignments."""


def serve_graph(announce: Connection, users: int, assigns_everyone: bool, page_size: int) -> None:
    """Serves a tenant, on request with a direct assignment of every user; announces URL and service principal."""
    tenant = Tenant(1, users)
    principal = next(one for one in tenant.service_principals.values() if one["displayName"] == PRINCIPAL)
    if assigns_everyone:
        role_id = principal["appRoles"][0]["id"]
        for user_id in tenant.user_ids():
            assignment_id = opaque_id(principal["id"], user_id, role_id)
            tenant.assignments[principal["id"]][assignment_id] = AppRoleAssignment(
                id=assignment_id,
                resource_id=principal["id"],
                principal_id=user_id,
                principal_kind=Kind.USER,
                app_role_id=role_id,
                created_at=CREATED_AT,
                granted=0,
            )
    with GraphSimulator(tenant, page_size=page_size) as simulator:
        announce.send(f"{simulator.base_url} {principal['id']}")
        wait_for_end(announce)


def change_users(graph_url: str, *, count: int, skip: int) -> None:
    """Gives `count` users another job title, leaving out the first `skip` that are neither guests nor disabled."""
    control = control_of(graph_url)
    user_ids = call(f"{control}/tenant/users")["ids"]
    # Persons 10 to 23 of every 50 have no oddity: enabled members.
    plain = [user_id for index, user_id in enumerate(user_ids) if 10 <= index % 50 < 24]
    for user_id in plain[skip : skip + count]:
        call(f"{control}/tenant/update", {"args": [user_id], "jobTitle": f"Changed {skip}"})


def hide_everything(graph_url: str) -> None:
    """Makes the next round of users and groups show nobody, so that only what comes later is news."""
    for stream in ("users", "groups"):
        call(f"{control_of(graph_url)}/faults", {"kind": "short_round", "path": f"{stream}/delta"})


def control_of(graph_url: str) -> str:
    """The simulator's control API."""
    return graph_url.removesuffix("/v1.0") + "/_sim"


def call(url: str, body: Any = None) -> Any:
    """Calls the simulator's control API."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data=data)) as answer:
        return json.load(answer)


def new_services(
    folder: Path,
    *,
    storage: str,
    graph: str,
    scope: str = "all",
    vendor_url: str = "http://127.0.0.1:9/scim/v2",
    more: str = "",
) -> Services:
    """Builds the product's services with one application; `graph` is what `serve_graph` announced.

    `more`: further lines of the application's configuration.
    """
    graph_url, principal_id = graph.split()
    path = write_configuration(folder, principal_id=principal_id, scope=scope, vendor_url=vendor_url, more=more)
    return load_services(environment(path, storage=storage, graph_url=graph_url))


def write_configuration(folder: Path, *, principal_id: str, scope: str, vendor_url: str, more: str = "") -> Path:
    """Writes a provisioning.yaml with one application and answers with its path."""
    path = folder / "provisioning.yaml"
    path.write_text(
        textwrap.dedent(f"""\
            version: 1
            applications:
              {APPLICATION}:
                profile: scim
                service_principal_id: {principal_id}
                base_url: {vendor_url}
                auth: {{type: bearer, token: ACME_TOKEN}}
                scope: {scope}
                deletion_guard: {{max_count: 1000, max_percent: 100, min_population: 0}}
            """)
        + textwrap.indent(textwrap.dedent(more), "    "),
        encoding="utf-8",
    )
    return path


def environment(configuration: Path, *, storage: str, graph_url: str) -> dict[str, str]:
    """The settings of the product."""
    return {
        "AzureWebJobsStorage": storage,
        "GRAPH_BASE_URL": graph_url,
        "GRAPH_STATIC_TOKEN": "simulated",
        "PROVISIONING_CONFIG": str(configuration),
        "SYNC_SCHEDULE": "0 * * * * *",
        "HOUSEKEEPING_SCHEDULE": "30 */5 * * * *",
        "ACME_TOKEN": "benchmark",
    }
