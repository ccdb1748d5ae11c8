"""A caller for tests: SCIM requests straight into a simulator, without a socket: a rule's test takes a millisecond."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from tests.simulation.vendors.exchange import Answer, Request
from tests.simulation.vendors.simulator import VendorSimulator
from tests.simulation.vendors.writes import CORE_URNS

USER_URN, GROUP_URN = CORE_URNS
PATCH_URN = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


class Caller:
    """Calls one simulator with one token (the simulator's own unless another is given)."""

    def __init__(self, sim: VendorSimulator, *, token: str | None = None) -> None:
        self.sim = sim
        self.token = sim.token if token is None else token

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        base_path: str | None = None,
    ) -> Answer:
        """Answers with the simulator's answer. A str body is sent as it is, anything else as JSON."""
        sent = body.encode() if isinstance(body, str) else b"" if body is None else json.dumps(body).encode()
        base = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/scim+json"}
        target = (self.sim.base_path if base_path is None else base_path) + path
        return self.sim.respond(
            Request(
                method=method,
                target=f"{target}?{urlencode(query)}" if query else target,
                headers=list({**base, **(headers or {})}.items()),
                body=sent,
            )
        )

    def create(self, body: Mapping[str, Any], *, kind: str = "User", **options: Any) -> Answer:
        """Answers a POST of a user or group, `schemas` filled in when the body has none."""
        urns = [key for key in body if key.startswith("urn:")]
        whole = {"schemas": [USER_URN if kind == "User" else GROUP_URN, *urns], **body}
        return self.call("POST", f"/{kind}s", body=whole, **options)

    def patch(self, resource_id: str, *operations: Mapping[str, Any], kind: str = "User", **options: Any) -> Answer:
        """Answers a PATCH with these operations."""
        body = {"schemas": [PATCH_URN], "Operations": list(operations)}
        return self.call("PATCH", f"/{kind}s/{quote(resource_id, safe='')}", body=body, **options)

    def set(self, resource_id: str, path: str, value: Any, *, kind: str = "User") -> Answer:
        """Answers a PATCH that replaces one attribute."""
        return self.patch(resource_id, {"op": "replace", "path": path, "value": value}, kind=kind)

    def get(self, resource_id: str, *, kind: str = "User", **options: Any) -> Answer:
        """Answers a GET of one resource."""
        return self.call("GET", f"/{kind}s/{quote(resource_id, safe='')}", **options)

    def delete(self, resource_id: str, *, kind: str = "User") -> Answer:
        """Answers a DELETE."""
        return self.call("DELETE", f"/{kind}s/{quote(resource_id, safe='')}")

    def find(self, filter_text: str, *, kind: str = "User", **query: str) -> Answer:
        """Answers a filtered list."""
        return self.call("GET", f"/{kind}s", query={"filter": filter_text, **query})

    def list(self, *, kind: str = "User", **query: str) -> Answer:
        """Answers an unfiltered list."""
        return self.call("GET", f"/{kind}s", query=query)


def scim_type(answer: Answer) -> tuple[int, str]:
    """Answers with status and scimType of an error."""
    return answer.status, (answer.body or {}).get("scimType", "")


def names(findings: Any) -> list[tuple[str, str]]:
    """Answers with rule and name of findings."""
    return [(each.rule, each.name) for each in findings]
