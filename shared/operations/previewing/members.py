"""What becomes of a group's memberships: the directory's beside those that were sent, page by page.

Only those that differ are asked further: whether the account is there, or would be made. A few are read one by one;
where many differ, as when a group is new, everybody whose id lies between the first and the last of them is read
together, because that takes fewer requests.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from shared.directory.mirror import Mirror, UserFacts
from shared.operations.previewing.accounts import Draft, View, decide_all
from shared.operations.previewing.report import PreviewAction
from shared.operations.previewing.tally import MemberCount
from shared.operations.previewing.walking import Sighting, walk_users
from shared.provisioning.account_rows import AccountRows
from shared.provisioning.accounts import ACCOUNTS, Account, AccountState, ResourceKind, member_key
from shared.provisioning.guard import loses_members
from shared.provisioning.member_changes import loses_many
from shared.provisioning.member_look import MemberLook
from shared.provisioning.memberships import removed_lately
from shared.provisioning.planning import EMPTIED
from shared.storage.tables import Tables, gather_all

MEMBERS_PER_PAGE = 1000
_PARALLEL_READS = 16
_UNASKED = UserFacts(user=None)
_NEW = "(new)"
"""The id of an account that would be made."""
_READ_COSTS = 50
"""A read costs about as much as so many people whose facts come with a page."""


@dataclass(slots=True, kw_only=True)
class MemberPreviews:
    """Compares memberships without writing anything."""

    mirror: Mirror
    rows: AccountRows
    tables: Tables

    async def compare_page(self, view: View, draft: Draft, so_far: MemberCount, *, population: int) -> MemberCount:
        """The next page of a group's memberships. `population`: people in the directory, to choose how to read.

        Raises StorageUnavailable.
        """
        group = draft.account
        found = await self.mirror.read_memberships(group.source_id, after=so_far.after, count=MEMBERS_PER_PAGE)
        if not found:
            return replace(so_far, is_last=True)
        first, last = found[0][0], found[-1][0]
        sent = await self.tables.read_range(
            ACCOUNTS,
            group.application,
            first=member_key(group.source_id, first),
            before=member_key(group.source_id, last) + "\x01",
        )
        look = MemberLook(
            limit=MEMBERS_PER_PAGE,
            keeps_disabled=view.application.resource(ResourceKind.GROUP).disabled_members == "keep",
            now=view.now,
            fill="",
        )
        look.note_sent(sent, group)
        memberships = dict(found)
        open_ids = [user_id for user_id, is_member in found if is_member != (user_id in look.sent)]
        accounts = await self._read_accounts(view, open_ids, population=population)
        look.take([look.member(user_id, accounts[user_id], memberships[user_id]) for user_id in open_ids])
        return MemberCount(
            after=last,
            added=so_far.added + len(look.added),
            newcomers=so_far.newcomers + sum(target_id == _NEW for target_id in look.added.values()),
            removed=so_far.removed + len(look.removed),
        )

    async def _read_accounts(self, view: View, user_ids: Sequence[str], *, population: int) -> dict[str, Account]:
        """Each user's account as it would be afterwards."""
        if not user_ids:
            return {}
        if len(user_ids) * _READ_COSTS > population * _share(user_ids[0], user_ids[-1]):
            sightings = await self._read_between(view, user_ids)
        else:
            sightings = await self._read_each(view, user_ids)
        drafts = [
            Draft(account=sighting.accounts.get(view.name) or _no_account(view, sighting), facts=sighting.facts)
            for sighting in sightings
        ]
        without = [draft for draft in drafts if not draft.account.target_id]
        await decide_all(view, without, self.rows)
        return {draft.account.source_id: _afterwards(draft) for draft in drafts}

    async def _read_between(self, view: View, user_ids: Sequence[str]) -> list[Sighting]:
        wanted = set(user_ids)
        found: dict[str, Sighting] = {}
        # The walk leaves out whoever it begins after: the first is read alone.
        for sighting in await self._read_each(view, user_ids[:1]):
            found[sighting.source_id] = sighting
        walk = walk_users(self.mirror, self.rows, [view.name], after=user_ids[0], until=user_ids[-1])
        async with aclosing(walk) as batches:
            async for batch in batches:
                found |= {sighting.source_id: sighting for sighting in batch if sighting.source_id in wanted}
        missing = [user_id for user_id in user_ids if user_id not in found]
        return [*found.values(), *await self._read_each(view, missing)]

    async def _read_each(self, view: View, user_ids: Sequence[str]) -> list[Sighting]:
        accounts = await self.rows.read_users(view.name, user_ids)
        unlinked = [user_id for user_id in user_ids if not accounts[user_id].target_id]
        facts: dict[str, UserFacts] = {}
        for at in range(0, len(unlinked), _PARALLEL_READS):
            batch = unlinked[at : at + _PARALLEL_READS]
            read = await gather_all([self.mirror.read_user_facts(user_id) for user_id in batch])
            facts |= dict(zip(batch, read, strict=True))
        return [
            Sighting(
                source_id=user_id,
                # Whoever has an account stays as they are: what the directory says of them is not asked.
                facts=facts.get(user_id) or _UNASKED,
                accounts={view.name: accounts[user_id]},
            )
            for user_id in user_ids
        ]


