"""What must be so whatever a scanner knows: keys off, Entra only, encrypted on the way, nothing purged early."""

from __future__ import annotations

from collections.abc import Iterator

from tree_sitter import Node

from tests.infra.templates import Finding, Template, body_of, properties_of, text_of, type_of_resource

_OPEN_OR_CLOSED = "isPrivate ? 'Disabled' : 'Enabled'"
_ALLOW_OR_DENY = "isPrivate ? 'Deny' : 'Allow'"

REQUIRED = {
    "Microsoft.Insights/components": {"properties.DisableLocalAuth": "true"},
    "Microsoft.KeyVault/vaults": {
        "properties.enablePurgeProtection": "true",
        "properties.enableRbacAuthorization": "true",
        "properties.enableSoftDelete": "true",
        "properties.networkAcls.defaultAction": _ALLOW_OR_DENY,
        "properties.publicNetworkAccess": _OPEN_OR_CLOSED,
    },
    "Microsoft.OperationalInsights/workspaces": {"properties.features.disableLocalAuth": "true"},
    "Microsoft.Storage/storageAccounts": {
        "properties.allowBlobPublicAccess": "false",
        "properties.allowCrossTenantReplication": "false",
        "properties.allowSharedKeyAccess": "false",
        "properties.minimumTlsVersion": "'TLS1_2'",
        "properties.networkAcls.defaultAction": _ALLOW_OR_DENY,
        "properties.publicNetworkAccess": _OPEN_OR_CLOSED,
        "properties.supportsHttpsTrafficOnly": "true",
    },
    "Microsoft.Storage/storageAccounts/blobServices/containers": {"properties.publicAccess": "'None'"},
    "Microsoft.Web/sites": {
        "identity.type": "'UserAssigned'",
        "properties.functionAppConfig.deployment.storage.authentication.type": "'UserAssignedIdentity'",
        "properties.httpsOnly": "true",
        "properties.siteConfig.ftpsState": "'Disabled'",
        "properties.siteConfig.minTlsVersion": "'1.2'",
    },
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": {"properties.allow": "false"},
}
"""Type of resource, path of a property, and what must be written there."""


def check_hardening(template: Template) -> Iterator[Finding]:
    """Resources that are more open than they must be."""
    for declaration in template.of("resource").values():
        body = body_of(declaration.node)
        if declaration.is_existing or body is None:
            continue
        for path, expected in REQUIRED.get(type_of_resource(declaration)[0], {}).items():
            node: Node | None = body
            for name in path.split("."):
                node = properties_of(node).get(name) if node is not None else None
            if node is None or text_of(node) != expected:
                yield template.finding(node or declaration.node, f"{declaration.name}.{path} must be {expected}")
