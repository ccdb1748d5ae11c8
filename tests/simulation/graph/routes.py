"""From a request to an answer: who may ask, which fault strikes, which part of the simulator answers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Protocol
from urllib.parse import parse_qsl, unquote

from tests.simulation.graph.access import Access
from tests.simulation.graph.directory import Directory
from tests.simulation.graph.faults import Fault, FaultKind, Faults
from tests.simulation.graph.odata import ODataError, Request, Response, error_response
from tests.simulation.graph.people import JsonObject
from tests.simulation.graph.population import to_json

MAX_BATCH = 20
_APP_ID = re.compile(r"servicePrincipals\(appId=(?:'|%27)([^'%)]*)(?:'|%27)\)")
_UNIT_COSTS = {("users", 2): 2, ("groups/members", 3): 3, ("users/appRoleAssignments", 3): 2}


class Answers(Protocol):
    """A part of the simulator that serves some paths."""

    def answer(self, request: Request, *, link_to: Callable[[str], str]) -> Response:
        """Serves one request or raises ODataError."""
        ...


class Router:
    """Serves requests relative to the version, batches included."""

    def __init__(
        self,
        tenant: Directory,
        faults: Faults,
        *,
        access: Access,
        now: Callable[[], datetime],
        base_url: Callable[[], str],
        delta: Answers,
        reads: Answers,
        subscriptions: Answers,
    ) -> None:
        """Wires the parts; `base_url` is asked for each link because the port is known late."""
        self._tenant = tenant
        self._faults = faults
        self._access = access
        self._now = now
        self._base_url = base_url
        self._delta = delta
        self._reads = reads
        self._subscriptions = subscriptions

    def request_of(self, method: str, target: str, *, headers: dict[str, str], body: bytes) -> Request:
        """Reads a target relative to the version; all spellings of a path become one."""
        path, _, query = target.partition("?")
        options = {name.lower().removeprefix("$"): value for name, value in parse_qsl(query, keep_blank_values=True)}
        return Request(method=method, path=self._canonical(path), query=options, headers=headers, body=body)

    def respond(self, request: Request) -> Response:
        """Answers, with an error answer for everything a client can do wrong."""
        try:
            self._access.check(request)
            if failure := self._failure(request):
                return failure
            response = self._dispatch(request)
        except ODataError as error:
            response = error.response
        response.headers.setdefault("x-ms-resource-unit", str(_resource_units(request)))
        return response

    def _canonical(self, path: str) -> str:
        by_app_id = _APP_ID.match(path.lstrip("/"))
        if by_app_id:
            path = f"servicePrincipals/{self._principal_of(by_app_id.group(1))}{path.lstrip('/')[by_app_id.end() :]}"
        segments = [unquote(segment) for segment in path.strip("/").split("/")]
        last = segments[-1].removesuffix("()").removeprefix("microsoft.graph.")
        if last == "delta":
            segments[-1] = last
        return "/".join(segments)

    def _principal_of(self, app_id: str) -> str:
        principals = self._tenant.service_principals.items()
        return next((held for held, principal in principals if principal["appId"] == unquote(app_id)), app_id)

    def _link_to(self, request: Request) -> Callable[[str], str]:
        foreign = self._faults.take(FaultKind.FOREIGN_LINK, request.path, link=request.link)
        base = f"{foreign.origin or 'https://graph.example.net'}/v1.0" if foreign else self._base_url()
        return lambda relative: f"{base}/{relative}"

    def _dispatch(self, request: Request) -> Response:
        first, last = request.path.split("/")[0], request.path.split("/")[-1]
        if request.path == "$batch":
            return self._batch(request)
        if first == "subscriptions":
            return self._subscriptions.answer(request, link_to=self._link_to(request))
        if request.method != "GET":
            raise ODataError(405, "Request_BadRequest", "Specified HTTP method is not allowed for the request target.")
        part = self._delta if last == "delta" and request.path.count("/") == 1 else self._reads
        return part.answer(request, link_to=self._link_to(request))

    # Batches

    def _batch(self, request: Request) -> Response:
        try:
            parts = json.loads(request.body)["requests"]
            ids = [part["id"] for part in parts]
        except (ValueError, KeyError, TypeError):
            raise ODataError(400, "BadRequest", "Invalid batch payload format.") from None
        if not 1 <= len(parts) <= MAX_BATCH or len(set(ids)) != len(ids):
            raise ODataError(400, "BadRequest", f"A batch needs 1 to {MAX_BATCH} requests with distinct ids.")
        answers: dict[str, JsonObject] = {}
        for part in parts:
            answers[part["id"]] = self._part(request, part, answers)
        shuffled = list(answers.values())
        self._faults.dice.shuffle(shuffled)
        return Response(200, to_json({"responses": shuffled}))

    def _part(self, outer: Request, part: JsonObject, earlier: dict[str, JsonObject]) -> JsonObject:
        if any(earlier.get(needed, {"status": 424})["status"] >= 400 for needed in part.get("dependsOn", ())):
            failed = error_response(424, "FailedDependency", "A request this one depends on failed.")
            return {"id": part["id"], "status": 424, "headers": {}, "body": json.loads(failed.body)}
        headers = {name.lower(): value for name, value in part.get("headers", {}).items()}
        inner = self.request_of(
            part.get("method", "GET"),
            part["url"],
            headers={"authorization": outer.headers.get("authorization", ""), **headers},
            body=to_json(part.get("body")),
        )
        response = self.respond(inner)
        headers = {"Content-Type": "application/json", **response.headers}
        body = json.loads(response.body) if response.body.startswith(b"{") else None
        return {"id": part["id"], "status": response.status, "headers": headers, "body": body}

    # Faults that are an answer

    def _failure(self, request: Request) -> Response | None:
        for kind, answer in _FAILURES.items():
            if fault := self._faults.take(kind, request.path, link=request.link):
                return answer(self, request, fault)
        return None

    def _throttled(self, request: Request, fault: Fault) -> Response:
        headers = self._retry_after(fault) | {
            "x-ms-throttle-scope": f"Tenant_Application/ReadWrite/{self._tenant.tenant_id}/{self._tenant.tenant_id}",
            "x-ms-throttle-information": "ResourceUnitLimitExceeded",
            "x-ms-throttle-limit-percentage": "1.2",
        }
        return error_response(429, "TooManyRequests", "Too many requests.", headers)

    def _broken(self, request: Request, fault: Fault) -> Response:
        status = fault.status or 503
        codes = {500: "InternalServerError", 502: "BadGateway", 503: "serviceNotAvailable", 504: "GatewayTimeout"}
        code = codes.get(status, "generalException")
        return error_response(status, code, "The service failed; try again later.", self._retry_after(fault))

    def _retry_after(self, fault: Fault) -> dict[str, str]:
        if fault.retry_after is None:
            return {}
        if fault.retry_after == "date":
            return {"Retry-After": format_datetime(self._now() + timedelta(seconds=2), usegmt=True)}
        return {"Retry-After": str(fault.retry_after)}

    def _gone(self, request: Request, fault: Fault) -> Response:
        base = f"{fault.origin}/v1.0" if fault.origin else self._base_url()
        headers = {"Location": f"{base}/{request.path}?$deltatoken="}
        return error_response(410, "Gone", "The sync must restart from the URL in the Location header.", headers)

    def _token_refused(self, request: Request, fault: Fault) -> Response:
        return error_response(401, "InvalidAuthenticationToken", "Access token has expired or is not yet valid.")

    def _forbidden(self, request: Request, fault: Fault) -> Response:
        return error_response(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")

    def _hidden(self, request: Request, fault: Fault) -> Response:
        return error_response(404, "Request_ResourceNotFound", "Resource does not exist.")

    def _sync_state_lost(self, request: Request, fault: Fault) -> Response:
        message = "The sync state generation is not found; the sync must restart."
        return error_response(fault.status or 400, "syncStateNotFound", message)

    def _garbage(self, request: Request, fault: Fault) -> Response:
        page = b"<!DOCTYPE html><html><body><h1>Sign in to the network</h1></body></html>"
        return Response(200, page, {"Content-Type": "text/html; charset=utf-8"})


_FAILURES: dict[FaultKind, Callable[[Router, Request, Fault], Response]] = {
    FaultKind.THROTTLE: Router._throttled,
    FaultKind.SERVER_ERROR: Router._broken,
    FaultKind.UNAUTHORIZED: Router._token_refused,
    FaultKind.FORBIDDEN: Router._forbidden,
    FaultKind.NOT_FOUND: Router._hidden,
    FaultKind.GONE: Router._gone,
    FaultKind.SYNC_STATE_NOT_FOUND: Router._sync_state_lost,
    FaultKind.GARBAGE: Router._garbage,
}


def _resource_units(request: Request) -> int:
    segments = request.path.split("/")
    kind = f"{segments[0]}/{segments[2]}" if len(segments) == 3 else segments[0]
    cost = 1 if segments[-1] == "delta" else _UNIT_COSTS.get((kind, len(segments)), 1)
    cost += ("expand" in request.query) - ("select" in request.query)
    return max(1, cost)
