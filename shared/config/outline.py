"""Which applications are enabled, without what reading all of provisioning.yaml costs.

Validating the file and the profiles takes longer than importing everything else together, and a cold start pays it
before it can answer. So the outline is read instead when this very configuration was validated on this machine before:
a mark in the temporary folder, named by a digest of everything validation depends on, says so. Without the mark, the
first time and after every change, everything is validated at start. The mark decides only *when* mistakes are found:
whoever uses the applications loads and validates them all the same.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

_PACKAGE = Path(__file__).resolve().parents[1]
_VALIDATING = ("config", "rules")
_SETTING = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What a start needs to know of a configuration that is known to be valid."""

    enabled: tuple[str, ...]
    """Names of the enabled applications, in the order of the file."""
    digest: str

    @property
    def mark(self) -> Path:
        """The file whose existence says that this configuration was validated."""
        return Path(tempfile.gettempdir()) / "scim-provisioner" / f"{self.digest}.valid"

    def is_validated(self) -> bool:
        """Whether this very configuration was validated on this machine before."""
        return self.mark.is_file()

    def note_validated(self) -> None:
        """Remember it; a folder that cannot be written only makes the next start slower."""
        try:
            self.mark.parent.mkdir(mode=0o700, exist_ok=True)
            self.mark.touch()
        except OSError:
            return


def read_outline(path: Path, environment: Mapping[str, str]) -> Outline | None:
    """The outline of a configuration file, None when it cannot be read: validation says why."""
    try:
        text = path.read_text(encoding="utf-8")
        tree = yaml.load(text, Loader=_LOADER)  # noqa: S506 - the C loader of the safe kind
        defaults = tree.get("defaults") or {}
        applications = {name: entry or {} for name, entry in (tree.get("applications") or {}).items()}
        enabled = tuple(
            str(name) for name, entry in applications.items() if entry.get("enabled", defaults.get("enabled", True))
        )
        profiles = {str(entry.get("profile", "")) for entry in applications.values()}
        digest = _digest(text, path.parent, profiles, environment)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError, TypeError):
        return None
    return Outline(enabled=enabled, digest=digest)


def _digest(text: str, folder: Path, profiles: set[str], environment: Mapping[str, str]) -> str:
    """Everything the verdict of validation depends on: the files, the settings they name, and the code that judges."""
    found = hashlib.sha256(text.encode())
    for profile in sorted(profiles):
        own = folder / profile
        if own.suffix in (".yaml", ".yml") and own.is_file():
            found.update(own.read_bytes())
    for name in sorted(set(_SETTING.findall(text))):
        found.update(f"{name}={environment.get(name)}".encode())
    for stamp in sorted(_code_stamps()):
        found.update(stamp.encode())
    return found.hexdigest()[:32]


def _code_stamps() -> Iterator[str]:
    folders = [str(_PACKAGE / name) for name in _VALIDATING]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name != "__pycache__":
                        folders.append(entry.path)
                else:
                    status = entry.stat()
                    yield f"{entry.path} {status.st_size} {status.st_mtime_ns}"
