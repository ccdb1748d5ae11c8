"""What a preview tells a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.provisioning.applications_state import ApplicationStatus
from shared.provisioning.guard import Verdict


class PreviewAction(StrEnum):
    """What would be done with an account."""

    CREATE = "create"
    """Made, or taken over when the vendor has it already: only the vendor could tell which."""
    UPDATE = "update"
    DISABLE = "disable"
    DELETE = "delete"
    EMPTY = "empty"
    """A group stays at the vendor without the members we gave it."""
    SKIP = "skip"
    """Nothing."""
    WAIT = "wait"
    """Nothing can be decided: the directory never showed the person or group."""
    REFUSED = "refused"
    """The source's values do not fit the target; the account would go to escrow."""


class Obstacle(StrEnum):
    """What stands between a plan and its request now."""

    NONE = "none"
    LEASED = "leased"
    """A worker is at it."""
    STAGED = "staged"
    """Waits for the deletion guard's next look."""
    HELD = "held"
    """Waits for a person."""
    REJECTED = "rejected"
    """A person said no; it stands until the source changes."""
    ESCROWED = "escrowed"
    """Tried again on the ladder, and at once when the source changes."""
    LATER = "later"
    """Tried again soon: the vendor did not take the last attempt."""
    IN_DOUBT = "in_doubt"
    """The last request had no answer, and may still land."""


class ScopeChange(StrEnum):
    """What a changed configuration means for somebody's access."""

    NONE = "none"
    ENTERS = "enters"
    LEAVES = "leaves"


class ConfigurationChange(StrEnum):
    """How an application of the previewed configuration stands to the one in force."""

    SAME = "same"
    CHANGED = "changed"
    """Accounts may have to be evaluated again."""
    NEW = "new"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModifiedProperty:
    """One attribute that would change. Values that a mapping redacts are [Redact], long ones are cut."""

    name: str
    """Target path."""
    old: Any
    """What was last sent; None: nothing, or unknown."""
    new: Any
    """None: it would be taken away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPreview:
    """What would happen to one account."""

    application: str
    kind: str
    source_id: str
    target_id: str
    """Empty: there is no account that we know of."""
    action: PreviewAction
    reason: str
    detail: str = ""
    """REFUSED: which target and source, and why."""
    scope_change: ScopeChange = ScopeChange.NONE
    modified: tuple[ModifiedProperty, ...] = ()
    obstacle: Obstacle = Obstacle.NONE
    next_attempt_at: datetime | None = None
    """ESCROWED and LATER: when it is tried again; None: when the source changes."""
    awaited: tuple[str, ...] = ()
    """Target paths of references (a manager) to accounts that do not exist yet; they follow when those do."""
    warnings: tuple[str, ...] = ()
    """Attributes that are left out, and why."""
    members_added: int = 0
    """Groups: memberships, those of accounts that would be made included."""
    members_removed: int = 0
    has_more_members: bool = False
    """Groups: the time was over before all memberships were compared; there may be more to add and to remove."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestsPreview:
    """SCIM requests that would be sent without asking anybody; what waits for a person or in escrow is left out."""

    look_ups: int = 0
    """A create asks first, by each matching attribute."""
    creates: int = 0
    updates: int = 0
    disables: int = 0
    deletes: int = 0
    members: int = 0
    """Updates of groups' memberships, in chunks of `members_per_patch`."""
    reads: int = 0
    """Accounts that are looked at once more before everything is asserted."""
    more_at_most: int = 0
    """So many more may follow: references and members whose accounts are only made now."""
    total: int = 0
    """Of all but `more_at_most`."""
    requests_per_second: float | None = None
    """The application's rate; None: unlimited."""
    seconds: float | None = None
    """What `total` takes at that rate; None: unlimited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardPreview:
    """What the deletion guard would say, if all of it were staged together now."""

    verdict: Verdict
    counted: int
    """Disables and deletes that need its permit and have none."""
    held: int
    """How many would wait for a person: all of them, or none."""
    released: int
    """Already released within the rolling day."""
    population: int
    """Linked accounts that the percentage is of."""
    max_count: int
    max_percent: float
    min_population: int
    is_holding: bool
    """A hold stands already."""
    is_distrusted: bool
    """The service principal is another one: a person is asked, however few it are."""
    groups_asked: int
    """Groups that would lose so many members that a person is asked about each, whatever the verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationPreview:
    """What would happen at one application, counted since the first page."""

    application: str
    configuration: ConfigurationChange
    status: ApplicationStatus
    """Paused or quarantined: nothing is sent until that ends."""
    counts: Mapping[str, Mapping[str, int]]
    """Action -> reason -> accounts, people and groups together."""
    obstacles: Mapping[str, int]
    """Obstacle -> accounts that would change and meet it."""
    enters: int
    """People and groups who come into scope by the changed configuration."""
    leaves: int
    """And who fall out of it."""
    members_added: int
    members_removed: int
    requests: RequestsPreview
    guard: GuardPreview | None
    """None: not all accounts were looked at yet."""
    notes: tuple[str, ...]
    """What a preview cannot know of this application."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewReport:
    """What would happen. Counts are cumulative over the pages; `accounts` are those of this page."""

    at: datetime
    looked_at: int
    """People and groups of the directory, and rows of unknown ones."""
    applications: tuple[ApplicationPreview, ...]
    gone: tuple[str, ...]
    """Applications in force that the previewed configuration lacks or switches off: their accounts stay as they are."""
    accounts: tuple[AccountPreview, ...]
    """What would change, and with `with_skipped` also what would not."""
    unlisted: int
    """Accounts of this page that were counted but not listed, because there are so many with the same action."""
    next: str | None
    """Where the next page begins; None: complete."""
