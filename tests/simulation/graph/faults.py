"""Faults that can be switched on: each says what goes wrong, on which path, for how many requests.

All choices among candidates come from one seeded generator, so a failing run can be repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from fnmatch import fnmatchcase
from random import Random
from threading import RLock
from typing import Any


class Link(StrEnum):
    """What brought a request to a collection."""

    INITIAL = "initial"
    """A plain URL: the first page of a round or list, or a single object."""
    NEXT = "next"
    """A nextLink: a further page."""
    DELTA = "delta"
    """A deltaLink: the first page of the next round."""


class FaultKind(StrEnum):
    """What goes wrong."""

    THROTTLE = "throttle"
    """429; `retry_after` is seconds, "date" for an HTTP date, or None for no header. Inside $batch: that part only."""
    SERVER_ERROR = "server_error"
    """A 5xx answer with `status`; with `retry_after` if given."""
    UNAUTHORIZED = "unauthorized"
    """401, as after a token's expiry or revocation."""
    FORBIDDEN = "forbidden"
    """403: the permission was withdrawn."""
    NOT_FOUND = "not_found"
    """404 for something that exists."""
    GONE = "gone"
    """410 with a Location that restarts the round; at `origin` instead of here if given."""
    SYNC_STATE_NOT_FOUND = "sync_state_not_found"
    """400 (or `status`) with the code syncStateNotFound: the token is no longer known."""
    SLOW = "slow"
    """The answer comes `seconds` late."""
    RESET = "reset"
    """The connection is reset in the middle of the body."""
    REFUSE = "refuse"
    """The connection is reset before a single byte of the answer."""
    TRUNCATE = "truncate"
    """The body stops in the middle of the JSON, with a Content-Length that agrees."""
    GARBAGE = "garbage"
    """200 with an HTML page, as a captive proxy answers."""
    FOREIGN_LINK = "foreign_link"
    """nextLink or deltaLink points to `origin`, another host: following it would leak the token."""
    EMPTY_PAGE = "empty_page"
    """A page with no value and a nextLink."""
    VARIABLE_PAGES = "variable_pages"
    """A page of random size between one and the page size."""
    DUPLICATE = "duplicate"
    """A `fraction` of the objects occurs again later in the round."""
    REPLAY = "replay"
    """The round begins with the last `count` changes of earlier rounds once more."""
    REORDER = "reorder"
    """The objects of a round come in random order."""
    LAG = "lag"
    """A `fraction` of the new changes stays hidden for `polls` deltaLink calls, this one included."""
    UNKNOWN_MEMBER = "unknown_member"
    """Groups name members that no other answer knows, `count` of them."""
    CONFLICTING_MEMBERSHIP = "conflicting_membership"
    """A `fraction` of the membership changes also occurs the other way round in the same round, in either order."""
    SHORT_ROUND = "short_round"
    """A `fraction` of the objects is missing from an initial round or a list, without any error."""
    ASSIGNMENT_MISSING = "assignment_missing"
    """A `fraction` of the grants is missing from one complete read of a list of app role assignments."""
    ASSIGNMENT_LAG = "assignment_lag"
    """Lists of app role assignments show the grants as they were when the fault was added."""
    NOTIFICATION_LOST = "notification_lost"
    """A change notification is never sent."""
    NOTIFICATION_DUPLICATE = "notification_duplicate"
    """A change notification is sent twice."""
    NOTIFICATION_WRONG_CLIENT_STATE = "notification_wrong_client_state"
    """A change notification carries another clientState: a forgery."""
    NOTIFICATION_UNKNOWN_SUBSCRIPTION = "notification_unknown_subscription"
    """A change notification carries the id of no subscription."""


@dataclass(slots=True, kw_only=True)
class Fault:
    """One switched-on fault. `times` None: for ever; `after`: matching requests let through first."""

    kind: FaultKind
    path: str = "*"
    link: Link | None = None
    times: int | None = 1
    after: int = 0
    probability: float = 1.0
    retry_after: str | None = None
    status: int | None = None
    seconds: float = 0.0
    origin: str | None = None
    fraction: float = 1.0
    polls: int = 1
    count: int = 1
    as_of: int | None = None
    hits: int = 0

    @property
    def spent(self) -> bool:
        """Whether it has happened as often as asked."""
        return self.times is not None and self.hits >= self.times

    def matches(self, path: str, link: Link) -> bool:
        """Whether a request to `path` (relative to the version, without query) is meant."""
        return fnmatchcase(path, self.path) and self.link in (None, link)


class Faults:
    """The faults in force, in the order they were added; safe to change while requests are served."""

    def __init__(self, dice: Random, *, number: Callable[[], int] = lambda: 0) -> None:
        """Starts with none; `dice` decides probabilities and fractions, `number` tells the tenant's latest change."""
        self.dice = dice
        self._number = number
        self._lock = RLock()
        self._faults: list[Fault] = []

    def add(self, kind: str | FaultKind, *, path: str = "*", times: int | None = 1, **options: Any) -> Fault:
        """Switches a fault on for the next `times` requests whose path matches the glob `path`.

        Raises ValueError for a kind or option that does not exist. Options are the fields of `Fault`.
        """
        known = {field.name for field in fields(Fault)} - {"kind", "path", "times", "hits"}
        if unknown := set(options) - known:
            raise ValueError(f"fault options {sorted(unknown)} do not exist; known are {sorted(known)}")
        if options.get("link") is not None:
            options["link"] = Link(options["link"])
        options.setdefault("as_of", self._number())
        fault = Fault(kind=FaultKind(kind), path=path, times=times, **options)
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Switches everything off."""
        with self._lock:
            self._faults.clear()

    def active(self) -> list[dict[str, Any]]:
        """Lists the faults that can still happen."""
        with self._lock:
            return [asdict(fault) for fault in self._faults if not fault.spent]

    def take(self, kind: FaultKind, path: str, *, link: Link = Link.INITIAL) -> Fault | None:
        """Lets the first matching fault of a kind happen, and returns it; None when all is well."""
        if not self._faults:
            return None
        with self._lock:
            for fault in self._faults:
                if fault.kind is kind and not fault.spent and fault.matches(path, link) and self._strikes(fault):
                    return fault
        return None

    def pick(self, fault: Fault, candidates: list[Any]) -> list[Any]:
        """Chooses the fault's fraction of the candidates, at least one if there is any."""
        if not candidates or fault.fraction <= 0:
            return []
        with self._lock:
            return self.dice.sample(candidates, max(1, round(len(candidates) * min(1.0, fault.fraction))))

    def _strikes(self, fault: Fault) -> bool:
        if fault.after > 0:
            fault.after -= 1
            return False
        if fault.probability < 1.0 and self.dice.random() >= fault.probability:
            return False
        fault.hits += 1
        return True

    def __iter__(self) -> Iterator[Fault]:
        """Goes through every fault added, spent ones included."""
        return iter(list(self._faults))
