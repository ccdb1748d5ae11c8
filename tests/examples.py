"""Small, complete examples of what the product works with, for tests of pure code."""

from __future__ import annotations

import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shared.config.applications import Application, load_applications
from shared.directory.mirror import Assignment, MirrorUser, Presence, UserFacts
from shared.provisioning.accounts import Account, ResourceKind
from shared.rules.expressions import AppRole

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
USER_ROLE = AppRole(id="11111111-0000-0000-0000-000000000001", value="User", displayName="User")
DEFAULT_ACCESS = AppRole(id="00000000-0000-0000-0000-000000000000", value=None, displayName=None)
WANTED = "0000000007.00000002.000"


def example_application(folder: Path, more: str = "", *, profile: str = "scim") -> Application:
    """An application called acme, with `more` keys of its section."""
    text = textwrap.dedent(
        f"""
        version: 1
        applications:
          acme:
            profile: {profile}
            service_principal_id: 33333333-3333-3333-3333-333333333333
            base_url: http://127.0.0.1:9/scim/v2
            auth: {{type: bearer, token: ACME_TOKEN}}
        """
    )
    path = folder / "provisioning.yaml"
    path.write_text(text + textwrap.indent(textwrap.dedent(more), "    "), encoding="utf-8")
    return load_applications(path, {})["acme"]


def example_user(**attributes: Any) -> dict[str, Any]:
    """A user as Graph gives it."""
    return {
        "id": "u1",
        "accountEnabled": True,
        "userPrincipalName": "ada@contoso.example",
        "displayName": "Ada Lovelace",
        "givenName": "Ada",
        "surname": "Lovelace",
        "mail": "ada@contoso.example",
        "department": "Engineering",
        **attributes,
    }


def example_facts(presence: Presence = Presence.ACTIVE, *, assigned: bool = True, **attributes: Any) -> UserFacts:
    """Facts about a user who is assigned to acme with the role User."""
    user = MirrorUser(
        id="u1",
        presence=presence,
        attributes={name: value for name, value in example_user(**attributes).items() if value is not None},
        content="c",
        number="0000000001.00000001.000",
        round="",
        etag="e",
    )
    return UserFacts(user=user, assignments={"acme": Assignment(roles=(USER_ROLE,), gone=not assigned)})


def example_account(**columns: Any) -> Account:
    """A row that waits for its first attempt."""
    defaults: dict[str, Any] = {
        "application": "acme",
        "kind": ResourceKind.USER,
        "source_id": "u1",
        "etag": "e",
        "wanted": WANTED,
        "pending": True,
    }
    return Account(**{**defaults, **columns})
