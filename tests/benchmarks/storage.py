"""Storage for benchmarks in which seconds count: tables and queues in an emulator of their own each.

Azurite collects what deleted queue messages left behind once a minute, and answers nothing meanwhile: with a few
thousand messages that takes seconds (measured: 2.5 s), in which no worker could reserve a slot. The service has no such
pause.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.simulation.azurite import Azurite, Ports, connection_string


@contextlib.contextmanager
def serve_storage() -> Iterator[str]:
    """Runs both while the body runs; yields the connection string."""
    with Azurite.in_memory() as tables, Azurite.in_memory() as queues:
        ports = Ports(blob=tables.ports.blob, queue=queues.ports.queue, table=tables.ports.table)
        yield connection_string(ports)
