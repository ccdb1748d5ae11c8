"""The README names only what is there: links, paths, verbs of ./dev and commands of the command line."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from shared.cli.__main__ import app
from tests.infra.templates import ROOT, Finding

README = ROOT / "README.md"
FROM_ELSEWHERE = frozenset(
    ["token.txt", "app.zip", "sbom.json", "new.yaml", "initech.yaml", "local.settings.json", "directoryObjects/delta"]
)
"""Files people make themselves, and an address of Graph."""
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"(?:\]\(|src=\"|srcset=\")(?!https?:)([^)\"#]+)")
_PATH = re.compile(r"\.?/?[\w.-]+(?:/[\w.*-]+)*/?")
_SUFFIXES = (".py", ".yaml", ".yml", ".json", ".bicep", ".bicepparam", ".toml", ".txt", ".md")
_DEV = re.compile(r"(?:^|`|\s)\./dev ([a-z]+)")
_COMMAND = re.compile(r"(?:\./dev provisioner|`provisioner) ([a-z][a-z -]*)")


def check_readme(readme: Path = README) -> Iterator[Finding]:
    """Whatever is named and is not there."""
    verbs, commands = dev_verbs(), command_tree()
    for number, line in enumerate(readme.read_text().splitlines(), 1):
        for text in [*_missing_paths(line), *_unknown_verbs(line, verbs), *_unknown_commands(line, commands)]:
            yield Finding(path=readme, line=number, text=text)


def dev_verbs() -> frozenset[str]:
    """The verbs of ./dev."""
    loader = importlib.machinery.SourceFileLoader("dev", str(ROOT / "dev"))
    spec = importlib.util.spec_from_loader("dev", loader)
    assert spec is not None
    script = importlib.util.module_from_spec(spec)
    loader.exec_module(script)
    return frozenset(script.VERBS)


def command_tree() -> Mapping[str, frozenset[str]]:
    """Each command of the command line, with its own commands."""
    root: Any = typer.main.get_command(app)
    return {name: frozenset(getattr(command, "commands", ())) for name, command in root.commands.items()}


def _missing_paths(line: str) -> Iterator[str]:
    for target in _LINK.findall(line):
        if not (ROOT / target).exists():
            yield f"the link leads nowhere: {target}"
    for written in _CODE.findall(line):
        if not _PATH.fullmatch(written) or written in FROM_ELSEWHERE or written.startswith("/"):
            continue
        if ("/" in written or written.endswith(_SUFFIXES)) and not _is_there(written.removeprefix("./")):
            yield f"there is no {written}"


def _is_there(written: str) -> bool:
    """A path from the root, or the end of one: a table names a folder once and then its files."""
    return any(ROOT.glob(written)) or any(
        any((ROOT / folder).rglob(written.rstrip("/"))) for folder in ("shared", "functions", "infra", "tests")
    )


def _unknown_verbs(line: str, verbs: frozenset[str]) -> Iterator[str]:
    for verb in _DEV.findall(line):
        if verb not in verbs:
            yield f"./dev has no verb {verb}"


def _unknown_commands(line: str, commands: Mapping[str, frozenset[str]]) -> Iterator[str]:
    for written in _COMMAND.findall(line):
        name, *rest = written.split()
        if name not in commands:
            yield f"the command line has no {name}"
        elif commands[name] and (not rest or rest[0] not in commands[name]):
            yield f"{name} has no command {rest[0] if rest else ''}".rstrip()
