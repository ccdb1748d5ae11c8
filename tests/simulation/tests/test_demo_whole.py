"""The whole demo as a person starts it: it agrees, and nothing of it is left over, not even after Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.alone
COMMAND = [sys.executable, "-m", "tests.simulation.demo"]


def _processes_of(group_of: set[int]) -> set[int]:
    return {pid for pid in group_of if Path(f"/proc/{pid}").exists()}


def _children(pid: int) -> set[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return {int(each) for each in found.stdout.split()}


def test_a_day_of_twenty_people_ends_in_agreement() -> None:
    finished = subprocess.run(
        [*COMMAND, "--users", "20"], cwd=ROOT, capture_output=True, text=True, timeout=170, check=False
    )

    assert finished.returncode == 0, finished.stdout[-6000:] + finished.stderr[-2000:]
    assert "Everything agrees" in finished.stdout
    pids = {int(pid) for pid in re.findall(r"\(process (\d+)\)", finished.stdout)}
    assert len(pids) == 2
    assert _processes_of(pids) == set()


def test_ctrl_c_in_the_middle_ends_every_process() -> None:
    with subprocess.Popen([*COMMAND, "--users", "20"], cwd=ROOT, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "The initial cycle" in line:
                break
        children = _children(demo.pid)

        os.kill(demo.pid, signal.SIGINT)
        demo.stdout.read()
        code = demo.wait(timeout=60)

    assert code == 130
    assert len(children) == 3
    assert _processes_of(children) == set()
