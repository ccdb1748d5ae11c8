"""Finding an account that exists at the vendor before any link does (protocol steps 21 and 25).

A hit counts only when it really carries the value asked for, when it is the only one, when its externalId is empty or
ours, and when none of our rows owns it or is about to create it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.config.profile import MatchingAttribute
from shared.provisioning.account_rows import AccountRows
from shared.provisioning.attempt import Attempt
from shared.provisioning.exporting import ClientOf, priority_of
from shared.provisioning.listing import Listing
from shared.rules.attribute_paths import JSON
from shared.scim.answers import Answer, AnswerKind
from shared.scim.client import Lookup
from shared.scim.patching import read_attribute


class Verdict(StrEnum):
    """What a look-up means for us."""

    NONE = "none"
    """Nobody carries the value."""
    ADOPTABLE = "adoptable"
    """One account, and it is free or ours."""
    OURS = "ours"
    """One account, and another row of ours owns it or reserves the name."""
    FOREIGN = "foreign"
    """One account with somebody else's externalId."""
    SEVERAL = "several"
    """More than one: never guess."""
    FAILED = "failed"
    """The vendor did not answer the question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A look-up judged."""

    verdict: Verdict
    target_id: str = ""
    resource: Mapping[str, Any] | None = None
    holder: str = ""
    """OURS: the key of the row that owns or reserves."""
    answer: Answer | None = None
    """FAILED: what the vendor said."""
    target_ids: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


class Matcher:
    """Looks accounts up by matching attribute."""

    def __init__(self, *, client_of: ClientOf, rows: AccountRows, listing: Listing) -> None:
        self._client_of = client_of
        self._rows = rows
        self._listing = listing

    async def find_existing(self, attempt: Attempt) -> Found:
        """Step 25: try the matching attributes in order; the first hit ends the search."""
        assert attempt.plan is not None
        assert attempt.plan.mapped is not None
        values = dict(attempt.plan.mapped.matching)
        for matching in attempt.resource.matching:
            value = values.get(matching.target)
            if matching.by == "none" or value is None:
                continue
            lookup = await self.look_up(attempt, matching, value)
            if not lookup.answer.ok:
                return Found(verdict=Verdict.FAILED, answer=lookup.answer, details={"attribute": matching.target})
            if lookup.hits:
                return await self.judge(attempt, lookup, value=str(value))
        return Found(verdict=Verdict.NONE)

    async def find_lost_create(self, attempt: Attempt, *, landed_by: datetime) -> Found:
        """Step 21: look under the name and, where it can be asked, the externalId that a lost create was sent with.

        A create that landed has done so by `landed_by`: a listing begun earlier may not hold it.
        """
        account = attempt.account
        assert account.intent is not None
        value, external_id = account.intent.matching, account.intent.external_id
        for matching in attempt.resource.matching:
            if matching.by == "none":
                continue
            lookup = await self.look_up(attempt, matching, value, newer_than=landed_by)
            if not lookup.answer.ok:
                return Found(verdict=Verdict.FAILED, answer=lookup.answer)
            if lookup.hits:
                return await self.judge(attempt, lookup, value=value, external_id=external_id)
            break
        external = attempt.resource.attribute("externalId")
        if external is not None and external.filterable and external_id:
            lookup = await self.look_up(attempt, MatchingAttribute(target="externalId"), external_id)
            if lookup.answer.ok and lookup.hits:
                return await self.judge(attempt, lookup, value=value, external_id=external_id)
        return Found(verdict=Verdict.NONE)

    async def look_up(
        self, attempt: Attempt, matching: MatchingAttribute, value: JSON, *, newer_than: datetime | None = None
    ) -> Lookup:
        """Ask by filter, or by the listing where the vendor cannot filter on the attribute.

        `newer_than`: an older listing cannot know the answer.
        """
        application = attempt.application
        text = str(value)
        if matching.by == "list":
            return await self._find_listed(attempt, matching, text, newer_than)
        client = self._client_of(application)
        lookup = await client.find(attempt.resource_type, matching.target, text, priority=priority_of(attempt))
        refused = lookup.answer.kind is AnswerKind.REJECTED or lookup.filter_ignored
        if refused and not lookup.hits and matching.fallback == "list":
            return await self._find_listed(attempt, matching, text, newer_than)
        return lookup

    async def _find_listed(
        self, attempt: Attempt, matching: MatchingAttribute, text: str, newer_than: datetime | None
    ) -> Lookup:
        return await self._listing.find(
            attempt.application,
            matching.target,
            text,
            resource_type=attempt.resource_type,
            priority=priority_of(attempt),
            newer_than=newer_than,
        )

    async def judge(self, attempt: Attempt, lookup: Lookup, *, value: str, external_id: str = "") -> Found:
        """Whose account is it? The owner's row is asked before the reservation: a save moves from one to the other."""
        ids = tuple(str(hit["id"]) for hit in lookup.hits)
        if len(ids) > 1:
            return Found(verdict=Verdict.SEVERAL, target_ids=ids, details={"accounts": list(ids)})
        hit, target_id = lookup.hits[0], ids[0]
        account = attempt.account
        owner = await self._rows.find_owner(account.application, account.kind, target_id)
        if owner and owner != account.key:
            return Found(verdict=Verdict.OURS, target_id=target_id, holder=owner)
        reserved = await self._rows.find_reservation(account.application, account.kind, value)
        if reserved and reserved != account.key:
            return Found(verdict=Verdict.OURS, target_id=target_id, holder=reserved)
        if not self._is_ours(attempt, hit, external_id):
            return Found(verdict=Verdict.FOREIGN, target_id=target_id, details={"account": target_id})
        return Found(verdict=Verdict.ADOPTABLE, target_id=target_id, resource=hit, details={"account": target_id})

    def _is_ours(self, attempt: Attempt, hit: Mapping[str, Any], external_id: str) -> bool:
        """Whether the externalId is empty, the one we map, or the directory id (interop quirk 2)."""
        external = read_attribute(hit, "externalId")
        if external in (None, ""):
            return True
        own = {attempt.account.source_id, external_id}
        mapped = attempt.plan.mapped if attempt.plan else None
        if mapped is not None and "externalId" in mapped.attributes:
            own.add(str(mapped.attributes["externalId"]))
        return str(external) in own
