"""Simulated SaaS vendors: scim2-server underneath, each vendor's documented and assumed behaviour as named rules on top.

with FuzeSimulator(options=FuzeOptions(user_name_filter=FilterMode.ignore)) as fuze:
    ...                              # client talks to fuze.base_url with fuze.token
    assert fuze.violations == []
"""

from tests.simulation.vendors.acme import AcmeSimulator
from tests.simulation.vendors.faults import FaultKind
from tests.simulation.vendors.fuze import FuzeOptions, FuzeSimulator
from tests.simulation.vendors.options import VendorOptions
from tests.simulation.vendors.simulator import VendorSimulator

__all__ = ["AcmeSimulator", "FaultKind", "FuzeOptions", "FuzeSimulator", "VendorOptions", "VendorSimulator"]
