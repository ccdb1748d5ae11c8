"""checkov over the templates, in an environment of its own: its dependencies do not fit beside the product's.

Its Bicep parser is older than the language, and a file it cannot parse it skips without a word. So it gets copies, line
for line the same, in which types are plain and a choice that a parameter makes is made: one set of copies for a
deployment that is open to the internet, one for a private network. A file it could not parse is a finding.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from tree_sitter import Node

from tests.infra.templates import INFRA, ROOT, Finding, Template, read_template, template_paths, text_of, walk

LOCK = ROOT / "tests" / "requirements" / "checkov.txt"
"""With a Bicep parser in place of the one checkov asks for; pyproject.toml says why."""
ENVIRONMENT = (ROOT / ".dev" / "checkov").resolve()
PYTHON = ENVIRONMENT / "bin" / "python"
SUPPRESSIONS = ROOT / "tests" / "infra" / "checkov-suppressions.yaml"
_VARIANTS: Mapping[str, bool] = {"open": False, "private": True}


class CheckovFailed(Exception):
    """checkov could not be installed or did not finish."""


def check_with_checkov(folder: Path = INFRA) -> Iterator[Finding]:
    """Files checkov cannot parse, findings nobody explained, and explanations of what it does not find any more."""
    try:
        install_checkov()
    except OSError as error:
        raise CheckovFailed(f"it could not be installed ({error}): delete {ENVIRONMENT} and check again") from error
    explained: dict[str, dict[str, str]] = yaml.safe_load(SUPPRESSIONS.read_text())
    unused = {(scope, what) for scope, entries in explained.items() for what in entries}
    with tempfile.TemporaryDirectory() as copies:
        originals = {
            copy: path
            for variant, is_private in _VARIANTS.items()
            for copy, path in _write_copies(folder, Path(copies) / variant, is_private=is_private)
        }
        report = _run(Path(copies))
        for unparsed in report["parsing_errors"]:
            yield Finding(path=originals[Path(unparsed)], line=1, text="checkov could not parse this file")
        for failed in report["failed_checks"]:
            copy = Path(copies) / failed["file_path"].lstrip("/")
            what = f"{failed['check_id']} {failed['resource']}"
            known = {("always", what), (copy.parent.name, what)}
            unused -= known
            if not any(what in explained[scope] for scope, _ in known):
                text = f"checkov {what} ({copy.parent.name}): {failed['check_name']}"
                yield Finding(path=originals[copy], line=failed["file_line_range"][0], text=text)
    if not report["passed_checks"]:
        yield Finding(path=folder, line=1, text="checkov looked at nothing")
    for scope, what in sorted(unused):
        yield Finding(path=SUPPRESSIONS, line=1, text=f"{scope}: {what} is explained, and not found any more")


def install_checkov() -> None:
    """Make the environment if it is not there: about 25 seconds and 290 MB, once. Raises CheckovFailed."""
    stamp = ENVIRONMENT / "installed"
    # With its place: an environment that was moved or copied names the old one in every script.
    made_from = f"{ENVIRONMENT} {sys.version_info[:2]} {LOCK.read_text()}"
    if stamp.is_file() and stamp.read_text() == made_from:
        return
    venv.create(ENVIRONMENT, clear=True, with_pip=True)
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # The lock holds all of it, and pip itself would not take the other parser.
    locked = ["--no-deps", "--require-hashes", "-r", str(LOCK)]
    finished = subprocess.run([*pip, *locked], capture_output=True, text=True, check=False)
    if finished.returncode:
        raise CheckovFailed(f"it could not be installed: {finished.stderr[-500:]}")
    stamp.write_text(made_from)


def _run(folder: Path) -> dict[str, list[Any]]:
    command = [str(PYTHON), "-m", "checkov.main", "--directory", str(folder), "--framework", "bicep"]
    options = ["--output", "json", "--compact", "--skip-download", "--soft-fail"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LOG_LEVEL": "ERROR"}
    try:
        finished = subprocess.run(
            [*command, *options], capture_output=True, text=True, check=False, env=environment, timeout=300
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CheckovFailed(f"checkov could not be run ({error}): delete {ENVIRONMENT} and check again") from error
    try:
        report = json.loads(finished.stdout)
    except ValueError:
        raise CheckovFailed(
            f"checkov ended with {finished.returncode}: {finished.stderr[-800:]}; delete {ENVIRONMENT} and check again"
        ) from None
    results: dict[str, list[Any]] = report["results"]
    return results


def _write_copies(folder: Path, target: Path, *, is_private: bool) -> Iterator[tuple[Path, Path]]:
    target.mkdir()
    for path in scanned_paths(folder):
        copy = target / path.name
        copy.write_text(simplified(read_template(path), is_private=is_private))
        yield copy, path


def scanned_paths(folder: Path = INFRA) -> Iterator[Path]:
    """The templates that declare resources; types alone have nothing to be found in."""
    for path in template_paths(folder):
        template = read_template(path)
        if template.of("resource") or template.of("module"):
            yield path


def simplified(template: Template, *, is_private: bool) -> str:
    """The template with plain types, without imports, and with `isPrivate ? a : b` decided. Lines stay."""
    assert template.root.text is not None
    text = template.root.text
    for start, end, new in sorted(_changes(template, is_private=is_private), reverse=True):
        kept_lines = b"\n" * (text[start:end].count(b"\n") - new.encode().count(b"\n"))
        text = text[:start] + new.encode() + kept_lines + text[end:]
    return text.decode()


def _changes(template: Template, *, is_private: bool) -> Iterator[tuple[int, int, str]]:
    offset = template.root.start_byte
    for node in walk(template.root):
        start, end = node.start_byte - offset, node.end_byte - offset
        if node.type == "import_functionality":
            yield start, end, ""
        elif node.type == "type" and node.parent is not None and node.parent.type.endswith("_declaration"):
            yield start, end, _plain_type(node)
        elif node.type == "ternary_expression" and text_of(node.named_children[0]) == "isPrivate":
            yield start, end, text_of(node.named_children[1 if is_private else 2])


def _plain_type(node: Node) -> str:
    written = text_of(node).rstrip("?")
    if written.endswith("[]"):
        return "array"
    return written if written in ("string", "int", "bool", "object", "array") else "object"
