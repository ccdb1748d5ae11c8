"""Opaque tokens: random to the reader, state on this side."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import Generic, TypeVar

State = TypeVar("State")
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


class Tokens(Generic[State]):
    """Keeps the state behind each token until it is too old, or one of too many."""

    def __init__(self, dice: Random, *, now: Callable[[], datetime], lifetime: timedelta, most: int = 20_000) -> None:
        """Forgets a token `lifetime` after its issue, and the oldest when there are more than `most`."""
        self._dice = dice
        self._now = now
        self._lifetime = lifetime
        self._most = most
        self._states: dict[str, tuple[datetime, State]] = {}

    def issue(self, state: State) -> str:
        """Makes a new token for a state."""
        token = "".join(self._dice.choices(ALPHABET, k=86))
        self._states[token] = (self._now(), state)
        if len(self._states) > self._most:
            del self._states[next(iter(self._states))]
        return token

    def find(self, token: str) -> State | None:
        """Returns the state behind a token; None when it is unknown or too old."""
        issued_at, state = self._states.get(token, (None, None))
        if issued_at is None or self._now() - issued_at > self._lifetime:
            return None
        return state
