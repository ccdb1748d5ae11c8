"""Names that Bicep, host.json, the sample settings, the settings module and the code must agree on."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from shared.config.applications import Applications, load_applications
from shared.config.settings import Settings
from shared.storage.tables import Tables
from tests.infra.deployment import ABSENT, DEFAULTS, EVERYTHING, deployed, flat, graph_permissions
from tests.infra.expressions import Values
from tests.infra.registered_functions import Functions, bound, registered_functions
from tests.infra.templates import (
    INFRA,
    ROOT,
    Declaration,
    Finding,
    body_of,
    properties_of,
    read_template,
)

BUILT_IN_ROLES = {
    "Key Vault Secrets Officer": "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
    "Key Vault Secrets User": "4633458b-17de-408a-b874-0445c86b69e6",
    "Monitoring Metrics Publisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "Storage Blob Data Owner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "Storage Queue Data Contributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    "Storage Table Data Contributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
}
"""Azure's own ids, the same in every tenant."""

APP = "<identity.properties.principalId>"
GRANTS = frozenset(
    [
        # The host keeps leases, keys and its own state in blobs it creates itself, and reads the code from there.
        ("storage", "Storage Blob Data Owner", APP),
        ("storage", "Storage Queue Data Contributor", APP),
        ("storage", "Storage Table Data Contributor", APP),
        # Reads the values of secrets, and changes none.
        ("vault", "Key Vault Secrets User", APP),
        # Sends telemetry, and reads none.
        ("monitoring", "Monitoring Metrics Publisher", APP),
        ("vault", "Key Vault Secrets Officer", "<an officer>"),
    ]
)
"""Every right that a deployment gives away: on what the module of this name makes, which role, and to whom."""

GRAPH_PERMISSIONS = {
    "announcesGroups=false": ["User.Read.All", "GroupMember.Read.All", "Application.Read.All"],
    "announcesGroups=true": ["User.Read.All", "GroupMember.Read.All", "Application.Read.All", "Group.Read.All"],
}
"""What the app may do with Microsoft Graph: nothing that writes."""

NOT_ON_FLEX = frozenset(
    [
        "ENABLE_ORYX_BUILD",
        "FUNCTIONS_EXTENSION_VERSION",
        "FUNCTIONS_WORKER_PROCESS_COUNT",
        "FUNCTIONS_WORKER_RUNTIME",
        "SCM_DO_BUILD_DURING_DEPLOYMENT",
        "WEBSITE_CONTENTAZUREFILECONNECTIONSTRING",
        "WEBSITE_CONTENTSHARE",
        "WEBSITE_RUN_FROM_PACKAGE",
        "WEBSITE_VNET_ROUTE_ALL",
    ]
)
"""Settings that Flex Consumption refuses or ignores."""

_PLATFORM = frozenset(
    [
        "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
        "AzureWebJobsStorage__credential",
    ]
)
"""Settings that the host reads and the app does not."""

_IDENTITY = frozenset(
    [
        "AZURE_CLIENT_ID",
        "AzureWebJobsStorage__blobServiceUri",
        "AzureWebJobsStorage__clientId",
        "AzureWebJobsStorage__queueServiceUri",
        "AzureWebJobsStorage__tableServiceUri",
    ]
)
"""Settings by which the app finds storage and itself; always set by the template."""

_SET_BY_AZURE = frozenset(["WEBSITE_HOSTNAME"])
"""Settings the app reads and the platform sets."""

_SECRETS = frozenset(["NOTIFICATION_CLIENT_STATE"])
"""Secrets that no application names; main.bicep adds them to those of the applications."""

_NOT_IN_AZURE = frozenset(["AzureWebJobsStorage", "AzureWebJobsStorage__accountName", "GRAPH_STATIC_TOKEN"])
"""Settings the app reads that have no place in Azure: connection strings and a simulated tenant's token."""


def check_names(
    folder: Path = INFRA,
    configuration: Path = ROOT / "provisioning.yaml",
    *,
    functions: Functions | None = None,
    tables: Collection[str] = Tables.NAMES,
) -> Iterator[Finding]:
    """Every disagreement. `functions`: those of the app, where they are not to be asked from it."""
    yield from _check_grants(folder)
    yield from _check_permissions(folder)
    yield from _check_storage(folder, functions or registered_functions(), tables)
    yield from _check_settings(folder)
    yield from _check_applications(folder, load_applications(configuration, {}))
    yield from _check_azd(folder)
    yield from _check_host(folder)


def _check_grants(folder: Path) -> Iterator[Finding]:
    resources = deployed(folder, EVERYTHING)
    grants = set(_grants(resources))
    for place, role, principal in sorted(grants ^ GRANTS):
        known = "is given" if (place, role, principal) in grants else "is not given"
        text = f"{role} on {place} to {principal} {known}: the rights must be exactly those of GRANTS in names.py"
        yield Finding(path=folder / "modules" / "roles.bicep", line=1, text=text)


