"""Who is assigned to an application: complete lists, compared with what the mirror holds. Pure.

Graph has no dependable delta of app-role assignments (graph.md section 1), so the list is read and compared. A short or
late read must not take anybody's access: a principal that is missing is only *marked*, and counts as gone when a later
complete read, with another id and at least `confirm_after` later, lacks it too (protocol T9).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from shared.clock import read_instant
from shared.config.object_ids import OBJECT_ID
from shared.directory.mirror import Assignment, digest, encode_roles
from shared.rules.expressions import AppRole

Listed = Mapping[str, tuple[AppRole, ...]]
"""`user:<id>` or `group:<id>` -> the roles assigned, sorted by role id."""

GROUPS_BUCKET = "group:"


class AssignmentEvent(StrEnum):
    """What a complete list says about one principal, given what we knew."""

    ASSIGNED = "assigned"
    """New, back, or with other roles."""
    MISSING = "missing"
    """Listed before, not now: marked, nothing else."""
    SEEN_AGAIN = "seen_again"
    """The mark is taken back."""
    GONE = "gone"
    """Missing in two complete reads far enough apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignmentChange:
    """One principal whose mirror row has to be written."""

    key: str
    event: AssignmentEvent
    roles: tuple[AppRole, ...]
    stored: Assignment | None
    acts: bool
    """Whether accounts have to be raised; for a mark alone only when the run that wrote the row died before it did."""


def read_app_roles(service_principal: Mapping[str, Any]) -> dict[str, AppRole]:
    """The app roles a service principal defines, by id."""
    roles: dict[str, AppRole] = {}
    for found in service_principal.get("appRoles") or []:
        if isinstance(found, dict) and isinstance(found.get("id"), str):
            roles[found["id"]] = AppRole(id=found["id"], value=found.get("value"), displayName=found.get("displayName"))
    return roles


@dataclass(slots=True)
class AssignmentCollector:
    """Gathers the roles of each user and group page by page, so that a long list is never held as Graph wrote it.

    Other principals do not count. A role that is not defined any more keeps its id and has no value.
    """

    app_roles: Mapping[str, AppRole]
    _found: dict[str, tuple[AppRole, ...]] = field(default_factory=dict)
    _alone: dict[str, tuple[AppRole, ...]] = field(default_factory=dict)
    """Role id -> that role only: what most principals have, kept once."""

    def add(self, objects: Iterable[Any]) -> None:
        """Take one page."""
        for entry in objects:
            if not isinstance(entry, dict):
                continue
            principal_type, principal_id = entry.get("principalType"), entry.get("principalId")
            if (
                principal_type not in ("User", "Group")
                or not isinstance(principal_id, str)
                or not OBJECT_ID.fullmatch(principal_id)
            ):
                continue
            key = f"{principal_type.lower()}:{principal_id}"
            more = self._role(str(entry.get("appRoleId") or ""))
            known = self._found.get(key)
            if known is None:
                self._found[key] = more
            elif more[0] not in known:
                self._found[key] = tuple(sorted((*known, *more), key=lambda role: role.id))

    def listed(self) -> Listed:
        """Everything taken so far."""
        return self._found

    def _role(self, role_id: str) -> tuple[AppRole, ...]:
        if role_id not in self._alone:
            role = self.app_roles.get(role_id, AppRole(id=role_id, value=None, displayName=None))
            self._alone[role_id] = (role,)
        return self._alone[role_id]


def bucket_of(key: str) -> str:
    """The bucket of a principal: all groups in one, users by the first two characters of their id."""
    return GROUPS_BUCKET if key.startswith(GROUPS_BUCKET) else key[:7]


def bucket_range(bucket: str) -> tuple[str, str]:
    """The key range of a bucket, `first <= key < before`."""
    return bucket, bucket[:-1] + chr(ord(bucket[-1]) + 1)


def split_buckets(listed: Listed) -> dict[str, list[str]]:
    """The principals of each bucket, in order."""
    buckets: dict[str, list[str]] = {}
    for key in sorted(listed):
        buckets.setdefault(bucket_of(key), []).append(key)
    return buckets


def digest_buckets(listed: Listed) -> dict[str, str]:
    """A content hash per bucket, so that an unchanged part of a long list costs no storage read."""
    return {
        bucket: digest([[key, encode_roles(listed[key])] for key in keys])[:12]
        for bucket, keys in split_buckets(listed).items()
    }


def compare_assignments(
    listed: Listed,
    stored: Mapping[str, Assignment],
    *,
    saved: str,
    read_id: str,
    now: datetime,
    confirm_after: timedelta,
) -> list[AssignmentChange]:
    """What has to be written, given one complete read and the mirror rows of the same buckets.

    A row whose number was not checkpointed (`number > saved`) is written again even when it is equal: the run that
    wrote it may have died before it raised the accounts.
    """
    changes: list[AssignmentChange] = []
    for key, roles in listed.items():
        row = stored.get(key)
        if row is None or row.gone or row.number > saved or row.content != digest(encode_roles(roles)):
            changes.append(_change(key, AssignmentEvent.ASSIGNED, roles, row, acts=True))
        elif row.absent_read:
            changes.append(_change(key, AssignmentEvent.SEEN_AGAIN, roles, row, acts=False))
    for key, row in stored.items():
        if key in listed or (row.gone and row.number <= saved):
            continue
        missing_since = read_instant(row.absent_at)
        confirmed = missing_since is not None and row.absent_read != read_id and now - missing_since >= confirm_after
        if row.gone or confirmed:
            changes.append(_change(key, AssignmentEvent.GONE, row.roles, row, acts=True))
        elif missing_since is None or row.number > saved:
            changes.append(_change(key, AssignmentEvent.MISSING, row.roles, row, acts=row.number > saved))
    return changes


def _change(
    key: str, event: AssignmentEvent, roles: tuple[AppRole, ...], stored: Assignment | None, *, acts: bool
) -> AssignmentChange:
    return AssignmentChange(key=key, event=event, roles=roles, stored=stored, acts=acts)
