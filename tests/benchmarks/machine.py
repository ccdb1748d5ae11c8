"""The machine, and what a process uses of it: Linux only, from /proc and getrusage."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import time
from pathlib import Path
from typing import Self

_RESET_PEAK = "5"


def describe_machine() -> str:
    """Answers with cores, processor, memory and Python in one line."""
    processor = _first_value(Path("/proc/cpuinfo"), "model name") or platform.machine()
    memory_kb = int(_first_value(Path("/proc/meminfo"), "MemTotal").split()[0])
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores, {processor}, {memory_kb / 1024**2:.0f} GB memory, Python {platform.python_version()}"


class Usage:
    """What this process uses from now on. Memory is the resident set; its peak is reset at the start."""

    def __init__(self) -> None:
        """Starts to measure."""
        self.start_mb = _status_mb("VmRSS")
        # Where the kernel does not allow it, the peak is that of the whole process, which only makes it larger.
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
        self._cpu = _cpu_s()
        self._started = time.perf_counter()
        self.wall_s = self.cpu_s = self.growth_mb = 0.0

    def stop(self) -> Self:
        """Takes the figures; `growth_mb` is from the start to the highest peak since."""
        self.wall_s = time.perf_counter() - self._started
        self.cpu_s = _cpu_s() - self._cpu
        self.growth_mb = _status_mb("VmHWM") - self.start_mb
        return self

    def figures(self) -> dict[str, float]:
        """The figures as plain values, for a pipe."""
        return {
            "wall_s": self.wall_s,
            "cpu_s": self.cpu_s,
            "start_mb": self.start_mb,
            "growth_mb": self.growth_mb,
        }


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _status_mb(name: str) -> float:
    return int(_first_value(Path("/proc/self/status"), name).split()[0]) / 1024


def _first_value(path: Path, name: str) -> str:
    for line in path.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""
