"""What runs at GitHub: no secret, no more permissions than needed, actions by commit, and the commands people run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.infra.templates import ROOT, Finding

WORKFLOWS = ROOT / ".github" / "workflows"
CHECKS = "checks.yml"
MAY_BE_WRITTEN = frozenset([("release.yml", "deploy", "id-token")])
"""Everything a workflow may write: workflow, job, permission."""
THE_TWO_COMMANDS = ("./dev test", "./dev check")
TRUSTED = ("actions/", "azure/")
"""Whose actions run here."""
_BY_COMMIT = re.compile(r"- uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+\n")
_TEXT_OF_OTHERS = re.compile(r"github\.event\.|github\.head_ref|inputs\.")
"""Titles, branches and messages are written by whoever opens a pull request; inside a script they would run."""


def check_workflows(folder: Path = WORKFLOWS) -> Iterator[Finding]:
    """Every workflow, and that the checks' one is there."""
    paths = sorted([*folder.glob("*.yml"), *folder.glob("*.yaml")])
    if not any(path.name == CHECKS for path in paths):
        yield Finding(path=folder / CHECKS, line=1, text="nothing runs on a push")
    for path in paths:
        for line, text in _judge(path):
            yield Finding(path=path, line=line, text=text)


def _judge(path: Path) -> Iterator[tuple[int, str]]:
    workflow: dict[Any, Any] = yaml.safe_load(path.read_text())
    yield from _judge_lines(path)
    triggers = {*workflow[True]}  # YAML 1.1 reads `on` as a truth.
    if triggers & {"pull_request_target", "workflow_run"}:
        yield 1, "it would run somebody else's code with our permissions"
    if path.name == CHECKS and not {"push", "pull_request"} <= triggers:
        yield 1, "it runs on a push and on a pull request"
    yield from _judge_permissions(path.name, "", workflow.get("permissions"))
    for name, job in workflow["jobs"].items():
        if "permissions" in job:
            yield from _judge_permissions(path.name, name, job["permissions"])
        if "timeout-minutes" not in job:
            yield 1, f"{name} may run for ever"
        commands = [str(step.get("run", "")) for step in job["steps"]]
        if any(_TEXT_OF_OTHERS.search(each) for each in commands):
            yield 1, f"{name} runs text that somebody else wrote"
        if any("az " in each for each in commands) and "environment" not in job:
            yield 1, f"{name} deploys, and no environment says who has to agree"
    first = [step.get("run") for step in next(iter(workflow["jobs"].values()))["steps"]]
    if [each for each in first if each in THE_TWO_COMMANDS] != [*THE_TWO_COMMANDS]:
        yield 1, f"it begins with {' and '.join(THE_TWO_COMMANDS)}"


def _judge_permissions(workflow: str, job: str, permissions: Any) -> Iterator[tuple[int, str]]:
    if not isinstance(permissions, dict):
        yield 1, f"{job or 'the workflow'} does not say what it may do"
        return
    for what, how in permissions.items():
        if how == "write" and (workflow, job, what) not in MAY_BE_WRITTEN:
            yield 1, f"{job or 'the workflow'} may write {what}"


def _judge_lines(path: Path) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(path.read_text().splitlines(keepends=True), 1):
        if re.search(r"\$\{\{[^}]*\b(secrets|github\.token)\b", line):
            yield number, "a stored secret"
        if "uses:" in line:
            action = line.partition("uses:")[2].strip()
            if not _BY_COMMIT.fullmatch(line.lstrip()):
                yield number, f"{action}: named by its commit, with the version as a comment"
            elif not action.startswith(TRUSTED):
                yield number, f"{action}: nobody trusted its author yet"
