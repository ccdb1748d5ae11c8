"""The six steps of an attempt, as the provisioning log tells them (Graph `provisioningSteps`). Pure.

    import   scoping   matching   processing   referenceResolution   export

They hold ids, counts and reasons, never values of attributes: those are the log record's modified properties, which
are redacted where the mapping says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.directory.mirror import GroupFacts, Presence, UserFacts
from shared.provisioning.accounts import Account, Reference
from shared.provisioning.matching import Found, Verdict
from shared.provisioning.member_changes import MemberBatch
from shared.provisioning.planning import Plan
from shared.provisioning.provisioning_log import LogStatus, Step, StepType
from shared.provisioning.standing import Standing
from shared.rules.failures import InvalidData
from shared.scim.answers import Answer, AnswerKind

_IDS_SHOWN = 100

_MATCHED: Mapping[Verdict, LogStatus] = {
    Verdict.NONE: LogStatus.SUCCESS,
    Verdict.ADOPTABLE: LogStatus.SUCCESS,
    Verdict.OURS: LogStatus.WARNING,
    Verdict.FOREIGN: LogStatus.FAILURE,
    Verdict.SEVERAL: LogStatus.FAILURE,
    Verdict.FAILED: LogStatus.FAILURE,
}

_UNDECIDED = frozenset(
    {AnswerKind.AMBIGUOUS, AnswerKind.THROTTLED, AnswerKind.UNREACHABLE, AnswerKind.VERSION_MISMATCH}
)
"""Tried again by itself."""


def import_step(facts: UserFacts | GroupFacts) -> Step:
    """What the directory mirror holds."""
    status = LogStatus.WARNING if facts.presence is Presence.UNKNOWN else LogStatus.SUCCESS
    return Step(type=StepType.IMPORT, status=status, description=facts.presence)


def unjudged_step(error: InvalidData) -> Step:
    """A scoping filter could not be judged."""
    return Step(type=StepType.SCOPING, status=LogStatus.FAILURE, description=str(error))


def matching_step(found: Found) -> Step:
    """What a look-up at the vendor found."""
    return Step(
        type=StepType.MATCHING, status=_MATCHED[found.verdict], description=found.verdict, details=found.details
    )


def scoping_step(standing: Standing) -> Step:
    """What scoping said, clause by clause."""
    return Step(
        type=StepType.SCOPING,
        status=LogStatus.SUCCESS if standing.is_active else LogStatus.SKIPPED,
        description=standing.reason,
        details={
            "IsEffectivelyEntitledForProvisioning": standing.is_active,
            "ScopeEvaluationResult": dict(standing.explanation),
            "Roles": [role.value or role.id for role in standing.roles],
        },
    )


def linked_step(account: Account) -> Step:
    """The account is known: nobody has to look for it."""
    details = {"account": account.target_id}
    return Step(type=StepType.MATCHING, status=LogStatus.SUCCESS, description="linked", details=details)


def processing_step(plan: Plan) -> Step:
    """What was decided, and which mappings had to be left out."""
    warnings = plan.mapped.warnings if plan.mapped else ()
    return Step(
        type=StepType.PROCESSING,
        status=LogStatus.WARNING if warnings else LogStatus.SUCCESS,
        description=f"{plan.action}: {plan.reason}",
        details={"warnings": [f"{warning.target}: {warning.reason}" for warning in warnings]} if warnings else {},
    )


def unmapped_step(error: InvalidData) -> Step:
    """The source's values do not fit the target."""
    return Step(type=StepType.PROCESSING, status=LogStatus.FAILURE, description=str(error))


def reference_step(references: Mapping[str, Reference]) -> Step:
    """Whose accounts this one refers to; one that does not exist yet is awaited."""
    awaited = [path for path, reference in references.items() if not reference.target_id]
    return Step(
        type=StepType.REFERENCE_RESOLUTION,
        status=LogStatus.WARNING if awaited else LogStatus.SUCCESS,
        description=f"{len(references) - len(awaited)} resolved, {len(awaited)} awaited",
        details={path: reference.target_id or "awaited" for path, reference in references.items()},
    )


def members_step(batch: MemberBatch) -> Step:
    """Which memberships the next request is about, and what is known of the others."""
    change = batch.change
    details: dict[str, Any] = {"compared": "all that was to be looked at" if batch.is_last else "more is left"}
    if batch.refused:
        details |= {"refused": batch.refused, "code": batch.refused_code}
    return Step(
        type=StepType.REFERENCE_RESOLUTION,
        status=LogStatus.WARNING if batch.refused or batch.wait_s else LogStatus.SUCCESS,
        description=f"members: {len(change.added)} to add, {len(change.removed)} to remove",
        details=details,
    )


def export_step(plan: Plan, answer: Answer) -> Step:
    """What was sent, and how the vendor took it."""
    status = LogStatus.SUCCESS if answer.ok else LogStatus.WARNING if answer.kind in _UNDECIDED else LogStatus.FAILURE
    details: dict[str, Any] = {"status": answer.status}
    if not answer.ok:
        details |= {"answer": answer.kind, "code": answer.error_code}
    if answer.scim_type:
        details["scimType"] = answer.scim_type
    description = str(plan.action)
    if plan.members is not None:
        added, removed = plan.members.added, plan.members.removed
        description = f"members: {len(added)} added, {len(removed)} removed"
        details |= {"added": list(added)[:_IDS_SHOWN], "removed": list(removed)[:_IDS_SHOWN]}
    return Step(type=StepType.EXPORT, status=status, description=description, details=details)


def unsent_step(reason: str) -> Step:
    """Nothing was sent, on purpose."""
    return Step(type=StepType.EXPORT, status=LogStatus.SKIPPED, description=reason)


def all_six(steps: Sequence[Step]) -> tuple[Step, ...]:
    """One step of every type, the latest of each, in Graph's order; one that was not come to is skipped."""
    latest = {step.type: step for step in steps}
    return tuple(
        latest.get(each, Step(type=each, status=LogStatus.SKIPPED, description="not needed")) for each in StepType
    )
