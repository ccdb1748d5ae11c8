"""The simulated vendors in a process of their own, and the control API through which the demo watches them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import httpx

from tests.simulation.demo.connected import CONNECTED

ROOT = Path(__file__).resolve().parents[3]
STOP_TIMEOUT_S = 10.0


class VendorsNotStartedError(RuntimeError):
    """The vendors' process ended before it was ready; the text is the end of what it wrote."""


class VendorProcess:
    """`python -m tests.simulation.vendors` with the four vendors of the demo."""

    def __init__(self, process: subprocess.Popen[str], vendors: Mapping[str, Any]) -> None:
        self.vendors = vendors
        self._process = process
        self._http = httpx.AsyncClient(timeout=30.0, trust_env=False)

    @classmethod
    def start(cls, *, log: Path, seed: int) -> Self:
        """Starts the vendors on free ports and waits until they listen. Raises: VendorsNotStartedError."""
        which = ",".join(connected.name for connected in CONNECTED)
        command = [sys.executable, "-m", "tests.simulation.vendors", "--which", which, "--seed", str(seed)]
        with log.open("w") as errors:
            # A session of its own: Ctrl-C goes to the demo, which ends the vendors after the function app.
            process = subprocess.Popen(
                command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
            )
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("{"):
            process.kill()
            process.wait()
            process.stdout.close()
            raise VendorsNotStartedError(log.read_text()[-2000:])
        return cls(process, json.loads(line)["vendors"])

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def stop(self) -> None:
        """Ends the process. Safe to call twice."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    async def close(self) -> None:
        """Closes the connections to the control APIs."""
        await self._http.aclose()

    async def read(self, application: str, what: str) -> Any:
        """Answers with `state`, `resources`, `journal` or `violations` of a vendor."""
        response = await self._http.get(f"{self.vendors[application]['control_url']}/{what}")
        return response.raise_for_status().json()

    async def read_groups(self, application: str) -> list[Any]:
        """Answers with the groups a vendor holds."""
        return list(await self.read(application, "resources?type=Group"))

    async def put(self, application: str, kind: str, resources: Sequence[Mapping[str, Any]]) -> list[str]:
        """Puts resources at a vendor as if they had always been there; answers with their ids."""
        url = f"{self.vendors[application]['control_url']}/resources"
        response = await self._http.post(url, params={"type": kind}, json={"resources": list(resources)})
        return list(response.raise_for_status().json()["ids"])

    async def add_fault(self, application: str, kind: str, **options: Any) -> None:
        """Switches a fault on at a vendor."""
        url = f"{self.vendors[application]['control_url']}/faults"
        (await self._http.post(url, json={"kind": kind, **options})).raise_for_status()

    async def lift_faults(self, application: str, kind: str) -> None:
        """Switches every fault of a kind off at a vendor."""
        (await self._http.delete(f"{self.vendors[application]['control_url']}/faults/{kind}")).raise_for_status()
