"""The control API under `/_sim/`: what tests do in process, for people and other processes. Loopback, no token."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.simulation.vendors.exchange import Answer, Request

if TYPE_CHECKING:
    from tests.simulation.vendors.simulator import VendorSimulator


class Control:
    """Routes `/_sim/<what>[/<which>]` to a vendor's state, resources, journal, findings, faults, clock and tokens."""

    def __init__(self, sim: VendorSimulator) -> None:
        self._sim = sim

    def answer(self, request: Request) -> Answer:
        """Answers one control request with JSON; 404 with the list of what there is for anything unknown."""
        what, _, which = request.raw_path.removeprefix("/_sim").strip("/").partition("/")
        route = getattr(self, f"_{what}", None) if what in ROUTES else None
        if route is None:
            return _json({"routes": [f"/_sim/{name}" for name in ROUTES]}, status=404)
        try:
            body = json.loads(request.body) if request.body else {}
            return _json(route(request, which, body))
        except (KeyError, TypeError, ValueError) as error:
            return _json({"error": f"{type(error).__name__}: {error}"}, status=400)

    def _state(self, _request: Request, _which: str, _body: Any) -> Any:
        sim = self._sim
        users = sim.resources("User")
        present = [each for each in users if not each["_deleted"]]
        return {
            "vendor": sim.name,
            "base_url": sim.base_url,
            "users": len(present),
            "active": sum(1 for each in present if each.get("active")),
            "deleted": len(users) - len(present),
            "groups": len(sim.resources("Group")),
            "requests": len(sim.journal),
            "violations": len(sim.violations),
            "notices": len(sim.notices),
            "peak_rate": sim.peak_rate,
            "peak_in_window": sim.pace.peak,
            "window_s": sim.window.window_s,
            "faults": [each.as_json() for each in sim.faults.all()],
            "clock": sim.clock.now(),
        }

    def _resources(self, request: Request, _which: str, body: Any) -> Any:
        kind = request.query.get("type", "User")
        if request.method == "POST":
            rows = body["resources"] if isinstance(body, dict) else body
            return {"ids": self._sim.seed(rows, resource_type=kind)}
        return self._sim.resources(kind)

    def _journal(self, request: Request, _which: str, _body: Any) -> Any:
        return self._ledger(self._sim.record.journal, request)

    def _violations(self, request: Request, _which: str, _body: Any) -> Any:
        return self._ledger(self._sim.record.violations, request)

    def _notices(self, request: Request, _which: str, _body: Any) -> Any:
        return self._ledger(self._sim.record.notices, request)

    def _privilege_changes(self, request: Request, _which: str, _body: Any) -> Any:
        return self._ledger(self._sim.record.privilege_changes, request)

    @staticmethod
    def _ledger(ledger: Any, request: Request) -> Any:
        if request.method == "DELETE":
            ledger.clear()
        return ledger.as_json()

    def _faults(self, request: Request, which: str, body: Any) -> Any:
        faults = self._sim.faults
        if request.method == "POST" and which == "release":
            faults.release()
            return {"late_writes": self._sim.release_late_writes()}
        if request.method == "POST":
            return {"id": faults.add(body.pop("kind"), **body)}
        if request.method == "DELETE":
            faults.lift(which) if which else faults.clear()
        return [each.as_json() for each in faults.all()]

    def _reset(self, request: Request, _which: str, _body: Any) -> Any:
        if request.method != "POST":
            raise ValueError("reset wants POST")
        self._sim.reset()
        return {"reset": True}

    def _clock(self, request: Request, _which: str, body: Any) -> Any:
        if request.method == "POST":
            self._sim.clock.advance(float(body["advance_s"]))
        return {"now": self._sim.clock.now(), "offset_s": self._sim.clock.offset_s}

    def _tokens(self, request: Request, which: str, body: Any) -> Any:
        tokens, now = self._sim.tokens, self._sim.clock.now()
        if request.method == "POST" and which.endswith("/expire"):
            tokens.expire(which.removesuffix("/expire"), at=now)
        elif request.method == "POST":
            lifetime = body.get("lifetime_s")
            expires_at = None if lifetime is None else now + float(lifetime)
            return {"token": tokens.issue(which or body["name"], expires_at=expires_at, used_at=now)}
        elif request.method == "DELETE":
            tokens.revoke(which)
        return [
            {"name": each.name, "refused": each.refusal(now), "expires_at": each.expires_at} for each in tokens.all()
        ]


ROUTES = (
    "state",
    "resources",
    "journal",
    "violations",
    "notices",
    "privilege_changes",
    "faults",
    "reset",
    "clock",
    "tokens",
)


def _json(body: Any, *, status: int = 200) -> Answer:
    return Answer(
        status=status, raw=json.dumps(body, default=str).encode(), headers={"Content-Type": "application/json"}
    )
