"""Simulated SaaS vendors: scim2-server underneath, each vendor's own behaviour as named rules on top.

with FuzeSimulator(options=FuzeOptions(user_name_filter=FilterMode.ignore)) as fuze:
    ...                              # client talks to fuze.base_url with fuze.token
    assert fuze.violations == []
"""

from tests.simulation.vendors.acme import AcmeSimulator
from tests.simulation.vendors.clarizen import ClarizenDataCentres, ClarizenOptions, ClarizenSimulator
from tests.simulation.vendors.faults import FaultKind
from tests.simulation.vendors.fortes import FortesOptions, FortesSimulator
from tests.simulation.vendors.fuze import FuzeOptions, FuzeSimulator
from tests.simulation.vendors.options import (
    ErrorShape,
    ExternalId,
    FilterMode,
    IdShape,
    PatchAnswer,
    PathCase,
    RemoveValue,
    TypeCheck,
    UnknownAttribute,
    VendorOptions,
)
from tests.simulation.vendors.purecloud import PureCloudOptions, PureCloudSimulator
from tests.simulation.vendors.simulator import VendorSimulator

__all__ = [
    "AcmeSimulator",
    "ClarizenDataCentres",
    "ClarizenOptions",
    "ClarizenSimulator",
    "ErrorShape",
    "ExternalId",
    "FaultKind",
    "FilterMode",
    "FortesOptions",
    "FortesSimulator",
    "FuzeOptions",
    "FuzeSimulator",
    "IdShape",
    "PatchAnswer",
    "PathCase",
    "PureCloudOptions",
    "PureCloudSimulator",
    "RemoveValue",
    "TypeCheck",
    "UnknownAttribute",
    "VendorOptions",
    "VendorSimulator",
]
