"""What people do at a vendor behind our back: past its HTTP interface, so that its journal holds our requests alone."""

from __future__ import annotations

import json

from tests.simulation.vendors import VendorSimulator


def meddle(vendor: VendorSimulator, target_id: str, endpoint: str = "Users", **attributes: object) -> None:
    """Somebody changes an account by hand; None clears."""
    operations = [
        {"op": "remove", "path": name} if value is None else {"op": "replace", "path": name, "value": value}
        for name, value in attributes.items()
    ]
    body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations}
    _ask(vendor, "PATCH", f"/{endpoint}/{target_id}", json.dumps(body).encode())


def remove(vendor: VendorSimulator, target_id: str, endpoint: str = "Users") -> None:
    """Somebody deletes an account by hand."""
    _ask(vendor, "DELETE", f"/{endpoint}/{target_id}", b"")


def _ask(vendor: VendorSimulator, method: str, path: str, body: bytes) -> None:
    headers = [("content-type", "application/scim+json")]
    answer = vendor.core.answer(method, path, base_url=vendor.base_url, query={}, headers=headers, body=body)
    assert int(answer.status) < 300, answer.body
