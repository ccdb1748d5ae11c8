"""The client with the shipped profiles: every simulated vendor accepts what it sends and records no violation."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shared.config.profile_files import find_profile
from shared.scim.auth import SecretCredentials
from shared.scim.client import ResourceType, ScimClient
from shared.scim.oauth import ClientCredentials
from shared.scim.patching import build_resource, diff, full_patch, member_operations, patch_operations
from shared.scim.resources import equal_values, read_attribute
from shared.scim.transport import new_http_client
from tests.simulation.vendors import (
    AcmeSimulator,
    ClarizenSimulator,
    FilterMode,
    FortesSimulator,
    FuzeOptions,
    FuzeSimulator,
    IdShape,
    PatchAnswer,
    PureCloudOptions,
    PureCloudSimulator,
    VendorOptions,
    VendorSimulator,
)

USER = ResourceType.USER
GROUP = ResourceType.GROUP
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
WORK = 'emails[type eq "work"].value'

ANNA: dict[str, Any] = {
    "userName": "anna@contoso.test",
    "active": True,
    "displayName": "Anna Krüger 😀",
    "title": "Engineer",
    "name.givenName": "Anna",
    "name.familyName": 'Krüger "the #1" & co',
    WORK: "anna@contoso.test",
    'phoneNumbers[type eq "mobile"].value': "+491701234567",
    'addresses[type eq "work"].country': "DE",
    'addresses[type eq "work"].locality': "Berlin",
    'roles[primary eq "True"].value': "User",
    "externalId": "7b3a",
    f"{ENTERPRISE}:department": "R&D",
    f"{ENTERPRISE}:employeeNumber": "42",
}
CHANGED: dict[str, Any] = {
    **ANNA,
    "displayName": "Anna Meyer",
    "name.familyName": "Meyer",
    WORK: "anna.meyer@contoso.test",
    'phoneNumbers[type eq "work"].value': "+4930123456",
    'addresses[type eq "work"].country': "IE",
    f"{ENTERPRISE}:department": "Sales",
}
DROPPED = ("title", 'phoneNumbers[type eq "mobile"].value')

VENDORS: dict[str, tuple[type[VendorSimulator], str, Any]] = {
    "a plain server": (AcmeSimulator, "scim", VendorOptions(etag=False)),
    "a strict server": (
        AcmeSimulator,
        "scim",
        VendorOptions(upsert_filtered=False, nulls_accepted=False, strict_schemas=True, no_op_patch_status=400),
    ),
    "a server with odd ids": (AcmeSimulator, "scim", VendorOptions(id_shape=IdShape.slash)),
    "a server with integer ids": (AcmeSimulator, "scim", VendorOptions(id_shape=IdShape.integer)),
    "a server that answers what was": (AcmeSimulator, "scim", VendorOptions(patch_answer=PatchAnswer.stale)),
    "Fuze": (FuzeSimulator, "fuze", None),
    "Fortes": (FortesSimulator, "fortes-change-cloud", None),
    "PureCloud": (PureCloudSimulator, "purecloud", PureCloudOptions(upsert_filtered=False)),
    "Clarizen": (ClarizenSimulator, "clarizen-one", None),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    client: ScimClient
    vendor: VendorSimulator
    profile: Any

    def mapped(self, attributes: dict[str, Any]) -> dict[str, Any]:
        """What this vendor has of a state."""
        return {path: value for path, value in attributes.items() if self.profile.users.attribute(path) is not None}

    @property
    def match(self) -> str:
        return next(entry.target for entry in self.profile.users.matching if entry.by == "filter")


async def connected_to(kind: type[VendorSimulator], profile_name: str, options: Any) -> AsyncIterator[Connected]:
    profile = find_profile(profile_name, folder=Path())
    vendor = kind(options=options)
    application = SimpleNamespace(name="app", base_url=vendor.start(), profile=profile)
    settings = {"TOKEN": vendor.token, "ID": "", "SECRET": ""}
    async with new_http_client() as http:
        credentials: Any = SecretCredentials(
            ["TOKEN"], secret=settings.__getitem__, header="Authorization", prefix="Bearer "
        )
        if isinstance(vendor, PureCloudSimulator):
            settings |= {"ID": vendor.client_id, "SECRET": vendor.client_secret}
            credentials = ClientCredentials(
                application="app",
                client_id="ID",
                client_secrets=["SECRET"],
                token_url=vendor.login.url + "/oauth/token",
                secret=settings.__getitem__,
                http=http,
            )
        client = ScimClient(application, credentials=credentials, http=http)
        yield Connected(client=client, vendor=vendor, profile=profile)
    vendor.stop()


@pytest.fixture(params=list(VENDORS))
async def connected(request: pytest.FixtureRequest) -> AsyncIterator[Connected]:
    async for each in connected_to(*VENDORS[request.param]):
        yield each


async def created(connected: Connected) -> str:
    body = build_resource(connected.mapped(ANNA), schema_urn=connected.profile.users.schema_urn)
    answer = await connected.client.create(USER, body)
    assert answer.ok, answer
    assert answer.id is not None
    return answer.id


async def shows(connected: Connected, resource_id: str, wanted: dict[str, Any]) -> bool:
    answer = await connected.client.read(USER, resource_id)
    assert answer.resource is not None, answer
    return all(
        equal_values(read_attribute(answer.resource, path), value, case_exact=True) for path, value in wanted.items()
    )


async def test_the_connection_is_good(connected: Connected) -> None:
    answer = await connected.client.test_connection()

    assert answer.ok
    assert connected.vendor.violations == []


async def test_a_new_account_is_there_as_mapped_and_is_found(connected: Connected) -> None:
    value = connected.mapped(ANNA)[connected.match]

    before = await connected.client.find(USER, connected.match, value)
    resource_id = await created(connected)
    after = await connected.client.find(USER, connected.match, value.upper())

    assert (before.answer.ok, before.hits) == (True, ())
    assert [hit["id"] for hit in after.hits] == [resource_id]
    assert await shows(connected, resource_id, connected.mapped(ANNA))
    assert connected.vendor.violations == []


async def test_a_difference_is_written_as_one_patch(connected: Connected) -> None:
    old = connected.mapped(ANNA)
    new = {path: value for path, value in connected.mapped(CHANGED).items() if path not in DROPPED}
    resource_id = await created(connected)
    dialect = connected.profile.protocol.patch

    operations = patch_operations(diff(old, new, case_exact=lambda _path: True), dialect=dialect, present=old)
    answer = await connected.client.patch(USER, resource_id, operations)

    assert answer.ok, answer
    assert await shows(connected, resource_id, new | dict.fromkeys(connected.mapped(dict.fromkeys(DROPPED))))
    assert connected.vendor.violations == []


@pytest.mark.parametrize("reads", [True, False], ids=["on what was read", "blindly"])
async def test_a_whole_state_is_asserted(connected: Connected, reads: bool) -> None:
    new = {path: value for path, value in connected.mapped(CHANGED).items() if path not in DROPPED}
    resource_id = await created(connected)
    observed = (await connected.client.read(USER, resource_id)).resource if reads else None
    dialect = connected.profile.protocol.patch

    operations = full_patch(new, dialect=dialect, cleared=connected.mapped(dict.fromkeys(DROPPED)), observed=observed)
    answers = [await connected.client.patch(USER, resource_id, operations) for _ in range(1 if reads else 2)]

    assert all(answer.ok for answer in answers), answers
    assert await shows(connected, resource_id, new | dict.fromkeys(connected.mapped(dict.fromkeys(DROPPED))))
    assert connected.vendor.violations == []


async def test_a_leaver_is_disabled_and_still_found(connected: Connected) -> None:
    resource_id = await created(connected)
    value = connected.mapped(ANNA)[connected.match]
    dialect = connected.profile.protocol.patch

    operations = full_patch({"active": False}, dialect=dialect)
    answer = await connected.client.patch(USER, resource_id, operations)

    found = await connected.client.find(USER, connected.match, value)
    listed = [row["id"] async for page in connected.client.list_pages(USER) for row in page.resources]
    assert answer.ok
    assert await shows(connected, resource_id, {"active": False})
    assert [hit["id"] for hit in found.hits] == [resource_id]
    assert listed == [resource_id]
    assert connected.vendor.violations == []


async def test_a_name_that_is_taken_is_a_conflict(connected: Connected) -> None:
    await created(connected)

    body = build_resource(connected.mapped(ANNA), schema_urn=connected.profile.users.schema_urn)
    answer = await connected.client.create(USER, body)

    assert answer.kind == "conflict"
    assert "anna" not in answer.detail.lower()


async def test_an_account_that_is_not_there_is_not_found(connected: Connected) -> None:
    read = await connected.client.read(USER, "999999")
    patched = await connected.client.patch(USER, "999999", [{"op": "replace", "path": "active", "value": False}])

    assert (read.kind, patched.kind) == ("not_found", "not_found")


async def test_members_come_and_go_one_by_one() -> None:
    async for connected in connected_to(ClarizenSimulator, "clarizen-one", None):
        user = await created(connected)
        body = build_resource({"displayName": "R&D"}, schema_urn=connected.profile.groups.schema_urn)
        group = await connected.client.create(GROUP, body)
        dialect = connected.profile.protocol.patch

        added = await connected.client.patch(
            GROUP, group.id or "", member_operations(added=[user], removed=[], dialect=dialect)
        )
        members = connected.vendor.resources("Group")[0].get("members") or []
        removed = await connected.client.patch(
            GROUP, group.id or "", member_operations(added=[], removed=[user], dialect=dialect)
        )

        assert (added.ok, removed.ok) == (True, True)
        assert [member["value"] for member in members] == [user]
        assert not connected.vendor.resources("Group")[0].get("members")
        assert connected.vendor.violations == []


async def test_fuze_ignoring_a_filter_gives_no_stranger() -> None:
    options = FuzeOptions(email_filter=FilterMode.ignore)
    async for connected in connected_to(FuzeSimulator, "fuze", options):
        await created(connected)

        lookup = await connected.client.find(USER, WORK, "bert@contoso.test")

        assert (lookup.hits, lookup.filter_ignored) == ((), True)


async def test_a_stale_version_is_a_mismatch_at_purecloud() -> None:
    async for connected in connected_to(PureCloudSimulator, "purecloud", None):
        resource_id = await created(connected)
        operation = [{"op": "replace", "path": "title", "value": "T"}]

        first = await connected.client.read(USER, resource_id)
        good = await connected.client.patch(USER, resource_id, operation, etag=first.etag)
        stale = await connected.client.patch(
            USER, resource_id, [{"op": "replace", "path": "title", "value": "U"}], etag=first.etag
        )

        assert (good.ok, stale.kind) == (True, "version_mismatch")
