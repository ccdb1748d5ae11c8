"""What is wrong around an application, whoever's it is: a setting, the directory's permission, the vendor.

Pure: decided from what was noted already. Single accounts have a report of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from shared.config.applications import Application, missing_settings
from shared.provisioning.applications_state import (
    TOO_MANY_FAILURES,
    UNREADABLE,
    ApplicationState,
    ApplicationStatus,
)
from shared.provisioning.figures.cycles import COMPLETE, Cycle, Cycles
from shared.scim.error_catalogue import ErrorCode, remedy_for

UNREAD_AFTER = timedelta(minutes=15)
"""A directory that was not read to its end for so long is a problem; the alert waits as long."""

REFUSED = "GraphRefused"
CONTINUED = "to be continued"
"""Outcomes of a run of the sync."""


class ProblemCode(StrEnum):
    """What is wrong. A quarantine goes by its own reason instead."""

    SETTING_MISSING = "SettingMissing"
    """A setting that provisioning.yaml names is absent or empty."""
    SETTING_UNRESOLVED = "SettingUnresolved"
    """A setting is still the text of its Key Vault reference: the vault was not reached, or did not give the secret."""
    DIRECTORY_REFUSED = "DirectoryRefused"
    """Microsoft Graph does not accept the app's identity: nobody's changes arrive."""
    DIRECTORY_UNREAD = "DirectoryUnread"
    """The directory was not read to its end for fifteen minutes, whatever the cause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationProblem:
    """One thing that is wrong, and what a person does about it."""

    code: str
    """A `ProblemCode`, or the reason of the quarantine; stable."""
    text: str
    """What is wrong, with the name of the setting, permission or id it is about; never a secret or a person's value."""
    remedy: str
    """What to do next."""


def find_problems(
    application: Application,
    *,
    state: ApplicationState,
    cycles: Cycles,
    environment: Mapping[str, str],
    now: datetime,
) -> tuple[ApplicationProblem, ...]:
    """Everything that is wrong around an enabled application, causes first; none of a disabled one."""
    if not application.enabled:
        return ()
    settings = list(_settings(application, environment))
    return (*settings, *_directory(cycles, now), *_quarantine(state, settings))


def _settings(application: Application, environment: Mapping[str, str]) -> Iterator[ApplicationProblem]:
    for missing in missing_settings({application.name: application}, environment):
        if missing.is_unresolved:
            code = ProblemCode.SETTING_UNRESOLVED
            remedy = (
                "Check that the secret is in the vault, that the app's identity has the role Key Vault Secrets User, "
                "and that the app may reach the vault; then restart the app."
            )
        else:
            code = ProblemCode.SETTING_MISSING
            remedy = "Add the setting, in Azure as a Key Vault reference; then restart the app."
        yield ApplicationProblem(code=code, text=str(missing), remedy=remedy)


def _directory(cycles: Cycles, now: datetime) -> Iterator[ApplicationProblem]:
    last = cycles.last
    if last is None:
        return
    if last.outcome == REFUSED:
        remedy = "Grant it as infra/graph/permissions.bicep says, then restart the app: a token lives for up to a day."
        yield ApplicationProblem(code=ProblemCode.DIRECTORY_REFUSED, text=last.error, remedy=remedy)
    elif _is_unread(cycles, last, now):
        since = f"since {cycles.complete_at:%Y-%m-%d %H:%M} UTC" if cycles.complete_at else "yet"
        text = f"The directory was not read to its end {since}; the last run: {last.outcome}. {last.error}".strip()
        remedy = "Look at sync_directory in Application Insights: its failures, or that it does not run."
        yield ApplicationProblem(code=ProblemCode.DIRECTORY_UNREAD, text=text, remedy=remedy)


def _is_unread(cycles: Cycles, last: Cycle, now: datetime) -> bool:
    """A long round goes on from run to run; one run that failed is not worth a word where others did not."""
    if now - last.ended_at <= UNREAD_AFTER and last.outcome in {*COMPLETE, CONTINUED}:
        return False
    return cycles.complete_at is None or now - cycles.complete_at > UNREAD_AFTER


def _quarantine(state: ApplicationState, settings: Sequence[ApplicationProblem]) -> Iterator[ApplicationProblem]:
    if state.status is not ApplicationStatus.QUARANTINE:
        return
    if state.reason == ErrorCode.UNAUTHORIZED and any(_name_of(each) in state.detail for each in settings):
        # It is stopped for want of the setting, which has its own line.
        return
    yield ApplicationProblem(
        code=state.reason,
        text=f"{state.reason}: {state.detail}".strip(": "),
        remedy=_REMEDIES.get(state.reason) or remedy_for(state.reason) or "Mend what it names; a probe ends it.",
    )


def _name_of(problem: ApplicationProblem) -> str:
    """The setting that a problem of a setting is about."""
    return problem.text.partition(":")[0]


_REMEDIES = {
    UNREADABLE: "Check service_principal_id (the object id of the enterprise application, not its application id) and "
    "the permission Application.Read.All; it goes on by itself with the next run that can read it.",
    TOO_MANY_FAILURES: "`failures APP` shows whose attempts failed and why; a probe goes on when one gets through.",
}
