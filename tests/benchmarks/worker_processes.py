"""Worker processes of the benchmarks that share a vendor's rate: started, let go, killed, ended."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Worker:
    """One worker process."""

    process: asyncio.subprocess.Process

    @classmethod
    async def start(cls, settings: Mapping[str, str]) -> Worker:
        """Starts one and waits until it is ready to begin."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.benchmarks.limited_worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=dict(settings),
            limit=2**24,
        )
        worker = cls(process)
        await worker.hear()
        return worker

    async def hear(self) -> Mapping[str, Any]:
        """Answers with its next line."""
        assert self.process.stdout is not None
        return json.loads(await self.process.stdout.readline())  # type: ignore[no-any-return]

    def begin(self) -> None:
        """Lets it work."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"begin\n")

    async def end(self) -> Mapping[str, Any]:
        """Ends it and answers with its report."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        report = await self.hear()
        await self.process.wait()
        return report

    async def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        await self.process.wait()
