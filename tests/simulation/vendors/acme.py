"""Acme: a plain SCIM 2.0 vendor with users and groups and no rules of its own, to try every shared option on."""

from __future__ import annotations

from typing import ClassVar

from tests.simulation.vendors.simulator import VendorSimulator


class AcmeSimulator(VendorSimulator):
    """A vendor that does what the RFC says, as far as its options let it."""

    name: ClassVar[str] = "acme"
