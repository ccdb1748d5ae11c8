"""What a round of a delta query is made of, and the state behind its links."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from tests.simulation.graph.changes import Change, Kind, Related

STREAMS = {"users": Kind.USER, "groups": Kind.GROUP, "servicePrincipals": Kind.SERVICE_PRINCIPAL}


class Unit(NamedTuple):
    """One object to show on one page; a large group takes several."""

    id: str
    removed: str | None = None
    whole: bool = False
    changed: frozenset[str] = frozenset()
    former_managers: tuple[str, ...] = ()
    added: tuple[Related, ...] = ()
    left: tuple[Related, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What one chain of tokens tracks; fixed by its first call."""

    resource: str
    kind: Kind
    select: tuple[str, ...]
    ids: frozenset[str] | None

    @property
    def tracks_members(self) -> bool:
        """Whether memberships are part of the stream."""
        return "members" in self.select


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermark:
    """State behind a deltaLink: the tenant's change number, and changes still hidden from this reader."""

    scope: Scope
    since: int
    hidden: tuple[tuple[Change, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """State behind a nextLink: a planned round, how far it was read, and where the next round starts."""

    scope: Scope
    units: list[Unit]
    start: int
    minimal: bool
    then: Watermark
