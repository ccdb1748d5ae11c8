"""One attempt at one account: what was read, what is planned, and how it ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from shared.config.applications import Application
from shared.config.profile import ResourceProfile
from shared.directory.mirror import Assignment, GroupFacts, UserFacts
from shared.provisioning.accounts import Account, Reference, ResourceKind
from shared.provisioning.generations import generation_of, is_distrusted, row_config
from shared.provisioning.member_changes import MemberBatch
from shared.provisioning.planning import Plan
from shared.provisioning.provisioning_log import LogEntry, LogStatus, Step, modified_properties
from shared.provisioning.standing import Standing
from shared.rules.mapping import MappedAccount
from shared.scim.addresses import ResourceType
from shared.scim.answers import Answer
from shared.scim.client import Departure
from shared.scim.error_catalogue import ERROR_CATALOGUE, ErrorCode


class OutcomeKind(StrEnum):
    """How a message ends. There are four exits, and three ways to leave without an attempt."""

    DONE = "done"
    """What was wanted is applied, or nothing was to do."""
    LATER = "later"
    """Tried again by itself, soon: the vendor's problem."""
    ESCROWED = "escrowed"
    """Tried again on the ladder: this account's problem."""
    QUARANTINED = "quarantined"
    """The whole application waits: its credentials or its endpoint."""
    STAGED = "staged"
    """Waits for the deletion guard."""
    ENDED = "ended"
    """The message had nothing to say: late, doubled, or about an unknown application."""
    PUT_BACK = "put_back"
    """Somebody else is at it, or the rate has no slot: the same message comes back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The value a message's run returns. Expected failures are outcomes, never exceptions."""

    kind: OutcomeKind
    reason: str
    action: str = ""
    hidden_s: float = 0.0
    """LATER and PUT_BACK: seconds until the message is visible again. DONE, with something left: until a look at it can
    come to more."""
    steps: tuple[Step, ...] = ()
    """What the last attempt of the run came to."""
    entries: tuple[LogEntry, ...] = ()
    """What the run wrote into the provisioning log, oldest first."""


@dataclass(slots=True, kw_only=True)
class Attempt:
    """The state of one attempt; steps fill it in."""

    application: Application
    account: Account
    before: Account
    """The row as read in step 18; `account` follows our writes."""
    now: datetime
    started: float
    """Monotonic."""
    first: bool
    """Came from the queue that overtakes."""
    asked: bool = False
    """A person waits for the answer: it goes before the backlog, and whoever asked goes on with what is left."""
    number: int = 1
    trace: str = ""
    generation: int = 0
    """How often the application was restarted, as far as this process knows."""
    asserted: int = 0
    """The generation of the last restart that put no trust in what was sent."""
    facts: UserFacts | GroupFacts = field(default_factory=lambda: UserFacts(user=None))
    groups: Mapping[str, Assignment] = field(default_factory=dict)
    standing: Standing | None = None
    plan: Plan | None = None
    hit: Mapping[str, Any] | None = None
    """The existing account that is adopted, as it was just read."""
    mapped: MappedAccount | None = None
    """The source as an active account, once it was mapped."""
    references: Mapping[str, Reference] = field(default_factory=dict)
    """Whom the account refers to, as far as their accounts exist."""
    batch: MemberBatch | None = None
    """Groups: the memberships this attempt looked at."""
    has_looked: bool = False
    """A look-up was spent on this account already: it goes before those for which nothing was."""
    reasserts_early: bool = False
    """A leaver's re-assert before grace is over: a late write may still land behind it (protocol H7)."""
    departs: Departure | None = None
    """Waits for the slot of the write, and checks the lease, when the first byte is next (step 28)."""
    lease_ends: float = 0.0
    """Monotonic, measured from before the write that took it."""
    steps: list[Step] = field(default_factory=list)
    entries: list[LogEntry] = field(default_factory=list)
    """Log records that were to be written with a save."""

    @property
    def seen(self) -> str:
        """The `wanted` this attempt decided for."""
        return self.before.wanted

    @property
    def config(self) -> str:
        """What the row says once it is applied."""
        return row_config(self.application.config_hash, self.generation)

    @property
    def unsettled_config(self) -> str:
        """What the row says while what is wanted was not applied: that a restart is still to be carried out, too."""
        return row_config(self.application.config_hash, min(self.generation, generation_of(self.before.config)))

    @property
    def distrusts(self) -> bool:
        """Whether a restart says that what was sent counts as unknown: it is asserted again."""
        return is_distrusted(self.before, self.asserted)

    @property
    def resource(self) -> ResourceProfile:
        """What the profile says about accounts of this kind."""
        return self.application.resource(self.account.kind)

    @property
    def resource_type(self) -> ResourceType:
        """The kind of account, as the vendor's addresses have it."""
        return ResourceType.USER if self.account.kind is ResourceKind.USER else ResourceType.GROUP

    def grace_left_s(self, grace_s: float) -> float:
        """Seconds in which a write of this account may still land behind our back."""
        if self.account.intent is None or self.account.intent_at is None:
            return 0.0
        return (self.account.intent_at + timedelta(seconds=grace_s) - self.now).total_seconds()

    def log(
        self,
        entry_id: str,
        *,
        status: LogStatus,
        reason: str,
        duration_ms: int,
        action: str = "",
        answer: Answer | None = None,
        code: str = "",
        error: str = "",
    ) -> LogEntry:
        """The log record of how this attempt ended."""
        plan = self.plan
        code = code or (answer.error_code if answer else "")
        wrote = plan is not None and plan.writes and status is not LogStatus.SKIPPED
        entry = LogEntry(
            at=self.now,
            id=entry_id,
            source_id=self.account.source_id,
            kind=self.account.kind,
            target_id=self.account.target_id or (answer.id or "" if answer else ""),
            action=action or (plan.action if plan else "other"),
            status=status,
            reason=reason,
            number=self.seen,
            config=self.application.config_hash,
            duration_ms=duration_ms,
            attempt=self.number,
            error_code=code,
            error=error or (answer.detail if answer else ""),
            remedy=remedy_of(code),
            steps=tuple(self.steps),
            modified=modified_properties(self.before, plan) if wrote and plan and not plan.members else (),
            trace=self.trace,
        )
        self.entries.append(entry)
        return entry

    def moved(self, account: Account) -> None:
        """Follow one of our own writes."""
        self.account = replace(account)


