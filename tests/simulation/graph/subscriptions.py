"""Change notifications: subscriptions and their delivery."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from tests.simulation.graph.faults import Faults
from tests.simulation.graph.odata import ODataError, Request, Response

if TYPE_CHECKING:
    from tests.simulation.tenant import Tenant


class Subscriptions:
    """Answers under `/subscriptions`."""

    def __init__(self, tenant: Tenant, faults: Faults, *, now: Callable[[], datetime]) -> None:
        """Watches a tenant."""
        self._tenant = tenant

    def answer(self, request: Request, *, link_to: Callable[[str], str]) -> Response:
        """Serves one call."""
        raise ODataError(501, "NotImplemented", "Not implemented.")

    def stop(self) -> None:
        """Ends delivery."""
