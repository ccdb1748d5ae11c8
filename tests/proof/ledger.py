"""Who lost access at a vendor, and how many could have, counted at the vendor and nowhere else."""

from __future__ import annotations

from tests.simulation.vendors import VendorSimulator
from tests.world import HandClock

DAY_S = 24 * 3600.0


class Ledger:
    """Counts accounts that were active and are not, against what the guard may let through."""

    def __init__(self, vendor: VendorSimulator, clock: HandClock, *, limit: int) -> None:
        self._vendor = vendor
        self._clock = clock
        self._began = clock.elapsed
        self._limit = limit
        self._active: set[str] = set()
        self.lost = 0
        self.approved = 0
        """Departures that a person let through, beyond the limit."""

    def look(self) -> None:
        """Compare with the last look."""
        active = {str(each["id"]) for each in self._vendor.resources("User") if each.get("active", True) is not False}
        self.lost += len(self._active - active)
        self._active = active

    def findings(self) -> list[str]:
        """Empty unless more lost access than one limit for each day begun, and what was approved."""
        days = int((self._clock.elapsed - self._began) // DAY_S) + 1
        allowed = self._limit * days + self.approved
        return [f"{self.lost} lost access, the guard allows {allowed}"] if self.lost > allowed else []
