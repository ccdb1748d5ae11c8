"""Graph rings at the deployed app, whose timers are never due: what changed reaches the vendors all the same."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import anyio
import pytest

from shared.storage.change_message import DirectoryChanged
from tests.functions.deployment import CLIENT_STATE, Deployment, eventually, open_deployment, run_now
from tests.world import START


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    with open_deployment(tmp_path, users=12) as running:
        yield running


def members(deployment: Deployment) -> list[str]:
    people = {user_id: deployment.tenant.user(user_id) for user_id in deployment.tenant.user_ids()}
    return [held for held, user in people.items() if user.get("accountEnabled") and user["userType"] == "Member"]


def titles(deployment: Deployment, app: str = "acme") -> list[Any]:
    return [each.get("title") for each in deployment.vendors[app].resources("User")]


def rounds(deployment: Deployment) -> int:
    """Answers with how many runs began to read the users' changes."""
    return sum(each.path == "users/delta" and each.link != "next" for each in deployment.graph.requests)


def notification(deployment: Deployment, user_id: str) -> bytes:
    """Answers with what Graph posts when a user changed."""
    notice = {
        "changeType": "updated",
        "clientState": CLIENT_STATE,
        "resource": f"Users/{user_id}",
        "subscriptionId": "00000000-0000-0000-0000-000000000001",
        "tenantId": deployment.tenant.tenant_id,
    }
    return json.dumps({"value": [notice]}).encode()


async def test_a_change_reaches_the_vendors_without_any_timer(deployment: Deployment) -> None:
    mover, leaver = members(deployment)[:2]
    deployment.assign(mover)
    deployment.assign(leaver)
    host = deployment.start_notified()
    await anyio.to_thread.run_sync(run_now, host, "sync_directory")
    joined = await eventually(deployment.is_settled)
    await anyio.to_thread.run_sync(run_now, host, "housekeeping")
    resources = sorted(each["resource"] for each in deployment.graph.subscriptions.shown())

    deployment.tenant.update(mover, jobTitle="Astronaut")
    moved = await eventually(lambda: "Astronaut" in titles(deployment))
    deployment.tenant.disable(leaver)
    left = await eventually(lambda: len(deployment.held("acme", active=False)) == 1)

    assert joined
    assert resources == ["/groups", "/users"]
    assert moved, deployment.log()[-3000:]
    assert left, deployment.log()[-3000:]
    assert CLIENT_STATE not in deployment.log()


async def test_a_group_change_reaches_the_vendors_without_any_timer(deployment: Deployment) -> None:
    joiner = members(deployment)[0]
    group_id = deployment.tenant.create_group("Crew")
    for principal in deployment.principals.values():
        deployment.tenant.assign(principal, group_id, deployment.role(principal))
    host = deployment.start_notified()
    await anyio.to_thread.run_sync(run_now, host, "sync_directory")
    await anyio.to_thread.run_sync(run_now, host, "housekeeping")

    deployment.tenant.add_member(group_id, joiner)
    joined = await eventually(deployment.is_settled)

    assert joined, deployment.log()[-3000:]
    assert len(deployment.held("acme")) == 1


async def test_a_hundred_notifications_cause_a_handful_of_runs(deployment: Deployment) -> None:
    host = deployment.start_notified()
    await anyio.to_thread.run_sync(run_now, host, "sync_directory")
    mover = members(deployment)[0]
    before = rounds(deployment)
    body = notification(deployment, mover)

    def ring(_: int) -> int:
        with urlopen(Request(f"{host.url}/api/notified", data=body), timeout=30) as answer:
            return int(answer.status)

    with ThreadPoolExecutor(20) as threads:
        statuses = await anyio.to_thread.run_sync(lambda: set(threads.map(ring, range(100))))
    drained = await eventually(lambda: deployment.waiting("directory-changed") == 0)

    assert statuses == {202}
    assert drained
    # At most one run a second, however long a busy machine takes for a hundred requests.
    assert 1 <= rounds(deployment) - before <= 20


async def test_a_hundred_messages_that_waited_for_a_host_cause_a_handful_of_runs(deployment: Deployment) -> None:
    message = DirectoryChanged(received_at=START, sync=True).encode()
    with deployment.queue("directory-changed"):
        deployment.send("directory-changed", *[message] * 100)

    deployment.start_notified()
    drained = await eventually(lambda: deployment.waiting("directory-changed") == 0)

    assert drained
    # Two, where a hundred messages are taken from the queue within a second.
    assert 1 <= rounds(deployment) <= 10


async def test_a_message_nobody_understands_is_logged_and_gone(deployment: Deployment) -> None:
    deployment.start_notified()

    deployment.send("directory-changed", "no JSON {")
    deployment.send("directory-changed-poison", "whatever")
    told = await eventually(
        lambda: [deployment.log().count(each) for each in ("message.refused", "message.poisoned")] == [1, 1]
    )

    assert told, deployment.log()[-3000:]
    assert await eventually(
        lambda: deployment.waiting("directory-changed") + deployment.waiting("directory-changed-poison") == 0
    )
    assert rounds(deployment) == 0
