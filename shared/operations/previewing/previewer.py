"""The preview: what the product would do from here on, for one application or all, with this configuration or another.

Nothing is written, and neither Graph nor a vendor is asked: the mirror and the rows are all there is. People come
first, of all applications in one pass over the mirror, then each application's groups. When the time is over the report
says where to go on, and brings along what was counted so far; only when all were looked at the deletion guard is asked.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import timedelta

from shared.clock import Clock
from shared.config.applications import Application, Applications, parse_applications
from shared.directory.mirror import Mirror
from shared.operations.previewing.accounts import Draft, View, decide_all, describe, is_concerned
from shared.operations.previewing.members import MemberPreviews, comes_to_members, count_removal
from shared.operations.previewing.page import BUDGET_S, Page, PreviewRequest, read_cursor, write_cursor
from shared.operations.previewing.redaction import hidden_targets
from shared.operations.previewing.report import AccountPreview, PreviewReport
from shared.operations.previewing.summary import summarize
from shared.operations.previewing.tally import MemberCount, Place
from shared.operations.previewing.walking import Sighting, walk_groups, walk_users
from shared.provisioning.account_rows import AccountRows
from shared.provisioning.accounts import Account, ResourceKind
from shared.provisioning.applications_state import ApplicationStates
from shared.provisioning.deciding import Decider
from shared.provisioning.guard import WINDOW, GuardKeeper
from shared.provisioning.mapping_source import SourceMapper
from shared.rules.source_user import select_group_properties, select_properties
from shared.storage.tables import Tables, gather_all

_SLICE = 100
"""After so many decisions, of all applications together, the clock is looked at; sooner where they are slow."""

_SLOW_S = 0.25
"""A slice that took longer is followed by a smaller one: a customer's pattern may take a tenth of a second a person."""

_MOST_APPLICATIONS = 100
_LARGE = 10**9


class PreviewRefused(ValueError):
    """What was asked for cannot be previewed; the text says why."""


