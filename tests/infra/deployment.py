"""What a deployment comes to: every resource with every property, evaluated, against the one written down.

`deployment.yaml` is that record. Whatever changes in infra/ changes there as well, in the same commit, where a reviewer
reads what it does to Azure: `python -m tests.infra.deployment > tests/infra/deployment.yaml`. It has a deployment with
everything on, and how one with the defaults differs. Of a loop, the first turn is whole, and the others say how they
differ from it. What only people read is left out.

Versions of Azure's API are among it: they were seen in published templates, and nothing here knows which ones exist.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.infra.expressions import Unknown, Values
from tests.infra.templates import INFRA, Finding, literal, read_template, type_of_resource

EXPECTED = Path(__file__).with_name("deployment.yaml")
APPLICATIONS = [
    {"name": "fuze", "secretSettings": ["FUZE_TOKEN"]},
    {"name": "acme-eu", "secretSettings": ["ACME_CLIENT_ID", "ACME_CLIENT_SECRET"]},
]
DEFAULTS: dict[str, Any] = {
    "applications": APPLICATIONS,
    "alertEmails": ["team@example.com"],
    "environmentName": "test",
}
EVERYTHING: dict[str, Any] = DEFAULTS | {
    "alwaysReady": [{"name": "function:sync_directory", "instanceCount": 1}],
    "diagnostics": "everything",
    "maximumInstanceCount": 40,
    "privateNetwork": True,
    "recoverVault": True,
    "secretOfficers": ["<an officer>"],
    "settings": {"SYNC_SCHEDULE": "0 */2 * * * *"},
    "zoneRedundant": True,
}
_FOR_PEOPLE = frozenset(["description", "displayName"])
ABSENT = "absent"

_NAMES = {
    "Microsoft.KeyVault/vaults": r"[a-zA-Z](?!.*--)[a-zA-Z0-9-]{1,22}[a-zA-Z0-9]",
    "Microsoft.Storage/storageAccounts": r"[a-z0-9]{3,24}",
    "Microsoft.Web/sites": r"[a-zA-Z0-9][a-zA-Z0-9-]{0,30}[a-zA-Z0-9]",
}
"""What Azure takes as a name. A site could be longer, but the host cuts what it names its locks by at 32."""


def check_deployment(folder: Path = INFRA) -> Iterator[Finding]:
    """Where the templates come to something else than what is written down."""
    expected = yaml.safe_load(EXPECTED.read_text())
    found = described(folder)
    for part in found:
        wanted, has = flat(expected[part]), flat(found[part])
        for place in sorted(wanted.keys() | has.keys()):
            if wanted.get(place, ABSENT) != has.get(place, ABSENT):
                yield Finding(
                    path=_file_of(folder, place),
                    line=1,
                    text=f"{part}: {place} is {has.get(place, ABSENT)!r}, "
                    f"and tests/infra/deployment.yaml says {wanted.get(place, ABSENT)!r}",
                )
    yield from _check_resource_names(folder)


def _check_resource_names(folder: Path) -> Iterator[Finding]:
    """With the default and with the longest start, the names are ones that Azure takes."""
    longest = int(read_template(folder / "main.bicep").of("param")["baseName"].decorators["maxLength"])
    for start in ({}, {"baseName": "X" * longest}):
        for place, resource in deployed(folder, DEFAULTS | start).items():
            pattern = _NAMES.get(resource.get("type", "").partition("@")[0])
            name = re.sub(r"<uniqueString\(.*?\)>", "u" * 13, resource.get("name", ""))
            if pattern and not resource.get("existing") and not re.fullmatch(pattern, name):
                yield Finding(path=_file_of(folder, place), line=1, text=f"{place}: Azure refuses the name {name!r}")


def described(folder: Path = INFRA) -> dict[str, Any]:
    """A deployment with everything on, how one with the defaults differs from it, and Graph's permissions."""
    everything, defaults = deployed(folder, EVERYTHING), deployed(folder, DEFAULTS)
    absent = {name: ABSENT for name in everything if name not in defaults}
    shared = {name: each for name, each in everything.items() if name in defaults}
    return {
        "everything": _folded(everything),
        "defaults": absent | _difference(defaults, shared),
        "graph": graph_permissions(folder),
    }


def _folded(resources: Mapping[str, Any]) -> dict[str, Any]:
    """Of each loop the first turn, and how the others differ from it."""
    first = {name: resources[name.partition("[")[0]] for name in resources}
    return {name: each if first[name] is each else _difference(each, first[name]) for name, each in resources.items()}


def _difference(of: Any, to: Any) -> dict[str, Any]:
    """The single values of one that the other has not, by their places."""
    has, had = flat(of), flat(to)
    return {place: has.get(place, ABSENT) for place in had | has if has.get(place, ABSENT) != had.get(place, ABSENT)}


def deployed(folder: Path, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The resources of main.bicep and its modules by name, each as it would be sent; with it what is handed out.

    Of a loop, the first has the name alone, and the others their number.
    """
    return dict(_deployed(folder / "main.bicep", "main", parameters))


def _deployed(path: Path, module: str, parameters: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    template = read_template(path)
    values = Values(template=template, parameters=parameters)
    for name, declaration in template.of("resource").items():
        kind, version = type_of_resource(declaration)
        marked = {"existing": True} if declaration.is_existing else {}
        for index, body in enumerate(values.bodies(declaration)):
            place = f"{module}.{name}[{index}]" if index else f"{module}.{name}"
            yield place, {"type": f"{kind}@{version}", **marked, **_plain(body)}
    for name, declaration in template.of("module").items():
        for body in values.bodies(declaration):
            file = literal(declaration.node.named_children[1]) or ""
            given = body.pop("params")
            yield f"{module}.{name}", {"file": file, **_plain(body)}
            yield from _deployed((path.parent / file).resolve(), name, given)
    outputs = {name: _plain(values.of(each.value)) for name, each in template.of("output").items() if each.value}
    yield f"{module}.outputs", outputs


def graph_permissions(folder: Path) -> dict[str, Any]:
    """What graph/permissions.bicep grants, without and with announcements of groups."""
    template = read_template(folder / "graph" / "permissions.bicep")
    found = {}
    for answer in (False, True):
        values = Values(template=template, parameters={"announcesGroups": answer})
        found[f"announcesGroups={str(answer).lower()}"] = values.variable("permissions")
    return found


def _plain(value: Any) -> Any:
    """A value as YAML has it, without the words that only people read."""
    match value:
        case Unknown():
            return str(value)
        case dict():
            return {name: _plain(each) for name, each in value.items() if name not in _FOR_PEOPLE}
        case list():
            return [_plain(each) for each in value]
    return value


def flat(value: Any, place: str = "") -> dict[str, Any]:
    """Place of each single value, such as `app.site.properties.httpsOnly`, and the value."""
    match value:
        case dict() if value:
            parts = value.items()
        case list() if value:
            parts = {str(index): each for index, each in enumerate(value)}.items()
        case _:
            return {place: value}
    return {inner: each for name, part in parts for inner, each in flat(part, f"{place}.{name}".strip(".")).items()}


def _file_of(folder: Path, place: str) -> Path:
    module = place.partition(".")[0]
    path = folder / "modules" / f"{module}.bicep"
    return path if path.is_file() else folder / "main.bicep"


if __name__ == "__main__":
    sys.stdout.write("# What infra/ comes to. tests/infra/deployment.py compares it, and writes it anew.\n")
    sys.stdout.write(yaml.safe_dump(described(), sort_keys=False, default_flow_style=None, width=120))
