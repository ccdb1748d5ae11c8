"""Names that Bicep, host.json, the sample settings, the settings module and the code must agree on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shared.config.applications import Applications, load_applications
from shared.config.queue_names import DIRECTORY_CHANGED
from shared.config.settings import Settings
from shared.storage.queue_names import queue_name
from shared.storage.tables import Tables
from tests.infra.expressions import Values
from tests.infra.templates import (
    INFRA,
    ROOT,
    Declaration,
    Finding,
    Template,
    body_of,
    literal,
    properties_of,
    read_template,
    text_of,
    walk,
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

GRAPH_PERMISSIONS = frozenset(["User.Read.All", "GroupMember.Read.All", "Application.Read.All"])
"""What the app reads from Microsoft Graph; nothing that writes."""

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


def check_names(folder: Path = INFRA, configuration: Path = ROOT / "provisioning.yaml") -> Iterator[Finding]:
    """Every disagreement."""
    yield from _check_roles(read_template(folder / "modules" / "roles.bicep"))
    yield from _check_all_roles_in_one_place(folder)
    yield from _check_permissions(read_template(folder / "graph" / "permissions.bicep"))
    yield from _check_storage(folder)
    yield from _check_settings(folder)
    yield from _check_applications(folder, load_applications(configuration, {}))
    yield from _check_azd(folder)
    yield from _check_host()


def _check_roles(template: Template) -> Iterator[Finding]:
    table = template.of("var")["builtInRoles"]
    assert table.value is not None
    written = {name: literal(node) for name, node in properties_of(table.value).items()}
    for name, id_ in written.items():
        if name not in BUILT_IN_ROLES:
            yield template.finding(table.node, f"{name}: not a role the check knows")
        elif BUILT_IN_ROLES[name] != id_:
            yield template.finding(table.node, f"{name} is {BUILT_IN_ROLES[name]}, not {id_}")
    words = {literal(node) for node in walk(template.root) if node.type == "string"}
    for unlisted in sorted(set(BUILT_IN_ROLES) & words - set(written)):
        yield template.finding(table.node, f"{unlisted} is assigned and not in the table")
    for declaration in template.of("resource").values():
        if declaration.is_existing:
            continue
        body = text_of(declaration.node)
        if "guid(" not in body or "principalId" not in body:
            yield template.finding(
                declaration.node, f"{declaration.name}: its name must be a guid of scope, principal, role"
            )


def _check_all_roles_in_one_place(folder: Path) -> Iterator[Finding]:
    for path in sorted(folder.rglob("*.bicep")):
        if path.name != "roles.bicep" and "Microsoft.Authorization/roleAssignments" in path.read_text():
            yield Finding(path=path, line=1, text="role assignments belong into modules/roles.bicep")


def _check_permissions(template: Template) -> Iterator[Finding]:
    declaration = template.of("var")["permissions"]
    written = frozenset(Values(template=template).variable("permissions"))
    if written != GRAPH_PERMISSIONS:
        yield template.finding(declaration.node, f"expected exactly {', '.join(sorted(GRAPH_PERMISSIONS))}")
    shell = template.path.read_text()
    for permission in written:
        if shell.count(permission) < 2:
            yield template.finding(declaration.node, f"{permission} is missing in the shell commands above")


# --- Storage --------------------------------------------------------------------------------------------------------


def expected_queues(names: list[str]) -> set[str]:
    """The queues of applications and of change notifications, and their poison queues, as the code names them."""
    queues = {queue_name(name, first=first) for name in names for first in (False, True)} | {DIRECTORY_CHANGED}
    return queues | {f"{queue}-poison" for queue in queues}


def _check_storage(folder: Path) -> Iterator[Finding]:
    template = read_template(folder / "main.bicep")
    applications = [{"name": "fuze", "secretSettings": []}, {"name": "acme-eu", "secretSettings": []}]
    values = Values(template=template, parameters={"applications": applications})
    queues = values.variable("queueNames")
    expected = expected_queues(["fuze", "acme-eu"])
    if set(queues) != expected or len(queues) != len(expected):
        difference = ", ".join(sorted(set(queues) ^ expected))
        yield template.finding(template.of("var")["queueNames"].node, f"queues differ from the code's: {difference}")
    for secret in sorted(_SECRETS - set(values.variable("secretSettings"))):
        yield template.finding(template.of("var")["secretSettings"].node, f"{secret} is no reference into the vault")
    if set(values.variable("tableNames")) != set(Tables.NAMES):
        yield template.finding(
            template.of("var")["tableNames"].node, f"tables differ from the code's: {', '.join(Tables.NAMES)}"
        )


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
    path = folder.parent / "azure.yaml"
    lines = path.read_text() if path.exists() else (ROOT / "azure.yaml").read_text()
    tag = f"'azd-service-name': '{lines.split('services:')[1].split(':')[0].strip()}'"
    if tag not in (folder / "modules" / "app.bicep").read_text():
        yield Finding(path=folder / "modules" / "app.bicep", line=1, text=f"the site needs the tag {tag} for azd")


def _check_host() -> Iterator[Finding]:
    path = ROOT / "host.json"
    host = json.loads(path.read_text())
    if host["extensions"]["queues"].get("messageEncoding") != "base64":
        yield Finding(path=path, line=1, text="messages are sent as base64; messageEncoding must be base64")
    if "Request" not in host["logging"]["applicationInsights"]["samplingSettings"].get("excludedTypes", ""):
        yield Finding(
            path=path, line=1, text="the alert no-successful-cycle counts requests: exclude Request from sampling"
        )
