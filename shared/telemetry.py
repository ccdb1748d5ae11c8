"""What the product says about itself: one constant event name per kind of happening, ids only, never values.

Classic Functions logging carries the text of a record and nothing else, so the fields are part of the text, in a form
that KQL splits (`parse_json`). Names are past tense with dots; the alert rules and the workbook use the same names.
"""

from __future__ import annotations

import json
import logging
from enum import StrEnum
from typing import Any

from shared import tracing

logger = logging.getLogger("provisioner")


class Event(StrEnum):
    """Every event the product emits."""

    DIRECTORY_PULLED = "directory.pulled"
    DIRECTORY_WAITING = "directory.waiting"
    DIRECTORY_RESET = "directory.reset"
    DIRECTORY_REFUSED = "directory.refused"
    DIRECTORY_THROTTLED = "directory.throttled"
    DIRECTORY_UNAVAILABLE = "directory.unavailable"
    DIRECTORY_STALE = "directory.stale"
    DIRECTORY_OBJECT_UNUSABLE = "directory.object_unusable"
    ASSIGNMENTS_UNREADABLE = "directory.assignments_unreadable"
    DIRECTORY_NOTIFIED = "directory.notified"
    SUBSCRIPTION_KEPT = "subscription.kept"
    SUBSCRIPTION_FAILED = "subscription.failed"
    PULLER_LEASE_LOST = "directory.lease_lost"
    ACCOUNT_PROVISIONED = "account.provisioned"
    ACCOUNT_SKIPPED = "account.skipped"
    ACCOUNT_RETRIED = "account.retried"
    ACCOUNT_ESCROWED = "account.escrowed"
    ACCOUNT_STAGED = "account.staged"
    ACCOUNT_WAITING = "account.waiting"
    MEMBERS_CHANGED = "members.changed"
    ACCOUNT_POISONED = "account.poisoned"
    MESSAGE_POISONED = "message.poisoned"
    MESSAGE_REFUSED = "message.refused"
    DELETIONS_HELD = "deletions.held"
    DELETIONS_RELEASED = "deletions.released"
    DELETIONS_REJECTED = "deletions.rejected"
    APPLICATION_QUARANTINED = "application.quarantined"
    APPLICATION_PAUSED = "application.paused"
    APPLICATION_RESUMED = "application.resumed"
    APPLICATION_RESTARTED = "application.restarted"
    APPLICATION_CONFIGURED = "application.configured"
    ACCOUNT_DRIFTED = "account.drifted"
    DRIFT_VERIFIED = "drift.verified"
    BACKLOG_QUEUED = "backlog.queued"
    OPERATOR_ACTED = "operator.acted"
    CREDENTIAL_EXPIRING = "credential.expiring"
    CREDENTIAL_EXPIRED = "credential.expired"
    CREDENTIAL_REFUSED = "credential.refused"
    DIGEST_STUCK = "digest.stuck"
    NOTICE_DELIVERED = "notice.delivered"
    NOTICE_FAILED = "notice.failed"
    NOTICE_OVERDUE = "notice.overdue"
    SETTING_MISSING = "setting.missing"
    CLOCK_SKEWED = "clock.skewed"


_ERRORS = frozenset(
    {
        Event.DIRECTORY_REFUSED,
        Event.DIRECTORY_STALE,
        Event.ACCOUNT_POISONED,
        Event.MESSAGE_POISONED,
        Event.DELETIONS_HELD,
        Event.APPLICATION_QUARANTINED,
        Event.ASSIGNMENTS_UNREADABLE,
        Event.CREDENTIAL_EXPIRED,
        Event.NOTICE_OVERDUE,
        Event.SETTING_MISSING,
        Event.CLOCK_SKEWED,
    }
)
"""A person must look."""

_WARNINGS = frozenset(
    {
        Event.DIRECTORY_THROTTLED,
        Event.DIRECTORY_UNAVAILABLE,
        Event.DIRECTORY_RESET,
        Event.DIRECTORY_OBJECT_UNUSABLE,
        Event.ACCOUNT_RETRIED,
        Event.ACCOUNT_ESCROWED,
        Event.ACCOUNT_WAITING,
        Event.ACCOUNT_DRIFTED,
        Event.MESSAGE_REFUSED,
        Event.PULLER_LEASE_LOST,
        Event.CREDENTIAL_EXPIRING,
        Event.CREDENTIAL_REFUSED,
        Event.DIGEST_STUCK,
        Event.NOTICE_FAILED,
        Event.SUBSCRIPTION_FAILED,
    }
)
"""Will be tried again by itself, or can wait until tomorrow."""

_CHATTY = (
    "azure.core",
    "azure.identity",
    "azure.data",
    "azure.storage",
    "azure.monitor",
    "opentelemetry",
    "httpx",
    "httpcore",
    "msal",
)
"""Libraries that log every request they make, with its URL: the URL of a look-up holds a person's user name."""


def quiet_libraries() -> None:
    """Let libraries log warnings only, whatever level the host gives the root logger. Idempotent."""
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def emit(event: Event, **fields: Any) -> None:
    """Write one structured event. `fields` hold ids, counts, codes and times, never attribute values or secrets.

    Within a span the event carries its `trace`: the operation_Id of the spans. Its own is that of the function's run.
    """
    if trace := tracing.current_trace_id():
        fields["trace"] = trace
    logger.log(_level(event), "%s %s", event.value, json.dumps(fields, default=str, separators=(",", ":")))


def _level(event: Event) -> int:
    if event in _ERRORS:
        return logging.ERROR
    if event in _WARNINGS:
        return logging.WARNING
    return logging.INFO
