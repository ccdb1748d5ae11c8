"""What nobody foresaw, without its text: that may hold anybody's data, and the platform logs whatever is raised."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.storage.tables import StorageUnavailable


class Crash(Exception):
    """An exception that is none of ours: of which type, and where it was raised."""


def describe_crash(error: Exception) -> str:
    """The type of an exception and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"


@contextmanager
def texts_withheld() -> Iterator[None]:
    """What the block raises goes on to the platform as a Crash, or as ours, and without what led to it."""
    try:
        yield
    except StorageUnavailable as error:
        raise error from None
    except Exception as error:  # noqa: BLE001 - whatever it is, it fails the invocation as before
        raise Crash(describe_crash(error)) from None
