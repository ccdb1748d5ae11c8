"""What is wrong around an application, whoever's it is: a setting, the directory's permission, the vendor.

Pure: decided from what was noted already. Single accounts have a report of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from shared.config.applications import Application, missing_settings
from shared.config.settings import CLIENT_STATE, NotificationSettings
from shared.provisioning.applications_state import (
    TOO_MANY_FAILURES,
    UNREADABLE,
    ApplicationState,
    ApplicationStatus,
)
from shared.provisioning.figures.cycles import COMPLETE, Cycle, Cycles
from shared.scim.error_catalogue import ErrorCode, remedy_for
from shared.scim.refused_secrets import RefusedSecret

_TAKE_UP = "then take it up as the README says (Take up a changed secret)"

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
    SETTING_UNUSABLE = "SettingUnusable"
    """A setting has a value that cannot be used: an address that is none, say."""
    CREDENTIAL_REFUSED = "CredentialRefused"
    """One of two secrets is refused by the vendor, and the other one is used: as the instance saw that answers."""
    DIRECTORY_REFUSED = "DirectoryRefused"
    """Microsoft Graph does not accept the app's identity: nobody's changes arrive."""
    DIRECTORY_UNREAD = "DirectoryUnread"
    """The directory was not read to its end for fifteen minutes, whatever the cause."""
    STATUS_UNKNOWN = "StatusUnknown"
    """The application's status was written by another version of the app; nothing is sent."""


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
    notifications: NotificationSettings,
    refused: RefusedSecret | None,
    now: datetime,
) -> tuple[ApplicationProblem, ...]:
    """Everything that is wrong around an enabled application, causes first; none of a disabled one."""
    if not application.enabled:
        return ()
    settings = list(_settings(application, environment))
    return (
        *settings,
        *_refused(refused),
        *_directory(cycles, now),
        *_notifications(notifications),
        *_status(state),
        *_quarantine(state, settings),
    )


def _settings(application: Application, environment: Mapping[str, str]) -> Iterator[ApplicationProblem]:
    for missing in missing_settings({application.name: application}, environment):
        if missing.is_unresolved:
            code = ProblemCode.SETTING_UNRESOLVED
        elif missing.expected:
            code = ProblemCode.SETTING_UNUSABLE
        else:
            code = ProblemCode.SETTING_MISSING
        yield ApplicationProblem(code=code, text=str(missing), remedy=_SETTING_REMEDIES[code])


def _refused(refused: RefusedSecret | None) -> Iterator[ApplicationProblem]:
    if refused is not None:
        yield ApplicationProblem(
            code=ProblemCode.CREDENTIAL_REFUSED,
            text=f"{refused.setting}: the vendor refuses this secret; {refused.instead} is tried in its place.",
            remedy=f"Put a good secret into {refused.setting}; {_TAKE_UP}. test-connection shows how each is answered.",
        )


def _notifications(notifications: NotificationSettings) -> Iterator[ApplicationProblem]:
    if notifications.problem:
        code = ProblemCode.SETTING_UNRESOLVED if notifications.is_unresolved else ProblemCode.SETTING_UNUSABLE
        text = f"{CLIENT_STATE}: {notifications.problem}. Changes wait for the timer meanwhile, up to a minute."
        yield ApplicationProblem(code=code, text=text, remedy=_SETTING_REMEDIES[code])


def _directory(cycles: Cycles, now: datetime) -> Iterator[ApplicationProblem]:
    last = cycles.last
    if last is None:
        return
    if last.outcome == REFUSED:
        remedy = f"Grant it as infra/graph/permissions.bicep says. {_ONCE_GRANTED}"
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


def _status(state: ApplicationState) -> Iterator[ApplicationProblem]:
    if state.unknown_status:
        yield ApplicationProblem(
            code=ProblemCode.STATUS_UNKNOWN,
            text=f"The status {state.unknown_status[:60]} was written by another version of this app; this one takes "
            "it for a pause and sends nothing.",
            remedy="Publish the newer version again, or `resume APP`; `pause APP` makes it a pause for every version.",
        )


def _quarantine(state: ApplicationState, settings: Sequence[ApplicationProblem]) -> Iterator[ApplicationProblem]:
    if state.status is not ApplicationStatus.QUARANTINE:
        return
    if state.reason in {ErrorCode.UNAUTHORIZED, UNREADABLE} and any(
        _name_of(each) in state.detail for each in settings
    ):
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


_ONCE_GRANTED = (
    "It goes on by itself; a new permission counts with the identity's next token, after up to a day, which a restart "
    "does not shorten."
)

_SETTING_REMEDIES = {
    ProblemCode.SETTING_MISSING: f"Add the setting, in Azure as a Key Vault reference; {_TAKE_UP}.",
    ProblemCode.SETTING_UNRESOLVED: "Check that the secret is in the vault, that the app's identity has the role Key "
    f"Vault Secrets User, and that the app may reach the vault; {_TAKE_UP}.",
    ProblemCode.SETTING_UNUSABLE: f"Correct the setting; {_TAKE_UP}.",
}

_REMEDIES = {
    UNREADABLE: "Check service_principal_id (the object id of the enterprise application, not its application id) and "
    f"the permission Application.Read.All. {_ONCE_GRANTED}",
    TOO_MANY_FAILURES: "`failures APP` shows whose attempts failed and why; a probe goes on when one gets through.",
}
