"""The product with an identity for storage and Graph: people come and go, and a wrong credential loses nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from shared.provisioning.accounts import AccountState
from shared.storage.tables import StorageRefused
from tests.api.calling import open_client
from tests.identity import IdentityStorage, open_identity_storage_here
from tests.simulation.managed_identity import CLIENT_ID, CONSENTED, GRAPH, STORAGE, TokenRequest, Trouble
from tests.simulation.tenant import Tenant
from tests.simulation.vendors import AcmeSimulator
from tests.world import HandClock, World, first_enabled, minimal_configuration, names_of_enabled, open_world

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdentityStorage]:
    with open_identity_storage_here(tmp_path_factory.mktemp("identity")) as running:
        yield running


@pytest.fixture
def storage(account: IdentityStorage) -> Iterator[IdentityStorage]:
    yield account
    account.mend()


@asynccontextmanager
async def world_with_identity(folder: Path, storage: IdentityStorage, prefix: str) -> AsyncIterator[World]:
    """Opens a world where everybody is assigned to acme, and no setting of the app is a secret but the vendor's."""
    tenant = Tenant(5, 4)
    principal = tenant.create_service_principal("acme")
    role = tenant.service_principals[principal]["appRoles"][0]["id"]
    for user_id in tenant.user_ids():
        tenant.assign(principal, user_id, role)
    clock = HandClock()
    async with open_world(
        folder,
        azurite="",
        prefix=prefix,
        tenant=tenant,
        vendors={"acme": AcmeSimulator(clock=lambda: clock.now().timestamp())},
        clock=clock,
        in_memory=False,
        environment={**storage.settings, "GRAPH_STATIC_TOKEN": ""},
        configure=lambda running, _: minimal_configuration(
            "acme", running["acme"], principal, "drift: {mode: report, every: 1d}"
        ),
    ) as world:
        yield world


async def test_a_person_comes_and_goes_and_is_verified_with_an_identity_alone(
    tmp_path: Path, storage: IdentityStorage, name_prefix: str
) -> None:
    async with world_with_identity(tmp_path, storage, name_prefix) as world:
        await world.provision_all()
        joined = world.active("acme")
        leaver = first_enabled(world)
        world.tenant.disable(leaver)
        await world.provision_all()
        world.clock.advance(2 * 86_400)
        await world.settle()

        row = await world.account("acme", leaver)
        async with open_client(world.services) as client:
            [report] = (await client.get("/applications")).json()
        verified = await world.services.drift_rounds.read("acme")

    assert (
        world.active("acme")
        == names_of_enabled(world)
        == joined - {world.tenant.user(leaver)["userPrincipalName"].casefold()}
    )
    assert (row.state, row.pending) == (AccountState.DISABLED, False)
    assert (report["status"], report["pending"], report["states"]["disabled"]) == ("Active", 0, 1)
    assert verified.finished_at is not None
    assert storage.roles.keyed == []
    assert set(storage.identity.requests) == {TokenRequest(CLIENT_ID, STORAGE), TokenRequest(CLIENT_ID, GRAPH)}


@pytest.mark.parametrize("trouble", list(Trouble))
async def test_a_credential_that_is_wrong_for_a_while_loses_nobody(
    tmp_path: Path, storage: IdentityStorage, name_prefix: str, trouble: Trouble
) -> None:
    async with world_with_identity(tmp_path, storage, name_prefix) as world:
        await world.provision_all()
        leaver = first_enabled(world)
        world.tenant.disable(leaver)
        storage.identity.trouble = trouble
        world.restart()
        with pytest.raises(StorageRefused, match="AzureWebJobsStorage__clientId"):
            await world.sync()
        async with open_client(world.services) as client:
            told = (await client.get("/applications")).json()

        storage.identity.trouble = None
        await world.provision_all()

        assert world.active("acme") == names_of_enabled(world)
        assert (await world.account("acme", leaver)).state is AccountState.DISABLED
        assert told["type"] == "urn:scim-provisioner:problem:storage-refused"
        assert "AzureWebJobsStorage__clientId" in told["detail"]


async def test_a_role_that_is_taken_away_in_the_middle_loses_nobody(
    tmp_path: Path, storage: IdentityStorage, name_prefix: str
) -> None:
    async with world_with_identity(tmp_path, storage, name_prefix) as world:
        await world.sync()
        await world.deliver(limit=1)
        storage.roles.missing.add("table")
        with pytest.raises(StorageRefused, match="Storage Table Data Contributor"):
            await world.deliver()

        storage.roles.missing.clear()
        world.clock.advance(3600)
        await world.settle()

        assert world.active("acme") == names_of_enabled(world)
        names = [str(each["userName"]).casefold() for each in world.vendors["acme"].resources("User")]
        assert sorted(names) == sorted(names_of_enabled(world))


@pytest.mark.parametrize("missing", CONSENTED)
async def test_consent_that_came_late_is_in_the_next_token_and_no_restart_brings_that_about(
    tmp_path: Path, storage: IdentityStorage, name_prefix: str, missing: str
) -> None:
    async with world_with_identity(tmp_path, storage, name_prefix) as world:
        world.graph.access.reads_roles = True
        storage.identity.lifetime_s = 0
        storage.identity.roles.remove(missing)
        storage.identity.end_kept_tokens()
        await world.sync()
        told = await _problems(world)
        storage.identity.roles.append(missing)
        world.restart()
        await world.sync()
        restarted = await _problems(world)

        storage.identity.end_kept_tokens()
        world.clock.advance(3600)
        await world.provision_all()
        await world.sync()
        well = await _problems(world)

    assert [missing in each["text"] for each in told] == [True]
    assert told[0]["code"] in ("DirectoryRefused", "ServicePrincipalUnreadable")
    assert "up to a day" in told[0]["remedy"]
    assert [each["code"] for each in restarted] == [each["code"] for each in told]
    assert well == []
    assert world.active("acme") == names_of_enabled(world)


async def _problems(world: World) -> list[dict[str, str]]:
    async with open_client(world.services) as client:
        [report] = (await client.get("/applications")).json()
    return list(report["problems"])
