"""What can change in a directory: the vocabulary the tenant writes down and a delta query reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class NotInTenantError(LookupError):
    """The named object does not exist in the state the call asks for."""


class Kind(StrEnum):
    """Type of a directory object, spelled as in `@odata.type`."""

    USER = "user"
    """A person."""
    GROUP = "group"
    """A security or Microsoft 365 group."""
    DEVICE = "device"
    """A device; only ever seen as a group's member."""
    SERVICE_PRINCIPAL = "servicePrincipal"
    """An application in this tenant."""

    @property
    def odata_type(self) -> str:
        """The value of `@odata.type`."""
        return f"#microsoft.graph.{self.value}"


class Event(StrEnum):
    """What happened to a directory object."""

    CREATED = "created"
    """It did not exist before."""
    UPDATED = "updated"
    """Some of its properties changed."""
    SOFT_DELETED = "soft deleted"
    """It went to the deleted items, from where it can be restored."""
    RESTORED = "restored"
    """It came back from the deleted items."""
    DELETED = "deleted"
    """It is gone for good."""
    MANAGER = "manager"
    """Its manager changed; `related` is the former one, if there was one."""
    MEMBER_ADDED = "member added"
    """`related` became a direct member of this group."""
    MEMBER_REMOVED = "member removed"
    """`related` is no longer a direct member of this group."""


REMOVALS = frozenset({Event.SOFT_DELETED, Event.DELETED})
ARRIVALS = frozenset({Event.CREATED, Event.RESTORED})


class Related(NamedTuple):
    """The other end of a relationship."""

    id: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one object; `number` grows by one with every change in the tenant, from 1."""

    number: int
    kind: Kind
    id: str
    event: Event
    properties: frozenset[str] = frozenset()
    related: Related | None = None


@dataclass(slots=True, kw_only=True)
class AppRoleAssignment:
    """A grant of an application's role to a principal.

    A revoked grant stays here with the number of the change that ended it, so that a lagging read can still show it.
    """

    id: str
    resource_id: str
    principal_id: str
    principal_kind: Kind
    app_role_id: str
    created_at: str
    granted: int
    revoked: int | None = None

    def seen_at(self, number: int | None) -> bool:
        """Whether a reader who knows the tenant up to change `number` (None: all of it) sees this grant."""
        if number is None:
            return self.revoked is None
        return self.granted <= number and (self.revoked is None or self.revoked > number)


def latest_of(changes: Sequence[Change], events: frozenset[Event]) -> Change | None:
    """Finds the last change that is one of `events`."""
    return next((change for change in reversed(changes) if change.event in events), None)
