"""The control APIs of all vendors: how the demo and the soak watch them, and make their weather."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from tests.simulation.demo.vendor_process import VendorProcess


class Vendors:
    """All vendors, in however many processes."""

    def __init__(self, processes: Sequence[VendorProcess]) -> None:
        self._processes = {name: process for process in processes for name in process.vendors}
        self._http = httpx.AsyncClient(timeout=30.0, trust_env=False)

    @property
    def described(self) -> Mapping[str, Any]:
        """What each vendor said about itself: addresses and credentials."""
        return {name: process.vendors[name] for name, process in self._processes.items()}

    def process_of(self, application: str) -> VendorProcess:
        """The process a vendor runs in."""
        return self._processes[application]

    async def close(self) -> None:
        """Closes the connections to the control APIs."""
        await self._http.aclose()

    async def read(self, application: str, what: str) -> Any:
        """Answers with `state`, `resources`, `journal` or `violations` of a vendor."""
        response = await self._http.get(self._control_url(application, what))
        return response.raise_for_status().json()

    async def read_groups(self, application: str) -> list[Any]:
        """Answers with the groups a vendor holds."""
        return list(await self.read(application, "resources?type=Group"))

    async def put(self, application: str, kind: str, resources: Sequence[Mapping[str, Any]]) -> list[str]:
        """Puts resources at a vendor as if they had always been there; answers with their ids."""
        url = self._control_url(application, "resources")
        response = await self._http.post(url, params={"type": kind}, json={"resources": list(resources)})
        return list(response.raise_for_status().json()["ids"])

    async def add_fault(self, application: str, kind: str, **options: Any) -> None:
        """Switches a fault on at a vendor."""
        url = self._control_url(application, "faults")
        (await self._http.post(url, json={"kind": kind, **options})).raise_for_status()

    async def lift_faults(self, application: str, kind: str = "") -> None:
        """Switches every fault off at a vendor, or every one of a kind."""
        url = self._control_url(application, f"faults/{kind}" if kind else "faults")
        (await self._http.delete(url)).raise_for_status()

    def _control_url(self, application: str, what: str) -> str:
        return f"{self._processes[application].vendors[application]['control_url']}/{what}"
