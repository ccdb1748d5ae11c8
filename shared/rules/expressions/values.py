"""What goes into and comes out of an attribute-mapping expression.

These types live apart from the compiler so that importing them costs nothing: lark and regex are loaded when the
first expression is compiled, not when a module mentions `Redacted`.

    ExpressionError     the configuration is wrong: raised once, while compiling
    ExpressionFailure   this user's values do not fit: raised while evaluating, harms nobody else
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum
from typing import Final


class ExpressionError(ValueError):
    """The text of an expression is wrong; `column` counts characters from 1."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(f"column {column}: {message}")
        self.message = message
        self.column = column


class ExpressionFailure(Exception):
    """One user's values do not fit `function`; `reason` never holds an attribute value."""

    def __init__(self, function: str, reason: str) -> None:
        super().__init__(f"{function}: {reason}")
        self.function = function
        self.reason = reason


class Drop(Enum):
    """The type of `DROP`, so that `value is DROP` narrows for a type checker."""

    DROP = "drop"


DROP: Final = Drop.DROP
"""IgnoreFlowIfNullOrEmpty says: leave this attribute out of the request."""


REDACTED: Final = "[Redact]"
"""What logs and reports show in place of a value that a mapping redacts."""


@dataclass(frozen=True, slots=True)
class Redacted:
    """The value flows to the target as usual; whatever is logged shows `[Redact]` in its place."""

    value: object

    def __repr__(self) -> str:
        """Keep the value out of tracebacks and logs."""
        return f"Redacted({REDACTED})"

    def __str__(self) -> str:
        """Answer what a log line may show."""
        return REDACTED


@dataclass(frozen=True, slots=True)
class UniqueValue:
    """SelectUniqueValue's candidates in order of preference; the target decides which is the first one free.

    Candidates are never empty strings and appear once. All of them taken means an escrow.
    """

    candidates: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AppRole:
    """One app role assigned to the user; any object with these three attributes is accepted in its place."""

    id: str
    value: str | None
    displayName: str | None  # noqa: N815 - spelled as in Microsoft Graph


class RoleFlow(StrEnum):
    """How assigned roles reach the target."""

    SINGLE = "single"
    """One role: the target path decides whether its value, its display name or its type is meant."""

    ADD = "add"
    """All roles are added; a role no longer assigned is never removed."""

    REPLACE = "replace"
    """All roles replace what the target has; none assigned empties the attribute."""


@dataclass(frozen=True, slots=True)
class RoleAssignments:
    """What a role function answers; the mapping layer gives it the shape that the target path asks for."""

    flow: RoleFlow
    roles: tuple[AppRole, ...]


@dataclass(frozen=True, slots=True)
class EvaluationContext:
    """Everything an expression may know besides the user: clock, randomness, ids, roles and the tenant's domain.

    `now` must be aware. `default_domain` None means that DefaultDomain() fails. `regex_timeout_s` bounds what one
    evaluation's regular expressions may take together, so that a catastrophic pattern costs one user and not the batch.
    RandomString may make passwords: pass `random.SystemRandom()` outside tests.
    """

    now: datetime
    random: random.Random
    new_guid: Callable[[], str]
    roles: tuple[AppRole, ...] = ()
    default_domain: str | None = None
    regex_timeout_s: float = 0.1

    def __post_init__(self) -> None:
        """Refuse a clock without a zone, which would silently mean a different instant per machine."""
        if self.now.tzinfo is None:
            raise ValueError("now: an aware datetime was expected")
