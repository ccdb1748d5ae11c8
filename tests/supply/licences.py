"""Every package that is installed by the locks has a licence that this project can live with.

Licences are read from the metadata of what is installed here; checkov's environment, where nothing of ours runs, is
left out. A licence that is not in accepted.yaml is a question for a person, also where only its spelling is new.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from tests.infra.templates import Finding
from tests.supply.locks import LOCKS, Pin, read_lock

ACCEPTED = Path(__file__).with_name("accepted.yaml")
_SPDX: Mapping[str, str] = {
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
}
"""Licences by the names that packages gave them before SPDX expressions; BSD stands for the stricter of the two."""


def check_licences() -> Iterator[Finding]:
    """The licences of the app's packages, then of the developers'."""
    accepted: dict[str, Any] = yaml.safe_load(ACCEPTED.read_text())["licences"]
    deployed = frozenset(accepted["deployed"])
    exceptions: dict[str, str] = accepted["exceptions"]
    yield from check_packages(read_lock(LOCKS["app"]), deployed, exceptions)
    developers = [*read_lock(LOCKS["dev"]), *read_lock(LOCKS["runtime"])]
    yield from check_packages(developers, deployed | {*accepted["development"]}, {})


def check_packages(pins: list[Pin], allowed: Set[str], exceptions: Mapping[str, str]) -> Iterator[Finding]:
    """Packages whose licence is neither allowed nor excepted, and exceptions that nothing needs."""
    needed = set()
    for pin in pins:
        if not pin.applies_here:
            continue
        try:
            licence = licence_of(metadata.metadata(pin.name))
        except metadata.PackageNotFoundError:
            continue  # The check of the locks says so.
        if is_allowed(licence, allowed):
            continue
        needed.add(pin.name)
        if pin.name not in exceptions:
            text = f"{pin.name}: nobody accepted its licence, {licence or 'which it does not say'}"
            yield Finding(path=pin.path, line=pin.line, text=text)
    for name in sorted(exceptions.keys() - needed):
        yield Finding(path=ACCEPTED, line=1, text=f"{name} needs no exception any more")


def licence_of(described: metadata.PackageMetadata) -> str:
    """An SPDX expression, as far as the package says one; empty if it says nothing."""
    if expression := described.get("License-Expression"):
        return str(expression)
    classifiers = [each.split(" :: ")[-1] for each in described.get_all("Classifier") or [] if "License ::" in each]
    if classifiers:
        return " AND ".join(_SPDX.get(each, each) for each in classifiers)
    written = str(described.get("License") or "").strip()
    return _SPDX.get(written, written.partition("\n")[0])


def is_allowed(licence: str, allowed: Set[str]) -> bool:
    """One allowed alternative is enough; inside brackets every licence named has to be allowed."""
    alternatives = [licence] if "(" in licence else licence.split(" OR ")
    return any(
        all(name in allowed for name in re.split(r" AND | OR | WITH ", each.replace("(", "").replace(")", "")))
        for each in alternatives
    )
