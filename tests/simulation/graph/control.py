"""The control API under `/_sim/`: what another process may see and do. JSON in, JSON out, no token."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from tests.simulation.graph.changes import NotInTenantError
from tests.simulation.graph.odata import Response, error_response
from tests.simulation.graph.people import JsonObject
from tests.simulation.graph.population import to_json

if TYPE_CHECKING:
    from tests.simulation.graph.simulator import GraphSimulator

MUTATORS = frozenset({
    "hire", "update", "disable", "enable", "set_manager", "soft_delete", "mass_delete", "restore", "purge",
    "create_group", "update_group", "delete_group", "add_member", "remove_member", "create_service_principal",
    "update_service_principal", "assign", "unassign",
})  # fmt: skip


class Control:
    """Answers under `/_sim/`: state, faults, journal, clock, tokens, tenant, subscriptions, effective."""

    def __init__(self, simulator: GraphSimulator) -> None:
        """Controls one simulator."""
        self._simulator = simulator

    def answer(self, method: str, target: str, body: bytes) -> Response:
        """Serves one call; 400 says what was wrong with it, 404 what does not exist."""
        path, _, query = target.partition("?")
        try:
            given = json.loads(body) if body else {}
            result = self._serve(method, path.strip("/").split("/"), dict(parse_qsl(query)), given)
        except NotInTenantError as error:
            return error_response(404, "NotFound", str(error))
        except (ValueError, TypeError, KeyError) as error:
            return error_response(400, "BadRequest", f"{type(error).__name__}: {error}")
        if result is None:
            return error_response(404, "NotFound", f"no such control: {method} /_sim/{path}")
        return Response(200, to_json(result))

    def _serve(self, method: str, segments: list[str], query: dict[str, str], given: JsonObject) -> JsonObject | None:
        simulator = self._simulator
        match method, segments:
            case "GET", ["state"]:
                return self._state()
            case (("GET" | "POST" | "DELETE"), ["faults"]):
                return self._faults(method, given)
            case "GET", ["journal"]:
                entries = simulator.requests.after(int(query.get("after", "0")))
                return {"entries": [asdict(entry) for entry in entries], "counts": simulator.requests.counts()}
            case "DELETE", ["journal"]:
                simulator.requests.clear()
                return {}
            case "POST", ["clock"]:
                simulator.advance(timedelta(seconds=float(given["advance_s"])))
                return {"now": simulator.now().isoformat()}
            case "POST", ["tokens", "expire"]:
                simulator.access.expire_issued()
                return {}
            case "POST", ["tenant", mutator]:
                return {"result": self._mutate(mutator, given), "number": simulator.tenant.number}
            case "GET", ["tenant", *named]:
                return self._tenant(named)
            case "GET", ["effective", service_principal_id]:
                return self._effective(service_principal_id, query)
            case _, ["subscriptions", *named]:
                return self._subscriptions(method, named, given)
        return None

    def _tenant(self, named: list[str]) -> JsonObject | None:
        tenant = self._simulator.tenant
        match named:
            case ["users"]:
                return {"ids": tenant.user_ids()}
            case ["users", user_id]:
                return tenant.user(user_id)
            case ["groups"]:
                sizes = {group_id: len(members) for group_id, members in tenant.members.items()}
                return {"value": [group | {"members": sizes[held]} for held, group in tenant.groups.items()]}
            case ["groups", group_id, "members"]:
                return {"members": dict(tenant.members[group_id])}
            case ["service_principals"]:
                return {"value": list(tenant.service_principals.values())}
        return None

    def _effective(self, service_principal_id: str, query: dict[str, str]) -> JsonObject:
        excluded = query.get("exclude_default_access", "true").lower() == "true"
        effective = self._simulator.tenant.effective_users(service_principal_id, exclude_default_access=excluded)
        return {"users": {user_id: sorted(roles) for user_id, roles in effective.items()}}

    def _subscriptions(self, method: str, named: list[str], given: JsonObject) -> JsonObject | None:
        subscriptions = self._simulator.subscriptions
        match method, named:
            case "GET", []:
                return {"subscriptions": subscriptions.shown(), "deliveries": subscriptions.deliveries()}
            case "POST", ["reauthorization"]:
                subscriptions.require_reauthorization(given["id"])
                return {}
            case "POST", ["hold"]:
                subscriptions.hold()
                return {}
            case "POST", ["release"]:
                subscriptions.release()
                return {}
        return None

    def _state(self) -> JsonObject:
        simulator, tenant = self._simulator, self._simulator.tenant
        return {
            "base_url": simulator.base_url,
            "now": simulator.now().isoformat(),
            "seed": tenant.seed,
            "tenant_id": tenant.tenant_id,
            "number": tenant.number,
            "users": len(tenant.users),
            "deleted_users": len(tenant.deleted_users),
            "groups": len(tenant.groups),
            "service_principals": {held: one["displayName"] for held, one in tenant.service_principals.items()},
            "requests": simulator.requests.total,
            "faults": simulator.faults.active(),
        }

    def _faults(self, method: str, given: JsonObject) -> JsonObject:
        faults = self._simulator.faults
        if method == "POST":
            faults.add(given.pop("kind"), **given)
        if method == "DELETE":
            faults.clear()
        return {"faults": faults.active()}

    def _mutate(self, mutator: str, given: JsonObject) -> Any:
        """Calls a mutator with `args` and the rest of the body as keywords."""
        if mutator not in MUTATORS:
            raise ValueError(f"{mutator} is no mutator; known are {sorted(MUTATORS)}")
        return getattr(self._simulator.tenant, mutator)(*given.pop("args", ()), **given)
