"""What was asked of the simulator, and how it answered."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock

_ID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One request: its path relative to the version, and the status before any fault on the wire."""

    number: int
    method: str
    path: str
    status: int
    had_token: bool
    link: str
    query: str


class Journal:
    """The latest requests, oldest first, and how many there were per path since the last clear."""

    def __init__(self, *, most: int = 50_000) -> None:
        """Keeps at most `most` entries; counts are never dropped."""
        self._entries: deque[Entry] = deque(maxlen=most)
        self._counts: Counter[str] = Counter()
        self._number = 0
        self._lock = Lock()

    def note(self, method: str, path: str, *, status: int, had_token: bool, link: str, query: str) -> None:
        """Writes one request down."""
        with self._lock:
            self._number += 1
            self._entries.append(Entry(self._number, method, path, status, had_token, link, query))
            self._counts[template_of(path)] += 1

    @property
    def total(self) -> int:
        """Counts every request ever noted."""
        return self._number

    def counts(self) -> dict[str, int]:
        """Counts requests per path with ids replaced, as in `groups/{id}/members`."""
        with self._lock:
            return dict(self._counts)

    def after(self, number: int) -> list[Entry]:
        """Lists the entries kept since entry `number`."""
        return [entry for entry in self if entry.number > number]

    def clear(self) -> None:
        """Forgets everything; numbering goes on."""
        with self._lock:
            self._entries.clear()
            self._counts.clear()

    def __iter__(self) -> Iterator[Entry]:
        """Goes through the entries kept."""
        with self._lock:
            return iter(list(self._entries))

    def __len__(self) -> int:
        """Counts the entries kept."""
        return len(self._entries)


def template_of(path: str) -> str:
    """Replaces ids and principal names in a path, so that it can be counted."""
    segments = _ID.sub("{id}", path).split("/")
    return "/".join("{id}" if "@" in segment else segment for segment in segments)
