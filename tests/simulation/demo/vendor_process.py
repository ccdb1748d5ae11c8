"""Simulated vendors in a process of their own, which may be restarted without losing anything."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[3]
STOP_TIMEOUT_S = 10.0


class VendorsNotStartedError(RuntimeError):
    """The vendors' process ended before it was ready; the text is the end of what it wrote."""


class VendorProcess:
    """`python -m tests.simulation.vendors` with some of the vendors."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        """Takes what starts it; `_begin` does."""
        self._command = command
        self._log = log
        self._begin()

    @classmethod
    def start(cls, which: Sequence[str], *, log: Path, seed: int, kept_in: Path | None = None) -> Self:
        """Starts vendors on free ports and waits until they listen. Raises: VendorsNotStartedError.

        With `kept_in` they write what they hold into a folder when they end, and so may be restarted.
        """
        command = [sys.executable, "-m", "tests.simulation.vendors", "--which", ",".join(which), "--seed", str(seed)]
        if kept_in is not None:
            kept_in.mkdir(parents=True, exist_ok=True)
            command += ["--keep", str(kept_in)]
        return cls(command, log)

    def _begin(self) -> None:
        with self._log.open("a") as errors:
            # A session of its own: Ctrl-C goes to the demo, which ends the vendors after the function app.
            process = subprocess.Popen(
                self._command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
            )
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("{"):
            process.kill()
            process.wait()
            process.stdout.close()
            raise VendorsNotStartedError(self._log.read_text()[-2000:])
        self._process = process
        self.vendors: Mapping[str, Any] = json.loads(line)["vendors"]
        """What each vendor said about itself: addresses and credentials."""

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def stop(self) -> None:
        """Ends the process. Safe to call twice."""
        if not self._has_ended():
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def begin_again(self) -> None:
        """Starts what `end` ended: the same addresses, credentials and accounts. Raises: VendorsNotStartedError."""
        self._begin()

    def end(self) -> None:
        """Ends the process as a service is shut down: connections break off, and what it holds is written down.

        Raises: VendorsNotStartedError if it did not write everything in time.
        """
        in_time = self._has_ended()
        self.stop()
        if not in_time or self._process.returncode != 0:
            raise VendorsNotStartedError(f"a vendor did not end in order:\n{self._log.read_text()[-2000:]}")

    def _has_ended(self) -> bool:
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return False
        return True
