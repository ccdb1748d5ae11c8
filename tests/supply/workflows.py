"""What runs at GitHub: no secret, no more permissions than needed, actions by commit, and the commands people run.

A workflow that reaches Azure deploys a release and nothing else: what was tested, packed as people pack it, into an
environment that somebody guards.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.infra.templates import ROOT, Finding

WORKFLOWS = ROOT / ".github" / "workflows"
CHECKS = "checks.yml"
MAY_BE_WRITTEN = frozenset(
    [
        ("release.yml", "attach", "contents"),
        ("release.yml", "preview", "id-token"),
        ("release.yml", "deploy", "id-token"),
    ]
)
"""Everything a workflow may write: workflow, job, permission."""
GUARDED: Mapping[str, str] = {"deploy": "production", "preview": "preview"}
"""Jobs that reach Azure, each in the environment that the README says how to guard."""
THE_TWO_COMMANDS = ("./dev test", "./dev check")
BEFORE_A_DEPLOYMENT = (
    *THE_TWO_COMMANDS,
    ".venv/bin/python -m tests.supply --require-advisories",
    ".venv/bin/python -m tests.supply.package app.zip",
)
"""Lines of the job that packs what is deployed, in this order."""
TRUSTED = ("actions/", "azure/")
"""Whose actions run here."""
_BY_COMMIT = re.compile(r"- uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+\n")
_REACHES_AZURE = re.compile(r"(?:^|[\s(])(?:az|azd|func)\s")


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
    triggers: Any = workflow[True]  # YAML 1.1 reads `on` as a truth.
    if {*triggers} & {"pull_request_target", "workflow_run"}:
        yield 1, "it would run somebody else's code with our permissions"
    if path.name == CHECKS and not {"push", "pull_request"} <= {*triggers}:
        yield 1, "it runs on a push and on a pull request"
    yield from _judge_permissions(path.name, "", workflow.get("permissions"))
    jobs: dict[str, Any] = workflow["jobs"]
    for name, job in jobs.items():
        if "permissions" in job:
            yield from _judge_permissions(path.name, name, job["permissions"])
        for text in _judge_job(path.name, job, name=name):
            yield 1, f"{name} {text}"
    yield from _judge_deployment(triggers, jobs)
    first = [step.get("run") for step in next(iter(jobs.values()))["steps"]]
    if [each for each in first if each in THE_TWO_COMMANDS] != [*THE_TWO_COMMANDS]:
        yield 1, f"it begins with {' and '.join(THE_TWO_COMMANDS)}"


def _judge_permissions(workflow: str, job: str, permissions: Any) -> Iterator[tuple[int, str]]:
    if not isinstance(permissions, dict):
        yield 1, f"{job or 'the workflow'} does not say what it may do"
        return
    for what, how in permissions.items():
        if how == "write" and (workflow, job, what) not in MAY_BE_WRITTEN:
            yield 1, f"{job or 'the workflow'} may write {what}"


def _judge_job(workflow: str, job: Any, *, name: str) -> Iterator[str]:
    if "timeout-minutes" not in job:
        yield "may run for ever"
    if "github.token" in str(job) and (workflow, name, "contents") not in MAY_BE_WRITTEN:
        yield "uses a token of GitHub's"
    for step in (job, *job["steps"]):
        if "continue-on-error" in step:
            yield "goes on after a failure"
        if "${{" in str(step.get("run", "")):
            # Titles, branches, tags and messages are written by people; inside a script they would run.
            yield "puts text that somebody else wrote into a script: take it from env"
        is_checkout = str(step.get("uses", "")).startswith("actions/checkout@")
        if is_checkout and step.get("with", {}).get("persist-credentials") is not False:
            yield "leaves GitHub's token in the working copy"


def _judge_deployment(triggers: Any, jobs: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    reaching = [name for name, job in jobs.items() if _reaches_azure(job)]
    if not reaching:
        return
    packing, *_ = jobs
    if triggers != {"release": {"types": ["released"]}}:
        yield 1, "it deploys something else than a release, or before it is one"
    lines = [line for step in jobs[packing]["steps"] for line in str(step.get("run", "")).splitlines()]
    if [line for line in lines if line in BEFORE_A_DEPLOYMENT] != [*BEFORE_A_DEPLOYMENT]:
        yield 1, f"{packing} does not do all of this, in this order: {'; '.join(BEFORE_A_DEPLOYMENT)}"
    if any("app.zip" in line for line in lines if line not in BEFORE_A_DEPLOYMENT):
        yield 1, f"{packing} packs something else than the app"
    for name in reaching:
        job = jobs[name]
        if job.get("environment") != GUARDED.get(name, ""):
            yield 1, f"{name} deploys, and its environment does not say who has to agree"
        if packing not in _names(job.get("needs")) or "if" in job:
            yield 1, f"{name} does not wait until {packing} went well"


def _reaches_azure(job: Any) -> bool:
    """Whether a job signs in to Azure or calls its tools."""
    return any(
        str(step.get("uses", "")).startswith("azure/") or _REACHES_AZURE.search(str(step.get("run", "")))
        for step in job["steps"]
    )


def _names(needs: Any) -> list[str]:
    return [needs] if isinstance(needs, str) else list(needs or [])


def _judge_lines(path: Path) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(path.read_text().splitlines(keepends=True), 1):
        if re.search(r"\$\{\{[^}]*\bsecrets\b", line):
            yield number, "a stored secret"
        if "uses:" in line:
            action = line.partition("uses:")[2].strip()
            if not _BY_COMMIT.fullmatch(line.lstrip()):
                yield number, f"{action}: named by its commit, with the version as a comment"
            elif not action.startswith(TRUSTED):
                yield number, f"{action}: nobody trusted its author yet"