def count_members(view: View, draft: Draft, found: MemberCount) -> Counter[str]:
    """Requests about memberships, and groups about which a person is asked, by their names in a tally."""
    account, application = draft.account, view.application
    added, removed = found.added, found.removed
    lately = removed_lately(account, view.now)
    asked = (
        removed > 0
        and not account.permit
        and loses_many(application.deletion_guard, removed=lately + removed, population=account.members + lately)
    )
    if asked:
        removed = 0
    most = application.resource(ResourceKind.GROUP).members_per_patch
    limit = min(most, account.chunk) if account.chunk else most
    return Counter(
        members=math.ceil((added + removed) / limit),
        # Accounts that appear one after another may be added one by one.
        more_at_most=found.newcomers,
        groups_asked=int(asked),
        members_added=found.added,
        members_removed=found.removed,
    )


def comes_to_members(view: View, draft: Draft) -> bool:
    """Whether memberships are written once the group itself is as it should be."""
    in_scope = draft.standing is not None and draft.standing.is_active
    is_there = bool(draft.account.target_id) or draft.action is PreviewAction.CREATE
    return view.application.has_members and in_scope and is_there and draft.plan is not None


def count_removal(view: View, draft: Draft) -> MemberCount:
    """What an emptied group loses: all that were sent."""
    is_emptied = draft.plan is not None and draft.plan.reason == EMPTIED and view.application.has_members
    return MemberCount(removed=draft.account.members if is_emptied else 0, is_last=True)


def is_asked(view: View, draft: Draft) -> bool:
    """Whether a person is asked about a group that would be deleted, however few are."""
    return draft.action is PreviewAction.DELETE and loses_members(view.application, draft.account)


def _afterwards(draft: Draft) -> Account:
    """The account when everything that is planned has been done; what is on its way now has arrived."""
    account = replace(draft.account, intent=None, lease_token="")
    if draft.plan is not None and draft.action is PreviewAction.CREATE:
        return replace(account, target_id=_NEW, state=AccountState.IN_SYNC)
    return account


def _no_account(view: View, sighting: Sighting) -> Account:
    return Account(application=view.name, kind=ResourceKind.USER, source_id=sighting.source_id)


def _share(first: str, last: str) -> float:
    """Which part of all ids lies between two, as far as their first digits tell: ids of the directory are random."""
    numbers = [_leading(text) for text in (first, last)]
    if None in numbers:
        return 1.0
    low, high = numbers[0] or 0, numbers[1] or 0
    return max(0.0, (high - low + 1) / 2**32)


def _leading(text: str) -> int | None:
    try:
        return int(text[:8], 16)
    except ValueError:
        return None
