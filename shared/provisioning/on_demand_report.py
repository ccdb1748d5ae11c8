"""What a person reads who asked for one account: its six steps, what was sent, the answer, what comes next. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.provisioning.accounts import Account
from shared.provisioning.attempt import Outcome, OutcomeKind, OwnCode
from shared.provisioning.planning import ProvisioningAction
from shared.provisioning.provisioning_log import LogEntry, LogStatus, Step
from shared.provisioning.steps import all_six


class OnDemandOutcome(StrEnum):
    """How it ended."""

    PROVISIONED = "provisioned"
    """The vendor was told, and nothing is left."""
    UNCHANGED = "unchanged"
    """The vendor holds what the directory says: no request was sent."""
    SKIPPED = "skipped"
    """There is nothing to provision: not in scope, never had an account, or switched off in the configuration."""
    SOURCE_UNKNOWN = "source_unknown"
    """The sync has not seen the object yet."""
    UNFINISHED = "unfinished"
    """A part is done, and the time was up; the queue goes on with the rest."""
    BUSY = "busy"
    """Another worker is at this account."""
    LATER = "later"
    """Not now: the vendor, its rate limit or another account is in the way; it is tried again by itself."""
    HELD = "held"
    """Would take access away, and waits for the deletion guard or for a person."""
    FAILED = "failed"
    """The vendor or the data refuse it; the code says why, the remedy what to do."""
    QUARANTINED = "quarantined"
    """The whole application is stopped, because of its credentials or its endpoint, say."""
    PAUSED = "paused"
    """A person stopped the application: nothing was done."""
    OTHER_CONFIGURATION = "other_configuration"
    """Instances with another version of the configuration are in charge: nothing was done."""


class RefreshOutcome(StrEnum):
    """What became of the wish to read the directory first."""

    NOT_ASKED = ""
    READ = "read"
    """The newest changes are in the mirror, or there are none."""
    UNFINISHED = "unfinished"
    """There is more to read than fits the time; the sync goes on with the next run."""
    BUSY = "busy"
    """Another run is at work, or Microsoft Graph asked to wait: what follows rests on what was read before."""
    FAILED = "failed"
    """Microsoft Graph could not be read: what follows rests on what was read before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnDemandAttempt:
    """One attempt; an account may need several."""

    action: str
    """`create`, `update`, `disable`, `delete`, `stageddelete` or `other` (Graph `provisioningAction`)."""
    status: LogStatus
    reason: str
    steps: tuple[Step, ...]
    """Always six, in Graph's order; one that was not come to is skipped."""
    modified: tuple[Mapping[str, Any], ...]
    """`displayName`, `oldValue` and `newValue` of what was sent; redacted where the mapping says so."""
    error_code: str
    error: str
    """The vendor's words, cut, or ours."""
    remedy: str
    duration_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OnDemandReport:
    """One account, provisioned at once."""

    application: str
    kind: str
    """`user` or `group`."""
    source_id: str
    """The directory's id."""
    target_id: str
    """The vendor's id, empty while there is no account."""
    outcome: OnDemandOutcome
    action: str
    """The first thing that was written, else what was planned last; empty when it did not come to a plan."""
    reason: str
    steps: tuple[Step, ...]
    """The six steps of the last attempt; empty when there was none."""
    modified: tuple[Mapping[str, Any], ...]
    """What all attempts sent: `displayName`, `oldValue`, `newValue`; redacted where the mapping says so."""
    error_code: str
    error: str
    remedy: str
    """What a person does about the error; empty when there is none."""
    state: str
    """The account row's state afterwards; empty: there is no row."""
    pending: bool
    """Whether something is still wanted of the account."""
    next_attempt_at: datetime | None
    """When it is tried again by itself, if that is known."""
    next: str
    """What happens next, in a sentence."""
    left: int
    """Memberships of a group that are still to be compared or written; 0 for people."""
    attempts: tuple[OnDemandAttempt, ...]
    """All attempts, in order."""
    refreshed: RefreshOutcome
    quarantine_ended: bool
    """Whether the success ended a quarantine, as a probe's does."""
    duration_ms: int
    trace: str
    """Also in the provisioning log's lines."""


def tell_attempts(runs: Sequence[Outcome]) -> tuple[OnDemandAttempt, ...]:
    """Every attempt of every run; a run that wrote nothing down is told by its steps."""
    told: list[OnDemandAttempt] = []
    for run in runs:
        told += [_from_entry(entry) for entry in run.entries]
        if not run.entries and run.steps:
            told.append(_from_steps(run))
    return tuple(told)


def _from_entry(entry: LogEntry) -> OnDemandAttempt:
    return OnDemandAttempt(
        action=str(entry.action),
        status=entry.status,
        reason=entry.reason,
        steps=all_six(entry.steps),
        modified=tuple(entry.modified),
        error_code=entry.error_code,
        error=entry.error,
        remedy=entry.remedy,
        duration_ms=entry.duration_ms,
    )


def _from_steps(run: Outcome) -> OnDemandAttempt:
    return OnDemandAttempt(
        action=str(run.action) or "other",
        status=LogStatus.SKIPPED,
        reason=run.reason,
        steps=all_six(run.steps),
        modified=(),
        error_code="",
        error="",
        remedy="",
        duration_ms=0,
    )


