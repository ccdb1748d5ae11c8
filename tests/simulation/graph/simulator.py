"""The simulator as one object: a tenant served over HTTP, with faults, a journal, a clock and a control API."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING

from tests.simulation.graph.access import Access, bearer_of
from tests.simulation.graph.control import Control
from tests.simulation.graph.delta import DeltaQueries
from tests.simulation.graph.faults import Faults
from tests.simulation.graph.journal import Journal
from tests.simulation.graph.odata import Request, Response, error_response
from tests.simulation.graph.people import guid
from tests.simulation.graph.population import to_json
from tests.simulation.graph.reads import DirectoryReads
from tests.simulation.graph.routes import Router
from tests.simulation.graph.server import Server
from tests.simulation.graph.subscriptions import Subscriptions

if TYPE_CHECKING:
    from tests.simulation.tenant import Tenant

VERSION = "/v1.0"


class GraphSimulator:
    """Serves a tenant the way Microsoft Graph would; use as a context manager or with start and stop."""

    def __init__(
        self,
        tenant: Tenant,
        *,
        clock: Callable[[], datetime] | None = None,
        page_size: int = 200,
        member_page_size: int | None = None,
        seed: int = 0,
        token: str | None = None,
    ) -> None:
        """Prepares everything but the socket.

        `clock` gives the time tokens and subscriptions age by (default: the real one); `member_page_size` is how many
        members a page of groups/delta holds (default: the page size); with `token`, only that bearer is served.
        """
        self.tenant = tenant
        self.faults = Faults(Random(f"{seed} faults"), number=lambda: tenant.number)
        self.requests = Journal()
        self.access = Access(token=token, now=self.now)
        self.subscriptions = Subscriptions(tenant, self.faults, now=self.now)
        self._clock = clock or (lambda: datetime.now(UTC))
        self._ahead = timedelta()
        self._server: Server | None = None
        self._base_url = ""
        self._router = Router(
            tenant,
            self.faults,
            access=self.access,
            now=self.now,
            base_url=lambda: self._base_url,
            delta=DeltaQueries(
                tenant,
                self.faults,
                now=self.now,
                page_size=page_size,
                member_page_size=member_page_size or page_size,
            ),
            reads=DirectoryReads(tenant, self.faults, now=self.now),
            subscriptions=self.subscriptions,
        )
        self._control = Control(self)

    @property
    def base_url(self) -> str:
        """The URL to configure as Graph, ending in /v1.0; empty before the start."""
        return self._base_url

    def now(self) -> datetime:
        """The simulator's time."""
        return self._clock() + self._ahead

    def advance(self, by: timedelta) -> None:
        """Moves the simulator's time forward, so that tokens and subscriptions age."""
        self._ahead += by

    def start(self, port: int = 0) -> str:
        """Begins to serve on 127.0.0.1 (port 0: a free one) and returns the base URL."""
        self._server = Server(port, serve=self._serve, faults=self.faults)
        self._base_url = f"http://127.0.0.1:{self._server.server_address[1]}{VERSION}"
        self._server.start()
        return self._base_url

    def stop(self) -> None:
        """Ends every connection and background thread; does nothing when not started."""
        self.subscriptions.stop()
        if self._server is not None:
            self._server.stop()
            self._server = None

    def __enter__(self) -> GraphSimulator:
        """Starts on a free port."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops."""
        self.stop()

    def _serve(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[Request, Response]:
        path, _, query = target.partition("?")
        if path.startswith("/_sim/"):
            request = Request(method=method, path=path, headers=headers, body=body)
            return request, self._control.answer(method, target.removeprefix("/_sim/"), body)
        if path.endswith("/oauth2/v2.0/token") and method == "POST":
            request = Request(method=method, path=path, headers=headers, body=body)
            return request, Response(200, to_json(self.access.issue()))
        if not path.startswith(f"{VERSION}/"):
            request = Request(method=method, path=path, headers=headers, body=body)
            return request, error_response(400, "BadRequest", "Invalid version.")
        request = self._router.request_of(method, target.removeprefix(VERSION), headers=headers, body=body)
        response = self._router.respond(request)
        response.headers["request-id"] = guid("request", self.requests.total)
        self.requests.note(
            method,
            request.path,
            status=response.status,
            had_token=bool(bearer_of(headers)),
            link=request.link.value,
            query=query,
        )
        return request, response
