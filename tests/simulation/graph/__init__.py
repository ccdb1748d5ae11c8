"""A Microsoft Graph that runs on this machine, with a synthetic tenant behind it and faults that can be switched on."""

from tests.simulation.graph.faults import Fault, FaultKind, Faults
from tests.simulation.graph.simulator import GraphSimulator

__all__ = ["Fault", "FaultKind", "Faults", "GraphSimulator"]