def _grants(resources: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Scope, role and principal of every role assignment, wherever it stands."""
    names = {id_: name for name, id_ in BUILT_IN_ROLES.items()}
    for place, resource in resources.items():
        if resource.get("type", "").startswith("Microsoft.Authorization/roleAssignments"):
            properties = resource["properties"]
            scope = str(resource.get("scope", "the resource group")).strip("<>")
            target = resources.get(f"{place.partition('.')[0]}.{scope}", {}).get("name", scope)
            id_ = properties["roleDefinitionId"].strip("<>)").rpartition(", ")[2]
            yield target.strip("<>").partition(".outputs.")[0], names.get(id_, id_), properties["principalId"]


def _check_permissions(folder: Path) -> Iterator[Finding]:
    path = folder / "graph" / "permissions.bicep"
    granted = graph_permissions(folder)
    if granted != GRAPH_PERMISSIONS:
        yield Finding(path=path, line=1, text=f"expected exactly {GRAPH_PERMISSIONS}, not {granted}")
    known = json.loads(path.with_name("bicepconfig.json").read_text())["extensions"]
    for extension in re.findall(r"^extension (\w+)$", path.read_text(), flags=re.MULTILINE):
        if extension not in known:
            yield Finding(path=path, line=1, text=f"bicepconfig.json beside it names no extension {extension}")
    for permission in granted["announcesGroups=true"]:
        if path.read_text().count(permission) < 2:
            yield Finding(path=path, line=1, text=f"{permission} is missing in the shell commands above")


# --- Storage and instances -------------------------------------------------------------------------------------------


def _check_storage(folder: Path, functions: Functions, tables: Collection[str]) -> Iterator[Finding]:
    """Queues and instances for the functions that the app has, tables for what the code writes."""
    path = folder / "main.bicep"
    values = Values(template=read_template(path), parameters=DEFAULTS)
    queues = values.variable("queueNames")
    read = {binding["queueName"] for binding in bound(functions, "queueTrigger")}
    written = {binding["queueName"] for binding in bound(functions, "queue")}
    # The host itself makes the poison queue of a queue, but with a role to create it only after the first failure.
    expected = read | written | {queue for name in read for queue in _with_poison(name)}
    if set(queues) != expected or len(queues) != len(expected):
        difference = ", ".join(sorted(set(queues) ^ expected))
        yield Finding(path=path, line=1, text=f"queues differ from the code's: {difference}")
    for secret in sorted(_SECRETS - set(values.variable("secretSettings"))):
        yield Finding(path=path, line=1, text=f"{secret} is no reference into the vault")
    if set(values.variable("tableNames")) != set(tables):
        yield Finding(path=path, line=1, text=f"tables differ from the code's: {', '.join(sorted(tables))}")
    timers = len(bound(functions, "timerTrigger"))
    if values.variable("timerCount") != timers:
        yield Finding(path=path, line=1, text=f"timerCount: the app has {timers} timers")
    many = [{"name": f"app-{at}", "secretSettings": []} for at in range(40)]
    most = Values(template=read_template(path), parameters={"applications": many}).variable("instanceCount")
    if most != MOST_INSTANCES:
        yield Finding(path=path, line=1, text=f"instanceCount: however many applications, at most {MOST_INSTANCES}")


def _with_poison(queue: str) -> set[str]:
    return {queue} if queue.endswith("-poison") else {queue, f"{queue}-poison"}


MOST_INSTANCES = 40
"""No more by default: Azure may count them for each function."""


# --- Settings -------------------------------------------------------------------------------------------------------


class _ReadingNoted(dict[str, str]):
    """Settings that remember which names were asked for."""

    def __init__(self, values: dict[str, str]) -> None:
        super().__init__(values)
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        """Answers as a dict does, and notes the name."""
        self.names.add(name)
        return super().get(name, default)


def read_settings() -> set[str]:
    """The names of all settings that the app reads."""
    with_account = _ReadingNoted({"AzureWebJobsStorage__accountName": "account"})
    Settings.load(with_account)
    return with_account.names


def deployed_settings(folder: Path = INFRA) -> dict[str, Any]:
    """The app settings of a deployment with one secret and every optional setting, as far as they are known before."""
    template = read_template(folder / "modules" / "app.bicep")
    body = body_of(template.of("resource")["site_settings"].node)
    assert body is not None
    optional = dict.fromkeys(_optional_settings(folder), "x")
    values = Values(template=template, parameters={"secretSettings": ["FUZE_TOKEN"], "settings": optional})
    found: dict[str, Any] = values.of(properties_of(body)["properties"])
    return found


def _optional_settings(folder: Path) -> set[str]:
    declaration: Declaration = read_template(folder / "types.bicep").of("type")["appSettings"]
    return set(properties_of(declaration.node.named_children[-1]))


def _check_settings(folder: Path) -> Iterator[Finding]:
    app = folder / "modules" / "app.bicep"
    deployed = deployed_settings(folder)
    for name in sorted(set(deployed) - read_settings() - _PLATFORM - {"FUZE_TOKEN"}):
        yield Finding(path=app, line=1, text=f"{name} is set and nobody reads it")
    for name in sorted(read_settings() - set(deployed) - _NOT_IN_AZURE - _SET_BY_AZURE - _SECRETS):
        yield Finding(path=app, line=1, text=f"{name} is read by the app and cannot be set; add it to types.bicep")
    for name in sorted((_PLATFORM | _IDENTITY) - set(deployed)):
        yield Finding(path=app, line=1, text=f"{name} must be set")
    for name in sorted(set(deployed) & (NOT_ON_FLEX | _NOT_IN_AZURE)):
        yield Finding(path=app, line=1, text=f"{name} must not be set on Flex Consumption")
    reference = str(deployed["FUZE_TOKEN"])
    if not (reference.startswith("@Microsoft.KeyVault(SecretUri=") and reference.endswith("secrets/FUZE-TOKEN)")):
        yield Finding(path=app, line=1, text=f"a secret is no reference into the vault: {reference}")
    sample = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]
    for name in sorted(_optional_settings(folder) - set(sample)):
        yield Finding(path=folder / "types.bicep", line=1, text=f"{name} is not in local.settings.sample.json")


def _check_applications(folder: Path, applications: Applications) -> Iterator[Finding]:
    """The parameter file speaks of the applications that provisioning.yaml has."""
    parameters = read_template(folder / "main.bicepparam")
    place = parameters.of("var")["applications"].node
    deployed = {each["name"]: each for each in Values(template=parameters).variable("applications")}
    for name, each in deployed.items():
        if name not in applications:
            yield parameters.finding(place, f"{name} is not in provisioning.yaml")
            continue
        needed = {setting for _, setting in applications[name].setting_names}
        if set(each["secretSettings"]) != needed:
            yield parameters.finding(place, f"{name}: provisioning.yaml needs the settings {', '.join(sorted(needed))}")
    for application in applications.enabled:
        if application.name not in deployed:
            yield parameters.finding(
                place, f"{application.name} is enabled in provisioning.yaml and has no queues here"
            )


# --- azd and the host -----------------------------------------------------------------------------------------------


def _check_azd(folder: Path) -> Iterator[Finding]:
    lines = (folder.parent / "azure.yaml").read_text()
    tag = f"'azd-service-name': '{lines.split('services:')[1].split(':')[0].strip()}'"
    if tag not in (folder / "modules" / "app.bicep").read_text():
        yield Finding(path=folder / "modules" / "app.bicep", line=1, text=f"the site needs the tag {tag} for azd")


HOST = {
    "version": "2.0",
    # Longer than any run takes: the sync stops itself before.
    "functionTimeout": "00:10:00",
    # The storage extension 5, which can send base64; a later major version would be another program.
    "extensionBundle": {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)"},
    "extensions": {
        # The dashboard, the command line and the address of change notifications begin with it.
        "http": {"routePrefix": "api"},
        "queues": {
            # Also what the platform scales by: instances = messages / batchSize.
            "batchSize": 16,
            "newBatchThreshold": 8,
            # A joiner waits no longer than that for an idle queue.
            "maxPollingInterval": "00:00:02",
            # After an exception, so that five attempts outlast a hiccup of storage.
            "visibilityTimeout": "00:00:30",
            # Then it is poison: once would make an escrow of every hiccup.
            "maxDequeueCount": 5,
            # As the code sends.
            "messageEncoding": "base64",
        },
    },
    "logging": {
        # Events are written at Information, by functions; alerts count the host's results.
        "logLevel": {
            "default": "Information",
            "Host.Aggregator": "Warning",
            "Host.Results": "Information",
            "Function": "Information",
        },
        "applicationInsights": {
            "samplingSettings": {
                "isEnabled": True,
                "maxTelemetryItemsPerSecond": 20,
                # Alerts count runs, look for exceptions and read events: none of them may be thinned out.
                "excludedTypes": "Request;Exception;Trace",
            }
        },
    },
}
"""What host.json says, and why."""


def _check_host(folder: Path) -> Iterator[Finding]:
    path = folder.parent / "host.json"
    found, expected = flat(json.loads(path.read_text())), flat(HOST)
    for place in sorted(found.keys() | expected.keys()):
        if found.get(place, ABSENT) != expected.get(place, ABSENT):
            text = f"{place} is {found.get(place, ABSENT)!r}, and must be {expected.get(place, ABSENT)!r}"
            yield Finding(path=path, line=1, text=f"{text}; names.py says why")
