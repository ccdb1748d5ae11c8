"""Values that are new each time: unique ones, random ones, the clock's and the tenant's."""

from collections.abc import Iterable
from datetime import UTC, datetime

from shared.rules.expressions.conversion import Unfit, as_integer, as_text
from shared.rules.expressions.registry import Check, Options, Scope, scoped, simple
from shared.rules.expressions.values import UniqueValue

MAX_RANDOM = 256
DIGITS = "0123456789"
SPECIAL = "'-!\"#$%&()*,./:;?@[]^_`{|}~+<=>"
CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LOWER_CASE = "abcdefghijklmnopqrstuvwxyz"


def _check_count(name: str) -> Check:
    def check(value: object) -> None:
        if not 0 <= as_integer(value, name) <= MAX_RANDOM:
            raise Unfit(f"{name}: 0 to {MAX_RANDOM} was expected")

    return check


@simple(
    "SelectUniqueValue", "uniqueValueRule1, uniqueValueRule2, uniqueValueRule...", Options(outermost=True, minimum=2)
)
def select_unique_value(*rules: object) -> UniqueValue | None:
    """Answer the candidates in order; the first one that is free at the target is taken, none free means an escrow.

    Null and empty candidates are left out, and so are repetitions; null when nothing is left. Only as the outermost
    function, only while creating, never on a matching attribute.
    """
    texts = (as_text(rule, "uniqueValueRule") for rule in rules)
    candidates = tuple(dict.fromkeys(text for text in texts if text))
    return UniqueValue(candidates) if candidates else None


@scoped("Guid", "")
def guid(scope: Scope) -> str:
    """Answer a new random GUID in lower case."""
    return scope.context.new_guid().lower()


@scoped("Now", "")
def now(scope: Scope) -> datetime:
    """Answer the current date and time, UTC, to the second."""
    return scope.context.now.astimezone(UTC).replace(microsecond=0)


@scoped("DefaultDomain", "")
def default_domain(scope: Scope) -> str:
    """Answer the tenant's default domain; fails the user when it is not known."""
    if scope.context.default_domain is None:
        raise Unfit("the tenant's default domain is not known; set it in the configuration")
    return scope.context.default_domain


_COUNTS = ("length", "minimumNumbers", "minimumSpecialCharacters", "minimumCapital", "minimumLowerCase")


@scoped(
    "RandomString",
    f"{', '.join(_COUNTS)}, charactersToAvoid?",
    Options(checks={name: _check_count(name) for name in _COUNTS}),
)
def random_string(scope: Scope, *values: object) -> str:
    """Answer a random text of that length with at least that many characters of each kind.

    What the minima leave open is filled from the kinds whose minimum is not 0 (all letters and digits when every
    minimum is 0). At most 256 characters; the minima may not add up to more than the length.
    """
    *counts, avoided = values
    length, *minima = _counted(counts)
    excluded = set(as_text(avoided, "charactersToAvoid") or "")
    kinds = [[c for c in kind if c not in excluded] for kind in (DIGITS, SPECIAL, CAPITALS, LOWER_CASE)]
    chosen = list(zip(kinds, minima, strict=True))
    if sum(minima) > length:
        raise Unfit("length: the minima add up to more")
    wanted = [kind for kind, minimum in chosen if minimum] or [kinds[0], kinds[2], kinds[3]]
    filling = [character for kind in wanted for character in kind]
    if any(minimum and not kind for kind, minimum in chosen) or (length and not filling):
        raise Unfit("charactersToAvoid: at least one character of each kind asked for must remain")
    pick = scope.context.random
    characters = [pick.choice(kind) for kind, minimum in chosen for _ in range(minimum)]
    characters += [pick.choice(filling) for _ in range(length - len(characters))]
    pick.shuffle(characters)
    return "".join(characters)


def _counted(values: Iterable[object]) -> list[int]:
    counts = []
    for name, value in zip(_COUNTS, values, strict=True):
        _check_count(name)(value)
        counts.append(as_integer(value, name))
    return counts
