"""The deployed app's bill of materials, as CycloneDX: `python -m tests.supply.bill_of_materials sbom.json`.

It lists what the lock of the app holds for the Python that runs this, each package with its version, licence and
package URL. Hashes stay in the lock, which goes out with the app: a package has many files, a component only one hash.
"""

from __future__ import annotations

import sys
import tomllib
from importlib import metadata
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from tests.infra.templates import ROOT
from tests.supply.licences import licence_of
from tests.supply.locks import LOCKS, read_lock


def bill_of_materials() -> str:
    """The bill as JSON. Raises PackageNotFoundError where the lock is not installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    licences = LicenseFactory()
    app = Component(
        type=ComponentType.APPLICATION,
        name=project["name"],
        version=project["version"],
        licenses=[licences.make_from_string(project["license"])],
    )
    bill = Bom()
    bill.metadata.component = app
    packages = []
    for pin in read_lock(LOCKS["app"]):
        if not pin.applies_here:
            continue
        licence = licence_of(metadata.metadata(pin.name))
        address = PackageURL(type="pypi", name=pin.name, version=pin.version)
        packages.append(
            Component(
                type=ComponentType.LIBRARY,
                name=pin.name,
                version=pin.version,
                purl=address,
                bom_ref=str(address),
                licenses=[licences.make_from_string(licence)] if licence else [],
            )
        )
    bill.components.update(packages)
    bill.register_dependency(app, packages)
    return JsonV1Dot6(bill).output_as_string(indent=2)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(bill_of_materials() + "\n")