class OwnCode(StrEnum):
    """Error codes of conditions that Entra has no word for."""

    FOREIGN_ACCOUNT = "ForeignAccount"
    """The account with this name carries somebody else's externalId."""
    HELD_BY_DEPARTED = "HeldByDeparted"
    """The name belongs to the account of somebody who left."""
    SOURCE_UNKNOWN = "SourceUnknown"
    """The directory never showed this object."""
    GROUP_MISSING = "GroupMissing"
    """The vendor's groups are made by hand, and this one was not found."""
    MEMBERS_REFUSED = "MembersRefused"
    """The vendor took some members of a group, and not others."""
    POISONED = "Poisoned"
    """The function failed again and again: a bug."""


_OWN_REMEDIES = {
    OwnCode.FOREIGN_ACCOUNT: "Decide who the account belongs to: clear its externalId at the vendor to let it be "
    "adopted, or give one of the two another user name. Then retry the account.",
    OwnCode.HELD_BY_DEPARTED: "The account of the person named in the log still has this name, and is never handed on "
    "by itself: a recycled address would open somebody else's mailbox. Rename or delete it at the vendor, also when it "
    "is the same person with a new directory id. Then retry the account.",
    OwnCode.SOURCE_UNKNOWN: "Nothing to do at first: it is tried again when the directory shows the object. If it "
    "stays, check that the app's identity may read all users.",
    OwnCode.GROUP_MISSING: "Create the group at the vendor under exactly this name; it is found by itself at the next "
    "try. This vendor's groups can be filled, not created.",
    OwnCode.MEMBERS_REFUSED: "See the group's log for the members and the vendor's words; mend their accounts at the "
    "vendor. They are tried again by themselves.",
    OwnCode.POISONED: "Report the exception named in the row; retry the account when the defect is mended.",
}


def remedy_of(code: str) -> str:
    """What a person does about an error code, empty for none."""
    if code in _OWN_REMEDIES:
        return _OWN_REMEDIES[OwnCode(code)]
    return ERROR_CATALOGUE[ErrorCode(code)].action if code in ERROR_CATALOGUE else ""
