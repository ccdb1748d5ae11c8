"""A simulated vendor across a restart of its process: written down when it ends, and read when it starts.

A real vendor keeps its accounts on disk; this one keeps them in memory while it runs. So a restart has to be orderly
(SIGTERM): the port is closed first, and every answer that reached a client is in the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.simulation.vendors.journal import Finding, JournalEntry, PrivilegeChange

if TYPE_CHECKING:
    from tests.simulation.vendors.simulator import VendorSimulator

_ROWS = {
    "journal": JournalEntry,
    "violations": Finding,
    "notices": Finding,
    "privilege_changes": PrivilegeChange,
}
_ISSUED = ("token", "secondary_token")
_METERS = ("per_second", "window", "pace")


def keep(sim: VendorSimulator, folder: Path) -> None:
    """Writes down what a stopped vendor holds: accounts, tokens, records and rates, not its faults."""
    kept = {
        "port": sim.port,
        "issued": {name: getattr(sim, name) for name in _ISSUED if hasattr(sim, name)},
        "clock_offset_s": sim.clock.offset_s,
        "storage": sim.storage.as_kept(),
        "tokens": sim.tokens.as_kept(),
        "record": {name: getattr(sim.record, name).as_json() for name in _ROWS},
        "meters": {name: getattr(sim, name).as_kept() for name in _METERS},
        "decoys": {resource_id: sorted(names) for resource_id, names in sim.decoys.items()},
        "own": sim.kept_beside(),
    }
    path = _path(sim, folder)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(kept))
    partial.replace(path)


def take_up(sim: VendorSimulator, folder: Path) -> int:
    """Gives a vendor that has not started what it held last, and answers with its port; 0 if there is nothing."""
    path = _path(sim, folder)
    if not path.exists():
        return 0
    kept: Mapping[str, Any] = json.loads(path.read_text())
    for name, token in kept["issued"].items():
        setattr(sim, name, token)
    sim.clock.offset_s = kept["clock_offset_s"]
    models = {name: sim.core.model(name) for name in kept["storage"]["resources"]}
    with sim.core.provider:
        sim.storage.take_up(kept["storage"], models)
    sim.tokens.take_up(kept["tokens"])
    for name, row_type in _ROWS.items():
        ledger = getattr(sim.record, name)
        for row in kept["record"][name]:
            ledger.add(row_type(**row))
    for name in _METERS:
        getattr(sim, name).take_up(kept["meters"][name])
    sim.decoys = {resource_id: set(names) for resource_id, names in kept["decoys"].items()}
    sim.take_up_beside(kept["own"])
    return int(kept["port"])


def _path(sim: VendorSimulator, folder: Path) -> Path:
    return folder / f"{sim.kept_as}.json"
