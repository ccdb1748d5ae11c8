"""The locks say exactly what is installed: all that the names in pyproject.toml lead to, no more, by hash.

What leads where is read from the metadata of the packages that are installed here, so another Python judges its own
part of a lock: the lines whose markers are true for it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.infra.templates import ROOT, Finding

DEPLOYED = "requirements.txt"
"""What Azure's remote build installs. Its name and place are fixed."""
LOCKS: Mapping[str, Path] = {
    "app": ROOT / DEPLOYED,
    **{group: ROOT / "tests" / "requirements" / f"{group}.txt" for group in ("dev", "runtime", "checkov", "node")},
}
"""What is installed by which lock: `app`, or a dependency group of pyproject.toml beside it."""
_HASH = re.compile(r"--hash=(sha256:[0-9a-f]{64})(?=\s|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One package of a lock."""

    requirement: Requirement
    hashes: frozenset[str]
    path: Path
    line: int

    @property
    def name(self) -> str:
        """The name as an index spells it."""
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str | None:
        """None if the line allows more than one version."""
        match [*self.requirement.specifier]:
            case [only] if only.operator == "==" and not only.version.endswith("*"):
                return only.version
        return None

    @property
    def applies_here(self) -> bool:
        """Whether this Python on this machine installs it."""
        return self.requirement.marker is None or self.requirement.marker.evaluate()


def read_lock(path: Path) -> list[Pin]:
    """The packages of a lock. Raises InvalidRequirement for a line that is none."""
    pins = []
    lines = path.read_text().splitlines()
    number = 0
    while number < len(lines):
        first = number
        text = lines[number]
        while text.endswith("\\"):
            number += 1
            text = text[:-1] + lines[number]
        number += 1
        written = text.split(" #")[0].split("--hash")[0].strip()
        if written and not written.startswith("#"):
            hashes = frozenset(_HASH.findall(text))
            pins.append(Pin(requirement=Requirement(written), hashes=hashes, path=path, line=first + 1))
    return pins


def named_by(project: Path = ROOT / "pyproject.toml") -> Mapping[str, list[Requirement]]:
    """What people wrote: `app`, and each dependency group."""
    written = tomllib.loads(project.read_text())
    names = {"app": written["project"]["dependencies"], **written["dependency-groups"]}
    return {group: [Requirement(each) for each in requirements] for group, requirements in names.items()}


def check_locks() -> Iterator[Finding]:
    """Everything below, for what is in force."""
    named = named_by()
    app, dev = read_lock(LOCKS["app"]), read_lock(LOCKS["dev"])
    yield from check_closure(LOCKS["app"], app, named["app"])
    yield from check_closure(LOCKS["dev"], [*app, *dev], [*named["app"], *named["dev"]])
    for group, path in LOCKS.items():
        pins = read_lock(path)
        yield from check_lines(path, pins)
        yield from check_named(path, pins, named[group])


def check_lines(path: Path, pins: Iterable[Pin]) -> Iterator[Finding]:
    """Each line has one version and a hash, and no line says where packages come from."""
    for pin in pins:
        if pin.version is None:
            yield Finding(path=path, line=pin.line, text=f"{pin.name} is not pinned to one version")
        if not pin.hashes:
            yield Finding(path=path, line=pin.line, text=f"{pin.name} has no hash")
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if "://" in line or "index-url" in line or "find-links" in line:
            yield Finding(path=path, line=number, text="a lock does not say where packages come from")


def check_named(path: Path, pins: Iterable[Pin], named: Iterable[Requirement]) -> Iterator[Finding]:
    """What people wrote is what the lock holds."""
    held = {(pin.name, pin.version) for pin in pins}
    for requirement in named:
        name = canonicalize_name(requirement.name)
        if not any(name == each and requirement.specifier.contains(version or "") for each, version in held):
            yield Finding(path=path, line=1, text=f"{requirement} is in pyproject.toml and not here: ./dev lock")


def check_closure(path: Path, pins: Iterable[Pin], named: Iterable[Requirement]) -> Iterator[Finding]:
    """The lock holds what the names lead to on this Python, in the versions that are installed, and nothing else."""
    here = {pin.name: pin for pin in pins if pin.applies_here}
    reached = set()
    for name, asked_by in _reached(named):
        if name in reached:
            continue
        reached.add(name)
        if name not in here:
            yield Finding(path=path, line=1, text=f"{name} is not in the lock, {asked_by} asks for it: ./dev lock")
        elif (installed := _installed(name)) != here[name].version:
            text = f"{name}: {installed or 'nothing'} is installed, the lock says {here[name].version}"
            yield Finding(path=here[name].path, line=here[name].line, text=text)
    for name in sorted(here.keys() - reached):
        yield Finding(path=here[name].path, line=here[name].line, text=f"nothing asks for {name}: ./dev lock")


def _reached(named: Iterable[Requirement]) -> Iterator[tuple[str, str]]:
    """Every package that the names lead to, and who asks for it; one that is missing ends its branch."""
    waiting = [(requirement, "pyproject.toml", "") for requirement in named]
    seen = set()
    while waiting:
        requirement, asked_by, extra = waiting.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        for wanted in ("", *requirement.extras):
            if (name, wanted) in seen:
                continue
            seen.add((name, wanted))
            yield name, asked_by
            try:
                needs = metadata.requires(name) or []
            except metadata.PackageNotFoundError:
                continue
            waiting += [(Requirement(each), name, wanted) for each in needs]


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
