"""Makes the locks anew out of pyproject.toml: `./dev lock`; `--upgrade` lets what nobody pinned move, too.

A lock names every package that will be installed, with its version and the hashes of all its files: those of every
Python and platform, because uv resolves for all of them at once. pip refuses what is not in it. uv asks the index
that UV_DEFAULT_INDEX names, else PyPI; no lock says which, so a mirror serves as well.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.supply.locks import DEPLOYED, LOCKS, ROOT, read_lock

COMMAND = "./dev lock"
_OLDEST_PYTHON = "3.11"


def main(arguments: list[str]) -> int:
    """Writes every lock; raises CalledProcessError where the index has no answer, or pins contradict each other."""
    if arguments not in ([], ["--upgrade"]):
        sys.stderr.write(f"{__doc__}\nusage: {COMMAND} [--upgrade]\n")
        return 0 if arguments in (["-h"], ["--help"]) else 2
    compile_lock(LOCKS["app"], ["pyproject.toml", *arguments])
    beside_the_app = [f"--no-emit-package={name}" for name in sorted({pin.name for pin in read_lock(LOCKS["app"])})]
    compile_lock(LOCKS["dev"], ["pyproject.toml", "--group=dev", "-c", DEPLOYED, *beside_the_app, *arguments])
    # Alone: what it asks for is in the app's lock, and it says that it needs 3.13 (see pyproject.toml).
    compile_lock(LOCKS["runtime"], ["--group=runtime", "--no-deps", *arguments], python="3.13")
    compile_lock(LOCKS["checkov"], ["--group=checkov", *arguments])
    compile_lock(LOCKS["node"], ["--group=node", *arguments])
    return 0


def compile_lock(lock: Path, options: list[str], python: str = _OLDEST_PYTHON) -> None:
    """Writes one lock. Versions that it holds stay as they are wherever pyproject.toml still allows them."""
    lock.parent.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", f"--python-version={python}"]
    environment = {**os.environ, "UV_CUSTOM_COMPILE_COMMAND": COMMAND}
    output = f"--output-file={lock.relative_to(ROOT)}"
    subprocess.run([*command, "--generate-hashes", output, *options], check=True, cwd=ROOT, env=environment)
    sys.stdout.write(f"{lock.relative_to(ROOT)}: {len(read_lock(lock))} packages\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
