"""The one SCIM write of an attempt (protocol step 29): which request a plan becomes, and sending it once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shared.config.applications import Application
from shared.provisioning.attempt import Attempt
from shared.provisioning.planning import ProvisioningAction
from shared.scim.answers import Answer
from shared.scim.client import RequestPriority, ScimClient
from shared.scim.patching import build_replacement, build_resource, full_patch, member_operations, patch_operations

ClientOf = Callable[[Application], ScimClient]


def priority_of(attempt: Attempt) -> RequestPriority:
    """Who came through the overtaking queue also overtakes at the vendor's rate, and who is waited for the backlog."""
    if attempt.first:
        return RequestPriority.FIRST
    return RequestPriority.ASKED if attempt.asked else RequestPriority.NORMAL


class Exporter:
    """Sends what is planned."""

    def __init__(self, client_of: ClientOf) -> None:
        self._client_of = client_of

    async def prepare(self, attempt: Attempt) -> Answer:
        """Have credentials at hand before the lease is taken, so that a token request never eats into it."""
        return await self._client_of(attempt.application).ready()

    async def test_connection(self, application: Application) -> Answer:
        """Ask for an account that does not exist."""
        return await self._client_of(application).test_connection()

    async def read(self, attempt: Attempt) -> Answer:
        """Read the account that the attempt is about."""
        client = self._client_of(attempt.application)
        return await client.read(attempt.resource_type, attempt.account.target_id, priority=priority_of(attempt))

    async def send(self, attempt: Attempt) -> Answer:
        """Step 29: exactly one request, no transport retry, in the slot that the attempt holds.

        Raises what `Attempt.departs` raises: nothing was sent.
        """
        assert attempt.plan is not None
        assert attempt.departs is not None
        client = self._client_of(attempt.application)
        target_id = attempt.account.target_id
        etag = self._etag(attempt)
        match attempt.plan.action:
            case ProvisioningAction.CREATE:
                body = build_resource(
                    {**attempt.plan.change.set, **attempt.plan.on_create},
                    schema_urn=attempt.resource.schema_urn,
                )
                return await client.create(attempt.resource_type, body, priority=attempt.departs)
            case ProvisioningAction.DELETE:
                return await client.delete(attempt.resource_type, target_id, etag=etag, priority=attempt.departs)
            case _ if attempt.application.protocol.patch.verb == "put":
                return await client.replace(
                    attempt.resource_type,
                    target_id,
                    self._replacement(attempt),
                    etag=etag,
                    priority=attempt.departs,
                )
            case _:
                return await client.patch(
                    attempt.resource_type,
                    target_id,
                    self._operations(attempt),
                    etag=etag,
                    priority=attempt.departs,
                )

    def _operations(self, attempt: Attempt) -> list[dict[str, Any]]:
        assert attempt.plan is not None
        dialect = attempt.application.protocol.patch
        change, members = attempt.plan.change, attempt.plan.members
        if members is not None:
            doubtful = [target_id for user_id, target_id in members.removed.items() if user_id in members.doubtful]
            return [
                *member_operations(added=doubtful, removed=(), dialect=dialect),
                *member_operations(
                    added=list(members.added.values()), removed=list(members.removed.values()), dialect=dialect
                ),
            ]
        if attempt.plan.asserts:
            return full_patch(change.set, dialect=dialect, cleared=change.removed, observed=attempt.hit)
        return patch_operations(change, dialect=dialect, present=attempt.before.sent or {})

    def _replacement(self, attempt: Attempt) -> dict[str, Any]:
        assert attempt.plan is not None
        return build_replacement(
            attempt.plan.state or attempt.plan.change.set,
            schema_urn=attempt.resource.schema_urn,
            resource_id=attempt.account.target_id,
            observed=attempt.hit,
            cleared=attempt.plan.change.removed,
        )

    def _etag(self, attempt: Attempt) -> str | None:
        """If-Match, where the vendor gives versions. In doubt the version we know is as worthless as `sent`."""
        if not attempt.application.protocol.etag or attempt.before.intent is not None or attempt.distrusts:
            return None
        if attempt.hit is not None:
            meta = attempt.hit.get("meta")
            version = meta.get("version") if isinstance(meta, dict) else None
            return version if isinstance(version, str) else None
        return attempt.account.target_version or None
