"""What a process meets on its way: death at a durable write or a request, a time-out, a change behind its back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx

from shared.storage.durable_writes import Moment
from tests.provisioning.crash_points import Killed, Place
from tests.provisioning.stories import Stage
from tests.provisioning.vendor_calls import VendorCall


@dataclass(slots=True)
class Fate:
    """The observer of every process of a company. Everything armed happens once."""

    dies_in: int | None = None
    """Points until the process dies."""
    died_at: str = ""
    times_out: Moment | None = None
    """The next write to a vendor gets no answer: it never arrived (before) or was carried out (after)."""
    meanwhile: list[Callable[[], Awaitable[object]]] = field(default_factory=list)
    """What happens while the next write is at the vendor."""

    def __call__(self, place: Place, moment: Moment) -> None:
        if self.died_at:
            raise Killed
        if self.dies_in is not None:
            self.dies_in -= 1
            if self.dies_in < 0:
                self.dies_in = None
                self.died_at = f"{moment} {place.name}"
                raise Killed
        if isinstance(place, VendorCall) and place.method != "GET" and moment is self.times_out:
            self.times_out = None
            raise httpx.ReadTimeout("nobody answered")

    def take_charge(self, stage: Stage) -> None:
        """A new process: alive, and with the same fate."""
        self.died_at = ""
        exporter = stage.world.services.reconciler.exporter
        send = exporter.send

        async def interrupted_send(attempt):
            answer = await send(attempt)
            waiting, self.meanwhile = self.meanwhile, []
            for happening in waiting:
                await happening()
            return answer

        exporter.send = interrupted_send  # type: ignore[method-assign]

    def relent(self) -> None:
        """Nothing more happens."""
        self.dies_in = self.times_out = None
        self.meanwhile.clear()
