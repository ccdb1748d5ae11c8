"""Faults a test or a person adds to a running vendor: what goes wrong, how often, for which requests."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from threading import Event, RLock
from typing import Any

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class FaultKind(StrEnum):
    """Everything that can go wrong on purpose."""

    outage = "outage"
    """Every request is answered 503 until the fault is lifted. Options: `status`, `retry_after`."""
    throttle = "throttle"
    """429. Options: `retry_after` seconds (number), `"http-date"` with `seconds`, or None for no header; `status`."""
    error = "error"
    """A server error. Options: `status` (500), `applied` (whether the write was carried out first)."""
    html = "html"
    """A web page instead of SCIM. Option: `status` (404)."""
    reset = "reset"
    """The connection is reset. Option: `applied`."""
    slow = "slow"
    """The answer comes late. Option: `seconds`."""
    timeout_before_write = "timeout_before_write"
    """Nothing is carried out or answered until released or `seconds` (30) are over; then the connection drops."""
    timeout_after_write = "timeout_after_write"
    """The write is carried out, the answer withheld as in `timeout_before_write`."""
    late_write = "late_write"
    """The connection drops at once; the write lands when `release_late_writes()` is called."""
    malformed_json = "malformed_json"
    """The write is carried out, the body of the answer is cut in the middle."""
    truncated_list = "truncated_list"
    """A list says how many there are and holds fewer. Option: `keep` (half)."""
    empty_201 = "empty_201"
    """A create answers 201 without a body. Option: `location` (True) keeps the Location header."""
    integer_id = "integer_id"
    """A create gets an id that is a JSON number."""
    id_with_slash = "id_with_slash"
    """A create gets an id with a slash, a blank and a letter outside ASCII."""
    duplicate_match = "duplicate_match"
    """A lookup that finds one account answers with two."""
    page_loop = "page_loop"
    """A list answers with its first page whatever startIndex says."""
    null_resources = "null_resources"
    """A list without hits says `"Resources": null`. Option: `always` also with hits."""
    drop_external_id = "drop_external_id"
    """A write loses its externalId."""


_WRITES_ONLY = frozenset({FaultKind.timeout_before_write, FaultKind.timeout_after_write, FaultKind.late_write})
_CREATES_ONLY = frozenset({FaultKind.empty_201, FaultKind.integer_id, FaultKind.id_with_slash})
_UNLIMITED = frozenset({FaultKind.outage})


class Hold:
    """A pause before an answer is delivered, ended by its time or by `release`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._released = Event()

    def wait(self) -> None:
        """Returns when the hold is over."""
        self._released.wait(self.seconds)

    def release(self) -> None:
        """Ends the hold now."""
        self._released.set()


@dataclass(slots=True, kw_only=True)
class Fault:
    """One fault in force. `left` counts down to zero; None lasts until it is lifted."""

    id: str
    kind: FaultKind
    called: str = ""
    """How the journal calls it; empty: by its kind."""
    method: str | None = None
    path: str | None = None
    left: int | None = 1
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Answers with what a journal writes at a request that met the fault."""
        return self.called or self.kind.value

    def meets(self, method: str, path: str) -> bool:
        """Answers whether the fault is meant for such a request. `path` is a pattern searched in the SCIM path."""
        if self.left == 0:
            return False
        if self.method is not None and self.method.upper() != method:
            return False
        if self.method is None and self.kind in _WRITES_ONLY and method not in WRITES:
            return False
        if self.kind in _CREATES_ONLY and method != "POST":
            return False
        return self.path is None or re.search(self.path, path) is not None

    def as_json(self) -> dict[str, Any]:
        """Answers with the fault as a JSON object."""
        return {
            "id": self.id,
            "kind": self.kind.value,
            "called": self.name,
            "method": self.method,
            "path": self.path,
            "left": self.left,
            **self.options,
        }


class Faults:
    """The faults of one vendor, in the order they were added."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._holds: list[Hold] = []
        self._lock = RLock()
        self._ids = count(1)

    def add(
        self,
        kind: str,
        *,
        called: str = "",
        method: str | None = None,
        path: str | None = None,
        times: int | None = 1,
        **options: Any,
    ) -> str:
        """Adds a fault and answers with its id. `times=None` lasts until it is lifted, as an outage always does."""
        chosen = FaultKind(kind)
        fault = Fault(
            id=f"fault-{next(self._ids)}",
            kind=chosen,
            called=called,
            method=method,
            path=path,
            left=None if chosen in _UNLIMITED else times,
            options=options,
        )
        with self._lock:
            self._faults.append(fault)
        return fault.id

    def peek(self, kind: FaultKind, *, method: str, path: str) -> Fault | None:
        """Answers with the fault of a kind that meets a request, without using it up."""
        with self._lock:
            return next((each for each in self._faults if each.kind is kind and each.meets(method, path)), None)

    def take(self, *kinds: FaultKind, method: str, path: str) -> Fault | None:
        """Answers with the oldest fault of these kinds that meets a request, used up by one."""
        with self._lock:
            for fault in self._faults:
                if fault.kind in kinds and fault.meets(method, path):
                    if fault.left is not None:
                        fault.left -= 1
                    return fault
        return None

    def lift(self, which: str) -> None:
        """Removes the fault with an id, or every fault of a kind."""
        with self._lock:
            self._faults = [each for each in self._faults if which not in {each.id, each.kind.value}]

    def clear(self) -> None:
        """Removes every fault and releases what is held."""
        with self._lock:
            self._faults.clear()
        self.release()

    def hold(self, seconds: float) -> Hold:
        """Answers with a hold that `release` ends."""
        hold = Hold(seconds)
        with self._lock:
            self._holds.append(hold)
        return hold

    def release(self) -> None:
        """Ends every hold: withheld answers are given up now."""
        with self._lock:
            holds, self._holds = self._holds, []
        for hold in holds:
            hold.release()

    def all(self) -> list[Fault]:
        """Answers with the faults that still have something to do."""
        with self._lock:
            return [each for each in self._faults if each.left != 0]
