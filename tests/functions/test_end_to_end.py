"""The deployed app on a host process: people move, the host dies, strange messages arrive, and the vendors agree."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.provisioning.accounts import AccountState, ResourceKind
from shared.provisioning.attempt import OwnCode
from tests.functions.deployment import Deployment, eventually, open_deployment
from tests.simulation.receiver import SECRET, receiving
from tests.simulation.vendors import VendorSimulator
from tests.simulation.vendors.journal import Finding


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    with open_deployment(tmp_path, users=12) as running:
        yield running


@pytest.fixture
def large_deployment(tmp_path: Path) -> Iterator[Deployment]:
    with open_deployment(tmp_path, users=50) as running:
        yield running


def enabled_users(deployment: Deployment) -> list[str]:
    tenant = deployment.tenant
    people = {user_id: tenant.user(user_id) for user_id in tenant.user_ids()}
    return [user_id for user_id, user in people.items() if user.get("accountEnabled") and user["userType"] == "Member"]


def broken_rules(vendor: VendorSimulator) -> list[Finding]:
    """Answers with the rules a client broke; its pace is left out, because a busy machine delays what it sends."""
    return [finding for finding in vendor.violations if finding.name != "rate_exceeded"]


async def test_a_joiner_appears_and_a_leaver_is_disabled_at_both_vendors(deployment: Deployment) -> None:
    first, second, joiner, *_ = enabled_users(deployment)
    deployment.assign(first)
    deployment.assign(second)
    deployment.start()
    started = await eventually(deployment.is_settled)

    deployment.assign(joiner)
    deployment.unassign(first)
    deployment.tenant.disable(second)
    moved = await eventually(deployment.is_settled)

    assert started
    assert moved, deployment.differences()
    assert [len(deployment.held(app, active=False)) for app in ("acme", "fuze")] == [2, 2]
    assert [broken_rules(vendor) for vendor in deployment.vendors.values()] == [[], []]


async def test_the_log_of_a_host_names_nobody(deployment: Deployment) -> None:
    joiner = deployment.tenant.user(enabled_users(deployment)[0])
    deployment.assign(joiner["id"])
    deployment.start()

    settled = await eventually(deployment.is_settled)

    values = [joiner[name] for name in ("userPrincipalName", "displayName", "mail") if joiner.get(name)]
    local_parts = [value.partition("@")[0] for value in values]
    assert settled
    assert "account.provisioned" in deployment.log()
    assert joiner["id"] in deployment.log()
    assert [value for value in local_parts if value in deployment.log()] == []


async def test_a_host_killed_in_the_initial_cycle_leaves_everybody_exactly_once(large_deployment: Deployment) -> None:
    deployment = large_deployment
    people = enabled_users(deployment)[:30]
    for user_id in people:
        deployment.assign(user_id)
    for vendor in deployment.vendors.values():
        vendor.faults.add("slow", method="POST", times=None, seconds=0.4)
    slowly = {"batchSize": "3", "newBatchThreshold": "1"}
    host = deployment.start(
        **{f"AzureFunctionsJobHost__extensions__queues__{name}": value for name, value in slowly.items()}
    )
    began = await eventually(lambda: len(deployment.held("acme")) >= 6 and len(deployment.held("fuze")) >= 3)

    deployment.kill(host)
    survivors = {app: len(deployment.held(app)) for app in deployment.vendors}
    deployment.start()
    settled = await eventually(deployment.is_settled, within_s=90)

    assert began
    assert max(survivors.values()) < len(people)
    assert settled, deployment.differences()
    for app, vendor in deployment.vendors.items():
        assert deployment.held(app) == deployment.entitled(app)
        assert deployment.held(app, active=False) == []
        assert broken_rules(vendor) == []
    services = deployment.services()

    async def rows_agree() -> bool:
        rows = [await services.rows.read("acme", ResourceKind.USER, user_id) for user_id in people]
        return {row.state for row in rows} == {AccountState.IN_SYNC} and len({row.target_id for row in rows}) == 30

    assert await eventually(rows_agree)
    await services.close()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param("no JSON {", "the message is not JSON", id="a body that is no JSON"),
        pytest.param("[1, 2]", "the message is not a JSON object", id="a list"),
        pytest.param('{"v":2,"app":"acme","kind":"user","id":"x"}', "not of version 1", id="another version"),
        pytest.param(
            '{"v":1,"app":"acme","kind":"device","id":"7c0a2a51-0b5c-4f5e-9d6a-3f1c2b7d8e90"}',
            "neither a user nor a group",
            id="a device",
        ),
        pytest.param(
            '{"v":1,"app":"acme","kind":"user","id":"babs.jensen@contoso.example"}',
            "no object of the directory",
            id="somebody's name",
        ),
        pytest.param(
            '{"v":1,"app":"nobody","kind":"user","id":"7c0a2a51-0b5c-4f5e-9d6a-3f1c2b7d8e90"}',
            "unknown application",
            id="an unknown vendor",
        ),
    ],
)
async def test_a_message_nobody_understands_is_logged_and_gone(deployment: Deployment, body: str, reason: str) -> None:
    deployment.start()

    deployment.send("provision-acme", body)
    refused = await eventually(lambda: "message.refused" in deployment.log())
    ended = await eventually(lambda: deployment.waiting("provision-acme") == 0)

    assert refused
    assert ended
    assert reason in deployment.log()
    assert deployment.log().count("message.refused") == 1
    assert deployment.waiting("provision-acme-poison") == 0


async def test_a_message_that_is_no_base64_ends_in_the_poison_queue_and_holds_up_nobody(
    deployment: Deployment,
) -> None:
    joiner = enabled_users(deployment)[0]
    deployment.send_raw("provision-acme", "%%% not base64 %%%")
    deployment.start()

    poisoned = await eventually(lambda: deployment.waiting("provision-acme-poison") == 1)
    deployment.assign(joiner)
    settled = await eventually(deployment.is_settled)

    ended = await eventually(lambda: deployment.waiting("provision-acme") == 0)
    assert poisoned
    assert settled
    assert ended
    assert "account.poisoned" not in deployment.log()


async def test_a_message_of_an_account_nobody_wants_does_no_harm(deployment: Deployment) -> None:
    stranger = enabled_users(deployment)[0]
    deployment.start()

    deployment.send("provision-acme", json.dumps({"v": 1, "app": "acme", "kind": "user", "id": stranger}))
    deployment.send("provision-acme", json.dumps({"v": 1, "app": "acme", "kind": "user", "id": "no/such#id"}))
    ended = await eventually(lambda: deployment.waiting("provision-acme") == 0)

    assert ended
    assert deployment.held("acme") == []
    assert deployment.vendors["acme"].journal == []


async def test_a_function_that_raises_again_and_again_ends_as_escrow_on_the_row(deployment: Deployment) -> None:
    broken, sound = enabled_users(deployment)[:2]
    deployment.assign(broken)
    deployment.start(SWEEP_AFTER_SECONDS="600")
    await eventually(deployment.is_settled)
    await corrupt_mirror(deployment, broken)

    deployment.send("provision-acme", await raised_message(deployment, broken))
    services = deployment.services()

    async def is_escrowed() -> bool:
        row = await services.rows.read("acme", ResourceKind.USER, broken)
        return row.state is AccountState.ESCROWED

    escrowed = await eventually(is_escrowed)
    deployment.assign(sound)
    sound_name = str(deployment.tenant.user(sound)["userPrincipalName"]).casefold()
    others_go_on = await eventually(lambda: sound_name in deployment.held("acme"))
    row = await services.rows.read("acme", ResourceKind.USER, broken)
    await services.close()

    assert escrowed, deployment.log()[-3000:]
    assert others_go_on
    assert row.error_code == OwnCode.POISONED
    assert row.next_attempt_at is not None
    assert row.pending
    assert deployment.waiting("provision-acme-poison") == 0
    assert 'message.poisoned {"queue":"provision-acme-poison"}' in deployment.log()


async def test_a_poison_message_that_nobody_can_read_is_told_all_the_same(deployment: Deployment) -> None:
    deployment.start()

    deployment.send("provision-acme-poison", "no JSON {")
    told = await eventually(lambda: 'message.poisoned {"queue":"provision-acme-poison"}' in deployment.log())

    assert told
    assert "account.poisoned" not in deployment.log()


async def test_a_row_that_another_version_wrote_is_asserted_again(deployment: Deployment) -> None:
    user_id = enabled_users(deployment)[0]
    deployment.assign(user_id)
    deployment.start()
    began = await eventually(lambda: is_at_rest(deployment, user_id))
    writes = len(deployment.vendors["acme"].journal)

    await overwrite(
        deployment,
        "accounts",
        f"user:{user_id}",
        {"intent": "{", "intent_at": "2026-01-01T00:00:00.000000Z", "sent": "[", "state": "levitating"},
        partition="acme",
    )
    services = deployment.services()

    async def is_in_sync() -> bool:
        row = await services.rows.read("acme", ResourceKind.USER, user_id)
        return row.state is AccountState.IN_SYNC and row.intent is None and bool(row.sent)

    healed = await eventually(is_in_sync)
    await services.close()

    assert began
    assert healed, deployment.log()[-3000:]
    assert [entry.method for entry in deployment.vendors["acme"].journal[writes:]] == ["PATCH"]
    assert "account.poisoned" not in deployment.log()


async def test_a_poison_message_whose_row_cannot_be_read_is_logged_once_and_gone(deployment: Deployment) -> None:
    user_id = enabled_users(deployment)[0]
    deployment.assign(user_id)
    deployment.start(HOUSEKEEPING_SCHEDULE="0 0 0 1 1 *")
    began = await eventually(lambda: is_at_rest(deployment, user_id))

    await overwrite(deployment, "accounts", f"user:{user_id}", {"queued_at": "noon", "pending": True}, partition="acme")
    deployment.send("provision-acme", json.dumps({"v": 1, "app": "acme", "kind": "user", "id": user_id}))
    told = await eventually(lambda: "account.poisoned" in deployment.log())
    ended = await eventually(
        lambda: deployment.waiting("provision-acme") + deployment.waiting("provision-acme-poison") == 0
    )

    assert began
    assert told, deployment.log()[-3000:]
    assert ended
    assert deployment.log().count("account.poisoned") == 1


async def corrupt_mirror(deployment: Deployment, user_id: str) -> None:
    """Makes the consumer raise a defect for one user: their mirror row is no JSON any more."""
    await overwrite(deployment, "directory", f"{user_id}:user", {"attributes": "{"})


async def is_at_rest(deployment: Deployment, user_id: str) -> bool:
    """Answers whether the account row at acme is saved, and no message about it is left."""
    services = deployment.services()
    try:
        row = await services.rows.read("acme", ResourceKind.USER, user_id)
    finally:
        await services.close()
    return row.state is AccountState.IN_SYNC and not row.pending and deployment.waiting("provision-acme") == 0


async def overwrite(
    deployment: Deployment, table: str, key: str, columns: dict[str, object], *, partition: str = ""
) -> None:
    """Changes columns of a row as no version of the app would; in every partition if none is given."""
    from azure.data.tables.aio import TableServiceClient

    async with TableServiceClient.from_connection_string(deployment.storage) as service:
        client = service.get_table_client(table)
        rows = [row async for row in client.query_entities(f"RowKey eq '{key}'")]
        for row in rows:
            if partition in ("", row["PartitionKey"]):
                await client.update_entity({**columns, "PartitionKey": row["PartitionKey"], "RowKey": row["RowKey"]})


async def raised_message(deployment: Deployment, user_id: str) -> str:
    """Wants the account anew, as the puller would, and answers with its message."""
    await overwrite(
        deployment,
        "accounts",
        f"user:{user_id}",
        {"wanted": "0000009999.00000001.000", "pending": True},
        partition="acme",
    )
    return json.dumps({"v": 1, "app": "acme", "kind": "user", "id": user_id})


async def test_people_are_told_of_a_quarantine_by_a_signed_webhook_without_its_address_in_the_log(
    deployment: Deployment,
) -> None:
    async with receiving() as receiver:
        path = deployment.folder / "provisioning.yaml"
        path.write_text(path.read_text().replace("profile: fuze", "profile: fuze\n    notify: {webhook: HOOK_URL}"))
        deployment.vendors["fuze"].faults.add("error", status=401, times=None)
        deployment.assign(enabled_users(deployment)[0])
        deployment.start(HOOK_URL=receiver.url, HOOK_SECRET=SECRET, WEBSITE_HOSTNAME="app.example")

        told = await eventually(lambda: receiver.types)

        assert told
        assert (receiver.types, receiver.forged) == (["application.quarantined"], 0)
        assert receiver.taken[0]["application"] == "fuze"
        assert receiver.taken[0]["link"] == "https://app.example/api/dashboard/#/applications/fuze"
        assert await eventually(lambda: "notice.delivered" in deployment.log())
        assert "t0ken" not in deployment.log()
        assert SECRET not in deployment.log()
