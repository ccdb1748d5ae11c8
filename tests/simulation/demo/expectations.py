"""What the judge says: how an account or a group should stand, and in what it differs. Nothing but words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Wanted(StrEnum):
    """How a person's account should stand."""

    ACTIVE = "active"
    """Entitled and enabled: it exists, is active, and says what the directory says."""
    INACTIVE = "inactive"
    """Had an account, and left: it exists and is switched off."""
    NOT_ACTIVE = "not active"
    """Was entitled only while changes went on, maybe too briefly to get an account: one that exists is switched off."""
    GONE = "gone"
    """Deleted for good, and the vendor deletes: it does not exist."""


class Kind(StrEnum):
    """What is wrong with an account or a group."""

    WRONG = "wrong"
    """It exists and says something else."""
    MISSING = "missing"
    """It should exist."""
    EXTRA = "extra"
    """It should not exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """One person's account at one vendor, as it should be."""

    user_id: str
    user_name: str
    wanted: Wanted
    attributes: Mapping[str, str | None] = field(default_factory=dict)
    """Attribute in words -> value; None: it must have none."""
    manager: str | None = None
    """User name of the manager, empty for none; None: any will do."""
    former_names: frozenset[str] = frozenset()
    """User names that an account may still have from before it was switched off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedGroup:
    """One group at one vendor, as it should be."""

    group_id: str
    """Its id in the directory, and its external id at the vendor."""
    name: str
    members: frozenset[str] = frozenset()
    """User names, in lower case."""
    exists: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One disagreement."""

    application: str
    kind: Kind
    name: str
    """User name of the account, or display name of the group."""
    text: str
