"""Processes of their own: what is measured must not share a core's time, or memory, with what surrounds it."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import Connection
from typing import Any

_SPAWN = multiprocessing.get_context("spawn")


def run_apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """Runs a function in a fresh process and answers with its result; what it raises is raised here."""
    with ProcessPoolExecutor(1, mp_context=_SPAWN) as pool:
        return pool.submit(function, *arguments).result()


@contextlib.contextmanager
def serve_apart(server: Callable[..., None], *arguments: Any) -> Iterator[str]:
    """Runs a server in a fresh process while the body runs; yields the URL that it announces first.

    `server(announce, *arguments)` calls `announce.send(url)` and serves until the other end of `announce` is closed,
    which the end of this process does too, however it comes.
    """
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=server, args=(theirs, *arguments), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours.recv()
    finally:
        ours.close()
        process.join()


def wait_for_end(announce: Connection) -> None:
    """Returns when the process that started this one closed its end, or is gone."""
    with contextlib.suppress(EOFError, OSError):
        announce.recv()
