"""The four applications of the demo: how provisioning.yaml connects them, and the settings the function app gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ASSIGNMENT_CONFIRM_S = 3
LEASE_S = 14.5
VENDOR_TIMEOUT_S = 3
SECRET_SETTINGS = ("FUZE_TOKEN", "FORTES_TOKEN", "PURECLOUD_CLIENT_ID", "PURECLOUD_CLIENT_SECRET", "CLARIZEN_TOKEN")


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """One application: its name in provisioning.yaml and among the simulators, and who it is elsewhere."""

    name: str
    title: str
    """Display name of the tenant's service principal."""
    profile: str
    pace: str
    """What the vendor allows and what the product keeps to, in words."""


CONNECTED = (
    Connected(name="fuze", title="Fuze", profile="fuze", pace="10 requests a second, enforced"),
    Connected(
        name="fortes", title="Fortes Change Cloud", profile="fortes-change-cloud", pace="no limit published, none kept"
    ),
    Connected(
        name="purecloud",
        title="PureCloud by Genesys",
        profile="purecloud",
        pace="300 requests a minute, enforced; 240 kept",
    ),
    Connected(name="clarizen", title="Clarizen One", profile="clarizen-one", pace="SCIM is exempt; 25 a second kept"),
)


def write_configuration(
    path: Path, *, vendors: Mapping[str, Any], principals: Mapping[str, str], guards: Mapping[str, Mapping[str, Any]]
) -> None:
    """Writes provisioning.yaml: shipped profiles, addresses on loopback, secrets by the names of settings.

    `vendors` is what the vendors' process said about itself; `guards` holds the deletion guards that are not default.
    """
    applications: dict[str, Any] = {}
    for connected in CONNECTED:
        vendor = vendors[connected.name]
        auth: dict[str, str] = {"type": "bearer", "token": f"{connected.name.upper()}_TOKEN"}
        if "login_url" in vendor:
            auth = {
                "type": "oauth2_client_credentials",
                "client_id": "PURECLOUD_CLIENT_ID",
                "client_secret": "PURECLOUD_CLIENT_SECRET",
                "token_url": vendor["login_url"],
            }
        applications[connected.name] = {
            "profile": connected.profile,
            "service_principal_id": principals[connected.name],
            "base_url": vendor["base_url"],
            "auth": auth,
        }
        if connected.name in guards:
            applications[connected.name]["deletion_guard"] = dict(guards[connected.name])
    content = {
        "version": 1,
        "defaults": {"deletion_guard": {"max_count": 500, "max_percent": 20, "min_population": 50}},
        "applications": applications,
    }
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def app_settings(*, storage: str, graph: str, configuration: Path, vendors: Mapping[str, Any]) -> dict[str, str]:
    """Answers with the app settings: everything short, so that a day takes a minute."""
    purecloud = vendors["purecloud"]
    return {
        "AzureWebJobsStorage": storage,
        "AzureFunctionsWebHost__hostid": "demo",
        "AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:00:01",
        "GRAPH_BASE_URL": graph,
        "GRAPH_STATIC_TOKEN": "simulated",
        "PROVISIONING_CONFIG": str(configuration),
        "SYNC_SCHEDULE": "*/2 * * * * *",
        "HOUSEKEEPING_SCHEDULE": "*/5 * * * * *",
        "ASSIGNMENT_CONFIRM_SECONDS": str(ASSIGNMENT_CONFIRM_S),
        "LEASE_SECONDS": str(LEASE_S),
        "VENDOR_TIMEOUT_SECONDS": str(VENDOR_TIMEOUT_S),
        "GRACE_MARGIN_SECONDS": "0",
        "SWEEP_AFTER_SECONDS": "120",
        "HOST_MASTER_KEY": "demo",
        "HOST_FUNCTION_KEY": "demo",
        "FUZE_TOKEN": vendors["fuze"]["token"],
        "FORTES_TOKEN": vendors["fortes"]["token"],
        "PURECLOUD_CLIENT_ID": purecloud["client_id"],
        "PURECLOUD_CLIENT_SECRET": purecloud["client_secret"],
        "CLARIZEN_TOKEN": vendors["clarizen"]["token"],
    }
