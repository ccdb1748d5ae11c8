"""The host as a process of its own, for those who need to kill it."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.simulation.host.failures import HostNotStartedError

ROOT = Path(__file__).resolve().parents[3]
READY = "host ready "
STOP_TIMEOUT_S = 15.0


class HostProcess:
    """One `./dev host` that was started. A context manager; leaving it ends the process."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        """Takes what starts it; `start_again` does."""
        self.log = log
        self._command = command
        self._environment = environment
        self.start_again()

    @property
    def pid(self) -> int:
        """Answers with the id of the process."""
        return self._process.pid

    @classmethod
    def start(cls, app_directory: Path, settings: Mapping[str, str], *, log: Path | None = None, port: int = 0) -> Self:
        """Starts a host for the app in a folder and waits until its triggers run.

        The settings go over this process's environment. What the host writes to standard error goes to `log`.
        Raises: HostNotStartedError with the end of that log.
        """
        log = log or Path(tempfile.mkdtemp(prefix="function-host-")) / "host.log"
        # --settings: a developer's own local.settings.json must not reach a test.
        no_settings = log.with_suffix(".settings.json")
        no_settings.write_text("{}")
        command = [sys.executable, "-m", "tests.simulation.host", "--app", str(app_directory), "--port", str(port)]
        return cls([*command, "--settings", str(no_settings)], {**os.environ, **settings}, log)

    def start_again(self) -> None:
        """Starts the host that has ended once more, as it was started before. Raises: HostNotStartedError."""
        with self.log.open("a") as errors:
            process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                # A Ctrl-C in the terminal goes to whoever started the host, which ends it in its own order.
                start_new_session=True,
            )
        line = process.stdout.readline() if process.stdout else ""
        if not line.startswith(READY):
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()
            raise HostNotStartedError(self.log.read_text()[-4000:])
        self._process = process
        self.url = line.removeprefix(READY).strip()

    def stop(self) -> int:
        """Asks the host to end, waits, and answers with its exit code. Safe to call twice."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self._ended()

    def kill(self) -> None:
        """Ends the host as a crash does (kill -9)."""
        if self._process.poll() is None:
            self._process.kill()
        self._ended()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def _ended(self) -> int:
        try:
            code = self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        return code