@dataclass(slots=True, kw_only=True)
class Previewer:
    """Tells what would happen. One instance per process."""

    applications: Applications
    rows: AccountRows
    mirror: Mirror
    tables: Tables
    guard: GuardKeeper
    states: ApplicationStates
    decider: Decider
    clock: Clock
    grace_s: float

    async def preview(self, request: PreviewRequest) -> PreviewReport:
        """One page of what would happen.

        Raises PreviewRefused, CursorRefused, ConfigurationError for a configuration that cannot be used, and
        StorageUnavailable.
        """
        ends_at = self.clock.monotonic() + request.budget_s
        previewed, decider = self.applications, self.decider
        if request.configuration is not None:
            previewed = parse_applications(request.configuration, request.profiles)
            decider = Decider(SourceMapper(clock=self.clock))
        chosen = _choose(previewed, request.application)
        views = await self._views(chosen, decider)
        page = Page(request=request, views=views, ends_at=ends_at, digest=self._digest(chosen))
        if request.cursor is not None:
            read_cursor(page, request.cursor)
        is_complete = await self._look_at_users(page) and await self._look_at_groups(page)
        return await self._report(page, previewed, is_complete=is_complete)

    async def preview_account(self, application: str, kind: ResourceKind, source_id: str) -> AccountPreview:
        """What would happen to one account with the configuration in force; a group's memberships are compared, too.

        For as long as there is time: memberships that are not compared by then are not counted, and the report says so.
        Raises PreviewRefused for an application that is unknown or switched off, and StorageUnavailable.
        """
        ends_at = self.clock.monotonic() + BUDGET_S
        [view] = await self._views(_choose(self.applications, application), self.decider)
        account = await self.rows.read(application, kind, source_id)
        draft = Draft(account=account, facts=await self.mirror.read_facts(kind, source_id))
        await decide_all(view, [draft], self.rows, looks_up_all=True)
        if kind is not ResourceKind.GROUP:
            return describe(view, draft)
        found = count_removal(view, draft)
        if comes_to_members(view, draft):
            found = MemberCount()
            while not found.is_last and self.clock.monotonic() < ends_at:
                # One group is not worth a walk over everybody.
                found = await self._members.compare_page(view, draft, found, population=_LARGE)
            draft.has_more_members = not found.is_last
        draft.note_members(added=found.added, removed=found.removed)
        return describe(view, draft)

    @property
    def _members(self) -> MemberPreviews:
        return MemberPreviews(mirror=self.mirror, rows=self.rows, tables=self.tables)

    async def _look_at_users(self, page: Page) -> bool:
        """Everybody from the page's place on; False: the time was over first."""
        if page.place.application >= 0:
            return True
        names = [view.name for view in page.views]
        most, size = max(1, _SLICE // max(1, len(names))), 1
        walk = walk_users(self.mirror, self.rows, names, after=page.place.after)
        async with aclosing(walk) as batches:
            async for batch in batches:
                at = 0
                while at < len(batch):
                    began, people = self.clock.monotonic(), batch[at : at + size]
                    for view in page.views:
                        await self._look_at_some(page, view, people)
                    at, page.looked_at = at + len(people), page.looked_at + len(people)
                    page.place = Place(after=people[-1].source_id)
                    # Whoever shares the process has a turn.
                    await asyncio.sleep(0)
                    now = self.clock.monotonic()
                    if now >= page.ends_at:
                        return False
                    size = max(1, size // 2) if now - began > _SLOW_S else min(most, size * 2)
        page.place = Place(application=0)
        return True

    async def _look_at_some(self, page: Page, view: View, people: Sequence[Sighting]) -> None:
        drafts = []
        for sighting in people:
            account = sighting.accounts.get(view.name)
            if is_concerned(view, sighting.facts, account):
                nobody = Account(application=view.name, kind=ResourceKind.USER, source_id=sighting.source_id)
                drafts.append(Draft(account=account or nobody, facts=sighting.facts))
        await decide_all(view, drafts, self.rows)
        for draft in drafts:
            page.count(view, draft)

    async def _look_at_groups(self, page: Page) -> bool:
        """Each application's groups from the page's place on; False: the time was over first."""
        while page.place.application < len(page.views):
            view = page.views[page.place.application]
            walk = walk_groups(self.mirror, self.rows, view.name, after=page.place.after)
            async with aclosing(walk) as batches:
                async for batch in batches:
                    for sighting in batch:
                        if not await self._look_at_group(page, view, sighting):
                            return False
            page.place = Place(application=page.place.application + 1)
        return True

    async def _look_at_group(self, page: Page, view: View, sighting: Sighting) -> bool:
        begun, page.place = page.place, Place(application=page.place.application, after=sighting.source_id)
        account = sighting.accounts.get(view.name)
        if not is_concerned(view, sighting.facts, account):
            return True
        nothing = Account(application=view.name, kind=ResourceKind.GROUP, source_id=sighting.source_id)
        draft = Draft(account=account or nothing, facts=sighting.facts)
        await decide_all(view, [draft], self.rows)
        found = count_removal(view, draft)
        if comes_to_members(view, draft):
            fill = page.read_fill(view, draft)
            found = MemberCount(added=fill, is_last=True) if fill is not None else MemberCount()
            if begun.group == sighting.source_id:
                found = begun.count
            while not found.is_last:
                found = await self._members.compare_page(view, draft, found, population=page.looked_at)
                if not found.is_last and self.clock.monotonic() >= page.ends_at:
                    page.place = replace(begun, group=sighting.source_id, count=found)
                    return False
        page.count(view, draft, found)
        return self.clock.monotonic() < page.ends_at

    async def _views(self, chosen: Sequence[Application], decider: Decider) -> list[View]:
        properties = set(select_properties(self.applications.values()))
        group_properties = set(select_group_properties(self.applications.values()))
        return await gather_all(
            [
                self._view(
                    application,
                    decider,
                    unread=(
                        *sorted(set(select_properties([application])) - properties),
                        *sorted(set(select_group_properties([application])) - group_properties),
                    ),
                )
                for application in chosen
            ]
        )

    async def _view(self, application: Application, decider: Decider, *, unread: tuple[str, ...]) -> View:
        name, now = application.name, self.clock.now()
        guard = await self.guard.read(name)
        in_force = self.applications.get(name)
        if in_force is not None and not in_force.enabled:
            in_force = None
        if in_force is not None and application.has_other_principal(in_force):
            guard = replace(guard, distrusted_until=now + WINDOW)
        filled: set[str] = set()
        if application.has_members:
            async for page in self.rows.list_accounts(name, ResourceKind.GROUP):
                filled |= {group_id for group_id, account in page if account.target_id and account.members}
        return View(
            application=application,
            in_force=in_force,
            assigned_groups=await self.mirror.read_assigned_groups(name),
            guard=guard,
            decider=decider,
            hidden={kind: hidden_targets(application, self.applications.values(), kind) for kind in ResourceKind},
            unread=unread,
            filled_groups=frozenset(filled),
            asserted=(await self.states.read_fresh(name)).asserted,
            now=now,
            grace=timedelta(seconds=self.grace_s),
        )

    async def _report(self, page: Page, previewed: Applications, *, is_complete: bool) -> PreviewReport:
        states = await gather_all([self.states.read_fresh(view.name) for view in page.views])
        still = {application.name for application in previewed.enabled}
        return PreviewReport(
            at=self.clock.now(),
            looked_at=page.looked_at,
            applications=tuple(
                summarize(view, page.tallies[view.name], status=state.status, is_complete=is_complete)
                for view, state in zip(page.views, states, strict=True)
            ),
            gone=tuple(each.name for each in self.applications.enabled if each.name not in still),
            accounts=tuple(page.accounts),
            unlisted=page.unlisted,
            next=None if is_complete else write_cursor(page),
        )

    def _digest(self, chosen: Sequence[Application]) -> str:
        """Of all that must stay the same from page to page, so that counts belong together."""
        both = [(each, self.applications.get(each.name)) for each in chosen]
        parts = [
            (each.name, each.config_hash, each.service_principal_id, was.config_hash if was else "")
            for each, was in both
        ]
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _choose(applications: Applications, name: str | None) -> tuple[Application, ...]:
    """The application of that name, or all that are enabled. Raises PreviewRefused."""
    known = {application.name: application for application in applications.enabled}
    if name is not None and name not in known:
        raise PreviewRefused(f"no enabled application is called {name[:100]}; there are: {', '.join(known) or 'none'}")
    if name is None and len(known) > _MOST_APPLICATIONS:
        raise PreviewRefused(f"more than {_MOST_APPLICATIONS} applications; name one")
    return tuple(known.values()) if name is None else (known[name],)
