"""Known vulnerabilities in what is locked, by pip-audit.

It asks a service that says what is wrong with a version of a package. Behind a mirror that has files only, pip-audit
finds nothing and is content; so the first question is about a release whose vulnerabilities are old and known. When the
service does not know even those, nothing was checked, and the check says that.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.infra.templates import Finding
from tests.supply.licences import ACCEPTED
from tests.supply.locks import LOCKS, Pin, read_lock

AUDITED = ("app", "dev", "runtime", "node")
"""Not checkov: it pins what it needs to versions that nobody here can move, and reads nothing but our own templates."""
KNOWN_TO_BE_VULNERABLE = "urllib3==1.24.1"
"""Never installed, only asked about."""
_TIMEOUT_SECONDS = 5
_NO_HASH = "sha256:" + "0" * 64


class AdvisoriesUnavailable(Exception):
    """No service answered that knows of vulnerabilities; nothing was checked."""


def check_advisories(service: Sequence[str] = ("--vulnerability-service=pypi",)) -> Iterator[Finding]:
    """Vulnerabilities nobody accepted, and accepted ones that are gone. Raises AdvisoriesUnavailable."""
    accepted: dict[str, str] = yaml.safe_load(ACCEPTED.read_text())["advisories"]
    with tempfile.TemporaryDirectory() as folder:
        canary = Path(folder) / "canary.txt"
        canary.write_text(f"{KNOWN_TO_BE_VULNERABLE} --hash={_NO_HASH}\n")
        if not any(each.get("vulns") for each in _audit([canary], service)):
            raise AdvisoriesUnavailable(f"the service does not know what is wrong with {KNOWN_TO_BE_VULNERABLE}")
    locks = [LOCKS[each] for each in AUDITED]
    try:
        answers = _audit(locks, service)
    except AdvisoriesUnavailable as error:
        # The service was there a moment ago: this is for somebody to look at.
        yield Finding(path=locks[0], line=1, text=f"the audit did not finish: {error}")
        return
    yield from judge(answers, [pin for path in locks for pin in read_lock(path)], accepted)


def judge(answers: list[dict[str, Any]], pins: list[Pin], accepted: Mapping[str, str]) -> Iterator[Finding]:
    """What pip-audit's answers mean. A package that the service does not know is a finding, too."""
    unused = {*accepted}
    for answer in answers:
        # Two lines may hold two versions, for different Pythons; an answer about neither says only the name.
        version = answer.get("version")
        pin = next(pin for pin in pins if pin.name == answer["name"] and version in (None, pin.version))
        if "skip_reason" in answer:
            yield Finding(path=pin.path, line=pin.line, text=f"{pin.name} was not audited: {answer['skip_reason']}")
        for vulnerability in answer.get("vulns", []):
            names = {vulnerability["id"], *vulnerability["aliases"]}
            unused -= names
            if not names & accepted.keys():
                fixed = ", ".join(vulnerability["fix_versions"]) or "no version yet"
                text = f"{pin.name} {pin.version} has {vulnerability['id']}, fixed in {fixed}"
                yield Finding(path=pin.path, line=pin.line, text=text)
    for name in sorted(unused):
        yield Finding(path=ACCEPTED, line=1, text=f"{name} is accepted, and not found any more")


def _audit(requirements: Sequence[Path], service: Sequence[str]) -> list[dict[str, Any]]:
    files = [option for path in requirements for option in ("--requirement", str(path))]
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--format=json", "--desc=off"]
    command += ["--progress-spinner=off", f"--timeout={_TIMEOUT_SECONDS}", *service]
    # Whatever it kept in a cache would be an answer of yesterday.
    with tempfile.TemporaryDirectory() as cache:
        asking = [*command, f"--cache-dir={cache}", *files]
        finished = subprocess.run(asking, capture_output=True, text=True, check=False)
    try:
        answers: list[dict[str, Any]] = json.loads(finished.stdout)["dependencies"]
    except ValueError:
        words = finished.stderr.strip().splitlines() or [f"pip-audit ended with {finished.returncode}"]
        raise AdvisoriesUnavailable(words[-1]) from None
    return answers
