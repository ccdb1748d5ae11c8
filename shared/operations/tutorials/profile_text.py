"""A profile as YAML that a person edits: blocks on the outside, one attribute or mapping a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

_WIDE: Final = 100_000
_BLOCKS: Final = frozenset({"users", "groups", "evidence", "documentation"})


def write_profile(profile: Mapping[str, Any], *, source: str) -> str:
    """The text of a profile file."""
    lines = [
        "# Imported from a tutorial: read it through before it is used. What is marked assumed is not said there.",
        f"# {source}",
        *_block(profile, ""),
    ]
    return "\n".join(" ".join(line.splitlines()) for line in lines) + "\n"


def flow(value: Any) -> str:
    """A value on one line of YAML."""
    written = str(
        yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=_WIDE, sort_keys=False)
    ).strip()
    return written.removesuffix("...").strip()


def _block(mapping: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, value in mapping.items():
        if isinstance(value, Mapping) and (key in _BLOCKS or (indent and not _fits(value))):
            yield ""
            yield f"{indent}{flow(key)}:"
            yield from (line for line in _block(value, f"{indent}  ") if line)
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            yield f"{indent}{flow(key)}:"
            yield from (f"{indent}  - {flow(entry)}" for entry in value)
        else:
            yield f"{indent}{flow(key)}: {flow(value)}"


def _fits(value: Mapping[str, Any]) -> bool:
    return not any(isinstance(part, Mapping | list) for part in value.values())