def judge_outcome(runs: Sequence[Outcome], account: Account) -> OnDemandOutcome:
    """How it ended, from what the runs came to and the row afterwards."""
    if not runs:
        return OnDemandOutcome.BUSY
    last, wrote = runs[-1], any(_wrote(run) for run in runs)
    code = last.entries[-1].error_code if last.entries else ""
    match last.kind:
        case _ if account.is_held() or last.kind is OutcomeKind.STAGED:
            return OnDemandOutcome.HELD
        case OutcomeKind.QUARANTINED:
            return OnDemandOutcome.QUARANTINED
        case OutcomeKind.ESCROWED:
            return OnDemandOutcome.FAILED
        case OutcomeKind.LATER if code == OwnCode.SOURCE_UNKNOWN:
            return OnDemandOutcome.SOURCE_UNKNOWN
        case OutcomeKind.PUT_BACK if last.reason == "other_configuration":
            return OnDemandOutcome.OTHER_CONFIGURATION
        case OutcomeKind.PUT_BACK if last.reason == "leased":
            return OnDemandOutcome.BUSY
        case OutcomeKind.PUT_BACK | OutcomeKind.LATER:
            return OnDemandOutcome.UNFINISHED if wrote else OnDemandOutcome.LATER
        case OutcomeKind.ENDED if last.reason in ("Paused", "Quarantine"):
            return OnDemandOutcome.PAUSED if last.reason == "Paused" else OnDemandOutcome.QUARANTINED
        case OutcomeKind.ENDED if last.reason == "not_due":
            return OnDemandOutcome.LATER
    if account.pending:
        return OnDemandOutcome.UNFINISHED
    if wrote:
        return OnDemandOutcome.PROVISIONED
    skipped = last.kind is OutcomeKind.DONE and last.reason not in ("RedundantExport", "saved_by_another", "woken")
    return OnDemandOutcome.SKIPPED if skipped else OnDemandOutcome.UNCHANGED


def _wrote(run: Outcome) -> bool:
    """Whether the vendor took something."""
    return any(entry.status is LogStatus.SUCCESS for entry in run.entries)


def has_written(runs: Sequence[Outcome]) -> bool:
    """Whether the vendor took something in any run."""
    return any(_wrote(run) for run in runs)


def told_last(attempts: Sequence[OnDemandAttempt], outcome: OnDemandOutcome) -> OnDemandAttempt | None:
    """The attempt that says most: the last one that wrote where all went well, else the last one."""
    if outcome is OnDemandOutcome.PROVISIONED:
        return [each for each in attempts if each.status is LogStatus.SUCCESS][-1]
    return attempts[-1] if attempts else None


def action_of(attempts: Sequence[OnDemandAttempt]) -> str:
    """The first thing that was written, else what was planned last."""
    written = [each.action for each in attempts if each.status is LogStatus.SUCCESS]
    if written:
        return written[0]
    planned = attempts[-1].action if attempts else ""
    return ProvisioningAction.SKIP if planned == "other" else planned


_NEXT: Mapping[OnDemandOutcome, str] = {
    OnDemandOutcome.PROVISIONED: "Nothing is left to be done.",
    OnDemandOutcome.UNCHANGED: "Nothing differs from what was sent last; nothing is to be done.",
    OnDemandOutcome.SKIPPED: "Nothing is to be done until the directory or the configuration changes; the scoping step "
    "says why.",
    OnDemandOutcome.SOURCE_UNKNOWN: "The sync has not seen this object yet: check the id, ask for the directory to be "
    "read first (refresh), or wait a minute. Nothing was taken away.",
    OnDemandOutcome.UNFINISHED: "The queue goes on with the rest{at}{left}.",
    OnDemandOutcome.BUSY: "Another worker is at it; the account is queued again{at}.",
    OnDemandOutcome.LATER: "It is tried again by itself{at}.",
    OnDemandOutcome.HELD: "The deletion guard holds it: a person approves or rejects the list it is on.",
    OnDemandOutcome.FAILED: "It is tried again by itself{at}, and at once when the directory changes.",
    OnDemandOutcome.QUARANTINED: "The application waits for a good probe; the account goes on with it.",
    OnDemandOutcome.PAUSED: "Resume the application; until then nothing is sent.",
    OnDemandOutcome.OTHER_CONFIGURATION: "Instances with the configuration in force do it; if there are none, restart "
    "the service.",
}
_REJECTED = "A person rejected this departure: access is kept until the directory changes again for this account."

_UNDECIDED = (
    "The deletion guard decides at the end of the round in which the directory is read, or within minutes; until then "
    "access is kept."
)


def tell_next(
    outcome: OnDemandOutcome, account: Account, *, until: datetime | None, left: int, undecided: bool = False
) -> str:
    """What happens next, in a sentence. `undecided`: it is held, and no person is asked."""
    if outcome is OnDemandOutcome.HELD and account.rejected and account.rejected == account.wanted:
        return _REJECTED
    if undecided:
        return _UNDECIDED
    at = f" at {until:%Y-%m-%d %H:%M:%S} UTC" if until else ""
    return _NEXT[outcome].format(at=at, left=f"; {left} memberships are left" if left else "")
