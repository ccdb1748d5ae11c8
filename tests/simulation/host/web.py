"""The HTTP side of the host: the app's routes, and the two of the platform's admin calls that people use.

    POST /admin/functions/<name>   runs a timer or queue function now; {"input": "..."} is the message body.
                                   202 once the run ended, with what came of it; ?wait=false: 202 at once, as in Azure.
    GET  /admin/host/status        {"state": "Running", ...}
    GET  /admin/functions          names and bindings

Admin calls take the master key or, as in Microsoft's local tools, none (only this machine can reach the host); a wrong
key is refused.
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from tests.simulation.host.failures import HostNotStartedError
from tests.simulation.host.functions import Function, Output, Trigger
from tests.simulation.host.keys import Keys
from tests.simulation.host.routes import Route, split_path
from tests.simulation.host.runtime import Invocation, InvocationResult, Message, TypedData
from tests.simulation.host.timers import timer_invocation

log = logging.getLogger("host.web")

LARGEST_REQUEST = 100 * 1024 * 1024
KEY_HEADER = "x-functions-key"


class WebFront:
    """The host's HTTP server, on the loopback interface only."""

    def __init__(
        self,
        functions: tuple[Function, ...],
        keys: Keys,
        *,
        route_prefix: str,
        invoke: Callable[[Function, Invocation], Awaitable[InvocationResult]],
        host_id: str,
    ) -> None:
        self._functions = {function.name.lower(): function for function in functions}
        self._keys = keys
        self._invoke = invoke
        self._host_id = host_id
        self._started = time.monotonic()
        self._prefix = split_path(route_prefix)
        routed = [
            (Route.parse(function.trigger_binding.get("route") or function.name), function)
            for function in functions
            if function.trigger is Trigger.HTTP
        ]
        self._routes = sorted(routed, key=lambda each: each[0].order)
        self._background: set[asyncio.Task[Any]] = set()
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def start(self, port: int) -> None:
        """Listens on a port, 0 for any free one, and sets `url`. Raises: HostNotStartedError if it is taken."""
        application = web.Application(client_max_size=LARGEST_REQUEST)
        application.router.add_route("GET", "/admin/host/status", self._status)
        application.router.add_route("GET", "/admin/functions", self._list)
        application.router.add_route("POST", "/admin/functions/{name}", self._run_now)
        application.router.add_route("*", "/{path:.*}", self._call)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, "127.0.0.1", port).start()
        except OSError as error:
            raise HostNotStartedError(f"port {port} is taken: end what listens there, or use --port") from error
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Stops listening; calls under way get a moment to end."""
        if self._runner is not None:
            await self._runner.cleanup()
        for task in self._background:
            task.cancel()

    async def _call(self, request: web.Request) -> web.StreamResponse:
        path = split_path(request.rel_url.raw_path)
        depth = len(self._prefix)
        if [part.lower() for part in path[:depth]] != [part.lower() for part in self._prefix]:
            return web.Response(status=404)
        for route, function in self._routes:
            values = route.match(path[depth:])
            if values is not None and _allows(function, request.method):
                return await self._answer(request, function, values)
        return web.Response(status=404)

    async def _answer(self, request: web.Request, function: Function, values: dict[str, str]) -> web.StreamResponse:
        level = str(function.trigger_binding.get("authLevel") or "function").lower()
        if not self._keys.opens(level, function.name, _key(request)):
            return web.Response(status=401)
        body = await request.read()
        query: dict[str, str] = {}
        for name, value in request.query.items():
            query[name] = f"{query[name]},{value}" if name in query else value
        data = Message(
            method=request.method,
            url=str(request.url),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=TypedData(bytes=body) if body else TypedData(),
            params=values,
            query=query,
        )
        invocation = Invocation(
            data=TypedData(http=data),
            trace_parent=request.headers.get("traceparent", ""),
            trace_state=request.headers.get("tracestate", ""),
        )
        result = await self._invoke(function, invocation)
        return web.Response(status=500) if not result.succeeded else _response(function, result)

    async def _run_now(self, request: web.Request) -> web.Response:
        if refusal := self._refuse_admin(request):
            return refusal
        function = self._functions.get(request.match_info["name"].lower())
        if function is None:
            return web.Response(status=404)
        if function.trigger is Trigger.HTTP:
            return web.json_response({"error": f"{function.name} has a route: call that"}, status=400)
        try:
            content = json.loads(await request.text() or "{}")
            text = content.get("input") or ""
        except (ValueError, AttributeError):
            return web.json_response({"error": 'expected JSON such as {"input": ""}'}, status=400)
        run = asyncio.create_task(self._invoke(function, manual_invocation(function, text)))
        self._background.add(run)
        run.add_done_callback(self._background.discard)
        if request.query.get("wait", "true").lower() == "false":
            return web.Response(status=202)
        result = await asyncio.shield(run)
        outcome = {
            "invocationId": result.invocation_id,
            "succeeded": result.succeeded,
            "error": result.error,
            "durationMs": round(result.duration_s * 1000),
        }
        return web.json_response(outcome, status=202)

    async def _status(self, request: web.Request) -> web.Response:
        if refusal := self._refuse_admin(request):
            return refusal
        uptime_ms = round((time.monotonic() - self._started) * 1000)
        return web.json_response({"id": self._host_id, "state": "Running", "processUptime": uptime_ms})

    async def _list(self, request: web.Request) -> web.Response:
        if refusal := self._refuse_admin(request):
            return refusal
        functions = [
            {"name": each.name, "config": {"bindings": [dict(binding) for binding in each.bindings]}}
            for each in self._functions.values()
        ]
        return web.json_response(functions)

    def _refuse_admin(self, request: web.Request) -> web.Response | None:
        key = _key(request)
        return web.Response(status=401) if key and not self._keys.is_master(key) else None


def manual_invocation(function: Function, text: str) -> Invocation:
    """Answers with what an admin call hands to a timer or queue function."""
    if function.trigger is Trigger.TIMER:
        return timer_invocation(None, past_due=False)
    return Invocation(data=TypedData(string=text), metadata={"DequeueCount": TypedData(json="1")})


def _allows(function: Function, method: str) -> bool:
    methods = function.trigger_binding.get("methods")
    return not methods or method.upper() in {str(each).upper() for each in methods}


def _key(request: web.Request) -> str | None:
    return request.headers.get(KEY_HEADER) or request.query.get("code")


def _response(function: Function, result: InvocationResult) -> web.Response:
    """Answers with the response that a function returned; one that returned nothing is 204, as on the platform."""
    name = next((binding["name"] for binding in function.outputs(Output.HTTP)), "$return")
    value = result.outputs.get(name)
    kind = value.WhichOneof("data") if value is not None else None
    if value is None or kind is None:
        return web.Response(status=204)
    if kind != "http":
        return web.Response(text=str(getattr(value, kind)))
    content = value.http  # type: ignore[attr-defined]
    body = content.body
    sent = body.bytes if body.WhichOneof("data") == "bytes" else str(getattr(body, "string", "")).encode()
    response = web.Response(status=int(content.status_code), headers=content.headers, body=sent)
    for cookie in content.cookies or []:
        response.set_cookie(
            cookie.name,
            cookie.value,
            path=cookie.path.value if cookie.path else "/",
            secure=bool(cookie.secure and cookie.secure.value),
            httponly=bool(cookie.http_only and cookie.http_only.value),
            samesite=cookie.same_site or None,
        )
    return response
