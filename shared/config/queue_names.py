"""Names of queues, and the application names that those of an application allow.

Azure queue names are 3 to 63 lower case letters, digits and single hyphens; the platform appends `-poison`.
"""

from __future__ import annotations

import re
from typing import Final

_LONGEST_QUEUE: Final = 63 - len("-poison")
_NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


DIRECTORY_CHANGED: Final = "directory-changed"
"""The queue on which change notifications ring; no application's queue can have its name."""


def queue_name(application: str) -> str:
    """The queue of ordinary changes."""
    return f"provision-{application}"


def first_queue_name(application: str) -> str:
    """The queue that overtakes: leavers and releases."""
    return f"provision-{application}-first"


def refuse_name(application: str) -> str | None:
    """What an application name should have been, None when it is good."""
    longest = _LONGEST_QUEUE - len(first_queue_name(""))
    if not _NAME.fullmatch(application) or len(application) > longest:
        return f"a name of lower case letters, digits and single hyphens, at most {longest} characters"
    if application.endswith(("-first", "-poison")):
        return "a name that does not end in -first or -poison, which name queues"
    return None
