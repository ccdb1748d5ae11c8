"""The app as Azure runs it, on the local host: no connection string anywhere, one managed identity, TLS, roles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functions.deployment import Deployment, eventually, open_deployment
from tests.identity import IdentityStorage, open_identity_storage
from tests.simulation.managed_identity import CLIENT_ID, GRAPH, STORAGE, TokenRequest


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[IdentityStorage]:
    with open_identity_storage(tmp_path) as running:
        yield running


@pytest.fixture
def deployment(tmp_path: Path, storage: IdentityStorage) -> Iterator[Deployment]:
    with open_deployment(tmp_path, users=6, storage=storage.environment) as running:
        running.assign_members()
        yield running


async def test_people_come_and_go_with_an_identity_alone(deployment: Deployment, storage: IdentityStorage) -> None:
    settings = {name: value for name, value in deployment.settings.items() if value}
    deployment.start()
    joined = await eventually(lambda: deployment.is_settled() and deployment.held("acme"))
    leaver = next(each for each in deployment.tenant.user_ids() if deployment.tenant.user(each)["accountEnabled"])
    deployment.tenant.disable(leaver)
    left = await eventually(deployment.is_settled)

    assert joined
    assert left
    assert deployment.tenant.user(leaver)["userPrincipalName"].casefold() not in deployment.held("acme")
    assert storage.roles.keyed == []
    assert set(storage.identity.requests) == {TokenRequest(CLIENT_ID, STORAGE), TokenRequest(CLIENT_ID, GRAPH)}
    assert not any("AccountKey" in value for value in settings.values())
    assert "AzureWebJobsStorage" not in settings
    assert "eyJ" not in deployment.log()


async def test_a_role_that_is_missing_is_named_to_people_and_its_assignment_is_enough(
    deployment: Deployment, storage: IdentityStorage
) -> None:
    storage.roles.missing.add("table")
    deployment.start()
    refused = await eventually(lambda: "Storage Table Data Contributor" in deployment.log())
    told = await deployment.ask("/applications")

    storage.roles.missing.clear()
    settled = await eventually(lambda: deployment.is_settled() and deployment.held("acme"))

    assert refused
    assert told["status"] == 503
    assert told["type"] == "urn:scim-provisioner:problem:storage-refused"
    assert "Storage Table Data Contributor" in told["detail"]
    assert settled


async def test_a_role_of_the_queues_that_is_missing_is_named_and_its_assignment_is_enough(
    deployment: Deployment, storage: IdentityStorage
) -> None:
    storage.roles.missing.add("queue")
    deployment.start()
    refused = await eventually(lambda: "Storage Queue Data Contributor" in deployment.log())

    storage.roles.missing.clear()

    assert refused
    assert await eventually(lambda: deployment.is_settled() and deployment.held("acme"))
