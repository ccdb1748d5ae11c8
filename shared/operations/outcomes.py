"""What a request that does something answers, in a word or a number."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """Whether a request changed anything; asking twice is no mistake."""

    changed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """How many accounts a request reached."""

    accounts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Requested:
    """The request was noted; it is carried out by the next housekeeping."""

    requested: bool
