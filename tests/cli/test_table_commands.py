"""Copying the tables of one storage account into another, as somebody who is signed in and has no keys."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass

import anyio.to_thread
import pytest
from click.testing import Result
from typer.testing import CliRunner

from shared.cli.__main__ import app
from shared.cli.exit_codes import ExitCode
from shared.composition import open_account_tables
from shared.storage.durable_writes import DurableWrite
from shared.storage.tables import Operation
from tests.identity import IdentityStorage, open_identity_storage_here
from tests.simulation.azurite import Azurite
from tests.simulation.storage_roles import StorageRoles

ADDRESS = "AzureWebJobsStorage__tableServiceUri"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """Two accounts, the first with three rows, and the machine somebody is signed in on."""

    old: StorageRoles
    new: StorageRoles

    async def copy(self) -> Result:
        """Run the command, in a thread, because it brings an event loop of its own."""
        old, new = self.old.settings[ADDRESS], self.new.settings[ADDRESS]
        arguments = ["tables", "copy", "--from", old, "--to", new, "--json"]
        return await anyio.to_thread.run_sync(lambda: CliRunner().invoke(app, arguments))


@pytest.fixture
async def accounts(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Accounts]:
    with ExitStack() as stack:
        storage: IdentityStorage = stack.enter_context(open_identity_storage_here(tmp_path_factory.mktemp("identity")))
        monkeypatch.setenv("AZURE_CLIENT_ID", storage.identity.environment["AZURE_CLIENT_ID"])
        azurite = stack.enter_context(Azurite.with_identity(storage.certificate))
        new = stack.enter_context(StorageRoles(azurite, storage.certificate))
        async with open_account_tables(storage.settings[ADDRESS]) as tables:
            await tables.create_missing()
            rows = [Operation.insert(key, {"n": 1}) for key in "abc"]
            await tables.commit(DurableWrite.MIRROR, "directory", "p", rows)
        yield Accounts(old=storage.roles, new=new)


async def test_every_row_arrives_and_is_counted(accounts: Accounts) -> None:
    result = await accounts.copy()

    async with open_account_tables(accounts.new.settings[ADDRESS]) as tables:
        copied = [row.key async for _, row in tables.walk("directory")]
    assert result.exit_code == ExitCode.OK
    assert json.loads(result.stdout)["rows"]["directory"] == 3
    assert copied == ["a", "b", "c"]


async def test_without_the_role_the_command_says_which_and_whose(accounts: Accounts) -> None:
    accounts.new.missing.add("table")

    result = await accounts.copy()

    assert result.exit_code == ExitCode.UNAVAILABLE
    assert "Storage Table Data Contributor" in result.stdout
    assert "your own sign-in" in result.stdout


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("stscimold", "stscimold", "the same account"),
        ("st-scim-old", "stscimnew", "--from: expected a storage account's name"),
        ("stscimold", "http://stscimnew.example", "--to: expected a storage account's name"),
    ],
)
def test_accounts_that_cannot_be_meant_are_refused_before_anything_is_asked(old: str, new: str, said: str) -> None:
    result = CliRunner().invoke(app, ["tables", "copy", "--from", old, "--to", new])

    assert result.exit_code == ExitCode.USAGE
    assert said in result.output
