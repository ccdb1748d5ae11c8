"""One page of a preview: what was asked, how far it has come, and what was counted and listed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.operations.cursors import decode_cursor, encode_cursor, refused
from shared.operations.previewing.accounts import Draft, View, count_requests, describe, find_obstacle
from shared.operations.previewing.members import count_members, is_asked
from shared.operations.previewing.report import AccountPreview, Obstacle, PreviewAction, ScopeChange
from shared.operations.previewing.tally import MemberCount, Place, Tally, whole_number
from shared.provisioning.accounts import AccountState

BUDGET_S = 10.0
MOST_LISTED = 500
_LONGEST_CURSOR = 200_000
_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewRequest:
    """What somebody wants to see. Everything in it may come from outside."""

    application: str | None = None
    """One application's name; None: all that are enabled."""
    configuration: str | None = None
    """The text of another provisioning.yaml; None: the configuration in force."""
    profiles: Mapping[str, str] = field(default_factory=dict)
    """Name of a profile as the configuration writes it, `./initech.yaml` say, to its text."""
    cursor: str | None = None
    """`next` of the page before; None: from the start."""
    with_skipped: bool = False
    """True: accounts to which nothing would happen are listed too."""
    budget_s: float = BUDGET_S
    """After this a page ends."""
    most_listed: int = MOST_LISTED
    """Accounts of each action that a page lists; all are counted."""


@dataclass(slots=True, kw_only=True)
class Page:
    """What one call works on."""

    request: PreviewRequest
    views: list[View]
    digest: str
    """Of all that decides which counts belong together."""
    ends_at: float
    """Monotonic."""
    place: Place = field(default_factory=Place)
    looked_at: int = 0
    tallies: dict[str, Tally] = field(default_factory=dict)
    accounts: list[AccountPreview] = field(default_factory=list)
    listed: Counter[PreviewAction] = field(default_factory=Counter)
    unlisted: int = 0

    def __post_init__(self) -> None:
        """Begin to count every application."""
        self.tallies = {view.name: Tally() for view in self.views}

    def count(self, view: View, draft: Draft, found: MemberCount | None = None) -> None:
        """Count one account, and list it. `found`: a group's memberships."""
        if found is not None:
            draft.note_members(added=found.added, removed=found.removed)
        account, plan, action = draft.account, draft.plan, draft.action
        obstacle = find_obstacle(view, account)
        tally = self.tallies[view.name]
        tally.count(action, draft.reason, obstacle)
        numbers = tally.numbers
        numbers["linked"] += bool(account.target_id)
        numbers["enters"] += draft.scope_change is ScopeChange.ENTERS
        numbers["leaves"] += draft.scope_change is ScopeChange.LEAVES
        if is_asked(view, draft):
            numbers["groups_asked"] += 1
        else:
            numbers.update(count_requests(view, draft, obstacle))
            if plan is not None and plan.is_destructive and not account.permit and obstacle is not Obstacle.REJECTED:
                numbers["counted"] += 1
                numbers["still_held"] += bool(account.staged) and account.staged <= view.guard.held_up_to
        if found is not None:
            needed = count_members(view, draft, found)
            if obstacle is Obstacle.ESCROWED:
                needed["members"] = needed["more_at_most"] = 0
            numbers.update(needed)
        else:
            self._count_memberships(view, draft)
        self._list(view, draft)

    def read_fill(self, view: View, draft: Draft) -> int | None:
        """How many members a group gets to which nothing was sent yet; None: they have to be compared."""
        return None if draft.account.members else self.tallies[view.name].read_fill(draft.account.source_id)

    def _count_memberships(self, view: View, draft: Draft) -> None:
        """What a person's own plan means for their groups; what the directory says of these is compared later."""
        if not view.application.has_members:
            return
        tally = self.tallies[view.name]
        groups = [group_id for group_id, is_member in draft.groups.items() if is_member and view.has_group(group_id)]
        if draft.joins_groups(keeps_disabled=view.keeps_disabled):
            new = [group_id for group_id in groups if group_id not in view.filled_groups]
            for group_id in new:
                tally.count_fill(group_id)
            if draft.action is PreviewAction.CREATE:
                # Accounts that appear one after another may be added one by one.
                tally.numbers["more_at_most"] += len(new)
        is_new = draft.action is PreviewAction.DISABLE and draft.account.state is not AccountState.DISABLED
        if is_new and not view.keeps_disabled:
            left = sum(group_id in view.filled_groups for group_id in groups)
            tally.numbers.update(members_removed=left, more_at_most=left)

    def _list(self, view: View, draft: Draft) -> None:
        """Show an account, unless there are so many like it."""
        action = draft.action
        if action is PreviewAction.SKIP and not self.request.with_skipped:
            return
        if self.listed[action] >= self.request.most_listed:
            self.unlisted += 1
            return
        self.listed[action] += 1
        self.accounts.append(describe(view, draft))


def write_cursor(page: Page) -> str:
    """Where the next page begins, and what was counted so far."""
    return encode_cursor(
        {
            "v": _VERSION,
            "d": page.digest,
            "p": page.place.encode(),
            "n": page.looked_at,
            "t": [page.tallies[view.name].encode() for view in page.views],
        }
    )


def read_cursor(page: Page, cursor: str) -> None:
    """Go on where the page before ended. Raises CursorRefused, also for a cursor of another preview."""
    place = decode_cursor(cursor, longest=_LONGEST_CURSOR)
    if place.keys() != {"v", "d", "p", "n", "t"} or place["v"] != _VERSION or place["d"] != page.digest:
        raise refused()
    tallies = place["t"]
    if not isinstance(tallies, list) or len(tallies) != len(page.views):
        raise refused()
    page.place = Place.decode(place["p"], applications=len(page.views))
    page.looked_at = whole_number(place["n"])
    page.tallies = {view.name: Tally.decode(value) for view, value in zip(page.views, tallies, strict=True)}
