"""Tables, queues, limiter and clock as in Azure: with a managed identity, over TLS, without any key."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator

import pytest

from shared.clock import Clock
from shared.config.settings import Settings
from shared.storage.connections import Identities, connect_queues, connect_tables
from shared.storage.durable_writes import DurableWrite
from shared.storage.limiter import Limiter
from shared.storage.queues import Message, Queues
from shared.storage.service_clock import ServiceClock
from shared.storage.tables import Operation, StorageConflict, StorageRefused, Tables
from tests.identity import IdentityStorage, open_identity_storage_here
from tests.simulation.managed_identity import CLIENT_ID, STORAGE, Trouble
from tests.storage.slots import wait_for_slot

pytestmark = pytest.mark.anyio
WRITE = DurableWrite.APPLICATION_STATE
MESSAGE = Message(app="acme", kind="user", id="7c0a2a51-0b5c-4f5e-9d6a-3f1c2b7d8e90")


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdentityStorage]:
    with open_identity_storage_here(tmp_path_factory.mktemp("identity")) as running:
        yield running


@pytest.fixture
def storage(account: IdentityStorage) -> Iterator[IdentityStorage]:
    yield account
    account.mend()


class Connected:
    """The product's storage, connected as the product connects it."""

    def __init__(self, settings: Settings) -> None:
        self.identities = Identities()
        self.clock = ServiceClock(Clock())
        prefix = f"t{secrets.token_hex(5)}"
        self.tables = Tables(connect_tables(settings, self.identities, measures=self.clock), prefix=prefix)
        self.queues = Queues(connect_queues(settings, self.identities))
        self.limiter = Limiter(tables=self.tables, clock=Clock(), service_clock=self.clock)

    async def close(self) -> None:
        await self.tables.close()
        await self.queues.close()
        await self.identities.close()


@pytest.fixture
async def connected(storage: IdentityStorage) -> AsyncIterator[Connected]:
    opened = Connected(Settings.load(storage.settings))
    await opened.tables.create_missing()
    await opened.queues.create_missing(["acme"])
    yield opened
    await opened.close()


async def test_every_kind_of_call_works_with_an_identity_and_no_key_is_ever_sent(
    storage: IdentityStorage, connected: Connected
) -> None:
    tables, rows = connected.tables, [Operation.insert(f"row-{number:03}", {"n": number}) for number in range(100)]
    etags = await tables.commit(WRITE, "accounts", "acme", rows)
    await tables.commit(WRITE, "accounts", "acme", [Operation.merge("row-000", {"n": 1}, etag=etags["row-000"])])
    with pytest.raises(StorageConflict):
        await tables.commit(WRITE, "accounts", "acme", [Operation.merge("row-000", {"n": 2}, etag=etags["row-000"])])
    await tables.commit(WRITE, "accounts", "acme", [Operation.delete("row-099")])
    page = await tables.query_page("accounts", "acme", page_size=60)
    rest = await tables.query_page("accounts", "acme", page_size=60, resume=page.resume)
    first = await tables.read("accounts", "acme", "row-000")
    await connected.queues.send(DurableWrite.ENQUEUE_LATER, MESSAGE, hidden_s=3600)

    assert len(page.rows) + len(rest.rows) == 99
    assert first is not None and first.values["n"] == 1
    assert await connected.queues.count("acme", first=False) == 1
    assert storage.roles.keyed == []
    assert storage.identity.resources() == {STORAGE}
    assert {request.client_id for request in storage.identity.requests} == {CLIENT_ID}


async def test_tables_and_queues_share_one_token(storage: IdentityStorage, connected: Connected) -> None:
    before = len(storage.identity.requests)

    await connected.tables.read("accounts", "acme", "nobody")
    await connected.queues.count("acme", first=True)

    assert len(storage.identity.requests) == before
    assert connected.identities.credential(CLIENT_ID) is connected.identities.credential(CLIENT_ID)


async def test_slots_are_handed_out_by_a_clock_that_is_measured_in_the_etags(connected: Connected) -> None:
    stale_before = connected.clock.is_stale()

    await wait_for_slot(connected.limiter, "acme", 50.0, first=False)

    assert connected.limiter.slots["entered"] == 1
    assert stale_before
    assert not connected.clock.is_stale()
    assert not connected.clock.is_lost()


@pytest.mark.parametrize(
    ("trouble", "says"),
    [
        pytest.param(Trouble.WRONG_AUDIENCE, "its token is not accepted", id="a token for something else"),
        pytest.param(Trouble.EXPIRED, "its token is not accepted", id="a token that ended"),
        pytest.param(Trouble.NOT_ASSIGNED, "no token could be had", id="no identity"),
    ],
)
async def test_a_wrong_credential_is_named_and_storage_goes_on_when_it_is_right_again(
    storage: IdentityStorage, connected: Connected, trouble: Trouble, says: str
) -> None:
    await connected.tables.commit(WRITE, "accounts", "acme", [Operation.insert("before", {"n": 1})])
    storage.identity.trouble = trouble
    process = Connected(Settings.load(storage.settings))
    try:
        with pytest.raises(StorageRefused) as refused:
            await process.tables.read("accounts", "acme", "before")
        with pytest.raises(StorageRefused):
            await process.tables.commit(WRITE, "accounts", "acme", [Operation.insert("during", {"n": 1})])
        with pytest.raises(StorageRefused):
            await process.queues.send(DurableWrite.ENQUEUE_LATER, MESSAGE)
        storage.identity.trouble = None
        await process.queues.count("acme", first=False)
    finally:
        await process.close()

    assert says in str(refused.value)
    assert "AzureWebJobsStorage__clientId" in str(refused.value)
    assert "eyJ" not in str(refused.value)


@pytest.mark.parametrize(
    ("service", "role"),
    [
        pytest.param("table", "Storage Table Data Contributor", id="tables"),
        pytest.param("queue", "Storage Queue Data Contributor", id="queues"),
    ],
)
async def test_a_missing_role_is_named_and_its_assignment_is_enough(
    storage: IdentityStorage, connected: Connected, service: str, role: str
) -> None:
    async def use() -> None:
        if service == "table":
            await connected.tables.commit(WRITE, "accounts", "acme", [Operation.merge("row", {"n": 1})])
        else:
            await connected.queues.send(DurableWrite.ENQUEUE_LATER, MESSAGE)

    storage.roles.missing.add(service)
    with pytest.raises(StorageRefused) as refused:
        await use()
    storage.roles.missing.clear()
    await use()

    assert f"403 AuthorizationPermissionMismatch: the app's identity needs the role {role}" in str(refused.value)


async def test_a_connection_string_is_refused_by_the_account_in_words_that_say_so(storage: IdentityStorage) -> None:
    addresses = Settings.load(storage.settings).storage
    text = f"AccountName=devstoreaccount1;AccountKey=a2V5;TableEndpoint={addresses.table_uri}"
    tables = Tables(connect_tables(Settings.load({"AzureWebJobsStorage": text})))
    try:
        with pytest.raises(StorageRefused, match="shared keys are switched off"):
            await tables.read("accounts", "acme", "row")
    finally:
        await tables.close()
    storage.roles.keyed.clear()
